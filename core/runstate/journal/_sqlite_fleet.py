"""The fleet of an SQLite journal: the processes of one machine that share one file.

Leases go by the machine's monotonic clock, which all its processes share, no setting of the time can move, and a restart sets
back; so each renewal is stored with the id of the boot that it counts from. Who renewed in another boot is gone, whatever the
clock says.
"""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

from .._checks import seconds
from .._clock import Clock, SystemClock, boot_id
from .._errors import InvalidValueError, JournalUnavailableError, UnknownExecutionError
from .._fleet import CancelRequest, Fence, Peer, RejectedMove, Unsettled, Worker, WorkerState, check_fence, fence_of
from .._fleet_codec import decode_peer, decode_rejected, decode_request, decode_worker
from .._states import Cause
from . import Vigil, _sql_fleet, _sqlite_vigil
from ._rows import Row, Value, unsettled_of
from ._sqlite_file import SqliteFile, translated

_ENTRY: Final = (
    *("execution_id", "seq", "at_ns", "worker", "source", "target", "phase", "detail", "cause", "error"),
    *("evidence_json", "result_json"),
)
"""What `ADD_ENTRY` takes, in order."""


class SqliteFleet(SqliteFile):
    """What `Fleet` adds to `Journal`, in an SQLite file."""

    def __init__(self, path: str | os.PathLike[str], clock: Clock | None, *, read_only: bool) -> None:
        self._boot_id = boot_id()
        super().__init__(path, clock if clock is not None else SystemClock(), read_only=read_only)

    def join(self, incarnation: str, lease: float, /) -> None:
        """Make this process known as a worker. See `Fleet.join`."""
        facts: dict[str, Value] = {
            "incarnation": incarnation,
            "host": socket.gethostname() or "localhost",
            "pid": os.getpid(),
            "lease": seconds("lease", lease),
        }
        ways = (_sql_fleet.JOIN_AFTER_WRITING, _sql_fleet.JOIN, _sql_fleet.RENEW)
        if not self._write(lambda connection: any(self._change(connection, way, facts) for way in ways)):
            raise InvalidValueError("incarnation", incarnation, "one that has not gone; take a new one for every boot")

    def renew(self, incarnation: str, /) -> Fence | None:
        """Begin the lease anew. See `Fleet.renew`."""
        asked: dict[str, Value] = {"incarnation": incarnation}
        if self._write_pulse(lambda connection: self._change(connection, _sql_fleet.RENEW, asked)):
            return None
        return fence_of(incarnation, self.worker(incarnation))

    def leave(self, incarnation: str, /) -> Fence | None:
        """Be gone in good order. See `Fleet.leave`."""
        worker = self._write(lambda connection: self._leave(connection, incarnation))
        return None if worker is None else worker.fence

    def vigil(self, incarnation: str, /) -> Vigil:
        """Make this worker present for its peers. See `Fleet.vigil`."""
        if self._read_only:
            raise JournalUnavailableError(f"{self.path} was opened read-only; open it for writing to be a worker")
        _sqlite_vigil.tidy(self.path, self.worker)
        return _sqlite_vigil.SqliteVigil(self.path, incarnation)

    def ring(self, incarnation: str, /) -> bool:
        """Ring for a worker. See `Fleet.ring`."""
        return _sqlite_vigil.ring(self.path, incarnation)

    def worker(self, incarnation: str, /) -> Worker | None:
        """Read one worker. See `Fleet.worker`."""
        with self._reading() as connection:
            worker = self._find(connection, incarnation)
        return None if worker is None else self._seen(worker)

    def workers(self, departed: int = 0, /) -> Sequence[Worker]:
        """Read all workers that are alive or not settled. See `Fleet.workers`."""
        with self._reading() as connection:
            workers = self._select(connection, _sql_fleet.WORKERS, {"departed": departed})
        return [self._seen(worker) for worker in workers]

    def peers(self, /) -> Sequence[Peer]:
        """Read who is there, and who of the fenced is not settled. See `Fleet.peers`."""
        with self._reading() as connection:
            rows = named_rows(connection, _sql_fleet.PEERS, self._now())
        return [decode_peer({**row, "expired": bool(row["expired"])}) for row in rows]

    def fence(
        self, incarnation: str, by: str, cause: Cause, reason: str | None = None, /, *, expired_only: bool = False
    ) -> bool:
        """Find a worker dead, for ever. See `Fleet.fence`."""
        check_fence(incarnation, by, cause)
        facts: dict[str, Value] = {
            "incarnation": incarnation,
            "by": by,
            "cause": cause.value,
            "reason": reason,
            "expired_only": expired_only,
        }
        return self._write(lambda connection: self._change(connection, _sql_fleet.FENCE, facts))

    def unsettled(self, incarnation: str, limit: int, /) -> Sequence[Unsettled]:
        """Read a worker's live executions. See `Fleet.unsettled`."""
        with self._reading() as connection:
            asked = {"incarnation": incarnation, "limit": limit, "wall_ns": self._clock.time_ns()}
            rows = connection.execute(_sql_fleet.UNSETTLED, asked).fetchall()
        return [unsettled_of(row) for row in rows]

    def request_cancel(self, execution_id: str, by: str, reason: str | None = None, /) -> CancelRequest | None:
        """Ask the owner of an execution to cancel it. See `Fleet.request_cancel`."""
        facts: dict[str, Value] = {"execution_id": execution_id, "by": by, "reason": reason}
        self._write(lambda connection: self._change(connection, _sql_fleet.ADD_REQUEST, facts))
        with self._reading() as connection:
            rows = named_rows(connection, _sql_fleet.REQUEST, {"execution_id": execution_id})
        if not rows:
            raise UnknownExecutionError(execution_id)
        return None if rows[0].pop("has_ended") else decode_request(rows[0])

    def requests(self, incarnation: str, /) -> Sequence[CancelRequest]:
        """Read the requests about a worker's live executions. See `Fleet.requests`."""
        with self._reading() as connection:
            rows = named_rows(connection, _sql_fleet.REQUESTS, {"incarnation": incarnation})
        return [decode_request(row) for row in rows]

    def rejected(self, execution_id: str, /) -> RejectedMove | None:
        """Read the end that a fenced owner tried to record. See `Fleet.rejected`."""
        with self._reading() as connection:
            rows = named_rows(connection, _sql_fleet.REJECTED, {"execution_id": execution_id})
        return decode_rejected(rows[0]) if rows else None

    def _keep_rejected(self, connection: sqlite3.Connection, row: Row) -> None:
        """Keep a refused end beside the history, if what refused it is its owner's fence."""
        entry = dict(zip(_ENTRY, row, strict=True))
        connection.execute(_sql_fleet.KEEP_REJECTED, {**entry, "rejected_at_ns": self._clock.time_ns()})

    def _leave(self, connection: sqlite3.Connection, incarnation: str) -> Worker | None:
        worker = self._find(connection, incarnation)
        if worker is not None and worker.fence is None and worker.live:
            what = f"a worker with nothing live; {worker.live} of its executions are"
            raise InvalidValueError("incarnation", incarnation, what)
        self._change(connection, _sql_fleet.LEAVE, {"incarnation": incarnation})
        return worker

    def _change(self, connection: sqlite3.Connection, statement: str, facts: Mapping[str, Value]) -> bool:
        """Run a statement about one row, in a transaction; whether it has changed that row."""
        return connection.execute(statement, {**facts, **self._now()}).rowcount == 1

    def _seen(self, worker: Worker) -> Worker:
        """Add what the kernel knows of a worker against whom the journal knows nothing."""
        if worker.state is not WorkerState.ALIVE or worker.lease is None:
            return worker
        try:
            with translated(self.path):
                there = _sqlite_vigil.is_there(self.path, worker.incarnation)
        except JournalUnavailableError as error:
            if isinstance(
                error.__cause__, PermissionError
            ):  # a reader under another user: only leases tell it who is there
                return worker
            raise
        return worker._replace(gone=_sqlite_vigil.SEEN) if there is False else worker

    def _find(self, connection: sqlite3.Connection, incarnation: str) -> Worker | None:
        found = self._select(connection, _sql_fleet.WORKER, {"incarnation": incarnation})
        return found[0] if found else None

    def _select(self, connection: sqlite3.Connection, query: str, asked: Mapping[str, Value]) -> list[Worker]:
        rows = named_rows(connection, query, {**asked, **self._now()})
        return [decode_worker({**row, "expired": bool(row["expired"])}) for row in rows]

    def _now(self) -> dict[str, Value]:
        """What time it is. Asked inside a transaction that writes, so that times come in the order of the writes."""
        return {
            "boot_id": self._boot_id,
            "now_ns": self._clock.monotonic_ns(),
            "wall_ns": self._clock.time_ns(),
        }


def named_rows(connection: sqlite3.Connection, query: str, asked: Mapping[str, Value]) -> list[dict[str, Value]]:
    """Run a query; give its rows, columns by name."""
    cursor = connection.execute(query, asked)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
