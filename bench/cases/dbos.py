"""Durable blocks one after the other against a DBOS workflow that does nothing, both on SQLite."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench.pairs import Row, paired
from bench.rivals import runstate_tracker
from bench.rivals.apart import apart

LIVES = 5


def measure(folder: Path) -> list[Row]:
    """Measure the row."""
    with (
        runstate_tracker.durable_lives(folder) as ours,
        apart("bench.rivals.dbos_workflow", "durable_lives", folder) as theirs,
    ):
        ratio = paired(lambda: partial(ours, LIVES), lambda: partial(theirs, LIVES), operations=LIVES, pairs=101)
    return [Row.speed("dbos", ratio)]
