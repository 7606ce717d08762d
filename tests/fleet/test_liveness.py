"""Who is held for dead, and who is not: one turn of the liveness thread after the other, on a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from runstate import (
    CancelRequest,
    Cause,
    ExecutionRecord,
    ExecutionState,
    Fence,
    JournalUnavailableError,
    Limits,
    WorkerState,
)
from runstate._fleet import Peer as Seen
from runstate._fleet import Worker
from runstate._lease_only import LeaseOnly
from runstate._liveness import COURTESY, LEASE, PROMPT, RENEW_EVERY, SURVEYS, Death, Liveness
from runstate.journal import Fleet
from runstate.journal.sqlite import SqliteJournal

from ..clock import FakeClock
from ..journal.entries import created, moved

TICK = 0.4
"""Seconds between two turns: half a renewal."""


class Peer:
    """One worker: its journal, its liveness, and all that it was told. Its vigil sees nothing, so only leases tell."""

    def __init__(self, name: str, path: Path, clock: FakeClock, kind: type[SqliteJournal] = SqliteJournal) -> None:
        self.name = name
        self.journal: Fleet = kind(path, clock=clock)
        self.liveness = Liveness(self.journal, self, clock)
        self.liveness._begin_vigil = lambda name: LeaseOnly()  # type: ignore[method-assign,assignment]
        self.lost: list[Fence] = []
        self.cancelled: list[CancelRequest] = []
        try:
            self.liveness.join()
        except JournalUnavailableError:
            self.journal.close()
            raise

    def incarnation(self) -> str:
        """Its name."""
        return self.name

    def hear(self) -> None:
        """Take no notice."""

    def cancel(self, request: CancelRequest) -> None:
        """Remember it."""
        self.cancelled.append(request)

    def lose(self, incarnation: str, fence: Fence) -> None:
        """Go on under another name."""
        assert incarnation == self.name
        self.lost.append(fence)
        self.name += "'"

    def survey(self) -> None:
        """Look at the others now."""
        self.liveness._survey_at_ns = 0
        self.liveness.turn(0.0)

    def begin(self, execution_id: str) -> None:
        """Have an execution RUNNING."""
        self.journal.append(
            [
                created(execution_id, incarnation=self.name),
                moved(execution_id, 2, ExecutionState.PENDING, ExecutionState.RUNNING, incarnation=self.name),
            ]
        )

    def sees(self, name: str) -> Worker:
        """A worker, as the journal knows it."""
        worker = self.journal.worker(name)
        assert worker is not None
        return worker


class Fleets:
    """Any number of peers on one file and one clock."""

    def __init__(self, path: Path, clock: FakeClock) -> None:
        self.path = path
        self.clock = clock
        self.peers: list[Peer] = []

    def join(self, name: str) -> Peer:
        """One more peer."""
        peer = Peer(name, self.path, self.clock)
        self.peers.append(peer)
        peer.liveness.turn(0.0)
        return peer

    def let_pass(self, seconds: float, *, but: Peer | None = None) -> None:
        """Let time pass in which all peers take their turns, but one."""
        until_ns = self.clock.monotonic_ns() + round(seconds * 1e9)
        while self.clock.monotonic_ns() < until_ns:
            self.clock.advance(min(TICK, (until_ns - self.clock.monotonic_ns()) / 1e9))
            for peer in self.peers:
                if peer is not but:
                    peer.liveness.turn(0.0)


@pytest.fixture
def fleet(tmp_path: Path, clock: FakeClock) -> Iterator[Fleets]:
    """An empty fleet."""
    fleet = Fleets(tmp_path / "runs.db", clock)
    yield fleet
    for peer in fleet.peers:
        peer.journal.close()


def test_a_silent_worker(fleet: Fleets) -> None:
    """A worker that has stood still for its lease and a second is dead, LEASE_EXPIRED; for less than its lease it is not."""
    one, other = fleet.join("one"), fleet.join("other")
    other.begin("x")
    fleet.let_pass(30.0)
    fleet.let_pass(LEASE - 0.1, but=other)
    assert one.sees("other").state is WorkerState.ALIVE
    fleet.let_pass(1.1, but=other)
    worker = one.sees("other")
    assert worker.fence is not None
    assert (worker.fence.cause, worker.fence.by, worker.live) == (Cause.LEASE_EXPIRED, "one", 0)


@pytest.mark.parametrize("begin", [0.0, 0.1, 0.3, 0.5, 0.79])
def test_a_pause_below_the_lease(fleet: Fleets, begin: float) -> None:
    """Whenever it begins, a pause below the lease is no death."""
    one, other = fleet.join("one"), fleet.join("other")
    fleet.let_pass(20.0 + begin)
    fleet.let_pass(LEASE - 0.01, but=other)
    other.liveness.turn(0.0)
    fleet.let_pass(30.0)
    assert one.sees("other").state is WorkerState.ALIVE
    assert (one.lost, other.lost) == ([], [])


def test_a_renewal_comes_first(fleet: Fleets) -> None:
    """A renewal that is due is made before a ring is followed up and the dead are buried, however long those may take."""
    one, other = fleet.join("one"), fleet.join("other")
    fleet.let_pass(20.0)
    ages: list[float | None] = []
    requests, unsettled = other.journal.requests, other.journal.unsettled

    def follow_up(incarnation: str, /) -> Sequence[CancelRequest]:
        ages.append(one.sees("other").renewed_age)
        return requests(incarnation)

    def bury(incarnation: str, limit: int, /) -> Sequence[ExecutionRecord]:
        ages.append(one.sees("other").renewed_age)
        return unsettled(incarnation, limit)

    other.journal.requests, other.journal.unsettled = follow_up, bury  # type: ignore[method-assign]
    other.liveness._dead["one"] = Death(Cause.PROCESS_EXITED, "killed")
    fleet.clock.advance(RENEW_EVERY)
    other.liveness.look_again()
    other.liveness.turn(0.0)
    assert len(ages) > 2
    assert set(ages) == {0.0}


def test_the_observer_stood_still_too(fleet: Fleets) -> None:
    """After a pause of everybody, a suspended machine for example, who wakes up first holds nobody for dead."""
    one, other = fleet.join("one"), fleet.join("other")
    fleet.let_pass(20.0)
    one.survey()
    fleet.clock.advance(3_600.0)
    one.survey()
    one.liveness.turn(0.0)
    other.liveness.turn(0.0)
    fleet.let_pass(30.0)
    assert one.sees("other").state is WorkerState.ALIVE
    assert one.sees("one").state is WorkerState.ALIVE


def test_a_store_that_is_slow_to_write(fleet: Fleets, clock: FakeClock) -> None:
    """While its own renewals have to wait for the store, a worker holds nobody for dead whose renewal waits there as well."""
    one, other = fleet.join("one"), fleet.join("other")
    fleet.let_pass(20.0)
    renew = one.journal.renew

    def late(incarnation: str, /) -> Fence | None:
        clock.advance(LEASE / SURVEYS * PROMPT + 0.01)
        return renew(incarnation)

    one.journal.renew = late  # type: ignore[method-assign]
    fleet.let_pass(LEASE + 5.0, but=other)
    assert one.sees("other").expired
    assert one.sees("other").state is WorkerState.ALIVE
    one.journal.renew = renew  # type: ignore[method-assign]
    fleet.let_pass(LEASE, but=other)
    assert one.sees("other").state is WorkerState.FENCED


def test_the_stores_clock_is_set(fleet: Fleets, clock: FakeClock) -> None:
    """A store whose clock jumps by an hour, so that every lease looks expired, buries nobody."""
    one, other = fleet.join("one"), fleet.join("other")
    fleet.let_pass(20.0)
    one.survey()
    for peer in fleet.peers:
        own = peer.journal
        assert isinstance(own, SqliteJournal)
        own._clock = Ahead(clock)
    one.survey()
    fleet.let_pass(30.0)
    assert {one.sees(name).state for name in ("one", "other")} == {WorkerState.ALIVE}
    assert other.lost == []


class Ahead:
    """A clock that is an hour ahead of another."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock

    def monotonic_ns(self) -> int:
        """The other's, and an hour."""
        return self._clock.monotonic_ns() + 3_600_000_000_000

    def time_ns(self) -> int:
        """The other's, and an hour."""
        return self._clock.time_ns() + 3_600_000_000_000


def test_who_is_fenced_goes_on_anew(fleet: Fleets) -> None:
    """A worker that comes back after its burial is told once, and joins under another name."""
    one, other = fleet.join("one"), fleet.join("other")
    fleet.let_pass(20.0)
    fleet.let_pass(LEASE + 1.0, but=other)
    fleet.let_pass(30.0)
    assert [fence.by for fence in other.lost] == ["one"]
    assert one.sees("other'").state is WorkerState.ALIVE


def test_who_was_away_for_longer_than_the_retention(fleet: Fleets, clock: FakeClock) -> None:
    """A worker whose fence retention has removed gives up all that it has too, and what it has begun since then is buried."""
    one, other = fleet.join("one"), fleet.join("other")
    fleet.join("third")
    fleet.let_pass(20.0)
    fleet.let_pass(LEASE + 1.0, but=other)
    assert one.sees("other").state is WorkerState.FENCED
    clock.advance(Limits().retention + 1.0)
    one.journal.append([created("now", incarnation="one", at_ns=clock.time_ns())])
    assert one.journal.worker("other") is None
    other.begin("late")
    other.liveness.turn(0.0)
    (fence,) = other.lost
    assert (fence.by, fence.cause) == ("retention", Cause.LEASE_EXPIRED)
    assert one.sees("other'").state is WorkerState.ALIVE
    assert (one.sees("other").state, one.sees("other").live) == (WorkerState.FENCED, 0)
    fleet.let_pass(30.0)
    assert len(other.lost) == 1


def test_a_burial_that_nobody_finishes(fleet: Fleets) -> None:
    """Whoever has fenced a worker is left alone with burying it for a moment; then the next one does."""
    one, other = fleet.join("one"), fleet.join("other")
    third = fleet.join("third")
    third.begin("x")
    other.journal.fence("third", "other", Cause.PROCESS_EXITED, "killed")
    one.survey()
    assert one.sees("third").live == 1
    fleet.let_pass(LEASE / SURVEYS + COURTESY, but=other)
    assert one.sees("third").live == 0


def test_a_fencer_that_died_over_it(fleet: Fleets) -> None:
    """When whoever has fenced a worker is gone as well, the next one buries at once."""
    one, other = fleet.join("one"), fleet.join("other")
    third = fleet.join("third")
    third.begin("x")
    other.journal.fence("third", "other", Cause.PROCESS_EXITED, "killed")
    other.journal.leave("other")
    one.survey()
    assert one.sees("third").live == 0


def test_requests_without_a_ring(fleet: Fleets) -> None:
    """A request whose ring was lost is carried out with the next renewal."""
    one, other = fleet.join("one"), fleet.join("other")
    other.begin("x")
    one.journal.request_cancel("x", "one", "enough")
    fleet.let_pass(RENEW_EVERY + TICK)
    assert [request.reason for request in other.cancelled][:1] == ["enough"]


class Noting(SqliteJournal):
    """A journal that notes who was asked for, and rung."""

    noted: ClassVar[list[str]] = []

    def peers(self, /) -> Sequence[Seen]:
        """Note it."""
        self.noted.append("peers")
        return super().peers()

    def ring(self, incarnation: str, /) -> bool:
        """Note it."""
        self.noted.append(incarnation)
        return super().ring(incarnation)


class Deaf(Noting):
    """One that cannot ring the first time."""

    def ring(self, incarnation: str, /) -> bool:
        """Fail if nobody was rung yet."""
        if self.noted == ["peers"]:
            self.noted.append("failed")
            raise JournalUnavailableError("no bell")
        return super().ring(incarnation)


def test_a_newcomer_is_known_at_once(fleet: Fleets) -> None:
    """When joining is done all who are there have been rung, and the first look takes the peers that were read for it."""
    fleet.join("one")
    fleet.join("left").liveness.close()
    Noting.noted.clear()
    newcomer = Peer("new", fleet.path, fleet.clock, Noting)
    assert Noting.noted == ["peers", "one"]
    newcomer.liveness.turn(0.0)
    assert Noting.noted == ["peers", "one"]
    assert newcomer.liveness._renewals.keys() == {"one"}
    fleet.join("two")
    newcomer.survey()
    assert Noting.noted == ["peers", "one", "peers"]
    assert newcomer.liveness._renewals.keys() == {"one", "two"}
    newcomer.journal.close()


def test_a_newcomer_that_could_not_ring_tries_again(fleet: Fleets) -> None:
    """Joining fails when somebody cannot be told of it, and is done anew, whole, when it is tried again."""
    fleet.join("one")
    Noting.noted.clear()
    with pytest.raises(JournalUnavailableError, match="no bell"):
        Peer("new", fleet.path, fleet.clock, Deaf)
    newcomer = Peer("new", fleet.path, fleet.clock, Deaf)
    assert Noting.noted == ["peers", "failed", "peers", "one"]
    assert newcomer.sees("new").state is WorkerState.ALIVE
    newcomer.journal.close()


def test_who_leaves_is_not_held_for_dead(fleet: Fleets) -> None:
    """A worker that has left in good order is nobody's business any more."""
    one, other = fleet.join("one"), fleet.join("other")
    fleet.let_pass(20.0)
    other.liveness.close()
    fleet.let_pass(60.0, but=other)
    assert one.sees("other").state is WorkerState.LEFT
