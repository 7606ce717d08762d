"""SQLite by hand: the rows that runstate writes, in runstate's schema, with its pragmas and its commits, and nothing else.

No checks, no threads, no typed records: the floor of what the journal can cost. It even numbers executions itself, which
only a single writer may.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count as counter
from pathlib import Path

from runstate.journal.sqlite import SqliteJournal

BATCH = 768
"""Executions in one transaction of `sustained_moves`: 3,840 entries."""

_EXECUTION = """
INSERT INTO executions (number, execution_id, agent, thread_id, user_id, worker, created_at_ns, updated_at_ns, timeout)
VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?)
"""
_ENTRY = """
INSERT INTO entries (number, seq, at_ns, worker, source, target, cause, evidence_json, result_json)
VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?)
"""
_RESULT = {"text": "Your seat is booked."}


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    SqliteJournal(path).close()  # makes the schema, with its triggers
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("INSERT INTO workers (incarnation) VALUES ('by hand')")
        yield connection
    finally:
        connection.close()


def _evidence(beats: int) -> str:
    return json.dumps({"observer": "owner", "beats": beats, "last_beat_age": 1e-05}, separators=(",", ":"))


@contextmanager
def durable_lives(folder: Path) -> Iterator[Callable[[int], None]]:
    """Two transactions for each execution: creation with the move to RUNNING, then the end."""
    with _opened(folder / "by-hand.db") as connection:
        execute = connection.execute
        numbers = counter(1)

        def batch(count: int) -> None:
            for _ in range(count):
                number = next(numbers)
                now = time.time_ns()
                execute("BEGIN IMMEDIATE")
                execute(_EXECUTION, (number, f"{number:036x}", "airline", "t-1", "u-1", now, now, 25.0))
                execute(_ENTRY, (number, 1, now, None, "pending", None, None, None))
                execute(_ENTRY, (number, 2, now, "pending", "running", None, None, None))
                execute("COMMIT")
                now = time.time_ns()
                result = json.dumps(_RESULT, separators=(",", ":"))
                execute("BEGIN IMMEDIATE")
                execute(_ENTRY, (number, 3, now, "running", "completed", "returned", _evidence(0), result))
                execute("COMMIT")

        yield batch


@contextmanager
def sustained_moves(folder: Path) -> Iterator[Callable[[int], None]]:
    """`executemany` of thousands of entries in one transaction, in the order in which 64 tasks would make them."""
    with _opened(folder / "by-hand.db") as connection:
        numbers = counter(1)

        def batch(count: int) -> None:
            for done in range(0, count, BATCH):
                executions = []
                entries = []
                for wave in range(done, min(done + BATCH, count), 64):
                    mine = [next(numbers) for _ in range(min(64, count - wave))]
                    now = time.time_ns()
                    executions += [
                        (number, f"{number:036x}", "airline", "t-1", "u-1", now, now, 25.0) for number in mine
                    ]
                    entries += [(number, 1, now, None, "pending", None, None, None) for number in mine]
                    entries += [(number, 2, now, "pending", "starting", None, None, None) for number in mine]
                    entries += [(number, 3, now, "starting", "running", None, None, None) for number in mine]
                    entries += [(number, 4, now, "running", "completing", None, None, None) for number in mine]
                    for number in mine:
                        result = json.dumps(_RESULT, separators=(",", ":"))
                        entries.append((number, 5, now, "completing", "completed", "returned", _evidence(0), result))
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(_EXECUTION, executions)
                connection.executemany(_ENTRY, entries)
                connection.execute("COMMIT")

        yield batch
