"""The part of the tracker that sees to it that users are told: it delivers notices of ends, and shows what has become of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from ._checks import checked, seconds, text
from ._clock import Clock
from ._decider import Decider
from ._deliverer import ATTEMPTS, CONCURRENCY, TIMEOUT, Deliverer, Settings
from ._delivery import Delivery
from ._errors import InvalidValueError, JournalUnavailableError, TrackerClosedError, wrong_type
from ._member import Member
from ._notices import DEFAULT, Notice, NoticeRecord, NoticeState, NoticeTally, OutboxRecord
from ._remote import ExecutionRemote
from .journal import Outbox


class _Sender:
    """The tracker, as its deliverers need it."""

    def __init__(self, member: Member, decider: Decider, clock: Clock) -> None:
        self._member = member
        self._decider = decider
        self.now_ns = clock.time_ns

    def join(self) -> str:
        """Be known as a worker; say under which name."""
        self._member.join()
        return self._decider.incarnation

    def released(self) -> None:
        """Something was given back that others may deliver."""
        self._member.written()


class ExecutionNotifier(ExecutionRemote):
    """Delivers notices of ends, and shows them."""

    _clock: Clock
    _deliverers: dict[str, Deliverer]
    _delivering: threading.Lock

    @checked
    def deliver(
        self,
        function: Callable[[Notice], object],
        *,
        outbox: str = DEFAULT,
        threads: Callable[[], Collection[str]] | None = None,
        attempts: int = ATTEMPTS,
        timeout: float = TIMEOUT,
        concurrency: int = CONCURRENCY,
    ) -> Delivery:
        """Have a function told of every end, in this process or another, until it has taken it.

        From now on, durably, each end leaves a notice in the outbox, in the transaction that stores the end. Each notice is handed to the
        function of one of the processes that deliver this outbox, at least once; drop repeats by `Notice.notice_id`. There is no order between
        notices. What the function returns is ignored; when it raises, or takes too long, the notice is tried again, after pauses
        that double from 0.25 s to 60 s.

        Args:
            function: What to call. A coroutine function runs in the loop in which this is called, asyncio's or trio's, else in a loop of
                its own; any other in threads of its own.
            outbox: Which. It is opened if there is none of this name.
            threads: Says which conversations can be reached from this process at the moment; only their notices are taken. None: all.
                It is asked before each look, in a thread; call `Delivery.wake` when there is a new one.
            attempts: How often a notice is tried until it is PARKED, 1 to 1,000.
            timeout: Seconds that one call may take. A coroutine is then cancelled; a plain function keeps its thread until it returns.
            concurrency: Calls under way at once, 1 to 1,000. So many notices at most have to wait for somebody else if this process dies.

        Returns:
            The delivery. The tracker closes it, once what it has at hand and what ended with the tracker is delivered, or after 5 s.

        Raises:
            StateTypeError: An argument has the wrong type.
            InvalidValueError: An argument has an impossible value; or this tracker delivers the outbox already.
            JournalUnavailableError: The journal keeps no notices, or was opened read-only.
            JournalError: The outbox cannot be opened.
            TrackerClosedError: The tracker is closed.
        """
        for parameter, value in (("function", function), ("threads", threads)):
            if not callable(value) and not (parameter == "threads" and value is None):
                raise wrong_type(parameter, value, "something to call")
        name = text("outbox", outbox, self._limits.name_bytes)
        settings = Settings(
            threads,
            _count("attempts", attempts),
            seconds("timeout", timeout),
            _count("concurrency", concurrency),
            self._limits.error_bytes,
        )
        with self._delivering:
            known = self._deliverers.get(name)
            if known is not None and not known.is_closed:
                raise InvalidValueError(
                    "outbox", name, "one that this tracker does not deliver yet; close that delivery first"
                )
            if self._news.closed:
                raise TrackerClosedError
            journal = self._writable_outbox()
            journal.open_outbox(name)
            sender = _Sender(self._member, self._decider, self._clock)
            deliverer = Deliverer(journal, self._news, sender, self._tally, name, function, settings)
            deliverer.begin()
            self._deliverers[name] = deliverer
        return Delivery(deliverer)

    @checked
    def notices(
        self,
        *,
        outbox: str | None = None,
        state: NoticeState | None = None,
        thread_id: str | None = None,
        limit: int = 100,
    ) -> tuple[NoticeRecord, ...]:
        """Return notices, those of the newest executions first; every filter given must match.

        Args:
            outbox: The outbox that they are in.
            state: What has become of them.
            thread_id: Their conversation.
            limit: At most this many, 1 to 1,000,000.

        Raises:
            InvalidValueError: *limit* is out of range.
            JournalError: It cannot be read.
        """
        if state is not None and state.__class__ is not NoticeState:
            raise wrong_type("state", state, "a NoticeState")
        name_bytes = self._limits.name_bytes
        outbox = None if outbox is None else text("outbox", outbox, name_bytes)
        thread_id = None if thread_id is None else text("thread_id", thread_id, name_bytes)
        limit = _count("limit", limit, 1_000_000)
        self._settle()
        return tuple(self._outbox().notices(outbox, state, thread_id, limit)) if self._keeps_notices() else ()

    @checked
    def retry_notice(self, notice_id: str, *, outbox: str = DEFAULT) -> None:
        """Have a notice tried at once that is PARKED or waits out a pause, with its attempts counted anew. Durable when this returns.

        Args:
            notice_id: Which: the id of its execution.
            outbox: In which outbox.

        Raises:
            UnknownExecutionError: No execution has this id.
            InvalidValueError: There is no such notice in this outbox, or it is delivered.
            JournalUnavailableError: The journal keeps no notices, or was opened read-only.
            JournalError: Nothing was stored.
        """
        self._check_id(notice_id)
        name = text("outbox", outbox, self._limits.name_bytes)
        self._settle()
        state = self._writable_outbox().retry_notice(name, notice_id)
        if state is None:
            self._get(notice_id)
            raise InvalidValueError("notice_id", notice_id, f"one of a notice in outbox {name}")
        if state is NoticeState.DELIVERED:
            raise InvalidValueError("notice_id", notice_id, "one of a notice that is not delivered")
        self._member.written()

    @checked
    def outboxes(self) -> tuple[OutboxRecord, ...]:
        """Return the outboxes that are open, the oldest first, and how many notices wait in each.

        Raises:
            JournalError: It cannot be read.
        """
        return tuple(self._outbox().outboxes()) if self._keeps_notices() else ()

    @checked
    def remove_outbox(self, outbox: str) -> int:
        """Have no more notices in an outbox, and forget those that there are. Whoever delivers it stops. Durable when this returns.

        Args:
            outbox: Which.

        Returns:
            How many of its notices were not delivered.

        Raises:
            InvalidValueError: There is no such outbox.
            JournalUnavailableError: The journal keeps no notices, or was opened read-only.
            JournalError: Nothing was changed.
        """
        name = text("outbox", outbox, self._limits.name_bytes)
        undelivered = self._writable_outbox().remove_outbox(name)
        if undelivered is None:
            raise InvalidValueError("outbox", name, "one that is open")
        return undelivered

    def _begin_notifying(self, clock: Clock) -> None:
        """Be ready to deliver, in a new tracker and in a forked child, where the parent's deliverers do not exist."""
        for deliverer in getattr(self, "_deliverers", {}).values():
            deliverer.abandon()
        self._clock = clock
        self._tally = NoticeTally()
        self._deliverers = {}
        self._delivering = threading.Lock()

    def _close_deliverers(self, *, drain: bool) -> None:
        """Stop delivering."""
        with self._delivering:
            for deliverer in self._deliverers.values():
                deliverer.finish(drain=drain)

    def _keeps_notices(self) -> bool:
        return isinstance(self._journal, Outbox)

    def _outbox(self) -> Outbox:
        if not isinstance(self._journal, Outbox):
            raise JournalUnavailableError(f"{self._journal!r} keeps no notices; open a journal of runstate's own")
        return self._journal

    def _writable_outbox(self) -> Outbox:
        if self._member.is_reader:
            raise JournalUnavailableError(
                "opened read-only; open the journal without read_only to deliver or change notices"
            )
        return self._outbox()


def _count(name: str, value: int, most: int = 1_000) -> int:
    """Accept a number of things: 1 to *most*."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(name, value, "an int")
    if not 1 <= value <= most:
        raise InvalidValueError(name, value, f"between 1 and {most:,}")
    return value
