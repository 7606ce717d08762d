"""`ExecutionTracker`: facade C's face, over registry, heartbeat monitor and time limits, with the events of a websocket bridge.

Its events never arrived: the notifications that it called are on no bridge. What it has to tell goes the way of facade B's
phases, over one courier per execution: `agent_started`, `agent_thinking` for each progress, and one of `agent_completed`,
`agent_error` and `agent_death`, whatever ends the execution; each turn once, in order, with the run's own id.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from ... import ExecutionState
from .._arguments import require
from .._calls import legacy_call
from .._life import UNSET, Life
from .._outbox import EventNotSentError, all_arrived
from .._shared import Shared, found, shared
from ..agent_execution_tracker._courier import Courier, courier_of
from ..agent_execution_tracker._records import AgentExecutionPhase
from ._lives import create, id_of, is_late, is_limited, is_overdue
from ._records import ExecutionProgress as RegistryProgress
from ._records import ExecutionRecord, view
from .heartbeat import (
    HeartbeatMonitor,
    HeartbeatStatus,
    follow,
    heartbeat_status,
    let_go,
    monitor_health,
    monitor_metrics,
)
from .registry import ExecutionRegistry, metrics, registry_health
from .timeout import TimeoutInfo, TimeoutManager, limit_of, timeout_health, timeout_info, timeout_metrics

__all__ = [
    "AgentExecutionContext",
    "AgentExecutionResult",
    "ExecutionProgress",
    "ExecutionStatus",
    "ExecutionTracker",
]


class ExecutionProgress(BaseModel):
    """How far an execution has come. Its `percentage` counts from 0 to 100; that of the registry's class counts to 1."""

    stage: str
    percentage: float = Field(ge=0.0, le=100.0, allow_inf_nan=False)
    message: str
    details: dict[str, Any] = Field(default_factory=dict)


class ExecutionStatus(BaseModel):
    """Everything known of one execution. Its record is alive; the rest is as it stood when this was made."""

    execution_record: ExecutionRecord
    heartbeat_status: HeartbeatStatus | None = None
    timeout_info: TimeoutInfo | None = None
    websocket_status: dict[str, Any] = Field(default_factory=dict)
    health_check: dict[str, Any] = Field(default_factory=dict)


class AgentExecutionContext(BaseModel):
    """Who asked, and which attempt it is. One with a `retry_count` is linked to the execution that it recovers."""

    run_id: str
    agent_name: str
    thread_id: str
    user_id: str
    retry_count: int = 0
    max_retries: int = 3
    metadata: dict[str, Any] = Field(default_factory=dict)


class AgentExecutionResult(BaseModel):
    """What an agent has returned."""

    success: bool
    data: Any = None
    error: str | None = None
    execution_id: str
    duration_seconds: float
    recovery_actions: list[str] = Field(default_factory=list)


class ExecutionTracker:
    """Tracks executions on the tracker that `runstate.legacy.use` has set.

    Each is monitored from its start: it ends as DEAD when six heartbeats are missed, also if none ever came. Its progress and its
    moves are signs of life; `heartbeat_monitor.stop_monitoring(execution_id)` asks for no more of them.

    Args:
        websocket_bridge: What has `notify_agent_started(…)` and so on; None sends no events.
        heartbeat_interval: Seconds between two heartbeats.
        timeout_check_interval: Kept for its name: a limit is enforced when it passes.
        strict: Raise refusals instead of answering None.
    """

    websocket_bridge: Any
    registry: ExecutionRegistry
    heartbeat_monitor: HeartbeatMonitor
    timeout_manager: TimeoutManager

    def __init__(
        self,
        websocket_bridge: object = None,
        heartbeat_interval: float = 5.0,
        timeout_check_interval: float = 5.0,
        *,
        strict: bool = False,
    ) -> None:
        self.websocket_bridge = websocket_bridge
        self.registry = ExecutionRegistry(strict=strict)
        self.heartbeat_monitor = HeartbeatMonitor(heartbeat_interval, strict=strict)
        self.timeout_manager = TimeoutManager(timeout_check_interval, strict=strict)
        self.strict = strict

    # -- moving -------------------------------------------------------------------------------------------------------

    @legacy_call("runstate.ExecutionTracker.create(…), or `async with tracker.execution(…)`")
    async def start_execution(self, run_id: str, agent_name: str, context: AgentExecutionContext) -> str:
        """Begin an execution, STARTING, with the time limit of its agent, and return its id once `agent_started` was sent.

        Args:
            run_id: The run that it belongs to; events carry it.
            agent_name: Which agent runs.
            context: Who asked.

        Raises:
            StateTypeError: An argument has the wrong type: a dict is no context.
            InvalidValueError: A name is empty.
        """
        require("context", context, AgentExecutionContext)
        monitor, limits = self.heartbeat_monitor, self.timeout_manager
        life = create(
            run_id,
            agent_name,
            context.model_dump(),
            retry_count=context.retry_count,
            timeout=limit_of(limits.timeout_config, agent_name),
        )
        follow(monitor, life)
        limits.followed.add(life)
        arrivals = courier_of(life).report(
            shared(), AgentExecutionPhase.STARTING, {}, self.websocket_bridge, in_order=False
        )
        try:
            await all_arrived(arrivals)
        except EventNotSentError as error:
            if self.strict:
                raise
            shared().refusals.note("ExecutionTracker.start_execution", error)  # it runs all the same: the id is wanted
        return id_of(life)

    @legacy_call("Execution.phase(phase, detail) and Execution.heartbeat()", refused=None)
    async def update_execution_progress(self, execution_id: str, progress: ExecutionProgress) -> None:
        """Note how far an execution has come, which is a heartbeat, makes it RUNNING and sends `agent_thinking`.

        Args:
            execution_id: Which. Refused if it is unknown or has ended.
            progress: How far, from 0 to 100.

        Raises:
            StateTypeError: *progress* is a dict, or the registry's class of this name, which counts from 0 to 1.
        """
        require("progress", progress, ExecutionProgress)
        core = shared()
        life = core.find(execution_id)
        told = {"reasoning": progress.message or progress.stage, **progress.model_dump()}
        courier = courier_of(life)
        arrivals = courier.report(core, AgentExecutionPhase.THINKING, told, self.websocket_bridge, in_order=False)
        core.heartbeat(life)
        life.facts["progress"] = RegistryProgress(
            stage=progress.stage,
            percentage=progress.percentage / 100,
            message=progress.message,
            details=progress.details,
        )
        await all_arrived(arrivals)

    @legacy_call("Execution.complete(result) or Execution.fail(error)", refused=None)
    async def complete_execution(self, execution_id: str, result: AgentExecutionResult) -> None:
        """End an execution as COMPLETED with the result's data, or as FAILED, and send `agent_completed` or `agent_error`.

        Args:
            execution_id: Which. Refused if it is unknown or has ended.
            result: What the agent has returned.

        Raises:
            StateTypeError: *result* is a dict, or anything else that is no `AgentExecutionResult`.
        """
        require("result", result, AgentExecutionResult)
        core, life, courier = self._found(execution_id)
        if result.success:
            error = UNSET if result.error is None else result.error
            core.move(life, ExecutionState.COMPLETED, error=error, result=result.data)
        else:
            said = "the agent returned success=False" if result.error is None else result.error
            data = UNSET if result.data is None else result.data
            core.move(life, ExecutionState.FAILED, error=said, result=data)
        with life.lock:
            life.facts.setdefault("recovery_actions", []).extend(result.recovery_actions)
        life.metadata["duration_seconds"] = result.duration_seconds
        await all_arrived(courier.arrivals)

    @legacy_call("Execution.fail(error)", refused=None)
    async def handle_execution_failure(self, execution_id: str, error: Exception) -> None:
        """End an execution as FAILED by an exception, and send `agent_error`. Refused if it is unknown or has ended.

        Nothing is recovered here: the caller starts a new execution, with a `retry_count` in its context.

        Raises:
            StateTypeError: *error* is no exception.
        """
        require("error", error, BaseException)
        core, life, courier = self._found(execution_id)
        core.move(life, ExecutionState.FAILED, error=error)
        await all_arrived(courier.arrivals)

    @legacy_call("runstate.ExecutionTracker.close()")
    async def shutdown(self) -> None:
        """Call no more callbacks. What is live goes on; its time limit is enforced, and silence counts of what has beaten twice."""
        let_go(self.heartbeat_monitor)
        self.timeout_manager.followed.clear()

    # -- reading ------------------------------------------------------------------------------------------------------

    @legacy_call("runstate.ExecutionTracker.get(execution_id)")
    async def get_execution_status(self, execution_id: str) -> ExecutionStatus | None:
        """Return everything known of an execution, whoever created it; None if it is unknown."""
        life = found(execution_id)
        return None if life is None else self._status(life)

    @legacy_call("runstate.ExecutionTracker.find(state=…)")
    async def get_all_active_executions(self) -> list[ExecutionStatus]:
        """Return the live executions that legacy trackers have created, oldest first."""
        return [self._status(life) for life in shared().book.live()]

    @legacy_call("runstate.ExecutionTracker.statistics()")
    async def get_tracker_metrics(self) -> dict[str, Any]:
        """Return how many executions there were and how they ended, with the figures of both monitors."""
        return {
            **metrics().model_dump(),
            "heartbeat_metrics": monitor_metrics(self.heartbeat_monitor),
            "timeout_metrics": timeout_metrics(self.timeout_manager),
        }

    @legacy_call("runstate.ExecutionTracker.statistics()")
    async def get_health_status(self) -> dict[str, Any]:
        """Return the health of the three parts, and of all."""
        parts = {
            "registry": registry_health(),
            "heartbeat_monitor": monitor_health(self.heartbeat_monitor),
            "timeout_manager": timeout_health(self.timeout_manager),
        }
        healthy = all(part["healthy"] for part in parts.values())
        return {"status": "healthy" if healthy else "degraded", "healthy": healthy, "components": parts}

    # -- within -------------------------------------------------------------------------------------------------------

    def _found(self, execution_id: str) -> tuple[Shared, Life, Courier]:
        core = shared()
        life = core.find(execution_id)
        courier = courier_of(life)
        courier.connect(self.websocket_bridge)
        return core, life, courier

    def _status(self, life: Life) -> ExecutionStatus:
        late, overdue = is_late(life), is_overdue(life)
        beats = life.heartbeat_timeout is not None
        return ExecutionStatus(
            execution_record=view(life),
            heartbeat_status=heartbeat_status(life, self.heartbeat_monitor.heartbeat_interval) if beats else None,
            timeout_info=timeout_info(life) if is_limited(life) else None,
            websocket_status={"has_bridge": self.websocket_bridge is not None},
            health_check={
                "healthy": not (late or overdue),
                "is_alive": not (late or life.state.is_terminal),
                "has_timed_out": overdue or life.state is ExecutionState.TIMEOUT,
                "state": life.state.value,
            },
        )
