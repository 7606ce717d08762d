"""The values of facade C's registry: its record, its progress from 0 to 1, its counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, Field

from ... import ExecutionState as _State
from ... import InvalidValueError, StateTypeError
from .._life import UNSET, Life
from .._shared import shared
from .._states import require_state
from .._times import wall_ns, when
from .._views import attribute, fact
from ._lives import id_of, is_limited, run_of
from ._models import LegacyModel, live_model
from ._names import ExecutionState


def _state(value: object) -> _State:
    """Read a state, also out of stored data under its old name; what is neither is no state."""
    return ExecutionState(value) if isinstance(value, str) else require_state(value)


class ExecutionProgress(BaseModel):
    """How far an execution has come. Its `percentage` counts from 0 to 1; that of the tracker's class counts to 100."""

    stage: str = "unknown"
    percentage: float = Field(default=0.0, ge=0.0, le=1.0, allow_inf_nan=False)
    message: str = ""
    details: dict[str, Any] = Field(default_factory=dict)
    tool_executions: list[str] = Field(default_factory=list)


class ExecutionRecord(LegacyModel):
    """One execution. Those that a registry hands out are alive; times may be set, to see what follows from them."""

    execution_id: str
    run_id: str
    agent_name: str
    state: Annotated[_State, BeforeValidator(_state)]
    created_at: datetime
    updated_at: datetime
    timeout_at: datetime | None = None
    heartbeat_at: datetime | None = None
    context: dict[str, Any] = Field(default_factory=dict)
    progress: ExecutionProgress | None = None
    error: str | None = None
    retry_count: int = 0
    recovery_actions: list[str] = Field(default_factory=list)


class ExecutionMetrics(BaseModel):
    """How many executions there were, and how they ended."""

    active_executions: int = 0
    total_executions: int = 0
    successful_executions: int = 0
    failed_executions: int = 0
    timeout_executions: int = 0
    average_execution_time_ms: float = 0.0
    success_rate: float = 0.0


class Notes:
    """What a report says beside a state, checked before anything is changed.

    Args:
        metadata: `error`, `progress`, `recovery_action` and `retry_count`; everything else goes to the execution's metadata.

    Raises:
        StateTypeError: One of them has the wrong type.
        InvalidValueError: One of them has an impossible value.
    """

    def __init__(self, metadata: Mapping[str, Any] | None) -> None:
        given: object = {} if metadata is None else metadata
        if not isinstance(given, Mapping):
            raise StateTypeError(f"metadata must be a dict, not {type(given).__qualname__}: {given!r:.80}")
        rest = dict(metadata or {})
        error = rest.pop("error", None)
        self.error: object = UNSET if error is None else error
        self._progress = progress_of(rest.pop("progress", None))
        self._action = rest.pop("recovery_action", None)
        self._retries = rest.pop("retry_count", None)
        self._rest = rest
        retries: object = self._retries
        if retries is not None and (isinstance(retries, bool) or not isinstance(retries, int)):
            raise StateTypeError(f"retry_count must be an int, not {type(retries).__qualname__}: {retries!r:.80}")

    def keep(self, life: Life) -> None:
        """Note what was said, once the state is taken."""
        with life.lock:
            if self._progress is not None:
                life.facts["progress"] = self._progress
            if self._action is not None:
                life.facts.setdefault("recovery_actions", []).append(str(self._action))
            if self._retries is not None:
                life.facts["retry_count"] = self._retries
            life.metadata.update(self._rest)


def progress_of(given: object) -> ExecutionProgress | None:
    """Read a progress from 0 to 1: the registry's own, or the fields of one as a dict.

    Raises:
        StateTypeError: It is anything else.
        InvalidValueError: Its fields are impossible.
    """
    if given is None or isinstance(given, ExecutionProgress):
        return given
    said: object = given
    if not isinstance(given, dict):
        raise StateTypeError(
            f"progress must be the registry's ExecutionProgress, not {type(given).__module__}."
            f"{type(given).__qualname__}: {given!r:.80}; its percentage counts from 0 to 1"
        )
    try:
        return ExecutionProgress.model_validate(given)
    except ValueError as error:
        raise InvalidValueError("progress", said, "the fields of ExecutionProgress, percentage from 0 to 1") from error


def _timeout_at(life: Life) -> datetime | None:
    return when(life.start_time_ns + int(life.timeout * 1e9)) if is_limited(life) else None


def _put_timeout_at(life: Life, time: object) -> None:
    life.limit((wall_ns("timeout_at", time) - life.start_time_ns) / 1e9)


def _heartbeat_at(life: Life) -> datetime | None:
    return when(life.beat_time_ns) if life.beats or life.beat_set_ns is not None else None


def _context(life: Life) -> dict[str, Any]:
    context: dict[str, Any] = life.metadata.get("context", life.metadata)
    return context


def _error(life: Life) -> str | None:
    return life.record.error if life.error is UNSET else str(life.error)


view: Final[Callable[[Life], ExecutionRecord]] = live_model(
    ExecutionRecord,
    {
        "execution_id": attribute("execution_id", id_of),
        "run_id": attribute("run_id", run_of),
        "agent_name": attribute("agent_name", lambda life: life.record.agent),
        "state": attribute("state", lambda life: life.state, lambda life, value: shared().move(life, value)),
        "created_at": attribute(
            "created_at",
            lambda life: when(life.start_time_ns),
            lambda life, time: setattr(life, "start_time_ns", wall_ns("created_at", time)),
        ),
        "updated_at": attribute("updated_at", lambda life: when(life.record.updated_at_ns)),
        "timeout_at": attribute("timeout_at", _timeout_at, _put_timeout_at),
        "heartbeat_at": attribute(
            "heartbeat_at",
            _heartbeat_at,
            lambda life, time: setattr(life, "beat_time_ns", wall_ns("heartbeat_at", time)),
        ),
        "context": attribute("context", _context),
        "progress": attribute(
            "progress",
            lambda life: life.facts.get("progress"),
            lambda life, given: life.facts.__setitem__("progress", progress_of(given)),
        ),
        "error": attribute("error", _error),
        "retry_count": fact("retry_count", int),
        "recovery_actions": fact("recovery_actions", list),
    },
)
