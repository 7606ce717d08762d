"""Where a function of the user's is called by a thread of ours, so that a slow one costs nobody else anything.

A plain function runs in threads of its own. A coroutine function runs in the loop that it was given in, asyncio's or trio's, because what it
needs lives there: connections, locks, tasks. One that was given outside of any loop gets a loop of its own, in a thread.

A coroutine that takes too long is cancelled. A plain function cannot be: whoever called it stops waiting for it, and it keeps its thread until
it returns.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from ._async import running_library
from ._errors import StateTypeError, describe
from ._wake import Wake

if TYPE_CHECKING:
    import asyncio

Call: TypeAlias = Callable[[], Any]
Done: TypeAlias = Callable[[BaseException | None], None]

LEAVE_WITHIN: Final = 5.0
"""Seconds that a loop of ours gets to end what runs in it, when it is closed."""


class StoppedError(Exception):
    """The place where a function was to be called is no more, or is about to end."""


class Place(Protocol):
    """Where calls run."""

    cancels: bool
    """Whether it can interrupt a call."""

    def begin(self, call: Call, within: float, done: Done) -> None:
        """Begin a call. From any thread; neither waits for it nor raises what it raises.

        Args:
            call: What to call.
            within: Seconds that it may take, where it can be cancelled.
            done: Told what was raised, or None; `StoppedError` if it was interrupted because its place ends. From any thread.

        Raises:
            StoppedError: Nothing can be called here any more.
        """
        ...

    def is_here(self) -> bool:
        """Whether the caller runs in this place, so that it must not wait for a call."""
        ...

    def close(self) -> None:
        """Interrupt what can be interrupted, and call nothing any more."""
        ...


def place_for(function: Callable[..., object]) -> Place:
    """Choose the place for a function, in the loop that the caller runs in if the function needs one."""
    if not is_async(function):
        return _Threads()
    library = running_library()
    if library is None:
        return _OwnLoop()
    if library.name == "trio":
        return _TrioRun()
    import asyncio

    return _Loop(asyncio.get_running_loop())


def is_async(function: Callable[..., object]) -> bool:
    """Whether a function, a partial one, a method or an object's `__call__` is a coroutine function."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def too_late(within: float) -> TimeoutError:
    """What is said of a call that took too long."""
    return TimeoutError(f"it took longer than {within:g} s")


class _Threads:
    """Threads, as many as there are calls at once."""

    cancels = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: SimpleQueue[tuple[Call, Done] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy: set[threading.Thread] = set()
        self._idle = 0
        self._closed = False

    def begin(self, call: Call, within: float, done: Done) -> None:  # noqa: ARG002 - a plain function cannot be cancelled
        with self._lock:
            if self._closed:
                raise StoppedError("the delivery is closed")
            if self._idle:
                self._idle -= 1
            else:
                thread = threading.Thread(target=self._run, name="runstate-deliverer", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # the interpreter is about to end
                    raise StoppedError(str(error)) from error
                self._threads.append(thread)
            self._calls.put((call, done))

    def is_here(self) -> bool:
        return threading.current_thread() in self._threads

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for _ in self._threads:
                self._calls.put(None)
            leaving = [thread for thread in self._threads if thread not in self._busy]
        for thread in leaving:
            if thread is not threading.current_thread():
                thread.join(LEAVE_WITHIN)

    def _run(self) -> None:
        this = threading.current_thread()
        while (taken := self._calls.get()) is not None:
            call, done = taken
            self._busy.add(this)
            failure: BaseException | None = None
            try:
                _refuse_work(call())
            except BaseException as error:  # noqa: BLE001 - whoever began the call is told
                failure = error
            with self._lock:
                self._busy.discard(this)
                self._idle += 1
            done(failure)


def _refuse_work(answer: object) -> None:
    """Refuse what looks done and is not: a plain function that returns something to be awaited."""
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise StateTypeError(
            f"the function returned {describe(answer)}, which nobody awaits; give a coroutine function (async def)"
        )


class _Loop:
    """A loop of asyncio's that somebody else runs."""

    cancels = True

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, call: Call, within: float, done: Done) -> None:
        try:
            self._loop.call_soon_threadsafe(self._begin, call, within, done)
        except RuntimeError as error:
            raise StoppedError("the event loop in which the function was given is closed") from error

    def is_here(self) -> bool:
        import asyncio

        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def close(self) -> None:
        with suppress(RuntimeError):  # it is closed, and nothing runs in it
            self._loop.call_soon_threadsafe(self._cancel_all)

    def _begin(self, call: Call, within: float, done: Done) -> None:
        task = self._loop.create_task(self._run(call, within, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, call: Call, within: float, done: Done) -> None:
        import asyncio

        limit = asyncio.timeout(within)
        task = asyncio.current_task()
        try:
            async with limit:
                await call()
        except asyncio.CancelledError as error:
            if task is not None and task.cancelling():
                done(StoppedError("the task was cancelled"))
                raise
            done(error)  # not of this task: of something that the function has waited for
        except Exception as error:  # noqa: BLE001 - whoever began the call is told
            done(too_late(within) if limit.expired() else error)
        except BaseException as error:
            done(error)
            raise
        else:
            done(None)

    def _cancel_all(self) -> None:
        for task in self._tasks:
            task.cancel()


class _OwnLoop:
    """A loop of asyncio's in a thread of ours, begun with the first call."""

    cancels = True

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: _Loop | None = None
        self._end: Callable[[], object] | None = None

    def begin(self, call: Call, within: float, done: Done) -> None:
        with self._lock:
            if self._loop is None:
                begun = Wake()
                self._thread = threading.Thread(
                    target=self._run, args=(begun,), name="runstate-delivery-loop", daemon=True
                )
                try:
                    self._thread.start()
                except RuntimeError as error:  # the interpreter is about to end
                    raise StoppedError(str(error)) from error
                begun.wait()
            loop = self._loop
        if loop is None:
            raise StoppedError("no event loop could be begun")
        loop.begin(call, within, done)

    def is_here(self) -> bool:
        return self._thread is threading.current_thread()

    def close(self) -> None:
        with self._lock:
            thread, end = self._thread, self._end
        if end is not None:
            with suppress(RuntimeError):  # it has ended
                end()
        if thread is not None and thread is not threading.current_thread():
            thread.join(LEAVE_WITHIN)

    def _run(self, begun: Wake) -> None:
        import asyncio

        async def main() -> None:
            loop, ending = asyncio.get_running_loop(), asyncio.Event()
            self._loop, self._end = _Loop(loop), lambda: loop.call_soon_threadsafe(ending.set)
            begun.set()
            await ending.wait()

        try:
            asyncio.run(main())  # which cancels what is left, and waits for it
        finally:
            begun.set()


class _TrioRun:
    """A run of trio's."""

    cancels = True

    def __init__(self) -> None:
        import trio

        self._token = trio.lowlevel.current_trio_token()
        self._scopes: set[trio.CancelScope] = set()

    def begin(self, call: Call, within: float, done: Done) -> None:
        import trio

        def begin() -> None:
            trio.lowlevel.spawn_system_task(self._run, call, within, done)

        try:
            self._token.run_sync_soon(begin)
        except trio.RunFinishedError as error:
            raise StoppedError("the run of trio in which the function was given is over") from error

    def is_here(self) -> bool:
        import trio

        return trio.lowlevel.in_trio_run() and trio.lowlevel.current_trio_token() is self._token

    def close(self) -> None:
        import trio

        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._cancel_all)

    async def _run(self, call: Callable[[], Coroutine[Any, Any, object]], within: float, done: Done) -> None:
        import trio

        limit, stop = trio.move_on_after(within), trio.CancelScope()
        self._scopes.add(stop)
        try:
            with stop, limit:
                await call()
        except trio.Cancelled:
            done(StoppedError("the run is about to end"))
            raise
        except BaseException as error:  # noqa: BLE001 - whoever began the call is told; a system task that raises ends the run
            done(error)
        else:
            if stop.cancelled_caught:
                done(StoppedError("the delivery was closed"))
            else:
                done(too_late(within) if limit.cancelled_caught else None)
        finally:
            self._scopes.discard(stop)

    def _cancel_all(self) -> None:
        for scope in self._scopes:
            scope.cancel()
