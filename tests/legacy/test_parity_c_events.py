"""Facade C: the events of each way to end, in their order. The old ones never arrived; these are those that clients know."""

from __future__ import annotations

import pytest

import runstate
import runstate.legacy
from runstate import ExecutionState, ExecutionTracker
from runstate.legacy import agent_execution_tracker as b
from runstate.legacy import execution_tracking as legacy

from .b import Pass, Run
from .bridge import Bridge
from .c import progress, record_of, registered, result, start

pytestmark = pytest.mark.filterwarnings("ignore:.*is a legacy name:DeprecationWarning")

BEGUN = ["agent_started", "agent_thinking"]


async def begun(bridge: Bridge) -> tuple[legacy.ExecutionTracker, str]:
    """An execution that has been started and has come so far."""
    tracker = legacy.ExecutionTracker(bridge)
    execution_id = await start(tracker)
    await tracker.update_execution_progress(execution_id, progress())
    return tracker, execution_id


def test_events_on_success(core: ExecutionTracker, run: Run) -> None:
    """Started, thought and completed; each has arrived when its call returns, and the journal has the phases."""

    async def life() -> None:
        bridge = Bridge()
        tracker, execution_id = await begun(bridge)
        assert bridge.names == BEGUN
        await tracker.complete_execution(execution_id, result(execution_id, {"text": "hi"}))
        assert bridge.names == [*BEGUN, "agent_completed"]
        assert {told["run_id"] for _, told in bridge.calls} == {"r-1"}
        assert bridge.calls[-1][1]["result"]["success"] is True
        log = core.timeline(execution_id[-32:])
        assert [one.phase for one in log if isinstance(one, runstate.PhaseChange)] == [runstate.Phase.THINKING]

    run(life())


def test_events_on_failure(core: ExecutionTracker, run: Run) -> None:
    """A result without success and a failure that is handled send one agent_error, with what went wrong."""

    async def life() -> None:
        for handled in (False, True):
            bridge = Bridge()
            tracker, execution_id = await begun(bridge)
            if handled:
                await tracker.handle_execution_failure(execution_id, LookupError("no seat"))
            else:
                await tracker.complete_execution(execution_id, result(execution_id, success=False, error="no seat"))
            assert bridge.names == [*BEGUN, "agent_error"]
            assert bridge.calls[-1][1]["error"] == "Agent execution failed"
            assert "no seat" in bridge.calls[-1][1]["error_context"]["error"]
            await tracker.complete_execution(execution_id, result(execution_id))
            assert bridge.names == [*BEGUN, "agent_error"]

    run(life())


def test_events_on_timeout(core: ExecutionTracker, pass_time: Pass, run: Run) -> None:
    """A passed time limit reaches the user as agent_error, and the timeout callback."""

    async def life() -> None:
        bridge, heard = Bridge(), list[str]()
        tracker, execution_id = await begun(bridge)
        tracker.timeout_manager.add_timeout_callback(lambda key, _: heard.append(key))
        tracker.heartbeat_monitor.add_failure_callback(lambda key, _: heard.append("it did not die"))
        assert pass_time(30) == 1
        await runstate.legacy.drain()
        assert bridge.names == [*BEGUN, "agent_error"]
        assert bridge.calls[-1][1]["error"] == "Agent execution timed out"
        assert heard == [execution_id]

    run(life())


def test_events_on_cancel(core: ExecutionTracker, run: Run) -> None:
    """An execution that is aborted in the registry reaches the user as agent_error, and no callback."""

    async def life() -> None:
        bridge, heard = Bridge(), list[str]()
        tracker, execution_id = await begun(bridge)
        tracker.timeout_manager.add_timeout_callback(lambda key, _: heard.append(key))
        tracker.heartbeat_monitor.add_failure_callback(lambda key, _: heard.append(key))
        aborted: ExecutionState = legacy.ExecutionState["ABORTED"]
        assert await tracker.registry.update_execution_state(execution_id, aborted, {"error": "changed his mind"})
        await runstate.legacy.drain()
        assert bridge.names == [*BEGUN, "agent_error"]
        assert bridge.calls[-1][1]["error"] == "Agent execution was cancelled"
        assert (await record_of(execution_id)).error == "changed his mind"
        assert heard == []

    run(life())


def test_events_on_death(core: ExecutionTracker, pass_time: Pass, run: Run) -> None:
    """A death reaches the user as agent_death, and the failure callback with the evidence."""

    async def life() -> None:
        bridge, heard = Bridge(), list[tuple[str, int, bool]]()
        tracker = legacy.ExecutionTracker(bridge, heartbeat_interval=1.0)
        tracker.heartbeat_monitor.add_failure_callback(
            lambda key, status: heard.append((key, status.missed_heartbeats, status.is_alive))
        )
        execution_id = await start(tracker)
        for _ in range(2):
            await tracker.update_execution_progress(execution_id, progress())
        assert pass_time(7) == 1
        await runstate.legacy.drain()
        assert bridge.names == [*BEGUN, "agent_thinking", "agent_death"]
        assert heard == [(execution_id, 7, False)]

    run(life())


def test_an_end_that_its_own_code_reports_is_no_finding(core: ExecutionTracker, run: Run) -> None:
    """A TIMEOUT or death that the code reports itself sends its event, and calls no callback of a monitor."""

    async def life() -> None:
        heard: list[str] = []
        for state, event in ((ExecutionState.TIMEOUT, "agent_error"), (ExecutionState.DEAD, "agent_death")):
            bridge = Bridge()
            tracker, execution_id = await begun(bridge)
            tracker.timeout_manager.add_timeout_callback(lambda key, _: heard.append(key))
            tracker.heartbeat_monitor.add_failure_callback(lambda key, _: heard.append(key))
            assert await tracker.registry.update_execution_state(execution_id, state)
            await runstate.legacy.drain()
            assert bridge.names == [*BEGUN, event]
        assert heard == []

    run(life())


def test_an_end_that_was_reported_elsewhere_is_told_once(core: ExecutionTracker, run: Run) -> None:
    """Facade B's phases and C's calls share one courier: whoever reports, each turn is told once, to the last bridge."""

    async def life() -> None:
        bridge = Bridge()
        tracker, execution_id = await begun(bridge)
        of_b = b.AgentExecutionTracker()
        told = {"tool_name": "search"}
        assert await of_b.transition_state(execution_id, b.AgentExecutionPhase.STARTING, None, bridge)
        assert await of_b.transition_state(execution_id, b.AgentExecutionPhase.TOOL_EXECUTION, told, bridge)
        await tracker.complete_execution(execution_id, result(execution_id))
        assert await of_b.transition_state(execution_id, b.AgentExecutionPhase.COMPLETED, None, bridge)
        assert bridge.names == [*BEGUN, "tool_executing", "tool_completed", "agent_completed"]

    run(life())


def test_what_the_registry_has_registered_ends_with_its_event(core: ExecutionTracker, run: Run) -> None:
    """An execution that the tracker did not start is ended by it all the same, and told of with its own run."""

    async def life() -> None:
        bridge, execution_id = Bridge(), await registered("r-9")
        await legacy.ExecutionTracker(bridge).complete_execution(execution_id, result(execution_id, 1))
        assert [(name, told["run_id"]) for name, told in bridge.calls] == [("agent_completed", "r-9")]

    run(life())
