"""What a caller reports of an execution by its id, checked before anything is decided.

Details belong to ends: a result to COMPLETED, an error to the unhappy ones, cause and evidence to all of them. A detail that the
state has no place for is refused, never dropped.
"""

from __future__ import annotations

from typing import NamedTuple

from ._checks import error_text
from ._errors import InvalidValueError, wrong_type
from ._json import encode_json
from ._records import Evidence, Limits
from ._states import REPORTED_CAUSE, Cause, ExecutionState


class Report(NamedTuple):
    """The details of an end, as the decider takes them. Those of a live state are all None but for a meaningless cause."""

    cause: Cause
    message: str | None
    result_json: bytes | None
    evidence: Evidence | None


def check_report(
    state: ExecutionState,
    error: str | BaseException | None,
    result: object,
    cause: Cause | None,
    evidence: Evidence | None,
    limits: Limits,
) -> Report:
    """Check that what a caller says fits the state that it asks for.

    Args:
        state: The state asked for.
        error: What went wrong.
        result: The answer.
        cause: Why; None takes the cause of a caller's report, or RAISED for an exception.
        evidence: What was observed.
        limits: Budgets.

    Raises:
        StateTypeError: Something has the wrong type.
        InvalidValueError: A detail does not go with the state, or has an impossible value.
    """
    if state.__class__ is not ExecutionState:
        raise wrong_type("state", state, "an ExecutionState")
    if cause is not None and cause.__class__ is not Cause:
        raise wrong_type("cause", cause, "a Cause")
    if not state.is_terminal and (error, cause, evidence) != (None, None, None):
        raise InvalidValueError("error", error, f"None for {state.name}, and no cause or evidence: it is no end")
    if state is ExecutionState.COMPLETED and error is not None:
        raise InvalidValueError("error", error, "None for COMPLETED; an error goes with an unhappy end")
    if state is not ExecutionState.COMPLETED and result is not None:
        raise InvalidValueError("result", result, f"None for {state.name}; a result goes with COMPLETED")
    if evidence is not None:
        from ._codec import check_evidence

        evidence = check_evidence(evidence)
    if cause is None:
        raised = state is ExecutionState.FAILED and isinstance(error, BaseException)
        cause = Cause.RAISED if raised else REPORTED_CAUSE.get(state, Cause.REPORTED)
    return Report(
        cause,
        None if error is None else error_text("error", error, limits.error_bytes),
        encode_json("result", result, limits.result_bytes) if state is ExecutionState.COMPLETED else None,
        evidence,
    )
