"""Moving an execution by its id."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from functools import partial
from typing import Any, cast, final

from runstate import Cause, ExecutionState, ExecutionTracker, Phase


class LegacyState(Enum):
    """Another tracker's enum with the same names."""

    RUNNING = "running"
    FAILED = "failed"


def dict_as_state(tracker: ExecutionTracker, execution_id: str) -> None:
    """A dict is given as the state (issue #305)."""
    tracker.update_execution_state(execution_id, {"success": False, "completed": True})  # wrong


def str_as_state(tracker: ExecutionTracker, execution_id: str) -> None:
    """A text is given as the state."""
    tracker.update_execution_state(execution_id, "failed")  # wrong


def other_enum_as_state(tracker: ExecutionTracker, execution_id: str) -> None:
    """The member of another enum, with the same name and value, is given as the state."""
    tracker.update_execution_state(execution_id, LegacyState.FAILED)  # wrong


def value_as_state(tracker: ExecutionTracker, execution_id: str) -> None:
    """A state's value is given as the state."""
    tracker.update_execution_state(execution_id, ExecutionState.FAILED.value)  # wrong


def none_as_state(tracker: ExecutionTracker, execution_id: str) -> None:
    """None is given as the state."""
    tracker.update_execution_state(execution_id, None)  # wrong


def bool_as_state(tracker: ExecutionTracker, execution_id: str, *, succeeded: bool = True) -> None:
    """A success flag is given as the state."""
    tracker.update_execution_state(execution_id, succeeded)  # wrong


def phase_as_state(tracker: ExecutionTracker, execution_id: str) -> None:
    """A phase is given as the state."""
    tracker.update_execution_state(execution_id, Phase.THINKING)  # wrong


def cause_as_state(tracker: ExecutionTracker, execution_id: str) -> None:
    """A cause is given as the state."""
    tracker.update_execution_state(execution_id, Cause.RAISED)  # wrong


def class_as_state(tracker: ExecutionTracker, execution_id: str) -> None:
    """The enum itself is given as the state."""
    tracker.update_execution_state(execution_id, ExecutionState)  # wrong


def optional_state(tracker: ExecutionTracker, execution_id: str, wanted: ExecutionState | None = None) -> None:
    """A state that may be missing is given unchecked."""
    tracker.update_execution_state(execution_id, wanted)  # wrong


def any_as_state(tracker: ExecutionTracker, execution_id: str, loose: Any) -> None:  # wrong
    """A value of type Any is given as the state."""
    tracker.update_execution_state(execution_id, loose)  # wrong


def any_out_of_a_dict(tracker: ExecutionTracker, execution_id: str, event: dict[str, Any]) -> None:
    """What comes out of a `dict[str, Any]` is given as the state."""
    tracker.update_execution_state(execution_id, event["state"])  # wrong


def any_in_a_union(tracker: ExecutionTracker, execution_id: str, union: ExecutionState | Any) -> None:
    """A union with Any in it is given as the state."""
    tracker.update_execution_state(execution_id, union)  # wrong


def any_by_keywords(tracker: ExecutionTracker, event: dict[str, Any]) -> None:
    """All arguments come out of a `dict[str, Any]`, by `**`."""
    tracker.update_execution_state(**event)  # wrong


def any_by_positions(tracker: ExecutionTracker, values: list[Any]) -> None:
    """All arguments come out of a `list[Any]`, by `*`."""
    tracker.update_execution_state(*values)  # wrong


def any_through_an_alias(tracker: ExecutionTracker, execution_id: str, loose: Any) -> None:  # wrong
    """A value of type Any is given to a variable that holds the method."""
    move = tracker.update_execution_state
    move(execution_id, loose)  # wrong


@final
class Mover:
    """Keeps the method."""

    def __init__(self, tracker: ExecutionTracker) -> None:
        self.move = tracker.update_execution_state


def any_through_an_attribute(tracker: ExecutionTracker, execution_id: str, loose: Any) -> None:  # wrong
    """A value of type Any is given to an attribute that holds the method."""
    Mover(tracker).move(execution_id, loose)  # wrong


def any_through_partial(tracker: ExecutionTracker, execution_id: str, loose: Any) -> None:  # wrong
    """A value of type Any is given as the state, through `functools.partial`."""
    partial(tracker.update_execution_state, execution_id)(loose)  # wrong


async def any_through_a_thread(tracker: ExecutionTracker, execution_id: str, loose: Any) -> None:  # wrong
    """A value of type Any is given as the state, through `asyncio.to_thread`."""
    await asyncio.to_thread(tracker.update_execution_state, execution_id, loose)  # wrong


async def any_through_an_executor(tracker: ExecutionTracker, execution_id: str, loose: Any) -> None:  # wrong
    """A value of type Any is given as the state, through `run_in_executor`."""
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, tracker.update_execution_state, execution_id, loose)  # wrong


def any_through_a_pool(tracker: ExecutionTracker, execution_id: str, loose: Any) -> None:  # wrong
    """A value of type Any is given as the state, through `submit`."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(tracker.update_execution_state, execution_id, loose).result()  # wrong


def any_as_id(tracker: ExecutionTracker, loose: Any) -> None:  # wrong
    """A value of type Any is given as the id."""
    tracker.get(loose)  # wrong


def any_by_map(tracker: ExecutionTracker, values: list[Any]) -> None:
    """A method is mapped over a `list[Any]`.

    Why: `map` is what is called, and to it a value of type Any is a good argument.
    """
    list(map(tracker.get, values))  # wrong


def cast_to_state(tracker: ExecutionTracker, execution_id: str, loose: object) -> None:
    """A cast claims that a value is a state.

    Why: a cast is how a program tells a checker to believe it.
    """
    tracker.update_execution_state(execution_id, cast("ExecutionState", loose))  # wrong


def method_by_name(tracker: ExecutionTracker, execution_id: str) -> None:
    """The method is looked up by a name that is put together, so that nothing is known of it.

    Why: what `getattr` returns is Any, and so no call of the public API in the eyes of a checker.
    """
    getattr(tracker, "_".join(("update", "execution", "state")))(execution_id, "failed")  # wrong


def partial_with_str(tracker: ExecutionTracker, execution_id: str) -> None:
    """A text is given as the state, through `functools.partial`."""
    partial(tracker.update_execution_state, execution_id)("failed")  # wrong


def misspelled_state(tracker: ExecutionTracker, execution_id: str) -> None:
    """A state that does not exist."""
    tracker.update_execution_state(execution_id, ExecutionState.SUCCESS)  # wrong


def misspelled_method(tracker: ExecutionTracker, execution_id: str) -> None:
    """A method that does not exist."""
    tracker.update_state(execution_id, ExecutionState.FAILED)  # wrong


def swapped_arguments(tracker: ExecutionTracker, execution_id: str) -> None:
    """The state comes first and the id second."""
    tracker.update_execution_state(ExecutionState.FAILED, execution_id)  # wrong


def missing_state(tracker: ExecutionTracker, execution_id: str) -> None:
    """No state is given."""
    tracker.update_execution_state(execution_id)  # wrong


def wrong_keyword(tracker: ExecutionTracker, execution_id: str) -> None:
    """The state is given by a keyword that does not exist."""
    tracker.update_execution_state(execution_id, status=ExecutionState.FAILED)  # wrong


def positional_error(tracker: ExecutionTracker, execution_id: str) -> None:
    """The error is given without its keyword."""
    tracker.update_execution_state(execution_id, ExecutionState.FAILED, "too late")  # wrong


def dict_as_error(tracker: ExecutionTracker, execution_id: str) -> None:
    """A dict is given as the error."""
    tracker.update_execution_state(execution_id, ExecutionState.FAILED, error={"code": 1})  # wrong


def str_as_cause(tracker: ExecutionTracker, execution_id: str) -> None:
    """A text is given as the cause."""
    tracker.update_execution_state(execution_id, ExecutionState.FAILED, cause="raised")  # wrong


def cause_of_another_state(tracker: ExecutionTracker, execution_id: str) -> None:
    """The cause is one of another state's.

    Why: which causes go with which state is said by `CAUSES`, a value; the parameters have no types that depend on each other.
    """
    tracker.update_execution_state(execution_id, ExecutionState.FAILED, cause=Cause.SHUTDOWN)  # wrong


def dict_as_evidence(tracker: ExecutionTracker, execution_id: str) -> None:
    """A dict is given as the evidence."""
    tracker.update_execution_state(execution_id, ExecutionState.DEAD, evidence={"observer": "me"})  # wrong


def error_of_a_success(tracker: ExecutionTracker, running_id: str) -> None:
    """A success is reported with an error.

    Why: as for causes: which details go with which state is decided by values.
    """
    tracker.update_execution_state(running_id, ExecutionState.COMPLETED, error="no seat")  # wrong


def skipped_state(tracker: ExecutionTracker) -> None:
    """An execution that was just created is moved to COMPLETED by its id."""
    run = tracker.create(agent="airline", thread_id="t-1", user_id="u-1")
    tracker.update_execution_state(run.execution_id, ExecutionState.COMPLETED)  # wrong


def second_end(tracker: ExecutionTracker) -> None:
    """An execution that was just created is ended twice by its id."""
    run = tracker.create(agent="airline", thread_id="t-1", user_id="u-1")
    tracker.update_execution_state(run.execution_id, ExecutionState.CANCELLED)
    tracker.update_execution_state(run.execution_id, ExecutionState.FAILED)  # wrong


def one_of_two_ends(tracker: ExecutionTracker, *, succeeded: bool = True) -> None:
    """An execution that was just created is moved by its id to one of two states, of which one cannot come next."""
    run = tracker.create(agent="airline", thread_id="t-1", user_id="u-1")
    state = ExecutionState
    tracker.update_execution_state(run.execution_id, state.COMPLETED if succeeded else state.FAILED)  # wrong


def start_the_block_again(tracker: ExecutionTracker) -> None:
    """The execution of a block, which runs, is started by its id."""
    with tracker.execution(agent="airline", thread_id="t-1", user_id="u-1") as run:
        tracker.update_execution_state(run.execution_id, ExecutionState.STARTING)  # wrong
        run.complete("LH 400")


def back_to_pending(tracker: ExecutionTracker, running_id: str) -> None:
    """An execution is moved to PENDING, to which no move leads."""
    tracker.update_execution_state(running_id, ExecutionState.PENDING)  # wrong


def end_after_the_end(tracker: ExecutionTracker, running_id: str) -> None:
    """An execution is ended twice by an id that comes from elsewhere."""
    tracker.update_execution_state(running_id, ExecutionState.COMPLETED)
    tracker.update_execution_state(running_id, ExecutionState.FAILED)  # wrong


def number_as_id(tracker: ExecutionTracker) -> None:
    """A number is given as the id."""
    tracker.update_execution_state(7, ExecutionState.FAILED)  # wrong


def id_of_nothing(tracker: ExecutionTracker) -> None:
    """An id that no execution has.

    Why: which executions there are is known when the program runs.
    """
    tracker.update_execution_state("e-1", ExecutionState.FAILED)  # wrong


def str_as_filter(tracker: ExecutionTracker) -> None:
    """Executions are looked for by a text as the state."""
    tracker.find(state="running")  # wrong


def no_annotations(tracker, execution_id, state) -> None:  # wrong
    """A function without annotations, whose arguments are Any."""
    tracker.update_execution_state(execution_id, state)  # wrong
