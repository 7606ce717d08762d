"""Subscriptions: replay what the journal holds from a position, then follow.

A subscription is a cursor over the journal, not a queue. It reads bounded pages in order of position and, at the end,
sleeps until something was written. So replay and follow are one path, a slow subscriber costs nobody memory and misses
nothing (it just reads later), and no event is shown before it is durable. If retention overtakes a subscriber,
it is told so.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Final, Self
from weakref import WeakSet

from ._async import Signal, library
from ._checks import checked, seconds
from ._errors import WaitTimeoutError
from ._records import Event, Selection
from ._wake import Listener, Wake
from .journal import Doorbell, Journal

PAGE: Final = 256
"""Events read at once."""
POLL: Final = 0.5
"""Seconds between looks for what other processes have written, by who is told of it as well."""
UNTOLD_POLL: Final = 0.05
"""The same by who is not."""


class News:
    """Tells subscriptions that the journal has grown. A subscription that nobody holds any more is forgotten.

    Args:
        journal: Asked to tell what other processes write, if it can and somebody listens here. Else subscriptions look
            by themselves every `POLL` seconds, as they do in any case.
    """

    def __init__(self, journal: Journal) -> None:
        self._doorbell = journal if isinstance(journal, Doorbell) else None
        self._is_listening = False
        self._lock = threading.Lock()
        self._listeners: WeakSet[Listener] = WeakSet()
        self.closed: bool = False
        self.patience: float = POLL if isinstance(journal, Doorbell) else UNTOLD_POLL
        """Seconds between looks of who waits for one execution that another process owns."""

    def add(self, listener: Listener) -> None:
        """Wake *listener* whenever something was written, from any thread, for as long as somebody holds it."""
        with self._lock:
            self._listeners.add(listener)
            is_first, self._is_listening = not self._is_listening, True
        if is_first and self._doorbell is not None and not self.closed:
            self._doorbell.listen(self.tell)

    def discard(self, listener: Listener) -> None:
        """Wake it no more."""
        with self._lock:
            self._listeners.discard(listener)

    def tell(self) -> None:
        """Something was written."""
        if self._listeners:
            with self._lock:
                listeners = tuple(self._listeners)
            for listener in listeners:
                listener.set()

    def close(self) -> None:
        """Nothing more will be written by this tracker: subscriptions end when they have read what is there."""
        self.closed = True
        self.tell()

    def after_fork(self) -> None:
        """Start afresh in a forked child."""
        self._lock = threading.Lock()
        self._is_listening = False
        self._listeners.clear()


class Subscription:
    """Events in order of position, for `for`, `async for` or `get`. Made by `tracker.subscribe`. One reader at a time."""

    def __init__(self, journal: Journal, news: News, after: int, selection: Selection) -> None:
        self._journal = journal
        self._news = news
        self._selection = selection
        self._page: deque[Event] = deque()
        self._read_up_to = after
        self._lock = threading.Lock()
        self._wake = Wake()
        self._loop_wake: Signal | None = None
        self._closed = False
        self.position: int = after
        """Position of the event handed out last; give it to `subscribe(after=…)` to resume."""
        news.add(self._wake)

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        event = self._next(None)
        if event is None:
            raise StopIteration
        return event

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        loop = library()
        self._loop_wake = news = loop.signal()
        self._news.add(news)
        try:
            while True:
                news.clear()
                ending = self._ending()
                if not self._page:
                    await loop.in_thread(self._read_page)
                if self._page:
                    return self._hand_out()
                if ending:
                    raise StopAsyncIteration
                await news.wait(POLL)
        finally:
            self._news.discard(news)

    @checked
    def get(self, timeout: float) -> Event:
        """Return the next event.

        Args:
            timeout: Seconds to wait for it.

        Raises:
            WaitTimeoutError: There was none in time, or the tracker has closed and all is read.
        """
        timeout = seconds("timeout", timeout)
        event = self._next(timeout)
        if event is None:
            raise WaitTimeoutError("no event came", timeout)
        return event

    def close(self) -> None:
        """End the subscription: whoever iterates gets what was read already, and then the end."""
        self._closed = True
        self._news.discard(self._wake)
        self._wake.set()
        if self._loop_wake is not None:
            self._loop_wake.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _ending(self) -> bool:
        """Whether nothing comes after what can be read now; asked before reading, so that nothing falls between."""
        return self._closed or self._news.closed

    def _next(self, timeout: float | None) -> Event | None:
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            self._wake.clear()
            ending = self._ending()
            if not self._page:
                self._read_page()
            if self._page:
                return self._hand_out()
            left = POLL if until is None else until - time.monotonic()
            if ending or left <= 0:
                return None
            self._wake.wait(min(POLL, left))

    def _read_page(self) -> None:
        if self._closed:
            return
        after = self._read_up_to
        page = self._journal.read(after, PAGE, self._selection)
        with self._lock:
            if self._read_up_to == after:  # else a read whose reader was cancelled has brought the same page
                self._read_up_to = page.up_to
                self._page.extend(page.events)

    def _hand_out(self) -> Event:
        event = self._page.popleft()
        self.position = event.position
        return event
