"""Facade B: the events on each way to end, and the circuit breaker."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import runstate
import runstate.legacy
from runstate import ExecutionState, ExecutionTracker
from runstate.legacy import agent_execution_tracker as legacy
from runstate.legacy.agent_execution_tracker import AgentExecutionPhase as Phase
from runstate.legacy.agent_execution_tracker import AgentExecutionTracker

from ..clock import FakeClock
from .b import create, record_of
from .bridge import Bridge

pytestmark = pytest.mark.filterwarnings("ignore:.*is a legacy name:DeprecationWarning")

TO_THE_WORK = [Phase.WEBSOCKET_SETUP, Phase.CONTEXT_VALIDATION, Phase.STARTING, Phase.THINKING]


async def go(tracker: AgentExecutionTracker, execution_id: str, bridge: Bridge, *phases: Phase) -> None:
    """Report phases one after the other."""
    for phase in phases:
        assert await tracker.transition_state(execution_id, phase, {"tool_name": "search"}, bridge)


def test_events_on_success(core: ExecutionTracker, tracker: AgentExecutionTracker, run: Callable[..., object]) -> None:
    """The golden path sends its five events in order, and the state goes along with the phases."""

    async def life() -> None:
        bridge, execution_id = Bridge(), create(tracker, run_id="r-1")
        assert tracker.start_execution(execution_id)
        await go(tracker, execution_id, bridge, *TO_THE_WORK, Phase.TOOL_PREPARATION, Phase.TOOL_EXECUTION)
        assert tracker.get_execution_state(execution_id) is ExecutionState.RUNNING
        await go(tracker, execution_id, bridge, Phase.RESULT_PROCESSING, Phase.COMPLETING, Phase.COMPLETED)
        assert tracker.update_execution_state(execution_id, ExecutionState.COMPLETED, result={"text": "hi"})
        assert bridge.names == [
            "agent_started", "agent_thinking", "agent_thinking", "tool_executing", "tool_completed", "agent_thinking",
            "agent_thinking", "agent_completed",
        ]  # fmt: skip
        record = record_of(tracker, execution_id)
        assert (record.state, record.result) == (ExecutionState.COMPLETED, {"text": "hi"})
        assert record.current_phase is Phase.COMPLETED
        assert len(tracker.get_state_history(execution_id)) == len(record.phase_history) == 9
        log = core.timeline(execution_id.removeprefix("exec_"))
        phases = [(one.phase, one.detail) for one in log if isinstance(one, runstate.PhaseChange)]
        assert [phase.value for phase, _ in phases] == [
            "websocket_setup", "context_validation", "thinking", "tool_preparation", "tool_execution",
            "result_processing",
        ]  # fmt: skip
        assert phases[4] == (runstate.Phase.TOOL_EXECUTION, "search")

    run(life())


def test_events_on_failure(tracker: AgentExecutionTracker, run: Callable[..., object]) -> None:
    """The failed phase ends the execution and sends one agent_error; the report of the state agrees afterwards."""

    async def life() -> None:
        bridge, execution_id = Bridge(), create(tracker)
        await go(tracker, execution_id, bridge, *TO_THE_WORK)
        assert await tracker.transition_state(execution_id, Phase.FAILED, {"error": "no seat"}, bridge)
        assert tracker.update_execution_state(execution_id, ExecutionState.FAILED) is True
        assert bridge.names == ["agent_started", "agent_thinking", "agent_error"]
        assert bridge.calls[-1][1]["error"] == "Agent execution failed"
        assert record_of(tracker, execution_id).error == "no seat"

    run(life())


def test_events_on_timeout(
    tracker: AgentExecutionTracker, pass_time: Callable[[float], int], run: Callable[..., object]
) -> None:
    """A passed time limit reaches the user as agent_error, and the timeout callback."""

    async def life() -> None:
        bridge, execution_id = Bridge(), create(tracker)
        heard: list[str] = []
        tracker.register_timeout_callback(lambda record: heard.append(record.execution_id))
        await go(tracker, execution_id, bridge, *TO_THE_WORK)
        assert pass_time(16) == 1
        await runstate.legacy.drain()
        assert bridge.names == ["agent_started", "agent_thinking", "agent_error"]
        assert bridge.calls[-1][1]["error"] == "Agent execution timed out"
        assert heard == [execution_id]
        assert record_of(tracker, execution_id).current_phase is Phase.TIMEOUT

    run(life())


def test_events_on_cancel(tracker: AgentExecutionTracker, run: Callable[..., object]) -> None:
    """A cancelled execution, which had no phase of its own, reaches the user as agent_error."""

    async def life() -> None:
        bridge, execution_id = Bridge(), create(tracker)
        await go(tracker, execution_id, bridge, *TO_THE_WORK)
        assert tracker.update_execution_state(execution_id, ExecutionState.CANCELLED)
        await runstate.legacy.drain()
        assert bridge.names == ["agent_started", "agent_thinking", "agent_error"]
        assert bridge.calls[-1][1]["error"] == "Agent execution was cancelled"

    run(life())


def test_events_on_death(
    tracker: AgentExecutionTracker, pass_time: Callable[[float], int], run: Callable[..., object]
) -> None:
    """A death reaches the user as agent_death, with how long it had been silent."""

    async def life() -> None:
        bridge, execution_id = Bridge(), create(tracker)
        await go(tracker, execution_id, bridge, *TO_THE_WORK)
        tracker.heartbeat(execution_id)
        tracker.heartbeat(execution_id)
        assert pass_time(11) == 1
        await runstate.legacy.drain()
        assert bridge.names == ["agent_started", "agent_thinking", "agent_death"]
        told = bridge.calls[-1][1]["death_context"]
        assert (told["seconds_since_heartbeat"], told["heartbeat_count"]) == (11.0, 2)

    run(life())


def test_phases_may_come_in_any_order(tracker: AgentExecutionTracker, run: Callable[..., object]) -> None:
    """An order that was not foreseen is taken, as it was, and the first phase of work makes the execution RUNNING."""

    async def life() -> None:
        bridge, execution_id = Bridge(), create(tracker)
        await go(tracker, execution_id, bridge, Phase.TOOL_EXECUTION, Phase.CREATED, Phase.THINKING)
        assert bridge.names == ["tool_executing", "tool_completed", "agent_thinking"]
        assert tracker.get_execution_state(execution_id) is ExecutionState.RUNNING
        assert not tracker.validate_state_transition(Phase.TOOL_EXECUTION, Phase.CREATED)
        assert tracker.validate_state_transition(None, Phase.CREATED)

    run(life())


def test_a_result_that_never_follows(
    tracker: AgentExecutionTracker, pass_time: Callable[[float], int], run: Callable[..., object]
) -> None:
    """An execution whose phase says completed is COMPLETED without a result when none is reported."""

    async def life() -> None:
        execution_id = create(tracker)
        await go(tracker, execution_id, Bridge(), Phase.COMPLETED)
        assert tracker.get_execution_state(execution_id) is ExecutionState.COMPLETING
        assert pass_time(5) == 1
        record = record_of(tracker, execution_id)
        assert (record.state, record.result) == (ExecutionState.COMPLETED, None)
        assert tracker.update_execution_state(execution_id, ExecutionState.COMPLETED) is True

    run(life())


def test_the_breaker_opens_and_closes(
    tracker: AgentExecutionTracker, clock: FakeClock, run: Callable[..., object]
) -> None:
    """Three failures open it, calls are refused, and two good probes after the recovery time close it."""

    async def good() -> str:
        return "answer"

    async def bad() -> str:
        raise ConnectionError("no model")

    async def life() -> None:
        tracker.execution_timeout = 1_000
        execution_id = create(tracker)
        for _ in range(3):
            with pytest.raises(ConnectionError):
                await tracker.execute_with_circuit_breaker(execution_id, bad, "llm")
        status = tracker.circuit_breaker_status(execution_id)
        assert status is not None
        assert (status["state"], status["is_open"], status["failure_count"]) == ("open", True, 3)
        assert status["next_attempt_time"] - status["last_failure_time"] == 30.0
        with pytest.raises(legacy.CircuitBreakerOpenError, match=r"30\.0s"):
            await tracker.execute_with_circuit_breaker(execution_id, good, "llm")
        clock.advance(30)
        assert await tracker.execute_with_circuit_breaker(execution_id, good, "llm") == "answer"
        assert record_of(tracker, execution_id).circuit_breaker_state is legacy.CircuitBreakerState.HALF_OPEN
        assert await tracker.execute_with_circuit_breaker(execution_id, good) == "answer"
        assert record_of(tracker, execution_id).circuit_breaker_state is legacy.CircuitBreakerState.CLOSED
        with pytest.raises(ValueError, match="Unknown execution ID"):
            await tracker.execute_with_circuit_breaker("exec_nothing", good)

    run(life())


def test_a_call_that_takes_too_long(tracker: AgentExecutionTracker, run: Callable[..., object]) -> None:
    """A call past `llm_api_timeout` is a TimeoutError and a failure of the breaker."""
    import asyncio

    async def life() -> None:
        execution_id = create(tracker)
        tracker.set_timeout(execution_id, legacy.TimeoutConfig(llm_api_timeout=0.01))
        with pytest.raises(TimeoutError, match="Operation llm timed out"):
            await tracker.execute_with_circuit_breaker(execution_id, asyncio.Event().wait, "llm")
        assert record_of(tracker, execution_id).circuit_breaker_failures == 1
        tracker.reset_circuit_breaker(execution_id)
        assert record_of(tracker, execution_id).circuit_breaker_failures == 0

    run(life())
