"""A worker with so many live executions, which does nothing until it is ended: it is killed, watches, or comes back as a zombie.

    python -m tests.chaos.victim URL LEASE EXECUTIONS

It prints the incarnation that owns them, and leaves in good order when its standard input ends. For every line that it is sent it
tries to complete them, durably, and says on one line what it was told: `completed`, `fenced` with the state that `FencedError`
names, or whatever else was raised.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Literal

import runstate
from runstate import Execution, ExecutionState, FencedError, RunstateError


def told(call: Callable[[], object]) -> str:
    """Make a call; say what came of it."""
    try:
        call()
    except FencedError as error:
        return f"fenced {error.state.value}"
    except RunstateError as error:
        return repr(error)
    return "completed"


def complete(handle: Execution[Literal[ExecutionState.RUNNING]]) -> Callable[[], object]:
    """Give what completes an execution."""
    return lambda: handle.complete("late")


def main(url: str, lease: float, executions: int) -> None:
    """Begin, and do as told."""
    logging.getLogger("runstate").setLevel(logging.CRITICAL)  # who dies here is expected to
    with runstate.open(url, lease=lease) as tracker:
        handles = [
            tracker.create(agent="victim", thread_id=f"t-{number}", user_id="u").start().run()
            for number in range(executions)
        ]
        tracker.flush()
        print(tracker.get(handles[0].execution_id).incarnation, flush=True)
        for _ in sys.stdin:
            answers = {told(complete(handle)) for handle in handles} - {"completed"}
            flushed = told(tracker.flush)  # always: a move is decided at once, and only a flush knows what became of it
            print(", ".join(sorted(answers)) or flushed, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
