"""What the tests of facade B have in common."""

from __future__ import annotations

from collections.abc import Callable

from runstate.legacy.agent_execution_tracker import AgentExecutionTracker, ExecutionRecord

Run = Callable[..., object]
"""The fixture `run`."""
Pass = Callable[[float], int]
"""The fixture `pass_time`."""


def create(tracker: AgentExecutionTracker, timeout_seconds: float | None = None, **metadata: object) -> str:
    """An execution of the agent `airline` on the thread `t-1`, PENDING."""
    return tracker.create_execution("airline", "t-1", "u-1", timeout_seconds, metadata)


def record_of(tracker: AgentExecutionTracker, execution_id: str) -> ExecutionRecord:
    """The record of an execution that there is."""
    record = tracker.get_execution(execution_id)
    assert record is not None
    return record


def made(tracker: AgentExecutionTracker, timeout_seconds: float | None = None) -> tuple[str, ExecutionRecord]:
    """An execution as `create` makes it, and its record."""
    execution_id = create(tracker, timeout_seconds)
    return execution_id, record_of(tracker, execution_id)
