"""`with tracker.execution(…)`: however the block is left, the execution has exactly one end, and it is durable.

| the block is left by | the execution ends as |
|---|---|
| `run.complete(…)` or another end | that |
| an exception | FAILED, RAISED; the exception goes on |
| `CancelledError` (trio: `Cancelled`), `KeyboardInterrupt`, `GeneratorExit` (any non-`Exception`) | CANCELLED, CANCELLED_BY_CALLER; it goes on |
| `SystemExit` | CANCELLED, SHUTDOWN; it goes on |
| nothing of this | FAILED, NO_OUTCOME; `NoOutcomeError` is raised |

When somebody else ends the execution meanwhile, an async body is cancelled through `asyncio.timeout` or a cancel scope of trio,
which know how to tell our cancellation from others, and `FencedError` leaves the block; for a passed time limit that is its subclass
`ExecutionTimeoutError`, a `TimeoutError`. A sync body cannot be stopped: its next call on the handle raises the same error,
and so does the end of the block at the latest. Who is somebody else:

| the end is made | in an async block that is | in a sync block that is |
|---|---|---|
| by a limit, by id, by closing the tracker, by another writer | somebody else | somebody else |
| through a handle, by code that runs in the block | the body | the body |
| through a handle, by any other code | somebody else | the body: nothing is raised at its end |

Code runs in a block if the block is in its `contextvars`: the body, the tasks that it starts and `asyncio.to_thread`, as for
`current()`. An async generator may go on in other contexts than it began in; once the task that entered its block is over,
every end through a handle is the body's.

The terminal move is decided before anything is awaited, so no second cancellation can prevent it, and the wait for its
durability goes on through cancellations, which are delivered afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Final, Literal, TypeAlias

from ._async import Body, running_library
from ._checks import error_text
from ._decider import OWNER, Decider
from ._durable import durable, durable_at_last
from ._errors import (
    FencedError,
    InvalidTransitionError,
    JournalConflictError,
    JournalError,
    NoExecutionError,
    NoOutcomeError,
    RunstateError,
    describe,
)
from ._execution import Execution
from ._json import decode_json, encode_json
from ._live import ExecutionsLostError, Live
from ._records import Transition
from ._states import Cause, ExecutionState
from .journal._writer import JournalWriter

Running: TypeAlias = Execution[Literal[ExecutionState.RUNNING]]
Pending: TypeAlias = Execution[Literal[ExecutionState.PENDING]]

_innermost: Final[ContextVar[ExecutionScope | None]] = ContextVar("runstate_innermost", default=None)
"""The block that was entered last in this context; it may have been left, in another one."""


def current() -> Running:
    """Return the handle of the execution that the calling code runs in: that of the innermost block not yet left.

    Set inside `with tracker.execution(…)` and tracked agents; it follows `contextvars`, so tasks and
    `asyncio.to_thread` inherit it. Generators have no context of their own: while several of one context are inside
    blocks, it is the block that was entered last.

    Raises:
        NoExecutionError: The caller runs outside of any, or has outlived it.
    """
    scope = _not_left(_innermost.get())
    if scope is None or scope._running is None:
        raise NoExecutionError
    return scope._running


class ExecutionScope:
    """One execution as a `with` or `async with` block. Made by `tracker.execution`; enters once."""

    def __init__(self, create: Callable[[], Pending], decider: Decider, writer: JournalWriter) -> None:
        self._create = create
        self._decider = decider
        self._writer = writer
        self._running: Running | None = None
        self._outer: ExecutionScope | None = None
        self._is_inside = False
        self._is_fenced = False
        self._body: Body | None = None
        self._completed_as = Cause.RETURNED
        self._failed_as = Cause.RAISED
        self.failure: BaseException | None = None
        """What leaves the block and is no deed of the body: an error of the journal, or of how the block is used."""

    @property
    def live(self) -> Live | None:
        """The execution, once the block was entered."""
        return None if self._running is None else self._running._live

    def complete(self, result: object) -> None:
        """Record the result that a body returned, unless the execution has ended: unhappily, or with that very result.

        Args:
            result: Anything that JSON carries unchanged.

        Raises:
            NotJsonError: *result* would not come back equal.
            ResultTooLargeError: *result* is over its budget.
            InvalidTransitionError: It was completed with another result, and *result* is not None.
        """
        live = self.live
        if live is None:
            return
        said: Transition | None = None
        if live.left is not None:  # the answer is another one, and this one is kept beside it
            with suppress(RunstateError):
                encoded = encode_json("result", result, self._decider.limits.result_bytes)
                self._decider.end(live, None, ExecutionState.COMPLETED, self._completed_as, None, encoded)
            return
        if live.closed:
            said = live.end
            if result is None or said is None or said.target is not ExecutionState.COMPLETED:
                return
        encoded = encode_json("result", result, self._decider.limits.result_bytes)
        if said is not None and _is_same_json(encoded, said.result_json):
            return
        try:
            self._decider.end(live, None, ExecutionState.COMPLETED, self._completed_as, None, encoded)
        except InvalidTransitionError as error:
            if said is not None:
                error.add_note(
                    f"runstate: it was completed with {describe(said.result)} and then returned {describe(result)}; "
                    f"return the same, or None, or leave complete() to the tracker"
                )
            raise

    def __enter__(self) -> Running:
        running = self._begin()
        try:
            try:
                self._writer.flush()
            except JournalConflictError as conflict:
                self._check_entry(running._live, conflict)
        except BaseException as error:
            self._fail(running._live, error)
            raise
        return self._enter(running)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        live = self._leave()
        try:
            self._end(live, error)
            refusal: JournalError | None = None
            try:
                self._writer.flush()
            except JournalError as failure:
                refusal = failure
            self._raise_verdict(live, error, refusal)
        finally:
            self._decider.leave_block(live)

    async def __aenter__(self) -> Running:
        running = self._begin()
        live = running._live
        try:
            try:
                await durable(self._writer)
            except JournalConflictError as conflict:
                self._check_entry(live, conflict)
            if (library := running_library()) is not None:
                body = library.body()
                await body.enter()
                self._body = body
                self._decider.watch(live, self._ended)
        except BaseException as error:
            self._fail(live, error)
            raise
        return self._enter(running)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        live = self._leave()
        try:
            self._decider.unwatch(live, self._ended)
            self._end(live, error)
            refusal: JournalError | None = None
            body, self._body = self._body, None
            left = error if body is None else await body.leave(kind, error, traceback)
            try:
                await durable_at_last(self._writer)
            except JournalError as failure:
                refusal = failure
            self._raise_verdict(live, left, refusal)
        finally:
            self._decider.leave_block(live)
        if left is not None and left is not error:
            raise left

    def _begin(self) -> Running:
        if self._running is not None:
            raise RuntimeError("this block was entered before; call tracker.execution(…) again for another execution")
        pending = self._create()
        self._decider.enter_block(pending._live)
        try:
            self._running = running = pending.run()
        except BaseException as error:
            self._fail(pending._live, error)
            raise
        return running

    def _fail(self, live: Live, error: BaseException) -> None:
        """The block could not be entered."""
        self.failure = error
        self._end(live, error)
        self._decider.leave_block(live)

    def _enter(self, running: Running) -> Running:
        self._outer = _not_left(_innermost.get())
        self._is_inside = True
        _innermost.set(self)
        self._decider.begin_block(running._live, self._decider.monotonic_ns())
        return running

    def _leave(self) -> Live:
        running = self._running
        if running is None or not self._is_inside:
            raise RuntimeError("this block was never entered, or has been left")
        self._is_inside = False
        self._outer = _not_left(self._outer)  # blocks that were left in another order do not keep each other in memory
        _innermost.set(_not_left(_innermost.get()))
        return running._live

    def _end(self, live: Live, error: BaseException | None) -> None:
        """Give the execution its end unless it has one."""
        failed = isinstance(error, Exception) and not isinstance(error, FencedError | TimeoutError)
        if live.closed and not (failed and live.left is not None):
            return
        reason: str | None = None
        if error is None:
            target, cause, text = ExecutionState.FAILED, Cause.NO_OUTCOME, "the block ended without an outcome"
        else:
            text = error_text("error", error, self._decider.limits.error_bytes)
            if isinstance(error, Exception):
                target, cause = ExecutionState.FAILED, self._failed_as
            else:
                shutdown = isinstance(error, SystemExit)
                target = ExecutionState.CANCELLED
                cause = Cause.SHUTDOWN if shutdown else Cause.CANCELLED_BY_CALLER
                reason = type(error).__name__
        try:
            self._decider.end(live, None, target, cause, text, None, OWNER, reason)
        except (FencedError, InvalidTransitionError):
            return  # somebody else was first; the verdict is read from the execution

    def _check_entry(self, live: Live, refusal: JournalConflictError) -> None:
        """Raise what a refusal at the entry means for this block: nothing, if it is about another execution of the batch."""
        if not _accept(live, refusal):
            raise refusal
        if live.lost is not None:
            raise self._decider.late(live) from refusal

    def _raise_verdict(self, live: Live, error: BaseException | None, refusal: JournalError | None) -> None:
        """Raise what must leave the block, beside the body's own exception."""
        interrupted = error is None or (isinstance(error, TimeoutError) and not isinstance(error, FencedError))
        if isinstance(refusal, JournalConflictError) and _accept(live, refusal):
            refusal = None
        if refusal is not None:
            if error is None or (interrupted and not _is_by_handle(live)):  # the end that interrupted it does not stand
                self.failure = refusal
                raise refusal from error
            error.add_note(f"runstate: the end of execution {live.execution_id} is not durable: {refusal}")
        end = live.end
        if live.lost is not None:
            verdict = self._decider.late(live)
            if interrupted:
                self.failure = verdict if end is None else None
                raise verdict from error
            if error is not None:
                error.add_note(f"runstate: {verdict}")
        if end is None:
            return
        if interrupted and (self._is_fenced or not _is_by_handle(live)):
            raise self._decider.late(live) from error
        if isinstance(error, Exception) and not interrupted and not _is_by_handle(live) and not _tells_of(error, live):
            error.add_note(f"runstate: {self._decider.late(live)}")
        if error is None and end.cause is Cause.NO_OUTCOME:
            raise NoOutcomeError(live.execution_id)

    def _ended(self) -> None:
        """Interrupt the async body, unless it made the end. Called by whoever made it, in its thread and its context."""
        live, body = self.live, self._body
        if live is None or body is None:
            return
        if _is_by_handle(live) and (body.is_over() or self._is_around_caller()):
            return
        self._is_fenced = True
        body.interrupt()

    def _is_around_caller(self) -> bool:
        scope = _innermost.get()
        while scope is not None and scope is not self:
            scope = scope._outer
        return scope is self


def _not_left(scope: ExecutionScope | None) -> ExecutionScope | None:
    """The block itself if it has not been left, else the next one around it."""
    while scope is not None and not scope._is_inside:
        scope = scope._outer
    return scope


def _accept(live: Live, conflict: JournalConflictError) -> bool:
    """Whether a refusal of the journal is no error of this block: of another execution, or because this one was taken from it."""
    if live.execution_id not in conflict.execution_ids:
        return True  # it shared a batch with one that was refused, which is told so itself
    if isinstance(conflict, ExecutionsLostError) and live.lost is None:
        live.lose(conflict.losses[live.execution_id])
    return live.lost is not None


def _tells_of(error: Exception, live: Live) -> bool:
    """Whether an exception says itself how this execution ended."""
    return isinstance(error, FencedError) and error.execution_id == live.execution_id


def _is_by_handle(live: Live) -> bool:
    """Whether an execution was ended through a handle."""
    end = live.end
    return live.lost is None and end is not None and end.evidence is not None and end.evidence.observer == OWNER


def _is_same_json(one: bytes, other: bytes | None) -> bool:
    """Whether two encoded values are equal: the order of keys does not count, and `false` is not `0`."""
    import json

    if one == other or other is None:
        return one == other
    return json.dumps(decode_json(one), sort_keys=True) == json.dumps(decode_json(other), sort_keys=True)
