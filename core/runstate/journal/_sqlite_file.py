"""The file of an SQLite journal: its connections, its transactions, and how it is made, upgraded, checked and forked.

The file is in WAL mode with full fsync, so what was committed survives a crash of the process and of the machine. Every write
transaction begins IMMEDIATE: a deferred one that reads before it writes fails at once when another process writes, whatever the
busy timeout. Reads have a connection of their own and are bounded, because one long read would keep the WAL from being
checkpointed.

**Upgrading.** Whoever opens a file of the former version for writing upgrades it, in one transaction, under a lock that SQLite
gives only to a file's single connection. So no code of the former version is there to be confused, and whoever had the file open
before is gone, by proof: its worker is fenced. A crash on the way leaves a file of the one version or of the other. The log is
copied: a million entries take some two seconds, and the room that they had is used by later ones.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, TypeVar
from weakref import WeakSet

from .._clock import Clock
from .._errors import JournalCorruptError, JournalError, JournalUnavailableError, JournalVersionError
from .._states import Cause
from . import _sql, _sql_fleet
from ._sqlite_pulse import Pulse

T = TypeVar("T")

BUSY_TIMEOUT: Final = 5.0
"""Seconds to wait for another process's write."""
FORMER_VERSION: Final = _sql.SCHEMA_VERSION - 1
"""What can be upgraded."""
UPGRADE_ATTEMPTS: Final = 50
"""How often to look whether the others have closed the file, or one of them has upgraded it, within `BUSY_TIMEOUT`."""
UPGRADED: Final = f"upgrade to schema version {_sql.SCHEMA_VERSION}"
"""Who fences the workers of the former version."""

_open_files: Final[WeakSet[SqliteFile]] = WeakSet()


class SqliteFile:
    """One file and the connections to it: one for writing, one for reading, and one for a worker's signs of life.

    Raises:
        JournalUnavailableError: It cannot be opened; or it has to be upgraded, and somebody else has it open.
        JournalCorruptError: It is no runstate journal.
        JournalVersionError: Its version is not known here; or it is the former one, and *read_only*.
    """

    def __init__(self, path: str | os.PathLike[str], clock: Clock, *, read_only: bool) -> None:
        self.path: Path = Path(path)
        self._clock = clock
        self._read_only = read_only
        self._read_lock = threading.Lock()
        self._append_lock = threading.Lock()
        self._workers: dict[str, int] = {}
        """Numbers of the workers that have written here."""
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._pulse = Pulse(self._connect, BUSY_TIMEOUT)
        with translated(self.path, is_opening=True):
            if not read_only:
                self._writer = self._connect_upgraded()
            self._reader = self._connect(query_only=True)
            self._file = self._file_at_path()
        _open_files.add(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"

    def close(self) -> None:
        """Close the file, after a last checkpoint by SQLite itself. It can still be read: reading opens it again."""
        _open_files.discard(self)
        with translated(self.path):
            self._pulse.close()
        with self._append_lock, self._read_lock, translated(self.path):
            reader, self._reader = self._reader, None
            writer, self._writer = self._writer, None
            for connection in (reader, writer):
                if connection is not None:
                    connection.close()

    def _refuse_to_write(self) -> None:
        if self._read_only:
            raise JournalUnavailableError(f"{self.path} was opened read-only; open it for writing to record anything")

    def _write_pulse(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something small in a transaction of its own that no write of this process keeps waiting."""
        self._refuse_to_write()

        def checked(connection: sqlite3.Connection) -> T:
            self._check_file()
            return work(connection)

        with translated(self.path):
            return self._pulse.write(checked, keep=self in _open_files)

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something in a transaction, which is committed at the end, or rolled back when something is raised.

        No context manager: an interrupt that comes as one is entered would leave it locked.
        """
        self._refuse_to_write()
        with self._append_lock, translated(self.path):
            connection = self._writer = self._writer or self._connect()
            if connection.in_transaction:  # left open by an interrupt
                connection.execute("ROLLBACK")
            try:
                connection.execute("BEGIN IMMEDIATE")
                self._check_file()
                answer = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._workers.clear()
                raise
        return answer

    @contextmanager
    def _reading(self) -> Generator[sqlite3.Connection]:
        """Give a connection that cannot write."""
        with self._read_lock, translated(self.path):
            connection = self._reader
            if connection is None:
                connection = self._connect(query_only=True)
                if self in _open_files:
                    self._reader = connection
            try:
                yield connection
            finally:
                if connection is not self._reader:
                    connection.close()

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

    def _connect_upgraded(self) -> sqlite3.Connection:
        """Connect for writing; bring a file of the former version to this one first, unless somebody else does."""
        for _ in range(UPGRADE_ATTEMPTS):
            try:
                return self._connect()
            except JournalVersionError as error:
                if error.found != FORMER_VERSION:
                    raise
            try:
                self._upgrade()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                time.sleep(
                    random.SystemRandom().uniform(0, 2 * BUSY_TIMEOUT / UPGRADE_ATTEMPTS)
                )  # so that two do not keep step
        raise JournalUnavailableError(
            f"{self.path} has schema version {FORMER_VERSION} and somebody else has it open; stop every process that uses it "
            f"and open it again, which upgrades it to version {_sql.SCHEMA_VERSION}"
        )

    def _upgrade(self) -> None:
        """Bring a file of the former version to this one, if nobody else has it open."""
        # A connection of its own, as SQLite locks everybody else out only before a connection first looks into the file; and one
        # that does not wait, as waiting for the lock it would keep another that waits for it from getting it.
        with closing(self._connect_as("rw", timeout=0.0)) as connection:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            try:
                if _version(connection) == FORMER_VERSION:  # else somebody was faster
                    _make_current(connection, self._clock.time_ns())
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _connect(self, *, query_only: bool = False) -> sqlite3.Connection:
        if not query_only:
            return self._prepared(self._connect_as("rwc"), query_only=False)
        try:
            # With the right to write SQLite tidies up its -wal and -shm files behind the last reader.
            return self._prepared(self._connect_as("rw"), query_only=True)
        except sqlite3.OperationalError:
            if not self._read_only or Path(f"{self.path}-wal").exists():
                raise
            # The directory cannot be written, and nobody writes the file: there is no WAL.
            return self._prepared(self._connect_as("ro&immutable=1"), query_only=True)

    def _connect_as(self, mode: str, timeout: float | None = None) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_TIMEOUT if timeout is None else timeout,
            isolation_level=None,
            check_same_thread=False,
        )

    def _prepared(self, connection: sqlite3.Connection, *, query_only: bool) -> sqlite3.Connection:
        try:
            if query_only:
                connection.execute("PRAGMA query_only = ON")
            else:
                _prepare(connection)
            _check_version(connection, self.path)
            # The triggers hold every reference, for all programs. SQLite would look through all entries for each worker that goes.
            connection.execute("PRAGMA foreign_keys = OFF")
            if not query_only:
                if (
                    connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal"
                ):  # a copy made by VACUUM INTO has lost it
                    connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA journal_size_limit = 67108864")
                # What a statement may have to undo. After one that touches 16 pages the whole transaction's would go to a file.
                connection.execute("PRAGMA temp_store = MEMORY")
        except BaseException:
            connection.close()
            raise
        return connection


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


def _make_current(connection: sqlite3.Connection, now_ns: int) -> None:
    """Make the former version's schema this one's, and settle who was there. The caller has the file for itself."""
    for statement in _statements(_sql_fleet.UPGRADE):
        connection.execute(statement)
    facts = {
        "now_ns": now_ns,
        "by": UPGRADED,
        "cause": Cause.PROCESS_EXITED.value,
        "reason": "nobody had the journal open when it was upgraded, so its process is gone",
    }
    for statement in _sql_fleet.SETTLE_UPGRADED:
        connection.execute(statement, facts)


def _statements(script: str) -> Iterator[str]:
    """Split a script at its statements' ends, so that it can run inside our transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _version(connection: sqlite3.Connection) -> int | None:
    """The schema version of a journal; None of what is no journal."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != _sql.APPLICATION_ID:
        return None
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection)
    if version is None:
        raise JournalCorruptError(f"{path} is an SQLite file, but no runstate journal; give another path")
    if version != _sql.SCHEMA_VERSION:
        raise JournalVersionError(str(path), version, _sql.SCHEMA_VERSION)


@contextmanager
def translated(path: Path, *, is_opening: bool = False) -> Generator[None]:
    """Turn the driver's errors into ours, in one place, with the original as their cause.

    Args:
        path: The file.
        is_opening: Whether nothing can have been acknowledged yet.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        if "decode" in str(error):  # text that is no UTF-8: damage, though the driver calls it operational
            raise JournalCorruptError(f"{path}: {error}; run `runstate verify` on a copy of it") from error
        assurance = "" if is_opening else "; nothing that was acknowledged is lost"
        raise JournalUnavailableError(f"{path}: {error}{assurance}") from error
    except sqlite3.DatabaseError as error:
        raise JournalCorruptError(f"{path}: {error}; run `runstate verify` on a copy of it") from error
    except UnicodeDecodeError as error:  # the driver quotes a damaged schema in its own message
        raise JournalCorruptError(f"{path}: {error}; run `runstate verify` on a copy of it") from error
    except sqlite3.Error as error:
        raise JournalError(f"{path}: {error}") from error
    except OSError as error:
        raise JournalUnavailableError(f"{path}: {error}") from error


_held: Final[list[SqliteFile]] = []


def _before_fork() -> None:
    """Let no transaction be in flight while the process is copied."""
    _held.extend(_open_files)
    for file in _held:
        file._append_lock.acquire()
        file._read_lock.acquire()
        file._pulse.hold()


def _after_fork_in_parent() -> None:
    for file in _held:
        file._pulse.let_go()
        file._read_lock.release()
        file._append_lock.release()
    _held.clear()


def _after_fork_in_child() -> None:
    """Close what was inherited; the child connects anew when it first reads or writes.

    File locks are not inherited, but SQLite would believe that it holds them as long as these connections are open, and
    the child's own connections would then share a belief that is false.
    """
    for file in _held:
        for connection in (file._reader, file._writer):
            if connection is not None:
                connection.close()
        file._reader = file._writer = None
        file._read_lock = threading.Lock()
        file._append_lock = threading.Lock()
        file._workers.clear()
        file._pulse.after_fork()
    _held.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
