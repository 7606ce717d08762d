"""Word from the database that another process has written: LISTEN on a connection of its own, in a thread of its own.

A notification says only that there is something to read; what, the reader finds by its position. So one that is lost costs time,
not events: the bell rings once after each connecting, for what it may have slept through, and readers look by themselves from
time to time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import psycopg
from psycopg import Connection

from ._postgres_connection import Address, abandon, sever, until_it_works
from ._postgres_sql import LISTEN

PATIENCE: Final = 1.0
"""Seconds that closing waits for the thread."""


class Bell:
    """Calls somebody when another process has written.

    Args:
        address: Which database.
        ring: Called in the bell's own thread, sometimes also when nothing is new. It must neither block nor raise.
        own: Gives the server's process that writes for this one; what that one has written is no news here.
    """

    def __init__(self, address: Address, ring: Callable[[], None], own: Callable[[], int | None]) -> None:
        self._address = address
        self._ring = ring
        self._own = own
        self._closed = False
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name="runstate-bell", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ring no more."""
        self._closed = True
        connection = self._connection
        if connection is not None:
            sever(connection)
        self._thread.join(PATIENCE)  # it may be connecting, or wait to do so again; then it finds out by itself

    def after_fork(self) -> None:
        """Let go of the parent's connection, in the child, where the thread does not exist."""
        if self._connection is not None:
            abandon(self._connection)

    def _run(self) -> None:
        try:
            while not self._closed:
                until_it_works(self._listen, self._should_retry, longest=2.0)
        except (psycopg.Error, OSError):
            if not self._closed:
                raise

    def _should_retry(self, error: Exception) -> bool:
        return not self._closed and isinstance(error, psycopg.Error | OSError)

    def _listen(self) -> None:
        """Listen until the connection is lost; raise if there was none."""
        with self._address.connect("bell") as connection:
            self._connection = connection
            try:
                if not self._closed:
                    connection.execute(LISTEN)
                    self._hear(connection)
            finally:
                self._connection = None

    def _hear(self, connection: Connection) -> None:
        self._ring()
        with suppress(psycopg.OperationalError):  # lost: listen again on another one, and ring for what was missed
            for notice in connection.notifies():
                if notice.pid != self._own():
                    self._ring()
