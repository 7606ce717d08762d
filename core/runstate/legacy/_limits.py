"""Enforces the limits of legacy executions, whether or not anybody calls `start_monitoring`.

The core's limits are fixed when an execution is created; legacy ones change on the way (`set_timeout`, `extend_timeout`) and
their times can be set back by hand. So they are judged here, as the core judges its own: a thread sleeps until the next
limit, a sweep costs O(passed), time limits and silence are told apart, and the one that passed first counts. The core's
own limit stands behind, for whatever happens here.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from itertools import count
from typing import Final
from weakref import ReferenceType, ref

from ._life import NEVER, Life
from ._refusals import logger

_WORTH_A_PASS: Final = 1_024
_AGAIN_NS: Final = 1_000_000_000
"""When to look again at an execution whose end could not be recorded, in nanoseconds from now."""


class LimitWatch:
    """Hands every execution with a passed limit to a judge.

    Args:
        clock: The monotonic clock, in nanoseconds.
        judge: Called with the execution, outside of all locks; returns whether it has ended by that.
        threaded: Whether to watch by itself; with a clock that a test moves, `sweep` is called by hand.
    """

    def __init__(self, clock: Callable[[], int], judge: Callable[[Life], bool], *, threaded: bool) -> None:
        self._clock = clock
        self._judge = judge
        self._threaded = threaded
        self._lock = threading.Lock()
        self._heap: list[tuple[int, int, ReferenceType[Life]]] = []
        self._order = count()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._left = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, life: Life) -> None:
        """Have an execution looked at when its next limit passes. Call it again when a limit has come closer."""
        with self._lock:
            earlier = self._put(life) and self._threaded and not self._closed
            if earlier and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="runstate-legacy-limits", daemon=True)
                self._thread.start()
        if earlier:
            self._wake.set()

    def sweep(self) -> int:
        """End every execution with a limit that has passed by now; return how many.

        Raises:
            ExceptionGroup: What the judge raised; it was asked about all of them.
        """
        ended = 0
        errors: list[Exception] = []
        for life in self._due(now_ns := self._clock()):
            try:
                ended += self._judge(life)
            except Exception as error:  # noqa: BLE001 - one must not keep the others from their ends
                errors.append(error)
            if not life.retired:
                with self._lock:
                    self._put(life, now_ns + _AGAIN_NS)
        if errors:
            raise ExceptionGroup("limits could not be enforced", errors)
        return ended

    def forget_one(self) -> None:
        """An execution has ended: its place is dropped with those of others, in one pass."""
        with self._lock:
            self._left += 1

    def close(self, *, wait: bool = True) -> None:
        """Stop watching; *wait* until a sweep that is on its way is done."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        self._wake.set()
        if wait and thread is not None and thread is not threading.current_thread():
            thread.join()

    def _put(self, life: Life, when_ns: int | None = None) -> bool:
        when_ns = life.due_ns() if when_ns is None else when_ns
        first_ns = self._heap[0][0] if self._heap else NEVER
        heapq.heappush(self._heap, (when_ns, next(self._order), ref(life)))
        return when_ns < first_ns

    def _due(self, now_ns: int) -> list[Life]:
        """Take out what has come due. What has moved its limit since goes back, what has ended is dropped."""
        due: dict[str, Life] = {}
        with self._lock:
            if self._left > _WORTH_A_PASS and self._left * 2 > len(self._heap):
                self._left = 0
                self._heap[:] = [entry for entry in self._heap if (life := entry[2]()) is not None and not life.retired]
                heapq.heapify(self._heap)
            while self._heap and self._heap[0][0] <= now_ns:
                life = heapq.heappop(self._heap)[2]()
                if life is None or life.retired or life.execution_id in due:
                    continue
                if life.due_ns() > now_ns and not life.state.is_terminal:
                    self._put(life)
                else:
                    due[life.execution_id] = life
        return list(due.values())

    def _run(self) -> None:
        while not self._closed:
            with self._lock:
                next_ns = self._heap[0][0] if self._heap else NEVER
            left = None if next_ns == NEVER else max(0.0, min((next_ns - self._clock()) / 1e9, threading.TIMEOUT_MAX))
            self._wake.wait(left)
            self._wake.clear()
            if not self._closed:
                try:
                    self.sweep()
                except Exception:  # noqa: BLE001 - the watch must go on for all other executions
                    logger.exception("a sweep of the legacy limits failed; the next one goes on")
