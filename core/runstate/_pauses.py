"""How long to wait until what has failed is tried again: each time twice as long, up to a limit, and never all at once.

The chance is the system's: a program that has seeded Python's own `random`, such as a test that is to be replayed, finds it as it
left it.
"""

from __future__ import annotations

import random
from typing import Final

FIRST_PAUSE: Final = 0.25
"""Seconds after the first failure until the second attempt."""
LONGEST_PAUSE: Final = 60.0
"""Seconds between two attempts at most, before jitter."""
JITTER: Final = (0.75, 1.25)
"""What a pause is multiplied by, so that many that failed together are not tried together."""

_chance: Final = random.SystemRandom()


def pause_after(attempt: int) -> float:
    """Choose the seconds to wait after an attempt, counted from 1, has failed."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt - 1, 30)) * _chance.uniform(*JITTER)
