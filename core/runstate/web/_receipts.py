"""Notices that are settled by what clients were handed: the outbox and the streams, joined.

A stream tells its client of an end, and an outbox remembers until somebody was told. Here the notice of an end is DELIVERED when a client
that follows its conversation was handed the final event; until then it is PENDING, and whichever process its user comes back to claims it
then. So an end that nobody has heard of is found in `runstate notices`, and never only missing.

What counts as handed:

- the server has taken the final event for sending to a client of the execution's own user, who follows the conversation or the execution;
- or such a client comes back to the conversation and says by its place that it has read beyond that end, which it was then handed
  elsewhere.

An operator counts as the user only where everybody is one, as there is no `authorize` that knows users. A client that follows everything, a
dashboard for example, is nobody whom the answer is for, and one that asks for the present only is not told of the past; neither settles
anything. A notice that waits in vain for its client is let go of and taken again: that is no failed attempt, and never parks it.

A client often leaves as soon as it has its answer, before the notice of it is claimed. So what was handed is remembered for a while, and its
conversation counts as reachable until then.

The function that the delivery calls waits in a loop of its own, for what the app's loop finds out. Both sides share a lock and futures.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future
from typing import Final, NamedTuple

from runstate import Delivery, ExecutionTracker, Notice, UnknownExecutionError

from ._presence import Handed, Presence
from ._reading import end_position

_WITHIN: Final = 10.0
"""Seconds that a claimed notice waits for its client; another process may reach it better."""
_AT_ONCE: Final = 256
"""Notices that wait at once."""
_KEPT: Final = 30.0
"""Seconds for which it is remembered that an end was handed; its notice is claimed a moment after it, if the journal can be written."""


class _Kept(NamedTuple):
    """An end that was handed."""

    thread_id: str
    until: float


class _Wait(NamedTuple):
    """A notice that waits for a client."""

    thread_id: str
    future: Future[bool]
    """Whether one was handed the end; False as well when it is time to look anew."""


class Receipts:
    """Settles the notices of one outbox by what clients were handed.

    Args:
        tracker: Whose outbox.
        presence: Tells which conversations have clients, and what they were handed.
        outbox: The outbox's name.
        operators: Whether an operator is whom answers are for.

    Raises:
        InvalidValueError: This tracker delivers the outbox already.
        JournalUnavailableError: The journal keeps no notices, or was opened read-only.
        JournalError: The outbox cannot be opened.
    """

    def __init__(self, tracker: ExecutionTracker, presence: Presence, outbox: str, *, operators: bool) -> None:
        self._tracker = tracker
        self._presence = presence
        self._outbox = outbox
        self._operators = operators
        self._lock = threading.Lock()
        self._handed: dict[str, _Kept] = {}
        """By execution, the oldest first."""
        self._waiting: dict[str, _Wait] = {}
        """By execution."""
        self._closed = False
        self._delivery = self._begin()
        presence.listen(self._note)
        presence.welcome(self._wake)

    def reopen(self) -> None:
        """Settle again after `close`."""
        if self._delivery.is_closed:
            self._closed = False
            self._delivery = self._begin()

    def close(self) -> None:
        """Leave what waits for clients to other processes, at once. Waits for the journal."""
        with self._lock:
            self._closed = True
            waiting, self._waiting = self._waiting, {}
        for wait in waiting.values():
            _answer(wait.future, was_handed=False)
        self._delivery.close()

    def _begin(self) -> Delivery:
        return self._tracker.deliver(
            self._until_handed,
            outbox=self._outbox,
            threads=self._reachable,
            concurrency=_AT_ONCE,
        )

    def _reachable(self) -> frozenset[str]:
        now = time.monotonic()
        with self._lock:
            while self._handed and self._handed[first := next(iter(self._handed))].until < now:
                del self._handed[first]
            handed = [kept.thread_id for kept in self._handed.values()]
        return self._presence.threads().union(handed)

    async def _until_handed(self, notice: Notice) -> None:
        """Return when its user was handed the end that a notice tells of; give it back if that takes long."""
        was_handed = False
        try:
            async with asyncio.timeout(_WITHIN):
                while not was_handed:
                    was_handed = await self._handed_or_time_to_look(notice)
                    if self._closed:
                        break
        except TimeoutError:
            pass
        if was_handed:
            with self._lock:
                self._handed.pop(notice.notice_id, None)
        task = asyncio.current_task()
        if not was_handed and task is not None:
            task.cancel()  # interrupted, to the delivery: free for others at once
            await asyncio.sleep(0)

    async def _handed_or_time_to_look(self, notice: Notice) -> bool:
        future: Future[bool] = Future()
        with self._lock:
            if notice.notice_id in self._handed:
                return True
            waits = not self._closed
            if waits:
                self._waiting[notice.notice_id] = _Wait(notice.record.thread_id, future)
        try:
            return self._was_read(notice) or (waits and await asyncio.wrap_future(future))
        finally:
            with self._lock:
                self._waiting.pop(notice.notice_id, None)

    def _was_read(self, notice: Notice) -> bool:
        """Whether a client of the conversation says that it has read beyond this end. The loop is ours, and may be blocked."""
        record = notice.record
        place = self._presence.read_to(record.thread_id, record.user_id)
        if self._operators:
            place = max(place, self._presence.read_to(record.thread_id, None))
        if not place:
            return False
        try:
            return end_position(self._tracker, notice.notice_id) <= place
        except UnknownExecutionError:
            return True  # retention has removed it, and its notice

    def _note(self, handed: Handed) -> None:
        is_the_user = handed.user_id == handed.event.user_id or (handed.user_id is None and self._operators)
        if not (handed.to_conversation and is_the_user):
            return
        execution_id = handed.event.entry.execution_id
        with self._lock:
            wait = self._waiting.pop(execution_id, None)
            self._handed[execution_id] = _Kept(handed.event.thread_id, time.monotonic() + _KEPT)
        if wait is not None:
            _answer(wait.future, was_handed=True)

    def _wake(self, thread_id: str, place: int) -> None:
        """Have what waits claimed for the client that has come; and what was claimed for another one look how far this one has read."""
        if place:
            with self._lock:
                these = [execution_id for execution_id, wait in self._waiting.items() if wait.thread_id == thread_id]
                waits = [self._waiting.pop(execution_id) for execution_id in these]
            for wait in waits:
                _answer(wait.future, was_handed=False)
        self._delivery.wake()


def _answer(future: Future[bool], *, was_handed: bool) -> None:
    """Tell who waits, unless the wait is over."""
    if future.set_running_or_notify_cancel():
        future.set_result(was_handed)
