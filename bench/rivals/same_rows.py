"""Makes sure that the two sides of a comparison have written the same rows, so that neither is ahead by doing less."""

from __future__ import annotations

import sqlite3
from pathlib import Path

_FREE = {"number", "execution_id", "worker", "position", "at_ns", "created_at_ns", "updated_at_ns", "evidence_json"}
"""Columns whose values differ between any two executions; that both or neither are NULL still counts."""


def newest_life(path: Path) -> list[tuple[tuple[str, object], ...]]:
    """Describe all rows of the newest execution in a journal."""
    with sqlite3.connect(path) as connection:
        connection.row_factory = sqlite3.Row
        number = connection.execute("SELECT max(number) FROM executions").fetchone()[0]
        rows = [
            *connection.execute("SELECT * FROM executions WHERE number = ?", (number,)),
            *connection.execute("SELECT * FROM entries WHERE number = ? ORDER BY seq", (number,)),
        ]
    connection.close()
    return [
        tuple((name, row[name] is None if name in _FREE else row[name]) for name in row.keys())  # noqa: SIM118
        for row in rows
    ]


def assert_same(ours: Path, theirs: Path) -> None:
    """Compare the newest execution of two journals.

    Raises:
        AssertionError: They differ in more than names and times.
    """
    mine, other = newest_life(ours), newest_life(theirs)
    if mine != other:
        raise AssertionError(f"not the same rows, so not a fair comparison:\n{mine}\n{other}")
