"""Durable blocks one after the other against SQLite by hand: the same rows, pragmas and number of commits."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench.pairs import Row, paired
from bench.rivals import runstate_tracker, sqlite_by_hand
from bench.rivals.same_rows import assert_same

LIVES = 10


def measure(folder: Path) -> list[Row]:
    """Measure the row."""
    with runstate_tracker.durable_lives(folder) as ours, sqlite_by_hand.durable_lives(folder) as theirs:
        ratio = paired(lambda: partial(ours, LIVES), lambda: partial(theirs, LIVES), operations=LIVES, pairs=151)
    assert_same(folder / "runstate.db", folder / "by-hand.db")
    return [Row.cost("durable_life", ratio)]
