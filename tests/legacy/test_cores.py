"""The core behind the facades: bounded where nobody has opened one, and found again where it was set aside."""

from __future__ import annotations

import pytest

import runstate
import runstate.legacy
from runstate import ExecutionState, ExecutionTracker, StateTypeError
from runstate.journal.memory import MemoryJournal
from runstate.legacy import agent_execution_tracker as b
from runstate.legacy import execution_tracker as a
from runstate.legacy import execution_tracking as c
from runstate.legacy._shared import _place, shared

from ..clock import FakeClock
from .b import Pass, Run, made
from .c import registered, start

pytestmark = pytest.mark.filterwarnings("ignore:.*is a legacy name:DeprecationWarning")


def test_the_default_core_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 30,000 executions without `use`, the tracker in memory keeps 10,000, and the book of the facades its newest."""
    monkeypatch.delenv("RUNSTATE_LEGACY_JOURNAL", raising=False)
    runstate.legacy.use(None)
    tracker = b.AgentExecutionTracker()
    for number in range(30_000):
        tracker.complete_execution(tracker.create_execution("airline", "t-1", "u-1"), number)
    kept = tracker.get_executions_by_thread("t-1")
    assert 9_000 < len(kept) <= 10_000
    assert kept[-1].result == 29_999
    assert len(c.ExecutionRegistry()) <= 256
    assert tracker.get_metrics()["total_executions"] == 30_000
    runstate.legacy.use(None)


def test_limits_outlast_another_core(core: ExecutionTracker, clock: FakeClock, pass_time: Pass) -> None:
    """Executions of a core that is set aside keep their limits: they end by them there, and after it is taken up again."""
    tracker = b.AgentExecutionTracker()
    (_, early), (late_id, late) = made(tracker, 10), made(tracker, 20)
    with ExecutionTracker(MemoryJournal(), clock=clock) as another:
        runstate.legacy.use(another, clock=clock)
        assert tracker.get_execution(late_id) is None
        assert pass_time(10) == 1
        assert early.state is ExecutionState.TIMEOUT
        runstate.legacy.use(None)
        runstate.legacy.use(core, clock=clock, strict=True)
        assert tracker.get_execution(late_id) is late
        assert (late.timeout_seconds, shared().strict) == (20, True)
        assert pass_time(10) == 1
    assert late.state is ExecutionState.TIMEOUT


def test_a_core_set_aside_watches_by_itself(run: Run) -> None:
    """Under the real clock the limits of a core that is set aside pass by themselves; after the last it is let go."""
    with runstate.open("memory:") as core:
        runstate.legacy.use(core)
        execution_id, record = made(b.AgentExecutionTracker(), 0.05)
        runstate.legacy.use(None)
        core.wait(execution_id.removeprefix("exec_"), timeout=60)
        assert record.state is ExecutionState.TIMEOUT
    runstate.legacy.use(None)
    assert _place.aside == []


def test_a_monitor_finds_what_it_followed(core: ExecutionTracker, clock: FakeClock, pass_time: Pass, run: Run) -> None:
    """A monitor follows again what it followed when its core is taken up again, and hears of deaths in between."""

    async def life() -> None:
        of_c, heard = c.ExecutionTracker(), list[str]()
        of_c.heartbeat_monitor.add_failure_callback(lambda key, _: heard.append(key))
        execution_id = await start(of_c, agent_name="data")
        with ExecutionTracker(MemoryJournal(), clock=clock) as another:
            runstate.legacy.use(another, clock=clock)
            assert len(of_c.heartbeat_monitor) == 0
            runstate.legacy.use(core, clock=clock)
            assert len(of_c.heartbeat_monitor) == 1
            runstate.legacy.use(another, clock=clock)
            assert pass_time(30) == 1
            await runstate.legacy.drain()
            runstate.legacy.use(None)
        assert heard == [execution_id]

    run(life())


def test_a_wrong_state_is_told_what_it_stands_for(core: ExecutionTracker, run: Run) -> None:
    """A text names the member that it stands for, by C's names too; a dict is told where its parts belong, by its caller's name."""
    tracker = b.AgentExecutionTracker()
    execution_id, _ = made(tracker)
    for given, told in {"completed": "COMPLETED", "SUCCESS": "COMPLETED", "aborted": "CANCELLED"}.items():
        with pytest.raises(StateTypeError, match=rf"pass runstate\.ExecutionState\.{told}$"):
            tracker.update_execution_state(execution_id, given)  # type: ignore[arg-type]
    with pytest.raises(StateTypeError, match=r"a member of runstate\.ExecutionState: PENDING, "):
        tracker.update_execution_state(execution_id, "done")  # type: ignore[arg-type]
    for known in (execution_id, "exec_unknown"):
        with pytest.raises(
            StateTypeError,
            match=r"^AgentExecutionTracker\.update_execution_state\(\): .*and the rest as error= and result=$",
        ):
            tracker.update_execution_state(known, {"success": True})  # type: ignore[arg-type]

    async def of_c() -> None:
        with pytest.raises(StateTypeError, match=r"new_state must be .*and the rest in metadata="):
            await c.ExecutionRegistry().update_execution_state(await registered(), {"success": True})  # type: ignore[arg-type]

    run(of_c())


def test_a_wrong_argument_is_named_as_its_caller_wrote_it(core: ExecutionTracker, run: Run) -> None:
    """No private name is told: the method and the parameter are the facade's."""
    with pytest.raises(
        StateTypeError, match=r"^AgentExecutionTracker\.create_execution\(\): thread_id must be str, not"
    ):
        b.AgentExecutionTracker().create_execution("a", None, "u")  # type: ignore[arg-type]
    with pytest.raises(runstate.InvalidValueError, match=r"^agent_name must be a text that is not empty"):
        b.AgentExecutionTracker().create_execution("", "t", "u")

    async def of_a() -> None:
        with pytest.raises(StateTypeError, match=r"^ExecutionTracker\.register_execution\(\): agent_name must be str"):
            await a.ExecutionTracker().register_execution(None)  # type: ignore[arg-type]

    run(of_a())


def test_the_module_of_c_says_what_it_cannot_keep() -> None:
    """That a state equals no text is said where one looks, with the remedy."""
    assert '`record.state == "SUCCESS"` is False' in (c.__doc__ or "")
    assert "runstate audit" in (c.__doc__ or "")
