"""The journal in an SQLite file: durable, one file, no server. For one process or for several on one machine."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from typing import Final

from .._clock import Clock
from .._codec import encode_evidence
from .._errors import JournalConflictError, SubscriptionLaggedError
from .._records import Census, Created, Entry, ExecutionRecord, Limits, PhaseChange, Selection, Transition, Warned
from .._states import INITIAL
from . import Page, _sql, _sql_fleet, _sql_outbox
from ._outbox import complain_of_lost
from ._rows import Row, census_of, event_of, record_of
from ._rules import parameters
from ._sqlite_outbox import SqliteOutbox

PRUNE_EVERY: Final = 60.0
"""Seconds between two looks for executions past their retention."""
PRUNE_AT_MOST: Final = 500
"""Executions removed in one look, so that no batch waits long for it."""
FORGET_AT_MOST: Final = {"at_most": 100, "entries": 50_000}
"""The same of workers that are gone, and entries looked at for what refers to them."""


class SqliteJournal(SqliteOutbox):
    """Keeps executions in one SQLite file.

    Args:
        path: The file; made if it is not there, unless *read_only*.
        limits: `retention` and `retained_executions` say what is kept.
        read_only: Open an existing file for reading only.
        clock: The clocks that leases and fences go by; monotonic time must be the same for all processes of the machine.

    Raises:
        JournalUnavailableError: It cannot be opened; or it is of the former version, and somebody else has it open.
        JournalCorruptError: It is no runstate journal.
        JournalVersionError: A newer runstate has written it; or an older one, and *read_only*.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        limits: Limits | None = None,
        *,
        read_only: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._limits = limits if limits is not None else Limits()
        self._pruned_at_ns: int | None = None
        self._forgot_at_ns: int | None = None
        super().__init__(path, clock, read_only=read_only)

    def append(self, batch: Sequence[Entry], /) -> None:
        """Store entries in order. See `Journal.append`."""
        refused = self._write(lambda connection: self._store(connection, batch))
        if refused:
            raise JournalConflictError(refused, "they do not continue what is stored")

    def read(self, after: int, limit: int, selection: Selection, /) -> Page:
        """Read events in order of position. See `Journal.read`."""
        asked = {**parameters(selection), "after": after, "limit": limit}
        with self._reading() as connection:
            connection.execute("BEGIN")
            try:
                pruned, head = connection.execute(_sql.HEAD).fetchone()
                rows = connection.execute(_sql.read_events(selection), asked).fetchall()
            finally:
                connection.execute("ROLLBACK")
        if 0 < after < pruned:
            raise SubscriptionLaggedError(after, pruned)
        events = [event_of(row) for row in rows]
        return Page(events, events[-1].position if len(events) == limit else max(after, head))

    def executions(self, selection: Selection, limit: int, /) -> Sequence[ExecutionRecord]:
        """Read executions, the newest first. See `Journal.executions`."""
        asked = {**parameters(selection), "limit": limit}
        with self._reading() as connection:
            rows = connection.execute(_sql.read_executions(selection), asked).fetchall()
        return [record_of(row) for row in rows]

    def count(self, since_ns: int, span_ns: int, user_id: str | None, /) -> Census:
        """Count what is live, and what has ended lately. See `Countable.count`."""
        asked = {"since": since_ns, "span": span_ns, "user_id": user_id}
        with self._reading() as connection:
            return census_of(connection.execute(_sql.count(Selection(user_id=user_id)), asked).fetchall())

    def _store(self, connection: sqlite3.Connection, batch: Sequence[Entry]) -> list[str]:
        refused = self._add(connection, batch)
        self._prune(connection, batch)
        self._forget_workers(connection, batch)
        return refused

    def _add(self, connection: sqlite3.Connection, batch: Sequence[Entry]) -> list[str]:
        """Add entries; return the executions whose entries were refused."""
        created = [entry for entry in batch if isinstance(entry, Created)]
        try:
            if created:
                connection.executemany(
                    _sql.ADD_EXECUTION, [self._execution_row(connection, entry) for entry in created]
                )
            worker = self._worker
            rows = [_row(entry, worker(connection, entry.incarnation)) for entry in batch]
            connection.executemany(_sql.ADD_ENTRY, rows)
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
                connection.execute(_sql.ADD_ENTRY, _row(entry, self._worker(connection, entry.incarnation)))
            except sqlite3.IntegrityError:
                connection.execute("ROLLBACK TO entry")
                self._workers.clear()  # a number given out since the savepoint is void
                refused.append(entry.execution_id)
                if isinstance(entry, Transition) and entry.target.is_terminal:
                    self._keep_rejected(connection, _row(entry, entry.incarnation))
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
            entry.retry_of,
            entry.attempt,
            entry.message_id,
        )

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
        """Remove what retention no longer keeps: by count with every batch that ends anything, by age every `PRUNE_EVERY` seconds."""
        if not batch:
            return
        limits = self._limits
        now_ns = batch[-1].at_ns
        looked_ns = self._pruned_at_ns
        is_early = looked_ns is not None and now_ns - looked_ns < PRUNE_EVERY * 1e9
        if is_early and not any(isinstance(entry, Transition) and entry.cause is not None for entry in batch):
            return  # there are no more than at the last look
        too_many: int = connection.execute(_sql.ENDED).fetchone()[0] - limits.retained_executions
        if is_early and too_many <= 0:
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
        if chosen > 0:
            lost: int = connection.execute(_sql_outbox.LOST).fetchone()[0]
            for statement in remove:
                connection.execute(statement)
            complain_of_lost(connection.execute(_sql_outbox.LOST).fetchone()[0] - lost)

    def _forget_workers(self, connection: sqlite3.Connection, batch: Sequence[Entry]) -> None:
        """Remove workers past their retention that nothing refers to any more, every `PRUNE_EVERY` seconds."""
        looked_ns = self._forgot_at_ns
        if not batch or (looked_ns is not None and batch[-1].at_ns - looked_ns < PRUNE_EVERY * 1e9):
            return
        self._forgot_at_ns = batch[-1].at_ns
        oldest_ns = batch[-1].at_ns - int(self._limits.retention * 1e9)
        removed = connection.execute(_sql_fleet.FORGET_WORKERS, {"oldest_ns": oldest_ns, **FORGET_AT_MOST}).rowcount
        if removed == FORGET_AT_MOST["at_most"]:
            self._forgot_at_ns = None  # there may be more


def _row(entry: Entry, worker: int | str) -> Row:
    """What `ADD_ENTRY` takes of an entry, and of its worker whatever it is known by."""
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
    if isinstance(entry, Warned):
        return (*head, None, None, None, entry.detail, entry.cause._value_, None, None, None)
    return (*head, None, INITIAL.value, None, None, None, None, None, None)
