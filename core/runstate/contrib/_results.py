"""What is recorded of a run's output: the JSON form of it, a mark that it waits for somebody, or a mark that it could not be kept.

A run that pauses for a human has really returned: the framework holds nothing but a state that may be resumed in days, in another
process, or never. An execution that stayed live for that long would be TIMEOUT, or DEAD with its process, and neither is true. So a
pause is an end, COMPLETED, whose result says what is waited for; the run that resumes it is an execution of its own, linked
by its metadata.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias

from runstate import Execution, ExecutionRecord, ExecutionState, InvalidValueError, JournalFullError, Json, NotJsonError

Running: TypeAlias = Execution[Literal[ExecutionState.RUNNING]]
"""The handle of a run."""

PAUSED: Final = "runstate:paused"
"""The one key of the result of a run that waits for somebody."""
UNRECORDED: Final = "runstate:unrecorded"
"""The one key of the result of a run whose output could not be kept; its value says why."""
RESUMES: Final = "resumes"
"""The key in the metadata of a run that goes on where another has paused: the id of that execution."""


def plain(value: object) -> object:
    """The JSON form of a value, as pydantic writes it: models become objects, dates and what is unknown become text."""
    if value is None or type(value) is str:
        return value
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, bytes_mode="base64", inf_nan_mode="strings", serialize_unknown=True)


def check_json(name: str, facts: Mapping[str, object]) -> None:
    """Accept what JSON carries unchanged, as the tracker does when it creates an execution.

    Args:
        name: What it is called.
        facts: What was given.

    Raises:
        NotJsonError: It would not come back equal.
    """
    if not facts:
        return
    from pydantic_core import from_json, to_json

    for key, value in facts.items():
        try:
            is_kept = bool(
                from_json(to_json({key: value}, inf_nan_mode="constants"), allow_inf_nan=False) == {key: value}
            )
        except Exception as error:  # a foreign value may raise anything
            raise NotJsonError(name, value, f"$.{key}", str(error).partition("\n")[0]) from error
        if not is_kept:
            raise NotJsonError(name, value, f"$.{key}", "it would read back changed")


def complete(handle: Running, result: Callable[[], object]) -> Exception | None:
    """Complete an execution with its result; return why the result cannot be kept, if so. Then the execution is as it was.

    Args:
        handle: The execution.
        result: Makes its result; may raise anything.

    Raises:
        RunstateError: It cannot be completed, whatever the result.
    """
    try:
        made = result()
    except Exception as error:  # noqa: BLE001 - returned
        return error
    try:
        handle.complete(made)
    except (InvalidValueError, JournalFullError) as error:
        return error
    return None


def complete_without(handle: Running, unkept: Exception) -> None:
    """Complete an execution whose result cannot be kept: the run did return, which is recorded.

    Args:
        handle: The execution.
        unkept: Why it cannot be kept.

    Raises:
        RunstateError: It cannot be completed, whatever the result.
    """
    try:
        handle.complete({UNRECORDED: f"{type(unkept).__name__}: {unkept}"[:200]})
    except (InvalidValueError, JournalFullError):
        handle.complete()


def paused(record: ExecutionRecord) -> Json:
    """What the run of an execution was waiting for when it returned; None if it was not paused.

    Args:
        record: The execution, as `tracker.get` and `tracker.find` give it.
    """
    result = record.result if record.state is ExecutionState.COMPLETED else None
    if isinstance(result, dict) and list(result) == [PAUSED]:
        return result[PAUSED]
    return None
