"""Facade A: every name and signature of the old `execution_tracker`, and its behaviour on each way to end."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable

import pytest

import runstate
import runstate.legacy
from runstate import ExecutionState, ExecutionTracker, StateTypeError
from runstate.legacy import execution_tracker as legacy

from ..clock import FakeClock
from .surface import stub_differences

pytestmark = pytest.mark.filterwarnings("ignore:.*is a legacy name:DeprecationWarning")

SIGNATURES = {
    "register_execution": "(self, agent_name, correlation_id=None, thread_id=None, user_id=None, timeout_seconds=30.0)",
    "start_execution": "(self, exec_id)",
    "heartbeat": "(self, exec_id)",
    "complete_execution": "(self, exec_id, result=None, error=None)",
    "kill_execution": "(self, exec_id)",
    "get_execution": "(self, exec_id)",
    "get_active_executions": "(self)",
    "collect_metrics": "(self, exec_id)",
    "get_health_status": "(self)",
    "register_recovery_callback": "(self, callback)",
    "start_monitoring": "(self)",
    "stop_monitoring": "(self)",
}
AWAITED = {
    "register_execution", "start_execution", "heartbeat", "complete_execution", "kill_execution", "collect_metrics",
    "start_monitoring", "stop_monitoring",
}  # fmt: skip


def untyped(function: Callable[..., object]) -> str:
    """A signature without its annotations."""
    signature = inspect.signature(function)
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name: str) -> None:
    """Each method takes what it took, and is awaited where it was."""
    method = getattr(legacy.ExecutionTracker, name)
    assert untyped(method) == SIGNATURES[name]
    assert inspect.iscoroutinefunction(method) == (name in AWAITED)


def test_the_stub_agrees() -> None:
    """Every name that the legacy stub of the module declares is there, with the same parameters."""
    assert stub_differences("core/execution_tracker.pyi", legacy) == []


def test_module_names() -> None:
    """The module has its functions and classes, and the one `ExecutionState`."""
    assert legacy.ExecutionState is ExecutionState
    assert inspect.iscoroutinefunction(legacy.init_execution_tracker)
    assert legacy.get_execution_tracker() is legacy.get_execution_tracker()


async def _begun(tracker: legacy.ExecutionTracker) -> uuid.UUID:
    execution_id = await tracker.register_execution("airline", "c-1", "t-1", "u-1")
    await tracker.start_execution(execution_id)
    return execution_id


def test_success(core: ExecutionTracker, run: Callable[..., object]) -> None:
    """Registered, started, beaten and completed, its record shows each step as it happens."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        execution_id = await tracker.register_execution("airline", "c-1", "t-1", "u-1", timeout_seconds=5.0)
        record = tracker.get_execution(execution_id)
        assert record is not None
        assert isinstance(record, legacy.ExecutionRecord)
        assert (record.execution_id, record.agent_name, record.correlation_id) == (execution_id, "airline", "c-1")
        assert (record.thread_id, record.user_id, record.timeout_seconds) == ("t-1", "u-1", 5.0)
        assert record.state is ExecutionState.PENDING
        await tracker.start_execution(execution_id)
        assert record.state is ExecutionState.RUNNING
        assert await tracker.heartbeat(execution_id) is True
        assert record.heartbeat_count == 1
        assert await tracker.complete_execution(execution_id, result={"text": "hi"}) is None
        assert record.state is ExecutionState.COMPLETED
        assert record.result == {"text": "hi"}
        assert record.end_time is not None
        assert tracker.get_active_executions() == []

    run(life())


def test_failure_and_kill(core: ExecutionTracker, run: Callable[..., object]) -> None:
    """An error makes FAILED, and so does killing."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        failed, killed = await _begun(tracker), await _begun(tracker)
        await tracker.complete_execution(failed, error="no seat")
        await tracker.kill_execution(killed)
        records = [tracker.get_execution(failed), tracker.get_execution(killed)]
        assert [record and (record.state, record.error) for record in records] == [
            (ExecutionState.FAILED, "no seat"),
            (ExecutionState.FAILED, "Execution killed manually"),
        ]
        assert tracker.failed_executions == [failed, killed]

    run(life())


def test_timeout_and_death(
    core: ExecutionTracker, pass_time: Callable[[float], int], run: Callable[..., object]
) -> None:
    """Ends by a limit reach the recovery callback with the record."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        heard: list[tuple[uuid.UUID, ExecutionState]] = []

        async def recover(record: legacy.ExecutionRecord) -> None:
            heard.append((record.execution_id, record.state))

        tracker.register_recovery_callback(recover)
        silent, slow = await _begun(tracker), await _begun(tracker)
        for _ in range(2):
            await tracker.heartbeat(silent)
        assert pass_time(11) == 1
        assert pass_time(20) == 1
        await runstate.legacy.drain()
        assert heard == [(silent, ExecutionState.DEAD), (slow, ExecutionState.TIMEOUT)]

    run(life())


def test_callbacks_on_each_ending(
    core: ExecutionTracker, pass_time: Callable[[float], int], run: Callable[..., object]
) -> None:
    """Of success, failure, cancel, death and timeout the recovery callback hears of the last two, in their order."""

    async def life() -> None:
        tracker, heard = legacy.ExecutionTracker(), list[tuple[uuid.UUID, ExecutionState]]()
        tracker.register_recovery_callback(lambda record: heard.append((record.execution_id, record.state)))
        completed, failed, cancelled, silent, slow = [await _begun(tracker) for _ in range(5)]
        await tracker.complete_execution(completed, result=1)
        await tracker.complete_execution(failed, error="no seat")
        core.update_execution_state(cancelled.hex, ExecutionState.CANCELLED)
        for _ in range(2):
            await tracker.heartbeat(silent)
        for seconds in (11, 20):
            pass_time(seconds)
        await runstate.legacy.drain()
        assert heard == [(silent, ExecutionState.DEAD), (slow, ExecutionState.TIMEOUT)]
        ends = [tracker.executions[one].state.name for one in (completed, failed, cancelled)]
        assert ends == ["COMPLETED", "FAILED", "CANCELLED"]

    run(life())


def test_unknown_ids_are_answered_as_they_were(core: ExecutionTracker, run: Callable[..., object]) -> None:
    """Of an unknown execution, reads say None, a heartbeat says False, and moves do nothing."""

    async def life() -> None:
        tracker, unknown = legacy.ExecutionTracker(), uuid.uuid4()
        assert tracker.get_execution(unknown) is None
        assert await tracker.collect_metrics(unknown) is None
        assert await tracker.heartbeat(unknown) is False
        assert await tracker.start_execution(unknown) is None
        assert await tracker.complete_execution(unknown, result=1) is None
        assert await tracker.kill_execution(unknown) is None

    run(life())


def test_health_and_metrics(core: ExecutionTracker, clock: FakeClock, run: Callable[..., object]) -> None:
    """Health and metrics have their old keys, and name what is past a limit."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        execution_id = await _begun(tracker)
        assert set(await tracker.collect_metrics(execution_id) or {}) == {
            "execution_id", "agent_name", "duration_seconds", "state", "heartbeat_count", "websocket_updates_sent",
            "is_timeout", "is_dead",
        }  # fmt: skip
        health = tracker.get_health_status()
        assert (health["healthy"], health["active_executions"], health["monitoring_active"]) == (True, 1, False)
        clock.advance(31)
        health = tracker.get_health_status()
        assert (health["healthy"], health["stuck_executions"]) == (False, 1)
        assert health["stuck_details"][0]["exec_id"] == str(execution_id)
        record = tracker.get_execution(execution_id)
        assert record is not None
        assert record.to_dict()["is_timeout"] is True

    run(life())


def test_times_may_be_set_back(
    core: ExecutionTracker, pass_time: Callable[[float], int], run: Callable[..., object]
) -> None:
    """A heartbeat that is set back by hand makes the record dead at once, and the execution soon after."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        record = tracker.get_execution(await _begun(tracker))
        assert record is not None
        record.last_heartbeat -= 20
        assert record.is_dead()
        assert record.is_dead(heartbeat_timeout=30) is False
        record.start_time -= 100
        assert record.is_timeout()
        assert pass_time(2) == 1
        assert record.state is ExecutionState.TIMEOUT

    run(life())


def test_a_record_of_ones_own_is_a_value() -> None:
    """A record can still be made by hand, and answers from its own fields."""
    record = legacy.ExecutionRecord(
        execution_id=uuid.uuid4(), agent_name="a", correlation_id=None, thread_id=None, user_id=None,
        start_time=0.0, state=ExecutionState.RUNNING, last_heartbeat=0.0,
    )  # fmt: skip
    assert record.is_dead()
    assert record.is_timeout()
    record.state = ExecutionState.COMPLETED
    assert not record.is_dead()


def test_monitor(core: ExecutionTracker, run: Callable[..., object]) -> None:
    """The monitor's surface is there: started, seen in the health, stopped."""

    async def life() -> None:
        tracker = await legacy.init_execution_tracker()
        assert tracker is legacy.get_execution_tracker()
        assert tracker.get_health_status()["monitoring_active"] is True
        await tracker.stop_monitoring()
        assert tracker.get_health_status()["monitoring_active"] is False

    run(life())


def test_only_a_state_is_a_state(core: ExecutionTracker, run: Callable[..., object]) -> None:
    """A dict set as a record's state is refused and changes nothing."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        record = tracker.get_execution(await _begun(tracker))
        assert record is not None
        with pytest.raises(StateTypeError):
            record.state = {"success": False, "completed": True}  # type: ignore[assignment]
        assert record.state is ExecutionState.RUNNING

    run(life())


def test_warnings_name_the_replacement(core: ExecutionTracker, run: Callable[..., object]) -> None:
    """A call warns at its caller's line, and the warning names what to call instead."""

    async def life() -> None:
        with pytest.warns(DeprecationWarning, match=r"use runstate\.ExecutionTracker\.create") as caught:
            await legacy.ExecutionTracker().register_execution("airline")
        assert caught[0].filename == __file__

    run(life())
