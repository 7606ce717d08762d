"""Moves of 64 concurrent tasks, until all of them are durable, against `executemany` of the same rows by hand."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench.pairs import Row, paired
from bench.rivals import runstate_tracker, sqlite_by_hand
from bench.rivals.same_rows import assert_same

LIVES = 64 * 12


def measure(folder: Path) -> list[Row]:
    """Measure the row: our rate divided by theirs."""
    entries = LIVES * runstate_tracker.ENTRIES
    with runstate_tracker.sustained_moves(folder) as ours, sqlite_by_hand.sustained_moves(folder) as theirs:
        ratio = paired(lambda: partial(ours, LIVES), lambda: partial(theirs, LIVES), operations=entries, pairs=31)
    assert_same(folder / "runstate.db", folder / "by-hand.db")
    notes = {"moves a second, ours": round(1 / ratio.ours), "moves a second, theirs": round(1 / ratio.theirs)}
    return [Row.speed("sustained_moves", ratio, **notes)]
