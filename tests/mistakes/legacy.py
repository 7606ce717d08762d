"""Calling the legacy trackers, with their stubs, and the facades that take their place."""

from __future__ import annotations

from typing import Any

from netra_backend.app.agents.execution_tracking.registry import ExecutionProgress, ExecutionRegistry
from netra_backend.app.agents.execution_tracking.registry import ExecutionState as StateOfC
from netra_backend.app.agents.execution_tracking.tracker import ExecutionTracker as TrackerOfC
from netra_backend.app.core.agent_execution_tracker import AgentExecutionTracker, ExecutionRecord
from netra_backend.app.core.agent_execution_tracker import ExecutionState as StateOfB
from netra_backend.app.core.execution_tracker import ExecutionState as StateOfA
from netra_backend.app.core.execution_tracker import ExecutionTracker

from runstate.legacy import agent_execution_tracker as facade


def legacy_dict_as_state(tracker: AgentExecutionTracker) -> None:
    """A dict is given to tracker B as the state (issue #305)."""
    assert tracker.update_execution_state("e-1", {"success": False, "completed": True})  # wrong


def legacy_str_as_state(tracker: AgentExecutionTracker) -> None:
    """A text is given to tracker B as the state."""
    assert tracker.update_execution_state("e-1", "completed")  # wrong


def legacy_state_of_a_for_b(tracker: AgentExecutionTracker) -> None:
    """A state of tracker A is given to tracker B."""
    assert tracker.update_execution_state("e-1", StateOfA.COMPLETED)  # wrong


def legacy_state_of_b_for_c(registry: ExecutionRegistry) -> None:
    """A state of tracker B is given to tracker C."""
    print(registry.update_execution_state("e-1", StateOfB.RUNNING))  # wrong


def legacy_str_for_c(registry: ExecutionRegistry) -> None:
    """A text is given to tracker C, whose states are texts, as the state."""
    print(registry.update_execution_state("e-1", "RUNNING"))  # wrong


def legacy_any_as_state(tracker: AgentExecutionTracker, loose: Any) -> None:  # wrong
    """A value of type Any is given to tracker B as the state."""
    assert tracker.update_execution_state("e-1", loose)  # wrong


def legacy_state_is_assigned(record: ExecutionRecord) -> None:
    """A text is assigned to a record of tracker B as its state."""
    record.state = "completed"  # wrong


def legacy_compare_two_enums(record: ExecutionRecord) -> None:
    """A state of tracker B is compared with one of tracker A."""
    print(record.state == StateOfA.COMPLETED)  # wrong


def legacy_compare_with_c(record: ExecutionRecord) -> None:
    """A state of tracker B is compared with one of tracker C."""
    print(record.state == StateOfC.SUCCESS)  # wrong


def legacy_method_of_another(tracker: ExecutionTracker) -> None:
    """A method that tracker B has is called on tracker A."""
    tracker.update_execution_state("e-1", StateOfA.FAILED)  # wrong


def legacy_state_of_another(tracker: AgentExecutionTracker) -> None:
    """A state that tracker C has is looked for in tracker B."""
    assert tracker.update_execution_state("e-1", StateOfB.SUCCESS)  # wrong


def legacy_missing_argument(tracker: AgentExecutionTracker) -> None:
    """Tracker B creates an execution without a user."""
    print(tracker.create_execution("triage", "t-1"))  # wrong


def legacy_id_of_another(tracker: ExecutionTracker, of_b: AgentExecutionTracker) -> None:
    """An id of tracker B is given to tracker A."""
    print(tracker.get_execution(of_b.create_execution("triage", "t-1", "u-1")))  # wrong


async def legacy_await_forgotten(registry: ExecutionRegistry) -> None:
    """A coroutine of tracker C is not awaited."""
    registry.update_heartbeat("e-1")  # wrong


async def legacy_await_too_many(tracker: AgentExecutionTracker) -> None:
    """A call of tracker B that is not async is awaited."""
    await tracker.heartbeat("e-1")  # wrong


def legacy_ignored_refusal(tracker: AgentExecutionTracker) -> None:
    """A call that refuses by returning False is not asked."""
    tracker.update_execution_state("e-1", StateOfB.COMPLETED)  # wrong


def facade_any_as_state(tracker: facade.AgentExecutionTracker, loose: Any) -> None:  # wrong
    """A value of type Any is given to the facade of tracker B as the state."""
    assert tracker.update_execution_state("e-1", loose)  # wrong


def facade_ignored_refusal(tracker: facade.AgentExecutionTracker) -> None:
    """A call of the facade of tracker B that refuses by returning False is not asked."""
    tracker.update_execution_state("e-1", facade.ExecutionState.COMPLETED)  # wrong


def legacy_sync_callback(tracker: AgentExecutionTracker) -> None:
    """A function that is not async is registered with tracker B, which awaits it."""

    def on_death(record: ExecutionRecord) -> None:
        print(record.agent_name)

    tracker.register_death_callback(on_death)  # wrong


async def legacy_other_progress(tracker: TrackerOfC) -> None:
    """One of the two classes named `ExecutionProgress` is given for the other."""
    await tracker.update_execution_progress("e-1", ExecutionProgress(percentage=0.2))  # wrong
