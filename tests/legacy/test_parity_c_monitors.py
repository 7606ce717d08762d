"""Facade C: the answers of its heartbeat monitor and its time limits."""

from __future__ import annotations

from datetime import timedelta

import pytest

import runstate
import runstate.legacy
from runstate import ExecutionState, ExecutionTracker
from runstate.journal.memory import MemoryJournal
from runstate.legacy import execution_tracking as legacy

from ..clock import FakeClock
from .b import Pass, Run
from .c import record_of, registered, start

pytestmark = pytest.mark.filterwarnings("ignore:.*is a legacy name:DeprecationWarning")


def test_the_monitors_answers(core: ExecutionTracker, clock: FakeClock, pass_time: Pass, run: Run) -> None:
    """What is monitored has a status, metrics and a health; what is not has none, and stopping ends it."""

    async def life() -> None:
        monitor, execution_id = legacy.HeartbeatMonitor(2.0), await registered()
        assert await monitor.is_alive(execution_id) is None
        await monitor.start_monitoring(execution_id, {"tool": "search"})
        assert await monitor.send_heartbeat(execution_id, {"step": 1}) is True
        pass_time(5)
        status = await monitor.get_heartbeat_status(execution_id)
        assert status is not None
        assert (status.is_alive, status.missed_heartbeats, status.heartbeat_interval) == (True, 2, 2.0)
        assert status.next_expected - status.last_heartbeat == timedelta(seconds=2)
        assert await monitor.get_all_monitored_executions() == [status]
        assert await monitor.force_check_execution(execution_id) is True
        assert (await monitor.get_monitor_metrics())["monitored_executions"] == 1
        assert (await monitor.get_health_status())["healthy"] is True
        assert await legacy.ExecutionRegistry().update_execution_state(execution_id, ExecutionState.RUNNING)
        assert await monitor.send_heartbeat(execution_id) is True
        assert await monitor.stop_monitoring(execution_id) is True
        assert await monitor.stop_monitoring(execution_id) is False
        assert pass_time(1_000) == 0
        assert (await record_of(execution_id)).state is ExecutionState.RUNNING
        await monitor.start_monitoring(execution_id)
        clock.advance(13)
        assert await monitor.is_alive(execution_id) is False
        assert await monitor.force_check_execution(execution_id) is False
        assert (await record_of(execution_id)).state is ExecutionState.DEAD

    run(life())


def test_the_limits_answers(core: ExecutionTracker, clock: FakeClock, pass_time: Pass, run: Run) -> None:
    """A limit counts from when it is set, can be extended and cleared, and is told of once when it has passed."""

    async def life() -> None:
        limits, execution_id = legacy.TimeoutManager(), await registered(agent_name="triage")
        pass_time(100)
        info = await limits.set_timeout(execution_id)
        assert (info.timeout_seconds, info.remaining_seconds, info.has_timed_out) == (15, 15, False)
        assert info.timeout_at - info.started_at == timedelta(seconds=15)
        assert await limits.extend_timeout(execution_id, 5, "a slow tool") is True
        pass_time(16)
        [info] = await limits.get_all_timeouts()
        assert (info.timeout_seconds, info.remaining_seconds, info.timeout_reason) == (20, 4, "a slow tool")
        assert (await limits.get_timeout_metrics())["active_timeouts"] == len(limits) == 1
        assert (await limits.get_timeout_summary())["timeouts"][0]["remaining_seconds"] == 4
        assert await limits.clear_timeout(execution_id) is True
        assert await limits.clear_timeout(execution_id) is False
        assert await limits.extend_timeout(execution_id, 5) is False
        assert await limits.get_timeout_info(execution_id) is None
        assert pass_time(1_000) == 0
        assert (await limits.set_timeout(execution_id, agent_name="synthetic_data")).timeout_seconds == 120
        assert (await limits.set_timeout(execution_id, 0.5)).timeout_seconds == 0.5
        assert await limits.check_timeouts() == []
        clock.advance(0.5)
        assert await limits.check_timeouts() == [execution_id]
        assert await limits.check_timeouts() == []
        [info] = await limits.get_expired_timeouts()
        assert (info.has_timed_out, info.remaining_seconds) == (True, 0)
        assert info.timeout_reason == "Execution timed out 1116.5s after its start"
        assert (await limits.get_health_status())["healthy"] is True
        assert await limits.bulk_clear_timeouts([execution_id, execution_id]) == 1

    run(life())


def test_a_limit_of_runstates_own_comes_back(core: ExecutionTracker, pass_time: Pass, run: Run) -> None:
    """Of an execution that was created with a limit, a shorter one can be set and cleared; its own stands then."""

    async def life() -> None:
        limits = legacy.TimeoutManager()
        execution_id = core.create(agent="airline", thread_id="t-1", user_id="u-1", timeout=50).execution_id
        await limits.set_timeout(execution_id, 20)
        assert await limits.get_remaining_time(execution_id) == 20
        info = await limits.set_timeout(execution_id, 51)
        assert (info.remaining_seconds, "refused: timeout must be at most 50" in str(info.timeout_reason)) == (20, True)
        with pytest.raises(runstate.InvalidValueError, match="at most 50"):
            await legacy.TimeoutManager(strict=True).set_timeout(execution_id, 51)
        assert await limits.clear_timeout(execution_id) is True
        assert await limits.get_remaining_time(execution_id) == 50
        assert pass_time(50) == 1

    run(life())


def test_another_core_is_another_world(core: ExecutionTracker, run: Run) -> None:
    """A monitor that was in use on an earlier core follows what is on the present one, and nothing of the other."""

    async def life() -> None:
        of_c = legacy.ExecutionTracker()
        await start(of_c)
        assert (len(of_c.heartbeat_monitor), len(of_c.timeout_manager)) == (1, 1)
        with ExecutionTracker(MemoryJournal()) as another:
            runstate.legacy.use(another)
            assert (len(of_c.heartbeat_monitor), len(of_c.timeout_manager), len(of_c.registry)) == (0, 0, 0)
            execution_id = await start(of_c)
            assert len(of_c.heartbeat_monitor) == 1
            assert await of_c.heartbeat_monitor.is_alive(execution_id) is True
            runstate.legacy.use(None)

    run(life())
