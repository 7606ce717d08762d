"""Calls what legacy code registered: outside of all locks, sync or async, on the event loop that it was registered on.

A bound method is held weakly, so an object that is gone hears nothing more and is not kept alive; everything else is held
until it is taken back. An error of a callback stops no other callback. It is logged with its traceback, told to the event loop's
exception handler, and raised from a `sweep()` that is called by hand.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, Final, Generic, TypeVar
from weakref import ReferenceType, WeakMethod, ref

from ._fork import ForkSafeLock
from ._refusals import logger

Callback = Callable[..., object]
T = TypeVar("T")


class Deliveries:
    """What is on its way to event loops, so that a caller can wait for it."""

    def __init__(self) -> None:
        self._lock = ForkSafeLock()
        self._futures: set[Future[Any]] = set()

    def add(self, future: Future[Any]) -> None:
        """Note a delivery."""
        with self._lock:
            self._futures.add(future)
        future.add_done_callback(self._forget)

    def forget_all(self) -> None:
        """Forget everything, in a forked child: its event loops are the parent's."""
        with self._lock:
            self._futures.clear()

    async def drain(self) -> None:
        """Wait until everything that is on its way has arrived, and what it sets off as well."""
        while futures := self._pending():
            await asyncio.wait([asyncio.wrap_future(future) for future in futures])

    def _pending(self) -> list[Future[Any]]:
        with self._lock:
            return list(self._futures)

    def _forget(self, future: Future[Any]) -> None:
        with self._lock:
            self._futures.discard(future)


deliveries: Final = Deliveries()


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread, if any."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class _Entry:
    def __init__(self, callback: Callback) -> None:
        self.loop = running_loop()
        self.strong: Callback | None = None
        self.weak: WeakMethod[Any] | None = None
        if inspect.ismethod(callback):
            self.weak = WeakMethod(callback)
        else:
            self.strong = callback

    def get(self) -> Callback | None:
        return self.strong if self.weak is None else self.weak()


class Callbacks:
    """One list of callbacks, such as those for deaths. The same callback is called once, however often it was registered.

    Args:
        topic: What they are called for; for the log.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._lock = ForkSafeLock()
        self._entries: list[_Entry] = []

    def add(self, callback: Callback) -> Callable[[], None]:
        """Register a callback; return a function that takes it back.

        Raises:
            TypeError: It cannot be called.
        """
        if not callable(callback):
            raise TypeError(f"a callback for {self._topic} must be callable, not {type(callback).__qualname__}")
        with self._lock:
            if all(entry.get() != callback for entry in self._entries):
                self._entries.append(_Entry(callback))

        def take_back() -> None:
            self.discard(callback)

        return take_back

    def discard(self, callback: Callback) -> bool:
        """Take a callback back; return whether it was there."""
        with self._lock:
            kept = [entry for entry in self._entries if entry.get() not in {None, callback}]
            found = any(entry.get() == callback for entry in self._entries)
            self._entries[:] = kept
            return found

    def clear(self) -> None:
        """Take all of them back."""
        with self._lock:
            self._entries.clear()

    def all(self) -> list[Callback]:
        """What is registered now, in order."""
        return [callback for _, callback in self._present()]

    def deliver(self, *args: object) -> list[Exception]:
        """Call all of them; return the errors of those that were called here and now, without a loop of their own."""
        errors: list[Exception] = []
        for entry, callback in self._present():
            loop = entry.loop if entry.loop is not None and entry.loop.is_running() else running_loop()
            if loop is not None:
                deliveries.add(asyncio.run_coroutine_threadsafe(self._call_in_loop(callback, args), loop))
                continue
            try:
                outcome = callback(*args)
                if inspect.isawaitable(outcome):
                    asyncio.run(_awaited(outcome))
            except Exception as error:  # noqa: BLE001 - foreign code may raise anything; it is passed on
                self._log(callback, error)
                errors.append(error)
        return errors

    async def _call_in_loop(self, callback: Callback, args: tuple[object, ...]) -> None:
        try:
            outcome = callback(*args)
            if inspect.isawaitable(outcome):
                await outcome
        except Exception as error:  # noqa: BLE001 - foreign code may raise anything; it is passed on
            self._log(callback, error)
            told = {"message": f"a callback for {self._topic} failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(told)

    def _log(self, callback: Callback, error: Exception) -> None:
        logger.error("the callback %r for %s failed", callback, self._topic, exc_info=error)

    def _present(self) -> list[tuple[_Entry, Callback]]:
        with self._lock:
            found = [(entry, entry.get()) for entry in self._entries]
            self._entries[:] = [entry for entry, callback in found if callback is not None]
        return [(entry, callback) for entry, callback in found if callback is not None]


class Listeners(Generic[T]):
    """The trackers of one facade that are still in use, held weakly."""

    def __init__(self) -> None:
        self._lock = ForkSafeLock()
        self._present: list[ReferenceType[T]] = []

    def add(self, tracker: T) -> None:
        """Note a tracker."""
        with self._lock:
            self._present = [one for one in self._present if one() is not None] + [ref(tracker)]

    def all(self) -> list[T]:
        """Those that are still there, in the order of their making."""
        with self._lock:
            return [tracker for one in self._present if (tracker := one()) is not None]


async def _awaited(outcome: Awaitable[object]) -> object:
    return await outcome
