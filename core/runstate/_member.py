"""A tracker as a member of a fleet: what other processes may do to its executions, and what becomes of them then.

On a journal that nobody else shares there is no fleet, and all of this comes down to nothing. On any other the tracker is a
worker, and three things can reach it from outside:

- *news*: somebody has written to the journal, so whoever waits here looks again;
- *a request to cancel* an execution of its own, which it carries out like a call by id;
- *a fence*: the others held it for dead and have ended, or are about to end, what it had live. Each of these executions is
  then lost to it: its handles, its block and its agent raise `FencedError`, and whatever the journal refuses from now on is not
  tried again. The tracker goes on as another worker, under a new incarnation.

The fence is noticed by whichever is first: the liveness thread, or the writer, whose entries are refused.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from ._burial import why_cancelled
from ._clock import Clock
from ._decider import Decider
from ._errors import (
    DuplicateMessageError,
    FencedError,
    InvalidTransitionError,
    InvalidValueError,
    JournalConflictError,
    JournalError,
    JournalUnavailableError,
    TrackerClosedError,
    UnknownExecutionError,
)
from ._events import POLL, News
from ._fleet import CancelRequest, Fence
from ._ids import new_incarnation
from ._live import ExecutionsLostError, Loss, fenced
from ._liveness import Liveness, logger
from ._records import Created, Entry, Evidence, Selection, Transition
from ._states import Cause, ExecutionState
from .journal import Fleet, Journal
from .journal._log import log_of

_LOOK_UP_AT_MOST: Final = 1_000
"""Ends that are looked up when executions are lost; of more the fence alone tells. Also how many duplicates are remembered."""


class Member:
    """One tracker's place among the processes that share its journal.

    Args:
        tracker: Is not let go of as long as anything here runs: one that was forgotten is closed, and complained about, at exit.
        journal: What they share, if they do.
        decider: The tracker's live executions.
        news: Whom to tell when others have written.
        clock: The tracker's clocks.
        lease: Seconds for which the worker counts as alive without a sign.
        threaded: Whether to look after it in a thread; else `liveness.turn` is called by hand.
        read_only: Whether this tracker only looks on.
    """

    def __init__(
        self,
        tracker: object,
        journal: Journal,
        decider: Decider,
        news: News,
        clock: Clock,
        lease: float,
        *,
        threaded: bool,
        read_only: bool,
    ) -> None:
        self._tracker = tracker
        self._journal = journal
        self._decider = decider
        self._news = news
        self._threaded = threaded
        self._lock = threading.Lock()
        self._duplicated: dict[str, Loss] = {}
        """The newest executions that were refused as duplicates: more entries of theirs may be on their way."""
        self.is_reader: bool = read_only
        """Whether the tracker only looks on."""
        self.fleet: Fleet | None = journal if isinstance(journal, Fleet) else None
        self.liveness: Liveness | None = None
        """Keeps it alive for the others; None where there are no others, and where the tracker only looks on."""
        if self.fleet is not None and not read_only:
            self.liveness = Liveness(self.fleet, self, clock, lease)
            if threaded:
                news.patience = POLL

    def begin(self) -> None:
        """Take part from now on: settle at once what workers have left that are gone, then watch."""
        if self.liveness is None or not self._threaded:
            return
        try:
            self.liveness.turn(0.0)
        except (JournalError, InvalidValueError) as error:
            logger.warning("runstate: what others have left cannot be settled now, trying again: %s", error)
        self.start()

    def start(self) -> None:
        """Watch, unless that is done already; a forked child begins with its first execution."""
        if self.liveness is not None and self._threaded:
            self.liveness.start()

    def join(self) -> None:
        """Be known as a worker, before anything is durable.

        Raises:
            JournalError: It could not be written.
        """
        if self.liveness is not None:
            self.liveness.join()

    def written(self) -> None:
        """Something of this tracker's has become durable: tell everybody."""
        self._news.tell()
        if self.liveness is not None:
            self.liveness.ring_peers()

    def refused(self, conflict: JournalConflictError, batch: Sequence[Entry]) -> JournalConflictError:
        """Give up executions of which the journal has refused an entry; say what became of them, if that can be told.

        Args:
            conflict: The refusal.
            batch: What it was asked to store. The incarnation in an entry may be a former one of this tracker.
        """
        written_by = {entry.execution_id: entry.incarnation for entry in batch}
        fences = self._fences({written_by[execution_id] for execution_id in conflict.execution_ids})
        mine = self._decider.incarnation
        if mine in fences and self.liveness is not None:
            self.lose(mine, fences[mine])  # now: who is told of the refusal may begin something at once
            self.liveness.look_again()
        losses: dict[str, Loss] = {}
        for incarnation in {written_by[execution_id] for execution_id in conflict.execution_ids}:
            theirs = [
                execution_id for execution_id in conflict.execution_ids if written_by[execution_id] == incarnation
            ]
            losses |= self._losses(theirs, fences.get(incarnation))
        refused = set(conflict.execution_ids) - losses.keys()
        losses |= {one: self._duplicated[one] for one in refused if one in self._duplicated}
        losses |= self._duplicates(
            [entry for entry in batch if type(entry) is Created and entry.execution_id in refused]
        )
        losses |= {
            one: loss._replace(is_told=True, is_late=True) for one, loss in losses.items() if self._decider.is_told(one)
        }
        unknown = [execution_id for execution_id in conflict.execution_ids if execution_id not in losses]
        self._decider.lose({**losses, **dict.fromkeys(unknown, Loss(conflict, None))})
        return conflict if unknown else ExecutionsLostError(conflict, losses)

    def _duplicates(self, refused: Iterable[Created]) -> dict[str, Loss]:
        """Those that were begun for a message that others answer, and the attempts that were to follow them."""
        losses: dict[str, Loss] = {}
        for created in refused:
            error = losses[created.retry_of].error if created.retry_of in losses else self._duplicate(created)
            if error is not None:
                losses[created.execution_id] = Loss(error, None, self._decider.is_in_block(created.execution_id))
        self._duplicated |= losses
        while len(self._duplicated) > _LOOK_UP_AT_MOST:
            del self._duplicated[next(iter(self._duplicated))]
        return losses

    def _duplicate(self, created: Created) -> DuplicateMessageError | None:
        """Say which other execution is the first for a message; None if there is none, or it cannot be seen."""
        if created.message_id is None or created.retry_of is not None:
            return None
        with suppress(JournalError):
            error = self.answered(created.thread_id, created.user_id, created.message_id)
            if error is not None and error.execution_id != created.execution_id:
                return error
        return None

    def answered(self, thread_id: str, user_id: str, message_id: str) -> DuplicateMessageError | None:
        """Say which chain answers a message; None if none does.

        Raises:
            JournalError: It cannot be read.
        """
        asked = Selection(thread_id=thread_id, user_id=user_id, message_id=message_id)
        for newest in self._journal.executions(asked, 1):
            first, agent = newest.retry_of or newest.execution_id, newest.agent
            if newest.retry_of is not None:  # by hand another agent may have been given what this one had failed at
                for begun in self._journal.executions(Selection(execution_id=first), 1):
                    agent = begun.agent
            return DuplicateMessageError(thread_id, user_id, message_id, first, agent)
        return None

    def _fences(self, incarnations: Iterable[str]) -> dict[str, Fence]:
        """Those of these workers that are fenced, as far as can be seen."""
        fences: dict[str, Fence] = {}
        if self.fleet is not None:
            for incarnation in incarnations:
                with suppress(JournalError):
                    worker = self.fleet.worker(incarnation)
                    if worker is not None and worker.fence is not None:
                        fences[incarnation] = worker.fence
        return fences

    def request(self, execution_id: str, reason: str | None) -> CancelRequest | None:
        """Ask the process that owns an execution to cancel it; None if the execution has ended.

        Raises:
            UnknownExecutionError: No execution has this id.
            JournalError: The request could not be recorded.
        """
        if self.fleet is None:
            raise UnknownExecutionError(execution_id)
        if self.liveness is None:
            raise JournalUnavailableError("opened read-only; open the journal without read_only to cancel an execution")
        request = self.fleet.request_cancel(execution_id, self._decider.incarnation, reason)
        if request is not None:
            with suppress(JournalError):  # its owner looks by itself, four times a lease
                self.fleet.ring(request.owner)
        return request

    def close(self) -> None:
        """Leave the fleet in good order. Everything of this tracker has ended and is written."""
        if self.liveness is not None:
            try:
                self.liveness.close()
            except (JournalError, InvalidValueError) as error:
                logger.warning("runstate: this worker could not say that it leaves, which costs nothing: %s", error)

    def after_fork(self) -> None:
        """Start afresh in a forked child."""
        self._lock = threading.Lock()
        if self.liveness is not None:
            self.liveness.after_fork()

    # -- what the liveness thread asks for ------------------------------------------------------------------------------

    def incarnation(self) -> str:
        """The name that executions are created under now."""
        return self._decider.incarnation

    def hear(self) -> None:
        """Somebody else has written to the journal."""
        self._news.tell()

    def cancel(self, request: CancelRequest) -> None:
        """End an execution of this tracker as CANCELLED, because somebody wants it."""
        live = self._decider.live.get(request.execution_id)
        if live is None:
            return
        with suppress(InvalidTransitionError, FencedError, TrackerClosedError):  # it ended by itself a moment ago
            self._decider.end(
                live,
                None,
                ExecutionState.CANCELLED,
                Cause.CANCELLED_BY_CALLER,
                why_cancelled(request),
                observer=request.by,
                reason=request.reason,
            )

    def lose(self, incarnation: str, fence: Fence) -> None:
        """Give up everything that is live here under a fenced incarnation, and take another one."""
        with self._lock:
            decider = self._decider
            if decider.incarnation == incarnation:
                decider.incarnation = new_incarnation()  # first, so that nothing more begins under the fenced one
                logger.error(
                    "runstate: this worker, %s, was held for dead: %s (%s). "
                    "What it had live is ended; it goes on under another name",
                    incarnation,
                    fence.reason,
                    fence.cause.name,
                )
            lost = [
                live.execution_id for live in list(decider.live.values()) if live.created.incarnation == incarnation
            ]
            decider.lose(self._losses(lost, fence))

    def _losses(self, execution_ids: Iterable[str], fence: Fence | None) -> dict[str, Loss]:
        """Find out what became of executions that are no longer ours, as far as it is known."""
        losses: dict[str, Loss] = {}
        for count, execution_id in enumerate(execution_ids):
            log: list[Entry] = []
            if fence is None or count < _LOOK_UP_AT_MOST:
                with suppress(JournalError):
                    log = log_of(self._journal, execution_id)
            end = log[-1] if log else None
            if not isinstance(end, Transition) or not end.target.is_terminal:
                if fence is None:
                    continue
                end = _end_to_come(execution_id, end, fence)
            error = fenced(execution_id, end.target, end.cause, end.evidence, end.at_ns)
            if not log and fence is not None:
                error.add_note("runstate: it may never have been recorded, as its worker was held for dead before that")
            losses[execution_id] = Loss(error, end)
        return losses


def _end_to_come(execution_id: str, newest: Entry | None, fence: Fence) -> Transition:
    """The end that whoever has set the fence is about to write after the newest entry that is known."""
    seen = fence.reason or fence.cause.name
    return Transition(
        execution_id,
        1 if newest is None else newest.seq + 1,
        fence.at_ns,
        newest.target if isinstance(newest, Transition) else ExecutionState.PENDING,
        ExecutionState.DEAD,
        fence.by,
        fence.cause,
        Evidence(fence.by, reason=seen),
        f"its worker was held for dead: {seen}",
    )
