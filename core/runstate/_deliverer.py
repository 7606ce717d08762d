"""Delivering notices: one native thread for each outbox that this process delivers.

The thread sleeps until the journal has grown, somebody wakes it, or the shortest of its own pauses is over; and it looks every `POLL` seconds in any
case, as subscriptions do. It then says what came of the calls that have ended, all in one transaction, claims as many notices as may be under way
at once and no more, and begins a call for each (`_calling` says where). So a process that dies has taken few notices with it, and those are
free as soon as its peers know.

| the function | the notice |
|---|---|
| returns | DELIVERED |
| raises, or takes longer than its time limit | tried again after a pause that doubles, from 0.25 s to 60 s (`_pauses`) |
| the same at the last attempt | PARKED, and an error in the log |
| is interrupted as its loop ends or the delivery is closed | free at once; the attempt does not count |
| never returns, because its process dies | free at once; the attempt counts, so that a notice that kills its deliverers is PARKED in the end |

A function that has returned may be called again for the same notice, here or elsewhere, if its process dies before that is stored.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple, Protocol

from ._calling import Place, StoppedError, place_for, too_late
from ._checks import error_text
from ._errors import InvalidValueError, describe
from ._events import POLL, News
from ._notices import Notice, NoticeTally, Settlement, Verdict
from ._pauses import pause_after
from ._troubles import traceback_of
from ._wake import Wake
from .journal import Outbox

ATTEMPTS: Final = 12
"""How often a notice is tried until it is PARKED; with their pauses for some four minutes."""
TIMEOUT: Final = 30.0
"""Seconds that one call may take."""
CONCURRENCY: Final = 16
"""Calls under way at once."""
CLOSE_WITHIN: Final = 5.0
"""Seconds that closing waits for calls under way."""
GRACE: Final = 1.0
"""Seconds after its time limit that a coroutine gets to answer its cancellation; its loop may be blocked."""
AGAIN: Final = 0.25
"""Seconds until what has failed is tried again."""
QUIET: Final = 0.01
"""Seconds between two looks that found nothing, which a busy peer would have with each of its commits."""
SHARE: Final = 10
"""Looking takes at most the tenth part of the time, however many notices wait that cannot be delivered here."""

logger: Final = logging.getLogger("runstate")


class Sender(Protocol):
    """What a delivery needs of its tracker. Called in the thread of the delivery."""

    def join(self) -> str:
        """Be known as a worker; say under which name.

        Raises:
            JournalError: It could not be written.
        """
        ...

    def now_ns(self) -> int:
        """What time it is, in nanoseconds since the Unix epoch."""
        ...

    def released(self) -> None:
        """Something was given back that others may deliver."""
        ...


class Settings(NamedTuple):
    """How a delivery goes about it."""

    threads: Callable[[], Collection[str]] | None
    attempts: int
    timeout: float
    concurrency: int
    error_bytes: int
    """Bytes of an error text."""


class _Call:
    """One notice under way."""

    __slots__ = ("begun", "incarnation", "notice")

    def __init__(self, notice: Notice, incarnation: str) -> None:
        self.notice = notice
        self.incarnation = incarnation
        self.begun = time.monotonic()


class Deliverer:
    """Delivers the notices of one outbox to a function, until it is closed.

    Args:
        journal: Where the notices are.
        news: Tells when the journal has grown.
        sender: The tracker.
        tally: Where to count.
        outbox: Which.
        function: What to call. If it is a coroutine function, it is called in the loop in which this is made.
        settings: How to go about it.
    """

    def __init__(
        self,
        journal: Outbox,
        news: News,
        sender: Sender,
        tally: NoticeTally,
        outbox: str,
        function: Callable[[Notice], object],
        settings: Settings,
    ) -> None:
        self._journal = journal
        self._news = news
        self._sender = sender
        self._tally = tally
        self._function = function
        self._settings = settings
        self._place: Place = place_for(function)
        self._limit = settings.timeout + (GRACE if self._place.cancels else 0.0)
        self._wake = Wake()
        self._ended = Wake()
        self._under_way: dict[str, _Call] = {}
        self._lost: set[_Call] = set()
        """Calls that took too long and have not returned. Each still keeps a thread."""
        self._finished: SimpleQueue[tuple[_Call, BaseException | None]] = SimpleQueue()
        self._settled: dict[str, tuple[str, Settlement]] = {}
        """What is still to be said to the journal, and under which name the notice was claimed."""
        self._delays: dict[str, float] = {}
        self._pauses: list[float] = []
        """When the pauses are over that were given here, by the monotonic clock; a heap."""
        self._claims_from = 0.0
        self._is_idle = False
        """Whether the newest turn has looked and found nothing."""
        self._is_stuck = False
        """Whether the log says that no call returns."""
        self._drains = False
        self._closes_at: float | None = None
        """Monotonic time until which it waits for what is under way, when it is closing."""
        self._trouble: str | None = None
        self.outbox: str = outbox
        self._thread = threading.Thread(target=self._run, name="runstate-delivery", daemon=True)

    def __str__(self) -> str:
        state = "" if self._closes_at is None else ", closed"
        return f"delivery of outbox {self.outbox!r} to {describe(self._function)}{state}"

    @property
    def is_closed(self) -> bool:
        """Whether it claims nothing any more."""
        return self._closes_at is not None

    def begin(self) -> None:
        """Start the thread."""
        self._news.add(self._wake)
        self._thread.start()

    def wake(self) -> None:
        """Look at once."""
        self._claims_from = 0.0
        self._wake.set()

    def finish(self, *, drain: bool) -> None:
        """Stop, and wait until everything is said to the journal.

        Args:
            drain: Whether to deliver first what can be delivered at once, within the same time.
        """
        from_inside = self._place.is_here() or threading.current_thread() is self._thread
        if self._closes_at is None:
            self._drains = drain and not from_inside
            self._closes_at = time.monotonic() + (0.0 if from_inside else CLOSE_WITHIN)
        self.wake()
        if threading.current_thread() is not self._thread:
            self._ended.wait()
        if not from_inside:
            self._thread.join()

    def abandon(self) -> None:
        """Be closed, in a forked child, where the thread does not exist."""
        self._closes_at = 0.0
        self._ended = Wake()
        self._ended.set()
        self._thread = threading.current_thread()

    def turn(self) -> float:
        """Say what came of the calls that have ended, claim, and begin calls.

        Returns:
            Seconds until there is something to do by itself.

        Raises:
            JournalError: Something could not be read or written. It is done with the next turn.
        """
        self._is_idle = False
        self._collect()
        self._settle()
        until = [time.monotonic() + POLL]
        if self._closes_at is None or self._drains:
            until += self._claim()
        if self._closes_at is not None:
            until.append(self._closes_at)
        until += self._pauses[:1]
        until += [call.begun + self._limit for call in self._under_way.values()]
        now = time.monotonic()
        while self._pauses and self._pauses[0] <= now:
            heapq.heappop(self._pauses)
        return max(0.0, min(until) - now)

    def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                pause = self.turn()
                self._trouble = None
            except Exception as error:  # noqa: BLE001 - said in the log, and tried again
                self._complain(error)
                pause = AGAIN
            if self._closes_at is not None:
                busy = self._under_way or self._settled or not self._finished.empty()
                if not busy and (self._is_idle or not self._drains):
                    break
                if time.monotonic() >= self._closes_at:
                    self._give_back()
                    break
            self._wake.wait(pause)
        self._news.discard(self._wake)
        self._ended.set()
        self._place.close()

    def _collect(self) -> None:
        """Find out what came of calls: those that have ended, and those that have had their time."""
        while True:
            try:
                call, error = self._finished.get_nowait()
            except Empty:
                break
            notice_id = call.notice.notice_id
            if self._under_way.get(notice_id) is not call:
                self._lost.discard(call)
                logger.warning("runstate: the %s returned at last, too late for notice %s", self, notice_id)
                continue
            del self._under_way[notice_id]
            if error is None:
                self._delays[notice_id] = (self._sender.now_ns() - call.notice.record.updated_at_ns) / 1e9
                self._say(call, Verdict.DELIVERED)
            elif isinstance(error, StoppedError):
                self._say(call, Verdict.RELEASED)
                self._claims_from = time.monotonic() + AGAIN
            else:
                self._fail(call, error)
        now = time.monotonic()
        for call in [one for one in self._under_way.values() if now - one.begun >= self._limit]:
            del self._under_way[call.notice.notice_id]
            self._lost.add(call)
            self._fail(call, too_late(self._settings.timeout))

    def _fail(self, call: _Call, error: BaseException) -> None:
        notice, said = call.notice, error_text("error", error, self._settings.error_bytes)
        if notice.attempt >= self._settings.attempts:
            self._park(call, said, Verdict.PARKED, error)
            return
        pause = pause_after(notice.attempt)
        self._say(call, Verdict.LATER, said, pause)
        logger.warning(
            "runstate: attempt %d at notice %s of outbox %s failed, again in %.3g s: %s",
            notice.attempt,
            notice.notice_id,
            self.outbox,
            pause,
            said,
        )

    def _park(self, call: _Call, said: str, verdict: Verdict, error: BaseException | None = None) -> None:
        self._say(call, verdict, said)
        logger.error(
            "runstate: notice %s of outbox %s is given up after %d attempts, its user was not told: %s. `tracker.retry_notice` or "
            "`runstate notices --retry %s` has it tried again",
            call.notice.notice_id,
            self.outbox,
            self._settings.attempts,
            said,
            call.notice.notice_id,
            exc_info=error,
        )

    def _say(self, call: _Call, verdict: Verdict, error: str | None = None, pause: float = 0.0) -> None:
        notice_id = call.notice.notice_id
        self._settled[notice_id] = call.incarnation, Settlement(notice_id, verdict, error, pause)

    def _settle(self) -> None:
        """Say to the journal what is still to be said."""
        for incarnation in {incarnation for incarnation, _ in self._settled.values()}:
            said = [settlement for name, settlement in self._settled.values() if name == incarnation]
            refused = frozenset(self._journal.settle(self.outbox, incarnation, said))
            for one in said:
                del self._settled[one.notice_id]
                delay = self._delays.pop(one.notice_id, 0.0)
                if one.notice_id in refused:
                    logger.warning(
                        "runstate: notice %s was delivered, but it was no longer %s who had claimed it; it may be delivered again",
                        one.notice_id,
                        incarnation,
                    )
                elif one.verdict is Verdict.DELIVERED:
                    self._tally.deliver(delay)
                elif one.verdict is not Verdict.RELEASED:
                    self._tally.fail(parked=one.verdict is not Verdict.LATER)
                if one.verdict is Verdict.LATER:  # the pause counts from when it was stored
                    heapq.heappush(self._pauses, time.monotonic() + one.pause + QUIET)
            if any(one.verdict is Verdict.RELEASED for one in said):
                self._sender.released()

    def _claim(self) -> list[float]:
        """Claim what can be under way besides, and begin its calls; say when to look again, if that is known."""
        free = self._settings.concurrency - len(self._under_way) - len(self._lost)
        began = time.monotonic()
        if free <= 0:
            if len(self._lost) == self._settings.concurrency and not self._is_stuck:
                logger.error(
                    "runstate: all %d calls of the %s take too long, so nothing is delivered by it",
                    len(self._lost),
                    self,
                )
            self._is_stuck = len(self._lost) == self._settings.concurrency
            return []
        if began < self._claims_from:
            return [self._claims_from]
        threads = None if self._settings.threads is None else frozenset(self._settings.threads())
        held = self._under_way.keys() | self._settled.keys()
        notices: Sequence[Notice] = ()
        if threads is None or threads:
            incarnation = self._sender.join()
            try:
                notices = self._journal.claim(self.outbox, incarnation, free, threads=threads, held=held)
            except InvalidValueError as error:
                if error.name != "outbox":
                    raise
                self._stop("it was removed")
                return []
            for notice in notices:
                self._call(_Call(notice, incarnation))
        self._is_idle = not notices
        now = time.monotonic()
        self._claims_from = now + max(QUIET, SHARE * (now - began)) if self._is_idle else 0.0
        return []

    def _call(self, call: _Call) -> None:
        notice, function = call.notice, self._function
        if notice.attempt > self._settings.attempts:
            self._park(call, "whoever was delivering it has died, as often as it may be tried", Verdict.EXHAUSTED)
            return
        self._under_way[notice.notice_id] = call

        def done(error: BaseException | None) -> None:
            self._finished.put((call, error))
            self._wake.set()

        try:
            self._place.begin(lambda: function(notice), self._settings.timeout, done)
        except StoppedError as error:
            self._stop(str(error))
            done(error)

    def _stop(self, reason: str) -> None:
        """Close, because nothing can be delivered here any more."""
        self._drains = False
        if self._closes_at is None:
            logger.error("runstate: nothing is delivered here from outbox %s any more: %s", self.outbox, reason)
            self._closes_at = time.monotonic() + CLOSE_WITHIN

    def _give_back(self) -> None:
        """Let go of what is under way after all."""
        for call in list(self._under_way.values()):
            self._say(call, Verdict.RELEASED)
        self._under_way.clear()
        try:
            self._settle()
        except Exception as error:  # noqa: BLE001 - said in the log; who has left has nothing claimed
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        if str(error) != self._trouble:
            self._trouble = str(error)
            said = "runstate: outbox %s cannot be delivered from now, trying again: %s"
            logger.warning(said, self.outbox, error, exc_info=traceback_of(error))
