"""`run.heartbeat()` against a plain method with the same body: nothing is checked, so nothing may be paid."""

from __future__ import annotations

import time
from pathlib import Path

import runstate
from bench.pairs import Prepare, Row, paired

CALLS = 20_000


class _Clock:
    monotonic_ns = staticmethod(time.monotonic_ns)


class _Facts:
    __slots__ = ("beat_ns", "beats", "closed", "decider")

    def __init__(self) -> None:
        self.beat_ns = self.beats = 0
        self.closed = False
        self.decider = _Clock()


class Plain:
    """A handle that anybody could have written: asks whether it is over, takes the time, counts."""

    __slots__ = ("_live",)

    def __init__(self) -> None:
        self._live = _Facts()

    def heartbeat(self) -> None:
        """Take the time and count."""
        live = self._live
        if live.closed:
            raise RuntimeError("it has ended")
        live.beat_ns = live.decider.monotonic_ns()
        live.beats += 1


def measure(_: Path) -> list[Row]:
    """Measure the row."""
    plain = Plain()
    with runstate.open("memory:") as tracker:
        running = tracker.create(agent="airline", thread_id="t-1", user_id="u-1").run()
        tracker.flush()
        ratio = paired(_our_beats(running), _their_beats(plain), operations=CALLS, pairs=101)
        assert running.record.state is runstate.ExecutionState.RUNNING
    return [Row.cost("heartbeat", ratio)]


# A function for each side: one shared between them would see two classes at its call and be specialised for neither.
def _our_beats(handle: object) -> Prepare:
    def beat() -> None:
        for _ in range(CALLS):
            handle.heartbeat()

    return lambda: beat


def _their_beats(handle: object) -> Prepare:
    def beat() -> None:
        for _ in range(CALLS):
            handle.heartbeat()

    return lambda: beat
