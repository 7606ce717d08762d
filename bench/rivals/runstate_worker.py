"""A worker of a fleet: for each line that it is given, it makes one batch durable. Its arguments are the journal, and of what."""

from __future__ import annotations

import asyncio
import sys

import runstate
from bench.rivals.postgres_by_hand import BATCH
from bench.rivals.runstate_tracker import durable_tasks, moves

MOVES = "moves"
"""64 tasks move executions until all is durable."""
DURABLE = "executions"
"""256 tasks go through blocks that are durable at their beginning and at their end."""
TASKS = 256
SIZES = {MOVES: BATCH, DURABLE: 4 * TASKS}
"""Executions in a batch."""

if __name__ == "__main__":
    _, place, what = sys.argv
    with runstate.open(place) as tracker, asyncio.Runner() as runner:
        for _ in sys.stdin:
            runner.run(moves(tracker, BATCH) if what == MOVES else durable_tasks(tracker, TASKS, SIZES[DURABLE]))
            print("done", flush=True)
