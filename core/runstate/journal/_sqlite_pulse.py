"""A worker's pulse: a connection for the renewals of its lease alone, which wait for nothing that can be helped.

SQLite gives its write lock to whoever happens to ask when it is free, and whoever waits by its busy timeout asks ten times a second
after a while. Among writers that commit one after the other a renewal can so wait for seconds, and its worker, which is well, looks
silent. So a renewal shares neither the writer's connection nor its lock, asks for the file's lock every few milliseconds, and is not
synced to disk: it says that somebody lives, and after a crash of the machine nobody does.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

ASK_EVERY: Final = 0.002
"""Seconds between two attempts to get the file's lock."""


class Pulse:
    """The connection. Any thread may use it.

    Args:
        connect: Makes one that writes; the first is made when it is needed.
        patience: Seconds to wait for the file's lock.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], patience: float) -> None:
        self._connect = connect
        self._patience = patience
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def write(self, work: Callable[[sqlite3.Connection], T], *, keep: bool) -> T:
        """Do something small in a transaction of its own.

        Args:
            work: What.
            keep: Whether to keep the connection for the next time.

        Raises:
            sqlite3.Error: It was not done; SQLITE_BUSY when the lock was not free in time.
        """
        with self._lock:
            connection = self._connection or self._connected()
            self._connection = connection
            try:
                self._begin(connection)
                answer = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            finally:
                if not keep:
                    self._drop()
        return answer

    def close(self) -> None:
        """Let go of the connection; the next write makes another one."""
        with self._lock:
            self._drop()

    def hold(self) -> None:
        """Let nothing be in flight, until `let_go`: the process is about to be copied."""
        self._lock.acquire()

    def let_go(self) -> None:
        """Go on, in the process that was copied."""
        self._lock.release()

    def after_fork(self) -> None:
        """Close what the copy has inherited, as SQLite would believe that it holds the locks of it."""
        self._lock = threading.Lock()
        self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connected(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            connection.execute("PRAGMA busy_timeout = 0")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")  # which would sync, and keep the lock meanwhile
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin(self, connection: sqlite3.Connection) -> None:
        if connection.in_transaction:  # left open by an interrupt
            connection.execute("ROLLBACK")
        until = time.monotonic() + self._patience
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                    raise
                time.sleep(ASK_EVERY)
            else:
                return
