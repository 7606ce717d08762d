"""What the facades share: limits that are enforced by themselves, callbacks, and calls that name their replacement."""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
import threading
import warnings

import pytest

import runstate
import runstate.legacy
from runstate import Cause, ExecutionState, ExecutionTracker, Phase
from runstate.legacy import agent_execution_tracker as b
from runstate.legacy import execution_tracker as a
from runstate.legacy._callbacks import Callbacks
from runstate.legacy._life import Life
from runstate.legacy._shared import shared

from ..clock import FakeClock
from .b import Pass, Run

pytestmark = pytest.mark.filterwarnings("ignore:.*is a legacy name:DeprecationWarning")


def test_limits_pass_by_themselves(run: Run) -> None:
    """Under the real clock nobody has to look: a limit that was moved closer ends the execution and calls back."""

    async def life() -> None:
        tracker, heard = b.AgentExecutionTracker(), asyncio.Event()
        tracker.register_timeout_callback(lambda _: heard.set())
        execution_id = tracker.create_execution("airline", "t-1", "u-1", timeout_seconds=3_000)
        assert tracker.set_timeout(execution_id, b.TimeoutConfig(agent_execution_timeout=0.02))
        async with asyncio.timeout(60):
            await heard.wait()
        assert tracker.get_execution_state(execution_id) is ExecutionState.TIMEOUT

    with runstate.open("memory:") as core:
        runstate.legacy.use(core)
        run(life())
        runstate.legacy.use(None)


def test_the_core_stands_behind(core: ExecutionTracker, clock: FakeClock) -> None:
    """Also without the facades' own watch an execution ends: the core's limit is a day."""
    tracker = b.AgentExecutionTracker()
    record = tracker.get_execution(tracker.create_execution("airline", "t-1", "u-1"))
    assert record is not None
    clock.advance(86_400)
    assert core.sweep() == 1
    assert record.state is ExecutionState.TIMEOUT


def test_a_death_seen_by_others_is_told(core: ExecutionTracker, pass_time: Pass) -> None:
    """When somebody else buries an execution, the callbacks hear of it when its limit would have passed, once."""
    tracker, heard = b.AgentExecutionTracker(), list[ExecutionState]()
    tracker.register_death_callback(lambda record: heard.append(record.state))
    execution_id = tracker.create_execution("airline", "t-1", "u-1")
    evidence = runstate.Evidence("another worker", 3, 7.5)
    pass_time(10)
    core.update_execution_state(
        execution_id.removeprefix("exec_"), ExecutionState.DEAD, cause=Cause.PROCESS_EXITED, evidence=evidence
    )
    pass_time(5)
    pass_time(15)
    assert heard == [ExecutionState.DEAD]
    record = tracker.get_execution(execution_id)
    assert record is not None
    assert record.time_since_heartbeat.total_seconds() == 7.5
    assert record.last_heartbeat - record.started_at == dt.timedelta(seconds=2.5)


def test_moves_elsewhere_are_signs_of_life(core: ExecutionTracker, pass_time: Pass) -> None:
    """Phases reported to runstate itself keep a legacy execution alive that was beating before."""
    tracker = b.AgentExecutionTracker()
    execution_id = tracker.create_execution("airline", "t-1", "u-1", timeout_seconds=100)
    tracker.start_execution(execution_id)
    tracker.heartbeat(execution_id)
    tracker.heartbeat(execution_id)
    handle = core.handle(execution_id.removeprefix("exec_")).expect(ExecutionState.RUNNING)
    for _ in range(5):
        assert pass_time(8) == 0
        handle.phase(Phase.THINKING)
    assert pass_time(10) == 1
    assert handle.state is ExecutionState.DEAD


def test_beats_given_elsewhere_are_signs_of_life(core: ExecutionTracker, pass_time: Pass) -> None:
    """Heartbeats on runstate's own handle keep a legacy execution alive, count with its own, and outdate a time set by hand."""
    tracker = b.AgentExecutionTracker()
    execution_id = tracker.create_execution("airline", "t-1", "u-1", timeout_seconds=100)
    record = tracker.get_execution(execution_id)
    assert record is not None
    tracker.start_execution(execution_id)
    tracker.heartbeat(execution_id)
    tracker.heartbeat(execution_id)
    handle = core.handle(execution_id.removeprefix("exec_")).expect(ExecutionState.RUNNING)
    for _ in range(4):
        assert pass_time(8) == 0
        handle.heartbeat()
    assert record.heartbeat_count == 6
    record.last_heartbeat -= dt.timedelta(seconds=9)
    assert record.time_since_heartbeat.total_seconds() == 9
    pass_time(0.5)
    handle.heartbeat()
    assert record.time_since_heartbeat.total_seconds() == 0
    record.heartbeat_count = 2
    handle.heartbeat()
    assert record.heartbeat_count == 3
    assert pass_time(10) == 1
    assert handle.state is ExecutionState.DEAD


def test_beats_before_the_start_are_a_promise_too(tracker: b.AgentExecutionTracker, pass_time: Pass) -> None:
    """An execution that has beaten while it was queued is watched for silence from its start, not only from its next beat."""
    execution_id = tracker.create_execution("airline", "t-1", "u-1", timeout_seconds=100)
    tracker.heartbeat(execution_id)
    tracker.heartbeat(execution_id)
    assert pass_time(20) == 0
    assert tracker.update_execution_state(execution_id, ExecutionState.RUNNING)
    assert pass_time(10) == 1
    assert tracker.get_execution_state(execution_id) is ExecutionState.DEAD


def test_an_end_that_cannot_be_recorded_is_tried_again(
    core: ExecutionTracker, pass_time: Pass, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A journal that refuses the end is logged, and the next look a second later ends the execution."""
    tracker = b.AgentExecutionTracker()
    record = tracker.get_execution(tracker.create_execution("airline", "t-1", "u-1"))
    assert record is not None

    def refuse(*args: object, **kwargs: object) -> None:
        raise runstate.JournalUnavailableError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(ExecutionTracker, "update_execution_state", refuse)
        assert pass_time(15) == 0
    assert "the disk is full" in caplog.text
    assert pass_time(1) == 1
    assert record.state is ExecutionState.TIMEOUT


def test_a_sign_of_life_in_the_last_moment(
    tracker: b.AgentExecutionTracker, pass_time: Pass, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An execution that beats after the watch has picked it up, and before it is judged, lives on."""
    execution_id = tracker.create_execution("airline", "t-1", "u-1", timeout_seconds=60)
    tracker.start_execution(execution_id)
    tracker.heartbeat(execution_id)
    tracker.heartbeat(execution_id)
    judge = Life.due_ns

    def beat_first(life: Life) -> int:
        due_ns = judge(life)
        monkeypatch.setattr(Life, "due_ns", judge)
        tracker.heartbeat(execution_id)
        return due_ns

    monkeypatch.setattr(Life, "due_ns", beat_first)
    assert pass_time(11) == 0
    assert tracker.get_execution_state(execution_id) is ExecutionState.RUNNING
    assert pass_time(11) == 1


def test_an_error_in_one_judgement_keeps_the_others(
    tracker: b.AgentExecutionTracker, pass_time: Pass, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When something unforeseen happens at one execution's end, the others end, and that one at the next look."""
    ids = [tracker.create_execution("airline", "t-1", "u-1") for _ in range(3)]
    seen: list[Life] = []
    silent = Life.silent

    def fail_once(life: Life) -> float:
        seen.append(life)
        if len(seen) == 1:
            raise MemoryError
        return silent(life)

    with monkeypatch.context() as broken:
        broken.setattr(Life, "silent", fail_once)
        with pytest.raises(ExceptionGroup, match="limits could not be enforced"):
            pass_time(15)
    assert [tracker.get_execution_state(one) for one in ids].count(ExecutionState.TIMEOUT) == 2
    assert pass_time(1) == 1


def test_the_watch_forgets_what_has_ended(core: ExecutionTracker, pass_time: Pass) -> None:
    """Places of ended executions are dropped in one pass once they are the most, long before their limits."""
    tracker = b.AgentExecutionTracker()
    for _ in range(1_100):
        tracker.update_execution_state(
            tracker.create_execution("airline", "t-1", "u-1", timeout_seconds=3_000), ExecutionState.COMPLETED
        )
    shared().watch.sweep()
    assert len(shared().watch) == 0


def test_each_calling_line_is_warned_once(core: ExecutionTracker) -> None:
    """Under Python's own filter a loop around a legacy call warns once, at its line."""
    tracker = b.AgentExecutionTracker()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            tracker.get_metrics()
    assert [str(one.message).rpartition("use ")[2] for one in caught] == ["runstate.ExecutionTracker.statistics()"]
    assert caught[0].filename == __file__


@pytest.mark.parametrize("facade", [a.ExecutionTracker, b.AgentExecutionTracker, a, b], ids=["A", "B", "a", "b"])
def test_every_call_names_its_replacement(facade: object) -> None:
    """No public function or method of a facade is left without its warning."""
    names = getattr(facade, "__all__", [name for name in dir(facade) if not name.startswith("_")])
    functions = [member for name in names if inspect.isfunction(member := getattr(facade, name))]
    assert len(functions) > 1
    assert [function.__qualname__ for function in functions if not hasattr(function, "__wrapped__")] == []


def test_callbacks_run_on_their_own_loop() -> None:
    """A callback is called on the loop that it was registered on, whichever thread delivers."""
    callbacks = Callbacks("tests")

    async def life() -> None:
        threads: list[int] = []

        async def note() -> None:
            threads.append(threading.get_ident())

        callbacks.add(note)
        await asyncio.to_thread(callbacks.deliver)
        await runstate.legacy.drain()
        assert threads == [threading.get_ident()]

    asyncio.run(life())


def test_only_what_can_be_called_is_a_callback() -> None:
    """What cannot be called is refused when it is registered, not when somebody has died."""
    with pytest.raises(TypeError, match="must be callable"):
        Callbacks("tests").add("on_death")  # type: ignore[arg-type]


def test_partial_functions_are_callbacks() -> None:
    """A `functools.partial`, which has no name, is a callback like any other, and can be taken back."""
    import functools

    heard: list[tuple[str, int]] = []
    callbacks = Callbacks("tests")
    take_back = callbacks.add(functools.partial(lambda name, number: heard.append((name, number)), "p"))
    assert callbacks.deliver(1) == []
    take_back()
    assert callbacks.deliver(2) == []
    assert heard == [("p", 1)]
