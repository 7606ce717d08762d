"""The async libraries that runstate's coroutines run under, asyncio and trio, behind one face. anyio runs on either.

What our coroutines need of a library is little: a signal that any thread may give and one task waits for, a call that blocks moved
into a thread, and a *body*, a span of a task that can be interrupted from outside. What all of it is about is cancellation:

- an interruption of ours is told from every other cancellation by the library itself (`asyncio.timeout`, trio's cancel scopes), and
  never swallows another one;
- what must be waited for to the end is, through cancellations, and those are delivered afterwards.

A library is asked for by who runs in it and imported by who uses it: importing runstate imports neither.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")
Kind = type[BaseException] | None


class Signal(Protocol):
    """What one task waits for and any thread may give, also when nobody waits any more."""

    def set(self) -> None:
        """Give it. Neither blocks nor raises."""
        ...

    def clear(self) -> None:
        """Take it back. For the task that waits."""
        ...

    async def wait(self, within: float | None = None) -> bool:
        """Wait until it is given, for *within* seconds at most; say whether it was. It stays given."""
        ...

    async def outlast(self) -> BaseException | None:
        """Wait until it is given, whatever happens to this task; return the cancellation that is due, for the caller to raise."""
        ...


class Body(Protocol):
    """A span of one task that can be interrupted."""

    async def enter(self) -> None:
        """Begin, in the task that calls."""
        ...

    async def leave(
        self, kind: Kind, error: BaseException | None, traceback: TracebackType | None
    ) -> BaseException | None:
        """End; return what leaves the span: an interruption of ours as `TimeoutError`, everything else as it is."""
        ...

    def interrupt(self) -> None:
        """Cancel what the task does inside the span. From any thread; neither blocks nor raises."""
        ...

    def is_over(self) -> bool:
        """Whether the task has come to its end."""
        ...


class AsyncLibrary(Protocol):
    """One library, in the loop that the caller runs in."""

    name: str
    """What it is imported as."""

    def signal(self) -> Signal:
        """Make a signal."""
        ...

    def body(self) -> Body:
        """Make a body, not yet entered."""
        ...

    async def in_thread(self, function: Callable[..., T], *args: object) -> T:
        """Call a function that blocks in a thread. Who is cancelled meanwhile does not wait for it; it goes on."""
        ...


def running_library() -> AsyncLibrary | None:
    """The library whose task the caller is; None outside of those known here."""
    asyncio, lowlevel = sys.modules.get("asyncio"), sys.modules.get("trio.lowlevel")
    loop: Any = getattr(asyncio, "_get_running_loop", _nothing)()
    # trio may be a guest inside a loop of asyncio, and asyncio a guest of trio: the innermost one has a task
    if getattr(lowlevel, "in_trio_task", _nothing)() and (
        asyncio is None or loop is None or not asyncio.current_task(loop)
    ):
        return _TRIO
    return None if loop is None else _ASYNCIO


def library() -> AsyncLibrary:
    """The library whose task the caller is.

    Raises:
        RuntimeError: It is none of those known here.
    """
    found = running_library()
    if found is None:
        raise RuntimeError("no running event loop; await this in a task of asyncio or trio")
    return found


async def finish_in_thread(function: Callable[[], None]) -> None:
    """Call a function that blocks in a thread and wait for its end, whatever happens to this task.

    A cancellation meanwhile is raised afterwards. What *function* raises is raised, or is the cause of the cancellation.
    """
    ended = library().signal()
    failures: list[BaseException] = []

    def call() -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - raised by who waits
            failures.append(error)
        finally:
            ended.set()

    threading.Thread(target=call, name="runstate-call", daemon=True).start()
    cancelled = await ended.outlast()
    failure = failures[0] if failures else None
    if cancelled is not None:
        raise cancelled from failure
    if failure is not None:
        raise failure


def _nothing() -> None:
    """Stands for a question to a library that is not imported, or not yet as a whole."""


class _AsyncioSignal:
    __slots__ = ("__weakref__", "_event", "_loop")

    def __init__(self) -> None:
        import asyncio

        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def set(self) -> None:
        with suppress(RuntimeError):  # the loop has been closed, and nobody waits any more
            self._loop.call_soon_threadsafe(self._event.set)

    def clear(self) -> None:
        self._event.clear()

    async def wait(self, within: float | None = None) -> bool:
        import asyncio

        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._event.wait()
        return self._event.is_set()

    async def outlast(self) -> BaseException | None:
        import asyncio

        cancelled: BaseException | None = None
        while not self._event.is_set():
            try:
                await self._event.wait()
            except asyncio.CancelledError as error:
                cancelled = error
        return cancelled


class _AsyncioBody:
    __slots__ = ("_loop", "_task", "_timeout")

    def __init__(self) -> None:
        self._timeout: asyncio.Timeout | None = None

    async def enter(self) -> None:
        import asyncio

        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        timeout = asyncio.timeout(None)
        await timeout.__aenter__()
        self._timeout = timeout

    async def leave(
        self, kind: Kind, error: BaseException | None, traceback: TracebackType | None
    ) -> BaseException | None:
        timeout, self._timeout = self._timeout, None
        if timeout is not None:
            try:
                await timeout.__aexit__(kind, error, traceback)
            except TimeoutError as interrupted:
                return interrupted
        return error

    def interrupt(self) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._expire)

    def is_over(self) -> bool:
        return self._task is None or self._task.done()

    def _expire(self) -> None:
        if self._timeout is not None:
            self._timeout.reschedule(self._loop.time())


class _Asyncio:
    name = "asyncio"

    def signal(self) -> Signal:
        return _AsyncioSignal()

    def body(self) -> Body:
        return _AsyncioBody()

    async def in_thread(self, function: Callable[..., T], *args: object) -> T:
        import asyncio

        return await asyncio.to_thread(function, *args)


class _TrioSignal:
    __slots__ = ("__weakref__", "_event", "_token")

    def __init__(self) -> None:
        import trio

        self._token = trio.lowlevel.current_trio_token()
        self._event = trio.Event()

    def set(self) -> None:
        with suppress(RuntimeError):  # the run is over, and nobody waits any more
            self._token.run_sync_soon(self._set)

    def clear(self) -> None:
        import trio

        if self._event.is_set():
            self._event = trio.Event()

    async def wait(self, within: float | None = None) -> bool:
        import trio

        with trio.move_on_after(float("inf") if within is None else within):
            await self._event.wait()
        return self._event.is_set()

    async def outlast(self) -> BaseException | None:
        import trio

        with trio.CancelScope(shield=True):
            await self._event.wait()
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
        except trio.Cancelled as cancelled:
            return cancelled
        return None

    def _set(self) -> None:
        self._event.set()


class _TrioBody:
    __slots__ = ("_scope", "_task", "_token")

    def __init__(self) -> None:
        import trio

        self._scope = trio.CancelScope()

    async def enter(self) -> None:
        import trio

        self._token = trio.lowlevel.current_trio_token()
        self._task = trio.lowlevel.current_task()
        self._scope.__enter__()

    async def leave(
        self, kind: Kind, error: BaseException | None, traceback: TracebackType | None
    ) -> BaseException | None:
        try:
            is_ours = self._scope.__exit__(kind, error, traceback)
        except BaseException as rest:  # noqa: BLE001 - what is left of a group without our cancellation; it is raised again
            return rest
        if not is_ours or error is None:
            return error
        interrupted = TimeoutError("interrupted")
        interrupted.__cause__ = error
        return interrupted

    def interrupt(self) -> None:
        with suppress(RuntimeError):  # the run is over
            self._token.run_sync_soon(self._scope.cancel)

    def is_over(self) -> bool:
        return getattr(self._task.coro, "cr_frame", None) is None


class _Trio:
    name = "trio"

    def signal(self) -> Signal:
        return _TrioSignal()

    def body(self) -> Body:
        return _TrioBody()

    async def in_thread(self, function: Callable[..., T], *args: object) -> T:
        import trio

        return await trio.to_thread.run_sync(function, *args, abandon_on_cancel=True)


_ASYNCIO: Final = _Asyncio()
_TRIO: Final = _Trio()
