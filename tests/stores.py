"""The stores that the tests run against, each as something that can be opened, closed and opened again.

Another store joins every test by one more line in `STORES`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from runstate import Limits
from runstate.journal import Journal
from runstate.journal.memory import MemoryJournal
from runstate.journal.postgres import PostgresJournal
from runstate.journal.sqlite import SqliteJournal

from . import cluster


class Store(Protocol):
    """One place that holds at most one journal's data."""

    name: str

    def journal(self, limits: Limits | None = None) -> Journal:
        """Open the journal; what an earlier one has stored is there again."""
        ...


class MemoryStore:
    """Keeps one journal object, which goes on holding everything after `close`. Limits count at the first opening."""

    name = "memory"

    def __init__(self, directory: Path) -> None:
        self._journal: MemoryJournal | None = None

    def journal(self, limits: Limits | None = None) -> Journal:
        """Return the one journal."""
        if self._journal is None:
            self._journal = MemoryJournal(limits)
        return self._journal


class SqliteStore:
    """A file that is opened anew each time."""

    name = "sqlite"

    def __init__(self, directory: Path) -> None:
        self.path = directory / "journal.db"

    def journal(self, limits: Limits | None = None) -> Journal:
        """Open the file."""
        return SqliteJournal(self.path, limits)


class PostgresStore:
    """A database of its own on the tests' server, which goes with this object."""

    name = "postgres"

    def __init__(self, directory: Path) -> None:
        server = cluster.server()
        self.url = server.journal()
        weakref.finalize(self, server.drop, self.url).atexit = False

    def journal(self, limits: Limits | None = None) -> Journal:
        """Connect to the database."""
        return PostgresJournal(self.url, limits)


EMBEDDED = ("memory", "sqlite")
"""The stores that need no server."""
STORES: dict[str, Callable[[Path], Store]] = {"memory": MemoryStore, "sqlite": SqliteStore, "postgres": PostgresStore}
