"""Turns: what is late was held up, and for how long that excuses others."""

from __future__ import annotations

import pytest

from runstate._deadlines import NEVER
from runstate._turns import NOTICEABLE, Turns, lapsed_ns

MS = 1_000_000


def late_turn(last_ms: int, due_ms: int, taken_ms: int) -> Turns:
    """One turn taken at *last_ms*, and the next, due at *due_ms*, at *taken_ms*."""
    turns = Turns(last_ms * MS)
    turns.expect(due_ms * MS)
    turns.take(taken_ms * MS)
    return turns


@pytest.mark.parametrize(
    ("taken_ms", "lapses"),
    [
        (900, []),
        (1_000, []),
        (1_019, []),
        (1_020, [(980, 1_020)]),
        (1_300, [(700, 1_300)]),
        (9_000, [(0, 9_000)]),
    ],
)
def test_what_is_late_was_held_up(taken_ms: int, lapses: list[tuple[int, int]]) -> None:
    """A delay excuses itself and as much before it, up to the last turn; what comes in time excuses nothing."""
    turns = late_turn(0, 1_000, taken_ms)
    assert turns.lapses(20_000 * MS) == [(begin * MS, end * MS) for begin, end in lapses]
    assert (turns.last_ns, turns.due_ns) == (taken_ms * MS, NEVER)


def test_a_turn_that_is_still_due_counts_already() -> None:
    """Who asks before the late turn is taken is told the same as afterwards."""
    turns = Turns(0)
    turns.expect(1_000 * MS)
    assert turns.lapses(1_000 * MS + NOTICEABLE - 1) == []
    assert turns.lapses(5_000 * MS) == [(0, 5_000 * MS)]
    assert turns.late_ns(5_000 * MS) == 4_000 * MS
    turns.forget()
    assert turns.lapses(5_000 * MS) == []
    assert turns.late_ns(5_000 * MS) == 0


def test_a_steady_small_delay_excuses_little() -> None:
    """A hundred turns a second apart, each 100 ms late, excuse a fifth of the time and no more."""
    turns, now_ms = Turns(0), 0
    for _ in range(100):
        turns.expect((now_ms + 1_000) * MS)
        now_ms += 1_100
        turns.take(now_ms * MS)
    assert lapsed_ns(0, now_ms * MS, turns) == 100 * 200 * MS


def test_only_what_was_held_up_since_counts() -> None:
    """Lapses count from the moment asked for, and what several were held up by at once counts once."""
    one, other = late_turn(0, 1_000, 5_000), late_turn(3_000, 4_000, 8_000)
    assert lapsed_ns(0, 9_000 * MS, one) == 5_000 * MS
    assert lapsed_ns(4_500 * MS, 9_000 * MS, one) == 500 * MS
    assert lapsed_ns(6_000 * MS, 9_000 * MS, one) == 0
    assert lapsed_ns(0, 9_000 * MS, one, other) == 8_000 * MS
    assert lapsed_ns(0, 9_000 * MS) == 0
