"""Limits: who dies of what, when, and with which evidence. Time moves by hand; only the last test waits for real."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from runstate import (
    Cause,
    Execution,
    ExecutionState,
    ExecutionTimeoutError,
    ExecutionTracker,
    FencedError,
    JournalError,
    JournalFullError,
    JournalUnavailableError,
    Limits,
    Phase,
)

from .clock import FakeClock
from .gated import WHO, GatedJournal, stored
from .stores import Store

LIVE: dict[ExecutionState, Callable[[Execution[Any]], object]] = {
    ExecutionState.PENDING: lambda run: None,
    ExecutionState.STARTING: lambda run: run.start(),
    ExecutionState.RUNNING: lambda run: run.run(),
    ExecutionState.COMPLETING: lambda run: run.run().finish(),
}


@pytest.mark.parametrize("state", LIVE, ids=lambda state: state.name)
def test_a_deadline_passes_in_every_live_state(
    store: Store, tracker: ExecutionTracker, clock: FakeClock, state: ExecutionState
) -> None:
    """At its deadline an execution in any live state is TIMEOUT, cause DEADLINE, and not one nanosecond before."""
    run = tracker.create(**WHO, timeout=25.0)
    LIVE[state](run)
    clock.advance(25.0 - 1e-9)
    assert (tracker.sweep(), run.state) == (0, state)
    clock.advance(1e-9)
    assert (tracker.sweep(), run.state) == (1, ExecutionState.TIMEOUT)
    tracker.flush()
    record = stored(store, run.execution_id)
    assert (record.state, record.cause, record.duration) == (ExecutionState.TIMEOUT, Cause.DEADLINE, 25.0)
    with pytest.raises(ExecutionTimeoutError):
        run.heartbeat()


@pytest.mark.parametrize(
    "state", [state for state in LIVE if state is not ExecutionState.PENDING], ids=lambda s: s.name
)
def test_a_heartbeat_limit_passes_in_every_begun_state(
    store: Store, tracker: ExecutionTracker, clock: FakeClock, state: ExecutionState
) -> None:
    """Once begun, an execution without a sign of life for its heartbeat limit is DEAD, cause NO_HEARTBEAT."""
    run = tracker.create(**WHO, heartbeat_timeout=10.0)
    LIVE[state](run)
    clock.advance(10.0 - 1e-9)
    assert (tracker.sweep(), run.state) == (0, state)
    clock.advance(1e-9)
    assert (tracker.sweep(), run.state) == (1, ExecutionState.DEAD)
    tracker.flush()
    record = stored(store, run.execution_id)
    assert (record.state, record.cause) == (ExecutionState.DEAD, Cause.NO_HEARTBEAT)
    with pytest.raises(FencedError):
        run.heartbeat()


def test_pending_never_dies_of_missing_beats(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """An execution waiting in a queue far beyond its heartbeat limit is alive, and its limit counts from its start."""
    run = tracker.create(**WHO, heartbeat_timeout=10.0, timeout=1e6)
    clock.advance(100_000.0)
    assert tracker.sweep() == 0
    run.start()
    clock.advance(9.9)
    assert tracker.sweep() == 0
    clock.advance(0.1)
    assert (tracker.sweep(), run.state) == (1, ExecutionState.DEAD)


def test_no_limit_asked_for_is_no_limit(store: Store, clock: FakeClock) -> None:
    """An execution that never asked for a heartbeat limit never dies, and without a default timeout never times out."""
    with ExecutionTracker(store.journal(), clock=clock, default_timeout=None) as tracker:
        run = tracker.create(**WHO).run()
        clock.advance(1e9)
        assert tracker.sweep() == 0
        run.complete()


def test_the_default_timeout_ends_everything(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """An execution that names no limit is TIMEOUT after an hour: nothing lives for ever by default."""
    run = tracker.create(**WHO).run()
    clock.advance(3_599.0)
    assert tracker.sweep() == 0
    clock.advance(1.0)
    assert (tracker.sweep(), run.state) == (1, ExecutionState.TIMEOUT)


SIGNS: dict[str, Callable[[Execution[Any], ExecutionTracker], object]] = {
    "beat": lambda run, tracker: run.heartbeat(),
    "phase": lambda run, tracker: run.phase(Phase.THINKING),
}


@pytest.mark.parametrize("sign", SIGNS)
def test_signs_of_life_postpone_death(tracker: ExecutionTracker, clock: FakeClock, sign: str) -> None:
    """Each beat or phase gives another whole heartbeat limit, counted from that sign."""
    run = tracker.create(**WHO, heartbeat_timeout=10.0).run()
    for _ in range(20):
        clock.advance(9.0)
        SIGNS[sign](run, tracker)
        assert tracker.sweep() == 0
    clock.advance(9.999)
    assert tracker.sweep() == 0
    clock.advance(0.001)
    assert tracker.sweep() == 1
    evidence = run.record.evidence
    assert evidence is not None
    assert (evidence.last_beat_age, evidence.beats) == (10.0, 20 if sign == "beat" else 0)


def test_moves_are_signs_of_life(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """A move postpones death as a beat does."""
    starting = tracker.create(**WHO, heartbeat_timeout=10.0).start()
    clock.advance(9.0)
    running = starting.run()
    clock.advance(9.0)
    running.finish()
    clock.advance(9.0)
    assert tracker.sweep() == 0
    clock.advance(1.0)
    assert tracker.sweep() == 1


def test_beats_do_not_postpone_a_deadline(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """However often it beats, an execution is TIMEOUT, not DEAD, at its deadline."""
    run = tracker.create(**WHO, timeout=25.0, heartbeat_timeout=10.0).run()
    for _ in range(4):
        clock.advance(6.0)
        run.heartbeat()
        assert tracker.sweep() == 0
    clock.advance(1.0)
    assert (tracker.sweep(), run.state) == (1, ExecutionState.TIMEOUT)


def test_of_two_passed_limits_the_earlier_one_counts(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """When a late sweep finds both limits passed, the verdict is that of the limit that passed first."""
    died = tracker.create(**WHO, timeout=25.0, heartbeat_timeout=10.0).run()
    timed_out = tracker.create(**WHO, timeout=5.0, heartbeat_timeout=10.0).run()
    clock.advance(60.0)
    assert tracker.sweep() == 2
    assert (died.state, timed_out.state) == (ExecutionState.DEAD, ExecutionState.TIMEOUT)


def test_a_sweep_returns_how_many_it_ended(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """`sweep` counts the executions it has ended, each once, and not those that had ended by themselves."""
    runs = [tracker.create(**WHO, timeout=float(seconds)).run() for seconds in range(1, 11)]
    runs[0].complete()
    clock.advance(4.0)
    assert tracker.sweep() == 3
    assert tracker.sweep() == 0
    clock.advance(100.0)
    assert tracker.sweep() == 6
    assert tracker.statistics().ended == {
        (ExecutionState.COMPLETED, Cause.RETURNED): 1,
        (ExecutionState.TIMEOUT, Cause.DEADLINE): 9,
    }


@pytest.mark.parametrize("heartbeat_timeout", [None, 3_000.0], ids=["a deadline", "a deadline and a heartbeat limit"])
def test_limits_of_what_has_ended_are_dropped(
    tracker: ExecutionTracker, clock: FakeClock, heartbeat_timeout: float | None
) -> None:
    """After 10,000 short executions with far limits no more of them are held than a pass is worth."""
    live = [tracker.create(**WHO, timeout=50_000.0).run() for _ in range(10)]
    for number in range(10_000):
        tracker.create(**WHO, timeout=40_000.0, heartbeat_timeout=heartbeat_timeout).run().complete()
        if number % 100 == 0:
            tracker.sweep()
    tracker.sweep()
    assert len(tracker._deadlines) < 5_000
    clock.advance(50_000.0)
    assert tracker.sweep() == len(live)


def test_the_wall_clock_has_no_say(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """Steps of the wall clock, a day forward or back, change no verdict, no duration and no age."""
    for step in (86_400.0, -86_400.0):
        finished = tracker.create(**WHO, timeout=25.0).run()
        dead = tracker.create(**WHO, timeout=60.0, heartbeat_timeout=10.0).run()
        late = tracker.create(**WHO, timeout=25.0).run()
        clock.step_wall(step)
        clock.advance(5.0)
        dead.heartbeat()
        assert tracker.sweep() == 0
        finished.complete()
        clock.step_wall(step)
        clock.advance(20.0)
        assert tracker.sweep() == 2
        tracker.flush()
        ended = [tracker.get(run.execution_id) for run in (finished, dead, late)]
        assert [record.duration for record in ended] == [5.0, 25.0, 25.0]
        assert [record.state.name for record in ended] == ["COMPLETED", "DEAD", "TIMEOUT"]
        assert ended[1].evidence is not None
        assert ended[1].evidence.last_beat_age == 20.0


def fill(run: Execution[Any]) -> None:
    """Enter phases until the buffer takes no more."""
    for _ in range(100):
        try:
            run.phase(Phase.THINKING)
        except JournalFullError:
            return
    pytest.fail("the buffer never filled up")


def after_trouble(tracker: ExecutionTracker, clock: FakeClock, store: Store, run: Execution[Any]) -> None:
    """What must hold once the journal works again: the verdict is there, with its own cause."""
    tracker.flush()
    clock.advance(1.0)
    tracker.sweep()
    tracker.flush()
    record = stored(store, run.execution_id)
    assert (record.state, record.cause) == (ExecutionState.TIMEOUT, Cause.DEADLINE)


def test_a_limit_that_passes_while_the_journal_fails(store: Store, clock: FakeClock) -> None:
    """A verdict that a failing journal cannot take is kept or tried again, not lost."""
    journal = GatedJournal(store.journal())
    with ExecutionTracker(journal, clock=clock) as tracker:
        run = tracker.create(**WHO, timeout=25.0).run()
        tracker.flush()
        journal.failure = JournalUnavailableError("database is locked")
        run.phase(Phase.THINKING)
        with pytest.raises(JournalError):
            tracker.flush()
        clock.advance(26.0)
        tracker.sweep()
        assert stored(store, run.execution_id).state is ExecutionState.RUNNING
        journal.failure = None
        after_trouble(tracker, clock, store, run)


def test_a_limit_that_passes_while_the_buffer_is_full(store: Store, clock: FakeClock) -> None:
    """A verdict that a full buffer cannot take is kept or tried again, not lost."""
    journal = GatedJournal(store.journal())
    with ExecutionTracker(journal, clock=clock, limits=Limits(pending_entries=3)) as tracker:
        run = tracker.create(**WHO, timeout=25.0).run()
        other = tracker.create(**WHO)
        tracker.flush()
        journal.shut()
        run.phase(Phase.THINKING)
        assert journal.reached.wait(30)
        fill(other)
        clock.advance(26.0)
        tracker.sweep()
        journal.open()
        after_trouble(tracker, clock, store, run)


def test_the_thread_enforces_a_deadline(store: Store) -> None:
    """With the machine's own clock nobody has to sweep: the watch ends what has outlived its limit by itself."""
    with ExecutionTracker(store.journal()) as tracker:
        far = tracker.create(**WHO, timeout=3_000.0).run()
        near = tracker.create(**WHO, timeout=0.05, heartbeat_timeout=2_000.0).run()
        beating = tracker.create(**WHO, heartbeat_timeout=0.05).run()
        outcomes = [tracker.wait(run.execution_id, timeout=60.0) for run in (near, beating)]
        assert [type(outcome).__name__ for outcome in outcomes] == ["TimedOut", "Died"]
        assert far.state is ExecutionState.RUNNING
        watch = [thread for thread in threading.enumerate() if thread.name == "runstate-limits"]
        assert len(watch) == 1
    assert not watch[0].is_alive()
