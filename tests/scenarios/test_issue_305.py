"""Issue #305, told again: a dict where a state belongs, then the wrong enum, and a user who never got an answer.

What happened: the supervisor ended each run with `tracker.update_execution_state(id, {"success": False, "completed": True})`.
The old tracker stored the dict, then asked it for `.value`, and `'dict' object has no attribute 'value'` died in a log line
that nobody read. After the first repair the states came from another module's enum with the same names; that one was stored
and accepted for ever, so the run never ended for anybody who asked. Both times the user waited for an answer that never came.
"""

# ruff: noqa: PT012 - what is proven here is what leaves a whole block
from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import textwrap
from enum import Enum
from typing import Any

import pytest

from runstate import (
    Cause,
    Completed,
    ExecutionState,
    ExecutionTracker,
    Failed,
    FencedError,
    NoOutcomeError,
    Outcome,
    StateTypeError,
    UnknownExecutionError,
    current,
)

from ..clock import FakeClock
from ..gated import WHO, stored
from ..stores import Store

THE_DICT: Any = {"success": False, "completed": True}
"""What was passed. `Any`, because every type checker refuses it otherwise."""


class TheOtherEnum(Enum):
    """The state of the other tracker: the same names, the same values, another type."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    DEAD = "dead"


WRONG: tuple[Any, ...] = (THE_DICT, TheOtherEnum.COMPLETED, TheOtherEnum.FAILED, "completed", "COMPLETED", True, None)


async def the_old_supervisor(tracker: ExecutionTracker, wrong: Any) -> str:
    """Run the agent, then end its execution the way that it was done."""
    answer = "Your flight is booked."
    tracker.update_execution_state(current().execution_id, wrong)
    return answer


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_the_wrong_state_is_refused_where_it_is_passed(store: Store, tracker: ExecutionTracker, wrong: Any) -> None:
    """The call itself raises, names the parameter and the value, and the execution is exactly what it was before."""
    run = tracker.create(**WHO).run()
    tracker.flush()
    before = (run.record, tracker.timeline(run.execution_id), tracker.statistics().written)
    with pytest.raises(StateTypeError) as refused:
        tracker.update_execution_state(run.execution_id, wrong)
    assert isinstance(refused.value, TypeError)
    assert "state" in str(refused.value)
    assert "ExecutionState" in str(refused.value)
    tracker.flush()
    assert (run.record, tracker.timeline(run.execution_id), tracker.statistics().written) == before
    assert stored(store, run.execution_id).state is ExecutionState.RUNNING
    run.complete("it can still be ended as it should")


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_the_user_gets_an_answer(store: Store, tracker: ExecutionTracker, wrong: Any) -> None:
    """The run that made the mistake ends FAILED, and everybody who waits for it is told, in this process and another."""

    async def main() -> tuple[Outcome[str], Outcome[Any]]:
        agent = tracker.agent("supervisor", timeout=25.0)(the_old_supervisor)
        running = asyncio.create_task(agent.bind(thread_id="t-1", user_id="u-1")(tracker, wrong))
        outcome = await running
        return outcome, await tracker.await_outcome(outcome.execution_id, timeout=30.0)

    outcome, told = asyncio.run(main())
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.exception, StateTypeError)
    assert isinstance(told, Failed)
    assert told.error.startswith("StateTypeError: ")
    record = stored(store, outcome.execution_id)
    assert (record.state, record.cause) == (ExecutionState.FAILED, Cause.RAISED)


def test_swallowing_the_error_does_not_make_it_silent(
    store: Store, tracker: ExecutionTracker, caplog: pytest.LogCaptureFixture
) -> None:
    """A supervisor that logs the error and goes on, as the old one did, still cannot lose the run: NO_OUTCOME."""

    async def main() -> str:
        with pytest.raises(NoOutcomeError) as left_by:
            async with tracker.execution(**WHO) as run:
                try:
                    tracker.update_execution_state(run.execution_id, THE_DICT)
                except Exception:
                    logging.getLogger("supervisor").exception("could not update the execution")
        return left_by.value.execution_id

    with caplog.at_level(logging.ERROR):
        record = stored(store, asyncio.run(main()))
    assert "could not update the execution" in caplog.text
    assert (record.state, record.cause) == (ExecutionState.FAILED, Cause.NO_OUTCOME)
    assert [found.execution_id for found in tracker.find(state=ExecutionState.FAILED)] == [record.execution_id]


@pytest.mark.parametrize("wrong", WRONG[:-1], ids=repr)
def test_no_other_door_takes_it(tracker: ExecutionTracker, wrong: Any) -> None:
    """Every other call that takes a state refuses the same values."""
    run = tracker.create(**WHO).run()
    with pytest.raises(StateTypeError):
        run.expect(wrong)
    with pytest.raises(StateTypeError):
        tracker.find(state=wrong)
    assert run.state is ExecutionState.RUNNING


OPTIMISED = """
import sys
import runstate
assert False, "this line proves that -O is on, by not raising"
with runstate.open(sys.argv[1]) as tracker:
    run = tracker.create(agent="airline", thread_id="t-1", user_id="u-1").run()
    for wrong in ({"success": False, "completed": True}, "completed", None, 1):
        try:
            tracker.update_execution_state(run.execution_id, wrong)
        except runstate.StateTypeError as error:
            print(type(error).__name__, run.state.name)
    run.complete("the answer")
"""


def test_also_without_assertions(tmp_path: Any) -> None:
    """`python -O` switches the type checks of the second wall off; a dict still never becomes a state."""
    command = [sys.executable, "-O", "-c", textwrap.dedent(OPTIMISED), str(tmp_path / "runs.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.splitlines() == ["StateTypeError RUNNING"] * 4


def test_an_unknown_run_is_no_false(tracker: ExecutionTracker) -> None:
    """Where the old tracker returned False for an id that it had never heard of, this one raises."""
    with pytest.raises(UnknownExecutionError):
        tracker.update_execution_state("exec_execution_1_deadbeef", ExecutionState.FAILED, error="too late")


def test_a_run_that_has_ended_is_no_false(store: Store, tracker: ExecutionTracker, clock: FakeClock) -> None:
    """Where the old tracker returned False after a timeout, the late result is refused with who, when and why."""
    run = tracker.create(**WHO, timeout=25.0).run()
    clock.advance(26.0)
    assert tracker.sweep() == 1
    with pytest.raises(FencedError) as refused:
        tracker.update_execution_state(run.execution_id, ExecutionState.COMPLETED, result="Your flight is booked.")
    assert (refused.value.state, refused.value.cause) == (ExecutionState.TIMEOUT, Cause.DEADLINE)
    assert refused.value.observer == "deadline watch"
    tracker.flush()
    assert stored(store, run.execution_id).result is None


def test_the_call_made_right(store: Store, tracker: ExecutionTracker) -> None:
    """The same call with a state ends the run, for the supervisor, for whoever waits and in the store."""
    run = tracker.create(**WHO).run()
    move = tracker.update_execution_state(run.execution_id, ExecutionState.COMPLETED, result={"success": True})
    assert (move.source, move.target) == (ExecutionState.RUNNING, ExecutionState.COMPLETED)
    outcome = tracker.wait(run.execution_id, timeout=30.0)
    assert isinstance(outcome, Completed)
    assert outcome.result == {"success": True}
    assert stored(store, run.execution_id).result == {"success": True}


def test_falsy_details_survive(store: Store, tracker: ExecutionTracker) -> None:
    """Where the old tracker turned `result=0`, `""` and `[]` into None and lost `error=""`, each comes back as it was."""
    for result in (0, "", [], {}, False):
        run = tracker.create(**WHO).run()
        tracker.update_execution_state(run.execution_id, ExecutionState.COMPLETED, result=result)
        tracker.flush()
        found = stored(store, run.execution_id).result
        assert (found, type(found)) == (result, type(result))
    run = tracker.create(**WHO).run()
    tracker.update_execution_state(run.execution_id, ExecutionState.FAILED, error="")
    tracker.flush()
    assert stored(store, run.execution_id).error == ""
