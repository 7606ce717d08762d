"""What becomes of the rows of workers that are gone: kept as long as executions are, and as long as anything refers to them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runstate import Cause, ExecutionState, Limits
from runstate._records import Selection
from runstate.journal import Fleet

from .entries import OTHER_WORKER, THIRD_WORKER, WORKER, created, life, moved, phased, seconds_later
from .fleets import LEASE, SharedStore, burial, found, record

RUNNING, COMPLETED = ExecutionState.RUNNING, ExecutionState.COMPLETED
EXITED = Cause.PROCESS_EXITED
LIMITS = Limits(retention=1_000.0)
LOOK = 120.0
"""Seconds after which every store has looked for what is past its retention at least once."""


class Keeper:
    """One process that goes on writing, while time passes for the store and for what is written alike."""

    def __init__(self, shared: SharedStore) -> None:
        self.shared = shared
        self.journal: Fleet = shared.journal(LIMITS)
        self.passed = 0.0
        self.looks = 0
        self.journal.join("keeper", LEASE)

    def let_pass(self, seconds: float) -> None:
        """Let time pass, and look for what is past its retention then."""
        self.shared.let_pass(seconds)
        self.passed += seconds
        self.look()

    def look(self) -> None:
        """Write something, in whose transaction the store looks; it has looked when it was asked before the last time."""
        for _ in range(2):
            self.looks += 1
            self.passed += LOOK
            self.shared.let_pass(LOOK)
            self.journal.append(life(f"look-{self.looks}", COMPLETED, incarnation="keeper", at_ns=self.now_ns()))

    def now_ns(self) -> int:
        """What time it is."""
        return seconds_later(self.passed)

    def knows(self) -> list[str]:
        """All workers that have a row, but itself."""
        return [one.incarnation for one in self.journal.workers(100_000) if one.incarnation != "keeper"]

    def passing(self, name: str) -> None:
        """A worker that does something and leaves."""
        self.journal.join(name, LEASE)
        self.journal.append(life(f"{name}'s", COMPLETED, incarnation=name, at_ns=self.now_ns()))
        self.journal.leave(name)


@pytest.fixture
def keeper(shared: SharedStore) -> Iterator[Keeper]:
    """A process on an empty journal, and the newest worker, whose row stays whatever becomes of it."""
    keeper = Keeper(shared)
    yield keeper
    keeper.journal.close()


def newest(keeper: Keeper) -> None:
    """One more worker, so that no other is the newest."""
    keeper.journal.join("newest", LEASE)


def test_who_is_gone_is_kept_for_the_retention(keeper: Keeper) -> None:
    """Who has left or was fenced is there until `retention` seconds later, and then unknown; who is there stays."""
    keeper.passing(WORKER)
    keeper.journal.join(OTHER_WORKER, LEASE)
    keeper.journal.fence(OTHER_WORKER, "keeper", EXITED)
    newest(keeper)
    keeper.let_pass(1_000.0 - 3 * LOOK)
    assert keeper.knows() == [WORKER, OTHER_WORKER, "newest"]
    keeper.let_pass(LOOK)
    assert keeper.knows() == ["newest"]
    assert (keeper.journal.worker(WORKER), keeper.journal.worker(OTHER_WORKER)) == (None, None)


def test_an_owner_stays_as_long_as_its_executions(keeper: Keeper) -> None:
    """A fenced worker is kept while something of it is live, and until what was buried later is past its own retention."""
    keeper.journal.join(WORKER, LEASE)
    keeper.journal.append(life("x", RUNNING, at_ns=keeper.now_ns()))
    keeper.journal.fence(WORKER, "keeper", EXITED)
    newest(keeper)
    keeper.let_pass(2_000.0)
    assert found(keeper.journal, WORKER).live == 1
    keeper.journal.append([burial("x")._replace(incarnation="keeper", at_ns=keeper.now_ns())])
    keeper.look()
    assert record(keeper.journal, "x").incarnation == WORKER
    assert keeper.knows() == [WORKER, "newest"]
    keeper.let_pass(1_000.0)
    keeper.look()
    assert keeper.journal.executions(Selection(execution_id="x"), 1) == []
    assert keeper.knows() == ["newest"]


def test_who_has_buried_and_fenced_stays_as_long_as_what_it_did(keeper: Keeper) -> None:
    """A worker that is named by an entry of another's execution, or by another's fence, is kept until those are gone."""
    for name in (WORKER, OTHER_WORKER, THIRD_WORKER):
        keeper.journal.join(name, LEASE)
    keeper.journal.append(life("x", RUNNING))
    keeper.journal.fence(WORKER, THIRD_WORKER, EXITED)
    keeper.journal.append([burial("x")._replace(at_ns=seconds_later(2_000.0))])  # by OTHER_WORKER, whose clock is ahead
    keeper.journal.leave(OTHER_WORKER)
    keeper.journal.leave(THIRD_WORKER)
    newest(keeper)
    keeper.let_pass(2_000.0)
    assert keeper.knows() == [WORKER, OTHER_WORKER, THIRD_WORKER, "newest"]
    fence = found(keeper.journal, WORKER).fence
    assert fence is not None
    assert fence.by == THIRD_WORKER
    keeper.let_pass(1_000.0)
    keeper.look()
    keeper.look()
    assert keeper.knows() == ["newest"]


def test_the_table_of_workers_is_bounded(keeper: Keeper) -> None:
    """Of hundreds of workers that come and go those are left that are within the retention, though one execution never ends."""
    keeper.journal.join(WORKER, LEASE)
    keeper.journal.append([*life("for ever", RUNNING), *(phased("for ever", seq) for seq in range(3, 2_003))])
    for number in range(900):
        keeper.journal.join(f"old-{number}", LEASE)
        keeper.journal.leave(f"old-{number}")
    for number in range(20):
        keeper.passing(f"writer-{number}")
    keeper.let_pass(1_000.0)
    for number in range(5):
        keeper.passing(f"new-{number}")
    for _ in range(3):
        keeper.look()
    assert keeper.knows() == [WORKER, *(f"new-{number}" for number in range(5))]
    assert record(keeper.journal, "for ever").state is RUNNING


def test_a_number_is_never_given_twice(shared: SharedStore, keeper: Keeper) -> None:
    """A process that wakes up after its row is gone writes under its own name, not under that of whoever came later."""
    sleeper = shared.journal(LIMITS)
    sleeper.join(WORKER, LEASE)
    sleeper.append(life("x", RUNNING))
    keeper.journal.fence(WORKER, "keeper", EXITED)
    keeper.journal.append([burial("x")._replace(incarnation="keeper")])
    keeper.let_pass(1_000.0)
    newest(keeper)
    keeper.look()
    assert keeper.knows() == ["newest"]
    sleeper.append(life("late", RUNNING, at_ns=keeper.now_ns()))
    assert record(keeper.journal, "late").incarnation == WORKER
    assert (found(keeper.journal, WORKER).lease, found(keeper.journal, "newest").live) == (None, 0)
    with pytest.raises(ValueError, match="joined"):
        sleeper.renew(WORKER)
    sleeper.close()


def test_what_is_live_keeps_its_owners_row(keeper: Keeper) -> None:
    """However long ago everything of its was written, a worker that is there stays, and can go on."""
    keeper.journal.join(WORKER, LEASE)
    keeper.journal.append([created("x")])
    newest(keeper)
    keeper.let_pass(100_000.0)
    keeper.look()
    assert keeper.knows() == [WORKER, "newest"]
    keeper.journal.append([moved("x", 2, ExecutionState.PENDING, RUNNING)])
    assert keeper.journal.renew(WORKER) is None
