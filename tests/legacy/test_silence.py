"""When silence counts: for C from the start of monitoring; for A and B after two beats, unless one asks with a limit of one's own."""

from __future__ import annotations

import pytest

import runstate.legacy
from runstate import ExecutionState, ExecutionTracker
from runstate.legacy import agent_execution_tracker as b
from runstate.legacy import execution_tracker as a
from runstate.legacy import execution_tracking as c

from .b import Pass, Run, made
from .c import record_of, registered, start

pytestmark = pytest.mark.filterwarnings("ignore:.*is a legacy name:DeprecationWarning")


@pytest.mark.parametrize("state", [ExecutionState.PENDING, ExecutionState.RUNNING])
@pytest.mark.parametrize("beats", [0, 1])
def test_what_is_monitored_is_expected_to_beat(
    core: ExecutionTracker, pass_time: Pass, run: Run, beats: int, state: ExecutionState
) -> None:
    """From the start of monitoring silence counts, after no heartbeat or one: it ends as DEAD, and the callback hears of it."""

    async def life() -> None:
        monitor, heard = c.HeartbeatMonitor(0.1, 0.3, 3), list[tuple[str, bool, int]]()
        monitor.add_failure_callback(lambda key, told: heard.append((key, told.is_alive, told.missed_heartbeats)))
        execution_id = await registered()
        assert await c.ExecutionRegistry().update_execution_state(execution_id, state)
        pass_time(1_000)
        await monitor.start_monitoring(execution_id)
        for _ in range(beats):
            assert await monitor.send_heartbeat(execution_id)
        assert pass_time(0.2) == 0
        status = await monitor.get_heartbeat_status(execution_id)
        assert status is not None
        assert (status.is_alive, status.missed_heartbeats) == (True, 2)
        assert pass_time(0.1) == 1
        await runstate.legacy.drain()
        assert heard == [(execution_id, False, 3)]
        assert await monitor.is_alive(execution_id) is False
        assert (await record_of(execution_id)).state is ExecutionState.DEAD

    run(life())


def test_the_tracker_of_c_monitors_from_the_start(core: ExecutionTracker, pass_time: Pass, run: Run) -> None:
    """An execution of C's tracker that reports nothing for six intervals is dead; one that is let off, or let go, is not."""

    async def life() -> None:
        tracker = c.ExecutionTracker()
        silent, let_off = await start(tracker, agent_name="data"), await start(tracker, agent_name="data")
        assert await tracker.heartbeat_monitor.stop_monitoring(let_off)
        assert pass_time(30) == 1
        assert (await record_of(silent)).state is ExecutionState.DEAD
        let_go = await start(tracker, agent_name="data")
        await tracker.shutdown()
        assert pass_time(31) == 1
        assert (await record_of(let_off)).state is ExecutionState.TIMEOUT
        assert (await record_of(let_go)).state is ExecutionState.STARTING

    run(life())


@pytest.mark.parametrize("beats", [0, 1])
def test_a_limit_of_ones_own_is_answered(core: ExecutionTracker, pass_time: Pass, run: Run, beats: int) -> None:
    """`is_dead(limit)` counts from the last sign of life, however few beats came; the tracker's own verdict waits for two."""

    async def life() -> None:
        by_a, by_b = a.ExecutionTracker(), b.AgentExecutionTracker()
        id_a = await by_a.register_execution("airline", timeout_seconds=60)
        id_b, record_b = made(by_b, 60)
        waiting_a = by_a.get_execution(await by_a.register_execution("airline", timeout_seconds=60))
        _, waiting_b = made(by_b, 60)
        record_a = by_a.get_execution(id_a)
        assert record_a is not None
        assert waiting_a is not None
        await by_a.start_execution(id_a)
        by_b.start_execution(id_b)
        for _ in range(beats):
            await by_a.heartbeat(id_a)
            by_b.heartbeat(id_b)
        assert pass_time(12) == 0
        assert (record_a.is_dead(0.3), record_b.is_dead(0.3), record_a.is_dead(10), record_b.is_dead(10)) == (True,) * 4
        assert (record_a.is_dead(13), record_b.is_dead(13)) == (False, False)
        assert (record_a.is_dead(), record_b.is_dead(), by_b.detect_dead_executions()) == (False, False, [])
        assert (waiting_a.is_dead(0.3), waiting_b.is_dead(0.3)) == (False, False)

    run(life())
