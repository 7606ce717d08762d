"""All 81 pairs, by handle and by id, on both stores: a legal move moves, an illegal one changes nothing."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import pytest

from runstate import (
    TRANSITIONS,
    Cause,
    Execution,
    ExecutionState,
    ExecutionTimeoutError,
    ExecutionTracker,
    FencedError,
    InvalidTransitionError,
    Phase,
    Transition,
    UnknownExecutionError,
)

from .clock import FakeClock
from .moves import CAUSE_OF_VERB, ILLEGAL, LEGAL, VERBS, bring_to, create, move, pair_id, path_to
from .snapshots import take

ILLEGAL_BY_HANDLE = [pair for pair in ILLEGAL if pair[1] in VERBS]
ENDS = [state for state in ExecutionState if state.is_terminal]


def check_refusal(
    error: InvalidTransitionError, execution_id: str, source: ExecutionState, target: ExecutionState
) -> None:
    """Compare an error's fields with the move that was refused."""
    assert error.execution_id == execution_id
    assert error.source is source
    assert error.target is target
    assert error.legal == tuple(state for state in ExecutionState if state in TRANSITIONS[source])
    assert source.name in str(error)
    assert all(state.name in str(error) for state in error.legal)


def check_move(
    tracker: ExecutionTracker, execution_id: str, source: ExecutionState, target: ExecutionState, seq: int
) -> None:
    """Compare what memory and the journal know with a move that was made after *seq* entries."""
    expected_cause = CAUSE_OF_VERB.get(target)
    record = tracker.get(execution_id)
    assert (record.state, record.seq, record.cause) == (target, seq + 1, expected_cause)
    tracker.flush()
    (stored,) = tracker.find(agent="moved")
    assert stored == tracker.get(execution_id)
    last = tracker.history(execution_id)[-1]
    assert (last.source, last.target, last.seq, last.cause) == (source, target, seq + 1, expected_cause)
    assert (last.evidence is not None) is target.is_terminal
    assert len(tracker.history(execution_id)) == len(path_to(source)) + 1
    assert tracker.statistics().refused == 0


@pytest.mark.parametrize("pair", LEGAL, ids=pair_id)
def test_a_legal_move_by_handle_moves(tracker: ExecutionTracker, pair: tuple[ExecutionState, ExecutionState]) -> None:
    """Each legal pair's verb gives a handle that knows the target, one more entry, and the right cause."""
    source, target = pair
    handle = bring_to(tracker, source, agent="moved")
    seq = handle.record.seq
    moved = move(handle, target)
    assert moved.known_state is target
    assert moved.state is handle.state is target
    assert moved.execution_id == handle.execution_id
    check_move(tracker, handle.execution_id, source, target, seq)


@pytest.mark.parametrize("pair", LEGAL, ids=pair_id)
def test_a_legal_move_by_id_moves(tracker: ExecutionTracker, pair: tuple[ExecutionState, ExecutionState]) -> None:
    """Each legal pair by id returns the transition that it made, one more entry, and the right cause."""
    source, target = pair
    handle = bring_to(tracker, source, agent="moved")
    seq = handle.record.seq
    made = tracker.update_execution_state(handle.execution_id, target)
    assert isinstance(made, Transition)
    assert (made.source, made.target, made.seq) == (source, target, seq + 1)
    assert handle.state is target
    check_move(tracker, handle.execution_id, source, target, seq)
    assert tracker.history(handle.execution_id)[-1] == made


@pytest.mark.parametrize("pair", ILLEGAL_BY_HANDLE, ids=pair_id)
def test_an_illegal_move_by_handle_changes_nothing(
    tracker: ExecutionTracker, pair: tuple[ExecutionState, ExecutionState]
) -> None:
    """Each illegal pair's verb raises, and all that changes is one more counted refusal."""
    source, target = pair
    handle = bring_to(tracker, source)
    before, refused = take(tracker), tracker.statistics().refused
    with pytest.raises(InvalidTransitionError) as caught:
        move(handle, target)
    check_refusal(caught.value, handle.execution_id, source, target)
    assert handle.state is handle.known_state is source
    assert take(tracker) == before
    assert tracker.statistics().refused == refused + 1


@pytest.mark.parametrize("pair", ILLEGAL, ids=pair_id)
def test_an_illegal_move_by_id_changes_nothing(
    tracker: ExecutionTracker, pair: tuple[ExecutionState, ExecutionState]
) -> None:
    """Each illegal pair by id raises, also long after the end, and all that changes is one more counted refusal."""
    source, target = pair
    handle = bring_to(tracker, source)
    before, refused = take(tracker), tracker.statistics().refused
    with pytest.raises(InvalidTransitionError) as caught:
        tracker.update_execution_state(handle.execution_id, target)
    check_refusal(caught.value, handle.execution_id, source, target)
    assert handle.state is source
    assert take(tracker) == before
    assert tracker.statistics().refused == refused + 1


def test_the_verbs_of_a_handle_are_the_table() -> None:
    """The types that each verb declares for itself and its result are exactly the rows and columns of the table."""

    def states(handle_type: Any) -> set[ExecutionState]:
        (parameter,) = get_args(handle_type)
        return {member for one in (get_args(parameter) or (parameter,)) for member in _literals(one)}

    declared: set[tuple[ExecutionState, ExecutionState]] = set()
    for target, (verb, _) in VERBS.items():
        function = inspect.unwrap(getattr(Execution, verb))
        hints = get_type_hints(function)
        assert states(hints["return"]) == {target}
        declared |= {(source, target) for source in states(hints["self"])}
    assert declared == set(LEGAL)


def _literals(annotation: Any) -> set[ExecutionState]:
    found = get_args(annotation)
    return {annotation} if not found else {member for part in found for member in _literals(part)}


def test_no_verb_leads_to_pending() -> None:
    """Every method of a handle is a verb of another state, or moves nothing: PENDING cannot be entered."""
    verbs = {verb for verb, _ in VERBS.values()}
    methods = {name for name, member in inspect.getmembers(Execution, callable) if not name.startswith("_")}
    assert methods - verbs == {"heartbeat", "phase", "expect"}
    assert ExecutionState.PENDING not in VERBS


def test_a_stale_handle_changes_nothing(tracker: ExecutionTracker) -> None:
    """The old variable after a move raises, even for a move that would be legal, and names what it knows and what is."""
    pending = create(tracker)
    starting = pending.start()
    running = starting.run()
    before = take(tracker)
    for stale, verb in ((pending, "cancel"), (pending, "run"), (starting, "run"), (starting, "die")):
        with pytest.raises(
            InvalidTransitionError, match=f"knows {stale.known_state.name}.*moved on to RUNNING"
        ) as caught:
            getattr(stale, verb)()
        assert caught.value.source is ExecutionState.RUNNING
    assert take(tracker) == before
    assert running.state is ExecutionState.RUNNING
    assert tracker.statistics().refused == 4


@pytest.mark.parametrize("end", ENDS, ids=lambda state: state.name)
def test_an_end_by_id_fences_the_handle(tracker: ExecutionTracker, end: ExecutionState) -> None:
    """Once a caller has ended an execution by id, its handle's moves, beats and phases say who did it and change nothing."""
    running = bring_to(tracker, ExecutionState.RUNNING)
    made = tracker.update_execution_state(running.execution_id, end)
    before = take(tracker)
    expected = ExecutionTimeoutError if end is ExecutionState.TIMEOUT else FencedError
    calls = [
        lambda verb=verb, arguments=arguments: getattr(running, verb)(*arguments) for verb, arguments in VERBS.values()
    ]
    for call in [*calls, running.heartbeat, lambda: running.phase(Phase.THINKING)]:
        with pytest.raises(FencedError) as caught:
            call()
        error = caught.value
        assert type(error) is expected
        assert (error.execution_id, error.state, error.cause) == (running.execution_id, end, made.cause)
        assert (error.observer, error.ended_at_ns) == ("caller", made.at_ns)
    assert take(tracker) == before
    assert tracker.statistics().refused == len(VERBS) + 2


@pytest.mark.parametrize("end", ENDS, ids=lambda state: state.name)
def test_after_its_own_end_a_handle_beats_no_more(tracker: ExecutionTracker, end: ExecutionState) -> None:
    """A beat and a phase after the end are refused and change nothing."""
    ended = bring_to(tracker, end)
    before = take(tracker)
    for call in (ended.heartbeat, lambda: ended.phase(Phase.THINKING)):
        with pytest.raises(FencedError):
            call()
    assert take(tracker) == before
    assert tracker.statistics().refused == 2


SIGNS: dict[str, Callable[[Execution[Any], ExecutionTracker], object]] = {
    "beat": lambda running, tracker: running.heartbeat(),
    "phase": lambda running, tracker: running.phase(Phase.THINKING),
    "move by handle": lambda running, tracker: running.finish(),
    "move by id": lambda running, tracker: tracker.update_execution_state(
        running.execution_id, ExecutionState.COMPLETING
    ),
}


@pytest.mark.parametrize("sign", SIGNS.values(), ids=SIGNS)
def test_what_happens_is_a_sign_of_life(
    tracker: ExecutionTracker, clock: FakeClock, sign: Callable[[Execution[Any], ExecutionTracker], object]
) -> None:
    """A beat, a phase and a move, by handle or by id, each push a heartbeat limit back to its full length from then on."""
    running = create(tracker, heartbeat_timeout=10).run()
    clock.advance(9)
    sign(running, tracker)
    clock.advance(9)
    assert tracker.sweep() == 0
    clock.advance(1)
    assert tracker.sweep() == 1
    record = tracker.get(running.execution_id)
    assert record.evidence is not None
    assert (record.cause, record.evidence.last_beat_age) == (Cause.NO_HEARTBEAT, 10.0)


@pytest.mark.parametrize("pair", LEGAL, ids=pair_id)
def test_a_handle_and_the_journal_tell_the_same(
    tracker: ExecutionTracker, clock: FakeClock, pair: tuple[ExecutionState, ExecutionState]
) -> None:
    """After each legal move the record in memory, with its times and evidence, equals the one that the journal folds."""
    source, target = pair
    handle = bring_to(tracker, source, agent="moved", metadata={"a": 1}, timeout=1_000, heartbeat_timeout=500)
    handle.phase(Phase.TOOL_EXECUTION, "search")
    clock.advance(1.5)
    moved = move(handle, target)
    tracker.flush()
    (stored,) = tracker.find(agent="moved")
    assert moved.record == handle.record == stored
    assert stored.updated_at_ns - stored.created_at_ns == 1_500_000_000
    assert stored.duration == (1.5 if target.is_terminal else None)
    if stored.evidence is not None:
        assert stored.evidence[:5] == ("owner", 0, 1.5, Phase.TOOL_EXECUTION, "search")


def test_a_refused_move_is_no_sign_of_life(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """An illegal or stale move does not push a heartbeat limit back."""
    pending = create(tracker, heartbeat_timeout=10)
    running = pending.run()
    clock.advance(6)
    for refused in (lambda: move(running, ExecutionState.STARTING), lambda: move(pending, ExecutionState.FAILED)):
        with pytest.raises(InvalidTransitionError):
            refused()
    clock.advance(4)
    assert tracker.sweep() == 1
    assert tracker.get(running.execution_id).cause is Cause.NO_HEARTBEAT


def test_an_unknown_id_is_refused(tracker: ExecutionTracker) -> None:
    """Moving an execution that nobody created is an UnknownExecutionError with the id, for every state."""
    create(tracker)
    before = take(tracker)
    for state in ExecutionState:
        with pytest.raises(UnknownExecutionError) as caught:
            tracker.update_execution_state("019a0000-0000-7000-8000-000000000000", state)
        assert caught.value.execution_id == "019a0000-0000-7000-8000-000000000000"
    assert take(tracker) == before


def race(tracker: ExecutionTracker, running: Execution[Any]) -> list[ExecutionState]:
    """End one execution in as many threads as there are ends, every other one by id; return the ends that were taken."""
    start = threading.Barrier(len(ENDS))
    won: list[ExecutionState] = []
    lost: list[Exception] = []

    def end(target: ExecutionState, by_id: bool) -> None:
        start.wait()
        try:
            if by_id:
                tracker.update_execution_state(running.execution_id, target)
            else:
                move(running, target)
        except (InvalidTransitionError, FencedError) as error:
            lost.append(error)
        else:
            won.append(target)

    threads = [threading.Thread(target=end, args=(target, bool(place % 2))) for place, target in enumerate(ENDS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) + len(lost) == len(ENDS)
    return won


def test_racing_ends_have_one_winner(tracker: ExecutionTracker) -> None:
    """Of five threads that end one execution at once, by handle and by id, one wins and four are told so, always."""
    rounds = 40
    for _ in range(rounds):
        running = bring_to(tracker, ExecutionState.RUNNING)
        won = race(tracker, running)
        assert len(won) == 1
        assert tracker.get(running.execution_id).state is won[0]
        assert [entry.target for entry in tracker.history(running.execution_id)] == [ExecutionState.RUNNING, won[0]]
    statistics = tracker.statistics()
    assert (statistics.created, statistics.live, sum(statistics.ended.values())) == (rounds, 0, rounds)
    assert statistics.refused == rounds * (len(ENDS) - 1)
