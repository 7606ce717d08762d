"""One test for each defect that the old `execution_tracking` (C) is known for: heartbeats, time limits, callbacks, events."""

from __future__ import annotations

import asyncio
import functools
import logging

import pytest

import runstate.legacy
from runstate import ExecutionState, ExecutionTracker
from runstate.legacy import execution_tracking as legacy

from ..clock import FakeClock
from .b import Pass, Run
from .bridge import Bridge
from .c import progress, record_of, registered, start

pytestmark = pytest.mark.filterwarnings("ignore:.*is a legacy name:DeprecationWarning")


async def beating(monitor: legacy.HeartbeatMonitor, run_id: str = "r-1") -> str:
    """A running execution that a monitor has seen beating."""
    execution_id = await registered(run_id)
    await monitor.start_monitoring(execution_id)
    assert await legacy.ExecutionRegistry().update_execution_state(execution_id, ExecutionState.RUNNING)
    for _ in range(2):
        assert await monitor.send_heartbeat(execution_id)
    return execution_id


def test_the_dead_stayed_monitored(core: ExecutionTracker, pass_time: Pass, run: Run) -> None:
    """Ct:302-337: a death did not stop the monitoring; it does, in state and in count, and the evidence stays."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        monitor = tracker.heartbeat_monitor
        execution_id = await start(tracker, agent_name="data")
        for _ in range(2):
            await tracker.update_execution_progress(execution_id, progress())
        assert (len(monitor), len(tracker.timeout_manager)) == (1, 1)
        assert pass_time(31) == 1
        record = await record_of(execution_id)
        assert (record.state, record.error) == (ExecutionState.DEAD, "No heartbeat for 31.0s")
        assert (len(monitor), len(tracker.timeout_manager)) == (0, 0)
        assert await monitor.get_all_monitored_executions() == []
        assert await monitor.is_alive(execution_id) is False
        [status] = await monitor.get_dead_executions()
        assert (status.execution_id, status.is_alive, status.missed_heartbeats) == (execution_id, False, 6)
        assert await monitor.stop_monitoring(execution_id) is True
        assert await monitor.get_dead_executions() == []

    run(life())


def test_a_late_heartbeat_revived_the_dead(
    core: ExecutionTracker, pass_time: Pass, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """Ch:148: a heartbeat after death made it alive again, silently; it is refused, and so is reviving it."""

    async def life() -> None:
        monitor = legacy.HeartbeatMonitor()
        dead, late = await beating(monitor), await beating(monitor)
        assert pass_time(29) == 0
        assert await monitor.revive_execution(late) is True
        assert pass_time(2) == 1
        assert await monitor.send_heartbeat(dead) is False
        assert await monitor.revive_execution(dead) is False
        assert await monitor.is_alive(dead) is False
        assert (await record_of(dead)).state is ExecutionState.DEAD
        assert await monitor.is_alive(late) is True

    run(life())
    assert runstate.legacy.statistics().refused == 2
    assert "HeartbeatMonitor.send_heartbeat refused" in caplog.text


def test_the_timeout_of_the_monitor_was_unused(core: ExecutionTracker, pass_time: Pass, run: Run) -> None:
    """Ch: timeout_seconds did nothing; the sooner of it and of the missed heartbeats counts."""

    async def life() -> None:
        execution_id = await beating(legacy.HeartbeatMonitor(timeout_seconds=7.5))
        other = await beating(legacy.HeartbeatMonitor(heartbeat_interval_seconds=1.0))
        assert pass_time(6.5) == 1
        assert (await record_of(other)).state is ExecutionState.DEAD
        assert pass_time(1.5) == 1
        assert (await record_of(execution_id)).state is ExecutionState.DEAD

    run(life())


def test_names_of_agents_were_cut_at_the_first_underscore(core: ExecutionTracker, run: Run) -> None:
    """Cm:98: three entries could not be reached; the longest configured name that an agent's begins with counts."""
    limits = legacy.TimeoutManager()
    limits.set_agent_timeout("corpus_admin", 33)
    expected = {
        "synthetic_data": 120, "synthetic_data_agent": 120, "data_helper": 45, "data_helper_agent": 45,
        "corpus_admin": 33, "corpus_admin_sub_agent": 33, "data": 60, "data_sub_agent": 60, "triage_agent": 15,
        "synthetic": 30, "database": 30, "my_data": 30, "": 30,
    }  # fmt: skip
    assert {name: limits.get_timeout_for_agent(name) for name in expected} == expected

    async def life() -> None:
        execution_id = await start(legacy.ExecutionTracker(), agent_name="synthetic_data")
        assert await limits.get_remaining_time(execution_id) == 120

    run(life())


def test_partial_functions_were_rejected(core: ExecutionTracker, pass_time: Pass, run: Run) -> None:
    """Ch:222: a callback without a `__name__` was an error; whatever can be called is called, sync or async."""

    async def life() -> None:
        heard: list[tuple[str, str, str]] = []

        async def hear(what: str, execution_id: str, described: object) -> None:
            heard.append((what, execution_id, type(described).__name__))

        monitor, limits = legacy.HeartbeatMonitor(), legacy.TimeoutManager()
        take_back = monitor.add_failure_callback(functools.partial(hear, "it was taken back"))
        monitor.add_failure_callback(functools.partial(hear, "death"))
        limits.add_timeout_callback(functools.partial(hear, "timeout"))
        dead, slow = await beating(monitor), await registered()
        await limits.set_timeout(slow, 12)
        take_back()
        assert pass_time(31) == 2
        await runstate.legacy.drain()
        assert sorted(heard) == [("death", dead, "HeartbeatStatus"), ("timeout", slow, "TimeoutInfo")]

    run(life())


def test_errors_of_callbacks_were_swallowed(
    core: ExecutionTracker, pass_time: Pass, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """Cm:355: a failing callback left a line; it has its traceback, the loop is told, and the next one is called."""

    async def life() -> None:
        told: list[dict[str, object]] = []
        heard: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, problem: told.append(problem))

        def broken(execution_id: str, info: legacy.TimeoutInfo) -> None:
            raise RuntimeError("no mail")

        limits, execution_id = legacy.TimeoutManager(), await registered()
        limits.add_timeout_callback(broken)
        limits.add_timeout_callback(lambda key, _: heard.append(key))
        await limits.set_timeout(execution_id, 0.5)
        assert pass_time(0.5) == 1
        await runstate.legacy.drain()
        assert heard == [execution_id]
        assert [str(problem["exception"]) for problem in told] == ["no mail"]

    run(life())
    assert [record.levelno for record in caplog.records if record.exc_info] == [logging.ERROR]


def test_the_recovery_delay_blocked_the_monitor(core: ExecutionTracker, pass_time: Pass, run: Run) -> None:
    """Ch:283: each death slept for the recovery delay before the next was looked at; nothing waits for it."""

    async def life() -> None:
        heard: list[str] = []
        monitor = legacy.HeartbeatMonitor(recovery_delay_seconds=86_400)
        monitor.add_failure_callback(lambda key, _: heard.append(key))
        dead = [await beating(monitor, f"r-{number}") for number in range(3)]
        assert pass_time(31) == 3
        async with asyncio.timeout(60):
            await runstate.legacy.drain()
        assert heard == dead

    run(life())


def test_a_callback_may_call_the_monitor(core: ExecutionTracker, pass_time: Pass, run: Run) -> None:
    """A:157-171, for C: no lock is held around a callback, whichever thread it then asks."""

    async def life() -> None:
        monitor = legacy.HeartbeatMonitor()
        seen: list[object] = []

        async def look(execution_id: str, status: legacy.HeartbeatStatus) -> None:
            seen.append(await asyncio.to_thread(asyncio.run, monitor.is_alive(execution_id)))
            seen.append(await monitor.stop_monitoring(execution_id))

        monitor.add_failure_callback(look)
        await beating(monitor)
        assert pass_time(31) == 1
        async with asyncio.timeout(60):
            await runstate.legacy.drain()
        assert seen == [False, True]

    run(life())


def test_a_wall_clock_step_kills_nobody(core: ExecutionTracker, clock: FakeClock, pass_time: Pass, run: Run) -> None:
    """C counted by the wall clock: a step of it neither kills nor spares, and changes no remaining time."""

    async def life() -> None:
        monitor, limits = legacy.HeartbeatMonitor(), legacy.TimeoutManager()
        execution_id = await beating(monitor)
        await limits.set_timeout(execution_id, 100)
        for step in (86_400, -172_800):
            clock.step_wall(step)
            assert pass_time(5) == 0
        assert await limits.get_remaining_time(execution_id) == 90
        assert await monitor.is_alive(execution_id) is True

    run(life())


def test_ended_executions_leave_nothing_behind(core: ExecutionTracker, run: Run) -> None:
    """Ct:302: monitors and limits kept every execution; an end takes it out of them, and what is remembered is bounded."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        for number in range(600):
            execution_id = await start(tracker, f"r-{number}")
            await tracker.handle_execution_failure(execution_id, RuntimeError("no seat"))
        for followed in (tracker.heartbeat_monitor.followed, tracker.timeout_manager.followed):
            assert (len(followed), followed.news(), len(followed._part().live)) == (0, [], 0)
            assert len(followed._part().ended) <= 256
        assert len(tracker.registry) <= 256
        execution_id = await start(tracker)
        core.update_execution_state(execution_id[-32:], ExecutionState.CANCELLED)
        assert (len(tracker.heartbeat_monitor), len(tracker.timeout_manager)) == (0, 0)  # nobody has told them yet

    run(life())


def test_no_notification_ever_arrived(
    core: ExecutionTracker, pass_time: Pass, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """Ct:415, 436, 461, 484, 507: the calls were on no bridge; each arrives, once, in order, with the run's own id."""

    async def life() -> None:
        bridge = Bridge()
        tracker = legacy.ExecutionTracker(bridge)
        execution_id = await start(tracker, "run-7", "data")
        for percentage in (10, 20):
            await tracker.update_execution_progress(execution_id, progress(percentage))
        assert pass_time(31) == 1
        await runstate.legacy.drain()
        assert bridge.names == ["agent_started", "agent_thinking", "agent_thinking", "agent_death"]
        assert [(told["run_id"], told["agent_name"]) for _, told in bridge.calls] == [("run-7", "data")] * 4
        assert bridge.calls[1][1]["reasoning"] == "looking for flights"
        told = bridge.calls[-1][1]
        assert told["death_cause"] == "No heartbeat for 31.0s"
        assert (told["death_context"]["seconds_since_heartbeat"], told["death_context"]["heartbeat_count"]) == (31.0, 2)

    run(life())
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_notification_that_fails_is_no_swallowed_warning(
    core: ExecutionTracker, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """Ct:415: a failing bridge left a warning; it is a counted ERROR, and the execution goes on, its id in hand."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker(Bridge("agent_started", "agent_thinking"))
        execution_id = await start(tracker)
        assert await tracker.update_execution_progress(execution_id, progress()) is None
        assert (await record_of(execution_id)).state is ExecutionState.RUNNING

    run(life())
    assert runstate.legacy.statistics().refused == 2
    assert "ExecutionTracker.start_execution refused: the event agent_started" in caplog.text
    assert "ExecutionTracker.update_execution_progress refused: the event agent_thinking" in caplog.text
