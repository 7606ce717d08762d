"""What tests of the PostgreSQL journal do to a server behind the journal's back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from runstate import Entry
from runstate._records import Selection
from runstate.journal import Journal

from .. import cluster
from .doubles import PATIENCE

Raw = psycopg.Connection[Any]

TAKE_THE_PEN = "SELECT pg_advisory_xact_lock(1381322323, 1)"


def execute(url: str, *statements: str) -> list[Any]:
    """Run statements as any program could; return the rows of the last."""
    rows: list[Any] = []
    with cluster.server().connect(url) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
            rows = cursor.fetchall() if cursor.description else []
    return rows


def terminate(url: str, role: str) -> int:
    """Have the server end the connections of one role to a database; return how many there were."""
    return len(
        execute(
            url,
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            f"WHERE datname = current_database() AND application_name = 'runstate {role}'",
        )
    )


def wait_until(holds: Callable[[], object]) -> None:
    """Look again and again until something holds that must come to hold by itself."""
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, "it did not come to hold"
        time.sleep(0.005)


def entries_of(journal: Journal) -> list[Entry]:
    """Every entry that is stored."""
    return [event.entry for event in journal.read(0, 100_000, Selection()).events]


@contextmanager
def unkept(url: str) -> Iterator[Raw]:
    """A superuser's connection to a journal, in a transaction that is not kept."""
    with psycopg.connect(url) as connection:
        connection.execute("SET search_path = runstate")
        yield connection
        connection.rollback()


def dump(raw: Raw, tables: Iterable[str]) -> list[Any]:
    """Every row of these tables."""
    return [raw.execute(f"SELECT * FROM {table} ORDER BY 1".encode()).fetchall() for table in tables]
