"""A sweep with a million live executions, none expired, against one with a thousand: it must not look at each."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from pathlib import Path

from bench.pairs import Prepare, Row, duration, paired
from runstate import Entry, Event, ExecutionRecord, ExecutionTracker

MANY = 1_000_000
FEW = 1_000
SWEEPS = 1_000


class NoJournal:
    """Keeps nothing: a million executions stay in the tracker alone."""

    def append(self, batch: Sequence[Entry], /) -> None:
        """Forget the batch."""

    def read(self, after: int, limit: int, selection: object, /) -> Sequence[Event]:
        """Nothing was kept."""
        return []

    def executions(self, selection: object, limit: int, /) -> Sequence[ExecutionRecord]:
        """Nothing was kept."""
        return []

    def close(self) -> None:
        """Nothing is open."""


class HeldClock:
    """A clock that the case holds, so that only its own sweeps take place and nothing expires."""

    def __init__(self) -> None:
        self.now_ns = time.monotonic_ns()

    def monotonic_ns(self) -> int:
        """The time held."""
        return self.now_ns

    def time_ns(self) -> int:
        """The wall clock."""
        return time.time_ns()


def tracker_with(live: int) -> ExecutionTracker:
    """A tracker with that many running executions, all with a time limit and a heartbeat limit, swept once."""
    tracker = ExecutionTracker(NoJournal(), clock=HeldClock())
    for number in range(live):
        if not number % 10_000:
            tracker.flush()
        tracker.create(agent="airline", thread_id="t-1", user_id="u-1", timeout=3_600.0, heartbeat_timeout=600.0).run()
    tracker.flush()
    tracker.sweep()
    return tracker


def measure(_: Path) -> list[Row]:
    """Measure the row."""
    gc.disable()
    begin = time.perf_counter()
    many, few = tracker_with(MANY), tracker_with(FEW)
    built = time.perf_counter() - begin
    gc.enable()
    ratio = paired(_our_sweeps(many), _their_sweeps(few), operations=SWEEPS, pairs=101)
    if (many.statistics().live, few.statistics().live) != (MANY, FEW):
        raise AssertionError("an execution ended; none should have")
    return [Row.cost("sweep", ratio, **{"creating them took": duration(built)})]


# A function for each side, as in the heartbeat case.
def _our_sweeps(tracker: ExecutionTracker) -> Prepare:
    def work() -> None:
        for _ in range(SWEEPS):
            tracker.sweep()

    return lambda: work


def _their_sweeps(tracker: ExecutionTracker) -> Prepare:
    def work() -> None:
        for _ in range(SWEEPS):
            tracker.sweep()

    return lambda: work
