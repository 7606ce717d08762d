"""Enforces limits inside the process: a thread that sleeps until the next limit and ends what has outlived one.

Two limits, two verdicts, and they are told apart; when both have passed, the one that passed first counts.
A passed *time limit* is TIMEOUT, cause DEADLINE, in any live state. A
passed *heartbeat limit* is DEAD, cause NO_HEARTBEAT; it exists only where one was asked for, and its clock starts when the
execution leaves PENDING, so nothing dies for waiting in a queue. A heartbeat writes nothing here: when the old
limit comes due, the watch looks at the last sign of life and comes back later.
"""

from __future__ import annotations

import threading
from typing import Final

from ._clock import Clock
from ._deadlines import NEVER, Deadlines
from ._decider import Decider
from ._errors import FencedError, InvalidTransitionError, TrackerClosedError
from ._live import Live
from ._states import Cause, ExecutionState
from ._wake import Wake

DEADLINE_WATCH: Final = "deadline watch"
HEARTBEAT_WATCH: Final = "heartbeat watch"


class LimitWatch:
    """Ends executions whose limits have passed.

    Args:
        decider: Where they live.
        deadlines: Their limits.
        clock: The clock of the limits.
        threaded: Whether to watch by itself; with a clock that a test moves, `sweep` is called by hand.
    """

    def __init__(self, decider: Decider, deadlines: Deadlines[Live], clock: Clock, *, threaded: bool) -> None:
        self._decider = decider
        self._deadlines = deadlines
        self._monotonic_ns = clock.monotonic_ns
        self._threaded = threaded
        self._wake = Wake()
        self._sweep_lock = threading.Lock()
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        deadlines.alarm = self._wake_up

    def sweep(self) -> int:
        """End every execution with a limit that has passed by now; return how many. Costs O(passed), not O(live)."""
        ended = 0
        with self._sweep_lock:
            now_ns = self._monotonic_ns()
            for live in self._deadlines.due(now_ns):
                ended += self._judge(live)
        return ended

    def close(self) -> None:
        """Stop watching."""
        with self._start_lock:
            self._closed = True
            thread, self._thread = self._thread, None
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def after_fork(self) -> None:
        """Start afresh in a forked child: the thread is gone, and the limits are the parent's."""
        self._deadlines.clear()
        self._wake = Wake()
        self._sweep_lock = threading.Lock()
        self._start_lock = threading.Lock()
        self._thread = None
        self._closed = False

    def _judge(self, live: Live) -> bool:
        created = live.created
        if live.deadline_ns() <= live.silence_ns():
            target, cause, observer = ExecutionState.TIMEOUT, Cause.DEADLINE, DEADLINE_WATCH
            error = f"the time limit of {created.timeout} s passed"
        else:
            target, cause, observer = ExecutionState.DEAD, Cause.NO_HEARTBEAT, HEARTBEAT_WATCH
            error = f"no sign of life for {created.heartbeat_timeout} s"
        try:
            self._decider.end(live, None, target, cause, error, None, observer)
        except (InvalidTransitionError, FencedError):
            return False  # it ended by itself a moment ago: the first end wins
        except TrackerClosedError:
            return False  # closing has ended it, or is about to
        return True

    def _wake_up(self) -> None:
        if not self._threaded or self._closed:
            return
        if self._thread is None:
            self._start()
        self._wake.set()

    def _start(self) -> None:
        with self._start_lock:
            if self._thread is None and not self._closed:
                thread = threading.Thread(target=self._run, name="runstate-limits", daemon=True)
                thread.start()
                self._thread = thread  # only now: an interrupted start can leave a thread that never begins

    def _run(self) -> None:
        while not self._closed:
            next_ns = self._deadlines.next_ns
            if next_ns == NEVER:
                self._wake.wait()
            else:
                self._wake.wait(max(0.0, min((next_ns - self._monotonic_ns()) / 1e9, threading.TIMEOUT_MAX)))
            self._wake.clear()
            if not self._closed:
                self.sweep()
