"""One live execution in memory: the facts that the decider changes and everybody else reads."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from ._deadlines import NEVER
from ._errors import ExecutionTimeoutError, FencedError, JournalConflictError, RunstateError
from ._loops import LoopProbe
from ._records import Created, Evidence, ExecutionRecord, PhaseChange, Transition
from ._states import Cause, ExecutionState

_PENDING: Final = ExecutionState.PENDING


class Live:
    """One execution in memory, from its creation to its end. Handles keep it alive afterwards to say how it ended."""

    __slots__ = (
        "beat_ns",
        "beats",
        "closed",
        "created",
        "end",
        "execution_id",
        "is_entering",
        "left",
        "lock",
        "loop",
        "lost",
        "offset_ns",
        "phase",
        "seq",
        "state",
        "succession",
        "updated_at_ns",
        "warnings",
        "watchers",
    )

    created: Created
    """How it began: whose it is, and its limits."""
    execution_id: str
    offset_ns: int
    """Wall clock minus monotonic clock, at its creation."""
    updated_at_ns: int
    state: ExecutionState
    seq: int
    phase: PhaseChange | None
    """The newest one."""
    beat_ns: int
    """Last sign of life, by the monotonic clock. Written without the lock: a store that races is still a sign of life."""
    beats: int
    is_entering: bool
    """Whether its block waits for the journal and has not begun: nobody has its handle yet, so nobody could give a sign."""
    lock: threading.Lock
    closed: bool
    """Nothing more can happen to it here: it has ended, or is lost to another owner."""
    end: Transition | None
    loop: LoopProbe | None
    """The event loop in which it left PENDING; None outside of any."""
    warnings: int
    """How many were recorded."""
    lost: RunstateError | None
    left: tuple[ExecutionState, int] | None
    """The state and the seq that it had when a fence took it from this process, until its owner has tried to end it."""
    succession: Callable[[ExecutionState, ExecutionState, Cause], None] | None
    """Told of its end, as source, target and cause, under its lock and before the end is handed on: who sees the end then sees what
    follows it as well. It neither blocks nor raises."""
    watchers: list[Callable[[], None]] | None

    def due_ns(self) -> int:
        """When its next limit passes, by the monotonic clock."""
        return min(self.deadline_ns(), self.silence_ns())

    def deadline_ns(self) -> int:
        """When its time limit passes; `NEVER` without one."""
        created = self.created
        return NEVER if created.timeout is None else created.at_ns - self.offset_ns + int(created.timeout * 1e9)

    def silence_ns(self) -> int:
        """When its heartbeat limit passes, unless it gives a sign of life; `NEVER` without one, and before it could give any."""
        limit = self.created.heartbeat_timeout
        return NEVER if limit is None or self.is_entering or self.state is _PENDING else self.beat_ns + int(limit * 1e9)

    def record(self) -> ExecutionRecord:
        """Describe it as it stands now."""
        created = self.created
        with self.lock:
            end, phase = self.end, self.phase
            return ExecutionRecord(
                created.execution_id,
                created.agent,
                created.thread_id,
                created.user_id,
                self.state,
                self.seq,
                created.at_ns,
                self.updated_at_ns,
                created.incarnation,
                created.timeout,
                created.heartbeat_timeout,
                phase.phase if phase is not None else None,
                phase.detail if phase is not None else None,
                end.cause if end is not None else None,
                end.evidence if end is not None else None,
                end.error if end is not None else None,
                created.metadata_json,
                end.result_json if end is not None else None,
                created.retry_of,
                created.attempt,
                created.message_id,
            )

    def lose(self, loss: Loss) -> None:
        """Nothing can happen to it here any more: it was taken from this process."""
        with self.lock:
            if not self.closed and isinstance(loss.error, FencedError):
                self.left = self.state, self.seq
            self.lost = loss.error
            self.closed = True
            self.end = loss.end  # also in the place of an end of our own, which does not stand
            if loss.end is not None:
                self.state = loss.end.target
                self.seq = loss.end.seq
                self.updated_at_ns = loss.end.at_ns


class Loss(NamedTuple):
    """What became of an execution that was taken from its process."""

    error: RunstateError
    """What every later call on it raises."""
    end: Transition | None
    """The end that stands, whoever made it; None while it is not known."""
    is_told: bool = False
    """Whether somebody is told by other means than by waiting for durability."""
    is_late: bool = False
    """Whether it was lost before, and what was refused now is only the end that its owner has tried since."""


class ExecutionsLostError(JournalConflictError):
    """The journal has refused entries of executions that are no longer this process's.

    Attributes:
        losses: What became of each.
    """

    def __init__(self, conflict: JournalConflictError, losses: Mapping[str, Loss]) -> None:
        super().__init__(conflict.execution_ids, "others have ended these executions")
        self.losses: dict[str, Loss] = dict(losses)

    @property
    def late(self) -> int:
        """How many of them were lost before."""
        return sum(loss.is_late for loss in self.losses.values())

    def verdict(self) -> RunstateError | None:
        """What to tell who waited for all of them: the first one's fate, and that of the others in a note; None if all is told."""
        untold = [name for name, loss in self.losses.items() if not loss.is_told]
        if not untold:
            return None
        error = copy.copy(self.losses[untold[0]].error)
        if untold[1:]:
            error.add_note(f"runstate: the same became of {', '.join(untold[1:])}")
        return error


def fenced(
    execution_id: str,
    state: ExecutionState,
    cause: Cause | None,
    evidence: Evidence | None,
    at_ns: int,
    *,
    is_owner: bool = True,
) -> FencedError:
    """Say who has ended an execution that somebody still wanted to change: its owner, or somebody who only knows its id."""
    error = ExecutionTimeoutError if state is ExecutionState.TIMEOUT else FencedError
    observer = evidence.observer if evidence is not None else "unknown"
    return error(execution_id, state, cause, observer, at_ns, is_owner=is_owner)
