"""Wrong calls of the legacy trackers, as a file that the tests put into the made-up code base.

What a checker must say of a line stands behind it, as `mypy[code]`, `pyright[rule]`, and `plugin[code]` for what mypy says
only with the plugin; of a line without, nothing.
"""

from __future__ import annotations

from typing import Final

WRONG: Final = '''
"""Wrong calls of every tracker."""

import asyncio
from typing import Any
from uuid import UUID

from netra_backend.app.agents.execution_tracking import registry as c
from netra_backend.app.agents.execution_tracking.heartbeat import HeartbeatMonitor
from netra_backend.app.agents.execution_tracking.timeout import TimeoutManager
from netra_backend.app.agents.execution_tracking.tracker import ExecutionTracker as TrackerOfC
from netra_backend.app.agents.execution_tracking.tracker import ExecutionProgress
from netra_backend.app.core import agent_execution_tracker as b
from netra_backend.app.core import execution_tracker as a
from netra_backend.app.core.agent_execution_tracker import ExecutionStates  # mypy[attr-defined] pyright[reportAttributeAccessIssue]
from netra_backend.app.core.execution_tracker import ExecutionTracker
from netra_backend.app.nowhere import unknown  # mypy[import-not-found] pyright[reportMissingImports]


def states_of_b(tracker: b.AgentExecutionTracker, execution_id: str, loose: Any, event: dict[str, Any]) -> None:
    """Only an `ExecutionState` of B is a state of B."""
    assert tracker.update_execution_state(execution_id, {"success": False, "completed": True})  # mypy[arg-type] pyright[reportArgumentType]
    assert tracker.update_execution_state(execution_id, "completed")  # mypy[arg-type] pyright[reportArgumentType]
    assert tracker.update_execution_state(execution_id, a.ExecutionState.COMPLETED)  # mypy[arg-type] pyright[reportArgumentType]
    assert tracker.update_execution_state(execution_id, c.ExecutionState.SUCCESS)  # mypy[arg-type] pyright[reportArgumentType]
    assert tracker.update_execution_state(execution_id, state=a.ExecutionState.FAILED)  # mypy[arg-type] pyright[reportArgumentType]
    assert tracker.update_execution_state(execution_id, b.ExecutionState.FAILED.value)  # mypy[arg-type] pyright[reportArgumentType]
    assert tracker.update_execution_state(execution_id, b.AgentExecutionPhase.FAILED)  # mypy[arg-type] pyright[reportArgumentType]
    assert tracker.update_execution_state(execution_id, b.ExecutionState)  # mypy[arg-type] pyright[reportArgumentType]
    assert tracker.update_execution_state(execution_id, None)  # mypy[arg-type] pyright[reportArgumentType]
    assert tracker.update_execution_state(execution_id, b.ExecutionState.SUCCESS)  # mypy[attr-defined] pyright[reportAttributeAccessIssue]
    assert tracker.update_execution_state(execution_id, loose)  # plugin[runstate-any]
    assert tracker.update_execution_state(execution_id, event["state"])  # plugin[runstate-any]
    assert tracker.update_execution_state(execution_id, unknown.STATE)  # plugin[runstate-any]
    assert tracker.update_execution_state(**event)  # plugin[runstate-any]


def without_annotations(event):
    """Most legacy code: what flows in is anything, and what it calls is not."""
    tracker = b.get_execution_tracker()
    assert tracker.update_execution_state("e-1", {"success": False, "completed": True})  # mypy[arg-type] pyright[reportArgumentType]
    assert tracker.update_execution_state("e-1", event["state"])  # plugin[runstate-any]
    assert tracker.set_state("e-1", b.ExecutionState.FAILED)  # mypy[attr-defined] pyright[reportAttributeAccessIssue]


async def phases_of_b(tracker: b.AgentExecutionTracker, execution_id: str) -> None:
    """A phase is no state, and no text."""
    assert await tracker.transition_state(execution_id, "thinking")  # mypy[arg-type] pyright[reportArgumentType]
    assert await tracker.transition_state(execution_id, b.ExecutionState.COMPLETED)  # mypy[arg-type] pyright[reportArgumentType]


async def states_of_c(registry: c.ExecutionRegistry, execution_id: str, loose: Any) -> None:
    """A member of C is a `str`, but a `str` is no member of C."""
    assert await registry.update_execution_state(execution_id, "RUNNING")  # mypy[arg-type] pyright[reportArgumentType]
    assert await registry.update_execution_state(execution_id, {"state": "RUNNING"})  # mypy[arg-type] pyright[reportArgumentType]
    assert await registry.update_execution_state(execution_id, a.ExecutionState.RUNNING)  # mypy[arg-type] pyright[reportArgumentType]
    assert await registry.update_execution_state(execution_id, b.ExecutionState.RUNNING)  # mypy[arg-type] pyright[reportArgumentType]
    assert await registry.update_execution_state(execution_id, loose)  # plugin[runstate-any]


def states_of_records(record: a.ExecutionRecord, of_b: b.ExecutionRecord) -> None:
    """A record's state is one too."""
    record.state = {"completed": True}  # mypy[assignment] pyright[reportAttributeAccessIssue]
    record.state = b.ExecutionState.COMPLETED  # mypy[assignment] pyright[reportAttributeAccessIssue]
    of_b.state = "completed"  # mypy[assignment] pyright[reportAttributeAccessIssue]
    print({"state": "x"}.value)  # mypy[attr-defined] pyright[reportAttributeAccessIssue]


def comparisons(record: a.ExecutionRecord, of_b: b.ExecutionRecord) -> None:
    """A state equals no text, and no member of another enum."""
    print(record.state == "completed")  # mypy[comparison-overlap] pyright[reportUnnecessaryComparison]
    print(of_b.state == a.ExecutionState.COMPLETED)  # mypy[comparison-overlap] pyright[reportUnnecessaryComparison]
    print(of_b.state == c.ExecutionState.SUCCESS)  # mypy[comparison-overlap] pyright[reportUnnecessaryComparison]


def names(tracker: b.AgentExecutionTracker, of_a: a.ExecutionTracker, record: b.ExecutionRecord, execution_id: str) -> None:
    """A method or attribute that does not exist."""
    tracker.set_execution_state(execution_id, b.ExecutionState.FAILED)  # mypy[attr-defined] pyright[reportAttributeAccessIssue]
    tracker.register_execution("triage")  # mypy[attr-defined] pyright[reportAttributeAccessIssue]
    of_a.update_execution_state(execution_id, a.ExecutionState.FAILED)  # mypy[attr-defined] pyright[reportAttributeAccessIssue]
    of_a.create_execution("triage", "t-1", "u-1")  # mypy[attr-defined] pyright[reportAttributeAccessIssue]
    print(record.status)  # mypy[attr-defined] pyright[reportAttributeAccessIssue]
    print(record.duration().seconds)  # mypy[misc, operator] pyright[reportCallIssue, reportOptionalCall]
    print(b.ExecutionState.ABORTED, a.ExecutionState.CANCELLED)  # mypy[attr-defined] pyright[reportAttributeAccessIssue]
    print(tracker.get_execution(execution_id).state)  # mypy[union-attr] pyright[reportOptionalMemberAccess]


def signatures_of_b(tracker: b.AgentExecutionTracker, execution_id: str, number: UUID) -> None:
    """Missing, unknown and surplus arguments, and those of a wrong type."""
    print(tracker.create_execution("triage", "t-1"))  # mypy[call-arg] pyright[reportCallIssue]
    print(tracker.create_execution(agent="triage", thread_id="t-1", user_id="u-1"))  # mypy[call-arg] pyright[reportCallIssue]
    print(tracker.create_execution("triage", "t-1", None))  # mypy[arg-type] pyright[reportArgumentType]
    print(tracker.create_execution("triage", "t-1", "u-1", timeout_seconds="25"))  # mypy[arg-type] pyright[reportArgumentType]
    assert tracker.update_execution_state(b.ExecutionState.FAILED, execution_id)  # mypy[arg-type] pyright[reportArgumentType]
    assert tracker.update_execution_state(execution_id, b.ExecutionState.FAILED, ValueError("x"))  # mypy[arg-type] pyright[reportArgumentType]
    assert tracker.update_execution_state(execution_id)  # mypy[call-arg] pyright[reportCallIssue]
    assert tracker.update_execution_state(number, b.ExecutionState.FAILED)  # mypy[arg-type] pyright[reportArgumentType]
    assert tracker.heartbeat()  # mypy[call-arg] pyright[reportCallIssue]
    tracker.register_death_callback(print)  # mypy[arg-type] pyright[reportArgumentType]
    print(tracker.create_execution_with_full_context("triage", {}, initial_state="RUNING"))  # mypy[arg-type] pyright[reportArgumentType]


async def signatures_of_a_and_c(tracker: ExecutionTracker, monitor: HeartbeatMonitor, limits: TimeoutManager, run: str) -> None:
    """A text is no UUID, and the two classes of progress are two."""
    await tracker.start_execution(run)  # mypy[arg-type] pyright[reportArgumentType]
    await tracker.register_execution()  # mypy[call-arg] pyright[reportCallIssue]
    await tracker.register_execution("triage", timeout="25")  # mypy[call-arg] pyright[reportCallIssue]
    assert await limits.extend_timeout(run, "5")  # mypy[arg-type] pyright[reportArgumentType]
    assert await monitor.send_heartbeat()  # mypy[call-arg] pyright[reportCallIssue]
    await TrackerOfC().update_execution_progress(run, c.ExecutionProgress(percentage=0.2))  # mypy[arg-type] pyright[reportArgumentType]
    await TrackerOfC().update_execution_progress(run, {"percentage": 20})  # mypy[arg-type] pyright[reportArgumentType]
    await TrackerOfC().complete_execution(run, ExecutionProgress(stage="sql", percentage=100, message=""))  # mypy[arg-type] pyright[reportArgumentType]


async def awaits(tracker: ExecutionTracker, of_b: b.AgentExecutionTracker, registry: c.ExecutionRegistry, key: UUID) -> None:
    """A missing `await`, and one too many."""
    tracker.start_execution(key)  # mypy[unused-coroutine] pyright[reportUnusedCoroutine]
    tracker.complete_execution(key, {"text": "done"})  # mypy[unused-coroutine] pyright[reportUnusedCoroutine]
    registry.update_execution_state("e-1", c.ExecutionState.RUNNING)  # mypy[unused-coroutine] pyright[reportUnusedCoroutine]
    of_b.transition_state("e-1", b.AgentExecutionPhase.THINKING)  # mypy[unused-coroutine] pyright[reportUnusedCoroutine]
    TrackerOfC().shutdown()  # mypy[unused-coroutine] pyright[reportUnusedCoroutine]
    if tracker.heartbeat(key):  # mypy[truthy-bool] pyright[reportUnnecessaryComparison]
        await asyncio.sleep(0)
    await of_b.start_execution("e-1")  # mypy[misc] pyright[reportGeneralTypeIssues]
    await tracker.start_execution(tracker.register_execution("triage"))  # mypy[arg-type] pyright[reportArgumentType]


async def ignored(tracker: ExecutionTracker, of_b: b.AgentExecutionTracker, registry: c.ExecutionRegistry, key: UUID) -> None:
    """The result of a call that refuses by False."""
    of_b.update_execution_state("e-1", b.ExecutionState.COMPLETED)  # ignored[runstate-ignored]
    of_b.start_execution("e-1")  # ignored[runstate-ignored]
    of_b.heartbeat("e-1")  # ignored[runstate-ignored]
    await of_b.transition_state("e-1", b.AgentExecutionPhase.THINKING)  # ignored[runstate-ignored]
    await tracker.heartbeat(key)  # ignored[runstate-ignored]
    await registry.update_execution_state("e-1", c.ExecutionState.RUNNING)  # ignored[runstate-ignored]
'''
