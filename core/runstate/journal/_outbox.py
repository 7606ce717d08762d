"""What a journal has for notices: a store can keep executions without it, but all of ours have it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Container, Iterable, Sequence
from typing import Final, NamedTuple, Protocol, runtime_checkable

from .._notices import Notice, NoticeRecord, NoticeState, OutboxRecord, Settlement

PAGE: Final = 500
"""Notices looked at in one step of looking for some to claim."""

logger: Final = logging.getLogger("runstate")


@runtime_checkable
class Outbox(Protocol):
    """A journal that keeps notices of ends for whoever delivers them. From any thread.

    While an outbox is open, the transaction that stores an end, by whichever call of `append` and in whichever process, stores a notice of it in
    each. Time is the store's. In a `Fleet` a claim is a worker's, and good for as long as that has joined and is not gone.
    """

    def open_outbox(self, name: str, /) -> None:
        """Have notices of all ends from now on, durably. Does nothing when it is open already.

        Raises:
            JournalError: Nothing was stored.
        """
        ...

    def remove_outbox(self, name: str, /) -> int | None:
        """Have no more notices in an outbox, and forget those that there are.

        Returns:
            How many of them were not delivered; None if there is no such outbox.

        Raises:
            JournalError: Nothing was changed.
        """
        ...

    def outboxes(self) -> Sequence[OutboxRecord]:
        """Read all outboxes, the oldest first.

        Raises:
            RecordDecodeError: The store holds a row that is no valid outbox.
            JournalError: It cannot be read.
        """
        ...

    def claim(
        self,
        outbox: str,
        incarnation: str,
        limit: int,
        /,
        *,
        threads: Container[str] | None = None,
        held: Collection[str] = (),
    ) -> Sequence[Notice]:
        """Take notices to deliver, the oldest executions first: those that are due and that no worker who is there has claimed.

        Which can be taken is read first; that they are taken, by this worker and by no other, is one statement.

        Args:
            outbox: Which.
            incarnation: For whom.
            limit: At most this many, 1 or more.
            threads: Only notices of these threads; None is all.
            held: The notices that this process is at: they are not taken. Any other claim of this worker is taken anew, as the answer
                to the call that made it was lost.

        Raises:
            InvalidValueError: There is no such outbox; or, in a fleet, the worker has not joined or is gone.
            RecordDecodeError: The store holds a row that is no valid record.
            JournalError: Nothing was claimed, or it is not known what.
        """
        ...

    def settle(self, outbox: str, incarnation: str, settled: Sequence[Settlement], /) -> Sequence[str]:
        """Say what came of notices that this worker has claimed, as one durable unit. What is no longer its claim is left as it is.

        Returns:
            The notices that should be DELIVERED by it and are not: it was held for dead meanwhile, or they are no longer there.

        Raises:
            JournalError: Nothing was stored, or it is not known; do it again.
        """
        ...

    def notices(
        self, outbox: str | None, state: NoticeState | None, thread_id: str | None, limit: int, /
    ) -> Sequence[NoticeRecord]:
        """Read notices, those of the newest executions first; whatever is given must match.

        Raises:
            RecordDecodeError: The store holds a row that is no valid notice.
            JournalError: It cannot be read.
        """
        ...

    def retry_notice(self, outbox: str, notice_id: str, /) -> NoticeState | None:
        """Have a notice that is PARKED, or waits out a pause, tried at once, with its attempts counted anew.

        Returns:
            What it is now: PENDING; DELIVERED, if there was nothing to do; or None if there is no such notice.

        Raises:
            JournalError: Nothing was stored.
        """
        ...


class Candidate(NamedTuple):
    """A notice that could be claimed, as a store has found it."""

    number: int
    notice_id: str
    thread_id: str


def wanted(
    found: Iterable[Candidate], limit: int, threads: Container[str] | None, held: Container[str]
) -> list[Candidate]:
    """Choose what to claim.

    Here and not in the store, which would have to be sent the names of all threads at each look, and mostly to find nothing.
    """
    chosen: list[Candidate] = []
    for one in found:
        if (threads is None or one.thread_id in threads) and one.notice_id not in held:
            chosen.append(one)
            if len(chosen) == limit:
                break
    return chosen


class Claimed(NamedTuple):
    """What one attempt to claim has brought."""

    chosen: int
    """How many could be claimed when that was read."""
    notices: Sequence[Notice]
    """Those that nobody else was faster with."""


def claim_all(
    claim_some: Callable[[int, Collection[str]], Claimed], limit: int, held: Collection[str]
) -> Sequence[Notice]:
    """Claim up to a limit, again for as long as somebody else is faster with some: each time all together have got further."""
    found: list[Notice] = []
    while len(found) < limit:
        claimed = claim_some(limit - len(found), {*held, *(notice.notice_id for notice in found)})
        found += claimed.notices
        if len(claimed.notices) == claimed.chosen:
            break
    return found


def complain_of_lost(count: int) -> None:
    """Say that retention has removed notices with their executions before anybody has delivered them."""
    if count:
        logger.error(
            "runstate: retention has removed %d notices, with their executions, that were never delivered; deliver them sooner, keep "
            "executions longer (`Limits.retention`, `Limits.retained_executions`), or remove the outbox that nobody delivers",
            count,
        )
