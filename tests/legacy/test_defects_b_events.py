"""One test for each defect that the old `agent_execution_tracker` (B) is known for: its events."""

from __future__ import annotations

import asyncio

import pytest

import runstate
import runstate.legacy
from runstate import ExecutionState
from runstate.legacy.agent_execution_tracker import AgentExecutionPhase as Phase
from runstate.legacy.agent_execution_tracker import AgentExecutionTracker

from ..clock import FakeClock
from .b import Pass, Run, create, record_of
from .bridge import Bridge

pytestmark = pytest.mark.filterwarnings("ignore:.*is a legacy name:DeprecationWarning")


def test_events_carried_the_threads_id(tracker: AgentExecutionTracker, run: Run) -> None:
    """B:800, 810, 817, 824, 837: events had the thread's id as run_id; they have the run's, else the execution's."""

    async def life() -> None:
        bridge = Bridge()
        named, unnamed = create(tracker, run_id="r-1"), create(tracker)
        for execution_id in (named, unnamed):
            for phase in (Phase.STARTING, Phase.THINKING, Phase.TOOL_EXECUTION, Phase.COMPLETED):
                await tracker.transition_state(execution_id, phase, websocket_manager=bridge)
        assert len(bridge.calls) == 10
        assert [told["run_id"] for _, told in bridge.calls] == ["r-1"] * 5 + [unnamed] * 5

    run(life())


def test_every_tool_had_the_same_name(tracker: AgentExecutionTracker, run: Run) -> None:
    """B:819: tool_name was always "execution_tools"; it is the tool's."""

    async def life() -> None:
        bridge, execution_id = Bridge(), create(tracker)
        for tool in ("search_flights", "book_flight"):
            await tracker.transition_state(execution_id, Phase.TOOL_EXECUTION, {"tool_name": tool}, bridge)
        await tracker.transition_state(execution_id, Phase.THINKING, websocket_manager=bridge)
        assert [(name, told.get("tool_name")) for name, told in bridge.calls] == [
            ("tool_executing", "search_flights"),
            ("tool_completed", "search_flights"),
            ("tool_executing", "book_flight"),
            ("tool_completed", "book_flight"),
            ("agent_thinking", None),
        ]

    run(life())


def test_tool_completed_was_never_sent(tracker: AgentExecutionTracker, clock: FakeClock, run: Run) -> None:
    """B:777: no phase sent tool_completed; leaving the tool's phase does, with its time and result."""

    async def life() -> None:
        bridge, execution_id = Bridge(), create(tracker)
        await tracker.transition_state(execution_id, Phase.TOOL_EXECUTION, {"tool_name": "search"}, bridge)
        clock.advance(0.25)
        await tracker.transition_state(execution_id, Phase.RESULT_PROCESSING, {"tool_result": ["LH 400"]})
        assert bridge.names == ["tool_executing", "tool_completed"]
        assert bridge.calls[-1][1] == {
            "run_id": execution_id, "agent_name": "airline", "tool_name": "search", "result": ["LH 400"],
            "execution_time_ms": 250.0,
        }  # fmt: skip

    run(life())


def test_a_tool_that_never_returned(tracker: AgentExecutionTracker, pass_time: Pass, run: Run) -> None:
    """B:777: the end of an execution closes its open tool first, and then tells of the end."""

    async def life() -> None:
        bridge, execution_id = Bridge(), create(tracker)
        await tracker.transition_state(execution_id, Phase.TOOL_EXECUTION, {"tool_name": "search"}, bridge)
        assert pass_time(15) == 1
        await runstate.legacy.drain()
        assert bridge.names == ["tool_executing", "tool_completed", "agent_error"]

    run(life())


def test_a_failed_emission_was_true(tracker: AgentExecutionTracker, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """B:708-720: an event that was not sent was logged, and the call said True; it says False, and the phase stands."""

    async def life() -> None:
        bridge, execution_id = Bridge("agent_thinking"), create(tracker)
        assert await tracker.transition_state(execution_id, Phase.STARTING, websocket_manager=bridge) is True
        assert await tracker.transition_state(execution_id, Phase.THINKING, websocket_manager=bridge) is False
        assert await tracker.transition_state(execution_id, Phase.TOOL_EXECUTION, websocket_manager=bridge) is True
        sent = [change["websocket_event_sent"] for change in tracker.get_state_history(execution_id)]
        assert sent == [True, False, True]

    run(life())
    assert "the socket is closed" in caplog.text
    assert runstate.legacy.statistics().refused == 1


def test_events_were_sent_twice(tracker: AgentExecutionTracker, run: Run) -> None:
    """§2.2: agent_started and agent_error came twice, and agent_error before agent_completed; each turn is told once."""

    async def life() -> None:
        bridge, execution_id = Bridge(), create(tracker)
        for phase in (Phase.STARTING, Phase.STARTING, Phase.THINKING, Phase.TIMEOUT):
            assert await tracker.transition_state(execution_id, phase, websocket_manager=bridge)
        assert await tracker.transition_state(execution_id, Phase.TIMEOUT, websocket_manager=bridge) is True
        assert await tracker.transition_state(execution_id, Phase.FAILED, websocket_manager=bridge) is False
        assert tracker.update_execution_state(execution_id, ExecutionState.FAILED) is False
        await runstate.legacy.drain()
        assert bridge.names == ["agent_started", "agent_thinking", "agent_error"]

    run(life())


def test_the_state_was_never_timeout(tracker: AgentExecutionTracker, run: Run) -> None:
    """§2.2: D reported the phase timeout and then failed, and the state became FAILED; the first end stands."""

    async def life() -> None:
        execution_id = create(tracker)
        await tracker.transition_state(execution_id, Phase.TIMEOUT, {"error": "25 s"})
        await tracker.transition_state(execution_id, Phase.FAILED)
        tracker.update_execution_state(execution_id, ExecutionState.FAILED)
        record = record_of(tracker, execution_id)
        assert (record.state, record.error) == (ExecutionState.TIMEOUT, "25 s")

    run(life())


def test_events_overtook_each_other(tracker: AgentExecutionTracker, run: Run) -> None:
    """§2.2: the step numbers came as 4, 2, 3; events arrive in the order of their phases, however slow the bridge is."""

    class SlowAtFirst(Bridge):
        async def notify_agent_started(self, *args: object, **told: object) -> None:
            arrived.set()
            await gate.wait()
            self.calls.append(("agent_started", {}))

    arrived, gate = asyncio.Event(), asyncio.Event()

    async def life() -> None:
        bridge, execution_id = SlowAtFirst(), create(tracker)
        phases = [Phase.STARTING, Phase.THINKING, Phase.LLM_INTERACTION, Phase.THINKING]
        reports = [
            asyncio.create_task(tracker.transition_state(execution_id, phase, websocket_manager=bridge))
            for phase in phases
        ]
        await arrived.wait()
        reports[0].cancel()  # whoever reported it goes away; the event goes its way
        for _ in range(10):
            await asyncio.sleep(0)
        assert bridge.calls == []
        gate.set()
        assert await asyncio.gather(*reports[1:]) == [True] * 3
        assert bridge.names == ["agent_started"] + ["agent_thinking"] * 3
        assert [told["step_number"] for _, told in bridge.calls[1:]] == [2, 3, 4]

    run(life())


def test_an_exception_in_the_caller_sent_nothing(tracker: AgentExecutionTracker, pass_time: Pass, run: Run) -> None:
    """D:456-474: where the caller failed, B was not told and the user got no event; the time limit tells both."""

    async def life() -> None:
        bridge, execution_id = Bridge(), create(tracker)
        await tracker.transition_state(execution_id, Phase.STARTING, websocket_manager=bridge)
        assert pass_time(15) == 1
        await runstate.legacy.drain()
        assert bridge.names == ["agent_started", "agent_error"]

    run(life())


def test_a_bridge_without_the_notification(
    tracker: AgentExecutionTracker, pass_time: Pass, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """B:777: a bridge that lacks a notification is named in the log, and gets the others."""

    class Partial:
        def __init__(self) -> None:
            self.started = 0

        def notify_agent_started(self, **told: object) -> None:
            self.started += 1

    async def life() -> None:
        bridge, execution_id = Partial(), create(tracker)
        assert await tracker.transition_state(execution_id, Phase.STARTING, websocket_manager=bridge) is True
        pass_time(15)
        await runstate.legacy.drain()
        assert bridge.started == 1

    run(life())
    assert "Partial has no notify_agent_error" in caplog.text
