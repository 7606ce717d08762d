"""The one table, compared with a second, independent writing of it: the one that people read."""

from __future__ import annotations

import copy
import pickle
from enum import Enum, StrEnum

import pytest

from runstate import CAUSES, TRANSITIONS, Cause, ExecutionState, Phase
from runstate._states import INITIAL, LIVE, REPORTED_CAUSE, TERMINAL, in_table_order

from .moves import ILLEGAL, LEGAL, PAIRS, pair_id

DESIGN = """
PENDING    -> STARTING RUNNING FAILED TIMEOUT DEAD CANCELLED
STARTING   -> RUNNING FAILED TIMEOUT DEAD CANCELLED
RUNNING    -> COMPLETING COMPLETED FAILED TIMEOUT DEAD CANCELLED
COMPLETING -> COMPLETED FAILED TIMEOUT DEAD CANCELLED
COMPLETED  ->
FAILED     ->
TIMEOUT    ->
DEAD       ->
CANCELLED  ->
"""

DESIGNED = {line.split()[0]: set(line.split()[2:]) for line in DESIGN.strip().splitlines()}


class LegacyState(Enum):
    """Another enumeration with the same names and values, as the replaced trackers had."""

    PENDING = "pending"
    RUNNING = "running"
    FAILED = "failed"


class LegacyTextState(StrEnum):
    """The same as text."""

    RUNNING = "running"


def test_the_states_are_the_nine_of_the_design_in_its_order() -> None:
    """There are nine states, in the design's order, and each value is the name in lower case."""
    names = [state.name for state in ExecutionState]
    assert names == list(DESIGNED)
    assert [state.value for state in ExecutionState] == [name.lower() for name in DESIGNED]
    assert len(ExecutionState.__members__) == 9, "no member is an alias of another"


@pytest.mark.parametrize("pair", PAIRS, ids=pair_id)
def test_each_pair_is_legal_exactly_where_the_design_says_so(pair: tuple[ExecutionState, ExecutionState]) -> None:
    """Each of the 81 pairs is in the table if and only if it is in the design."""
    source, target = pair
    assert (target in TRANSITIONS[source]) is (target.name in DESIGNED[source.name])


def test_the_counts_of_the_pairs_are_those_of_the_design() -> None:
    """Of 81 pairs 22 are legal and 59 are not."""
    assert (len(PAIRS), len(LEGAL), len(ILLEGAL)) == (81, 22, 59)


def test_the_table_has_a_row_for_every_state_and_for_nothing_else() -> None:
    """No state is missing in the table and nothing foreign is in it."""
    assert list(TRANSITIONS) == list(ExecutionState)
    assert all(target.__class__ is ExecutionState for targets in TRANSITIONS.values() for target in targets)


def test_no_way_leads_back() -> None:
    """From no state can legal moves lead to that state again, so each is entered at most once."""
    for state in ExecutionState:
        reached: set[ExecutionState] = set()
        ahead = set(TRANSITIONS[state])
        while ahead:
            reached |= ahead
            ahead = {target for source in ahead for target in TRANSITIONS[source]} - reached
        assert state not in reached


def test_every_state_can_be_reached_and_every_live_one_can_end() -> None:
    """Every state but PENDING has a predecessor, and the four unhappy ends can be reached from every live state."""
    reached = {target for targets in TRANSITIONS.values() for target in targets}
    assert reached == set(ExecutionState) - {ExecutionState.PENDING}
    unhappy = {ExecutionState.FAILED, ExecutionState.TIMEOUT, ExecutionState.DEAD, ExecutionState.CANCELLED}
    assert all(unhappy <= TRANSITIONS[state] for state in ExecutionState if not state.is_terminal)


def test_terminal_live_and_initial_follow_from_the_table() -> None:
    """`is_terminal` is true for the five states without a successor and for no other."""
    ends = {name for name, targets in DESIGNED.items() if not targets}
    assert {state.name for state in ExecutionState if state.is_terminal} == ends == {state.name for state in TERMINAL}
    assert set(ExecutionState) - TERMINAL == LIVE
    assert INITIAL is ExecutionState.PENDING


def test_the_table_cannot_be_changed() -> None:
    """Neither the table nor a row of it takes a change."""
    for table in (TRANSITIONS, CAUSES):
        with pytest.raises(TypeError):
            table[ExecutionState.PENDING] = frozenset()  # type: ignore[index]
        with pytest.raises(AttributeError):
            table.clear()  # type: ignore[attr-defined]
        assert all(type(row) is frozenset for row in table.values())


@pytest.mark.parametrize(
    "foreign", ["running", "RUNNING", LegacyState.RUNNING, LegacyTextState.RUNNING, None, 3, b"running"]
)
def test_the_table_knows_no_foreign_value(foreign: object) -> None:
    """A str that spells a state, another enumeration's member and other values are in no row and have none."""
    assert foreign not in TRANSITIONS
    assert all(foreign not in targets for targets in TRANSITIONS.values())
    assert all(foreign != state for state in ExecutionState)


def test_an_unhashable_value_is_refused_by_the_table() -> None:
    """A dict where a state belongs is a TypeError of the lookup itself, never a false `in`."""
    outcome: object = {"success": False, "completed": True}
    with pytest.raises(TypeError):
        outcome in TRANSITIONS[ExecutionState.RUNNING]  # noqa: B015


@pytest.mark.parametrize("enumeration", [ExecutionState, Phase, Cause])
def test_members_are_plain_singletons(enumeration: type[Enum]) -> None:
    """Members are neither str nor int, hash by identity, and survive pickling and copying as themselves."""
    assert not issubclass(enumeration, str | int)
    for member in enumeration:
        assert hash(member) == object.__hash__(member)
        assert pickle.loads(pickle.dumps(member)) is member
        assert copy.copy(member) is copy.deepcopy(member) is member
        assert enumeration(member.value) is member
        assert member.value == member.name.lower()


@pytest.mark.parametrize("value", ["unknown", "", "RUNNING", None, 0, {"success": False}])
def test_no_unknown_value_becomes_a_state(value: object) -> None:
    """An unknown value is a ValueError, never a default."""
    with pytest.raises(ValueError, match="is not a valid ExecutionState"):
        ExecutionState(value)


def test_a_phase_never_repeats_the_name_of_a_state() -> None:
    """No phase can be mistaken for a state, and the phases are the design's seven."""
    assert {phase.value for phase in Phase}.isdisjoint(state.value for state in ExecutionState)
    assert [phase.name for phase in Phase] == [
        "WEBSOCKET_SETUP",
        "CONTEXT_VALIDATION",
        "THINKING",
        "TOOL_PREPARATION",
        "LLM_INTERACTION",
        "TOOL_EXECUTION",
        "RESULT_PROCESSING",
    ]


def test_causes_belong_to_ends_and_every_cause_to_one() -> None:
    """Each terminal state accepts some causes, no live state has any, and no cause is left over."""
    assert set(CAUSES) == TERMINAL
    assert all(CAUSES[state] for state in CAUSES)
    assert {cause for causes in CAUSES.values() for cause in causes} == set(Cause)
    assert CAUSES[ExecutionState.COMPLETED] == {Cause.RETURNED, Cause.FALLBACK}, (
        "only a function's return completes one"
    )


def test_the_cause_of_a_report_is_one_that_its_state_accepts() -> None:
    """For each end, the cause taken when a caller names none is in its row of causes."""
    assert set(REPORTED_CAUSE) == set(CAUSES)
    assert all(cause in CAUSES[state] for state, cause in REPORTED_CAUSE.items())


def test_table_order_does_not_depend_on_hashes() -> None:
    """States are listed in the table's order, whatever set they come from."""
    assert in_table_order(frozenset(reversed(list(ExecutionState)))) == tuple(ExecutionState)
    assert in_table_order(frozenset()) == ()
