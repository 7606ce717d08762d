"""What the tests of facade C have in common."""

from __future__ import annotations

from runstate.legacy.execution_tracking import (
    AgentExecutionContext,
    AgentExecutionResult,
    ExecutionRecord,
    ExecutionRegistry,
    ExecutionTracker,
)
from runstate.legacy.execution_tracking.tracker import ExecutionProgress


def context(run_id: str = "r-1", agent_name: str = "airline", retry_count: int = 0) -> AgentExecutionContext:
    """Of the user `u-1` on the thread `t-1`."""
    return AgentExecutionContext(
        run_id=run_id, agent_name=agent_name, thread_id="t-1", user_id="u-1", retry_count=retry_count
    )


async def start(tracker: ExecutionTracker, run_id: str = "r-1", agent_name: str = "airline") -> str:
    """An execution as the tracker starts it, and its id."""
    return await tracker.start_execution(run_id, agent_name, context(run_id, agent_name))


def progress(percentage: float = 20) -> ExecutionProgress:
    """So far, in percent."""
    return ExecutionProgress(stage="search", percentage=percentage, message="looking for flights")


def result(
    execution_id: str, data: object = None, *, success: bool = True, error: str | None = None
) -> AgentExecutionResult:
    """What an agent returns."""
    return AgentExecutionResult(
        success=success, data=data, error=error, execution_id=execution_id, duration_seconds=1.5
    )


async def record_of(execution_id: str) -> ExecutionRecord:
    """The record of an execution that there is."""
    record = await ExecutionRegistry().get_execution(execution_id)
    assert record is not None
    return record


async def registered(run_id: str = "r-1", agent_name: str = "airline") -> str:
    """An execution as a registry registers it, PENDING and without a limit, and its id."""
    return (await ExecutionRegistry().register_execution(run_id, agent_name)).execution_id
