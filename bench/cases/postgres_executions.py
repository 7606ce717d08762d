"""Executions that do nothing, as many a second as one process can make durable on one PostgreSQL server: ours, DBOS's, Procrastinate's.

Each has a process, a database and the server's time of its own, and does it in the fastest of the ways that its documentation names:

- ours: 256 tasks on one event loop, each of which opens `tracker.execution(…)` again and again. Creation, move to RUNNING, end
  and result are durable, in two commits, which many tasks share.
- DBOS: a workflow called in four threads, twice as fast as one after the other and three times as its queue. Its start, end and result
  are durable, in a transaction each.
- Procrastinate: jobs deferred in one statement (`batch_defer`), done by a worker with concurrency 30. That a job is there, is
  begun and is done is durable; it keeps no results. It is timed from deferring to the last job's end.

They do more than we do: both find work that a process has left, and do it again. What is compared is what it costs to know
durably, of every execution, that it began and how it ended.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import runstate
from bench.pairs import Row, paired
from bench.rivals import runstate_tracker
from bench.rivals.apart import apart
from bench.server import server

TASKS = 256
OURS, DBOS, PROCRASTINATE = 12 * TASKS, 400, 400
"""Executions timed together: for each about half a second's worth."""


def measure(folder: Path) -> list[Row]:
    """Measure both rows."""
    with server() as own, runstate.open(own.empty_database()) as tracker, asyncio.Runner() as runner:

        def ours() -> None:
            runner.run(runstate_tracker.durable_tasks(tracker, TASKS, OURS))

        rows = []
        for gate, module, count in (
            ("postgres_dbos", "bench.rivals.dbos_workflow", DBOS),
            ("postgres_procrastinate", "bench.rivals.procrastinate_jobs", PROCRASTINATE),
        ):
            with apart(module, "executions", own.empty_database()) as theirs:
                work = partial(theirs, count)
                ratio = paired(lambda: ours, lambda work=work: work, operations=(OURS, count), pairs=9)
            notes = {"executions a second, ours": round(1 / ratio.ours), "theirs": round(1 / ratio.theirs)}
            rows.append(Row.speed(gate, ratio, **notes))
    return rows
