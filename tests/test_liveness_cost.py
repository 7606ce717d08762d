"""What it costs to stay alive for the others: rows written, counted by triggers on every table of the journal."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from runstate import ExecutionTracker, Limits
from runstate.journal import Journal
from runstate.journal.postgres import PostgresJournal
from runstate.journal.sqlite import SqliteJournal

from . import cluster
from .clock import FakeClock

LEASE = 10.0
STEP = 0.1
"""Seconds between two turns of the liveness thread and two heartbeats of every execution."""

Tally = Callable[[], Counter[str]]
"""Rows written so far, by table."""


def _on_sqlite(directory: Path) -> tuple[Journal, Tally]:
    path = directory / "journal.db"
    journal = SqliteJournal(path)
    with sqlite3.connect(path) as raw:
        tables = [
            name
            for (name,) in raw.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
        ]
        raw.execute("CREATE TABLE tally (name TEXT)")
        for table in tables:
            for change in ("INSERT", "UPDATE", "DELETE"):
                raw.execute(
                    f"CREATE TRIGGER tally_{table}_{change} AFTER {change} ON {table} BEGIN INSERT INTO tally VALUES ('{table}'); END"
                )
    raw.close()

    def tally() -> Counter[str]:
        with sqlite3.connect(path) as raw:
            rows = Counter[str](name for (name,) in raw.execute("SELECT name FROM tally"))
        raw.close()
        return rows

    return journal, tally


def _on_postgres(directory: Path) -> tuple[Journal, Tally]:
    url = cluster.server().journal()
    journal = PostgresJournal(url)
    with cluster.server().connect(url) as raw:
        tables = [name for (name,) in raw.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'runstate'")]
        raw.execute("CREATE TABLE public.tally (name text)")
        raw.execute(
            "CREATE FUNCTION public.count() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS "
            "'BEGIN INSERT INTO public.tally VALUES (TG_TABLE_NAME); RETURN NULL; END'"
        )
        for table in tables:
            raw.execute(
                f"CREATE TRIGGER tally AFTER INSERT OR UPDATE OR DELETE ON runstate.{table} FOR EACH ROW EXECUTE FUNCTION public.count()".encode()
            )

    def tally() -> Counter[str]:
        with cluster.server().connect(url) as raw:
            return Counter(name for (name,) in raw.execute("SELECT name FROM public.tally"))

    return journal, tally


def _rows_of_a_lease(store: Callable[[Path], tuple[Journal, Tally]], directory: Path, executions: int) -> Counter[str]:
    """Rows that a worker writes within one lease, with so many executions that run and send a heartbeat with each step."""
    directory.mkdir()
    journal, tally = store(directory)
    clock = FakeClock()
    with ExecutionTracker(journal, clock=clock, lease=LEASE, limits=Limits()) as tracker:
        liveness = tracker._member.liveness
        assert liveness is not None
        running = []
        for number in range(executions):
            running.append(tracker.create(agent="a", thread_id="t", user_id="u", heartbeat_timeout=60.0).start().run())
            if number % 1_000 == 0:
                tracker.flush()
        tracker.flush()
        liveness.turn(0.0)
        before = tally()
        assert before["entries"] == 3 * executions  # what is counted is what is written
        for _ in range(round(LEASE / STEP)):
            clock.advance(STEP)
            for execution in running:
                execution.heartbeat()
            tracker.sweep()
            liveness.turn(0.0)
        tracker.flush()
        return tally() - before


@pytest.mark.parametrize("store", [_on_sqlite, _on_postgres])
def test_a_worker_with_10_000_executions_writes_the_rows_of_one_with_10(
    store: Callable[[Path], tuple[Journal, Tally]], tmp_path: Path
) -> None:
    """Within one lease both write their own worker's row some ten times, and nothing else, though every execution sends heartbeats."""
    few, many = (_rows_of_a_lease(store, tmp_path / str(count), count) for count in (10, 10_000))
    assert many == few
    assert few.keys() == {"workers"}
    assert 4 <= few["workers"] <= LEASE / 0.8
