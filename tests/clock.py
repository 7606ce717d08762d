"""A clock that stands still until a test moves it."""

from __future__ import annotations

SECOND = 1_000_000_000
"""Nanoseconds in a second."""


class FakeClock:
    """Satisfies `runstate.Clock`. Nothing expires by itself under it: advance it, then call `tracker.sweep()`."""

    def __init__(self, monotonic_ns: int = 5_000 * SECOND, time_ns: int = 1_800_000_000 * SECOND) -> None:
        self._monotonic_ns = monotonic_ns
        self._time_ns = time_ns

    def monotonic_ns(self) -> int:
        """Nanoseconds since an arbitrary start."""
        return self._monotonic_ns

    def time_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""
        return self._time_ns

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass on both clocks."""
        step = round(seconds * SECOND)
        self._monotonic_ns += step
        self._time_ns += step

    def step_wall(self, seconds: float) -> None:
        """Step the wall clock alone, as a correction by NTP does; may be negative."""
        self._time_ns += round(seconds * SECOND)
