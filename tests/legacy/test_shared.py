"""What the facades share: one core, one enum, ids that each reads, answers that are kept."""

from __future__ import annotations

import copy
import dataclasses
import os
import pickle
import subprocess
import sys
import uuid
import warnings
from pathlib import Path

import pytest

import runstate
import runstate.legacy
from runstate import Cause, ExecutionState, ExecutionTracker, Phase, StateTypeError, UnknownExecutionError
from runstate.legacy import agent_execution_tracker as b
from runstate.legacy import execution_tracker as a
from runstate.legacy._ids import core_id
from runstate.legacy._states import StateNames, next_step

from ..clock import FakeClock
from .b import Run

pytestmark = pytest.mark.filterwarnings("ignore:.*is a legacy name:DeprecationWarning")


def test_each_facade_sees_the_others_executions(core: ExecutionTracker, run: Run) -> None:
    """What one facade created and moved, the other and runstate itself see, by their own forms of its id."""

    async def life() -> None:
        by_a, by_b = a.ExecutionTracker(), b.AgentExecutionTracker()
        id_a = await by_a.register_execution("airline", "c-1", "t-1", "u-1")
        id_b = f"exec_{id_a.hex}"
        assert by_b.update_execution_state(id_b, ExecutionState.STARTING) is True
        record_a, record_b = by_a.get_execution(id_a), by_b.get_execution(id_b)
        assert record_a is not None
        assert record_b is not None
        assert record_a.state is record_b.state is core.get(id_a.hex).state is ExecutionState.STARTING
        assert record_b.metadata == {"correlation_id": "c-1"}
        assert [record.execution_id for record in by_b.get_active_executions()] == [id_b]
        core.handle(id_a.hex).expect(ExecutionState.STARTING).run().complete("LH 400")
        assert (record_a.result, record_b.result, record_b.is_terminal) == ("LH 400", "LH 400", True)
        assert by_b.get_active_executions() == []
        assert by_b.heartbeat(id_b) is False

    run(life())


def test_executions_of_runstate_itself_are_seen(core: ExecutionTracker, clock: FakeClock) -> None:
    """A facade finds, beats and moves an execution that was created without it, live and ended."""
    handle = core.create(agent="airline", thread_id="t-1", user_id="u-1", metadata={"run_id": "r-1"}).run()
    tracker = b.AgentExecutionTracker()
    record = tracker.get_execution(handle.execution_id)
    assert record is not None
    assert tracker.get_execution(handle.execution_id) is record
    assert (record.agent_name, record.metadata, record.state) == ("airline", {"run_id": "r-1"}, ExecutionState.RUNNING)
    handle.phase(Phase.THINKING)
    assert record.current_phase is b.AgentExecutionPhase.THINKING
    clock.advance(2)
    assert tracker.heartbeat(handle.execution_id) is True
    assert tracker.update_execution_state(handle.execution_id, ExecutionState.FAILED, error="no seat")
    assert handle.state is ExecutionState.FAILED
    assert (record.error, record.get_total_duration_ms()) == ("no seat", 2_000)
    ended = core.create(agent="airline", thread_id="t-1", user_id="u-1").run().complete(0)
    found = tracker.get_execution(ended.execution_id)
    assert found is not None
    assert (found.result, found.is_terminal) == (0, True)
    assert tracker.update_execution_state(ended.execution_id, ExecutionState.FAILED) is False


def test_what_facades_wrote_is_sound(tmp_path: Path, clock: FakeClock) -> None:
    """A journal that only facades have written passes every check of `runstate.verify`."""
    path = tmp_path / "runs.db"
    with runstate.open(path) as core:
        runstate.legacy.use(core)
        tracker = b.AgentExecutionTracker()
        for state in ExecutionState:
            execution_id = tracker.create_execution("airline", "t-1", "u-1", metadata={"when": uuid.uuid4()})
            tracker.update_execution_state(execution_id, state, result=None)
        record = tracker.get_execution(tracker.create_execution("airline", "t-1", "u-1", timeout_seconds=0.01))
        assert record is not None
        core.wait(record.execution_id.removeprefix("exec_"), timeout=60)
        runstate.legacy.use(None)
    assert list(runstate.verify(path)) == []


def test_without_use_there_is_a_core_in_memory(tmp_path: Path) -> None:
    """The first legacy call opens a tracker, on the journal that the environment names; it is closed at exit, quietly."""
    program = (
        "import runstate\n"
        "from runstate.legacy.agent_execution_tracker import get_execution_tracker\n"
        "tracker = get_execution_tracker()\n"
        "print(tracker.create_execution('airline', 't-1', 'u-1'))\n"
    )
    path = tmp_path / "runs.db"
    for journal in ("memory:", str(path)):
        environment = {**os.environ, "RUNSTATE_LEGACY_JOURNAL": journal}
        ran = subprocess.run(
            [sys.executable, "-W", "error::RuntimeWarning", "-c", program],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert ran.stdout.startswith("exec_")
        assert "RuntimeWarning" not in ran.stderr
    with runstate.open(path, read_only=True) as tracker:
        assert [record.cause for record in tracker.find()] == [Cause.SHUTDOWN]


def test_use_takes_only_a_tracker() -> None:
    """Anything but a tracker or None is refused at once."""
    with pytest.raises(StateTypeError, match="tracker must be an ExecutionTracker"):
        runstate.legacy.use("runs.db")  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_starts_afresh(core: ExecutionTracker) -> None:
    """After a fork the child tracks its own executions, and refuses to move the parent's."""
    tracker = b.AgentExecutionTracker()
    execution_id = tracker.create_execution("airline", "t-1", "u-1")
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:  # pragma: no cover - runs in the child
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            own = tracker.create_execution("airline", "t-1", "u-1")
            answers = (
                tracker.update_execution_state(own, ExecutionState.COMPLETED, result=1),
                tracker.update_execution_state(execution_id, ExecutionState.COMPLETED),
                [record.execution_id for record in tracker.get_active_executions()],
            )
            os.write(write, pickle.dumps(answers))
            os._exit(0)
    os.waitpid(pid, 0)
    assert pickle.loads(os.read(read, 10_000)) == (True, False, [])
    os.close(read)
    os.close(write)
    assert tracker.update_execution_state(execution_id, ExecutionState.COMPLETED) is True


def test_every_form_of_an_id_is_read() -> None:
    """UUIDs, texts with and without hyphens, and whatever stands before them, name the same execution."""
    number = uuid.uuid4()
    agent = f"my-agent_run-{uuid.uuid4()}_1700000000000"
    forms = [number, str(number), number.hex, f"exec_{number.hex}", f"exec_{number}", f"{agent}_{number.hex}"]
    assert {core_id(form) for form in forms} == {number.hex}
    for wrong in ["", "exec_execution_1_0a1b2c3d", number.hex + "0", f"exec_{number.hex[1:]}", None, 7, {}]:
        with pytest.raises(UnknownExecutionError):
            core_id(wrong)


class Named(metaclass=StateNames, aliases={"SUCCESS": ExecutionState.COMPLETED, "ABORTED": ExecutionState.CANCELLED}):
    """Stands for the one enum under other names."""


def test_legacy_names_of_states_are_the_one_enum() -> None:
    """A class of names has the members of the one enum as attributes and values, under the legacy names too."""
    names: object = Named
    assert getattr(names, "SUCCESS") is ExecutionState.COMPLETED is getattr(names, "COMPLETED")  # noqa: B009
    assert Named("SUCCESS") is Named("success") is Named("completed") is Named["SUCCESS"]
    assert Named(ExecutionState.DEAD) is ExecutionState.DEAD
    assert isinstance(ExecutionState.DEAD, Named)
    assert not isinstance("SUCCESS", Named)
    assert list(Named) == list(ExecutionState)
    assert len(Named) == 9
    assert ExecutionState.DEAD in Named
    assert set(Named.__members__) == {*ExecutionState.__members__, "SUCCESS", "ABORTED"}
    with pytest.raises(ValueError, match="valid are PENDING"):
        Named("RECOVERED")


def test_the_way_to_a_state_is_legal_and_short() -> None:
    """Step by step the way leads over legal moves, in at most three, and to the target wherever there is a way."""
    for source in ExecutionState:
        for target in ExecutionState:
            state, steps = source, 0
            while state is not target and steps < 4:
                step = next_step(state, target)
                if step not in runstate.TRANSITIONS[state]:
                    break  # no way: the core refuses it
                state, steps = step, steps + 1
            reachable = not source.is_terminal and list(ExecutionState).index(target) > list(ExecutionState).index(
                source
            )
            assert (state is target) == (reachable or source is target)


@dataclasses.dataclass
class Answer:
    """As legacy agents return it."""

    text: str
    seats: tuple[int, ...]


def test_an_answer_that_is_no_json_is_kept(core: ExecutionTracker) -> None:
    """The record gives back the object itself; the journal keeps what JSON can carry of it."""
    tracker = b.AgentExecutionTracker()
    execution_id = tracker.create_execution("airline", "t-1", "u-1")
    answer = Answer("LH 400", (4, 5))
    assert tracker.update_execution_state(execution_id, ExecutionState.COMPLETED, result=answer) is True
    record = tracker.get_execution(execution_id)
    assert record is not None
    assert record.result is answer
    assert core.get(execution_id.removeprefix("exec_")).result == {"text": "LH 400", "seats": [4, 5]}


def test_an_answer_that_cannot_be_described_is_kept(core: ExecutionTracker) -> None:
    """Even a value that refers to itself completes the execution; the journal says what it was."""
    tracker = b.AgentExecutionTracker()
    execution_id = tracker.create_execution("airline", "t-1", "u-1")
    circle: list[object] = []
    circle.append(circle)
    assert tracker.update_execution_state(execution_id, ExecutionState.COMPLETED, result=circle) is True
    assert "list that cannot be described" in str(core.get(execution_id.removeprefix("exec_")).result)


def test_what_the_core_has_no_place_for_is_kept(core: ExecutionTracker) -> None:
    """An error beside COMPLETED and a result beside FAILED stay in the record, as they did."""
    tracker = b.AgentExecutionTracker()
    records: list[b.ExecutionRecord | None] = []
    for state in (ExecutionState.COMPLETED, ExecutionState.FAILED, ExecutionState.RUNNING):
        execution_id = tracker.create_execution("airline", "t-1", "u-1")
        assert tracker.update_execution_state(execution_id, state, error="partly", result=[]) is True
        records.append(tracker.get_execution(execution_id))
    assert [record and (record.error, record.result) for record in records] == [("partly", [])] * 3


def test_what_is_decided_cannot_be_set(core: ExecutionTracker) -> None:
    """Setting what runstate decides says what to do instead; a state that is set is a report like any other."""
    tracker = b.AgentExecutionTracker()
    record = tracker.get_execution(tracker.create_execution("airline", "t-1", "u-1"))
    assert record is not None
    with pytest.raises(AttributeError, match="report a state through the tracker"):
        record.result = "LH 400"
    record.state = ExecutionState.RUNNING
    with pytest.raises(runstate.InvalidTransitionError):
        record.state = ExecutionState.PENDING


def test_a_copy_of_a_record_is_a_value(core: ExecutionTracker) -> None:
    """Replaced, copied or pickled, a live record becomes one that stays as it was."""
    tracker = b.AgentExecutionTracker()
    record = tracker.get_execution(tracker.create_execution("airline", "t-1", "u-1"))
    assert record is not None
    copies = [dataclasses.replace(record), copy.copy(record), pickle.loads(pickle.dumps(record))]
    tracker.update_execution_state(record.execution_id, ExecutionState.COMPLETED)
    assert [one.state for one in copies] == [ExecutionState.PENDING] * 3
    assert dataclasses.asdict(record)["state"] is ExecutionState.COMPLETED
    assert copies[0] == copies[1] == copies[2] != record
