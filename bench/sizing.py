"""What to plan with: `python -m bench.sizing` prints the constants that docs/fleet.md sizes a fleet by, as measured here.

Unlike the table of budgets these are absolute figures of this machine and its disk. Counts (rows, connections, updates) hold anywhere,
bytes nearly so, rates do not. Each line ends with the command that prints it alone.

An *execution* here is created, runs, changes its phase ten times and completes with a short result: 13 entries.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

import runstate
from bench.pairs import duration
from bench.rivals.runstate_worker import DURABLE, MOVES, SIZES
from bench.server import server, team
from runstate import Created, ExecutionTracker, Phase
from runstate.journal.postgres import PostgresJournal
from runstate.journal.sqlite import SqliteJournal

EXECUTIONS = 5_000
ONE_BY_ONE = 300
PHASES = list(Phase)
RESULT = {"text": "Your seat is booked."}
LOOKED_FOR = 8.0
"""Seconds for which a worker that does nothing is looked at."""
WORKERS = (10, 100, 1_000)
LIVE = (0, 10_000, 100_000)
"""How many look at each other, and live executions of all of them together meanwhile."""
LOOKS = 5
"""Looks of which the median is told."""
BATCHES = 6
"""How often each worker does its batch while the rate is measured."""

Figure = tuple[str, str]
"""A name and a value with its unit."""


def _lives(tracker: ExecutionTracker, count: int, *, each_move: bool = False) -> None:
    def settle() -> None:
        if each_move:
            tracker.flush()

    for number in range(count):
        running = tracker.create(agent="airline", thread_id=f"t-{number}", user_id=f"u-{number}", timeout=25.0).run()
        settle()
        for step in range(10):
            running.phase(PHASES[step % len(PHASES)], "get_user_details")
            settle()
        running.complete(RESULT)
        settle()
        if number % 200 == 0:
            tracker.flush()
    tracker.flush()


def _written() -> int:
    """Bytes that this process has handed to the kernel."""
    return int(Path("/proc/self/io").read_text().split("wchar: ")[1].split()[0])


class Sqlite:
    """A journal in a file, which the tracker's own process writes."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.url = str(folder / "runstate.db")

    def size(self) -> Iterator[Figure]:
        """Rows and bytes of an execution."""
        before = _written()
        with runstate.open(self.url) as tracker:
            _lives(tracker, EXECUTIONS)
        written = _written() - before
        with sqlite3.connect(self.url) as connection:
            for table in ("executions", "entries"):
                rows = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                yield f"rows in {table}, an execution", f"{rows / EXECUTIONS:.1f}"
        connection.close()
        yield "bytes on disk, an execution, all told", f"{Path(self.url).stat().st_size / EXECUTIONS:,.0f}"
        yield "bytes written, log and checkpoints, an execution, moves as they come", f"{written / EXECUTIONS:,.0f}"

    def connections(self) -> Iterator[Figure]:
        """Nothing to count."""
        yield from ()

    def vacuum(self) -> Iterator[Figure]:
        """Nothing to vacuum: pages of what is pruned are used again."""
        yield from ()


class Postgres:
    """A database on a server of our own."""

    name = "postgres"

    def __init__(self, url: str) -> None:
        self.url = url

    def _ask(self, *statements: str) -> list[Any]:
        rows: list[Any] = []
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
                rows = cursor.fetchall() if cursor.description else []
        return rows

    def _grown(self, work: Callable[[], None]) -> int:
        """Bytes of WAL that something writes."""
        begin = self._ask("SELECT pg_current_wal_lsn()")[0][0]
        work()
        return int(self._ask(f"SELECT pg_current_wal_lsn() - '{begin}'::pg_lsn")[0][0])

    def size(self) -> Iterator[Figure]:
        """Rows and bytes of an execution."""
        with runstate.open(self.url) as tracker:
            log = self._grown(lambda: _lives(tracker, EXECUTIONS))
        total = 0
        for table in ("executions", "entries"):
            name = f"runstate.{table}"
            ((rows, heap, indexes, all_told),) = self._ask(
                f"VACUUM {name}",
                f"SELECT (SELECT count(*) FROM {name}), pg_relation_size('{name}'), pg_indexes_size('{name}'), "
                f"pg_total_relation_size('{name}')",
            )
            total += all_told
            rest = all_told - heap - indexes
            yield f"rows in {table}, an execution", f"{rows / EXECUTIONS:.1f}"
            yield (
                f"bytes in {table}, an execution: heap + indexes + rest (TOAST, maps)",
                " + ".join(f"{part / EXECUTIONS:,.0f}" for part in (heap, indexes, rest)),
            )
        yield "bytes on disk, an execution, all told", f"{total / EXECUTIONS:,.0f}"
        yield "bytes of WAL, an execution, moves as they come", f"{log / EXECUTIONS:,.0f}"
        with runstate.open(self.url) as tracker:
            log = self._grown(lambda: _lives(tracker, ONE_BY_ONE, each_move=True))
        yield "bytes of WAL, an execution, a commit for each move", f"{log / ONE_BY_ONE:,.0f}"

    def connections(self) -> Iterator[Figure]:
        """Connections of one worker of two."""
        query = "SELECT application_name, count(*) FROM pg_stat_activity WHERE application_name LIKE 'runstate %' GROUP BY 1"
        with team("bench.rivals.runstate_worker", self.url, MOVES, workers=2) as work:
            work()
            time.sleep(4.0)  # until both have seen each other and watch
            found = {name.removeprefix("runstate "): count / 2 for name, count in self._ask(query)}
        kinds = ", ".join(f"{name} {count:g}" for name, count in sorted(found.items()))
        yield "connections of a worker, with a peer on this host", f"{sum(found.values()):g} ({kinds})"

    def vacuum(self) -> Iterator[Figure]:
        """Versions of rows that an execution leaves behind."""
        counters = (
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relid = 'runstate.executions'::regclass"
        )
        runstate.open(self.url).close()
        for name, count, each_move in (("as they come", EXECUTIONS, False), ("a commit each", ONE_BY_ONE, True)):
            updates, hot = self._counted(counters)
            with runstate.open(self.url) as tracker:
                _lives(tracker, count, each_move=each_move)
            after, after_hot = self._counted(counters)
            yield (
                f"dead rows in executions, an execution, moves {name}: all, of them heap-only",
                f"{(after - updates) / count:.1f}, {(after_hot - hot) / count:.1f}",
            )
        yield "dead rows in entries, an execution, until it is pruned", "0"

    def _counted(self, query: str) -> tuple[int, int]:
        time.sleep(2.0)  # a server process reports what it has counted at most once a second, and when it is idle
        rows = self._ask(query)
        return (rows[0][0], rows[0][1]) if rows else (0, 0)


Store = Sqlite | Postgres


def _rates(store: Store) -> Iterator[Figure]:
    """Executions and moves a second, by the number of workers."""
    for what, unit, size in ((MOVES, "moves", 5), (DURABLE, "executions, each durable at both ends,", 1)):
        for workers in (1, 2, 4):
            with team("bench.rivals.runstate_worker", store.url, what, workers=workers) as work:
                work()
                begin = time.perf_counter()
                for _ in range(BATCHES):
                    work()
                taken = time.perf_counter() - begin
            count = BATCHES * workers * size * SIZES[what]
            yield f"{unit} a second, {workers} worker{'s' * (workers > 1)}", f"{count / taken:,.0f}"


def _liveness(store: Store) -> Iterator[Figure]:
    """How often a worker that does nothing writes its row, and what it costs."""
    with runstate.open(store.url) as tracker, runstate.open(store.url, read_only=True) as looking:
        tracker.create(agent="airline", thread_id="t", user_id="u").cancel("sizing")
        tracker.flush()
        me = repr(tracker).split()[1]

        def renewed() -> int | None:
            return next(worker.renewed_at_ns for worker in looking.workers() if worker.incarnation == me)

        def look() -> None:
            nonlocal writes
            last, until = renewed(), time.monotonic() + LOOKED_FOR
            while time.monotonic() < until:
                time.sleep(0.05)
                newest = renewed()
                writes += newest != last
                last = newest

        writes = 0
        log = store._grown(look) if isinstance(store, Postgres) else look()
    yield "rows written a second by a worker to stay alive", f"{writes / LOOKED_FOR:.2f}"
    if log is not None:
        yield "bytes of WAL a second by a worker that does nothing", f"{log / LOOKED_FOR:,.0f}"


def _survey(store: Store, workers: int) -> Iterator[Figure]:
    """How long a worker's look at its peers takes, by how many there are and how much is live."""
    journal = SqliteJournal(store.url) if isinstance(store, Sqlite) else PostgresJournal(store.url)
    names = [f"worker-{number}" for number in range(workers)]
    for name in names:
        journal.join(name, 10.0)
    live = 0
    for wanted in LIVE:
        while live < wanted:
            at_once = min(4_000, wanted - live)
            journal.append([_created(number, names[number % workers]) for number in range(live, live + at_once)])
            live += at_once
        for _ in range(LOOKS):  # after which PostgreSQL keeps the plan
            journal.peers()
        times = []
        for _ in range(LOOKS):
            begin = time.perf_counter()
            found = len(journal.peers())
            times.append(time.perf_counter() - begin)
            if found != workers:
                raise AssertionError(f"{found} peers, not {workers}")
        yield (
            f"a look at {workers:,} workers with {wanted:,} live executions",
            f"{statistics.median(times) * 1e3:.2f} ms",
        )
    journal.close()


def _created(number: int, incarnation: str) -> Created:
    return Created(f"x-{number}", 1, time.time_ns(), "airline", f"t-{number}", "u", incarnation, None, None, None)


Make = Callable[[], Store]
"""Makes an empty store."""
PARTS: dict[str, Callable[[Make], Iterator[Figure]]] = {
    "size": lambda make: make().size(),
    "rates": lambda make: _rates(make()),
    "connections": lambda make: make().connections(),
    "liveness": lambda make: _liveness(make()),
    "survey": lambda make: (figure for workers in WORKERS for figure in _survey(make(), workers)),
    "vacuum": lambda make: make().vacuum(),
}


@contextmanager
def _store(name: str) -> Iterator[Make]:
    """A way to make empty stores of a kind."""
    with tempfile.TemporaryDirectory(prefix="runstate-sizing-") as folder:
        if name == Sqlite.name:
            yield lambda: Sqlite(Path(tempfile.mkdtemp(dir=folder)))
        else:
            with server() as own:
                yield lambda: Postgres(own.empty_database())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.sizing", description=__doc__)
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], help="what to measure; everything if none is named")
    parser.add_argument(
        "--store", action="append", choices=[Sqlite.name, Postgres.name], help="where; both if not said"
    )
    options = parser.parse_args()
    begin = time.monotonic()
    print("| store | figure | measured | command |\n|---|---|---|---|")
    for name in options.store or [Sqlite.name, Postgres.name]:
        with _store(name) as make:
            for part in options.part or PARTS:
                for figure, value in PARTS[part](make):
                    print(
                        f"| {name} | {figure} | {value} | `python -m bench.sizing {part} --store {name}` |", flush=True
                    )
    print(f"\nmeasured in {duration(time.monotonic() - begin)}", file=sys.stderr)


if __name__ == "__main__":
    main()
