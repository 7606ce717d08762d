"""One test for each defect that the old `execution_tracker` (A) is known for: none of them is in its facade."""

from __future__ import annotations

import asyncio
import gc
import logging
import uuid
import weakref

import pytest

import runstate
import runstate.legacy
from runstate import ExecutionState, ExecutionTracker, InvalidTransitionError
from runstate.journal.sqlite import SqliteJournal
from runstate.legacy import execution_tracker as legacy

from ..clock import FakeClock
from .b import Pass, Run

pytestmark = pytest.mark.filterwarnings("ignore:.*is a legacy name:DeprecationWarning")


async def begin(tracker: legacy.ExecutionTracker, **more: object) -> tuple[uuid.UUID, legacy.ExecutionRecord]:
    """A running execution and its record."""
    execution_id = await tracker.register_execution("airline", None, "t-1", "u-1", **more)  # type: ignore[arg-type]
    await tracker.start_execution(execution_id)
    record = tracker.get_execution(execution_id)
    assert record is not None
    return execution_id, record


def test_a_completed_execution_could_become_failed(core: ExecutionTracker, run: Run) -> None:
    """A:262-271: completing again with an error turned COMPLETED into FAILED; the first end stands."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        execution_id, record = await begin(tracker)
        await tracker.complete_execution(execution_id, result="LH 400")
        await tracker.complete_execution(execution_id, error="too late")
        assert (record.state, record.result, record.error) == (ExecutionState.COMPLETED, "LH 400", None)

    run(life())


def test_a_finished_execution_could_be_resurrected(core: ExecutionTracker, run: Run) -> None:
    """A:221-223: starting a finished execution made it RUNNING outside of the active set; it stays finished."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        execution_id, record = await begin(tracker)
        await tracker.complete_execution(execution_id)
        await tracker.start_execution(execution_id)
        assert record.state is ExecutionState.COMPLETED
        assert await tracker.heartbeat(execution_id) is False

    run(life())


def test_a_heartbeat_of_a_finished_execution_counted(core: ExecutionTracker, run: Run) -> None:
    """A:241-248: a beat of a finished execution was counted and answered with True; it is refused."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        execution_id, record = await begin(tracker)
        await tracker.kill_execution(execution_id)
        assert await tracker.heartbeat(execution_id) is False
        assert record.heartbeat_count == 0

    run(life())


def test_killing_twice_counted_twice(core: ExecutionTracker, run: Run) -> None:
    """A:380: a second kill put the execution into failed_executions again; it is there once."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        execution_id, _ = await begin(tracker)
        await tracker.kill_execution(execution_id)
        await tracker.kill_execution(execution_id)
        assert tracker.failed_executions == [execution_id]
        assert tracker.get_health_status()["failed_executions"] == 1

    run(life())


def test_an_empty_error_counted_as_success(core: ExecutionTracker, run: Run) -> None:
    """A:267: `error=""` made COMPLETED; it is an error like any other, and kept."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        execution_id, record = await begin(tracker)
        await tracker.complete_execution(execution_id, error="")
        assert (record.state, record.error) == (ExecutionState.FAILED, "")

    run(life())


def test_a_pending_execution_never_timed_out(core: ExecutionTracker, pass_time: Pass, run: Run) -> None:
    """A:68, 72: what was registered and never started stayed PENDING for ever; it is TIMEOUT."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        record = tracker.get_execution(await tracker.register_execution("airline"))
        assert pass_time(30) == 1
        assert record is not None
        assert record.state is ExecutionState.TIMEOUT

    run(life())


def test_a_callback_that_called_the_tracker_deadlocked(core: ExecutionTracker, pass_time: Pass, run: Run) -> None:
    """A:157-171: callbacks ran inside the lock, so one that called the tracker hung it; no lock is held."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        begun: list[uuid.UUID] = []

        async def recover(record: legacy.ExecutionRecord) -> None:
            assert await tracker.heartbeat(record.execution_id) is False
            begun.append((await begin(tracker))[0])

        tracker.register_recovery_callback(recover)
        await begin(tracker)
        pass_time(30)
        async with asyncio.timeout(60):
            await runstate.legacy.drain()
        assert [record.execution_id for record in tracker.get_active_executions()] == begun
        assert len(begun) == 1

    run(life())


def test_a_sync_callback_was_logged_as_an_error(
    core: ExecutionTracker, pass_time: Pass, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """A:299: what a plain function returned was awaited, which failed; plain functions and coroutines both work."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        heard: list[ExecutionState] = []
        tracker.register_recovery_callback(lambda record: heard.append(record.state))
        await begin(tracker)
        pass_time(30)
        await runstate.legacy.drain()
        assert heard == [ExecutionState.TIMEOUT]

    run(life())
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_errors_of_callbacks_were_swallowed(
    core: ExecutionTracker, pass_time: Pass, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """A:300, 319: a failing callback left one line; it has its traceback, the loop is told, and the next one is called."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        told: list[dict[str, object]] = []
        heard: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, problem: told.append(problem))

        async def broken(record: legacy.ExecutionRecord) -> None:
            raise RuntimeError("no recovery")

        tracker.register_recovery_callback(broken)
        tracker.register_recovery_callback(lambda record: heard.append("next"))
        await begin(tracker)
        pass_time(30)
        await runstate.legacy.drain()
        assert heard == ["next"]
        assert [str(problem["exception"]) for problem in told] == ["no recovery"]

    run(life())
    [error] = [record for record in caplog.records if record.exc_info]
    assert error.name == "runstate.legacy"
    assert "no recovery" in str(error.exc_info)


def test_nothing_was_ever_pruned(core: ExecutionTracker, run: Run) -> None:
    """A:105-107: executions and failed_executions grew for ever; what is kept beside the journal is bounded."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        first, record = await begin(tracker)
        gone = weakref.ref(record)
        del record
        await tracker.kill_execution(first)
        for _ in range(300):
            await tracker.kill_execution((await begin(tracker))[0])
        gc.collect()
        assert gone() is None
        assert len(tracker.executions) == len(tracker.failed_executions) == 256
        old = tracker.get_execution(first)
        assert old is not None
        assert old.state is ExecutionState.FAILED

    run(life())


def test_a_step_of_the_wall_clock_killed(core: ExecutionTracker, clock: FakeClock, pass_time: Pass, run: Run) -> None:
    """A:64, 74: ages were differences of wall times; limits and durations follow the monotonic clock."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        execution_id, record = await begin(tracker)
        for _ in range(2):
            await tracker.heartbeat(execution_id)
        clock.step_wall(3_600)
        assert not record.is_dead()
        assert not record.is_timeout()
        assert record.duration() == 0
        assert pass_time(1) == 0
        clock.step_wall(-7_200)
        assert record.duration() == 1
        assert pass_time(30) == 1

    run(life())


def test_persistence_did_nothing(tmp_path: object, run: Run) -> None:
    """A:386-397: the persistence hooks were empty; what happened is in the journal when it is opened again."""

    async def life() -> uuid.UUID:
        tracker = legacy.ExecutionTracker()
        execution_id, _ = await begin(tracker)
        await tracker.complete_execution(execution_id, result={"text": "hi"})
        return execution_id

    path = f"{tmp_path}/runs.db"
    with runstate.open(path) as tracker:
        runstate.legacy.use(tracker)
        execution_id = run(life())
        runstate.legacy.use(None)
    with ExecutionTracker(SqliteJournal(path)) as again:  # type: ignore[arg-type]
        assert isinstance(execution_id, uuid.UUID)
        assert again.get(execution_id.hex).result == {"text": "hi"}


def test_nobody_started_the_monitor(run: Run) -> None:
    """§1.2: nobody called start_monitoring, so timeouts never fired; they do so by themselves, under the real clock."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        heard = asyncio.Event()
        tracker.register_recovery_callback(lambda _: heard.set())
        await begin(tracker, timeout_seconds=0.05)
        async with asyncio.timeout(60):
            await heard.wait()

    with runstate.open("memory:") as tracker:
        runstate.legacy.use(tracker)
        run(life())
        assert [record.state for record in tracker.find()] == [ExecutionState.TIMEOUT]
        runstate.legacy.use(None)


def test_refusals_were_silent(core: ExecutionTracker, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """§1.2, last column: what was refused said nothing; it is logged at ERROR, counted, and raised if asked for."""

    async def life() -> None:
        loose, strict = legacy.ExecutionTracker(), legacy.ExecutionTracker(strict=True)
        execution_id, _ = await begin(loose)
        await loose.kill_execution(execution_id)
        await loose.start_execution(execution_id)
        await loose.start_execution(uuid.uuid4())
        with pytest.raises(InvalidTransitionError):
            await strict.start_execution(execution_id)

    run(life())
    assert runstate.legacy.statistics().refused == 3
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 3
    assert "start_execution refused: execution" in caplog.text
