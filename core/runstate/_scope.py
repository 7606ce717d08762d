"""`with tracker.execution(…)`: however the block is left, the execution has exactly one end, and it is durable.

| the block is left by | the execution ends as |
|---|---|
| `run.complete(…)` or another end | that |
| an exception | FAILED, RAISED; the exception goes on |
| `CancelledError`, `KeyboardInterrupt`, `GeneratorExit` (any non-`Exception`) | CANCELLED, CANCELLED_BY_CALLER; it goes on |
| `SystemExit` | CANCELLED, SHUTDOWN; it goes on |
| nothing of this | FAILED, NO_OUTCOME; `NoOutcomeError` is raised |

When somebody else ends the execution meanwhile (its deadline, a watch, a caller by id), an async body is cancelled through
`asyncio.timeout`, which knows how to tell our cancellation from others, and `FencedError` leaves the block; for a passed
time limit that is its subclass `ExecutionTimeoutError`, a `TimeoutError`. A sync body cannot be stopped: its next call on
the handle raises the same error, and so does the end of the block at the latest.

The terminal move is decided before anything is awaited, so no second cancellation can prevent it, and the wait for its
durability goes on through cancellations, which are delivered afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from ._checks import error_text
from ._decider import OWNER, Decider
from ._errors import (
    FencedError,
    InvalidTransitionError,
    JournalConflictError,
    JournalError,
    NoExecutionError,
    NoOutcomeError,
)
from ._execution import Execution
from ._json import encode_json
from ._live import Live
from ._states import Cause, ExecutionState
from .journal._writer import JournalWriter

if TYPE_CHECKING:
    import asyncio

Running: TypeAlias = Execution[Literal[ExecutionState.RUNNING]]
Pending: TypeAlias = Execution[Literal[ExecutionState.PENDING]]

_current: Final[ContextVar[Running]] = ContextVar("runstate_current")


def current() -> Running:
    """Return the handle of the execution that the calling code runs in.

    Set inside `with tracker.execution(…)` and tracked agents; it follows `contextvars`, so tasks and
    `asyncio.to_thread` inherit it.

    Raises:
        NoExecutionError: The caller runs outside of any.
    """
    try:
        return _current.get()
    except LookupError:
        raise NoExecutionError from None


class ExecutionScope:
    """One execution as a `with` or `async with` block. Made by `tracker.execution`; enters once."""

    def __init__(self, create: Callable[[], Pending], decider: Decider, writer: JournalWriter) -> None:
        self._create = create
        self._decider = decider
        self._writer = writer
        self._running: Running | None = None
        self._token: Token[Running] | None = None
        self._timeout: asyncio.Timeout | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.failure: BaseException | None = None
        """The journal's own error, where it is that, and nothing of the body's, which leaves the block."""

    @property
    def live(self) -> Live | None:
        """The execution, once the block was entered."""
        return None if self._running is None else self._running._live

    def complete(self, result: object) -> None:
        """Record the result, unless the block has already said how it ends.

        Args:
            result: Anything that JSON carries unchanged.

        Raises:
            NotJsonError: *result* would not come back equal.
            ResultTooLargeError: *result* is over its budget.
        """
        live = self.live
        if live is not None and not live.closed:
            encoded = encode_json("result", result, self._decider.limits.result_bytes)
            self._decider.end(live, None, ExecutionState.COMPLETED, Cause.RETURNED, None, encoded)

    def __enter__(self) -> Running:
        running = self._begin()
        try:
            self._writer.flush()
        except BaseException as error:
            self.failure = error
            self._end(running._live, error)
            raise
        return self._enter(running)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        live = self._leave()
        self._end(live, error)
        refusal: JournalError | None = None
        try:
            self._writer.flush()
        except JournalError as failure:
            refusal = failure
        self._raise_verdict(live, error, refusal)

    async def __aenter__(self) -> Running:
        import asyncio

        running = self._begin()
        live = running._live
        try:
            self._loop = _running_loop()
            if self._loop is None:
                self._writer.flush()
            else:
                await self._writer.aflush()
                self._timeout = asyncio.timeout(None)
                await self._timeout.__aenter__()
                self._decider.watch(live, self._ended_elsewhere)
        except BaseException as error:
            self.failure = error
            self._end(live, error)
            raise
        return self._enter(running)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        live = self._leave()
        self._decider.unwatch(live, self._ended_elsewhere)
        self._end(live, error)
        refusal: JournalError | None = None
        timeout, self._timeout = self._timeout, None
        if timeout is not None:
            try:
                await timeout.__aexit__(kind, error, traceback)
            except TimeoutError as interrupted:  # our own interruption, taken back by asyncio.timeout
                error = interrupted
        try:
            await self._durable()
        except JournalError as failure:
            refusal = failure
        self._raise_verdict(live, error, refusal)

    def _begin(self) -> Running:
        if self._running is not None:
            raise RuntimeError("this block was entered before; call tracker.execution(…) again for another execution")
        pending = self._create()
        try:
            self._running = running = pending.run()
        except BaseException as error:
            self.failure = error
            self._end(pending._live, error)
            raise
        return running

    def _enter(self, running: Running) -> Running:
        self._token = _current.set(running)
        return running

    def _leave(self) -> Live:
        running, token = self._running, self._token
        if running is None or token is None:
            raise RuntimeError("this block was never entered")
        self._token = None
        with suppress(ValueError):  # left in another context than entered: an async generator closed by the event loop
            _current.reset(token)
        return running._live

    def _end(self, live: Live, error: BaseException | None) -> None:
        """Give the execution its end unless it has one."""
        if live.closed:
            return
        reason: str | None = None
        if error is None:
            target, cause, text = ExecutionState.FAILED, Cause.NO_OUTCOME, "the block ended without an outcome"
        else:
            text = error_text("error", error, self._decider.limits.error_bytes)
            if isinstance(error, Exception):
                target, cause = ExecutionState.FAILED, Cause.RAISED
            else:
                shutdown = isinstance(error, SystemExit)
                target = ExecutionState.CANCELLED
                cause = Cause.SHUTDOWN if shutdown else Cause.CANCELLED_BY_CALLER
                reason = type(error).__name__
        try:
            self._decider.end(live, None, target, cause, text, None, OWNER, reason)
        except (FencedError, InvalidTransitionError):
            return  # somebody else was first; the verdict is read from the execution

    def _raise_verdict(self, live: Live, error: BaseException | None, refusal: JournalError | None) -> None:
        """Raise what must leave the block, beside the body's own exception."""
        interrupted = error is None or (isinstance(error, TimeoutError) and not isinstance(error, FencedError))
        if isinstance(refusal, JournalConflictError) and live.lost is None:
            refusal = None  # another execution of the same batch was refused, and is told so itself
        if refusal is not None:
            if error is None:
                self.failure = refusal
                raise refusal
            error.add_note(f"runstate: the end of execution {live.execution_id} is not durable: {refusal}")
        end = live.end
        if live.lost is not None and interrupted:
            self.failure = self._decider.late(live)
            raise self.failure from error
        if end is None:
            return
        if end.evidence is not None and end.evidence.observer != OWNER and interrupted:
            raise self._decider.late(live) from error
        if error is None and end.cause is Cause.NO_OUTCOME:
            raise NoOutcomeError(live.execution_id)

    def _ended_elsewhere(self) -> None:
        """Interrupt the async body. Called by whoever ended the execution, in any thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._interrupt)

    def _interrupt(self) -> None:
        live = self.live
        if self._timeout is None or live is None or self._loop is None:
            return
        ended_by_handle = (
            live.lost is None and live.end is not None and live.end.evidence is not None
            and live.end.evidence.observer == OWNER
        )  # fmt: skip
        if not ended_by_handle:
            self._timeout.reschedule(self._loop.time())

    async def _durable(self) -> None:
        """Wait for the barrier whatever happens to this task; a cancellation meanwhile is raised afterwards."""
        if self._loop is None:
            self._writer.flush()
            return
        import asyncio

        future = asyncio.wrap_future(self._writer.barrier())
        self._writer.hurry()
        cancelled: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await asyncio.shield(future)
            except asyncio.CancelledError as error:
                if future.cancelled():
                    raise
                cancelled = error
            except JournalError:
                break
        failure = future.exception()
        if cancelled is not None:
            if failure is not None:
                cancelled.add_note(f"runstate: the end of the execution is not durable: {failure}")
            raise cancelled from failure
        if failure is not None:
            raise failure


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """The running asyncio loop, or None under another async library."""
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
