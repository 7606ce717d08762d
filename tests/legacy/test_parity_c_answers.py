"""Facade C: its answers, and what its records show."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

import runstate.legacy
from runstate import ExecutionState, ExecutionTracker, InvalidTransitionError, StateTypeError
from runstate.legacy import agent_execution_tracker as b
from runstate.legacy import execution_tracker as a
from runstate.legacy import execution_tracking as legacy

from .b import Pass, Run
from .c import context, record_of, registered, result, start

pytestmark = pytest.mark.filterwarnings("ignore:.*is a legacy name:DeprecationWarning")

UNKNOWN = f"airline_r-1_1700000000000_{'0' * 32}"


def test_ids_and_records(core: ExecutionTracker, run: Run) -> None:
    """The id names agent, run and time; the record has its fields, and every one of them can be read."""

    async def life() -> None:
        of_c = legacy.ExecutionRegistry()
        record = await of_c.register_execution("r-1", "airline", {"thread_id": "t-1", "user_id": "u-1", "tier": "free"})
        agent, run_id, milliseconds, digits = record.execution_id.split("_")
        assert (agent, run_id, len(digits)) == ("airline", "r-1", 32)
        assert datetime.fromtimestamp(int(milliseconds) / 1_000, UTC) == record.created_at
        assert await of_c.get_execution(record.execution_id) is record
        assert isinstance(record, legacy.ExecutionRecord)
        assert record.model_dump() == {
            "execution_id": record.execution_id, "run_id": "r-1", "agent_name": "airline", "state": ExecutionState.PENDING,
            "created_at": record.created_at, "updated_at": record.created_at, "timeout_at": None, "heartbeat_at": None,
            "context": {"thread_id": "t-1", "user_id": "u-1", "tier": "free"}, "progress": None, "error": None,
            "retry_count": 0, "recovery_actions": [],
        }  # fmt: skip
        assert len(of_c) == 1
        core_record = core.get(digits)
        assert (core_record.agent, core_record.thread_id, core_record.user_id) == ("airline", "t-1", "u-1")

    run(life())


def test_empty_names_are_value_errors(core: ExecutionTracker, run: Run) -> None:
    """An execution without a run or an agent is refused as it was."""

    async def life() -> None:
        for run_id, agent in (("", "airline"), ("r-1", ""), (" ", "airline")):
            with pytest.raises(ValueError, match="not empty"):
                await legacy.ExecutionRegistry().register_execution(run_id, agent)

    run(life())


def test_a_live_record_follows_its_execution(core: ExecutionTracker, run: Run) -> None:
    """Dumped, compared, copied and nested, a live record shows what is; a copy stays what it was."""

    async def life() -> None:
        of_c = legacy.ExecutionTracker()
        execution_id = await start(of_c)
        record, status = await record_of(execution_id), await of_c.get_execution_status(execution_id)
        assert status is not None
        copies = [copy.copy(record), copy.deepcopy(record), record.model_copy(), pickle.loads(pickle.dumps(record))]
        assert all(one == record == one for one in copies)
        assert record.model_copy(update={"error": "x"}).error == "x"
        await of_c.handle_execution_failure(execution_id, RuntimeError("no seat"))
        assert [one.state for one in copies] == [ExecutionState.STARTING] * 4
        assert all(one != record != one for one in copies)
        for dumped in (record.model_dump(), status.model_dump()["execution_record"], dict(record)):
            assert (dumped["state"], dumped["error"]) == (ExecutionState.FAILED, "no seat")
        assert json.loads(record.model_dump_json())["state"] == "failed"
        assert json.loads(status.model_dump_json())["execution_record"]["error"] == "no seat"
        assert "FAILED" in repr(record)

    run(life())


def test_a_record_of_ones_own_is_a_value() -> None:
    """A record can still be made by hand and of stored data, its state under the old name too, and of nothing else."""
    now = datetime.now(UTC)
    fields = {"execution_id": "x", "run_id": "r", "agent_name": "a", "created_at": now, "updated_at": now}
    for state in ("SUCCESS", "completed", ExecutionState.COMPLETED):
        record = legacy.ExecutionRecord.model_validate({**fields, "state": state})
        assert record.state is ExecutionState.COMPLETED
        assert record.model_dump()["state"] is ExecutionState.COMPLETED
    assert legacy.ExecutionRecord.model_validate_json(record.model_dump_json()) == record
    with pytest.raises(ValidationError):
        legacy.ExecutionRecord.model_validate({**fields, "state": "DONE"})
    with pytest.raises(StateTypeError):
        legacy.ExecutionRecord.model_validate({**fields, "state": {"success": True}})


@pytest.mark.parametrize("wrong", [{"success": True}, "SUCCESS", "completed", 1, None, False])
def test_only_a_state_is_a_state(core: ExecutionTracker, run: Run, wrong: object) -> None:
    """A dict, a text under whichever name, or anything else is refused always, and changes nothing."""

    async def life() -> None:
        execution_id = await registered()
        with pytest.raises(StateTypeError):
            await legacy.ExecutionRegistry().update_execution_state(execution_id, wrong)  # type: ignore[arg-type]
        record = await record_of(execution_id)
        with pytest.raises(StateTypeError):
            record.state = wrong  # type: ignore[assignment]
        assert record.state is ExecutionState.PENDING

    run(life())
    assert runstate.legacy.statistics().refused == 1


def test_only_its_own_types_are_taken(core: ExecutionTracker, run: Run) -> None:
    """A dict is no context, no progress and no result."""

    async def life() -> None:
        of_c = legacy.ExecutionTracker()
        with pytest.raises(StateTypeError, match="AgentExecutionContext"):
            await of_c.start_execution("r-1", "airline", {"user_id": "u-1"})  # type: ignore[arg-type]
        execution_id = await start(of_c)
        for call in (of_c.update_execution_progress, of_c.complete_execution, of_c.handle_execution_failure):
            with pytest.raises(StateTypeError):
                await call(execution_id, {"success": False, "completed": True})  # type: ignore[operator]
        assert (await record_of(execution_id)).state is ExecutionState.STARTING

    run(life())


@pytest.mark.parametrize("state", list(ExecutionState))
def test_every_state_can_be_reached_from_pending(core: ExecutionTracker, run: Run, state: ExecutionState) -> None:
    """A fresh execution gets to any state in one call, and the state that it has is taken again."""

    async def life() -> None:
        execution_id = await registered()
        for _ in range(2):
            assert await legacy.ExecutionRegistry().update_execution_state(execution_id, state) is True
        assert (await record_of(execution_id)).state is state

    run(life())


def test_refusals(core: ExecutionTracker, run: Run) -> None:
    """An unknown id is False or None, an illegal move is a ValueError as it was, and with strict each is runstate's own."""

    async def life() -> None:
        of_c, strict = legacy.ExecutionTracker(), legacy.ExecutionTracker(strict=True)
        update = of_c.registry.update_execution_state
        monitor, limits = of_c.heartbeat_monitor, of_c.timeout_manager
        assert await update(UNKNOWN, ExecutionState.FAILED) is False
        assert await of_c.registry.update_heartbeat(UNKNOWN) is False
        assert await of_c.registry.set_execution_timeout(UNKNOWN, 1) is False
        for call in (monitor.send_heartbeat, monitor.stop_monitoring, monitor.force_check_execution,
                     monitor.revive_execution, limits.clear_timeout):  # fmt: skip
            assert await call(UNKNOWN) is False
        assert await limits.extend_timeout(UNKNOWN, 1) is False
        assert await limits.bulk_clear_timeouts([UNKNOWN]) == 0
        assert await monitor.start_monitoring(UNKNOWN) is None
        assert runstate.legacy.statistics().refused == 11
        for read in (of_c.registry.get_execution, monitor.is_alive, monitor.get_heartbeat_status,
                     limits.get_remaining_time, limits.get_timeout_info, of_c.get_execution_status):  # fmt: skip
            assert await read(UNKNOWN) is None
        assert runstate.legacy.statistics().refused == 11
        info = await limits.set_timeout(UNKNOWN, 1)
        assert (info.execution_id, info.timeout_seconds, info.remaining_seconds) == (UNKNOWN, 0, 0)
        assert info.timeout_at == info.started_at
        assert info.timeout_reason is not None
        assert info.timeout_reason.startswith("refused: no execution")
        assert runstate.legacy.statistics().refused == 12
        with pytest.raises(runstate.UnknownExecutionError):
            await strict.timeout_manager.set_timeout(UNKNOWN, 1)
        with pytest.raises(runstate.UnknownExecutionError):
            await strict.heartbeat_monitor.start_monitoring(UNKNOWN)
        ended = await registered()
        assert await update(ended, ExecutionState.FAILED, {"error": ""})
        assert (await record_of(ended)).error == ""
        with pytest.raises(ValueError, match="FAILED"):
            await update(ended, ExecutionState.COMPLETED)
        assert await of_c.registry.update_heartbeat(ended) is False
        assert await of_c.registry.set_execution_timeout(ended, 1) is False
        with pytest.raises(InvalidTransitionError):
            await strict.registry.update_execution_state(ended, ExecutionState.COMPLETED)
        with pytest.raises(runstate.UnknownExecutionError):
            await strict.complete_execution(UNKNOWN, result(UNKNOWN))
        with pytest.raises(runstate.UnknownExecutionError):
            await strict.heartbeat_monitor.send_heartbeat(UNKNOWN)

    run(life())


def test_finding(core: ExecutionTracker, run: Run) -> None:
    """Executions are found by agent and run, whoever created them, as the live records they are."""

    async def life() -> None:
        of_c = legacy.ExecutionRegistry()
        first, second, other = await registered(), await registered(), await registered("r-2", "hotel")
        await of_c.update_execution_state(first, ExecutionState.CANCELLED)
        records = [await record_of(first), await record_of(second)]
        assert await of_c.get_executions_by_agent("airline") == records
        assert await of_c.get_executions_by_run_id("r-1") == records
        assert await of_c.get_active_executions() == [records[1], await record_of(other)]
        native = core.create(agent="airline", thread_id="t-1", user_id="u-1", metadata={"run_id": "r-2"})
        assert [one.execution_id[-32:] for one in await of_c.get_executions_by_run_id("r-2")] == [
            other[-32:],
            native.execution_id,
        ]

    run(life())


def test_each_facade_sees_the_others_executions(core: ExecutionTracker, run: Run) -> None:
    """What C created, A, B and runstate see and move, by their own forms of its id; and the other way."""

    async def life() -> None:
        of_a, of_b, of_c = a.ExecutionTracker(), b.AgentExecutionTracker(), legacy.ExecutionTracker()
        execution_id = await start(of_c)
        record_b = of_b.get_execution(execution_id)
        assert record_b is not None
        assert (record_b.state, record_b.metadata["run_id"]) == (ExecutionState.STARTING, "r-1")
        assert await of_a.heartbeat(execution_id) is True  # type: ignore[arg-type]
        core.handle(execution_id[-32:]).expect(ExecutionState.STARTING).run()
        record = await record_of(f"exec_{execution_id[-32:]}")
        assert record is await record_of(execution_id)
        assert record.state is ExecutionState.RUNNING
        assert of_b.complete_execution(execution_id, "LH 400")
        assert record.state is ExecutionState.COMPLETED
        from_a = await of_a.register_execution("hotel", thread_id="t-1", timeout_seconds=12.0)
        from_b = of_b.create_execution("hotel", "t-1", "u-1")
        for other, seconds in ((str(from_a), 12), (from_b, 15)):
            status = await of_c.get_execution_status(other)
            assert status is not None
            assert status.execution_record.agent_name == "hotel"
            assert status.timeout_info is not None
            assert status.timeout_info.timeout_seconds == seconds
            assert await of_c.registry.update_execution_state(other, ExecutionState.FAILED, {"error": "no room"})
        found = of_b.get_execution(from_b)
        assert found is not None
        assert (found.state, found.error) == (ExecutionState.FAILED, "no room")

    run(life())


def test_times_may_be_set_back(core: ExecutionTracker, pass_time: Pass, run: Run) -> None:
    """A time of a record that is set back has its consequences soon; what is decided cannot be set."""

    async def life() -> None:
        of_c = legacy.ExecutionTracker()
        record = await record_of(await start(of_c))
        assert record.heartbeat_at is None
        record.heartbeat_at = record.created_at - timedelta(seconds=40)
        assert record.heartbeat_at == record.created_at - timedelta(seconds=40)
        assert await of_c.heartbeat_monitor.is_alive(record.execution_id) is False
        assert await of_c.registry.get_stale_executions(30) == [record]
        assert pass_time(2) == 1
        assert record.state is ExecutionState.DEAD
        slow = await record_of(await start(of_c))
        slow.timeout_at = slow.created_at + timedelta(seconds=3)
        assert await of_c.timeout_manager.get_remaining_time(slow.execution_id) == 3
        slow.created_at -= timedelta(seconds=3)
        assert await of_c.registry.get_timed_out_executions() == [slow]
        assert pass_time(2) == 1
        assert slow.state is ExecutionState.TIMEOUT
        with pytest.raises(AttributeError, match="decided by runstate"):
            slow.error = "none"
        with pytest.raises(StateTypeError, match="time zone"):
            slow.created_at = datetime(2020, 1, 1)  # noqa: DTZ001

    run(life())


def test_what_is_said_beside_a_state_is_kept(core: ExecutionTracker, run: Run) -> None:
    """Error, recovery action, retries and anything else of a report's metadata stay; a wrong one changes nothing."""

    async def life() -> None:
        of_c, execution_id = legacy.ExecutionRegistry(), await registered()
        said = {"error": "slow", "recovery_action": "again", "retry_count": 2, "tool": "search"}
        assert await of_c.update_execution_state(execution_id, ExecutionState.RUNNING, said)
        record = await record_of(execution_id)
        assert (record.error, record.recovery_actions, record.retry_count) == ("slow", ["again"], 2)
        found = b.AgentExecutionTracker().get_execution(execution_id)
        assert found is not None
        assert found.metadata["tool"] == "search"
        with pytest.raises(StateTypeError, match="retry_count"):
            await of_c.update_execution_state(execution_id, ExecutionState.FAILED, {"retry_count": "2"})
        with pytest.raises(StateTypeError, match="metadata"):
            await of_c.update_execution_state(execution_id, ExecutionState.FAILED, ["error"])  # type: ignore[arg-type]
        assert record.state is ExecutionState.RUNNING

    run(life())


def test_a_result_is_kept_whole(core: ExecutionTracker, run: Run) -> None:
    """What an agent returns beside its answer is kept: duration and recovery actions, and the data of a failure."""

    async def life() -> None:
        of_c = legacy.ExecutionTracker()
        execution_id = await start(of_c)
        whole = result(execution_id, ["half"], success=False).model_copy(update={"recovery_actions": ["again"]})
        await of_c.complete_execution(execution_id, whole)
        record, found = await record_of(execution_id), b.AgentExecutionTracker().get_execution(execution_id)
        assert found is not None
        assert (record.recovery_actions, record.error) == (["again"], "the agent returned success=False")
        assert (found.metadata["duration_seconds"], found.result) == (1.5, ["half"])

    run(life())


def test_the_status_of_all(core: ExecutionTracker, pass_time: Pass, run: Run) -> None:
    """Status, metrics and health have their parts, and shutting down stops no execution and no limit."""

    async def life() -> None:
        of_c = legacy.ExecutionTracker()
        execution_id = await of_c.start_execution("r-1", "data", context(agent_name="data"))
        [status] = await of_c.get_all_active_executions()
        assert status == await of_c.get_execution_status(execution_id)
        assert status.heartbeat_status is not None
        assert status.heartbeat_status.is_alive
        assert (status.websocket_status, status.health_check["healthy"]) == ({"has_bridge": False}, True)
        assert (await of_c.get_tracker_metrics())["timeout_metrics"]["active_timeouts"] == 1
        assert set((await of_c.get_health_status())["components"]) == {
            "registry", "heartbeat_monitor", "timeout_manager",
        }  # fmt: skip
        await of_c.shutdown()
        for part in (of_c.registry, of_c.heartbeat_monitor, of_c.timeout_manager):
            await part.shutdown()
        assert pass_time(61) == 1
        assert (await record_of(execution_id)).state is ExecutionState.TIMEOUT

    run(life())
