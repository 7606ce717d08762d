"""A clock that stands still until a test moves it."""

from __future__ import annotations

import math
from typing import Final
from weakref import WeakSet

from runstate import ExecutionTracker, InvalidValueError

SECOND: Final = 1_000_000_000
"""Nanoseconds in a second."""


class FakeClock:
    """Satisfies `runstate.Clock`. Time passes when a test says so, and the limits of the trackers that it drives pass with it.

    Args:
        monotonic_ns: Nanoseconds that the monotonic clock begins with.
        time_ns: Nanoseconds since the Unix epoch that the wall clock begins with.
    """

    def __init__(self, monotonic_ns: int = 5_000 * SECOND, time_ns: int = 1_800_000_000 * SECOND) -> None:
        self._monotonic_ns = monotonic_ns
        self._time_ns = time_ns
        self._driven: WeakSet[ExecutionTracker] = WeakSet()

    def monotonic_ns(self) -> int:
        """Nanoseconds since an arbitrary start."""
        return self._monotonic_ns

    def time_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""
        return self._time_ns

    def drive(self, tracker: ExecutionTracker) -> None:
        """Have every `advance` end what has outlived its limits. Without it, call `tracker.sweep()` after each.

        Args:
            tracker: One that was opened with this clock.
        """
        self._driven.add(tracker)

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks.

        Args:
            seconds: How much, 0 or more.

        Raises:
            InvalidValueError: *seconds* is negative or not finite: a monotonic clock never goes back.
        """
        if not (math.isfinite(seconds) and seconds >= 0):
            raise InvalidValueError("seconds", seconds, "0 or more; step_wall() steps the wall clock back")
        step = round(seconds * SECOND)
        self._monotonic_ns += step
        self._time_ns += step
        for tracker in list(self._driven):
            tracker.sweep()

    def step_wall(self, seconds: float) -> None:
        """Step the wall clock alone, as a correction by NTP does.

        Args:
            seconds: How much; negative steps it back.
        """
        self._time_ns += round(seconds * SECOND)
