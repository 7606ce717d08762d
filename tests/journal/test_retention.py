"""What a journal keeps and for how long, on every store. Age is measured by the times of the entries, not by a clock."""

from __future__ import annotations

import pytest

from runstate import (
    Event,
    ExecutionState,
    ExecutionTracker,
    Limits,
    SubscriptionLaggedError,
    UnknownExecutionError,
)
from runstate._records import Selection
from runstate.journal import Journal

from ..clock import FakeClock
from ..moves import bring_to
from ..snapshots import drain
from ..stores import Store
from .entries import created, life, lives, moved, seconds_later, warned

ALL = Selection()
COMPLETED, FAILED, RUNNING = ExecutionState.COMPLETED, ExecutionState.FAILED, ExecutionState.RUNNING

LOOK = 120.0
"""Seconds between entries after which every store has looked for what is past its retention at least once."""


def kept(journal: Journal) -> set[str]:
    """The executions that the journal holds; those of its entries are the same."""
    executions = {record.execution_id for record in journal.executions(ALL, 10_000)}
    assert {event.entry.execution_id for event in events_of(journal)} == executions
    return executions


def events_of(journal: Journal) -> list[Event]:
    """Every event that the journal holds."""
    return list(journal.read(0, 100_000, ALL).events)


def test_an_ended_execution_is_kept_for_its_retention(store: Store) -> None:
    """It is there until `retention` seconds after its end, and gone afterwards, with all its entries."""
    journal = store.journal(Limits(retention=1_000.0))
    journal.append(life("x", COMPLETED))
    journal.append([created("y", at_ns=seconds_later(900))])
    assert kept(journal) == {"x", "y"}
    journal.append([created("z", at_ns=seconds_later(1_000 + LOOK))])
    assert kept(journal) == {"y", "z"}
    journal.close()


def test_warnings_go_with_their_execution(store: Store) -> None:
    """A warning is kept as long as its execution is, and goes with it."""
    journal = store.journal(Limits(retention=1_000.0))
    journal.append([created("x"), warned("x", 2), created("y"), warned("y", 2)])
    journal.append([moved("x", 3, ExecutionState.PENDING, FAILED)])
    journal.append([created("z", at_ns=seconds_later(1_000 + LOOK))])
    assert kept(journal) == {"y", "z"}
    assert [event.entry for event in events_of(journal)][:2] == [created("y"), warned("y", 2)]
    journal.close()


def test_age_counts_from_the_end(store: Store) -> None:
    """A long execution that has just ended is young, whenever it was created."""
    journal = store.journal(Limits(retention=1_000.0))
    journal.append(life("x", RUNNING))
    journal.append([moved("x", 3, RUNNING, FAILED, at_ns=seconds_later(5_000))])
    journal.append([created("y", at_ns=seconds_later(5_000 + LOOK))])
    assert kept(journal) == {"x", "y"}
    journal.close()


def test_a_live_execution_is_kept_for_ever(store: Store) -> None:
    """However old, and however many are newer, what has not ended stays, and can still move."""
    journal = store.journal(Limits(retention=1.0, retained_executions=1))
    journal.append(life("old", RUNNING))
    journal.append(lives(["a", "b", "c"], COMPLETED, at_ns=seconds_later(LOOK)))
    journal.append([created("new", at_ns=seconds_later(10_000))])
    assert kept(journal) == {"old", "new"}
    journal.append([moved("old", 3, RUNNING, COMPLETED, at_ns=seconds_later(10_000))])
    assert kept(journal) == {"old", "new"}
    journal.close()


def test_the_newest_ends_are_kept(store: Store) -> None:
    """Of more ended executions than `retained_executions` the newest ends stay."""
    journal = store.journal(Limits(retained_executions=3))
    journal.append([created(f"x{number}") for number in range(10)])
    for number in (*range(0, 10, 2), *range(1, 10, 2)):
        at_ns = seconds_later(1 + number % 2 * 100 + number)
        journal.append([moved(f"x{number}", 2, ExecutionState.PENDING, FAILED, at_ns=at_ns)])
    journal.append([created("new", at_ns=seconds_later(500))])
    assert kept(journal) == {"x5", "x7", "x9", "new"}
    journal.close()


def test_live_executions_do_not_count(store: Store) -> None:
    """`retained_executions` counts ended ones: a newer live one pushes nothing out."""
    journal = store.journal(Limits(retained_executions=1))
    journal.append(life("ended", COMPLETED))
    journal.append(lives([f"live{number}" for number in range(5)], RUNNING, at_ns=seconds_later(LOOK)))
    journal.append([created("new", at_ns=seconds_later(3 * LOOK))])
    assert "ended" in kept(journal)
    journal.close()


def test_pruning_catches_up(store: Store) -> None:
    """Thousands past their retention are gone after a few more batches, and the batch that finds them is stored."""
    journal = store.journal(Limits(retention=100.0))
    journal.append(lives([f"x{number}" for number in range(1_200)], FAILED))
    for step in range(10):
        journal.append([created(f"new{step}", at_ns=seconds_later(1_000 + step * LOOK))])
    assert kept(journal) == {f"new{step}" for step in range(10)}
    journal.close()


def test_an_ended_execution_is_looked_at_again_after_reopening(store: Store) -> None:
    """Retention goes on with what an earlier opening has stored, and positions do too."""
    journal = store.journal(Limits(retention=1_000.0))
    journal.append(life("x", COMPLETED))
    last = journal.read(0, 100, ALL).up_to
    journal.close()
    journal = store.journal(Limits(retention=1_000.0))
    journal.append([created("y", at_ns=seconds_later(1_000 + LOOK))])
    assert kept(journal) == {"y"}
    (event,) = events_of(journal)
    assert event.position > last
    journal.close()


def test_a_reader_that_was_overtaken_is_told(store: Store) -> None:
    """Who would read on where events have been pruned gets SubscriptionLaggedError with the facts; from 0 reading goes on."""
    journal = store.journal(Limits(retention=100.0))
    journal.append([*life("x", COMPLETED), *life("y", FAILED)])
    positions = [event.position for event in events_of(journal)]
    journal.append([created("z", at_ns=seconds_later(1_000))])
    for after in positions[:-1]:
        with pytest.raises(SubscriptionLaggedError) as caught:
            journal.read(after, 10, ALL)
        assert (caught.value.position, caught.value.pruned) == (after, positions[-1])
    for after in (0, positions[-1]):
        page = journal.read(after, 10, ALL)
        assert [event.entry.execution_id for event in page.events] == ["z"]
        assert page.up_to == page.events[-1].position
    journal.close()


def test_pruned_to_nothing_is_no_lag_for_who_has_read_all(store: Store) -> None:
    """A reader at the head stays at the head when everything before it is pruned."""
    journal = store.journal(Limits(retention=100.0))
    journal.append(life("x", FAILED))
    head = journal.read(0, 10, ALL).up_to
    journal.append(life("y", FAILED, at_ns=seconds_later(1_000)))
    journal.append([created("z", at_ns=seconds_later(3_000))])
    page = journal.read(0, 10, ALL)
    assert [event.entry.execution_id for event in page.events] == ["z"]
    assert page.up_to > head
    assert journal.read(page.up_to, 10, ALL) == ([], page.up_to)
    journal.close()


def test_what_is_pruned_is_unknown_and_the_rest_unharmed(store: Store, clock: FakeClock) -> None:
    """Through the tracker: a pruned execution is unknown, a new one is found, and a new subscription sees what is kept."""
    limits = Limits(retention=1_000.0)
    with ExecutionTracker(store.journal(limits), clock=clock, limits=limits) as tracker:
        old = bring_to(tracker, COMPLETED)
        tracker.flush()
        clock.advance(1_000 + LOOK)
        new = bring_to(tracker, COMPLETED)
        tracker.flush()
        for look in (tracker.get, tracker.history, tracker.timeline, tracker.handle):
            with pytest.raises(UnknownExecutionError, match="retention"):
                look(old.execution_id)
        assert old.record.result == {"text": "done"}, "the handle itself still knows"
        assert [record.execution_id for record in tracker.find()] == [new.execution_id]
        with tracker.subscribe() as subscription:
            assert {event.entry.execution_id for event in drain(subscription)} == {new.execution_id}
        with tracker.subscribe(after=1) as subscription, pytest.raises(SubscriptionLaggedError):
            subscription.get(timeout=1)
