"""One test for each defect that the old `agent_execution_tracker` (B) is known for: callbacks, monitor, circuit breaker."""

from __future__ import annotations

import asyncio
import logging

import pytest

import runstate
import runstate.legacy
from runstate import ExecutionState
from runstate.legacy import agent_execution_tracker as legacy
from runstate.legacy.agent_execution_tracker import AgentExecutionTracker

from ..clock import FakeClock
from .b import Pass, Run, create, record_of

pytestmark = pytest.mark.filterwarnings("ignore:.*is a legacy name:DeprecationWarning")


def die(tracker: AgentExecutionTracker, pass_time: Pass) -> str:
    """An execution that beats, and then does not."""
    execution_id = create(tracker)
    tracker.start_execution(execution_id)
    tracker.heartbeat(execution_id)
    tracker.heartbeat(execution_id)
    assert pass_time(11) == 1
    return execution_id


def test_errors_of_callbacks_were_swallowed(
    tracker: AgentExecutionTracker, pass_time: Pass, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """B:513, 528: a failing callback left one line; it has its traceback, the loop is told, and the next one is called."""

    async def life() -> None:
        told: list[dict[str, object]] = []
        heard: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, problem: told.append(problem))

        async def broken(record: legacy.ExecutionRecord) -> None:
            raise RuntimeError("no mail")

        tracker.register_death_callback(broken)
        tracker.register_death_callback(lambda record: heard.append(record.execution_id))
        dead = die(tracker, pass_time)
        await runstate.legacy.drain()
        assert heard == [dead]
        assert [str(problem["exception"]) for problem in told] == ["no mail"]

    run(life())
    [error] = [record for record in caplog.records if record.exc_info]
    assert "no mail" in str(error.exc_info)


def test_errors_of_callbacks_without_a_loop_reach_the_sweeper(tracker: AgentExecutionTracker, pass_time: Pass) -> None:
    """B:513: the same outside of an event loop: all are called, coroutines too, and the errors leave `sweep()`."""
    heard: list[str] = []

    def broken(record: legacy.ExecutionRecord) -> None:
        raise RuntimeError("no mail")

    async def hear(record: legacy.ExecutionRecord) -> None:
        heard.append(record.execution_id)

    tracker.register_death_callback(broken)
    tracker.register_death_callback(hear)
    with pytest.raises(ExceptionGroup) as caught:
        die(tracker, pass_time)
    assert [str(error) for error in caught.value.exceptions] == ["no mail"]
    assert heard == [tracker.detect_dead_executions()[0].execution_id]


def test_a_sync_callback_was_logged_as_an_error(
    tracker: AgentExecutionTracker, pass_time: Pass, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """B:513: a plain function was called, and `await None` logged as its error; it is called, and that is all."""

    async def life() -> None:
        heard: list[ExecutionState] = []
        tracker.register_death_callback(lambda record: heard.append(record.state))
        die(tracker, pass_time)
        await runstate.legacy.drain()
        assert heard == [ExecutionState.DEAD]

    run(life())
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_callback_may_call_the_tracker(tracker: AgentExecutionTracker, pass_time: Pass, run: Run) -> None:
    """A:157-171, for B: no lock is held around a callback, whichever thread it then asks."""

    async def life() -> None:
        seen: list[legacy.ExecutionState | None] = []

        async def look(record: legacy.ExecutionRecord) -> None:
            seen.append(await asyncio.to_thread(tracker.get_execution_state, record.execution_id))
            tracker.update_execution_state(create(tracker), ExecutionState.RUNNING)

        tracker.register_death_callback(look)
        die(tracker, pass_time)
        async with asyncio.timeout(60):
            await runstate.legacy.drain()
        assert seen == [ExecutionState.DEAD]
        assert len(tracker.get_active_executions()) == 1

    run(life())


def test_past_engines_heard_every_death(tracker: AgentExecutionTracker, pass_time: Pass, run: Run) -> None:
    """EE:299-300, MCP:303-304: callbacks could not be taken back; they can, and an object that is gone is forgotten."""

    class Engine:
        def __init__(self) -> None:
            tracker.register_death_callback(self.on_death)
            tracker.register_death_callback(self.on_death)

        def on_death(self, record: legacy.ExecutionRecord) -> None:
            heard.append(self)

    heard: list[object] = []

    async def life() -> None:
        take_back = tracker.register_death_callback(heard.append)
        take_back()
        past, present = Engine(), Engine()
        assert past is not present
        del past
        die(tracker, pass_time)
        await runstate.legacy.drain()
        assert heard == [present]

    run(life())


def test_a_monitor_that_had_ended_was_never_replaced(tracker: AgentExecutionTracker, run: Run) -> None:
    """B:282: once its task had ended, starting the monitor did nothing; it runs again, also on another loop."""

    async def life() -> None:
        await tracker.start_monitoring()
        task = tracker.monitor_task
        assert task is not None
        task.cancel()
        await asyncio.wait({task})
        await tracker.start_monitoring()
        assert tracker.monitor_task is not task
        assert tracker.monitor.active

    run(life())
    assert not tracker.monitor.active
    run(life())


def test_stopping_swallowed_the_callers_cancellation(tracker: AgentExecutionTracker, run: Run) -> None:
    """B:292: whoever was cancelled while stopping the monitor was not; the cancellation is the caller's."""

    async def life() -> None:
        await tracker.start_monitoring()
        stopping = asyncio.create_task(tracker.stop_monitoring())
        await asyncio.sleep(0)  # it waits for the monitor's end now
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        assert tracker.monitor_task is None

    run(life())


async def good() -> str:
    """A call that goes well."""
    return "answer"


async def bad() -> str:
    """A call that goes wrong."""
    raise ConnectionError("no model")


async def fail(tracker: AgentExecutionTracker, execution_id: str, times: int = 1) -> None:
    """Let calls fail."""
    for _ in range(times):
        with pytest.raises(ConnectionError):
            await tracker.execute_with_circuit_breaker(execution_id, bad)


def test_the_breaker_was_not_shared(tracker: AgentExecutionTracker, run: Run) -> None:
    """B:939: a new execution of the same agent started with a closed breaker; an agent has one, others their own."""

    async def life() -> None:
        await fail(tracker, create(tracker), times=3)
        again = tracker.create_execution_with_full_context("airline", {})
        assert tracker.register_circuit_breaker(again)
        with pytest.raises(legacy.CircuitBreakerOpenError):
            await tracker.execute_with_circuit_breaker(again, good)
        other = tracker.create_execution("hotel", "t-1", "u-1")
        assert await tracker.execute_with_circuit_breaker(other, good) == "answer"

    run(life())


def test_half_open_admitted_any_number_of_probes(tracker: AgentExecutionTracker, clock: FakeClock, run: Run) -> None:
    """B:992: half open, every call went through; one does at a time, and a cancelled one makes room."""

    async def life() -> None:
        execution_id = create(tracker)
        await fail(tracker, execution_id, times=3)
        clock.advance(30)
        gate = asyncio.Event()
        probe = asyncio.create_task(tracker.execute_with_circuit_breaker(execution_id, gate.wait))
        await asyncio.sleep(0)
        with pytest.raises(legacy.CircuitBreakerOpenError, match="probe"):
            await tracker.execute_with_circuit_breaker(execution_id, good)
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        assert await tracker.execute_with_circuit_breaker(execution_id, good) == "answer"

    run(life())


def test_a_success_survived_a_failure(tracker: AgentExecutionTracker, clock: FakeClock, run: Run) -> None:
    """B:1014: ok, fail, ok closed the breaker though two in a row are required; a failure starts the count again."""

    async def life() -> None:
        execution_id = create(tracker)
        await fail(tracker, execution_id, times=3)
        clock.advance(30)
        await tracker.execute_with_circuit_breaker(execution_id, good)
        await fail(tracker, execution_id)
        clock.advance(30)
        await tracker.execute_with_circuit_breaker(execution_id, good)
        assert record_of(tracker, execution_id).circuit_breaker_state is legacy.CircuitBreakerState.HALF_OPEN

    run(life())


def test_a_step_of_the_wall_clock_closed_the_breaker(
    tracker: AgentExecutionTracker, clock: FakeClock, run: Run
) -> None:
    """B:949: the recovery time was a difference of wall times; a step of the clock ends it neither early nor late."""

    async def life() -> None:
        execution_id = create(tracker)
        await fail(tracker, execution_id, times=3)
        clock.step_wall(3_600)
        with pytest.raises(legacy.CircuitBreakerOpenError, match=r"30\.0s"):
            await tracker.execute_with_circuit_breaker(execution_id, good)
        assert record_of(tracker, execution_id).is_circuit_breaker_open()

    run(life())
