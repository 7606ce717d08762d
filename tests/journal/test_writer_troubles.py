"""The writer in trouble, driven through the tracker: a failing store, and another writer that was first."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from runstate import (
    ExecutionState,
    ExecutionTracker,
    FencedError,
    JournalError,
    JournalUnavailableError,
    Phase,
)

from ..moves import create
from .doubles import PATIENCE, SwitchableJournal, held_up, in_threads
from .entries import moved

FAILURES: dict[str, Exception] = {
    "unavailable": JournalUnavailableError("database is locked"),
    "of the store": JournalError("the store said no"),
    "foreign": OSError(28, "No space left on device"),
}


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, what caused it, what caused that, and so on."""
    while error is not None:
        yield error
        error = error.__cause__


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_a_failure_is_raised_everywhere_and_loses_nothing(
    tracker: ExecutionTracker, switchable: SwitchableJournal, failure: Exception
) -> None:
    """A failed write is raised by flush and by every later creation, move and phase; once it is over, all is stored once."""
    running = create(tracker).run()
    tracker.flush()
    switchable.failure = failure
    running.phase(Phase.THINKING, "kept")
    for _ in range(2):
        with pytest.raises(JournalError) as caught:
            tracker.flush()
        assert failure in causes(caught.value)
    with pytest.raises(JournalError):
        asyncio.run(tracker.aflush())
    record = running.record
    for call in (lambda: create(tracker), running.finish, lambda: running.phase(Phase.LLM_INTERACTION)):
        with pytest.raises(JournalError) as caught:
            call()
        assert str(failure.args[-1]) in str(caught.value)
        assert running.record == record
    statistics = tracker.statistics()
    assert str(failure.args[-1]) in (statistics.journal_failure or "")
    assert (statistics.created, statistics.pending) == (1, 1)
    switchable.failure = None
    tracker.flush()
    assert tracker.statistics().journal_failure is None
    running.finish().complete()
    tracker.flush()
    assert [entry.seq for entry in switchable.entries()] == [1, 2, 3, 4, 5]


def test_the_writer_recovers_by_itself(tracker: ExecutionTracker, switchable: SwitchableJournal) -> None:
    """When the store works again, what was kept is written without anybody asking for it."""
    switchable.failure = JournalUnavailableError("locked")
    switchable.hold()  # else the writer may have failed before the move is made
    running = create(tracker).run()
    switchable.open.set()
    with pytest.raises(JournalUnavailableError):
        tracker.flush()
    switchable.succeeded.clear()
    switchable.failure = None
    assert switchable.succeeded.wait(PATIENCE)
    tracker.flush()
    assert [entry.seq for entry in switchable.entries()] == [1, 2]
    assert running.finish().state is ExecutionState.COMPLETING


def test_a_failure_in_the_middle_keeps_the_order(tracker: ExecutionTracker, switchable: SwitchableJournal) -> None:
    """What was decided while a write was failing comes after what was in that write."""
    switchable.failure = JournalUnavailableError("locked")
    switchable.hold()
    running = create(tracker)
    assert switchable.arrived.wait(PATIENCE)
    running = running.start().run()
    switchable.open.set()
    with pytest.raises(JournalUnavailableError):
        tracker.flush()
    switchable.failure = None
    tracker.flush()
    assert [entry.seq for entry in switchable.entries()] == [1, 2, 3]


def test_every_waiter_of_a_failed_write_is_told(tracker: ExecutionTracker, switchable: SwitchableJournal) -> None:
    """Threads and tasks that wait for one failing batch each get an error of their own."""
    held_up(switchable, tracker)
    told: list[JournalError] = []

    def wait(place: int) -> None:
        create(tracker)
        try:
            tracker.flush()
        except JournalError as error:
            told.append(error)

    switchable.failure = JournalUnavailableError("locked")
    releasing = threading.Timer(0.05, switchable.open.set)
    releasing.start()
    try:
        in_threads(6, lambda place: _accepting(JournalUnavailableError, lambda: wait(place)))
    finally:
        releasing.join()
    assert told
    assert all(type(error) is JournalUnavailableError for error in told)
    assert len({id(error) for error in told}) == len(told)


def _accepting(expected: type[Exception], call: Callable[[], None]) -> None:
    try:
        call()
    except expected:
        return


def test_a_conflict_costs_only_its_own_execution(tracker: ExecutionTracker, switchable: SwitchableJournal) -> None:
    """When another writer was first, that execution is lost here and says so; everybody else's entries are stored."""
    lost, kept = create(tracker, agent="lost").run(), create(tracker, agent="kept").run()
    tracker.flush()
    thief = moved(
        lost.execution_id, 3, ExecutionState.RUNNING, ExecutionState.DEAD, incarnation=lost.record.incarnation
    )
    switchable.stored.append([thief])
    kept.phase(Phase.THINKING)
    lost.phase(Phase.THINKING)
    lost.finish()
    kept = kept.finish()
    with pytest.raises(FencedError) as caught:
        tracker.flush()
    assert caught.value.execution_id == lost.execution_id
    for call in (lost.heartbeat, lambda: lost.phase(Phase.THINKING), lost.complete):
        with pytest.raises(FencedError) as caught:
            call()
        assert caught.value.execution_id == lost.execution_id
    tracker.flush()
    kept.complete("still")
    tracker.flush()
    assert tracker.get(lost.execution_id).state is ExecutionState.DEAD
    assert tracker.get(kept.execution_id).result == "still"
    assert [entry.seq for entry in switchable.entries() if entry.execution_id == kept.execution_id] == [1, 2, 3, 4, 5]
    statistics = tracker.statistics()
    assert (statistics.rejected, statistics.live, statistics.pending) == (1, 0, 0)
    assert statistics.journal_failure is None
