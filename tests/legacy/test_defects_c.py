"""One test for each defect that the old `execution_tracking` (C) is known for: states, records and counts."""

from __future__ import annotations

import sys
from collections.abc import Coroutine

import pytest
from pydantic import ValidationError

import runstate.legacy
from runstate import ExecutionState, ExecutionTracker, StateTypeError
from runstate.legacy import execution_tracking as legacy
from runstate.legacy.execution_tracking import registry as of_registry
from runstate.legacy.execution_tracking import tracker as of_tracker

from .b import Pass, Run
from .c import context, progress, record_of, registered, result, start

pytestmark = pytest.mark.filterwarnings("ignore:.*is a legacy name:DeprecationWarning")

FINISHED = (ExecutionState.TIMEOUT, ExecutionState.FAILED, ExecutionState.COMPLETED, ExecutionState.CANCELLED)


def test_two_classes_of_progress_did_not_fit(core: ExecutionTracker, run: Run) -> None:
    """Ct:28, Cr:37: 20 percent raised where 0.2 was wanted, half written; each class has its range, and both arrive."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        execution_id = await start(tracker)
        await tracker.update_execution_progress(execution_id, progress(20))
        record = await record_of(execution_id)
        assert record.state is ExecutionState.RUNNING
        assert record.progress is not None
        assert (record.progress.percentage, record.progress.message) == (0.2, "looking for flights")
        share = of_registry.ExecutionProgress(percentage=0.5)
        assert await tracker.registry.update_execution_state(execution_id, ExecutionState.RUNNING, {"progress": share})
        assert record.progress == share

    run(life())
    for kind, limit in ((of_registry.ExecutionProgress, 1), (of_tracker.ExecutionProgress, 100)):
        assert kind(stage="s", message="m", percentage=limit).percentage == limit
        for wrong in (-0.1, limit + 0.1, float("nan")):
            with pytest.raises(ValidationError):
                kind(stage="s", message="m", percentage=wrong)


def test_a_wrong_progress_was_half_written(core: ExecutionTracker, run: Run) -> None:
    """Ct:179-186: heartbeat and state were written before the progress was refused; a refused call changes nothing."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        execution_id = await start(tracker)
        share = of_registry.ExecutionProgress(percentage=0.2)
        with pytest.raises(StateTypeError, match=r"tracker\.ExecutionProgress"):
            await tracker.update_execution_progress(execution_id, share)  # type: ignore[arg-type]
        with pytest.raises(StateTypeError, match="from 0 to 1"):
            await tracker.registry.update_execution_state(
                execution_id, ExecutionState.RUNNING, {"progress": progress(20)}
            )
        update = tracker.registry.update_execution_state
        assert await update(execution_id, ExecutionState.RUNNING, {"progress": {"percentage": 20}}) is False
        record = await record_of(execution_id)
        assert (record.state, record.progress, record.heartbeat_at) == (ExecutionState.STARTING, None, None)

    run(life())


def test_a_run_without_a_progress_call_could_not_complete(core: ExecutionTracker, run: Run) -> None:
    """Ct:203: INITIALIZING to SUCCESS raised; it is walked, and the journal shows the legal moves."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        execution_id = await start(tracker)
        await tracker.complete_execution(execution_id, result(execution_id, "LH 400"))
        assert (await record_of(execution_id)).state is ExecutionState.COMPLETED
        moves = core.history(execution_id[-32:])
        assert [move.target.name for move in moves] == ["STARTING", "RUNNING", "COMPLETED"]
        assert core.get(execution_id[-32:]).result == "LH 400"

    run(life())


def test_a_timeout_while_initializing_was_lost(core: ExecutionTracker, pass_time: Pass, run: Run) -> None:
    """Cm:355: INITIALIZING to TIMEOUT raised inside the callback, swallowed; the end is kept, and heard of."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        heard: list[tuple[str, bool]] = []
        tracker.timeout_manager.add_timeout_callback(lambda key, info: heard.append((key, info.has_timed_out)))
        execution_id = await start(tracker)
        record = await record_of(execution_id)
        assert record.state is ExecutionState.STARTING
        assert pass_time(31) == 1
        await runstate.legacy.drain()
        assert (record.state, record.error) == (ExecutionState.TIMEOUT, "Execution timed out 30s after its start")
        assert heard == [(execution_id, True)]

    run(life())


def test_handling_a_failure_after_a_timeout_raised(
    core: ExecutionTracker, pass_time: Pass, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """Ct:237: the failure handler itself raised; the late failure is refused, logged and counted, and the timeout stands."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        execution_id = await start(tracker)
        assert pass_time(31) == 1
        assert await tracker.handle_execution_failure(execution_id, RuntimeError("no seat")) is None
        assert await tracker.complete_execution(execution_id, result(execution_id)) is None
        assert (await record_of(execution_id)).state is ExecutionState.TIMEOUT

    run(life())
    assert "ExecutionTracker.handle_execution_failure refused" in caplog.text
    assert runstate.legacy.statistics().refused == 2


def test_timeout_was_active_for_good(core: ExecutionTracker, pass_time: Pass, run: Run) -> None:
    """Cr:165, 287, 402: TIMEOUT counted as active and was never cleaned; it is an end like the others."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        registry = tracker.registry
        await start(tracker)
        assert pass_time(31) == 1
        assert await registry.get_active_executions() == []
        assert await tracker.get_all_active_executions() == []
        assert (await registry.get_execution_metrics()).active_executions == 0
        assert len(await registry.get_timed_out_executions()) == 1
        assert await registry.cleanup_expired_executions(retention_hours=1) == 0
        pass_time(3_601)
        assert await registry.cleanup_expired_executions(retention_hours=1) == 1
        assert (len(registry), await registry.get_timed_out_executions()) == (0, [])

    run(life())


def test_recovering_was_active_for_good(core: ExecutionTracker, run: Run) -> None:
    """Cr:165, 402: RECOVERING was a way back that nobody came out of; a recovery is a new execution, linked to the first."""

    async def life() -> None:
        tracker, names = legacy.ExecutionTracker(), legacy.ExecutionState
        recovering: ExecutionState = names["RECOVERING"]
        first = await start(tracker)
        await tracker.update_execution_progress(first, progress())
        with pytest.raises(ValueError, match="recovery_action"):
            await tracker.registry.update_execution_state(first, recovering)
        again = {"recovery_action": "asked again", "retry_count": 1}
        assert await tracker.registry.update_execution_state(first, ExecutionState.RUNNING, again)
        record = await record_of(first)
        assert (record.recovery_actions, record.retry_count) == (["asked again"], 1)
        await tracker.handle_execution_failure(first, RuntimeError("no seat"))
        with pytest.raises(ValueError, match="a new execution of the same run, with a retry_count"):
            await tracker.registry.update_execution_state(first, recovering)
        assert record.state is ExecutionState.FAILED
        for other in (await start(tracker, "r-2"), await start(tracker, agent_name="hotel")):
            await tracker.handle_execution_failure(other, RuntimeError("no seat"))
        assert await tracker.registry.update_execution_state(await registered(), ExecutionState.COMPLETED)
        second = await tracker.start_execution("r-1", "airline", context(retry_count=1))
        assert (await record_of(second)).retry_count == 1
        metadata = core.get(second[-32:]).metadata
        assert isinstance(metadata, dict)
        assert metadata["recovery_of"] == first[-32:]
        assert [one.execution_id for one in await tracker.registry.get_active_executions()] == [second]

    run(life())
    assert runstate.legacy.statistics().refused == 2


def test_timeout_executions_was_always_zero(core: ExecutionTracker, run: Run) -> None:
    """Cr:211: TIMEOUT was counted nowhere; every end has its count."""

    async def life() -> None:
        registry = legacy.ExecutionRegistry()
        for state in FINISHED:
            assert await registry.update_execution_state(await registered(), state)
        counts = await registry.get_execution_metrics()
        assert (counts.timeout_executions, counts.failed_executions, counts.successful_executions) == (1, 1, 1)
        assert (counts.total_executions, counts.active_executions, counts.success_rate) == (4, 0, 0.25)

    run(life())


def test_completing_an_unknown_execution_counted_a_success(
    core: ExecutionTracker, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """Ct:204-216: an unknown id was a success in the metrics; it is refused, and counts as that."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        unknown = f"airline_r-1_1700000000000_{'0' * 32}"
        await tracker.complete_execution(unknown, result(unknown))
        metrics = await tracker.get_tracker_metrics()
        assert (metrics["successful_executions"], metrics["total_executions"], metrics["success_rate"]) == (0, 0, 0.0)

    run(life())
    assert "ExecutionTracker.complete_execution refused" in caplog.text
    assert runstate.legacy.statistics().refused == 1


def test_a_result_that_is_false_was_lost(core: ExecutionTracker, run: Run) -> None:
    """B:390, for C: 0, "" and [] are answers."""

    async def life() -> None:
        tracker = legacy.ExecutionTracker()
        for data in (0, "", [], False):
            execution_id = await start(tracker)
            await tracker.complete_execution(execution_id, result(execution_id, data))
            assert core.get(execution_id[-32:]).result == data

    run(life())


def test_a_registry_needed_a_running_loop(core: ExecutionTracker, run: Run) -> None:
    """Cr:465: ExecutionRegistry() outside of a loop raised; nothing is started, and it serves any loop."""
    registry, tracker = legacy.ExecutionRegistry(), legacy.ExecutionTracker()
    record = run(registry.register_execution("r-1", "airline"))
    assert isinstance(record, legacy.ExecutionRecord)
    assert run(tracker.registry.get_execution(record.execution_id)) is record


def test_every_registration_recounted_everything(core: ExecutionTracker) -> None:
    """Cr:163, 242: each register and end walked all executions; the work does not grow with their number."""
    registry = legacy.ExecutionRegistry()

    def calls_of_one_life() -> int:
        calls = 0

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal calls
            calls += event in {"call", "c_call"}

        record = finished(registry.register_execution("r-1", "airline"))
        sys.setprofile(count)
        try:
            finished(registry.register_execution("r-1", "airline"))
            finished(registry.update_execution_state(record.execution_id, ExecutionState.COMPLETED))
        finally:
            sys.setprofile(None)
        return calls

    calls_of_one_life()
    few = calls_of_one_life()
    for _ in range(300):
        finished(registry.register_execution("r-1", "airline"))
    assert calls_of_one_life() < few + 100


def finished(call: Coroutine[object, object, legacy.ExecutionRecord | bool]) -> legacy.ExecutionRecord:
    """Run a call that waits for nothing, without a loop."""
    with pytest.raises(StopIteration) as caught:
        call.send(None)
    answer: legacy.ExecutionRecord = caught.value.value
    return answer
