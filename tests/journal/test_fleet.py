"""What every journal that is shared by several processes promises: workers, leases, fences, burials, requests, rejected ends."""

from __future__ import annotations

import os
import socket

import pytest

from runstate import CAUSES, Cause, ExecutionState, InvalidValueError
from runstate._fleet import Fence, WorkerState
from runstate._records import Selection
from runstate.journal import Fleet
from runstate.journal.memory import MemoryJournal

from .doubles import in_threads
from .entries import OTHER_WORKER, THIRD_WORKER, WORKER, life, moved, phased, warned
from .fleets import LEASE, Pair, SharedStore, burial, found, log, record, refused

LIVE = [state for state in ExecutionState if not state.is_terminal]
PENDING, RUNNING, COMPLETED = ExecutionState.PENDING, ExecutionState.RUNNING, ExecutionState.COMPLETED
DEAD, CANCELLED = ExecutionState.DEAD, ExecutionState.CANCELLED
EXITED = Cause.PROCESS_EXITED


# -- workers and leases -------------------------------------------------------------------------------------------------


def test_the_memory_journal_is_no_fleet() -> None:
    """One process alone needs no fleet, and cannot mistake its journal for one."""
    assert not isinstance(MemoryJournal(), Fleet)


def test_a_worker_that_has_joined_is_known_to_all(pair: Pair) -> None:
    """Every opening sees the same workers, in order of arrival, with host, process and lease."""
    pair.one.append(life("x", RUNNING))
    workers = pair.other.workers()
    assert [worker.incarnation for worker in workers] == [WORKER, OTHER_WORKER]
    first = workers[0]
    assert first == found(pair.one, WORKER)
    assert (first.live, first.lease, first.state, first.fence) == (1, LEASE, WorkerState.ALIVE, None)
    assert (first.host, first.pid, first.renewed_age, first.expired) == (socket.gethostname(), os.getpid(), 0.0, False)
    assert workers[0].number < workers[1].number
    assert isinstance(pair.one, Fleet)


def test_a_renewal_begins_the_lease_anew(shared: SharedStore, pair: Pair) -> None:
    """A worker's age counts from its last renewal, which changes with each; at the end of the lease it has not yet expired."""
    shared.let_pass(LEASE)
    before = found(pair.other, WORKER)
    assert (before.renewed_age, before.expired) == (pytest.approx(LEASE), False)
    assert pair.one.renew(WORKER) is None
    after = found(pair.other, WORKER)
    assert (after.renewed_age, after.expired) == (pytest.approx(0.0), False)
    assert after.renewed_at_ns != before.renewed_at_ns
    shared.let_pass(LEASE + 0.5)
    assert found(pair.other, WORKER).expired


@pytest.mark.parametrize("lease", [0.0, -1.0, float("inf"), float("nan")])
def test_a_lease_is_a_length_of_time(pair: Pair, lease: float) -> None:
    """A lease that is not positive, or not finite, is refused, and the worker is not known."""
    with pytest.raises(InvalidValueError, match="lease"):
        pair.one.join(THIRD_WORKER, lease)
    assert pair.one.worker(THIRD_WORKER) is None


def test_joining_again_is_a_renewal(shared: SharedStore, pair: Pair) -> None:
    """A join whose answer was lost can be repeated: there is still one worker, and its lease begins anew."""
    before = found(pair.one, WORKER)
    shared.let_pass(4.0)
    pair.one.join(WORKER, LEASE)
    after = found(pair.one, WORKER)
    assert after.renewed_age == pytest.approx(0.0)
    assert (after.number, after.started_at_ns) == (before.number, before.started_at_ns)
    assert len(pair.one.workers()) == 2


def test_a_worker_may_write_before_it_joins(pair: Pair) -> None:
    """Its first entry makes a worker known without a lease, listed while it has something live; joining gives it one."""
    pair.one.append(life("x", RUNNING, incarnation=THIRD_WORKER))
    before = found(pair.other, THIRD_WORKER)
    assert (before.lease, before.host, before.live, before.expired) == (None, None, 1, False)
    pair.one.append(life("y", COMPLETED, incarnation="fourth"))
    assert [one.incarnation for one in pair.other.workers()] == [WORKER, OTHER_WORKER, THIRD_WORKER]
    pair.one.join(THIRD_WORKER, 3.0)
    after = found(pair.other, THIRD_WORKER)
    assert (after.number, after.lease, after.live) == (before.number, 3.0, 1)


def test_only_who_has_joined_and_not_gone_can_renew(pair: Pair) -> None:
    """Renewing what never joined or has left is refused, and joining under a name that has gone too."""
    pair.one.append(life("x", COMPLETED, incarnation=THIRD_WORKER))
    assert pair.one.leave(WORKER) is None
    for incarnation in ("nobody", THIRD_WORKER, WORKER):
        with pytest.raises(InvalidValueError, match="joined"):
            pair.one.renew(incarnation)
    with pytest.raises(InvalidValueError, match="new one"):
        pair.one.join(WORKER, LEASE)


def test_who_has_left_in_good_order_is_history(pair: Pair) -> None:
    """A worker that has left is LEFT for ever, is listed only on demand, cannot be fenced and writes nothing any more."""
    pair.one.append(life("x", COMPLETED))
    assert pair.one.leave(WORKER) is None
    assert pair.one.leave(WORKER) is None
    assert pair.one.leave("nobody") is None
    worker = found(pair.other, WORKER)
    assert worker.state is WorkerState.LEFT
    assert worker.left_at_ns is not None
    assert [one.incarnation for one in pair.other.workers()] == [OTHER_WORKER]
    assert [one.incarnation for one in pair.other.workers(1)] == [WORKER, OTHER_WORKER]
    pair.one.join(THIRD_WORKER, LEASE)
    pair.one.leave(THIRD_WORKER)
    assert [one.incarnation for one in pair.other.workers(1)] == [OTHER_WORKER, THIRD_WORKER]
    assert not pair.other.fence(WORKER, OTHER_WORKER, EXITED)
    assert refused(pair.one, *life("y", RUNNING)) == ("y",)


def test_nobody_leaves_with_something_live(pair: Pair) -> None:
    """A worker whose executions are live cannot leave, and goes on unharmed."""
    pair.one.append(life("x", RUNNING))
    with pytest.raises(InvalidValueError, match="1 of its executions"):
        pair.one.leave(WORKER)
    assert pair.one.renew(WORKER) is None
    pair.one.append([moved("x", 3, RUNNING, COMPLETED)])
    assert pair.one.leave(WORKER) is None


# -- fences -------------------------------------------------------------------------------------------------------------


def test_exactly_one_fences(shared: SharedStore, pair: Pair) -> None:
    """Of many that fence one worker at the same time exactly one is told that it did, and its fence stands."""
    journals = [shared.journal() for _ in range(6)]
    won: list[str] = []

    def fence(place: int) -> None:
        by = f"burier-{place}"
        if journals[place].fence(WORKER, by, EXITED, f"seen by {by}"):
            won.append(by)

    in_threads(len(journals), fence)
    (winner,) = won
    fenced = found(pair.one, WORKER)
    assert fenced.state is WorkerState.FENCED
    assert fenced.fence is not None
    assert fenced.fence[:3] == (winner, EXITED, f"seen by {winner}")
    for journal in journals:
        journal.close()


def test_the_fenced_are_told_by_whom_and_why(pair: Pair) -> None:
    """Renewing and leaving give a fenced worker the fence, with who, why and the journal's position at that moment."""
    pair.one.append(life("x", RUNNING))
    assert pair.other.fence(WORKER, OTHER_WORKER, Cause.LEASE_EXPIRED, "silent")
    fence = pair.one.renew(WORKER)
    assert fence is not None
    head = pair.one.read(0, 100, Selection()).up_to
    assert fence == Fence(OTHER_WORKER, Cause.LEASE_EXPIRED, "silent", fence.at_ns, head)
    assert pair.one.leave(WORKER) == fence
    assert found(pair.one, WORKER).state is WorkerState.FENCED
    with pytest.raises(InvalidValueError, match="new one"):
        pair.one.join(WORKER, LEASE)


def test_only_the_expired_can_be_fenced_as_expired(shared: SharedStore, pair: Pair) -> None:
    """With `expired_only` the store itself looks at the lease: a worker that has renewed in time is not fenced."""
    assert not pair.other.fence(WORKER, OTHER_WORKER, Cause.LEASE_EXPIRED, expired_only=True)
    shared.let_pass(LEASE + 1)
    assert found(pair.other, WORKER).expired
    pair.one.renew(WORKER)  # after somebody has seen it expired
    assert not pair.other.fence(WORKER, OTHER_WORKER, Cause.LEASE_EXPIRED, expired_only=True)
    shared.let_pass(LEASE + 1)
    assert pair.other.fence(WORKER, OTHER_WORKER, Cause.LEASE_EXPIRED, expired_only=True)


def test_who_never_joined_never_expires(shared: SharedStore, pair: Pair) -> None:
    """A worker without a lease is fenced by proof only."""
    pair.one.append(life("x", RUNNING, incarnation=THIRD_WORKER))
    shared.let_pass(1_000_000.0)
    assert not pair.other.fence(THIRD_WORKER, OTHER_WORKER, Cause.LEASE_EXPIRED, expired_only=True)
    assert pair.other.fence(THIRD_WORKER, OTHER_WORKER, EXITED)


def test_who_is_gone_fences_nobody(pair: Pair) -> None:
    """A fenced worker, and one that has left, cannot fence; nor can anybody fence itself or what is not known."""
    pair.one.join(THIRD_WORKER, LEASE)
    pair.one.leave(THIRD_WORKER)
    assert pair.other.fence(WORKER, OTHER_WORKER, EXITED)
    assert not pair.one.fence(OTHER_WORKER, WORKER, EXITED)
    assert not pair.one.fence(OTHER_WORKER, THIRD_WORKER, EXITED)
    assert not pair.one.fence("nobody", OTHER_WORKER, EXITED)
    with pytest.raises(InvalidValueError, match="none fences itself"):
        pair.one.fence(OTHER_WORKER, OTHER_WORKER, EXITED)
    assert found(pair.one, OTHER_WORKER).state is WorkerState.ALIVE


@pytest.mark.parametrize("cause", Cause)
def test_a_fence_has_a_cause_of_death(pair: Pair, cause: Cause) -> None:
    """A fence takes the causes that DEAD accepts, and no other."""
    if cause in CAUSES[DEAD]:
        assert pair.other.fence(WORKER, OTHER_WORKER, cause)
    else:
        with pytest.raises(InvalidValueError, match="cause of DEAD"):
            pair.other.fence(WORKER, OTHER_WORKER, cause)
        assert found(pair.one, WORKER).state is WorkerState.ALIVE


# -- what is taken from whom ----------------------------------------------------------------------------------------------


def test_a_zombie_writes_nothing(pair: Pair) -> None:
    """From its fence on, nothing that a worker writes is stored: no creation, move, phase, warning or end."""
    pair.one.append([*life("x", RUNNING), *life("y", PENDING)])
    assert pair.other.fence(WORKER, OTHER_WORKER, EXITED)
    before = pair.other.read(0, 100, Selection())
    for entries in (
        life("z", COMPLETED),
        [moved("y", 2, PENDING, RUNNING)],
        [phased("x", 3)],
        [warned("x", 3)],
        [burial("x")._replace(incarnation=WORKER)],
    ):
        assert refused(pair.one, *entries) == (entries[0].execution_id,)
    assert pair.other.read(0, 100, Selection()) == before
    assert pair.one.executions(Selection(execution_id="z"), 1) == []


def test_a_zombies_neighbours_are_stored(pair: Pair) -> None:
    """Of a batch with entries of a fenced and of a living worker, the living one's are stored."""
    pair.one.append(life("x", RUNNING))
    pair.other.fence(WORKER, OTHER_WORKER, EXITED)
    mine = life("mine", COMPLETED, incarnation=OTHER_WORKER)
    assert refused(pair.one, moved("x", 3, RUNNING, COMPLETED), *mine) == ("x",)
    assert log(pair.one, "mine") == mine


def test_nobody_ends_what_a_living_worker_owns(pair: Pair) -> None:
    """Without a fence every entry of another worker is refused, whatever it is and however the lease stands."""
    pair.one.append(life("x", RUNNING))
    pair.other.request_cancel("x", OTHER_WORKER)
    for target in (DEAD, CANCELLED):
        assert refused(pair.other, burial("x", target=target)) == ("x",)


@pytest.mark.parametrize("target", ExecutionState)
def test_a_burial_is_dead_or_cancelled_on_request(pair: Pair, target: ExecutionState) -> None:
    """Of what a fenced worker has left, others write one thing: its end, DEAD, or CANCELLED where that was requested."""
    pair.one.append([*life("x", RUNNING), *life("asked", RUNNING)])
    pair.other.request_cancel("asked", "a user")
    pair.other.fence(WORKER, OTHER_WORKER, EXITED)
    ends = [moved(name, 3, RUNNING, target, incarnation=OTHER_WORKER) for name in ("x", "asked")]
    allowed = {DEAD: {"x", "asked"}, CANCELLED: {"asked"}}.get(target, set())
    assert set(refused(pair.other, *ends)) == {"x", "asked"} - allowed
    assert {name for name in ("x", "asked") if record(pair.one, name).state is target} == allowed | (
        {"x", "asked"} if target is RUNNING else set()
    )


def test_only_the_owner_warns(pair: Pair) -> None:
    """A warning by anybody else is refused, while the owner is there and when it is fenced; alone, and with others in a batch."""
    pair.one.append([*life("x", RUNNING), *life("y", RUNNING)])
    strange = [warned(name, 3, incarnation=OTHER_WORKER) for name in ("x", "y")]
    for owner_is_gone in (False, True):
        if owner_is_gone:
            pair.other.fence(WORKER, OTHER_WORKER, EXITED)
        assert refused(pair.other, strange[0]) == ("x",)
        assert refused(pair.other, *strange) == ("x", "y")
    assert (record(pair.one, "x").seq, record(pair.one, "y").seq) == (2, 2)


def test_what_was_warned_of_can_be_buried(pair: Pair) -> None:
    """An execution whose newest entry is a warning is among what a worker has left, and its burial follows the warning."""
    pair.one.append([*life("x", RUNNING), warned("x", 3)])
    pair.other.fence(WORKER, OTHER_WORKER, EXITED)
    ((left, signed_at_ns, _),) = pair.other.unsettled(WORKER, 10)
    assert (left, left.cause, left.seq) == (record(pair.one, "x"), None, 3)
    assert signed_at_ns == life("x", RUNNING)[-1].at_ns
    pair.other.append([burial("x", seq=4)])
    assert (record(pair.one, "x").state, record(pair.one, "x").cause) == (DEAD, EXITED)


@pytest.mark.parametrize("state", LIVE)
def test_every_live_state_can_be_buried(pair: Pair, state: ExecutionState) -> None:
    """Wherever a worker died, what it left is buried once, as DEAD, and owned by it for ever."""
    entries = life("x", state)
    pair.one.append(entries)
    pair.other.fence(WORKER, OTHER_WORKER, EXITED)
    end = burial("x", state, seq=len(entries) + 1)
    pair.other.append([end])
    assert log(pair.one, "x") == [*entries, end]
    assert (record(pair.one, "x").state, record(pair.one, "x").incarnation) == (DEAD, WORKER)
    assert refused(pair.other, end) == ("x",)


def test_the_fenced_bury_nobody(pair: Pair) -> None:
    """A burier that was fenced itself is refused like any zombie; somebody else buries in its place."""
    pair.one.append(life("x", RUNNING))
    pair.one.join(THIRD_WORKER, LEASE)
    pair.other.fence(WORKER, OTHER_WORKER, EXITED)
    pair.one.fence(OTHER_WORKER, THIRD_WORKER, EXITED)
    assert refused(pair.other, burial("x")) == ("x",)
    assert refused(pair.one, burial("x")._replace(incarnation=THIRD_WORKER)) == ()
