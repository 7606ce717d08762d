"""Where a storm's journal is: an SQLite file, or a PostgreSQL server of our own, with a link to it for each worker."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

import psycopg

import runstate
from runstate.journal import Fleet
from runstate.journal.postgres import PostgresJournal
from runstate.journal.sqlite import SqliteJournal

from .. import cluster
from .network import Link, Network

MEGABYTE = 1 << 20
WITHOUT_TLS = "gssencmode=disable&sslmode=disable"
GROWS_TO = {"max_wal_size": "64MB", "min_wal_size": "32MB", "checkpoint_timeout": "30s", "autovacuum": "on"}
"""Settings of a server that is small, but looked after like one in production."""


class Place(Protocol):
    """One journal, and how to get there."""

    name: str
    url: str
    """The straight way, for who watches."""
    wal_limit: int
    """Bytes that its log of changes may take, however long it is written to."""
    links: list[Link]
    """The links that can fail, one for each worker; none where there is no network."""

    def way(self, slot: int) -> str:
        """The URL for one worker."""
        ...

    def journal(self) -> Fleet:
        """Open the journal, by the straight way."""
        ...

    def wal_bytes(self) -> int:
        """How much its log of changes takes now."""
        ...

    def findings(self) -> list[str]:
        """All that is wrong with the journal."""
        ...


class SqlitePlace:
    """A file in a folder of its own, on a disk."""

    name = "sqlite"
    wal_limit = 64 * MEGABYTE

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.db"
        self.url = str(self.path)
        self.links: list[Link] = []

    def way(self, slot: int) -> str:
        """The file."""
        return self.url

    def journal(self) -> Fleet:
        """Open the file."""
        return SqliteJournal(self.path)

    def wal_bytes(self) -> int:
        """Size of the file beside the file."""
        try:
            return self.path.with_name(f"{self.path.name}-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def findings(self) -> list[str]:
        """Ask `runstate.verify`."""
        return [str(finding) for finding in runstate.verify(self.path)]

    @contextmanager
    def locked(self) -> Generator[None]:
        """Hold the write lock, as a program that is no worker might."""
        with closing(sqlite3.connect(self.path, isolation_level=None, timeout=60.0)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")


class PostgresPlace:
    """A database on a server of our own, which can be crashed.

    Args:
        server: The server.
        network: What leads to it.
        workers: How many links.
    """

    name = "postgres"
    wal_limit = 512 * MEGABYTE

    def __init__(self, server: cluster.Cluster, network: Network, workers: int) -> None:
        self.server = server
        self.url = server.journal()
        self.links = [network.link() for _ in range(workers)]
        server.execute(f"ALTER ROLE runstate PASSWORD '{cluster.PASSWORD}'")
        server.execute(*(f"ALTER SYSTEM SET {name} = '{value}'" for name, value in GROWS_TO.items()))
        server.execute("SELECT pg_reload_conf()")

    def way(self, slot: int) -> str:
        """By TCP, through the worker's own link."""
        direct = self.server.tcp_url_of(self.url)
        return f"{direct.replace(f':{self.server.port}/', f':{self.links[slot].port}/')}?{WITHOUT_TLS}"

    def journal(self) -> Fleet:
        """Connect to the database."""
        return PostgresJournal(self.url)

    def restart(self) -> None:
        """Crash the server and start it again."""
        self.server.restart()

    def wal_bytes(self) -> int:
        """Size of the server's log; 0 while it does not answer."""
        try:
            with self.server.connect() as connection:
                row = connection.execute("SELECT sum(size)::bigint FROM pg_ls_waldir()").fetchone()
        except psycopg.OperationalError:
            return 0
        return 0 if row is None else int(row[0])

    def findings(self) -> list[str]:
        """Ask `runstate.verify`."""
        return [str(finding) for finding in runstate.verify(self.url)]


@contextmanager
def place(name: str, workers: int) -> Generator[Place]:
    """Make a place, and remove it afterwards.

    Args:
        name: `sqlite` or `postgres`.
        workers: How many links it shall have, if there is a network.

    Raises:
        LookupError: There is no PostgreSQL on this machine; says how to get one.
    """
    if name == "sqlite":
        folder = Path(tempfile.mkdtemp(prefix="runstate-chaos-"))
        try:
            yield SqlitePlace(folder)
        finally:
            shutil.rmtree(folder)
        return
    with own_server() as server, Network("127.0.0.1", server.port) as network:
        yield PostgresPlace(server, network, workers)


@contextmanager
def own_server() -> Generator[cluster.Cluster]:
    """A server that nobody else uses."""
    found = cluster.binaries()
    if found is None:
        raise LookupError(cluster.HOW)
    server = cluster.Cluster(found)
    try:
        yield server
    finally:
        server.close()
        server.stop()
