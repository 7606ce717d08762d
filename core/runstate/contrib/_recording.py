"""One run of a framework as one execution: begun, its phases, its one end.

The rules that all adapters keep, whatever the framework:

- *The outermost run is the execution.* A run that begins inside a tracked block, a tracked agent or another adapter's run is nested:
  it becomes phases of that execution and gives it no end.
- *The run comes first.* What cannot be recorded (a full journal, a closed tracker, an error of ours) is counted, logged once and
  forgotten, and the run goes on; `on_error="raise"` raises it instead.
- *The end is durable before the run returns*, where the adapter can wait; the begin is handed to the writer, and nothing waits for
  it: a disk that stands still must not keep an agent from its model.
- *After the end there is silence.* Frameworks deliver events of a run that has ended, above all of a cancelled one. They are counted.
- *Who is fenced stops.* If a limit, `tracker.cancel` or another process has ended the execution, its user has been told so, and an
  answer that came later would be a second one. The run then gets the `FencedError`, at once where the adapter stands around
  what it awaits (`stoppable`), else at its next event. Closing the tracker stops nobody.

Whether somebody else has ended the execution is looked up every `TICK` seconds, and costs a run that is shorter nothing.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final

from runstate import (
    Cause,
    FencedError,
    InvalidTransitionError,
    NoExecutionError,
    NotOwnerError,
    Phase,
    RunstateError,
    current,
)

from ._options import Guard, Tracking, Verdict
from ._results import PAUSED, Running, complete, complete_without, plain

TICK: Final = 0.25
"""Seconds between looks whether somebody else has ended the execution."""
OWNER: Final = "owner"
"""Observer of an end through a handle: by the run itself, or by code inside it."""

_innermost: Final[ContextVar[Recording | None]] = ContextVar("runstate_recording", default=None)
"""The run that was begun last in this context; it may have ended."""


def inside() -> Running | None:
    """The handle of the execution that the calling code runs in, whoever tracks it; None outside of any."""
    try:
        return current()
    except NoExecutionError:
        recording = innermost()
        return None if recording is None else recording.handle


def innermost() -> Recording | None:
    """The innermost run that has not ended."""
    recording = _innermost.get()
    while recording is not None and recording.is_over:
        recording = recording.outer
    return recording


class Recording:
    """One run. Made by a `Recorder`; nothing of it raises but `FencedError`, unless that is wanted.

    Args:
        tracking: Where it is recorded.
        handle: Its execution; None for a run that is not recorded.
        outer: The run around it.
        run_id: The framework's id of the run.
        is_own: Whether the execution is this run's, and so gets its end from it.
    """

    __slots__ = ("_is_own", "_lock", "_steps", "_timer", "_tracking", "blocks", "handle", "is_over", "outer", "run_id")

    def __init__(
        self,
        tracking: Tracking,
        handle: Running | None,
        outer: Recording | None,
        run_id: str | None,
        *,
        is_own: bool = True,
    ) -> None:
        self._tracking = tracking
        self._is_own = is_own
        self._steps: dict[object, tuple[Phase, str | None]] = {}
        self._lock = threading.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self.handle: Running | None = handle
        self.outer: Recording | None = outer
        self.run_id: str | None = run_id
        self.is_over: bool = handle is None
        """Whether nothing more is recorded of it."""
        self.blocks: set[Stoppable] = set()
        """What is stopped when somebody else ends the execution."""

    @property
    def guard(self) -> Guard:
        """A block in which an error of ours costs the record and not the run."""
        return self._tracking.guard

    def entered(self) -> Recording:
        """Make it the innermost run of this context."""
        _innermost.set(self)
        return self

    def left(self) -> None:
        """Make the run around it the innermost one again: it goes on elsewhere, in tasks that know it."""
        if _innermost.get() is self:
            _innermost.set(self.outer)

    # -- while it runs ------------------------------------------------------------------------------------------------

    def phase(self, phase: Phase, detail: str | None = None) -> None:
        """Record what the run does now.

        Raises:
            FencedError: Somebody else has ended the execution; the run must stop.
        """
        handle = self.handle
        if handle is None:
            return
        if self.is_over:
            self._tracking.ledger.count("dropped")
            return
        try:
            handle.phase(phase, detail)
        except Exception as error:  # noqa: BLE001 - counted, logged or raised there
            self._refused("phase", error)

    def enter(self, step: object, phase: Phase, detail: str | None = None) -> None:
        """Begin a step that may have others beside or inside it, and record its phase.

        Args:
            step: Tells it from others, such as a tool call's id.
            phase: What the run does during it.
            detail: More.

        Raises:
            FencedError: Somebody else has ended the execution; the run must stop.
        """
        if not self.is_over:
            with self._lock:
                self._steps[step] = phase, detail
        self.phase(phase, detail)

    def leave(self, step: object) -> None:
        """End a step. If others go on beside or around it, the one that began last is the phase again."""
        steps = self._steps
        if self.is_over:
            return
        with self._lock:
            if step not in steps:
                return
            was_newest = next(reversed(steps)) == step
            del steps[step]
            shown = next(reversed(steps.values())) if steps and was_newest else None
        if shown is not None:
            try:
                self.phase(*shown)
            except (FencedError, NotOwnerError):
                return  # what begins next is told, and so is the end

    def turn(self) -> None:
        """Begin a turn: no step of an earlier one goes on, also where its end was not told."""
        with self._lock:
            self._steps.clear()

    def beat(self) -> None:
        """Give a sign of life."""
        if self.handle is not None and not self.is_over:
            try:
                self.handle.heartbeat()
            except RunstateError:
                return  # what begins next is told, and so is the end

    def stoppable(self) -> Stoppable:
        """A block that is left by `FencedError` when somebody else ends the execution."""
        return Stoppable(self)

    def watch(self) -> None:
        """Look from time to time whether somebody else has ended the execution. In the run's event loop."""
        if self.handle is not None:
            self._timer = asyncio.get_running_loop().call_later(TICK, self._look)

    def verdict(self) -> Verdict | None:
        """Who else has ended the execution; None if nobody has, or only the closing of the tracker."""
        if self.handle is None:
            return None
        try:
            self.handle.heartbeat()
        except (FencedError, NotOwnerError) as error:
            return error if _is_by_others(error) else None
        return None

    def _look(self) -> None:
        handle = self.handle
        if self.is_over or handle is None:
            return
        if not handle.state.is_terminal:
            self.watch()
        elif self.verdict() is not None:
            for block in self.blocks:
                block.stop()

    # -- its end ------------------------------------------------------------------------------------------------------

    def returned(self, output: object) -> None:
        """The run has returned.

        Raises:
            FencedError: Somebody else had ended the execution before.
        """
        make = self._tracking.settings.result
        self._complete(lambda: plain(output if make is None else make(output)))

    def paused(self, waiting_for: list[Any]) -> None:
        """The run has returned because it waits for somebody.

        Args:
            waiting_for: What it waits for, as JSON or as anything that pydantic can write as JSON.

        Raises:
            FencedError: Somebody else had ended the execution before.
        """
        self._complete(lambda: {PAUSED: plain(waiting_for)})

    def raised(self, error: BaseException) -> None:
        """An exception leaves the run: an `Exception` is a failure, anything else stops the run from outside."""
        if isinstance(error, Exception):
            self._end(lambda handle: handle.fail(error), error)
        else:
            self._end(lambda handle: handle.cancel(type(error).__name__), error)

    def failed(self, what: str) -> None:
        """The run has ended without an answer, and without an exception."""
        self._end(lambda handle: handle.fail(what), None)

    def timed_out(self, error: BaseException, what: str) -> None:
        """The framework's own limit has stopped the run."""
        self._end(lambda handle: handle.time_out(what), error)

    def stopped(self, error: BaseException | None, reason: str) -> None:
        """Whoever runs the run has stopped it."""
        self._end(lambda handle: handle.cancel(reason), error)

    async def settled(self, leaving: BaseException | None = None) -> None:
        """Wait until what was decided so far is durable.

        Args:
            leaving: What leaves the run meanwhile; it goes on to do so, whatever happens here.

        Raises:
            FencedError: Somebody else has ended the execution.
        """
        if self.handle is None or not self._is_own:
            return
        try:
            await self._tracking.tracker.aflush()
        except Exception as error:  # noqa: BLE001 - counted, logged or raised there
            self._unsettled(error, leaving)

    def settle(self, leaving: BaseException | None = None) -> None:
        """Do what `settled` does, blocking."""
        if self.handle is None or not self._is_own:
            return
        try:
            self._tracking.tracker.flush()
        except Exception as error:  # noqa: BLE001 - counted, logged or raised there
            self._unsettled(error, leaving)

    def _unsettled(self, error: Exception, leaving: BaseException | None) -> None:
        verdict = self.verdict()
        if verdict is None:
            if not isinstance(error, Verdict):  # those are about other runs, which are told themselves
                self._tracking.trouble("flush", error, leaving)
        elif leaving is None:
            raise verdict from error
        elif not _is_verdict_on(self.handle, leaving):
            leaving.add_note(f"runstate: {verdict}")

    def _complete(self, result: Callable[[], object]) -> None:
        def end(handle: Running) -> None:
            unkept = complete(handle, result)
            if unkept is None:
                return
            if self._tracking.settings.on_error == "raise":
                handle.fail(unkept)  # the caller gets it instead of the answer, and so does the user
            else:
                complete_without(handle, unkept)
            self._tracking.trouble("result", unkept)

        self._end(end, None)

    def _end(self, end: Callable[[Running], object], error: BaseException | None) -> None:
        handle = self.handle
        if handle is None:
            return
        if self.is_over:
            self._tracking.ledger.count("dropped")
            return
        self.is_over = True
        if self._timer is not None:
            self._timer.cancel()
        self.left()
        if not self._is_own or _is_verdict_on(handle, error):
            return
        try:
            end(handle)
        except (FencedError, NotOwnerError) as verdict:
            if error is None:
                self._refused("end", verdict)
            else:
                error.add_note(f"runstate: {verdict}")
        except InvalidTransitionError:
            self._tracking.ledger.count("dropped")  # code inside the run has ended it, through `current()`
        except Exception as failure:  # noqa: BLE001 - counted, logged or raised there
            self._tracking.trouble("end", failure, error)

    def _refused(self, step: str, error: Exception) -> None:
        if not isinstance(error, Verdict):
            self._tracking.trouble(step, error)
        elif _is_by_others(error):
            raise error
        else:
            self.is_over = True
            self._tracking.ledger.count("dropped")
            if isinstance(error, FencedError) and error.cause is Cause.SHUTDOWN:
                self._tracking.trouble(step, error)


class Stoppable:
    """A block that somebody else's end of the execution interrupts. Made by `Recording.stoppable`.

    It tells its own cancellation from others as `asyncio.timeout` does, whose price, three times a run, would be most of ours.

    Args:
        recording: The run.
    """

    __slots__ = ("_cancelling", "_is_stopped", "_recording", "_task")

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._is_stopped = False

    def __enter__(self) -> None:
        if not self._recording.is_over:
            self._task = task = asyncio.current_task()
            if task is not None:
                self._cancelling = task.cancelling()
                self._recording.blocks.add(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task = self._task
        if task is None:
            return
        self._recording.blocks.discard(self)
        if not self._is_stopped or task.uncancel() > self._cancelling or not isinstance(error, asyncio.CancelledError):
            return
        verdict = self._recording.verdict()
        if verdict is not None:
            raise verdict from error

    def stop(self) -> None:
        """Interrupt what the block awaits."""
        if self._task is not None and not self._is_stopped:
            self._is_stopped = True
            self._task.cancel()


def _is_by_others(error: Verdict) -> bool:
    """Whether a refusal means that somebody else wants the run to stop."""
    return isinstance(error, NotOwnerError) or (error.observer != OWNER and error.cause is not Cause.SHUTDOWN)


def _is_verdict_on(handle: Running | None, error: BaseException | None) -> bool:
    """Whether what leaves a run is the news that its execution has ended."""
    return handle is not None and isinstance(error, Verdict) and error.execution_id == handle.execution_id
