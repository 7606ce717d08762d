# Legacy tracker C: its face, over registry, heartbeat monitor and time limits.

from typing import Any

from pydantic import BaseModel

from .heartbeat import HeartbeatMonitor, HeartbeatStatus
from .registry import ExecutionRecord, ExecutionRegistry
from .timeout import TimeoutInfo, TimeoutManager

class ExecutionProgress(BaseModel):
    # Not the registry's class of this name, which counts to 1.
    stage: str
    percentage: float  # 0 to 100
    message: str
    details: dict[str, Any] = ...

class ExecutionStatus(BaseModel):
    execution_record: ExecutionRecord
    heartbeat_status: HeartbeatStatus | None = None
    timeout_info: TimeoutInfo | None = None
    websocket_status: dict[str, Any] = ...
    health_check: dict[str, Any] = ...

class AgentExecutionContext(BaseModel):
    run_id: str
    agent_name: str
    thread_id: str
    user_id: str
    retry_count: int = 0
    max_retries: int = 3
    metadata: dict[str, Any] = ...

class AgentExecutionResult(BaseModel):
    success: bool
    data: Any = None
    error: str | None = None
    execution_id: str
    duration_seconds: float
    recovery_actions: list[str] = ...

class ExecutionTracker:
    websocket_bridge: Any
    registry: ExecutionRegistry
    heartbeat_monitor: HeartbeatMonitor
    timeout_manager: TimeoutManager
    def __init__(
        self, websocket_bridge: object = None, heartbeat_interval: float = 5.0, timeout_check_interval: float = 5.0
    ) -> None: ...
    async def start_execution(self, run_id: str, agent_name: str, context: AgentExecutionContext) -> str: ...
    async def update_execution_progress(self, execution_id: str, progress: ExecutionProgress) -> None: ...
    async def complete_execution(self, execution_id: str, result: AgentExecutionResult) -> None: ...
    async def handle_execution_failure(self, execution_id: str, error: Exception) -> None: ...
    async def get_execution_status(self, execution_id: str) -> ExecutionStatus | None: ...
    async def get_all_active_executions(self) -> list[ExecutionStatus]: ...
    async def get_tracker_metrics(self) -> dict[str, Any]: ...
    async def get_health_status(self) -> dict[str, Any]: ...
    async def shutdown(self) -> None: ...
