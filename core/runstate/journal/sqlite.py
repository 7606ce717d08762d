"""The journal in an SQLite file: durable, one file, no server.

The file is in WAL mode with full fsync, so when `append` returns the batch survives a crash of the process and of the
machine. Every write transaction begins IMMEDIATE: a deferred one that reads before it writes fails at once when
another process writes, whatever the busy timeout. Reads have a connection of their own and are bounded, because one long
read would keep the WAL from being checkpointed.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from weakref import WeakSet

from .._codec import encode_evidence
from .._errors import (
    JournalConflictError,
    JournalCorruptError,
    JournalError,
    JournalUnavailableError,
    JournalVersionError,
    SubscriptionLaggedError,
)
from .._records import Created, Entry, ExecutionRecord, Limits, PhaseChange, Selection, Transition
from .._states import INITIAL
from . import Page, _sql
from ._rows import Row, event_of, record_of

BUSY_TIMEOUT: Final = 5.0
"""Seconds to wait for another process's write."""
PRUNE_EVERY: Final = 60.0
"""Seconds between two looks for executions past their retention."""
PRUNE_AT_MOST: Final = 500
"""Executions removed in one look, so that no batch waits long for it."""

_open_journals: Final[WeakSet[SqliteJournal]] = WeakSet()


class SqliteJournal:
    """Keeps executions in one SQLite file.

    Args:
        path: The file; made if it is not there, unless *read_only*.
        limits: `retention` and `retained_executions` say what is kept.
        read_only: Open an existing file for reading only.

    Raises:
        JournalUnavailableError: It cannot be opened.
        JournalCorruptError: It is no runstate journal.
        JournalVersionError: A newer runstate has written it.
    """

    def __init__(self, path: str | os.PathLike[str], limits: Limits | None = None, *, read_only: bool = False) -> None:
        self.path: Path = Path(path)
        self._limits = limits if limits is not None else Limits()
        self._read_only = read_only
        self._read_lock = threading.Lock()
        self._append_lock = threading.Lock()
        self._workers: dict[str, int] = {}
        self._pruned_at_ns: int | None = None
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        with _translated(self.path):
            if not read_only:
                self._writer = self._connect()
            self._reader = self._connect(query_only=True)
            self._file = self._file_at_path()
        _open_journals.add(self)

    def __repr__(self) -> str:
        return f"<SqliteJournal {self.path}>"

    def append(self, batch: Sequence[Entry], /) -> None:
        """Store entries in order. See `Journal.append`."""
        if self._read_only:
            raise JournalUnavailableError(f"{self.path} was opened read-only; open it for writing to record anything")
        with self._append_lock, _translated(self.path):
            connection = self._writer = self._writer or self._connect()
            if connection.in_transaction:  # left open by an interrupt
                connection.execute("ROLLBACK")
            try:
                connection.execute("BEGIN IMMEDIATE")
                self._check_file()
                refused = self._add(connection, batch)
                self._prune(connection, batch)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._workers.clear()
                raise
        if refused:
            raise JournalConflictError(refused, "they do not continue what is stored")

    def read(self, after: int, limit: int, selection: Selection, /) -> Page:
        """Read events in order of position. See `Journal.read`."""
        parameters = {**_sql.parameters(selection), "after": after, "limit": limit}
        with self._reading() as connection:
            connection.execute("BEGIN")
            try:
                pruned, head = connection.execute(_sql.HEAD).fetchone()
                rows = connection.execute(_sql.read_events(selection), parameters).fetchall()
            finally:
                connection.execute("ROLLBACK")
        if 0 < after < pruned:
            raise SubscriptionLaggedError(after, pruned)
        events = [event_of(row) for row in rows]
        return Page(events, events[-1].position if len(events) == limit else max(after, head))

    def executions(self, selection: Selection, limit: int, /) -> Sequence[ExecutionRecord]:
        """Read executions, the newest first. See `Journal.executions`."""
        parameters = {**_sql.parameters(selection), "limit": limit}
        with self._reading() as connection:
            rows = connection.execute(_sql.read_executions(selection), parameters).fetchall()
        return [record_of(row) for row in rows]

    def _check_file(self) -> None:
        """Refuse to write into a file that is no longer at its path: nobody would find what is written there."""
        found = self._file_at_path()
        if found is None or found != self._file:
            raise JournalUnavailableError(f"{self.path} was deleted, moved or replaced while it was open; put it back")

    def _file_at_path(self) -> tuple[int, int] | None:
        """The device and inode of what is at the path; None when nothing is."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def close(self) -> None:
        """Close the file, after a last checkpoint by SQLite itself. It can still be read: reading opens it again."""
        _open_journals.discard(self)
        with self._append_lock, self._read_lock, _translated(self.path):
            reader, self._reader = self._reader, None
            writer, self._writer = self._writer, None
            for connection in (reader, writer):
                if connection is not None:
                    connection.close()

    def _connect(self, *, query_only: bool = False) -> sqlite3.Connection:
        if not query_only:
            return self._connect_as("rwc")
        try:
            # With the right to write SQLite tidies up its -wal and -shm files behind the last reader.
            return self._connect_as("rw", query_only=True)
        except sqlite3.OperationalError:
            if not self._read_only or Path(f"{self.path}-wal").exists():
                raise
            # The directory cannot be written, and nobody writes the file: there is no WAL.
            return self._connect_as("ro&immutable=1", query_only=True)

    def _connect_as(self, mode: str, *, query_only: bool = False) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_TIMEOUT,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            if query_only:
                connection.execute("PRAGMA query_only = ON")
            else:
                _prepare(connection)
            _check_version(connection, self.path)
            connection.execute("PRAGMA foreign_keys = ON")
            if not query_only:
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA journal_size_limit = 67108864")
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _reading(self) -> Generator[sqlite3.Connection]:
        with self._read_lock, _translated(self.path):
            connection = self._reader
            if connection is None:
                connection = self._connect(query_only=True)
                if self in _open_journals:
                    self._reader = connection
            try:
                yield connection
            finally:
                if connection is not self._reader:
                    connection.close()

    def _add(self, connection: sqlite3.Connection, batch: Sequence[Entry]) -> list[str]:
        """Add entries; return the executions whose entries were refused."""
        created = [entry for entry in batch if isinstance(entry, Created)]
        try:
            if created:
                connection.executemany(
                    _sql.ADD_EXECUTION, [self._execution_row(connection, entry) for entry in created]
                )
            connection.executemany(_sql.ADD_ENTRY, [self._entry_row(connection, entry) for entry in batch])
        except sqlite3.IntegrityError:
            # Somebody's entry was refused. Start over, one at a time, to store everybody else's.
            connection.execute("ROLLBACK")
            self._workers.clear()
            connection.execute("BEGIN IMMEDIATE")
            return self._add_one_by_one(connection, batch)
        return []

    def _add_one_by_one(self, connection: sqlite3.Connection, batch: Sequence[Entry]) -> list[str]:
        refused: list[str] = []
        for entry in batch:
            connection.execute("SAVEPOINT entry")
            try:
                if isinstance(entry, Created):
                    connection.execute(_sql.ADD_EXECUTION, self._execution_row(connection, entry))
                connection.execute(_sql.ADD_ENTRY, self._entry_row(connection, entry))
            except sqlite3.IntegrityError:
                connection.execute("ROLLBACK TO entry")
                self._workers.clear()  # a number given out since the savepoint is void
                refused.append(entry.execution_id)
            connection.execute("RELEASE entry")
        return refused

    def _execution_row(self, connection: sqlite3.Connection, entry: Created) -> Row:
        return (
            entry.execution_id,
            entry.agent,
            entry.thread_id,
            entry.user_id,
            self._worker(connection, entry.incarnation),
            entry.at_ns,
            entry.at_ns,
            entry.timeout,
            entry.heartbeat_timeout,
            None if entry.metadata_json is None else entry.metadata_json.decode(),
        )

    def _entry_row(self, connection: sqlite3.Connection, entry: Entry) -> Row:
        worker = self._worker(connection, entry.incarnation)
        head = (entry.execution_id, entry.seq, entry.at_ns, worker)
        if isinstance(entry, Transition):
            return (
                *head,
                entry.source._value_,
                entry.target._value_,
                None,
                None,
                None if entry.cause is None else entry.cause._value_,
                entry.error,
                None if entry.evidence is None else encode_evidence(entry.evidence).decode(),
                None if entry.result_json is None else entry.result_json.decode(),
            )
        if isinstance(entry, PhaseChange):
            return (*head, None, None, entry.phase._value_, entry.detail, None, None, None, None)
        return (*head, None, INITIAL.value, None, None, None, None, None, None)

    def _worker(self, connection: sqlite3.Connection, incarnation: str) -> int:
        number = self._workers.get(incarnation)
        if number is None:
            row = connection.execute(_sql.WORKER_NUMBER, (incarnation,)).fetchone()
            if row is None:
                connection.execute(_sql.ADD_WORKER, (incarnation,))
                row = connection.execute(_sql.WORKER_NUMBER, (incarnation,)).fetchone()
            number = row[0]
            self._workers[incarnation] = number
        return number

    def _prune(self, connection: sqlite3.Connection, batch: Sequence[Entry]) -> None:
        """Remove what retention no longer keeps: by count with every batch, by age every `PRUNE_EVERY` seconds."""
        if not batch:
            return
        limits = self._limits
        too_many: int = connection.execute(_sql.ENDED).fetchone()[0] - limits.retained_executions
        now_ns = batch[-1].at_ns
        looked_ns = self._pruned_at_ns
        if too_many <= 0 and looked_ns is not None and now_ns - looked_ns < PRUNE_EVERY * 1e9:
            return
        self._pruned_at_ns = now_ns
        make, choose, *remove = _sql.PRUNE
        connection.execute(make)
        oldest_ns = now_ns - int(limits.retention * 1e9)
        chosen = connection.execute(
            choose, {"oldest_ns": oldest_ns, "too_many": too_many, "at_most": PRUNE_AT_MOST}
        ).rowcount
        if chosen == PRUNE_AT_MOST:
            self._pruned_at_ns = None  # there is more: look again with the next batch
        for statement in remove:
            connection.execute(statement)


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the schema in an empty file; leave any other file as it is."""
    if connection.execute("PRAGMA schema_version").fetchone()[0] != 0:
        return
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
            for statement in _statements(_sql.SCHEMA):
                connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute(
        "PRAGMA wal_checkpoint"
    )  # so that the file is a journal by itself, also if its WAL is left behind


def _statements(script: str) -> Iterator[str]:
    """Split a script at its statements' ends, so that it can run inside our transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != _sql.APPLICATION_ID:
        raise JournalCorruptError(f"{path} is an SQLite file, but no runstate journal; give another path")
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != _sql.SCHEMA_VERSION:
        raise JournalVersionError(str(path), version, _sql.SCHEMA_VERSION)


@contextmanager
def _translated(path: Path) -> Generator[None]:
    """Turn the driver's errors into ours, in one place, with the original as their cause."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "decode" in str(error):  # text that is no UTF-8: damage, though the driver calls it operational
            raise JournalCorruptError(f"{path}: {error}; run `runstate verify` on a copy of it") from error
        raise JournalUnavailableError(f"{path}: {error}; nothing that was acknowledged is lost") from error
    except sqlite3.DatabaseError as error:
        raise JournalCorruptError(f"{path}: {error}; run `runstate verify` on a copy of it") from error
    except UnicodeDecodeError as error:  # the driver quotes a damaged schema in its own message
        raise JournalCorruptError(f"{path}: {error}; run `runstate verify` on a copy of it") from error
    except sqlite3.Error as error:
        raise JournalError(f"{path}: {error}") from error
    except OSError as error:
        raise JournalUnavailableError(f"{path}: {error}") from error


_held: Final[list[SqliteJournal]] = []


def _before_fork() -> None:
    """Let no transaction be in flight while the process is copied."""
    _held.extend(_open_journals)
    for journal in _held:
        journal._append_lock.acquire()
        journal._read_lock.acquire()


def _after_fork_in_parent() -> None:
    for journal in _held:
        journal._read_lock.release()
        journal._append_lock.release()
    _held.clear()


def _after_fork_in_child() -> None:
    """Close what was inherited; the child connects anew when it first reads or writes.

    File locks are not inherited, but SQLite would believe that it holds them as long as these connections are open, and
    the child's own connections would then share a belief that is false.
    """
    for journal in _held:
        for connection in (journal._reader, journal._writer):
            if connection is not None:
                connection.close()
        journal._reader = journal._writer = None
        journal._read_lock = threading.Lock()
        journal._append_lock = threading.Lock()
        journal._workers.clear()
    _held.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
