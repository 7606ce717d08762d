"""Reading states, records and the table."""

from __future__ import annotations

from enum import Enum
from typing import Literal

from runstate import TRANSITIONS, Completed, Execution, ExecutionRecord, ExecutionState, ExecutionTracker, Transition


class LegacyState(Enum):
    """Another tracker's enum with the same names."""

    RUNNING = "running"


def compare_with_text(running: Execution[Literal[ExecutionState.RUNNING]]) -> None:
    """A state is compared with a text.

    Unchecked: two objects may always be compared; the answer is False.
    """
    print(running.state == "running")  # wrong


def compare_with_value(moved: Transition) -> None:
    """A state is compared with a state's value.

    Unchecked: as above.
    """
    print(moved.target is ExecutionState.RUNNING.value)  # wrong


def compare_with_other_enum(record: ExecutionRecord) -> None:
    """A state is compared with another enum's member of the same name.

    Unchecked: as above.
    """
    print(record.state == LegacyState.RUNNING)  # wrong


def compare_with_texts(record: ExecutionRecord) -> None:
    """A state is looked for among texts.

    Unchecked: as above.
    """
    print(record.state in ("completed", "failed"))  # wrong


def compare_phase_with_text(record: ExecutionRecord) -> None:
    """A phase that may be missing is compared with a text.

    Unchecked: as above.
    """
    print(record.phase == "thinking")  # wrong


def value_of_a_dict() -> None:
    """The value of a dict is read as if it were a state."""
    state = {"success": False, "completed": True}
    print(state.value)  # wrong


def key_of_a_record(record: ExecutionRecord) -> None:
    """A record is read as if it were a dict."""
    print(record["state"])  # wrong


def missing_phase(record: ExecutionRecord) -> None:
    """A phase that may be missing is taken for granted."""
    print(record.phase.name)  # wrong


def missing_duration(record: ExecutionRecord) -> None:
    """A duration that is missing while the execution is live is taken for granted."""
    print(record.duration + 1.0)  # wrong


def result_taken_for_a_dict(record: ExecutionRecord) -> None:
    """A result that is any JSON is taken for an object."""
    print(record.result["text"])  # wrong


def attribute_of_a_record(record: ExecutionRecord) -> None:
    """A field that does not exist."""
    print(record.status)  # wrong


def record_is_changed(record: ExecutionRecord) -> None:
    """A record's state is assigned."""
    record.state = ExecutionState.COMPLETED  # wrong


def transition_is_changed(moved: Transition) -> None:
    """A transition's target is assigned."""
    moved.target = ExecutionState.COMPLETED  # wrong


def outcome_is_changed(completed_outcome: Completed[str]) -> None:
    """An outcome's result is assigned."""
    completed_outcome.result = "LH 401"  # wrong


def transition_by_hand() -> None:
    """A transition is made by hand, of a text.

    Unchecked: a tuple takes what it is given; no call takes it for a move.
    """
    print(Transition("e-1", 2, 0, "pending", ExecutionState.COMPLETED, "w-1"))  # wrong


def record_by_hand() -> None:
    """A record is made by hand, with a text as its state.

    Unchecked: a frozen record takes what it is given; no journal takes it for one of its own.
    """
    print(ExecutionRecord("e-1", "airline", "t-1", "u-1", "running", 1, 0, 0, "w-1"))  # wrong


def state_by_value(text: str) -> None:
    """A state is made of a text that is none.

    Why: which texts are values of states is seen when the program runs.
    """
    print(ExecutionState(text))  # wrong


def more_states() -> None:
    """The enum is extended."""

    class MoreStates(ExecutionState):  # wrong
        PAUSED = "paused"


def state_is_replaced() -> None:
    """A member of the enum is assigned."""
    ExecutionState.RUNNING = ExecutionState.COMPLETED  # wrong


def table_is_changed() -> None:
    """A row of the table is replaced."""
    TRANSITIONS[ExecutionState.COMPLETED] = frozenset({ExecutionState.PENDING})  # wrong


def row_is_changed() -> None:
    """A move is added to a row of the table."""
    TRANSITIONS[ExecutionState.RUNNING].add(ExecutionState.PENDING)  # wrong


def table_by_text() -> None:
    """A row of the table is looked up by a text."""
    print(TRANSITIONS["running"])  # wrong


def subscription_by_position(tracker: ExecutionTracker) -> None:
    """A subscription is given its position without the keyword."""
    tracker.subscribe(5)  # wrong


def subscription_to_a_state(tracker: ExecutionTracker) -> None:
    """A subscription is asked for what it cannot filter by."""
    tracker.subscribe(state=ExecutionState.RUNNING)  # wrong
