"""Facade B: every name and signature of the old `agent_execution_tracker`, and its answers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest

from runstate import ExecutionState, ExecutionTracker, InvalidValueError, StateTypeError
from runstate.legacy import agent_execution_tracker as legacy
from runstate.legacy.agent_execution_tracker import AgentExecutionPhase as Phase
from runstate.legacy.agent_execution_tracker import AgentExecutionTracker

from ..clock import FakeClock
from .b import create, record_of
from .surface import stub_differences

pytestmark = pytest.mark.filterwarnings("ignore:.*is a legacy name:DeprecationWarning")

SIGNATURES = {
    "create_execution": "agent_name, thread_id, user_id, timeout_seconds=None, metadata=None",
    "start_execution": "execution_id",
    "update_execution_state": "execution_id, state, error=None, result=None",
    "heartbeat": "execution_id",
    "transition_state": "execution_id, new_phase, metadata=None, websocket_manager=None",
    "validate_state_transition": "current_phase, new_phase",
    "get_state_history": "execution_id",
    "get_execution": "execution_id",
    "get_execution_state": "execution_id",
    "get_active_executions": "",
    "get_executions_by_agent": "agent_name",
    "get_executions_by_thread": "thread_id",
    "get_agent_state": "execution_id",
    "set_agent_state": "execution_id, state_updates",
    "cleanup_state": "execution_id",
    "detect_dead_executions": "",
    "register_death_callback": "callback",
    "register_timeout_callback": "callback",
    "set_timeout": "execution_id, timeout_config",
    "check_timeout": "execution_id",
    "register_circuit_breaker": "execution_id",
    "reset_circuit_breaker": "execution_id",
    "circuit_breaker_status": "execution_id",
    "execute_with_circuit_breaker": "execution_id, func, operation_name='operation'",
    "create_execution_with_full_context": "agent_name, user_context, timeout_config=None, initial_state='PENDING'",
    "get_execution_with_full_context": "execution_id",
    "get_metrics": "",
    "start_monitoring": "",
    "stop_monitoring": "",
    "get_default_timeout": "",
    "create_execution_id": "agent_name, context=None",
    "complete_execution": "execution_id, result=None, execution_time_ms=None",
    "fail_execution": "execution_id, error, error_context=None",
}
AWAITED = {"transition_state", "execute_with_circuit_breaker", "start_monitoring", "stop_monitoring"}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name: str) -> None:
    """Each method takes what it took, and is awaited where it was."""
    method = getattr(AgentExecutionTracker, name)
    shown = [str(one.replace(annotation=one.empty)) for one in inspect.signature(method).parameters.values()]
    assert ", ".join(shown[1:]) == SIGNATURES[name]
    assert inspect.iscoroutinefunction(method) == (name in AWAITED)


def test_the_stub_agrees() -> None:
    """Every name that the legacy stub of the module declares is there, with the same parameters."""
    assert stub_differences("core/agent_execution_tracker.pyi", legacy) == []


def test_module_names() -> None:
    """The module has its functions, its alias, the one `ExecutionState` and its fourteen phases."""
    assert legacy.ExecutionState is ExecutionState
    assert legacy.ExecutionTracker is AgentExecutionTracker
    assert legacy.get_execution_tracker() is legacy.get_agent_state_tracker()
    assert inspect.iscoroutinefunction(legacy.initialize_tracker)
    assert inspect.iscoroutinefunction(legacy.shutdown_tracker)
    assert [phase.value for phase in Phase] == [
        "created", "websocket_setup", "context_validation", "starting", "thinking", "tool_preparation",
        "llm_interaction", "tool_execution", "result_processing", "completing", "completed", "timeout", "failed",
        "circuit_breaker_open",
    ]  # fmt: skip


def test_record_fields_and_defaults() -> None:
    """The record has its fields in the old order, and the configurations their old figures."""
    assert [field.name for field in fields(legacy.ExecutionRecord)] == [
        "execution_id", "agent_name", "thread_id", "user_id", "state", "started_at", "last_heartbeat", "updated_at",
        "completed_at", "error", "result", "heartbeat_count", "timeout_seconds", "metadata", "current_phase",
        "phase_history", "warning_count", "error_count", "timeout_config", "circuit_breaker_failures",
        "circuit_breaker_state", "last_failure_time", "next_attempt_time",
    ]  # fmt: skip
    config = legacy.TimeoutConfig()
    assert (config.agent_execution_timeout, config.llm_api_timeout, config.failure_threshold) == (25.0, 15.0, 3)
    assert (config.recovery_timeout, config.success_threshold, config.max_retries) == (30.0, 2, 2)
    assert (config.retry_base_delay, config.retry_max_delay, config.retry_exponential_base) == (1.0, 5.0, 2.0)


def test_every_field_of_a_live_record_can_be_read(tracker: AgentExecutionTracker) -> None:
    """The record that a tracker hands out is an instance of the old class, and all its fields and methods answer."""
    execution_id = create(tracker, run_id="r-1")
    record = record_of(tracker, execution_id)
    assert isinstance(record, legacy.ExecutionRecord)
    assert tracker.get_execution(execution_id) is record
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    assert values["execution_id"] == execution_id
    assert values["metadata"] == {"run_id": "r-1"}
    assert (record.is_alive, record.is_terminal, record.is_timed_out(), record.is_dead()) == (True, False, False, False)
    assert record.duration == timedelta(0)
    assert record.get_phase_duration_ms(Phase.CREATED) == 0.0
    assert (record.is_circuit_breaker_open(), record.should_retry()) == (False, True)


def test_a_record_of_ones_own_is_a_value() -> None:
    """A record can still be made by hand, and answers from its own fields."""
    old = datetime(2020, 1, 1, tzinfo=UTC)
    record = legacy.ExecutionRecord("exec_1", "a", "t", "u", ExecutionState.RUNNING, old, old, old)
    assert record.is_dead()
    assert record.is_timed_out()
    record.state = ExecutionState.DEAD
    record.completed_at = old + timedelta(seconds=3)
    assert record.get_total_duration_ms() == 3_000


def test_the_usual_life(tracker: AgentExecutionTracker) -> None:
    """Created, started, beaten and completed, the answers and the live record are the old ones."""
    execution_id = create(tracker)
    record = record_of(tracker, execution_id)
    assert execution_id.startswith("exec_")
    assert tracker.start_execution(execution_id) is True
    assert record.state is ExecutionState.STARTING
    assert tracker.heartbeat(execution_id) is True
    assert record.state is ExecutionState.RUNNING
    assert tracker.update_execution_state(execution_id, ExecutionState.COMPLETED, result={"text": "hi"}) is True
    assert (record.state, record.result) == (ExecutionState.COMPLETED, {"text": "hi"})
    assert record.completed_at is not None
    assert tracker.get_active_executions() == []


def test_jumps_are_walked(core: ExecutionTracker, tracker: AgentExecutionTracker) -> None:
    """PENDING to COMPLETED is accepted, and the journal shows the legal moves that it was made of."""
    execution_id = create(tracker)
    assert tracker.update_execution_state(execution_id, ExecutionState.COMPLETED)
    moves = [(move.source.name, move.target.name) for move in core.history(execution_id.removeprefix("exec_"))]
    assert moves == [("PENDING", "RUNNING"), ("RUNNING", "COMPLETED")]


@pytest.mark.parametrize("state", list(ExecutionState))
def test_every_state_can_be_reached_from_pending(tracker: AgentExecutionTracker, state: ExecutionState) -> None:
    """A fresh execution gets to any state in one call."""
    execution_id = create(tracker)
    assert tracker.update_execution_state(execution_id, state) is True
    assert tracker.get_execution_state(execution_id) is state


def test_refusals_are_false(tracker: AgentExecutionTracker) -> None:
    """Unknown, ended and not PENDING are answered with False, as they were."""
    execution_id, unknown = create(tracker), "exec_execution_1_0a1b2c3d"
    assert tracker.start_execution(execution_id)
    assert tracker.start_execution(execution_id) is False
    assert tracker.update_execution_state(execution_id, ExecutionState.FAILED, error="no")
    assert tracker.update_execution_state(execution_id, ExecutionState.COMPLETED) is False
    assert tracker.heartbeat(execution_id) is False
    for call in (tracker.start_execution, tracker.heartbeat, tracker.cleanup_state, tracker.register_circuit_breaker,
                 tracker.reset_circuit_breaker):  # fmt: skip
        assert call(unknown) is False
    assert tracker.update_execution_state(unknown, ExecutionState.FAILED) is False
    assert tracker.set_agent_state(unknown, {}) is False
    assert tracker.set_timeout(unknown, legacy.TimeoutConfig()) is False
    for read in (tracker.get_execution, tracker.get_execution_state, tracker.get_agent_state, tracker.check_timeout,
                 tracker.circuit_breaker_status, tracker.get_execution_with_full_context):  # fmt: skip
        assert read(unknown) is None
    assert tracker.get_state_history(unknown) == []


def test_finding(tracker: AgentExecutionTracker) -> None:
    """Executions are found by agent and thread, also when they have ended, as the live records they are."""
    first, second = create(tracker), create(tracker)
    tracker.update_execution_state(first, ExecutionState.CANCELLED)
    records = [record_of(tracker, first), record_of(tracker, second)]
    assert tracker.get_executions_by_agent("airline") == records
    assert tracker.get_executions_by_thread("t-1") == records
    assert tracker.get_executions_by_agent("nobody") == []
    assert tracker.get_active_executions() == records[1:]


def test_cleanup(tracker: AgentExecutionTracker) -> None:
    """Only an ended execution can be cleaned up, and is not found afterwards."""
    execution_id = create(tracker)
    assert tracker.cleanup_state(execution_id) is False
    tracker.update_execution_state(execution_id, ExecutionState.COMPLETED)
    assert tracker.cleanup_state(execution_id) is True
    assert tracker.get_execution(execution_id) is None
    assert tracker.get_executions_by_agent("airline") == []


def test_agent_state(tracker: AgentExecutionTracker) -> None:
    """The agent state is a dict with the old keys; counters and metadata can be set, anything else cannot."""
    execution_id = create(tracker)
    assert tracker.set_agent_state(execution_id, {"warning_count": 2, "metadata": {"tier": "free"}}) is True
    assert tracker.set_agent_state(execution_id, {"state": "running"}) is False
    state = tracker.get_agent_state(execution_id)
    assert state is not None
    assert set(state) == {
        "execution_id", "agent_name", "user_id", "thread_id", "state", "current_phase", "started_at", "last_heartbeat",
        "total_duration_ms", "current_phase_duration_ms", "phase_count", "warning_count", "error_count", "metadata",
    }  # fmt: skip
    assert (state["warning_count"], state["metadata"], state["state"]) == (2, {"tier": "free"}, "pending")


def test_full_context(tracker: AgentExecutionTracker) -> None:
    """An execution made with its whole configuration shows it, its state's name in capitals."""
    execution_id = tracker.create_execution_with_full_context(
        "airline", {"user_id": "u-1", "thread_id": "t-1"}, {"timeout_seconds": 7.5, "max_retries": 1}, "RUNNING"
    )
    everything = tracker.get_execution_with_full_context(execution_id)
    assert everything is not None
    assert (everything["state"], everything["timeout_seconds"]) == ("RUNNING", 7.5)
    assert everything["timeout_status"]["timeout_seconds"] == 7.5
    assert set(everything) == {
        "execution_id", "agent_name", "user_id", "thread_id", "state", "timeout_seconds", "metadata", "state_info",
        "timeout_status", "circuit_breaker_status", "state_history", "consolidated", "created_with_ssot",
    }  # fmt: skip


def test_metrics(tracker: AgentExecutionTracker) -> None:
    """Metrics count each end under its old key."""
    for state in (ExecutionState.COMPLETED, ExecutionState.FAILED, ExecutionState.TIMEOUT, ExecutionState.DEAD):
        tracker.update_execution_state(create(tracker), state)
    create(tracker)
    metrics = tracker.get_metrics()
    assert metrics["total_executions"] == 5
    assert metrics["active_executions"] == 1
    assert [metrics[f"{end}_executions"] for end in ("successful", "failed", "timeout", "dead")] == [1, 1, 1, 1]
    assert (metrics["success_rate"], metrics["failure_rate"]) == (0.2, 0.6)


def test_times_may_be_set_back(
    tracker: AgentExecutionTracker, pass_time: Callable[[float], int], clock: FakeClock
) -> None:
    """A heartbeat set back by hand makes the record dead at once, is detected, and has its consequences soon."""
    record = record_of(tracker, create(tracker))
    record.last_heartbeat -= timedelta(seconds=12)
    assert record.time_since_heartbeat == timedelta(seconds=12)
    assert record.is_dead(10)
    assert not record.is_dead(15)
    assert tracker.detect_dead_executions() == [record]
    assert record.state is ExecutionState.PENDING
    assert pass_time(2) == 1
    assert record.state is ExecutionState.DEAD
    with pytest.raises(StateTypeError, match="time zone"):
        record.started_at = datetime(2020, 1, 1)  # noqa: DTZ001


def test_what_was_ended_by_a_limit_is_detected_once(
    tracker: AgentExecutionTracker, pass_time: Callable[[float], int]
) -> None:
    """Whoever polls for the dead gets those that were ended meanwhile, once."""
    record = record_of(tracker, create(tracker))
    pass_time(15)
    assert tracker.detect_dead_executions() == [record]
    assert record.is_timed_out()
    assert tracker.detect_dead_executions() == []


def test_what_was_added_later(tracker: AgentExecutionTracker) -> None:
    """The four calls of the last versions: an id that names an execution, its two ends, and the default limit."""
    completed = tracker.create_execution_id("airline", {"thread_id": "t-1"})
    assert tracker.complete_execution(completed, 0, execution_time_ms=12) is True
    assert (record_of(tracker, completed).result, record_of(tracker, completed).thread_id) == (0, "t-1")
    failed = tracker.create_execution_id("airline")
    assert tracker.fail_execution(failed, "no seat", {"seat": "4A"}) is True
    assert record_of(tracker, failed).metadata == {"error_context": {"seat": "4A"}}
    assert tracker.fail_execution(failed, "again") is False
    assert tracker.get_default_timeout() == 15


def test_limits_can_be_moved(tracker: AgentExecutionTracker, pass_time: Callable[[float], int]) -> None:
    """A time limit set later counts from the start, and what is asked about it agrees."""
    execution_id = create(tracker)
    assert tracker.set_timeout(execution_id, legacy.TimeoutConfig(agent_execution_timeout=40.0)) is True
    assert pass_time(39) == 0
    status = tracker.check_timeout(execution_id)
    assert status is not None
    assert (status["elapsed_seconds"], status["timeout_seconds"], status["time_until_timeout"]) == (39.0, 40.0, 1.0)
    assert pass_time(1) == 1
    assert tracker.get_execution_state(execution_id) is ExecutionState.TIMEOUT
    assert tracker.set_timeout(execution_id, legacy.TimeoutConfig()) is False


def test_a_limit_past_the_cores_own_is_refused(tracker: AgentExecutionTracker) -> None:
    """A limit that the core would cut short is refused, not promised."""
    execution_id = create(tracker)
    assert tracker.set_timeout(execution_id, legacy.TimeoutConfig(agent_execution_timeout=90_000.0)) is False
    assert record_of(tracker, execution_id).timeout_seconds == 15
    with pytest.raises(InvalidValueError):
        record_of(tracker, execution_id).timeout_seconds = -1
