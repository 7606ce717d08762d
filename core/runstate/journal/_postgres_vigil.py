"""The vigil on PostgreSQL: the server tells of a death, because a session that ends lets go of its locks.

A worker holds an advisory lock on its `Session`. Each worker waits for the lock of *one* peer, the next one by number that is
there (a ring), on one more connection: so every worker is watched by another, connections are two for each, and the death of any
number of them is found out from neighbour to neighbour. The server gives a lock to who waits for it within a millisecond of the
session's end. Whoever was told, or has anything else to find out, looks at all its peers at once (`pg_locks`); and so does everybody
from time to time, as a neighbour may stand still.

**A free lock is one sign, and never a verdict.** A worker that is well loses its lock too: with a server that restarts, with a
connection that somebody cuts; it takes it up again a few milliseconds later. The second sign is one of these:

- On the same machine the kernel knows: the worker has told its pid, its boot, its pid's namespace and when it began. If that process
  runs, it is not gone, however long its session is away; if it does not, it is gone at once. Neither can be wrong.
- From another machine or container, it has come back to neither its lock nor its lease within a time that a worker that is well
  needs a small part of; and it had renewed its lease shortly before (`OVERDUE`). That time is `BACK_AFTER_ALL` if this watcher has itself, on a connection that has not broken since, seen the lock
  held: then the server and the network are well, and only that worker's end of it has ended. Otherwise everybody's locks
  may be free, as after a restart of the server, and it is `BACK_AFTER_A_RESTART`, and half the lease at least, from the moment
  that this watcher could look again: time for all to come back, and for a renewal by each who cannot.

So a restart of the server buries nobody, and a cut connection nobody whose process can be asked about. What nothing is
known of, such as one that stands still or a host that has vanished with its sessions left open, is the lease's business.

A statement that waits holds back the removal of old rows in its database, its end would be logged as an error, and after a second
the server looks for a deadlock, and may log that too. So it waits a little less than that at a time, in a function that takes the
end of its time for no error.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import Connection

from .._burial import exit_reason
from .._processes import exit_status, is_running
from . import Seen, _postgres_fleet_sql, _postgres_sql
from ._postgres_connection import Address, abandon, translated, until_it_works
from ._postgres_session import Session, wait_for

BACK_AFTER_ALL: Final = 0.2
"""Seconds in which a worker that is well takes its lock up again when only its own connection was lost."""
BACK_AFTER_A_RESTART: Final = 5.0
"""Seconds in which it does so when everybody's were."""
OVERDUE: Final = 5.0
"""Seconds without a renewal after which a session that ends says nothing: the silence began before it, with a partition, in which
the server ends sessions by its keepalives. There the lease decides."""
LOOK_AGAIN: Final = (0.001, 0.1)
"""Seconds between two looks at a peer that has lost its lock: the first, and the longest."""
CANCEL_AGAIN: Final = 0.01
"""Seconds until a wait that was cancelled is cancelled again: the server ignores what reaches it before the statement does."""
LOOK_AT_ALL: Final = (1.0, 0.005)
"""Seconds from one look at all peers to the next, at least: for any number of them, and for each."""
PATIENCE: Final = 1.0
"""Seconds that leaving waits for the thread."""

KERNEL: Final = "its process is gone: the server has ended its session, and the kernel knows it no longer"
SERVER: Final = "it is gone: the server has ended its session, and it did not come back within {:g} s"


class Peer(NamedTuple):
    """What a look finds of a peer."""

    number: int
    incarnation: str
    pid: int
    process: str
    lease: float
    renewed_at_ns: int
    renewed_age: float
    is_there: bool


class Missed(NamedTuple):
    """A peer whose lock is free."""

    since: float
    """When this was seen first, or when its newest renewal was, which is the other sign of life."""
    renewed_at_ns: int
    silent: float
    """How old its newest renewal was then, in seconds."""


class Watch:
    """The thread that waits for peers' locks.

    Args:
        address: Which database.
        number: The watching worker's own.
        tell: Called when another peer is gone. It must neither block nor raise.
    """

    def __init__(self, address: Address, number: int, tell: Callable[[], None]) -> None:
        self._address = address
        self._number = number
        self._tell = tell
        self.gone: dict[str, str] = {}
        """Peers that are gone, and what was seen. Replaced as a whole."""
        self._names: frozenset[str] = frozenset()
        self._closed = False
        self._connection: Connection | None = None
        self._ear, self._mouth = _pair()
        self._thread: threading.Thread | None = None
        self._seen: set[int] = set()
        """Whose lock was seen held on this connection."""
        self._missed: dict[int, Missed] = {}
        """Whose lock is free, by number."""

    def watch(self, names: frozenset[str]) -> None:
        """Watch these."""
        self.gone = {name: what for name, what in self.gone.items() if name in names}
        if names != self._names:
            self._names = names
            if self._thread is None and names and not self._closed:
                self._thread = threading.Thread(target=self._run, name="runstate-vigil", daemon=True)
                self._thread.start()
            self._prod()

    def close(self) -> None:
        """Watch nobody."""
        self._closed = True
        self._prod()
        if self._thread is not None:
            self._thread.join(PATIENCE)  # it may be connecting, or wait to do so again; then it finds out by itself
        if self._thread is None or not self._thread.is_alive():
            self._close_ends()

    def after_fork(self) -> None:
        """Let go of the parent's connection, in the child, where the thread does not exist."""
        if self._connection is not None:
            abandon(self._connection)
        self._close_ends()

    def _close_ends(self) -> None:
        self._ear.close()
        self._mouth.close()

    def _prod(self) -> None:
        with suppress(OSError):  # it was prodded often enough, or is no longer there
            self._mouth.send(b"!")

    def _run(self) -> None:
        try:
            while not self._closed:
                until_it_works(self._watch, self._should_retry)
        except (psycopg.Error, OSError):
            if not self._closed:
                raise
        finally:
            self._close_ends()

    def _should_retry(self, error: Exception) -> bool:
        return not self._closed and isinstance(error, psycopg.Error | OSError)

    def _watch(self) -> None:
        """Watch until the connection is lost; raise if there was none."""
        with self._address.connect("watch") as connection:
            self._connection = connection
            self._seen.clear()
            self._missed.clear()
            try:
                connection.execute(_postgres_sql.WATCHING)
                with suppress(psycopg.OperationalError):  # lost: look again on another one
                    self._look_and_wait(connection)
            finally:
                self._connection = None

    def _look_and_wait(self, connection: Connection) -> None:
        pause, longest = LOOK_AGAIN
        while not self._closed:
            peers = self._look(connection)
            there = [peer.number for peer in peers if peer.is_there]
            if self._missed:
                wait_for([self._ear.fileno()], pause)
                pause = min(longest, pause * 1.1)
            elif there:
                pause = LOOK_AGAIN[0]
                following = min((one for one in there if one > self._number), default=there[0])
                until = time.monotonic() + max(LOOK_AT_ALL[0], LOOK_AT_ALL[1] * len(peers))
                while self._wait(connection, following) and time.monotonic() < until:
                    pass
            else:
                wait_for([self._ear.fileno()])
            with suppress(BlockingIOError):
                while self._ear.recv(64):
                    pass

    def _look(self, connection: Connection) -> list[Peer]:
        """Look at all peers, and judge those whose lock is free."""
        wanted = [name for name in self._names if name not in self.gone]
        try:
            rows: list[tuple[Any, ...]] = connection.execute(_postgres_fleet_sql.LOOK, (wanted,)).fetchall()
        except psycopg.errors.QueryCanceled:  # what was meant for the wait before came late
            return self._look(connection)
        peers = [Peer(*row) for row in rows]
        now = time.monotonic()
        missed: dict[int, Missed] = {}
        for peer in peers:
            if peer.is_there:
                self._seen.add(peer.number)
                continue
            known = self._missed.get(peer.number)
            if known is None or known.renewed_at_ns != peer.renewed_at_ns:
                known = Missed(now, peer.renewed_at_ns, peer.renewed_age)
            missed[peer.number] = known
            what = self._verdict(peer, known, now)
            if what is not None:
                del missed[peer.number]
                self.gone = {**self.gone, peer.incarnation: what}
                self._tell()
        self._missed = missed
        return peers

    def _verdict(self, peer: Peer, missed: Missed, now: float) -> str | None:
        """Say what proves that a peer without its lock is gone, if anything does."""
        runs = is_running(peer.pid, peer.process)
        if runs:
            return None
        if runs is not None:
            status = exit_status(peer.pid)
            return KERNEL if status is None else exit_reason(status)
        if missed.silent > OVERDUE:
            return None
        patience = BACK_AFTER_ALL
        if peer.number not in self._seen:
            patience = max(BACK_AFTER_A_RESTART, peer.lease / 2)
        return SERVER.format(patience) if now - missed.since >= patience else None

    def _wait(self, connection: Connection, number: int) -> bool:
        """Wait until a peer's lock is free, or there is something else to do; say whether neither has come within the time."""
        server = connection.pgconn
        server.send_query_params(_postgres_fleet_sql.AWAIT_RELEASE, [str(number).encode()])
        server.flush()
        ear = self._ear.fileno()
        is_prodded = False
        while server.is_busy():
            ready = wait_for([server.socket], CANCEL_AGAIN) if is_prodded else wait_for([server.socket, ear])
            if ear in ready or not ready:
                is_prodded = True
                with suppress(psycopg.Error):  # then the wait ends in its time
                    connection.cancel_safe(timeout=2.0)
            server.consume_input()
        answers: list[bytes | None] = []
        while (result := server.get_result()) is not None:
            answers.append(result.get_value(0, 0) if result.ntuples else None)
        return not is_prodded and answers == [b"f"]


def _pair() -> tuple[socket.socket, socket.socket]:
    """Make an ear for one thread, and a mouth for the others. Neither blocks."""
    ear, mouth = socket.socketpair()
    ear.setblocking(False)
    mouth.setblocking(False)
    return ear, mouth


class PostgresVigil:
    """One worker's presence in a PostgreSQL database, and its watch over its peers. See `Vigil`.

    Args:
        address: Which database.
        session: Where the worker's lock is held and its bell is heard.
        incarnation: The worker.
        number: Its number.

    Raises:
        JournalUnavailableError: The server is away, or this process has too many files open. Nothing is left behind.
    """

    def __init__(self, address: Address, session: Session, incarnation: str, number: int) -> None:
        self._address = address
        self._session = session
        self._incarnation = incarnation
        self._number = number
        self._woken = False
        self._told: frozenset[str] = frozenset()
        self.closed = False
        """Whether it has left."""
        with ExitStack() as undo, translated(address):
            self._ear, self._mouth = _pair()
            undo.callback(self._close_ends)
            self._watch = Watch(address, number, self._prod)
            undo.callback(self._watch.close)
            session.enter(number)
            undo.pop_all()

    def __repr__(self) -> str:
        return f"<PostgresVigil {self._incarnation} {self._address.shown}>"

    def watch(self, names: Collection[str], /) -> None:
        """Watch these peers, and no others. See `Vigil.watch`."""
        self._watch.watch(frozenset(names) - {self._incarnation})

    def wait(self, timeout: float, /) -> Seen:
        """Wait for a ring, or for a peer to be gone. See `Vigil.wait`."""
        until = time.monotonic() + timeout
        while True:
            rung = self._session.hear(self._number) | self._woken
            self._woken = False
            gone = self._watch.gone
            left = until - time.monotonic()
            if rung or gone.keys() - self._told or left <= 0:
                self._told = frozenset(gone)
                return Seen(rung, gone)
            session, pause = self._session.fileno(), self._session.pause()
            files = [self._ear.fileno()] if session is None else [self._ear.fileno(), session]
            wait_for(files, left if pause is None else min(left, pause))
            with suppress(BlockingIOError):
                while self._ear.recv(64):
                    pass

    def ring(self, name: str | None = None, /) -> bool:
        """Ring for another worker; about news an append tells by itself. See `Vigil.ring`."""
        if name is None:
            return False
        return self._session.ask(lambda session: session.execute(_postgres_fleet_sql.RING, (name,)).rowcount) > 0

    def wake(self) -> None:
        """End a wait. See `Vigil.wake`."""
        self._woken = True
        self._prod()

    def leave(self) -> None:
        """Be gone in good order. See `Vigil.leave`."""
        if not self.closed:
            self.closed = True
            self._watch.close()
            self._session.exit(self._number)
            self._close_ends()

    def after_fork(self) -> None:
        """Leave the parent its connections, in the child."""
        self.closed = True
        self._watch.after_fork()
        self._close_ends()

    def _close_ends(self) -> None:
        self._ear.close()
        self._mouth.close()

    def _prod(self) -> None:
        with suppress(OSError):
            self._mouth.send(b"!")
