"""The states of facade C: those of runstate, under its old names too.

`SUCCESS` is COMPLETED, `INITIALIZING` is STARTING, `ABORTED` is CANCELLED. They are the members of the one enum: `.value` is
`"completed"`, and no member equals a text as the old `str` ones did. A type checker sees `runstate.ExecutionState` itself, so it
names each use of an old name that is left, which `runstate migrate` rewrites.

`RECOVERING` was a way back, out of FAILED, TIMEOUT or RUNNING, and runstate has none: an end is final, and what is running has
been started. The name stands for what a recovery begins with, STARTING, and so it is accepted of an execution that has not begun.
Of any other it is refused, loudly, and the refusal says what to do: what is live goes on as RUNNING and may name its
`recovery_action`; what has ended is recovered by a new execution of the same run, with a `retry_count`, which is linked to the
one that it recovers by `recovery_of` in its metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import ExecutionState as _State
from ... import RunstateError
from .._states import LEGACY_NAMES, StateNames

if TYPE_CHECKING:
    ExecutionState = _State
else:

    class ExecutionState(metaclass=StateNames, aliases=LEGACY_NAMES):
        """`runstate.ExecutionState` under the names of facade C."""


class NoWayBackError(RunstateError):
    """An execution that has begun, or has ended, cannot begin again."""

    def __init__(self, execution_id: str, state: _State) -> None:
        instead = (
            "an end is final; recover it by a new execution of the same run, with a retry_count"
            if state.is_terminal
            else "report RUNNING, with metadata={'recovery_action': …}"
        )
        super().__init__(f"execution {execution_id} is {state.name} and cannot become STARTING (RECOVERING): {instead}")
