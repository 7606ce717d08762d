"""What refuses a mistake when it runs all the same: each function is called once, on a tracker of its own.

The parameters are filled by their names. What a wall is, is seen from the outside: the error that leaves the function; the
warning of a coroutine that nobody awaited; or the unhappy end that an execution has which the function began.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import io
import warnings
from contextlib import redirect_stdout
from typing import Any

from runstate import Completed, Died, ExecutionState, ExecutionTracker
from runstate.journal.memory import MemoryJournal

from ..clock import FakeClock
from .reports import Mistake

WALLS = {
    "StateTypeError": "types, checked at run time",
    "InvalidTransitionError": "the transition table",
    "FencedError": "the transition table",
    "InvalidValueError": "values are checked too",
    "NotJsonError": "the JSON border",
    "UnknownExecutionError": "the journal knows all executions",
    "NoOutcomeError": "the end of the block",
    "TIMEOUT": "the end that the default time limit gives it",
    "FAILED": "the outcome says so",
    "ValueError": "Python's enum",
}
"""What stands behind what is seen, where no checker finds the mistake."""


def seen(mistake: Mistake) -> str | None:
    """Make a mistake, and name what came of it: an error or warning, `TIMEOUT`, `FAILED`, or None for nothing."""
    function = getattr(importlib.import_module(f"{__package__}.{mistake.file}"), mistake.name)
    clock = FakeClock()
    with ExecutionTracker(MemoryJournal(), clock=clock) as tracker:
        arguments = _arguments(tracker)
        before = {record.execution_id for record in tracker.find()}
        taken = [name for name in inspect.signature(function).parameters if name in arguments]
        with warnings.catch_warnings(record=True) as warned, redirect_stdout(io.StringIO()):
            warnings.simplefilter("always")
            try:
                result = function(**{name: arguments[name] for name in taken})
                if inspect.iscoroutine(result):
                    asyncio.run(result)
                del result
            except Exception as error:
                return type(error).__name__
            finally:
                gc.collect()
        if warned:
            return warned[0].category.__name__
        clock.advance(24 * 3_600)
        tracker.sweep()
        ends = {record.state for record in tracker.find() if record.execution_id not in before}
        unhappy = [state.name for state in (ExecutionState.TIMEOUT, ExecutionState.FAILED) if state in ends]
        return unhappy[0] if unhappy else None


def _arguments(tracker: ExecutionTracker) -> dict[str, Any]:
    def create() -> Any:
        return tracker.create(agent="airline", thread_id="t-1", user_id="u-1")

    pending, running = create(), create().run()
    dead, done = create().run(), create().run().complete("LH 400")
    dead.die()
    moved = tracker.update_execution_state(create().execution_id, ExecutionState.RUNNING)
    no_state = {"success": False, "completed": True}
    completed_outcome, died = (tracker.wait(one.execution_id, timeout=5.0) for one in (done, dead))
    assert isinstance(completed_outcome, Completed)
    assert isinstance(died, Died)
    return {
        "tracker": tracker,
        "pending": pending,
        "starting": create().start(),
        "running": running,
        "completed": done,
        "either": running,
        "execution_id": pending.execution_id,
        "running_id": running.execution_id,
        "thread_id": "t-1",
        "user_id": "u-1",
        "loose": no_state,
        "union": no_state,
        "event": {"execution_id": pending.execution_id, "state": no_state},
        "values": [pending.execution_id, no_state],
        "record": running.record,
        "moved": moved,
        "outcome": died,
        "completed_outcome": completed_outcome,
        "text": "finished",
        "state": "failed",
    }
