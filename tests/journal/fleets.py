"""The stores that several processes share, as the fleet's tests need them. Another joins every test by one more line in `FLEETS`."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from runstate import Cause, Entry, ExecutionRecord, ExecutionState, JournalConflictError, Limits, Transition
from runstate._fleet import Worker
from runstate._records import Selection
from runstate.journal import Fleet, Journal
from runstate.journal.postgres import PostgresJournal
from runstate.journal.sqlite import SqliteJournal

from .. import cluster
from ..clock import SECOND, FakeClock
from .entries import EVIDENCE, OTHER_WORKER, START_NS, moved
from .servers import execute

LEASE = 10.0
"""Seconds for which the tests' leases are good."""


class SharedStore(Protocol):
    """One place that holds at most one journal's data, and whose time a test can let pass."""

    name: str
    place: str
    """Where another process finds it, by `reopened`."""

    def journal(self, limits: Limits | None = None) -> Fleet:
        """Open the journal, as one process of several."""
        ...

    def let_pass(self, seconds: float) -> None:
        """Make all that was renewed so far be renewed that much earlier, by the store's clock."""
        ...


class SqliteFleetStore:
    """An SQLite file whose openings share a clock that stands still."""

    name = "sqlite"

    def __init__(self, directory: Path) -> None:
        self.path = directory / "journal.db"
        self.place = str(self.path)
        self.clock = FakeClock()

    def journal(self, limits: Limits | None = None) -> Fleet:
        """Open the file."""
        return SqliteJournal(self.path, limits, clock=self.clock)

    def let_pass(self, seconds: float) -> None:
        """Advance the clock."""
        self.clock.advance(seconds)


class PostgresFleetStore:
    """A PostgreSQL database whose clock stands still."""

    name = "postgres"

    def __init__(self, directory: Path) -> None:
        server = cluster.server()
        self.place = server.journal()
        weakref.finalize(self, server.drop, self.place).atexit = False
        execute(
            self.place,
            "CREATE TABLE public.clock (ns bigint)",
            f"INSERT INTO public.clock VALUES ({START_NS})",
            "CREATE OR REPLACE FUNCTION runstate.now_ns() RETURNS bigint LANGUAGE sql AS 'SELECT ns FROM public.clock'",
        )

    def journal(self, limits: Limits | None = None) -> Fleet:
        """Connect to the database."""
        return PostgresJournal(self.place, limits)

    def let_pass(self, seconds: float) -> None:
        """Advance the clock."""
        execute(self.place, f"UPDATE public.clock SET ns = ns + {round(seconds * SECOND)}")


FLEETS: dict[str, Callable[[Path], SharedStore]] = {"sqlite": SqliteFleetStore, "postgres": PostgresFleetStore}


def reopened(name: str, place: str) -> Fleet:
    """The journal of a store, opened in another process, where time passes."""
    return SqliteJournal(place) if name == "sqlite" else PostgresJournal(place)


class Pair(NamedTuple):
    """A journal opened twice, by a worker and by another, both joined."""

    one: Fleet
    other: Fleet


def record(journal: Journal, execution_id: str) -> ExecutionRecord:
    """The record of an execution."""
    (found,) = journal.executions(Selection(execution_id=execution_id), 1)
    return found


def log(journal: Journal, execution_id: str) -> Sequence[Entry]:
    """The log of an execution."""
    return [event.entry for event in journal.read(0, 1_000, Selection(execution_id=execution_id)).events]


def found(journal: Fleet, incarnation: str) -> Worker:
    """A worker that the journal must know."""
    worker = journal.worker(incarnation)
    assert worker is not None
    return worker


def refused(journal: Journal, *entries: Entry) -> tuple[str, ...]:
    """The executions whose entries an append refuses; none when it takes all."""
    try:
        journal.append(entries)
    except JournalConflictError as conflict:
        return conflict.execution_ids
    return ()


def burial(
    execution_id: str,
    source: ExecutionState = ExecutionState.RUNNING,
    target: ExecutionState = ExecutionState.DEAD,
    seq: int = 3,
) -> Transition:
    """The end that OTHER_WORKER gives to an execution of WORKER's."""
    cause = Cause.PROCESS_EXITED if target is ExecutionState.DEAD else Cause.CANCELLED_BY_CALLER
    return moved(execution_id, seq, source, target, incarnation=OTHER_WORKER, cause=cause, evidence=EVIDENCE)
