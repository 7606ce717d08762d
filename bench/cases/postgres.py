"""The PostgreSQL journal against statements written by hand: one durable end, and the moves of four workers at once.

The end is timed on one connection of the same settings for both: ours is a call of the journal, theirs one statement with the same
compare-and-set. The workers are processes of their own; ours make their moves in 64 tasks and wait until all are durable, theirs
insert the same rows in whole batches, without the order of positions that makes ours commit one after the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from bench.pairs import Row, paired
from bench.rivals import postgres_by_hand, runstate_tracker
from bench.rivals.runstate_worker import MOVES
from bench.server import server, team
from runstate import Cause, Created, Evidence, ExecutionState, Transition
from runstate.journal.postgres import PostgresJournal

WORKERS = 4
ENTRIES = postgres_by_hand.BATCH * runstate_tracker.ENTRIES
_EVIDENCE = Evidence("owner", 0, 1e-05)
_numbers = count(1)


def measure(folder: Path) -> list[Row]:
    """Measure both rows."""
    with server() as own:
        url = own.empty_database()
        journal = PostgresJournal(url)
        writer = journal._writer
        assert writer is not None
        writer.execute(postgres_by_hand.SCHEMA)
        end = paired(
            lambda: _durable_end(journal), lambda: postgres_by_hand.durable_end(writer), operations=1, pairs=1501
        )
        journal.close()
        with (
            team("bench.rivals.runstate_worker", url, MOVES, workers=WORKERS) as ours,
            team("bench.rivals.postgres_by_hand", url, workers=WORKERS) as theirs,
        ):
            moves = paired(lambda: ours, lambda: theirs, operations=WORKERS * ENTRIES, pairs=25)
    notes = {"moves a second, ours": round(1 / moves.ours), "moves a second, theirs": round(1 / moves.theirs)}
    return [Row.cost("postgres_end", end), Row.speed("postgres_moves", moves, **notes)]


def _durable_end(journal: PostgresJournal) -> Callable[[], None]:
    """Make an execution that runs; return what ends it durably."""
    name, at = f"ours-{next(_numbers)}", time.time_ns()
    journal.append(
        [
            Created(name, 1, at, "airline", "t-1", "u-1", "w", 25.0, None, None),
            Transition(name, 2, at, ExecutionState.PENDING, ExecutionState.RUNNING, "w"),
        ]
    )
    source, target = ExecutionState.RUNNING, ExecutionState.COMPLETED
    result = b'{"text":"Your seat is booked."}'
    return lambda: journal.append(
        [Transition(name, 3, time.time_ns(), source, target, "w", Cause.RETURNED, _EVIDENCE, None, result)]
    )
