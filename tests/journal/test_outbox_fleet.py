"""Claims between the workers of a fleet: nobody's who is gone, never two workers' at once, and refused to who was held for dead."""

from __future__ import annotations

import threading

import pytest

from runstate import Cause, ExecutionState, InvalidValueError, JournalUnavailableError
from runstate._burial import bury
from runstate._notices import NoticeState, Settlement, Verdict
from runstate.journal import Fleet, Outbox
from runstate.journal.postgres import PostgresJournal
from runstate.journal.sqlite import SqliteJournal

from ..clock import FakeClock
from .doubles import in_threads
from .entries import OTHER_WORKER, THIRD_WORKER, WORKER, life, lives
from .fleets import LEASE, Pair, SharedStore
from .outboxes import BOX, claimed, ended, outline, settled, states, the

EXITED = Cause.PROCESS_EXITED


def both(journal: Fleet) -> Outbox:
    """A fleet's journal as the outbox that it is."""
    assert isinstance(journal, Outbox)
    return journal


def test_an_outbox_is_the_whole_fleets(pair: Pair) -> None:
    """What one process opens, another's end is noticed in, and a third may deliver."""
    one, other = both(pair.one), both(pair.other)
    one.open_outbox(BOX)
    ended(pair.one, "x")
    assert claimed(other, OTHER_WORKER) == ["x"]
    assert claimed(one) == []
    assert settled(other, Verdict.DELIVERED, "x", worker=OTHER_WORKER) == []
    assert the(one, "x").claimed_by == OTHER_WORKER


def test_a_burial_is_noticed(pair: Pair, clock: FakeClock) -> None:
    """What a dead worker has left is noticed as DEAD, or as CANCELLED where that was asked for, in the transaction that buries it."""
    one, other = both(pair.one), both(pair.other)
    one.open_outbox(BOX)
    pair.one.append(lives(["x", "y"], ExecutionState.RUNNING))
    pair.other.request_cancel("y", "a user")
    assert len(bury(pair.other, WORKER, OTHER_WORKER, EXITED, "killed", clock)) == 2
    assert {one.notice_id: one.end for one in other.notices(None, None, None, 9)} == {
        "x": ExecutionState.DEAD,
        "y": ExecutionState.CANCELLED,
    }
    assert claimed(other, OTHER_WORKER) == ["x", "y"]


def test_the_claims_of_the_dead_are_free(pair: Pair) -> None:
    """From its fence on what a worker had claimed is anybody's, with the attempt counted, and not before."""
    one, other = both(pair.one), both(pair.other)
    one.open_outbox(BOX)
    ended(pair.one, "x", "y")
    assert claimed(one) == ["x", "y"]
    assert claimed(other, OTHER_WORKER) == []
    assert pair.other.fence(WORKER, OTHER_WORKER, EXITED)
    assert the(other, "x").claimed_by is None
    assert (
        outline(other.claim(BOX, OTHER_WORKER, 9, held=["x", "y"])) == []
    )  # a process that went on under another name
    assert outline(other.claim(BOX, OTHER_WORKER, 1)) == [("x", 2)]
    assert outline(other.claim(BOX, OTHER_WORKER, 9, held=["x"])) == [("y", 2)]


def test_the_claims_of_who_has_left_are_free(pair: Pair) -> None:
    """Leaving in good order frees what is claimed, too."""
    one, other = both(pair.one), both(pair.other)
    one.open_outbox(BOX)
    ended(pair.one, "x")
    claimed(one)
    pair.one.leave(WORKER)
    assert claimed(other, OTHER_WORKER) == ["x"]


@pytest.mark.parametrize("verdict", Verdict)
def test_who_was_held_for_dead_settles_nothing(pair: Pair, verdict: Verdict) -> None:
    """A fenced worker's word about its claims changes nothing, its acknowledgement is refused, and it can claim no more."""
    one, other = both(pair.one), both(pair.other)
    one.open_outbox(BOX)
    ended(pair.one, "x", "y")
    assert claimed(one, limit=1) == ["x"]
    pair.other.fence(WORKER, OTHER_WORKER, EXITED)
    before = other.notices(None, None, None, 9)
    assert list(settled(one, verdict, "x")) == (["x"] if verdict is Verdict.DELIVERED else [])
    with pytest.raises(InvalidValueError, match="not gone"):
        one.claim(BOX, WORKER, 9)
    assert other.notices(None, None, None, 9) == before
    assert outline(other.claim(BOX, OTHER_WORKER, 1)) == [("x", 2)]
    assert list(settled(one, verdict, "x")) == (["x"] if verdict is Verdict.DELIVERED else [])
    assert settled(other, Verdict.DELIVERED, "x", worker=OTHER_WORKER) == []


def test_what_the_dead_have_delivered_is_delivered(pair: Pair) -> None:
    """An acknowledgement that was stored before the fence stands, and says whose it was."""
    one, other = both(pair.one), both(pair.other)
    one.open_outbox(BOX)
    ended(pair.one, "x")
    claimed(one)
    settled(one, Verdict.DELIVERED, "x")
    pair.other.fence(WORKER, OTHER_WORKER, EXITED)
    assert claimed(other, OTHER_WORKER) == []
    assert (the(other, "x").state, the(other, "x").claimed_by) == (NoticeState.DELIVERED, WORKER)
    assert settled(one, Verdict.DELIVERED, "x") == []


def test_only_a_worker_can_claim(pair: Pair) -> None:
    """Who never joined has nobody who would see its end, so it claims nothing; nor does who is not known."""
    one = both(pair.one)
    one.open_outbox(BOX)
    pair.one.append(life("x", ExecutionState.COMPLETED, incarnation=THIRD_WORKER))
    for name in (THIRD_WORKER, "nobody"):
        with pytest.raises(InvalidValueError, match="joined"):
            one.claim(BOX, name, 9)
    pair.one.join(THIRD_WORKER, LEASE)
    assert claimed(one, THIRD_WORKER) == ["x"]


def test_no_two_workers_hold_one_claim(shared: SharedStore, pair: Pair) -> None:
    """Of four workers that claim and acknowledge as fast as they can, no two ever get the same notice, and all are delivered."""
    both(pair.one).open_outbox(BOX)
    names = [f"x{number}" for number in range(120)]
    ended(pair.one, *names)
    journals = [shared.journal() for _ in range(4)]
    workers = [f"worker {number}" for number in range(4)]
    got: list[str] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        journal, worker = journals[number], workers[number]
        journal.join(worker, LEASE)
        while notices := both(journal).claim(BOX, worker, 7):
            with lock:
                got.extend(notice.notice_id for notice in notices)
            said = [Settlement(notice.notice_id, Verdict.DELIVERED) for notice in notices]
            assert both(journal).settle(BOX, worker, said) == []

    in_threads(4, work)
    assert sorted(got) == sorted(names)
    assert set(states(both(pair.one)).values()) == {NoticeState.DELIVERED}
    for journal in journals:
        journal.close()


def test_who_only_reads_claims_nothing(shared: SharedStore, pair: Pair) -> None:
    """A journal that was opened read-only shows notices and outboxes, and takes no verb that changes one."""
    both(pair.one).open_outbox(BOX)
    ended(pair.one, "x")
    reader = (
        SqliteJournal(shared.place, read_only=True)
        if shared.name == "sqlite"
        else PostgresJournal(shared.place, read_only=True)
    )
    assert states(reader) == {"x": NoticeState.PENDING}
    assert [one.name for one in reader.outboxes()] == [BOX]
    for change in (
        lambda: reader.open_outbox("another"),
        lambda: reader.remove_outbox(BOX),
        lambda: reader.claim(BOX, WORKER, 1),
        lambda: settled(reader, Verdict.DELIVERED, "x"),
        lambda: reader.retry_notice(BOX, "x"),
    ):
        with pytest.raises(JournalUnavailableError, match="read-only"):
            change()
    assert states(reader) == {"x": NoticeState.PENDING}
    reader.close()
