"""Enforces limits inside the process: a thread that sleeps until the next limit and ends what has outlived one.

Two limits, two verdicts, and they are told apart; when both have passed, the one that passed first counts.
A passed *time limit* is TIMEOUT, cause DEADLINE, in any live state: out of time is out of time, whoever was to blame. A
passed *heartbeat limit* is DEAD, cause NO_HEARTBEAT; it exists only where one was asked for, and its clock starts when the
execution leaves PENDING, so nothing dies for waiting in a queue; in a block it starts when the body does, so nothing dies
for a journal that is slow to take its beginning. A heartbeat writes nothing here: when the old
limit comes due, the watch looks at the last sign of life and comes back later. What else must be true before silence is held
against anybody, and what is done about blocked loops, stands in `_verdicts`.

While anything is live that may be silent (it runs in an event loop, or has a heartbeat limit) the thread also looks up every `TICK`
seconds: to ask the loops, and to notice that it was held up itself. Else it sleeps until the next limit.
"""

from __future__ import annotations

import logging
import threading
from typing import Final
from weakref import WeakSet

from ._clock import Clock
from ._deadlines import NEVER, Deadlines
from ._decider import Decider
from ._live import Live
from ._loops import Loops
from ._states import Cause, ExecutionState
from ._turns import Turns
from ._verdicts import CHANCE, Verdicts, pronounce
from ._wake import Listener, Wake

DEADLINE_WATCH: Final = "deadline watch"
HEARTBEAT_WATCH: Final = "heartbeat watch"
TICK: Final = 0.25
"""Seconds between looks while something live may be silent. A pause of the whole process is known this precisely."""

logger: Final = logging.getLogger("runstate")


class LimitWatch:
    """Ends executions whose limits have passed.

    Args:
        decider: Where they live.
        deadlines: Their limits.
        clock: The clock of the limits.
        threaded: Whether to watch by itself; with a clock that a test moves, `sweep` is called by hand.
        blocked_timeout: Seconds that an event loop may be blocked until the executions in it that give no sign of life from
            elsewhere are DEAD; None is no limit.
    """

    def __init__(
        self,
        decider: Decider,
        deadlines: Deadlines[Live],
        clock: Clock,
        *,
        threaded: bool,
        blocked_timeout: float | None = None,
    ) -> None:
        self._decider = decider
        self._deadlines = deadlines
        self._monotonic_ns = clock.monotonic_ns
        self._threaded = threaded
        self._blocked_timeout = blocked_timeout
        self._begin()
        self._pauses: WeakSet[Listener] = WeakSet()
        deadlines.alarm = self._wake_up

    def _begin(self) -> None:
        self._wake = Wake()
        self._sweep_lock = threading.Lock()
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._trouble: str | None = None
        self._turns = Turns(self._monotonic_ns())
        chance_ns = CHANCE if self._threaded else 0
        self._verdicts = Verdicts(self._decider, self._turns, self._monotonic_ns, chance_ns, self._blocked_timeout)
        self._decider.loops = Loops(self._monotonic_ns) if self._threaded else None
        self._deadlines.idle = self._threaded

    def sweep(self) -> int:
        """End every execution with a limit that has passed by now; return how many. Costs O(passed), not O(live)."""
        ended = 0
        with self._sweep_lock:
            now_ns = self._monotonic_ns()
            for live in self._deadlines.due(now_ns):
                ended += self._judge(live, now_ns)
        for pause in list(self._pauses):
            pause.set()
        return ended

    def pause(self, waiter: Listener, until_ns: int) -> float | None:
        """Seconds for which *waiter* has to wait until *until_ns*; None with a clock that a test moves: each sweep then wakes it.

        Args:
            waiter: Woken by every sweep from now on, for as long as somebody holds it.
            until_ns: When it wants to go on, by the monotonic clock.
        """
        if not self._threaded:
            self._pauses.add(waiter)
            return None
        return max(0.0, (until_ns - self._monotonic_ns()) / 1e9)

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
        self._begin()

    def _judge(self, live: Live, now_ns: int) -> bool:
        deadline_ns, dead_ns = live.deadline_ns(), self._verdicts.dead_ns(live, now_ns)
        created = live.created
        if deadline_ns <= min(dead_ns, now_ns):
            error = f"the time limit of {created.timeout} s passed"
            return pronounce(self._decider, live, ExecutionState.TIMEOUT, Cause.DEADLINE, error, DEADLINE_WATCH)
        if dead_ns <= now_ns:
            error = f"no sign of life for {created.heartbeat_timeout} s"
            return pronounce(self._decider, live, ExecutionState.DEAD, Cause.NO_HEARTBEAT, error, HEARTBEAT_WATCH)
        self._deadlines.postpone(live, min(deadline_ns, dead_ns))
        return False

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
        turns, tick_ns = self._turns, int(TICK * 1e9)
        while not self._closed:
            now_ns = self._monotonic_ns()
            turns.take(now_ns)
            turns.expect(now_ns + tick_ns)  # also during this one
            self.sweep()
            self._look_at_loops()
            self._rest(now_ns + tick_ns if self._is_needed() else NEVER)

    def _look_at_loops(self) -> None:
        try:
            with self._sweep_lock:
                self._verdicts.look_at_loops()
        except Exception as error:
            if str(error) != self._trouble:  # once, not with every look; limits are enforced all the same
                self._trouble = str(error)
                logger.warning("runstate: event loops cannot be watched, trying again: %s", error, exc_info=error)

    def _rest(self, tick_ns: int) -> None:
        """Sleep until the next look is due, or somebody wants one."""
        next_ns = min(self._deadlines.next_ns, tick_ns)
        if next_ns == NEVER:
            self._turns.forget()
            self._wake.wait()
        else:
            self._turns.expect(max(next_ns, self._turns.last_ns))
            self._wake.wait(max(0.0, min((next_ns - self._monotonic_ns()) / 1e9, threading.TIMEOUT_MAX)))
        self._wake.clear()

    def _is_needed(self) -> bool:
        """Whether anything live may be silent. Once there was something, it is so until nothing at all is live."""
        deadlines, live = self._deadlines, self._decider.live
        if not deadlines.idle and not live:
            deadlines.idle = True
            if live:  # it began before that could be seen
                deadlines.idle = False
        return not deadlines.idle
