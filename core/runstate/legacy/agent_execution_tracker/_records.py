"""The values of facade B: its phases, its limits, and its record, which is alive where a tracker hands it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

from ... import ExecutionState, Phase
from .._life import UNSET, Life
from .._shared import shared
from .._times import wall_ns, when
from .._views import attribute, fact, live_view
from ._breaker import CircuitBreakerState, breaker_of

ID_PREFIX: Final = "exec_"

_HEARTBEAT_TIMEOUT: Final = 10.0
"""Seconds of silence that are taken for death where nobody names others."""


class AgentExecutionPhase(Enum):
    """What an execution is doing. Seven of them are runstate's phases; the others repeat a state or tell of the breaker."""

    CREATED = "created"
    WEBSOCKET_SETUP = "websocket_setup"
    CONTEXT_VALIDATION = "context_validation"
    STARTING = "starting"
    THINKING = "thinking"
    TOOL_PREPARATION = "tool_preparation"
    LLM_INTERACTION = "llm_interaction"
    TOOL_EXECUTION = "tool_execution"
    RESULT_PROCESSING = "result_processing"
    COMPLETING = "completing"
    COMPLETED = "completed"
    TIMEOUT = "timeout"
    FAILED = "failed"
    CIRCUIT_BREAKER_OPEN = "circuit_breaker_open"


@dataclass
class TimeoutConfig:
    """Limits of an execution and of the circuit breaker around its LLM calls. Times are seconds, fractions included.

    The retry figures are for callers, as they always were: nothing here calls anything a second time. `stamina` does that well.
    """

    agent_execution_timeout: float = 25.0
    llm_api_timeout: float = 15.0
    failure_threshold: int = 3
    recovery_timeout: float = 30.0
    success_threshold: int = 2
    max_retries: int = 2
    retry_base_delay: float = 1.0
    retry_max_delay: float = 5.0
    retry_exponential_base: float = 2.0


@dataclass
class PhaseTransition:
    """One change of phase."""

    from_phase: AgentExecutionPhase | None
    to_phase: AgentExecutionPhase
    timestamp: datetime
    duration_ms: float = 0.0
    """How long the phase that it left had lasted, in milliseconds."""
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    websocket_event_sent: bool = False


@dataclass
class ExecutionRecord:
    """One execution. Those that a tracker hands out are alive; times may be set, to see what follows from them."""

    execution_id: str
    agent_name: str
    thread_id: str
    user_id: str
    state: ExecutionState
    started_at: datetime
    last_heartbeat: datetime
    updated_at: datetime
    completed_at: datetime | None = None
    error: str | None = None
    result: Any = None
    heartbeat_count: int = 0
    timeout_seconds: float = 15
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    current_phase: AgentExecutionPhase = AgentExecutionPhase.CREATED
    phase_history: list[PhaseTransition] = field(default_factory=list[PhaseTransition])
    warning_count: int = 0
    error_count: int = 0
    timeout_config: TimeoutConfig | None = None
    circuit_breaker_failures: int = 0
    circuit_breaker_state: CircuitBreakerState = CircuitBreakerState.CLOSED
    last_failure_time: float = 0.0
    next_attempt_time: float = 0.0

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return not self.state.is_terminal

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended."""
        return self.state.is_terminal

    @property
    def duration(self) -> timedelta | None:
        """Time from its start to its end, or to now."""
        if self.completed_at is not None:
            return self.completed_at - self.started_at
        return None if self.is_terminal else self._now() - self.started_at

    @property
    def time_since_heartbeat(self) -> timedelta:
        """Time since its last sign of life, up to its end: of a dead one, how long it had been silent."""
        return self._now() - self.last_heartbeat

    def is_timed_out(self) -> bool:
        """Whether its time limit has passed."""
        if self.is_terminal:
            return self.state is ExecutionState.TIMEOUT
        return (self._now() - self.started_at).total_seconds() > self.timeout_seconds

    def is_dead(self, heartbeat_timeout: float | None = None) -> bool:
        """Whether it ended as DEAD, or is live but has been silent for longer than *heartbeat_timeout* seconds.

        Left out, it is the tracker's own verdict: 10 s, and of an execution that a tracker has handed out only where its
        silence counts. A limit that is given is counted from the last sign of life, however few there were, but not
        while it is PENDING.
        """
        if self.is_terminal:
            return self.state is ExecutionState.DEAD
        limit = _HEARTBEAT_TIMEOUT if heartbeat_timeout is None else heartbeat_timeout
        return self.time_since_heartbeat.total_seconds() > limit

    def get_total_duration_ms(self) -> float:
        """Milliseconds from its start to its end, or to now."""
        return ((self.completed_at or self._now()) - self.started_at).total_seconds() * 1_000

    def get_phase_duration_ms(self, phase: AgentExecutionPhase) -> float:
        """Milliseconds spent in a phase, all its visits together."""
        left = sum(change.duration_ms for change in self.phase_history if change.from_phase is phase)
        return left + (self.get_current_phase_duration_ms() if self.current_phase is phase else 0.0)

    def get_current_phase_duration_ms(self) -> float:
        """Milliseconds spent in the present phase; stands still after the end."""
        since = self.phase_history[-1].timestamp if self.phase_history else self.started_at
        return max(0.0, ((self.completed_at or self._now()) - since).total_seconds() * 1_000)

    def is_circuit_breaker_open(self) -> bool:
        """Whether a call through the circuit breaker would be refused now."""
        return (
            self.circuit_breaker_state is CircuitBreakerState.OPEN and self._now().timestamp() < self.next_attempt_time
        )

    def should_retry(self, max_retries: int = 2) -> bool:
        """Whether the circuit breaker has seen at most *max_retries* failures and is not open."""
        return (
            self.circuit_breaker_failures <= max_retries and self.circuit_breaker_state is not CircuitBreakerState.OPEN
        )

    def _now(self) -> datetime:
        return when(shared().clock.time_ns())


_OF_CORE: Final = {phase: AgentExecutionPhase(phase.value) for phase in Phase}

ENDING: Final[Mapping[ExecutionState, AgentExecutionPhase]] = {
    ExecutionState.COMPLETED: AgentExecutionPhase.COMPLETED,
    ExecutionState.FAILED: AgentExecutionPhase.FAILED,
    ExecutionState.TIMEOUT: AgentExecutionPhase.TIMEOUT,
    ExecutionState.DEAD: AgentExecutionPhase.FAILED,
    ExecutionState.CANCELLED: AgentExecutionPhase.FAILED,
}
"""The phase that an ended execution is in."""


def current_phase(life: Life) -> AgentExecutionPhase:
    """The phase that it is in, also where its phases were set through runstate itself."""
    if (ending := ENDING.get(life.state)) is not None:
        return ending
    known: AgentExecutionPhase | None = life.facts.get("current_phase")
    phase = life.record.phase
    return known or (AgentExecutionPhase.CREATED if phase is None else _OF_CORE[phase])


def _end_ns(life: Life) -> int | None:
    set_by_hand: int | None = life.facts.get("completed_at")
    return set_by_hand if set_by_hand is not None else life.end_time_ns


def _completed_at(life: Life) -> datetime | None:
    end_ns = _end_ns(life)
    return None if end_ns is None else when(end_ns)


def _updated_at(life: Life) -> datetime:
    set_by_hand: int | None = life.facts.get("updated_at")
    return when(life.record.updated_at_ns if set_by_hand is None else set_by_hand)


def _put_time(name: str) -> Callable[[Life, Any], None]:
    return lambda life, time: life.facts.__setitem__(name, wall_ns(name, time))


def _now(self: Any) -> datetime:
    life: Life = self.life
    return when(life.now_ns)


def _is_dead(self: Any, heartbeat_timeout: float | None = None) -> bool:
    """Whether it ended as DEAD, or is silent for longer than *heartbeat_timeout* seconds; None asks for the tracker's verdict."""
    life: Life = self.life
    if life.state.is_terminal:
        return life.state is ExecutionState.DEAD
    return life.is_late(_HEARTBEAT_TIMEOUT) if heartbeat_timeout is None else life.is_silent(heartbeat_timeout)


def _breaker(name: str) -> property:
    """A live attribute of the breaker that all executions of an agent share."""
    return attribute(
        name,
        lambda life: getattr(breaker_of(life.record.agent), name),
        lambda life, value: setattr(breaker_of(life.record.agent), name, value),
    )


view: Final[Callable[[Life], ExecutionRecord]] = live_view(
    ExecutionRecord,
    {
        "execution_id": attribute("execution_id", lambda life: ID_PREFIX + life.execution_id),
        "agent_name": attribute("agent_name", lambda life: life.record.agent),
        "thread_id": attribute("thread_id", lambda life: life.record.thread_id),
        "user_id": attribute("user_id", lambda life: life.record.user_id),
        "state": attribute("state", lambda life: life.state, lambda life, state: shared().move(life, state)),
        "started_at": attribute(
            "started_at",
            lambda life: when(life.start_time_ns),
            lambda life, time: setattr(life, "start_time_ns", wall_ns("started_at", time)),
        ),
        "last_heartbeat": attribute(
            "last_heartbeat",
            lambda life: when(life.beat_time_ns),
            lambda life, time: setattr(life, "beat_time_ns", wall_ns("last_heartbeat", time)),
        ),
        "updated_at": attribute("updated_at", _updated_at, _put_time("updated_at")),
        "completed_at": attribute("completed_at", _completed_at, _put_time("completed_at")),
        "error": attribute("error", lambda life: life.record.error if life.error is UNSET else life.error),
        "result": attribute("result", lambda life: life.record.result if life.result is UNSET else life.result),
        "heartbeat_count": attribute(
            "heartbeat_count", lambda life: life.beats, lambda life, count: setattr(life, "beats", count)
        ),
        "timeout_seconds": attribute("timeout_seconds", lambda life: life.timeout, Life.limit),
        "metadata": attribute(
            "metadata", lambda life: life.metadata, lambda life, metadata: setattr(life, "metadata", metadata)
        ),
        "current_phase": attribute("current_phase", current_phase),
        "phase_history": fact("phase_history", list),
        "warning_count": fact("warning_count", int),
        "error_count": fact("error_count", int),
        "timeout_config": fact("timeout_config", lambda: None),
        "circuit_breaker_failures": _breaker("circuit_breaker_failures"),
        "circuit_breaker_state": _breaker("circuit_breaker_state"),
        "last_failure_time": _breaker("last_failure_time"),
        "next_attempt_time": _breaker("next_attempt_time"),
        "time_since_heartbeat": property(lambda self: timedelta(seconds=self.life.silent())),
        "is_dead": _is_dead,
        "_now": _now,
    },
)
