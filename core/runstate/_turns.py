"""Whether something takes its turn when it should: an event loop, or the thread that watches over limits.

Whoever is silent may be dead, or may just not have been let run: its loop was blocked, the GIL was held by a call into C, the process
was stopped, the machine swapped. No clock tells these apart, but punctuality does. Something that has a turn to take at a known time
and takes it late was held up, and so was all that depends on it: that time, a *lapse*, is nobody's silence.

A lapse begins at an unknown moment before the missed turn, after the last one taken. What comes late by *d* is therefore excused for
*d* before its turn as well, but never for the time before the last turn. So a single long pause is excused as a whole, and a steady
small delay, as on a machine under load, excuses little: a limit is stretched by it, and still passes.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from ._deadlines import NEVER

NOTICEABLE: Final = 20_000_000
"""Nanoseconds below which a delay is none: a thread that waits for the GIL among others that work."""
_KEPT: Final = 1_024

Lapse = tuple[int, int]
"""Its beginning and its end, by the monotonic clock."""


class Turns:
    """The turns that one thing takes. One thread expects them, one takes them, any may ask.

    Args:
        now_ns: The monotonic clock now, which counts as a turn.
    """

    __slots__ = ("_lapses", "due_ns", "last_ns")

    def __init__(self, now_ns: int) -> None:
        self.last_ns: int = now_ns
        """When the last turn was taken."""
        self.due_ns: int = NEVER
        """When the next one is; `NEVER` while none is expected."""
        self._lapses: deque[Lapse] = deque(maxlen=_KEPT)  # what is forgotten excuses nobody any more

    def expect(self, due_ns: int) -> None:
        """The next turn is to be taken at *due_ns*."""
        self.due_ns = due_ns

    def take(self, now_ns: int) -> None:
        """It is taken now."""
        lapse = self._lapse(now_ns)
        if lapse is not None:
            self._lapses.append(lapse)  # first: whoever asks meanwhile sees it twice, and not never
        self.due_ns = NEVER
        self.last_ns = now_ns

    def forget(self) -> None:
        """Expect nothing any more: there is nobody to take a turn."""
        self.due_ns = NEVER

    def late_ns(self, now_ns: int) -> int:
        """By how many nanoseconds the turn that is due is late; 0 when none is."""
        return max(0, now_ns - self.due_ns)

    def lapses(self, now_ns: int) -> list[Lapse]:
        """The lapses so far, the present one among them."""
        present = self._lapse(now_ns)
        past = list(self._lapses)  # one call into C, during which nobody appends
        return past if present is None else [*past, present]

    def _lapse(self, now_ns: int) -> Lapse | None:
        due_ns = self.due_ns
        late_ns = now_ns - due_ns
        return None if late_ns < NOTICEABLE else (max(self.last_ns, due_ns - late_ns), now_ns)


def lapsed_ns(since_ns: int, now_ns: int, *turns: Turns) -> int:
    """For how many nanoseconds since *since_ns* at least one of them was held up."""
    reached_ns, total_ns = since_ns, 0
    for begin_ns, end_ns in sorted(lapse for one in turns for lapse in one.lapses(now_ns)):
        if end_ns > reached_ns:
            total_ns += end_ns - max(begin_ns, reached_ns)
            reached_ns = end_ns
    return total_ns
