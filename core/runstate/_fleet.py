"""The facts of a fleet: several processes that share one journal.

A *worker* is one boot of one process; its incarnation names it and is never used again. It is there as long as its *lease* is
renewed, and gone for good in one of two ways: it has *left*, with nothing of its own still live, or it was *fenced* by somebody
who holds it for dead. A fence is set once and never lifted: a worker that was wrongly held for dead joins anew, under another
name. From the fence on the journal takes nothing from it any more, and lets others end what it has left live: *bury* it.

What the fenced worker still tried to record as an end is kept beside the history, as a `RejectedMove`, never as the outcome.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from ._errors import InvalidValueError
from ._records import ExecutionRecord, Transition
from ._states import CAUSES, Cause, ExecutionState


class WorkerState(Enum):
    """Whether a worker is there."""

    ALIVE = "alive"
    """Nothing is known against it."""
    LEFT = "left"
    """It has gone in good order: everything that it had begun has ended."""
    FENCED = "fenced"
    """Somebody has found it dead. It can record nothing any more."""


class Fence(NamedTuple):
    """Who held a worker for dead, when and why. Final."""

    by: str
    """The incarnation that decided it, or what else did."""
    cause: Cause
    """One that DEAD accepts, such as PROCESS_EXITED or LEASE_EXPIRED."""
    reason: str | None
    """What was seen, for people: `killed by SIGKILL`."""
    at_ns: int
    """When, in nanoseconds since the Unix epoch."""
    position: int
    """The journal's newest position at that moment: no entry of the worker comes after it."""


class Worker(NamedTuple):
    """One boot of one process, as the journal knows it."""

    number: int
    """The journal's own number for it, which grows in the order of arrival."""
    incarnation: str
    """Its name: no other boot has or will have it."""
    live: int
    """How many of its executions have not ended."""
    host: str | None = None
    """Name of its machine or container; like all that follows up to the lease, None if it only wrote and never joined."""
    pid: int | None = None
    """Its process id there."""
    started_at_ns: int | None = None
    """When it joined, in nanoseconds since the Unix epoch."""
    lease: float | None = None
    """Seconds for which one renewal is good."""
    renewed_at_ns: int | None = None
    """The newest renewal, by the store's own clock: compare it for equality only, to see whether there was another."""
    renewed_age: float | None = None
    """Seconds since then; None also when the machine was started anew in between, and nobody can tell."""
    expired: bool = False
    """Whether the lease has run out, by the store's clock, or the worker's machine was started anew. A sign, not yet a proof."""
    left_at_ns: int | None = None
    """When it left, in nanoseconds since the Unix epoch, if it has left."""
    fence: Fence | None = None
    """Why it counts as dead, if it does."""
    gone: str | None = None
    """What shows that its process is gone although nobody has fenced it yet, for people: on a file, the kernel has let go of its lock.
    None where nothing shows it, or nobody can tell: on a server, and for a reader who may not look into the folder of workers."""

    @property
    def state(self) -> WorkerState:
        """Whether it is there."""
        if self.fence is not None:
            return WorkerState.FENCED
        return WorkerState.ALIVE if self.left_at_ns is None else WorkerState.LEFT


class Peer(NamedTuple):
    """A worker as its peers watch it: what tells whether it is alive, and no more."""

    incarnation: str
    """Its name."""
    lease: float | None
    """Like the two that follow as `Worker` has it; None if it was fenced without ever having joined."""
    renewed_at_ns: int | None
    renewed_age: float | None
    expired: bool
    """Whether the lease has run out, by the store's clock. A sign, not yet a proof."""
    fence: Fence | None
    """Why it counts as dead, if it does; then something of it is still live. Without one it is there."""


class Unsettled(NamedTuple):
    """A live execution, as whoever buries its worker needs it."""

    record: ExecutionRecord
    signed_at_ns: int
    """Time of its last sign of life, by its worker's clock: of its newest entry that is no warning, which `record.updated_at_ns` may be."""
    now_ns: int
    """The time of the store when it was read, in nanoseconds since the Unix epoch."""


class RejectedMove(NamedTuple):
    """An end that a fenced worker tried to record: kept beside the history of its execution, once, never its outcome."""

    move: Transition
    """The move just as it was tried: by whom (`incarnation`), when (`at_ns`), and with which result, error and evidence."""
    rejected_at_ns: int
    """When it was refused, in nanoseconds since the Unix epoch."""


class CancelRequest(NamedTuple):
    """Somebody wants an execution to be cancelled. The first request stands; its owner carries it out, or who buries the owner."""

    execution_id: str
    owner: str
    """The incarnation that owns the execution."""
    by: str
    """Who asked."""
    reason: str | None
    """Why, for people."""
    at_ns: int
    """When, in nanoseconds since the Unix epoch."""


def check_fence(incarnation: str, by: str, cause: Cause) -> None:
    """Refuse a fence that no store sets.

    Raises:
        InvalidValueError: *cause* is no cause of DEAD, or a worker fences itself.
    """
    if cause not in CAUSES[ExecutionState.DEAD]:
        accepted = ", ".join(sorted(one.name for one in CAUSES[ExecutionState.DEAD]))
        raise InvalidValueError("cause", cause, f"a cause of DEAD: {accepted}")
    if by == incarnation:
        raise InvalidValueError("by", by, "another worker: none fences itself")


def fence_of(incarnation: str, worker: Worker | None) -> Fence:
    """Say what keeps a worker from renewing its lease.

    Raises:
        InvalidValueError: No fence does: it has not joined, or has left.
    """
    if worker is None or worker.fence is None:
        raise InvalidValueError("incarnation", incarnation, "that of a worker that has joined and has not left")
    return worker.fence
