# Legacy tracker A: asynchronous, with UUIDs as ids. Its `ExecutionState` is its own: no member equals one of another tracker.
# What may be anything is `Any` where it is read and `object` where it is given.

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any
from uuid import UUID

class ExecutionState(Enum):
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    DEAD = "dead"

@dataclass
class ExecutionRecord:
    execution_id: UUID
    agent_name: str
    correlation_id: str | None
    thread_id: str | None
    user_id: str | None
    start_time: float
    state: ExecutionState
    last_heartbeat: float
    end_time: float | None = None
    result: Any = None
    error: str | None = None
    heartbeat_count: int = 0
    websocket_updates_sent: int = 0
    timeout_seconds: float = 30.0
    def duration(self) -> float: ...
    def is_timeout(self) -> bool: ...
    def is_dead(self, heartbeat_timeout: float = 10.0) -> bool: ...
    def to_dict(self) -> dict[str, Any]: ...

class ExecutionTracker:
    executions: dict[UUID, ExecutionRecord]
    active_executions: set[UUID]
    failed_executions: list[UUID]
    monitoring_task: asyncio.Task[None] | None
    recovery_callbacks: list[Callable[[ExecutionRecord], Awaitable[object]]]
    def __init__(self) -> None: ...
    async def register_execution(
        self,
        agent_name: str,
        correlation_id: str | None = None,
        thread_id: str | None = None,
        user_id: str | None = None,
        timeout_seconds: float = 30.0,
    ) -> UUID: ...
    async def start_execution(self, exec_id: UUID) -> None: ...
    async def heartbeat(self, exec_id: UUID) -> bool: ...
    async def complete_execution(self, exec_id: UUID, result: object = None, error: str | None = None) -> None: ...
    async def kill_execution(self, exec_id: UUID) -> None: ...
    def get_execution(self, exec_id: UUID) -> ExecutionRecord | None: ...
    def get_active_executions(self) -> list[ExecutionRecord]: ...
    async def collect_metrics(self, exec_id: UUID) -> dict[str, Any] | None: ...
    def get_health_status(self) -> dict[str, Any]: ...
    # The tracker awaits what the callback returns, so a plain function is a mistake.
    def register_recovery_callback(self, callback: Callable[[ExecutionRecord], Awaitable[object]]) -> None: ...
    async def start_monitoring(self) -> None: ...
    async def stop_monitoring(self) -> None: ...

async def init_execution_tracker() -> ExecutionTracker: ...
def get_execution_tracker() -> ExecutionTracker: ...
