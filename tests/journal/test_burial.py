"""What a dead worker leaves behind, in every journal that is shared: burials, cancel requests, and ends that came too late."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import pytest

from runstate import (
    Cause,
    Evidence,
    ExecutionState,
    JournalConflictError,
    Limits,
    Phase,
    Transition,
    UnknownExecutionError,
)
from runstate._burial import BATCH, bury, exit_reason
from runstate._fleet import CancelRequest
from runstate._records import Selection
from runstate.journal import Fleet

from ..clock import SECOND, FakeClock
from .doubles import in_threads
from .entries import OTHER_WORKER, START_NS, THIRD_WORKER, WORKER, life, lives, moved, phased, seconds_later, warned
from .fleets import LEASE, Pair, SharedStore, found, log, record, refused

LIVE = [state for state in ExecutionState if not state.is_terminal]
PENDING, RUNNING, COMPLETED = ExecutionState.PENDING, ExecutionState.RUNNING, ExecutionState.COMPLETED
DEAD, CANCELLED, FAILED = ExecutionState.DEAD, ExecutionState.CANCELLED, ExecutionState.FAILED
EXITED = Cause.PROCESS_EXITED
KILLED = exit_reason(-signal.SIGKILL)
SEEN = f"{KILLED}; its lease had been renewed 0 s before"


def bury_first(journal: Fleet, clock: FakeClock, by: str = OTHER_WORKER) -> Sequence[Transition]:
    """Bury what WORKER has left."""
    return bury(journal, WORKER, by, EXITED, KILLED, clock)


def test_everything_live_is_buried_and_nothing_else(pair: Pair, clock: FakeClock) -> None:
    """A burial ends all that the worker has left live, whatever its state, and touches neither its ends nor anybody else's."""
    for state in ExecutionState:
        pair.one.append(life(state.value, state))
    pair.other.append(life("mine", RUNNING, incarnation=OTHER_WORKER))
    buried = bury_first(pair.other, clock)
    assert {end.execution_id for end in buried} == {state.value for state in LIVE}
    for state in ExecutionState:
        assert record(pair.one, state.value).state is (DEAD if state in LIVE else state)
    assert record(pair.one, "mine").state is RUNNING
    assert found(pair.one, WORKER).live == 0
    assert [log(pair.one, end.execution_id)[-1] for end in buried] == buried


def test_the_evidence_says_who_saw_what(shared: SharedStore, pair: Pair, clock: FakeClock) -> None:
    """A burial's evidence names the observer, how the process ended, the last phase and the age of the last sign of life."""
    pair.one.append([*life("x", RUNNING), phased("x", 3, Phase.TOOL_EXECUTION, detail="get_user_details")])
    clock.advance(8.0)
    shared.let_pass(8.0)
    (end,) = bury_first(pair.other, clock)
    last_ns = START_NS + 3
    seen = SEEN.replace("renewed 0 s", "renewed 8 s")
    assert end.at_ns == START_NS + 8 * SECOND
    assert (end.source, end.target, end.cause, end.incarnation) == (RUNNING, DEAD, EXITED, OTHER_WORKER)
    assert end.evidence == Evidence(
        OTHER_WORKER, 0, (end.at_ns - last_ns) / 1e9, Phase.TOOL_EXECUTION, "get_user_details", None, seen
    )
    assert end.error == f"its worker is gone: {seen}"
    assert record(pair.one, "x").evidence == end.evidence


@pytest.mark.parametrize("warnings", [1, 3])
def test_a_warning_is_no_sign_of_life(shared: SharedStore, pair: Pair, clock: FakeClock, warnings: int) -> None:
    """The age of the last sign of life counts from the newest entry that is no warning, however many warnings came after it."""
    pair.one.append([*life("x", RUNNING), phased("x", 3, at_ns=seconds_later(1.0))])
    pair.one.append([warned("x", 4 + number, at_ns=seconds_later(5.0 + number)) for number in range(warnings)])
    clock.advance(10.0)
    shared.let_pass(10.0)
    (end,) = bury_first(pair.other, clock)
    assert (end.seq, end.at_ns) == (4 + warnings, seconds_later(10.0))
    assert end.evidence is not None
    assert end.evidence.last_beat_age == 9.0


def test_time_does_not_go_back_at_a_burial(pair: Pair, clock: FakeClock) -> None:
    """A burier whose clock is behind the dead worker's gives the end the time of the last entry."""
    pair.one.append(life("x", RUNNING, at_ns=seconds_later(60.0)))
    (end,) = bury_first(pair.other, clock)
    assert end.at_ns == seconds_later(60.0)


@pytest.mark.parametrize("seconds", [3_600.0, -3_600.0])
def test_a_dead_workers_wrong_clock_gives_no_age(
    shared: SharedStore, pair: Pair, clock: FakeClock, seconds: float
) -> None:
    """Signs of life that are yet to come, or are from before the worker joined, have no age, and the evidence says why."""
    pair.one.append(life("x", RUNNING, at_ns=seconds_later(seconds)))
    shared.let_pass(1.5)
    (end,) = bury_first(pair.other, clock)
    assert end.evidence is not None
    assert end.evidence.last_beat_age is None
    assert str(end.evidence.reason).endswith(
        "its lease had been renewed 1.5 s before; since when it was silent is not known, "
        "as its worker's clock and the store's are apart"
    )


@pytest.mark.parametrize("seconds", [3_600.0, -3_600.0])
def test_the_buriers_clock_has_no_part_in_the_age(
    shared: SharedStore, pair: Pair, clock: FakeClock, seconds: float
) -> None:
    """A burier whose own clock is wrong gives the true age of the last sign of life all the same."""
    pair.one.append(life("x", RUNNING, at_ns=START_NS))
    shared.let_pass(1.5)
    wrong = FakeClock(time_ns=START_NS + round(seconds * SECOND))
    (end,) = bury_first(pair.other, wrong)
    assert end.evidence is not None
    assert end.evidence.last_beat_age == 1.5


@pytest.mark.parametrize(
    ("status", "says"),
    [(0, "exited with code 0"), (3, "exited with code 3"), (-9, "killed by SIGKILL"), (-123, "killed by signal 123")],
)
def test_an_exit_is_put_into_words(status: int, says: str) -> None:
    """What a process's parent knows of its end is told apart: an exit code, a signal with a name, one without."""
    assert says in exit_reason(status)


def test_a_burial_is_repeated_until_nothing_is_left(pair: Pair, clock: FakeClock) -> None:
    """More than fits into one batch is buried all the same, and burying again finds nothing to do."""
    names = [f"x-{number}" for number in range(BATCH + 7)]
    pair.one.append(lives(names, PENDING))
    buried = bury_first(pair.other, clock)
    assert [end.execution_id for end in buried] == names
    assert bury_first(pair.other, clock) == []
    assert pair.one.unsettled(WORKER, 1) == []


def test_two_bury_at_once(shared: SharedStore, pair: Pair, clock: FakeClock) -> None:
    """Each of 100 executions is buried once, whoever of four was first, and none of the four fails."""
    names = [f"x-{number}" for number in range(100)]
    pair.one.append(lives(names, RUNNING))
    journals = [shared.journal() for _ in range(4)]
    shares: dict[int, Sequence[Transition]] = {}

    def bury_some(place: int) -> None:
        shares[place] = bury_first(journals[place], clock, f"burier-{place}")

    in_threads(4, bury_some)
    assert sorted(end.execution_id for share in shares.values() for end in share) == sorted(names)
    for place, share in shares.items():
        assert {end.incarnation for end in share} <= {f"burier-{place}"}
    ends = [entry for name in names for entry in log(pair.one, name) if isinstance(entry, Transition)]
    assert sum(end.target is DEAD for end in ends) == 100
    for journal in journals:
        journal.close()


def test_a_burial_that_was_begun_is_finished_by_another(shared: SharedStore, pair: Pair, clock: FakeClock) -> None:
    """Who finds the fence of a burier that died over it buries the rest, with that fence's cause and reason, and the lease's age."""
    pair.one.append(lives(["x", "y"], RUNNING))
    shared.let_pass(2.5)
    pair.other.fence(WORKER, "somebody", Cause.LEASE_EXPIRED, "silent")
    buried = bury_first(pair.other, clock)
    seen = "silent; its lease had been renewed 2.5 s before"
    assert [(end.cause, end.evidence and end.evidence.reason) for end in buried] == [(Cause.LEASE_EXPIRED, seen)] * 2


def test_without_a_fence_nothing_is_buried(shared: SharedStore, pair: Pair, clock: FakeClock) -> None:
    """Whose lease has not expired, who has left, and who is not known, has nothing buried."""
    pair.one.append(life("x", RUNNING))
    assert bury(pair.other, WORKER, OTHER_WORKER, Cause.LEASE_EXPIRED, None, clock, expired_only=True) == []
    assert record(pair.other, "x").state is RUNNING
    assert bury(pair.other, "nobody", OTHER_WORKER, EXITED, None, clock) == []
    pair.one.append([moved("x", 3, RUNNING, COMPLETED)])
    pair.one.leave(WORKER)
    assert bury_first(pair.other, clock) == []
    assert found(pair.other, WORKER).fence is None
    shared.let_pass(LEASE + 1)


def test_who_is_gone_cannot_bury(pair: Pair, clock: FakeClock) -> None:
    """A burier that was fenced, or has left, is told so instead of trying for ever."""
    pair.one.append(life("x", RUNNING))
    pair.other.fence(WORKER, THIRD_WORKER, EXITED)
    pair.other.leave(OTHER_WORKER)
    with pytest.raises(JournalConflictError):
        bury_first(pair.other, clock)
    assert len(bury_first(pair.other, clock, THIRD_WORKER)) == 1


# -- cancel requests ------------------------------------------------------------------------------------------------------


def test_the_owner_is_told_of_a_request(pair: Pair) -> None:
    """A request is there for the owner, and for nobody else, as long as the execution is live."""
    pair.one.append(lives(["x", "y"], RUNNING))
    request = pair.other.request_cancel("y", "a user", "no longer needed")
    assert request is not None
    assert request == CancelRequest("y", WORKER, "a user", "no longer needed", request.at_ns)
    assert pair.one.requests(WORKER) == [request]
    assert pair.one.requests(OTHER_WORKER) == []
    pair.one.append([moved("y", 3, RUNNING, CANCELLED)])
    assert pair.one.requests(WORKER) == []


def test_the_first_request_stands(pair: Pair) -> None:
    """Who asks again is given the first request, unchanged."""
    pair.one.append(life("x", RUNNING))
    first = pair.other.request_cancel("x", "a user", "first")
    assert pair.one.request_cancel("x", "another", "second") == first
    assert pair.one.requests(WORKER) == [first]


def test_what_has_ended_cannot_be_asked_for(pair: Pair) -> None:
    """A request about an ended execution is not recorded, one about an unknown execution is an error."""
    pair.one.append(life("x", COMPLETED))
    assert pair.other.request_cancel("x", "a user") is None
    with pytest.raises(UnknownExecutionError):
        pair.other.request_cancel("nothing", "a user")
    assert pair.one.requests(WORKER) == []


def test_what_was_asked_for_is_buried_as_cancelled(pair: Pair, clock: FakeClock) -> None:
    """If the owner dies first, its observer carries the request out: CANCELLED, with who asked, and that the owner is gone."""
    pair.one.append(lives(["x", "y"], RUNNING))
    pair.other.request_cancel("y", "a user", "no longer needed")
    ends = {end.execution_id: end for end in bury_first(pair.other, clock)}
    assert (ends["x"].target, ends["x"].cause) == (DEAD, EXITED)
    assert (ends["y"].target, ends["y"].cause) == (CANCELLED, Cause.CANCELLED_BY_CALLER)
    assert ends["y"].error == f"it was asked for: no longer needed; its worker is gone: {SEEN}"


# -- ends that came too late ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("buried", [False, True])
@pytest.mark.parametrize("target", [COMPLETED, FAILED, ExecutionState.TIMEOUT, DEAD, CANCELLED])
def test_a_late_end_is_kept_beside_the_history(
    pair: Pair, clock: FakeClock, target: ExecutionState, buried: bool
) -> None:
    """What a fenced worker tries to record as an end is kept whole, before and after the burial, and is never the outcome."""
    pair.one.append(life("x", RUNNING))
    assert pair.one.rejected("x") is None
    if buried:
        bury_first(pair.other, clock)
    else:
        pair.other.fence(WORKER, OTHER_WORKER, EXITED)
    late = moved("x", 3, RUNNING, target)
    assert refused(pair.one, late) == ("x",)
    kept = pair.other.rejected("x")
    assert kept is not None
    assert kept.move == late
    bury_first(pair.other, clock)
    assert record(pair.one, "x").state is DEAD
    assert record(pair.one, "x").result_json is None
    assert pair.one.rejected("x") == kept


def test_a_late_end_is_kept_once(pair: Pair, clock: FakeClock) -> None:
    """Only the first late end is kept, with what came on the way to it left out, however often the zombie tries."""
    pair.one.append(lives(["x", "y"], RUNNING))
    bury_first(pair.other, clock)
    late = moved("x", 4, RUNNING, COMPLETED)
    for attempt in ([phased("x", 3), late], [late], [moved("x", 4, RUNNING, FAILED)]):
        assert refused(pair.one, *attempt) == ("x",)
    kept = pair.one.rejected("x")
    assert kept is not None
    assert kept.move == late
    assert pair.one.rejected("y") is None


def test_only_the_fenced_owners_ends_are_kept(pair: Pair, clock: FakeClock) -> None:
    """An end that is refused for another reason is kept nowhere: a stale one, a stranger's, a burier's that came second."""
    pair.one.append([*lives(["x", "y"], RUNNING), *life("done", COMPLETED)])
    stale = moved("x", 2, PENDING, FAILED)
    strange = moved("x", 3, RUNNING, COMPLETED, incarnation=OTHER_WORKER)
    nobodys = moved("nothing", 3, RUNNING, COMPLETED)
    unknown = moved("x", 3, RUNNING, COMPLETED, incarnation="nobody")
    assert refused(pair.one, stale, strange, nobodys, unknown) == ("x", "nothing")
    bury_first(pair.other, clock)
    second = moved("y", 3, RUNNING, DEAD, incarnation=OTHER_WORKER, cause=EXITED)
    again = life("done", COMPLETED)[-1]
    assert refused(pair.one, second, again, unknown) == ("y", "done", "x")
    assert [pair.one.rejected(name) for name in ("x", "y", "done", "nothing")] == [None] * 4
    assert pair.one.worker("nobody") is None


def test_requests_and_late_ends_go_with_their_execution(shared: SharedStore, pair: Pair, clock: FakeClock) -> None:
    """Retention removes an execution with what was asked and what came late about it, and with nothing else."""
    pair.one.append(lives(["old", "new"], RUNNING))
    pair.other.request_cancel("old", "a user")
    bury_first(pair.other, clock)
    refused(pair.one, moved("old", 3, RUNNING, COMPLETED), moved("new", 3, RUNNING, COMPLETED))
    small = shared.journal(Limits(retained_executions=1))
    small.append(life("last", RUNNING, incarnation=OTHER_WORKER, at_ns=seconds_later(100.0)))
    assert [one.execution_id for one in small.executions(Selection(), 10)] == ["last", "new"]
    assert small.rejected("old") is None
    assert small.rejected("new") is not None
    small.close()
