"""The fleet of a PostgreSQL journal: the processes of any number of hosts that share one database.

Leases go by the server's clock alone. What a lost connection leaves open is asked again: every verb can be repeated, and a fence
whose answer was lost is known again by who set it, for which cause and with which words.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg import Connection
from psycopg.rows import dict_row

from .._checks import seconds
from .._errors import InvalidValueError, JournalUnavailableError, UnknownExecutionError
from .._fleet import CancelRequest, Fence, Peer, RejectedMove, Unsettled, Worker, check_fence, fence_of
from .._fleet_codec import decode_peer, decode_rejected, decode_request, decode_worker
from .._processes import process_name
from .._states import Cause
from . import Vigil, _postgres_fleet_sql, _postgres_sql
from ._postgres_connection import Address, is_lost
from ._postgres_session import Session
from ._postgres_vigil import PostgresVigil
from ._rows import unsettled_of

T = TypeVar("T")


class PostgresFleet:
    """What `Fleet` adds to `Journal`, in a PostgreSQL database.

    Args:
        address: Which.
        connect: Makes a connection for the worker's own affairs.
        read_only: Whether nothing may be written.
    """

    def __init__(self, address: Address, connect: Callable[[], Connection], *, read_only: bool) -> None:
        self._address = address
        self._read_only = read_only
        self._session = Session(address, connect)
        self._vigils: list[PostgresVigil] = []

    def join(self, incarnation: str, lease: float, /) -> None:
        """Make this process known as a worker. See `Fleet.join`."""
        host = socket.gethostname() or "localhost"
        facts = (incarnation, host, os.getpid(), process_name(), seconds("lease", lease))
        if not self._change(_postgres_fleet_sql.JOIN, facts):
            raise InvalidValueError("incarnation", incarnation, "one that has not gone; take a new one for every boot")

    def renew(self, incarnation: str, /) -> Fence | None:
        """Begin the lease anew. See `Fleet.renew`."""
        if self._change(_postgres_fleet_sql.RENEW, (incarnation,)):
            return None
        return fence_of(incarnation, self.worker(incarnation))

    def leave(self, incarnation: str, /) -> Fence | None:
        """Be gone in good order. See `Fleet.leave`."""
        live = self._change(_postgres_fleet_sql.LEAVE, (incarnation,))
        worker = self.worker(incarnation)
        if worker is not None and worker.fence is None and live:
            what = f"a worker with nothing live; {live} of its executions are"
            raise InvalidValueError("incarnation", incarnation, what)
        return None if worker is None else worker.fence

    def vigil(self, incarnation: str, /) -> Vigil:
        """Make this worker present for its peers. See `Fleet.vigil`."""
        self._change(_postgres_sql.REGISTER, (incarnation,))
        row = self._session.ask(lambda session: session.execute(_postgres_fleet_sql.NUMBER, (incarnation,)).fetchone())
        if row is None:
            raise InvalidValueError("incarnation", incarnation, "a worker that is not deleted in this very moment")
        vigil = PostgresVigil(self._address, self._session, incarnation, row[0])
        self._vigils = [one for one in self._vigils if not one.closed] + [vigil]
        return vigil

    def ring(self, incarnation: str, /) -> bool:
        """Ring for a worker. See `Fleet.ring`."""
        return self._session.ask(lambda session: session.execute(_postgres_fleet_sql.RING, (incarnation,)).rowcount) > 0

    def worker(self, incarnation: str, /) -> Worker | None:
        """Read one worker. See `Fleet.worker`."""
        rows = self._rows(_postgres_fleet_sql.WORKER, {"incarnation": incarnation})
        return decode_worker(rows[0]) if rows else None

    def workers(self, departed: int = 0, /) -> Sequence[Worker]:
        """Read all workers that are alive or not settled. See `Fleet.workers`."""
        return [decode_worker(row) for row in self._rows(_postgres_fleet_sql.WORKERS, {"departed": departed})]

    def peers(self, /) -> Sequence[Peer]:
        """Read who is there, and who of the fenced is not settled. See `Fleet.peers`."""
        return [decode_peer(row) for row in self._rows(_postgres_fleet_sql.PEERS, {})]

    def fence(
        self, incarnation: str, by: str, cause: Cause, reason: str | None = None, /, *, expired_only: bool = False
    ) -> bool:
        """Find a worker dead, for ever. See `Fleet.fence`."""
        check_fence(incarnation, by, cause)
        in_doubt = False

        def set_it(session: Connection) -> bool:
            nonlocal in_doubt
            facts = (incarnation, by, cause.value, reason, expired_only, in_doubt)
            try:
                row = session.execute(_postgres_fleet_sql.FENCE, facts).fetchone()
            except psycopg.Error as error:
                in_doubt = in_doubt or session.closed or is_lost(error)
                raise
            return row is not None and row[0]

        self._refuse_to_write()
        return self._session.ask(set_it)

    def unsettled(self, incarnation: str, limit: int, /) -> Sequence[Unsettled]:
        """Read a worker's live executions. See `Fleet.unsettled`."""
        asked = {"incarnation": incarnation, "limit": limit}
        rows = self._session.ask(lambda session: session.execute(_postgres_fleet_sql.UNSETTLED, asked).fetchall())
        return [unsettled_of(row) for row in rows]

    def request_cancel(self, execution_id: str, by: str, reason: str | None = None, /) -> CancelRequest | None:
        """Ask the owner of an execution to cancel it. See `Fleet.request_cancel`."""
        self._change(_postgres_fleet_sql.ADD_REQUEST, (execution_id, by, reason))
        rows = self._rows(_postgres_fleet_sql.REQUEST, {"execution_id": execution_id})
        if not rows:
            raise UnknownExecutionError(execution_id)
        return None if rows[0].pop("has_ended") else decode_request(rows[0])

    def requests(self, incarnation: str, /) -> Sequence[CancelRequest]:
        """Read the requests about a worker's live executions. See `Fleet.requests`."""
        return [decode_request(row) for row in self._rows(_postgres_fleet_sql.REQUESTS, {"incarnation": incarnation})]

    def rejected(self, execution_id: str, /) -> RejectedMove | None:
        """Read the end that a fenced owner tried to record. See `Fleet.rejected`."""
        rows = self._rows(_postgres_fleet_sql.REJECTED, {"execution_id": execution_id})
        return decode_rejected(rows[0]) if rows else None

    def _refuse_to_write(self) -> None:
        if self._read_only:
            raise JournalUnavailableError(
                f"{self._address.shown} was opened read-only; open it for writing to record anything"
            )

    def _change(self, statement: bytes, facts: tuple[object, ...]) -> Any:
        """Call a function of the database; return what it returns."""
        self._refuse_to_write()
        row = self._session.ask(lambda session: session.execute(statement, facts).fetchone())
        return None if row is None else row[0]

    def _rows(self, query: bytes, asked: Mapping[str, object]) -> list[dict[str, Any]]:
        def ask(session: Connection) -> list[dict[str, Any]]:
            with session.cursor(row_factory=dict_row) as cursor:
                return cursor.execute(query, asked).fetchall()

        return self._session.ask(ask)

    def _close_fleet(self) -> None:
        vigils, self._vigils = self._vigils, []
        for vigil in vigils:
            vigil.leave()
        self._session.close()

    def _after_fork_in_child(self) -> None:
        for vigil in self._vigils:
            vigil.after_fork()
        self._vigils.clear()
        self._session.after_fork()
