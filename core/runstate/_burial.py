"""Burial: ends what a dead worker has left live, so that no execution is without an end.

First the fence, then the ends. From the fence on nothing of the worker is taken any more, so what is live then is all that there
is to bury, and each end is a compare-and-set like every move. So it can be done by several at once, again, or after somebody
who died over it: each execution is buried once, and a conflict is somebody else's success.

How long an execution was silent is told by two clocks: its worker's, by which it gave its last sign of life, and the store's. No
entry has the store's time, so how far the two are apart is known only where it shows: a sign that is yet to come, or one from
before the worker had joined. Then no age is given, as none would be true; the burier's own clock has no part in it.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Final

from ._clock import Clock
from ._errors import JournalConflictError
from ._fleet import CancelRequest, Unsettled, Worker
from ._records import Evidence, Transition
from ._states import Cause, ExecutionState
from .journal import Fleet

BATCH: Final = 500
"""Executions buried in one append, so that no other writer waits long for it."""
APART: Final = 1.0
"""Seconds by which the clocks of a worker and the store may differ unnoticed."""


def bury(
    journal: Fleet,
    incarnation: str,
    by: str,
    cause: Cause,
    reason: str | None,
    clock: Clock,
    *,
    expired_only: bool = False,
) -> Sequence[Transition]:
    """Fence a worker and end everything that it has left live: DEAD, or CANCELLED where that was requested.

    The cause and the reason are those of the fence that stands: if somebody has fenced the worker before, its own. Without a
    fence, because the worker has left, is not known, or has not expired, nothing is buried.

    Args:
        journal: Where.
        incarnation: The dead worker.
        by: The incarnation that buries.
        cause: Why, one that DEAD accepts.
        reason: What was seen, for people, as `exit_reason` puts it.
        clock: The burier's.
        expired_only: Only if the worker's lease has run out by the store's clock.

    Returns:
        The ends that this call has recorded; others may have recorded others.

    Raises:
        JournalConflictError: The burier has gone itself, fenced or not; it can bury nobody.
        JournalError: The journal cannot be read or written. What was buried is; begin again.
    """
    journal.fence(incarnation, by, cause, reason, expired_only=expired_only)
    worker = journal.worker(incarnation)
    if worker is None or worker.fence is None:
        return []
    seen = worker.fence.reason or worker.fence.cause.name
    if worker.renewed_age is not None:
        seen += f"; its lease had been renewed {worker.renewed_age:.3g} s before"
    buried: list[Transition] = []
    while left := journal.unsettled(incarnation, BATCH):
        requests = {request.execution_id: request for request in journal.requests(incarnation)}
        now_ns = clock.time_ns()
        ends = [
            _end(one, worker, worker.fence.cause, seen, requests.get(one.record.execution_id), by, now_ns)
            for one in left
        ]
        try:
            journal.append(ends)
        except JournalConflictError as conflict:
            refused = frozenset(conflict.execution_ids)
            ends = [end for end in ends if end.execution_id not in refused]
            again = [one.record for one in journal.unsettled(incarnation, BATCH)]
            if not ends and again == [one.record for one in left]:
                raise  # nobody else has buried them either
        else:
            if len(left) < BATCH:  # that was all, and nothing comes after a fence
                return [*buried, *ends]
        buried += ends
    return buried


def exit_reason(status: int) -> str:
    """Say how a process has ended.

    Args:
        status: Its exit code, or the number of the signal that killed it, negated, as `subprocess` gives it.
    """
    if status >= 0:
        return f"its process exited with code {status}"
    try:
        return f"its process was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"its process was killed by signal {-status}"


def why_cancelled(request: CancelRequest) -> str:
    """Say that somebody in another process wanted an execution cancelled, and why, to its user."""
    return "it was asked for" if request.reason is None else f"it was asked for: {request.reason}"


def _silence(unsettled: Unsettled, worker: Worker) -> float | None:
    """Seconds since an execution's last sign of life; None if its worker's clock is seen to be wrong, so that nobody can tell."""
    silence = (unsettled.now_ns - unsettled.signed_at_ns) / 1e9
    if silence < -APART:
        return None
    if worker.started_at_ns is not None and silence > (unsettled.now_ns - worker.started_at_ns) / 1e9 + APART:
        return None
    return max(0.0, silence)


def _end(
    unsettled: Unsettled,
    worker: Worker,
    cause: Cause,
    seen: str,
    request: CancelRequest | None,
    by: str,
    now_ns: int,
) -> Transition:
    record = unsettled.record
    at_ns = max(now_ns, record.updated_at_ns)  # clocks of two machines differ; within an execution time never goes back
    silence = _silence(unsettled, worker)
    unknown = "; since when it was silent is not known, as its worker's clock and the store's are apart"
    evidence = Evidence(
        by,
        last_beat_age=silence,
        last_phase=record.phase,
        last_phase_detail=record.phase_detail,
        reason=seen if silence is not None else seen + unknown,
    )
    # This text reaches users, who are told nothing of machines; whose it was and who saw it is in the record and the evidence.
    target, error = ExecutionState.DEAD, f"its worker is gone: {seen}"
    if request is not None:
        target, cause = ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER
        error = f"{why_cancelled(request)}; {error}"
    return Transition(record.execution_id, record.seq + 1, at_ns, record.state, target, by, cause, evidence, error)
