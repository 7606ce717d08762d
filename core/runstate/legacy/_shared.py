"""The one core behind all facades: a tracker of runstate, and what legacy code sees of its executions.

There is one `Shared` at a time, so what one facade creates the others see. `use` sets it; without, the first legacy call makes
one, on the journal that the environment variable RUNSTATE_LEGACY_JOURNAL names, or in memory, where `IN_MEMORY` bounds it. One
that is replaced while executions of facades live on it is set aside: their limits are enforced as before, and the same tracker
finds it again. A forked child starts with the same tracker (which starts afresh by itself) and an empty book: the executions
are the parent's.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Mapping
from typing import Any, Final, TypeVar, cast

from .. import (
    Cause,
    Clock,
    Evidence,
    Execution,
    ExecutionState,
    ExecutionTracker,
    FencedError,
    InvalidTransitionError,
    Limits,
    LiveState,
    RunstateError,
    StateTypeError,
    Statistics,
    UnknownExecutionError,
)
from .. import open as open_tracker
from ._book import Book
from ._callbacks import deliveries
from ._fork import ForkSafeLock
from ._life import UNSET, Facade, Life
from ._limits import LimitWatch
from ._moves import move
from ._refusals import Refusals, logger

T = TypeVar("T")

JOURNAL_VARIABLE: Final = "RUNSTATE_LEGACY_JOURNAL"
"""Environment variable with the URL of the journal that is opened when `use` was not called."""

_MEMORY: Final = "memory:"

IN_MEMORY: Final = Limits(retained_executions=10_000, retention=86_400.0)
"""What the tracker in memory keeps that nobody has opened: the newest ended executions, for a day, some 30 MB."""

DEADLINE_WATCH: Final = "legacy deadline watch"
HEARTBEAT_WATCH: Final = "legacy heartbeat watch"

_NO_FACADE: Final = Facade("runstate", "the time limit of {limit} s passed", "no sign of life for {limit} s")
"""Speaks of executions that no facade has created, once legacy code has changed a limit or a time of them."""

_OBSERVED: Final = frozenset({ExecutionState.TIMEOUT, ExecutionState.DEAD})
_REPORTERS: Final = frozenset({"owner", "caller"})


class SystemClock:
    """The clocks of this machine."""

    monotonic_ns = staticmethod(time.monotonic_ns)
    time_ns = staticmethod(time.time_ns)


class Shared:
    """One tracker and the legacy view of it. Everything here raises; the facades' public calls answer loosely.

    Args:
        tracker: The core.
        clock: Its clocks; None are the system's.
        strict: Raise refusals instead of answering False or None.
    """

    def __init__(self, tracker: ExecutionTracker, *, clock: Clock | None = None, strict: bool = False) -> None:
        self.tracker = tracker
        self.clock: Clock = clock if clock is not None else SystemClock()
        self.strict = strict
        self._threaded = clock is None
        self._failures: list[Exception] = []
        self._lock = ForkSafeLock()
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget all executions: at the beginning, and in a forked child."""
        self._kept: dict[type, Any] = {}
        self.refusals = Refusals()
        self.watch = LimitWatch(self.clock.monotonic_ns, self._judge, threaded=self._threaded)
        self.book = Book(self.tracker, self.clock, self.watch.add)

    def kept(self, kind: type[T]) -> T:
        """Return the one object of a kind that a facade keeps as long as this core is in use."""
        with self._lock:
            return cast("T", self._kept.setdefault(kind, kind()))

    def create(
        self,
        facade: Facade,
        *,
        agent: str,
        thread_id: str,
        user_id: str,
        timeout: float,
        heartbeat_timeout: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Life:
        """Create an execution, PENDING, and watch its limits. See `Book.create`."""
        life = self.book.create(
            facade,
            agent=agent,
            thread_id=thread_id,
            user_id=user_id,
            timeout=timeout,
            heartbeat_timeout=heartbeat_timeout,
            metadata=metadata,
        )
        self.watch.add(life)
        return life

    def find(self, execution_id: object) -> Life:
        """Return an execution by any facade's id; `UnknownExecutionError` if there is none."""
        return self.book.find(execution_id)

    def move(
        self, life: Life, state: object, *, error: object = UNSET, result: object = UNSET, cause: Cause | None = None
    ) -> None:
        """Take an execution to a state, through the legal moves on the way, as its own code reports it. See `_moves.move`."""
        move(self.tracker, life, state, error=error, result=result, cause=cause)
        if life.state.is_terminal:
            self._ended(life, observed=False)
        else:
            self._expect_beats(life)

    def heartbeat(self, life: Life) -> None:
        """Note a sign of life.

        Raises:
            RunstateError: It has ended, or is another process's.
        """
        execution = life.execution or cast("Execution[LiveState]", self.tracker.handle(life.execution_id))
        execution.heartbeat()
        life.sign()
        if life.execution is None:
            life.more_beats += 1
        self._expect_beats(life)

    def announce(self, life: Life, state: ExecutionState, grace: float) -> None:
        """Take an end as announced: a result may follow for *grace* seconds, then it is recorded as it stands."""
        life.settle = state, self.clock.monotonic_ns() + int(grace * 1e9)
        self.watch.add(life)

    def sweep(self) -> int:
        """End executions whose limits have passed, the core's own and the legacy ones; return how many.

        Raises:
            ExceptionGroup: Callbacks failed. All were called, and all ends are recorded.
        """
        ended = self.watch.sweep() + self.tracker.sweep()
        failures, self._failures[:] = list(self._failures), []
        if failures:
            raise ExceptionGroup("callbacks failed", failures)
        return ended

    def statistics(self) -> Statistics:
        """Return what the tracker has done; `refused` includes the legacy calls that never reached it."""
        known = self.tracker.statistics()
        return known._replace(refused=known.refused + self.refusals.uncounted)

    def runs_on(self, clock: Clock | None) -> bool:
        """Whether its clocks are these; None are the system's."""
        return self._threaded if clock is None else self.clock is clock

    def close(self, *, wait: bool = True) -> None:
        """Stop watching. The tracker is closed by whoever opened it.

        Args:
            wait: Return when a sweep that is on its way is done.
        """
        self.watch.close(wait=wait)

    def failed(self, errors: list[Exception]) -> None:
        """Keep what callbacks raised for whoever sweeps by hand."""
        if not self._threaded:
            self._failures += errors

    def _expect_beats(self, life: Life) -> None:
        """Have its silence watched from the moment that it counts."""
        if not life.beats_are_watched and life.heartbeat_timeout is not None and life.promised:
            life.beats_are_watched = True
            self.watch.add(life)

    def _judge(self, life: Life) -> bool:
        if life.state.is_terminal:
            self._ended(life, observed=was_observed(life))
            return False
        try:
            return self._end(life)
        except (FencedError, InvalidTransitionError):
            self._ended(life, observed=was_observed(life))
            return False  # it ended by itself a moment ago: the first end wins
        except RunstateError as error:
            self.refusals.note("the end of a legacy execution by its limit", error)
            return False

    def _end(self, life: Life) -> bool:
        if life.due_ns() > self.clock.monotonic_ns():
            return False  # it gave a sign of life, or got another limit, a moment ago
        deadline_ns, silence_ns = life.deadline_ns(), life.silence_ns()
        record, facade, silent = life.record, life.facade or _NO_FACADE, life.silent()
        if life.settle is not None:
            move(self.tracker, life, life.settle[0])
            self._ended(life, observed=False)
            return True
        known = life.beats, silent, record.phase, record.phase_detail
        if deadline_ns <= silence_ns:
            target, cause, evidence = ExecutionState.TIMEOUT, Cause.DEADLINE, Evidence(DEADLINE_WATCH, *known)
            text, limit = facade.timeout_error, life.timeout
        else:
            target, cause, evidence = ExecutionState.DEAD, Cause.NO_HEARTBEAT, Evidence(HEARTBEAT_WATCH, *known)
            text, limit = facade.death_error, life.heartbeat_timeout or 0.0
        error = text.format(limit=f"{limit:g}", age=f"{silent:.1f}")
        move(self.tracker, life, target, error=error, cause=cause, evidence=evidence)
        self._ended(life, observed=True)
        return True

    def _ended(self, life: Life, *, observed: bool) -> None:
        if self.book.retire(life):
            self.watch.forget_one()
            for ending in life.endings:
                ending()
            if life.facade is not None:
                life.facade.ended(life, observed)
            _leave_if_done(self)


def was_observed(life: Life) -> bool:
    """Whether an end that came from elsewhere was seen from outside, and not reported by whoever runs the execution."""
    evidence = life.record.evidence
    return life.state in _OBSERVED and (evidence is None or evidence.observer not in _REPORTERS)


class _Place:
    """Where the one `Shared` is kept."""

    def __init__(self) -> None:
        self.lock = ForkSafeLock()
        self.current: Shared | None = None
        self.own: ExecutionTracker | None = None
        """The tracker, if it was opened here."""
        self.aside: list[Shared] = []
        """Earlier ones, each as long as executions of facades live on it."""


_place: Final = _Place()


def shared() -> Shared:
    """Return the core behind all facades, made now if there is none."""
    current = _place.current
    if current is not None:
        return current
    with _place.lock:
        if _place.current is None:
            url = os.environ.get(JOURNAL_VARIABLE, _MEMORY)
            _place.own = open_tracker(url, limits=IN_MEMORY if url == _MEMORY else None)
            _place.current = Shared(_place.own)
            logger.info("legacy trackers keep their executions in %s; runstate.legacy.use(…) sets another journal", url)
        return _place.current


def found(execution_id: object) -> Life | None:
    """Return an execution by any facade's id; None if it is unknown."""
    try:
        return shared().find(execution_id)
    except UnknownExecutionError:
        return None


def use(tracker: ExecutionTracker | None, *, clock: Clock | None = None, strict: bool = False) -> None:
    """Put all facades on this tracker from now on.

    Executions of an earlier one are not taken over. As long as they live, their limits are enforced there, and the same
    tracker, given again with the same clock, finds them with their limits.

    Args:
        tracker: The tracker; whoever opened it closes it. None goes back to the default, made at the next legacy call.
        clock: The clocks that it was made with, where those are not the system's. Then nothing expires by itself here
            either: call `sweep()`.
        strict: Raise refusals instead of answering False or None.

    Raises:
        StateTypeError: It is no `ExecutionTracker`.
    """
    given: object = tracker
    if given is not None and not isinstance(given, ExecutionTracker):
        raise StateTypeError(f"tracker must be an ExecutionTracker or None, not {type(given).__qualname__}")
    with _place.lock:
        known = [one for one in (*_place.aside, _place.current) if one is not None]
        own, _place.own = _place.own, None
        _place.aside = [one for one in known if one.book.live() and one.tracker is not own]
        _place.current = None if tracker is None else _core_on(tracker, clock, strict=strict)
        left = [one for one in known if one is not _place.current and one not in _place.aside]
    for one in left:
        one.close()
    if own is not None:
        own.close()


def _core_on(tracker: ExecutionTracker, clock: Clock | None, *, strict: bool) -> Shared:
    for one in _place.aside:
        if one.tracker is tracker and one.runs_on(clock):
            _place.aside.remove(one)
            one.strict = strict
            return one
    return Shared(tracker, clock=clock, strict=strict)


def _leave_if_done(core: Shared) -> None:
    """Watch no longer what was set aside, once its last execution of a facade has ended."""
    with _place.lock:
        done = core in _place.aside and not core.book.live()
        if done:
            _place.aside.remove(core)
    if done:
        core.close(wait=False)  # it may be the watch itself that has come here


def books() -> list[Book]:
    """The books in which executions of facades live: of the core in use, and of those that were set aside."""
    return [one.book for one in (*_place.aside, _place.current) if one is not None]


def sweep() -> int:
    """End executions whose limits have passed, also on cores that were set aside; return how many. See `Shared.sweep`."""
    return sum(one.watch.sweep() for one in list(_place.aside)) + shared().sweep()


def failed(errors: list[Exception]) -> None:
    """Keep what callbacks raised for whoever sweeps by hand. No core is made for that."""
    if _place.current is not None:
        _place.current.failed(errors)


def _after_fork() -> None:
    deliveries.forget_all()
    _place.aside.clear()
    if _place.current is not None:
        _place.current.start_afresh()


def _close_own_at_exit() -> None:
    if _place.own is not None:
        use(None)


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_close_own_at_exit)
