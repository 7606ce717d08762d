"""How an execution ended, as values to `match` on.

`Outcome` is a closed union: leave one member out of a `match` and a type checker says so (mypy with `exhaustive-match`).
`Completed` is generic in its result: a tracked agent returns `Outcome[R]` with R the function's own return type, while
`tracker.wait` reads the result back from the journal and so returns `Outcome[Json]`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from ._json import Json
from ._records import Evidence, ExecutionRecord
from ._states import Cause, ExecutionState

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Completed(Generic[T_co]):
    """It ended with a result."""

    result: T_co
    execution_id: str = field(kw_only=True)
    is_fallback: bool = field(default=False, kw_only=True)
    """Whether the agent had failed, and its fallback gave the result."""


@dataclass(frozen=True, slots=True)
class _Unhappy:
    """What the four other ends have in common."""

    error: str
    """What went wrong, for people; may be empty."""
    execution_id: str = field(kw_only=True)
    cause: Cause = field(kw_only=True)
    evidence: Evidence = field(kw_only=True)
    exception: BaseException | None = field(default=None, kw_only=True, compare=False, repr=False)
    """The exception itself, where the outcome is read in the process that saw it."""


@dataclass(frozen=True, slots=True)
class Failed(_Unhappy):
    """It ended by an error or without an outcome."""


@dataclass(frozen=True, slots=True)
class TimedOut(_Unhappy):
    """It ended because its time limit passed."""


@dataclass(frozen=True, slots=True)
class Died(_Unhappy):
    """It ended because nothing showed it alive any more."""


@dataclass(frozen=True, slots=True)
class Cancelled(_Unhappy):
    """It ended because somebody asked for it."""


Outcome: TypeAlias = Completed[T] | Failed | TimedOut | Died | Cancelled
"""How an execution ended, with T the type of its result."""

_UNHAPPY: dict[ExecutionState, type[Failed | TimedOut | Died | Cancelled]] = {
    ExecutionState.FAILED: Failed,
    ExecutionState.TIMEOUT: TimedOut,
    ExecutionState.DEAD: Died,
    ExecutionState.CANCELLED: Cancelled,
}


def unhappy_outcome(
    record: ExecutionRecord, exception: BaseException | None = None
) -> Failed | TimedOut | Died | Cancelled:
    """Build the outcome of an execution that ended without a result."""
    if record.cause is None or record.evidence is None:
        raise ValueError(f"execution {record.execution_id} ended {record.state.name} without cause or evidence")
    return _UNHAPPY[record.state](
        record.error or "",
        execution_id=record.execution_id,
        cause=record.cause,
        evidence=record.evidence,
        exception=exception,
    )


def outcome_of(record: ExecutionRecord) -> Outcome[Json]:
    """Build the outcome of an execution that has ended."""
    if record.state is ExecutionState.COMPLETED:
        return Completed(record.result, execution_id=record.execution_id, is_fallback=record.cause is Cause.FALLBACK)
    return unhappy_outcome(record)
