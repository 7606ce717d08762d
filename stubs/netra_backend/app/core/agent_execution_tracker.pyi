# Legacy tracker B: synchronous calls, ids such as `exec_execution_1_0a1b2c3d`. Its `ExecutionState` is its own: no member
# equals one of another tracker. What may be anything is `Any` where it is read and `object` where it is given. Limits are
# seconds; where the source says `int` they are `float` here, which it takes as well.

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Literal, TypeVar

_T = TypeVar("_T")

class ExecutionState(Enum):
    PENDING = "pending"
    STARTING = "starting"
    RUNNING = "running"
    COMPLETING = "completing"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    DEAD = "dead"
    CANCELLED = "cancelled"

class AgentExecutionPhase(Enum):
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

class CircuitBreakerState(Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"

@dataclass
class TimeoutConfig:
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
    from_phase: AgentExecutionPhase | None
    to_phase: AgentExecutionPhase
    timestamp: datetime
    duration_ms: float = 0.0
    metadata: dict[str, Any] = ...
    websocket_event_sent: bool = False

class CircuitBreakerOpenError(Exception): ...

@dataclass
class ExecutionRecord:
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
    metadata: dict[str, Any] = ...
    current_phase: AgentExecutionPhase = ...
    phase_history: list[PhaseTransition] = ...
    warning_count: int = 0
    error_count: int = 0
    timeout_config: TimeoutConfig | None = None
    circuit_breaker_failures: int = 0
    circuit_breaker_state: CircuitBreakerState = ...
    last_failure_time: float = 0.0
    next_attempt_time: float = 0.0
    @property
    def is_alive(self) -> bool: ...
    @property
    def is_terminal(self) -> bool: ...
    @property
    def duration(self) -> timedelta | None: ...
    @property
    def time_since_heartbeat(self) -> timedelta: ...
    def is_timed_out(self) -> bool: ...
    def is_dead(self, heartbeat_timeout: float = 10) -> bool: ...
    def get_total_duration_ms(self) -> float: ...
    def get_phase_duration_ms(self, phase: AgentExecutionPhase) -> float: ...
    def get_current_phase_duration_ms(self) -> float: ...
    def is_circuit_breaker_open(self) -> bool: ...
    def should_retry(self, max_retries: int = 2) -> bool: ...

class AgentExecutionTracker:
    heartbeat_timeout: float
    execution_timeout: float
    cleanup_interval: float
    timeout_config: TimeoutConfig
    def __init__(
        self,
        heartbeat_timeout: float = 10,
        execution_timeout: float = 15,
        cleanup_interval: float = 60,
        timeout_config: TimeoutConfig | None = None,
    ) -> None: ...
    def create_execution(
        self,
        agent_name: str,
        thread_id: str,
        user_id: str,
        timeout_seconds: float | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> str: ...
    # A call that returns bool refuses by False.
    def start_execution(self, execution_id: str) -> bool: ...
    def update_execution_state(
        self, execution_id: str, state: ExecutionState, error: str | None = None, result: object = None
    ) -> bool: ...
    def heartbeat(self, execution_id: str) -> bool: ...
    def complete_execution(
        self, execution_id: str, result: object = None, execution_time_ms: int | None = None
    ) -> bool: ...
    def fail_execution(self, execution_id: str, error: str, error_context: dict[str, Any] | None = None) -> bool: ...
    async def transition_state(
        self,
        execution_id: str,
        new_phase: AgentExecutionPhase,
        metadata: dict[str, Any] | None = None,
        websocket_manager: object = None,
    ) -> bool: ...
    def validate_state_transition(
        self, current_phase: AgentExecutionPhase | None, new_phase: AgentExecutionPhase
    ) -> bool: ...
    def get_state_history(self, execution_id: str) -> list[dict[str, Any]]: ...
    def get_execution(self, execution_id: str) -> ExecutionRecord | None: ...
    def get_execution_state(self, execution_id: str) -> ExecutionState | None: ...
    def get_active_executions(self) -> list[ExecutionRecord]: ...
    def get_executions_by_agent(self, agent_name: str) -> list[ExecutionRecord]: ...
    def get_executions_by_thread(self, thread_id: str) -> list[ExecutionRecord]: ...
    def get_agent_state(self, execution_id: str) -> dict[str, Any] | None: ...
    def set_agent_state(self, execution_id: str, state_updates: dict[str, Any]) -> bool: ...
    def cleanup_state(self, execution_id: str) -> bool: ...
    def detect_dead_executions(self) -> list[ExecutionRecord]: ...
    # The tracker awaits what a callback returns, so a plain function is a mistake.
    def register_death_callback(self, callback: Callable[[ExecutionRecord], Awaitable[object]]) -> None: ...
    def register_timeout_callback(self, callback: Callable[[ExecutionRecord], Awaitable[object]]) -> None: ...
    def set_timeout(self, execution_id: str, timeout_config: TimeoutConfig) -> bool: ...
    def get_default_timeout(self) -> float: ...  # a guess: all but the name
    def check_timeout(self, execution_id: str) -> dict[str, Any] | None: ...
    def register_circuit_breaker(self, execution_id: str) -> bool: ...
    def reset_circuit_breaker(self, execution_id: str) -> bool: ...
    def circuit_breaker_status(self, execution_id: str) -> dict[str, Any] | None: ...
    async def execute_with_circuit_breaker(
        self, execution_id: str, func: Callable[[], Awaitable[_T]], operation_name: str = "operation"
    ) -> _T: ...
    def create_execution_id(self, agent_name: str, context: dict[str, Any] | None = None) -> str: ...
    def create_execution_with_full_context(
        self,
        agent_name: str,
        user_context: dict[str, Any],
        timeout_config: dict[str, Any] | None = None,
        # A `str` in the source, where a name that does not exist is ignored in silence.
        initial_state: Literal[
            "PENDING", "STARTING", "RUNNING", "COMPLETING", "COMPLETED", "FAILED", "TIMEOUT", "DEAD", "CANCELLED"
        ] = "PENDING",
    ) -> str: ...
    def get_execution_with_full_context(self, execution_id: str) -> dict[str, Any] | None: ...
    def get_metrics(self) -> dict[str, Any]: ...
    async def start_monitoring(self) -> None: ...
    async def stop_monitoring(self) -> None: ...

ExecutionTracker = AgentExecutionTracker

def get_execution_tracker() -> AgentExecutionTracker: ...
def get_agent_state_tracker() -> AgentExecutionTracker: ...
async def initialize_tracker() -> AgentExecutionTracker: ...
async def shutdown_tracker() -> None: ...
