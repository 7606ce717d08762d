"""One test for each defect that the old `agent_execution_tracker` (B) is known for: its states and limits."""

from __future__ import annotations

import enum
from datetime import timedelta

import pytest

import runstate
import runstate.legacy
from runstate import ExecutionState, ExecutionTracker, InvalidTransitionError, InvalidValueError, StateTypeError
from runstate.legacy import agent_execution_tracker as legacy
from runstate.legacy import execution_tracker as legacy_a
from runstate.legacy.agent_execution_tracker import AgentExecutionPhase as Phase
from runstate.legacy.agent_execution_tracker import AgentExecutionTracker

from ..clock import FakeClock
from .b import Pass, Run, made

pytestmark = pytest.mark.filterwarnings("ignore:.*is a legacy name:DeprecationWarning")


class ForeignState(enum.Enum):
    """As each of the three modules had its own."""

    COMPLETED = "completed"


@pytest.mark.parametrize(
    "state", [{"success": False, "completed": True}, "completed", ForeignState.COMPLETED, None], ids=repr
)
def test_a_dict_was_stored_as_the_state(tracker: AgentExecutionTracker, state: object) -> None:
    """B:386, 412: what is no state was stored before `.value` failed, or for good; it is raised, and nothing changes."""
    execution_id, record = made(tracker)
    with pytest.raises(StateTypeError, match="must be an ExecutionState"):
        tracker.update_execution_state(execution_id, state)  # type: ignore[arg-type]
    assert record.state is ExecutionState.PENDING
    assert runstate.legacy.statistics().refused == 1


def test_the_enums_of_two_trackers_were_never_equal(tracker: AgentExecutionTracker, run: Run) -> None:
    """B:386: A's COMPLETED was stored by B and was none of its states; there is one enum for all."""
    execution_id, record = made(tracker)
    assert tracker.update_execution_state(execution_id, legacy_a.ExecutionState.COMPLETED)
    assert record.state is legacy.ExecutionState.COMPLETED is runstate.ExecutionState.COMPLETED


def test_refusals_were_silent(tracker: AgentExecutionTracker, caplog: pytest.LogCaptureFixture) -> None:
    """B:356, 377-383, 423: unknown, ended and not PENDING were the same silent False; each is logged with its reason."""
    execution_id, _ = made(tracker)
    tracker.update_execution_state(execution_id, ExecutionState.FAILED, error="no")
    assert tracker.start_execution(execution_id) is False
    assert tracker.update_execution_state(execution_id, ExecutionState.COMPLETED) is False
    assert tracker.heartbeat("exec_unknown") is False
    assert runstate.legacy.statistics().refused == 3
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 3
    assert "cannot move FAILED -> COMPLETED" in caplog.text
    assert "no execution 'exec_unknown'" in caplog.text


def test_refusals_can_be_raised(core: ExecutionTracker, clock: FakeClock) -> None:
    """The same, with `strict=True` in the constructor or in `use`: the refusal itself is raised."""
    execution_id, _ = made(strict := AgentExecutionTracker(strict=True))
    strict.update_execution_state(execution_id, ExecutionState.FAILED)
    with pytest.raises(InvalidTransitionError):
        strict.start_execution(execution_id)
    runstate.legacy.use(core, clock=clock, strict=True)
    with pytest.raises(InvalidTransitionError):
        AgentExecutionTracker().start_execution(execution_id)


def test_any_state_could_follow_any_other(tracker: AgentExecutionTracker) -> None:
    """B: RUNNING to PENDING, and then started again, was True; there is one table, and no way back."""
    execution_id, record = made(tracker)
    assert tracker.update_execution_state(execution_id, ExecutionState.RUNNING)
    assert tracker.update_execution_state(execution_id, ExecutionState.PENDING) is False
    assert tracker.start_execution(execution_id) is False
    assert record.state is ExecutionState.RUNNING


def test_phase_and_state_knew_nothing_of_each_other(tracker: AgentExecutionTracker, run: Run) -> None:
    """B: phase COMPLETED stood beside state PENDING, and THINKING beside COMPLETED; the state goes along."""

    async def life() -> None:
        first, record = made(tracker)
        assert await tracker.transition_state(first, Phase.COMPLETED)
        assert record.state is ExecutionState.COMPLETING
        assert tracker.update_execution_state(first, ExecutionState.COMPLETED)
        assert await tracker.transition_state(first, Phase.THINKING) is False
        assert (record.state, record.current_phase) == (ExecutionState.COMPLETED, Phase.COMPLETED)
        second, other = made(tracker)
        assert await tracker.transition_state(second, Phase.THINKING)
        assert other.state is ExecutionState.RUNNING

    run(life())


def test_a_string_as_phase_broke_the_record(tracker: AgentExecutionTracker, run: Run) -> None:
    """B:666: a plain string was taken as a phase, and `get_agent_state` crashed afterwards; it is refused."""

    async def life() -> None:
        execution_id, _ = made(tracker)
        with pytest.raises(StateTypeError, match="AgentExecutionPhase"):
            await tracker.transition_state(execution_id, "thinking")  # type: ignore[arg-type]
        assert (tracker.get_agent_state(execution_id) or {})["current_phase"] == "created"

    run(life())


@pytest.mark.parametrize("result", [0, [], "", False, {}, 0.0], ids=repr)
def test_falsy_results_were_lost(core: ExecutionTracker, tracker: AgentExecutionTracker, result: object) -> None:
    """B:392: `result=0`, [] and "" became None; they are kept, in the record and in the journal."""
    execution_id, record = made(tracker)
    assert tracker.update_execution_state(execution_id, ExecutionState.COMPLETED, result=result)
    assert (record.result, type(record.result)) == (result, type(result))
    kept = core.get(execution_id.removeprefix("exec_")).result
    assert (kept, type(kept)) == (result, type(result))


def test_an_empty_error_was_lost(core: ExecutionTracker, tracker: AgentExecutionTracker) -> None:
    """B:390: `error=""` became None; it is kept."""
    execution_id, record = made(tracker)
    assert tracker.update_execution_state(execution_id, ExecutionState.FAILED, error="")
    assert record.error == "" == core.get(execution_id.removeprefix("exec_")).error


def test_an_initial_state_was_ignored(tracker: AgentExecutionTracker) -> None:
    """B:1072: an unknown name of a state was ignored, and "COMPLETED" made an active record without an end."""
    with pytest.raises(InvalidValueError, match="initial_state"):
        tracker.create_execution_with_full_context("airline", {}, initial_state="SUCCESS")
    execution_id = tracker.create_execution_with_full_context("airline", {}, initial_state="COMPLETED")
    record = tracker.get_execution(execution_id)
    assert record is not None
    assert record.completed_at is not None
    assert tracker.get_active_executions() == []


def test_cancelled_was_in_no_metric(tracker: AgentExecutionTracker) -> None:
    """B:403-410: CANCELLED was counted nowhere; it has its figure."""
    tracker.update_execution_state(made(tracker)[0], ExecutionState.CANCELLED)
    assert tracker.get_metrics()["cancelled_executions"] == 1


def test_a_limit_of_zero_became_fifteen_seconds(tracker: AgentExecutionTracker) -> None:
    """B:331: `timeout_seconds=0` silently became the default; it is refused."""
    with pytest.raises(InvalidValueError, match="timeout"):
        tracker.create_execution("airline", "t-1", "u-1", timeout_seconds=0)


def test_limits_below_a_second_were_cut(tracker: AgentExecutionTracker, pass_time: Pass) -> None:
    """B:862, 1060: 0.5 s became 0, and so 15 s or a timeout at once; half a second is half a second."""
    ids = [
        made(tracker, timeout_seconds=0.5)[0],
        tracker.create_execution_with_full_context("airline", {}, {"timeout_seconds": 0.5}),
        made(tracker)[0],
    ]
    assert tracker.set_timeout(ids[2], legacy.TimeoutConfig(agent_execution_timeout=0.5))
    assert pass_time(0.4) == 0
    assert pass_time(0.1) == 3


def test_there_were_two_default_limits(tracker: AgentExecutionTracker, pass_time: Pass) -> None:
    """B:82, 236: is_timed_out said 15 s and check_timeout 25 s of the same execution; they agree to the end."""
    execution_id, record = made(tracker)
    status = tracker.check_timeout(execution_id)
    assert status is not None
    assert status["timeout_seconds"] == record.timeout_seconds == tracker.get_default_timeout() == 15
    pass_time(15)
    assert record.is_timed_out()
    assert (tracker.check_timeout(execution_id) or {})["is_timed_out"] is True


def test_a_timeout_was_never_reached_without_heartbeats(tracker: AgentExecutionTracker, pass_time: Pass) -> None:
    """B:474: without heartbeats an execution was DEAD at 10 s, so never TIMEOUT at 15; who never beat is not silent."""
    execution_id, record = made(tracker)
    tracker.start_execution(execution_id)
    assert pass_time(14) == 0
    assert pass_time(1) == 1
    assert record.state is ExecutionState.TIMEOUT


def test_waiting_in_a_queue_was_death(tracker: AgentExecutionTracker, pass_time: Pass) -> None:
    """B:149, 474: PENDING counted as dead after 10 s; waiting for a turn is no silence."""
    execution_id, record = made(tracker, timeout_seconds=60)
    assert tracker.heartbeat(execution_id)
    assert tracker.heartbeat(execution_id)
    assert pass_time(30) == 0
    assert not record.is_dead()
    assert tracker.detect_dead_executions() == []


def test_a_healthy_run_was_declared_dead(tracker: AgentExecutionTracker, pass_time: Pass) -> None:
    """RSEE:374, 387: one beat before and one after a run of 12 s made it DEAD, its answer was refused unnoticed."""
    execution_id, record = made(tracker)
    tracker.start_execution(execution_id)
    assert tracker.heartbeat(execution_id)
    assert pass_time(12) == 0
    assert tracker.heartbeat(execution_id)
    assert tracker.update_execution_state(execution_id, ExecutionState.COMPLETED, result="LH 400") is True
    assert (record.state, record.result) == (ExecutionState.COMPLETED, "LH 400")


def test_a_heartbeat_loop_kept_the_dead_alive(tracker: AgentExecutionTracker, pass_time: Pass) -> None:
    """EE:598, RSX:385: a loop that beats whatever the agent does hid its death; the time limit ends it all the same."""
    execution_id, record = made(tracker)
    tracker.start_execution(execution_id)
    for _ in range(8):
        tracker.heartbeat(execution_id)
        pass_time(2)
    assert (record.state, tracker.heartbeat(execution_id)) == (ExecutionState.TIMEOUT, False)


def test_the_evidence_of_a_death_was_destroyed(
    core: ExecutionTracker, tracker: AgentExecutionTracker, pass_time: Pass, run: Run
) -> None:
    """B:388: marking DEAD set last_heartbeat to now, so callbacks saw 0.00004 s of silence; they see the silence."""

    async def life() -> None:
        seen: list[timedelta] = []
        tracker.register_death_callback(lambda record: seen.append(record.time_since_heartbeat))
        execution_id, record = made(tracker)
        tracker.start_execution(execution_id)
        tracker.heartbeat(execution_id)
        tracker.heartbeat(execution_id)
        beaten = record.last_heartbeat
        assert pass_time(11) == 1
        await runstate.legacy.drain()
        assert (record.state, record.last_heartbeat) == (ExecutionState.DEAD, beaten)
        assert seen == [timedelta(seconds=11)] == [record.time_since_heartbeat]
        assert record.error == "No heartbeat for 11.0s"
        evidence = core.get(execution_id.removeprefix("exec_")).evidence
        assert evidence is not None
        assert (evidence.beats, evidence.last_beat_age) == (2, 11.0)

    run(life())


def test_a_step_of_the_wall_clock_killed(tracker: AgentExecutionTracker, clock: FakeClock, pass_time: Pass) -> None:
    """B:871, 910, 949: limits followed the wall clock; a step of it kills nothing and spares nothing."""
    execution_id, record = made(tracker)
    tracker.start_execution(execution_id)
    tracker.heartbeat(execution_id)
    tracker.heartbeat(execution_id)
    clock.step_wall(86_400)
    assert pass_time(1) == 0
    assert (record.is_dead(), record.is_timed_out()) == (False, False)
    assert record.time_since_heartbeat == timedelta(seconds=1)
    clock.step_wall(-200_000)
    assert pass_time(10) == 1
    assert record.state is ExecutionState.DEAD
