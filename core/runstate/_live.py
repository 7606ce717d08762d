"""One live execution in memory: the facts that the decider changes and everybody else reads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from ._deadlines import NEVER
from ._errors import RunstateError
from ._records import Created, ExecutionRecord, PhaseChange, Transition
from ._states import ExecutionState

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
        "lock",
        "lost",
        "offset_ns",
        "phase",
        "seq",
        "state",
        "updated_at_ns",
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
    lock: threading.Lock
    closed: bool
    """Nothing more can happen to it here: it has ended, or is lost to another owner."""
    end: Transition | None
    lost: RunstateError | None
    watchers: list[Callable[[], None]] | None

    def due_ns(self) -> int:
        """When its next limit passes, by the monotonic clock."""
        return min(self.deadline_ns(), self.silence_ns())

    def deadline_ns(self) -> int:
        """When its time limit passes; `NEVER` without one."""
        created = self.created
        return NEVER if created.timeout is None else created.at_ns - self.offset_ns + int(created.timeout * 1e9)

    def silence_ns(self) -> int:
        """When its heartbeat limit passes, unless it gives a sign of life; `NEVER` without one, and while PENDING."""
        limit = self.created.heartbeat_timeout
        return NEVER if limit is None or self.state is _PENDING else self.beat_ns + int(limit * 1e9)

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
            )
