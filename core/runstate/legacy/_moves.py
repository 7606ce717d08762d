"""A legacy report of a state, made of legal moves.

The old trackers let any state follow any other. What can be reached over legal moves is walked, move by move, each in the
journal; what cannot (back from COMPLETED, say) is refused by the core. What a report says beside its state is kept, also
where the core has no place for it: an error beside COMPLETED, a result beside FAILED, either beside a live state.
"""

from __future__ import annotations

from functools import partial
from typing import Final, NamedTuple

from .. import (
    Cause,
    Evidence,
    ExecutionState,
    ExecutionTracker,
    InvalidTransitionError,
    NotJsonError,
    UnknownExecutionError,
)
from ._life import UNSET, Life
from ._refusals import logger
from ._states import next_step, require_state

_COMPLETED: Final = ExecutionState.COMPLETED
_OBSERVED: Final = frozenset({ExecutionState.TIMEOUT, ExecutionState.DEAD})
CALLER: Final = "caller"


def as_json(name: str, value: object) -> object:
    """Turn a value of any kind into one that JSON carries: what cannot be carried is described by its `repr`."""
    from pydantic_core import to_jsonable_python

    logger.info("%s of type %s is not JSON: the journal keeps it converted", name, type(value).__qualname__)
    try:
        converted: object = to_jsonable_python(value, fallback=repr, inf_nan_mode="strings")
    except Exception as error:  # noqa: BLE001 - it refers to itself, or its repr is broken: foreign code may raise anything
        return f"<{type(value).__qualname__} that cannot be described: {type(error).__name__}>"
    return converted


def move(
    tracker: ExecutionTracker,
    life: Life,
    target: object,
    *,
    error: object = UNSET,
    result: object = UNSET,
    cause: Cause | None = None,
    evidence: Evidence | None = None,
) -> None:
    """Take an execution to a state, through the legal moves on the way.

    Args:
        tracker: The core.
        life: The execution.
        target: The state wanted.
        error: What went wrong: a text or an exception; `UNSET` is none.
        result: The answer; `UNSET` is none, while None, 0 and "" are answers.
        cause: As for `ExecutionTracker.update_execution_state`.
        evidence: As for the same.

    Raises:
        StateTypeError: *target* is no `ExecutionState`.
        RunstateError: The core refuses; nothing further was changed.
    """
    state = require_state(target)
    if life.execution is None:
        tracker.update_execution_state(life.execution_id, state)  # refused: it has ended, or another process owns it
        raise UnknownExecutionError(life.execution_id)  # it was pruned in between
    if state in _OBSERVED and evidence is None:
        record = life.record
        evidence = Evidence(CALLER, life.beats, life.silent(), record.phase, record.phase_detail)
    report = _NO_REPORT
    if state.is_terminal:
        said = error if isinstance(error, str | BaseException) else str(error)
        report = _Report(
            None if error is UNSET or state is _COMPLETED else said,
            None if result is UNSET or state is not _COMPLETED else result,
            cause,
            evidence,
        )
    _walk(tracker, life, state, report)
    if result is not UNSET:
        life.result = result
    if error is not UNSET:
        life.error = error if isinstance(error, str) else str(error)


class _Report(NamedTuple):
    """What is said beside a state, as the core takes it."""

    error: str | BaseException | None = None
    result: object = None
    cause: Cause | None = None
    evidence: Evidence | None = None


_NO_REPORT: Final = _Report()


def _walk(tracker: ExecutionTracker, life: Life, target: ExecutionState, report: _Report) -> None:
    while True:
        source = life.state
        if source is target and not source.is_terminal:
            life.sign()
            return
        step = next_step(source, target)
        try:
            _step(tracker, life, step, report if step is target else _NO_REPORT)
        except InvalidTransitionError:
            if life.state is source or life.state.is_terminal:
                raise
            continue  # somebody else has moved it on meanwhile: look again from there
        if not step.is_terminal:
            life.sign()
        if step is target:
            return


def _step(tracker: ExecutionTracker, life: Life, step: ExecutionState, report: _Report) -> None:
    error, result, cause, evidence = report
    move_to = partial(
        tracker.update_execution_state, life.execution_id, step, error=error, cause=cause, evidence=evidence
    )
    try:
        move_to(result=result)
    except NotJsonError:
        move_to(result=as_json("result", result))
