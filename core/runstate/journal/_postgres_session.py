"""The session of a worker's own affairs: what it asks about the fleet, the lock that shows that it is there, and its bell.

Appends wait for the pen and reads may be long, but a lease must be renewed in time and a ring be heard at once, so this is a
connection of its own. For each worker that is present here it holds an advisory lock, which the server lets go of the moment that
the session ends, however it ends, and it LISTENs on that worker's channel. When the connection is lost, the next one takes the
lock and the channel up again, and what may have been rung meanwhile counts as rung.

The server is told to look after its end by itself (keepalives): a host that has vanished frees its locks, the pen among them.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Collection
from typing import Final, TypeVar

import psycopg
from psycopg import Connection

from . import _postgres_fleet_sql
from ._postgres_connection import Address, abandon, chance, is_lost, persistently, translated

T = TypeVar("T")

PAUSES: Final = (0.01, 1.0)
"""Seconds between two attempts to connect again: the first, and the longest."""
RETAKE: Final = 0.02
"""Seconds between two attempts to take up a lock that the former connection, lost, still holds at the server."""


class Session:
    """A connection that comes back by itself, with the workers that are present on it. From any thread.

    Args:
        address: Which database; for messages.
        connect: Opens a connection that is ready for use.
    """

    def __init__(self, address: Address, connect: Callable[[], Connection]) -> None:
        self._address = address
        self._connect = connect
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._rung: dict[int, bool] = {}
        """Workers that are present here, by number, and whether somebody may have rung for them."""
        self._held: set[int] = set()
        """Those whose lock this connection has."""
        self._attempts = 0
        self._again_at = 0.0

    def ask(self, work: Callable[[Connection], T]) -> T:
        """Do something on the connection, again on another one if it is lost. *work* must bear to be done twice."""
        with self._lock, translated(self._address):
            return persistently(lambda: self._ask(work))

    def enter(self, number: int) -> None:
        """Make a worker present: take its lock and listen on its channel, here and on every later connection."""
        with self._lock:
            self._rung[number] = False
            try:
                self.ask(lambda connection: self._enter(connection, number))
            except BaseException:
                del self._rung[number]
                raise

    def exit(self, number: int) -> None:
        """Let go of a worker's lock and channel."""
        with self._lock:
            self._rung.pop(number, None)
            self._held.discard(number)
            connection = self._connection
            if connection is not None:
                try:
                    connection.execute(_postgres_fleet_sql.EXIT.format(number=number).encode())
                except (psycopg.Error, OSError):
                    self._drop()  # which lets go of everything

    def fileno(self) -> int | None:
        """What becomes readable when there is something to `hear`; None while there is no connection."""
        connection = self._connection
        return None if connection is None or connection.closed else connection.fileno()

    def pause(self) -> float | None:
        """Seconds until `hear` has something to do all the same; None if it has not."""
        if self._connection is None:
            return max(0.0, self._again_at - time.monotonic())
        return RETAKE if self._held != self._rung.keys() else None

    def hear(self, number: int) -> bool:
        """Take what has arrived; connect again if the connection is lost. Says whether somebody may have rung for a worker."""
        with self._lock:
            try:
                self._take()
            except (psycopg.Error, OSError):
                self._drop()
            rung = self._rung.get(number, False)
            if rung:
                self._rung[number] = False
        return rung

    def close(self) -> None:
        """Close the connection. Another one is made when something is asked again."""
        with self._lock:
            self._rung.clear()
            self._drop()

    def hold(self) -> None:
        """Let nothing be asked while the process is copied."""
        self._lock.acquire()

    def let_go(self) -> None:
        """Go on, in the parent."""
        self._lock.release()

    def after_fork(self) -> None:
        """Leave the parent its connection, in the child."""
        if self._connection is not None:
            abandon(self._connection)
        self._lock = threading.RLock()
        self._connection = None
        self._rung.clear()
        self._held.clear()

    def _ask(self, work: Callable[[Connection], T]) -> T:
        connection = self._connected()
        try:
            return work(connection)
        except BaseException as error:
            if connection.closed or not isinstance(error, psycopg.Error) or is_lost(error):
                self._drop()
            raise

    def _connected(self) -> Connection:
        connection = self._connection
        if connection is None:
            connection = self._connect()
            connection.add_notify_handler(lambda notice: self._note(notice.channel))
            try:
                for number in self._rung:
                    self._enter(connection, number)
            except BaseException:
                connection.close()
                raise
            self._rung = dict.fromkeys(self._rung, True)
            self._connection, self._attempts = connection, 0
        return connection

    def _enter(self, connection: Connection, number: int) -> None:
        if number not in self._held:
            cursor = connection.execute(_postgres_fleet_sql.ENTER.format(number=number).encode())
            cursor.nextset()  # past LISTEN's
            self._take_up(cursor.fetchone(), number)

    def _take_up(self, row: tuple[bool] | None, number: int) -> None:
        if row is not None and row[0]:
            self._held.add(number)

    def _take(self) -> None:
        if self._connection is None:
            if time.monotonic() < self._again_at:
                return
            first, longest = PAUSES
            pause = min(longest, first * 2**self._attempts) * chance.uniform(0.75, 1.25)
            self._attempts += 1
            self._again_at = time.monotonic() + pause
        connection = self._connected()
        connection.pgconn.consume_input()
        while (notice := connection.pgconn.notifies()) is not None:
            self._note(notice.relname.decode())
        for number in self._rung.keys() - self._held:
            self._take_up(connection.execute(_postgres_fleet_sql.TAKE_THE_LOCK, (number,)).fetchone(), number)

    def _note(self, channel: str) -> None:
        number = int(channel.rpartition("_")[2])
        if number in self._rung:
            self._rung[number] = True

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._held.clear()
        if connection is not None:
            connection.close()


def wait_for(files: Collection[int], timeout: float | None = None) -> set[int]:
    """Wait until one of some files can be read, or for *timeout* seconds; say which can."""
    poll = select.poll()  # `select` itself cannot look at a file above 1,023
    for file in files:
        poll.register(file, select.POLLIN)
    return {file for file, _ in poll.poll(None if timeout is None else timeout * 1e3)}
