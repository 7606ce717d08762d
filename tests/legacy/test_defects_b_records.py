"""One test for each defect that the old `agent_execution_tracker` (B) is known for: its records, clean-up and threads."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

import runstate
import runstate.legacy
from runstate import ExecutionState, ExecutionTracker
from runstate.legacy import agent_execution_tracker as legacy
from runstate.legacy._life import Life
from runstate.legacy.agent_execution_tracker import AgentExecutionPhase as Phase
from runstate.legacy.agent_execution_tracker import AgentExecutionTracker

from ..clock import FakeClock
from .b import Pass, Run, made

pytestmark = pytest.mark.filterwarnings("ignore:.*is a legacy name:DeprecationWarning")


@pytest.fixture
def impatient() -> Iterator[None]:
    """Threads that take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_phase_times_were_booked_on_the_next_phase(tracker: AgentExecutionTracker, clock: FakeClock, run: Run) -> None:
    """B:688-695: 50 ms of thinking appeared under completing; they are thinking's."""

    async def life() -> None:
        execution_id, record = made(tracker)
        await tracker.transition_state(execution_id, Phase.THINKING)
        clock.advance(0.05)
        await tracker.transition_state(execution_id, Phase.COMPLETING)
        clock.advance(0.02)
        assert record.get_phase_duration_ms(Phase.THINKING) == 50
        assert record.get_phase_duration_ms(Phase.COMPLETING) == 20 == record.get_current_phase_duration_ms()

    run(life())


def test_the_total_duration_grew_after_the_end(tracker: AgentExecutionTracker, clock: FakeClock) -> None:
    """B:190: get_total_duration_ms went on counting after the end; it stands still."""
    execution_id, record = made(tracker)
    clock.advance(2)
    tracker.update_execution_state(execution_id, ExecutionState.COMPLETED)
    clock.advance(60)
    assert record.get_total_duration_ms() == 2_000
    assert record.duration == timedelta(seconds=2)


def test_ids_could_collide(tracker: AgentExecutionTracker) -> None:
    """B:310, 336: a counter that was always 1 and 32 random bits named a live record; each id is new, of 128 bits."""
    ids = {made(tracker)[0] for _ in range(500)}
    assert len(ids) == 500
    assert {len(execution_id) for execution_id in ids} == {len("exec_") + 32}


def test_only_the_monitor_cleaned_up(core: ExecutionTracker, tracker: AgentExecutionTracker) -> None:
    """B:532: a private tracker, whose monitor never ran, kept everything; what facades keep is bounded by itself."""
    for _ in range(300):
        tracker.update_execution_state(made(tracker)[0], ExecutionState.COMPLETED)
    from runstate.legacy._shared import shared

    assert len(shared().book.recent()) == 256
    assert len(tracker.get_executions_by_agent("airline")) == 300  # the journal keeps what its retention says


def test_indexes_kept_their_keys(tracker: AgentExecutionTracker) -> None:
    """B:556-557: a thread's key stayed in the index after its executions were cleaned up; there is no index to grow."""
    for number in range(100):
        execution_id = tracker.create_execution("airline", f"t-{number}", "u-1")
        tracker.update_execution_state(execution_id, ExecutionState.COMPLETED)
        assert tracker.cleanup_state(execution_id)
        assert tracker.get_executions_by_thread(f"t-{number}") == []
    sizes = {name: len(value) for name, value in vars(tracker).items() if isinstance(value, dict | list | set)}
    assert sizes == {}


def test_the_history_of_phases_was_unbounded(tracker: AgentExecutionTracker, run: Run) -> None:
    """B: phase_history grew with every phase; the newest thousand are kept."""

    async def life() -> None:
        execution_id, record = made(tracker)
        for _ in range(600):
            await tracker.transition_state(execution_id, Phase.THINKING)
            await tracker.transition_state(execution_id, Phase.LLM_INTERACTION)
        assert len(record.phase_history) == 1_000

    run(life())


def test_a_sweep_looked_at_every_execution(
    tracker: AgentExecutionTracker, pass_time: Pass, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B:468, 549: each sweep went through all there was; it looks only at what has come due."""
    late, _ = made(tracker, timeout_seconds=5)
    for _ in range(500):
        made(tracker, timeout_seconds=60)
    looked_at: list[str] = []
    due_ns = Life.due_ns

    def count(life: Life) -> int:
        looked_at.append(life.execution_id)
        return due_ns(life)

    monkeypatch.setattr(Life, "due_ns", count)
    assert pass_time(5) == 1
    assert set(looked_at) == {late.removeprefix("exec_")}


def test_two_threads_could_both_end_an_execution(tracker: AgentExecutionTracker, impatient: None) -> None:
    """B: in 5 of 3000 races two threads both won a terminal transition; one wins, the other is refused."""
    states = [ExecutionState.COMPLETED, ExecutionState.FAILED]
    for _ in range(300):
        execution_id, record = made(tracker)
        won: list[ExecutionState] = []
        barrier = threading.Barrier(2)

        def end(state: ExecutionState) -> None:
            barrier.wait()  # noqa: B023 - joined before the next turn
            if tracker.update_execution_state(execution_id, state):  # noqa: B023
                won.append(state)  # noqa: B023

        threads = [threading.Thread(target=end, args=(state,)) for state in states]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert won == [record.state]


def test_a_sweep_beside_a_busy_thread_failed(tracker: AgentExecutionTracker, pass_time: Pass, impatient: None) -> None:
    """B: 300 sweeps beside one busy thread raised 587 times "changed size during iteration"; none does."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            tracker.update_execution_state(made(tracker)[0], ExecutionState.COMPLETED)

    busy = threading.Thread(target=work)
    busy.start()
    try:
        for _ in range(300):
            tracker.detect_dead_executions()
            tracker.get_active_executions()
            runstate.legacy.sweep()
    finally:
        stop.set()
        busy.join()


def test_the_singleton_could_be_made_twice(
    core: ExecutionTracker, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    """B:1135: two threads could each get a global tracker of their own; they get the same."""
    monkeypatch.setattr(legacy, "_singleton", [])
    got: list[AgentExecutionTracker] = []
    barrier = threading.Barrier(8)

    def get() -> None:
        barrier.wait()
        got.append(legacy.get_execution_tracker())

    threads = [threading.Thread(target=get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    assert len({id(tracker) for tracker in got}) == 1
