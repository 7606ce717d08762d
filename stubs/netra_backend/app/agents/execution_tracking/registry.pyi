# Legacy tracker C, its registry: the only one with a table of moves; an illegal one is a ValueError. Its `ExecutionState` is
# a `str`, and still its own: no member equals one of another tracker.

from datetime import datetime
from enum import Enum
from typing import Any

from pydantic import BaseModel

class ExecutionState(str, Enum):  # noqa: UP042 - as the source has it
    PENDING = "PENDING"
    INITIALIZING = "INITIALIZING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    ABORTED = "ABORTED"
    RECOVERING = "RECOVERING"

class ExecutionProgress(BaseModel):
    # Not the tracker's class of this name, which counts to 100.
    stage: str = "unknown"
    percentage: float = 0.0  # 0 to 1
    message: str = ""
    details: dict[str, Any] = ...
    tool_executions: list[str] = ...

class ExecutionRecord(BaseModel):
    execution_id: str
    run_id: str
    agent_name: str
    state: ExecutionState
    created_at: datetime
    updated_at: datetime
    timeout_at: datetime | None = None
    heartbeat_at: datetime | None = None
    context: dict[str, Any] = ...
    progress: ExecutionProgress | None = None
    error: str | None = None
    retry_count: int = 0
    recovery_actions: list[str] = ...

class ExecutionMetrics(BaseModel):
    active_executions: int = 0
    total_executions: int = 0
    successful_executions: int = 0
    failed_executions: int = 0
    timeout_executions: int = 0
    average_execution_time_ms: float = 0.0
    success_rate: float = 0.0

class ExecutionRegistry:
    def __init__(self, cleanup_interval_seconds: float = 60) -> None: ...
    def __len__(self) -> int: ...
    async def register_execution(
        self, run_id: str, agent_name: str, context: dict[str, Any] | None = None
    ) -> ExecutionRecord: ...
    # A call that returns bool refuses by False.
    async def update_execution_state(
        self, execution_id: str, new_state: ExecutionState, metadata: dict[str, Any] | None = None
    ) -> bool: ...
    async def get_execution(self, execution_id: str) -> ExecutionRecord | None: ...
    async def get_active_executions(self) -> list[ExecutionRecord]: ...
    async def get_executions_by_agent(self, agent_name: str) -> list[ExecutionRecord]: ...
    async def get_executions_by_run_id(self, run_id: str) -> list[ExecutionRecord]: ...
    async def update_heartbeat(self, execution_id: str) -> bool: ...
    async def set_execution_timeout(self, execution_id: str, timeout_seconds: float) -> bool: ...
    async def get_timed_out_executions(self) -> list[ExecutionRecord]: ...
    async def get_stale_executions(self, stale_threshold_seconds: float = 300) -> list[ExecutionRecord]: ...
    async def cleanup_expired_executions(self, retention_hours: float = 24) -> int: ...
    async def get_execution_metrics(self) -> ExecutionMetrics: ...
    async def get_health_status(self) -> dict[str, Any]: ...
    async def shutdown(self) -> None: ...
