"""The journal in a PostgreSQL database: shared by many processes and hosts, each with its own writer.

An append is one round trip: the batch travels as one JSON text to a function in the database, which stores it and commits. Only
when somebody's entry was refused is the batch sent again, to a function that halves it until it has found what to leave out. It
makes a worker known, too, so the first batch of one goes there at once.
`_postgres_schema` says how the database holds the rules and why positions never lie.

**When the answer is lost.** A connection that breaks during an append leaves it open whether the batch was committed. The next
append is then told so: what it is given once more and finds stored, equal in every column, is stored, and not a conflict. Should
the server still be busy with the first attempt, the second waits for it at the pen.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar
from weakref import WeakSet

import psycopg
from psycopg import Connection

from .._codec import encode_evidence, encode_rows
from .._errors import JournalConflictError, SubscriptionLaggedError
from .._records import Census, Created, Entry, ExecutionRecord, Limits, PhaseChange, Selection, Transition, Warned
from .._states import INITIAL
from . import Page, _migrations, _postgres_sql
from ._outbox import complain_of_lost
from ._postgres_bell import Bell
from ._postgres_connection import Address, abandon, is_lost, persistently, translated
from ._postgres_outbox import PostgresOutbox
from ._postgres_outbox_schema import NOTICES_LOST
from ._rows import census_of, event_of, record_of
from ._rules import parameters

T = TypeVar("T")

MANY: Final = 32
"""Entries from which on a batch is worth being read before the pen is taken."""
PRUNE_EVERY: Final = 60.0
"""Seconds between two looks for executions past their retention, of all processes together."""
PRUNE_AT_MOST: Final = 500
"""Executions removed in one look, so that no batch waits long for it."""

_open_journals: Final[WeakSet[PostgresJournal]] = WeakSet()


class PostgresJournal(PostgresOutbox):
    """Keeps executions in one PostgreSQL database, in the schema `runstate`.

    Args:
        url: `postgresql://user:password@host:port/database`, with any option of libpq after a `?`.
        limits: `retention` and `retained_executions` say what is kept.
        read_only: Open an existing journal for reading only.

    Raises:
        InvalidValueError: *url* is no such URL.
        JournalUnavailableError: The server cannot be reached, or does not let this role in.
        JournalCorruptError: The schema `runstate` there is no journal.
        JournalVersionError: A newer runstate has written it.
    """

    def __init__(self, url: str, limits: Limits | None = None, *, read_only: bool = False) -> None:
        super().__init__(Address(url), self._connect_session, read_only=read_only)
        self._limits = limits if limits is not None else Limits()
        self._read_lock = threading.Lock()
        self._append_lock = threading.Lock()
        self._workers: set[str] = set()
        """Incarnations that the database knows for certain."""
        self._looked_at_ns: int | None = None
        self._ended = 0
        """Ends stored since the last look for what is past its retention."""
        self._left: int | None = None
        """What that look has left to do, if it has."""
        self._in_doubt = False
        """Whether an append may have been committed although its answer was lost."""
        self._bells: list[Bell] = []
        self._writer: Connection | None = None
        self._reader: Connection | None = None
        with translated(self._address, is_opening=True):
            if not read_only:
                self._writer = self._connect_writer()
            else:
                self._reader = self._connect_reader()
        _open_journals.add(self)

    def __repr__(self) -> str:
        return f"<PostgresJournal {self._address.shown}>"

    def append(self, batch: Sequence[Entry], /) -> None:
        """Store entries in order. See `Journal.append`."""
        self._refuse_to_write()
        if not batch:
            return
        encoded = encode_rows([_described(entry) for entry in batch])
        creates = any(type(entry) is Created for entry in batch)
        with self._append_lock, translated(self._address):
            refused = persistently(lambda: self._write(batch, encoded, creates=creates))
        if refused:
            raise JournalConflictError(refused, "they do not continue what is stored")

    def read(self, after: int, limit: int, selection: Selection, /) -> Page:
        """Read events in order of position. See `Journal.read`."""
        asked = {**parameters(selection), "after": after, "limit": limit}
        rows = self._read(lambda reader: reader.execute(_postgres_sql.read_events(selection), asked).fetchall())
        pruned, head = rows[0][:2]
        if 0 < after < pruned:
            raise SubscriptionLaggedError(after, pruned)
        events = [event_of(row[2:]) for row in rows if row[2] is not None]
        return Page(events, events[-1].position if len(events) == limit else max(after, head))

    def executions(self, selection: Selection, limit: int, /) -> Sequence[ExecutionRecord]:
        """Read executions, the newest first. See `Journal.executions`."""
        asked = {**parameters(selection), "limit": limit}
        rows = self._read(lambda reader: reader.execute(_postgres_sql.read_executions(selection), asked).fetchall())
        return [record_of(row) for row in rows]

    def count(self, since_ns: int, span_ns: int, user_id: str | None, /) -> Census:
        """Count what is live, and what has ended lately. See `Countable.count`."""
        asked = {"since": since_ns, "span": span_ns, "user_id": user_id}
        statement = _postgres_sql.count(Selection(user_id=user_id))
        return census_of(self._read(lambda reader: reader.execute(statement, asked).fetchall()))

    def listen(self, ring: Callable[[], None], /) -> None:
        """Have *ring* called when another process has appended. See `Doorbell.listen`."""
        self._bells.append(Bell(self._address, ring, self._own_process))

    def close(self) -> None:
        """Close the connections. It can still be read: reading connects again."""
        _open_journals.discard(self)
        bells, self._bells = self._bells, []
        for bell in bells:
            bell.close()
        self._close_fleet()
        with self._append_lock, self._read_lock, translated(self._address):
            writer, self._writer = self._writer, None
            reader, self._reader = self._reader, None
            for connection in (reader, writer):
                if connection is not None:
                    connection.close()

    def _own_process(self) -> int | None:
        writer = self._writer
        return None if writer is None or writer.closed else writer.info.backend_pid

    def _connect_writer(self) -> Connection:
        connection = self._address.connect("writer")
        connection.add_notice_handler(_hear_of_lost)
        with _closed_unless_ready(connection):
            connection.execute(_postgres_sql.WRITING)
            _migrations.prepare(connection, self._address.shown)
            _migrations.check_version(connection, self._address.shown)
        return connection

    def _connect_session(self) -> Connection:
        connection = self._address.connect("worker" if not self._read_only else "reader")
        with _closed_unless_ready(connection):
            connection.execute(_postgres_sql.READING if self._read_only else _postgres_sql.WORKING)
            _migrations.check_version(connection, self._address.shown)
        return connection

    def _connect_reader(self) -> Connection:
        connection = self._address.connect("reader")
        with _closed_unless_ready(connection):
            connection.execute(_postgres_sql.READING)
            _migrations.check_version(connection, self._address.shown)
        return connection

    def _write(self, batch: Sequence[Entry], encoded: str, *, creates: bool) -> list[str]:
        """Store a batch; return the executions whose entries were refused."""
        with self._writing() as writer:
            unknown = {entry.incarnation for entry in batch} - self._workers
            self._prune(writer, batch[-1].at_ns)
            again, self._in_doubt = self._in_doubt, True
            refused: list[str] = []
            try:
                is_large = len(batch) >= MANY
                store = (
                    (_postgres_sql.APPEND_MANY, (encoded,)) if is_large else (_postgres_sql.APPEND, (encoded, creates))
                )
                if again or unknown or not self._store(writer, *store):
                    row = writer.execute(_postgres_sql.APPEND_AROUND, (encoded, again)).fetchone()
                    refused = [] if row is None else row[0]
            except psycopg.Error as error:
                self._in_doubt = again or writer.closed or is_lost(error)
                raise
            self._in_doubt = False
            if not refused:  # else an incarnation that is new may have been left out
                self._workers |= unknown
            self._ended += sum(isinstance(entry, Transition) and entry.cause is not None for entry in batch)
        return refused

    def _store(self, writer: Connection, statement: bytes, batch: tuple[object, ...]) -> bool:
        """Store a batch whole; say whether nobody's entry was refused."""
        try:
            writer.execute(statement, batch, prepare=True)
        except psycopg.IntegrityError:
            return False
        return True

    def _prune(self, writer: Connection, now_ns: int) -> None:
        """Remove what retention no longer keeps: every `PRUNE_EVERY` seconds, or when there may be a tenth more than it keeps.

        It comes before a batch, so that its failing is the batch's.
        """
        limits, looked_ns = self._limits, self._looked_at_ns
        is_urgent = self._left is not None or self._ended > limits.retained_executions // 10
        if not is_urgent and looked_ns is not None and now_ns - looked_ns < PRUNE_EVERY * 1e9:
            return
        oldest_ns = now_ns - int(limits.retention * 1e9)
        every_ns = 0 if is_urgent else int(PRUNE_EVERY * 1e9)
        left = -1 if self._left is None else self._left
        asked = (now_ns, oldest_ns, limits.retained_executions, PRUNE_AT_MOST, every_ns, left)
        row = writer.execute(_postgres_sql.PRUNE, asked).fetchone()
        self._looked_at_ns, self._ended, self._left = now_ns, 0, None if row is None else row[0]

    @contextmanager
    def _writing(self) -> Generator[Connection]:
        """Give the connection that writes; drop it when it is lost, or when who knows what has happened to it."""
        writer = self._writer = self._writer or self._connect_writer()
        try:
            yield writer
        except BaseException as error:
            if writer.closed or not isinstance(error, psycopg.Error) or is_lost(error):
                self._writer = None
                self._workers.clear()
                writer.close()
            raise

    def _read(self, ask: Callable[[Connection], T]) -> T:
        with self._read_lock, translated(self._address):
            return persistently(lambda: self._ask(ask))

    def _ask(self, ask: Callable[[Connection], T]) -> T:
        reader = self._reader or self._connect_reader()
        self._reader = None
        try:
            answer = ask(reader)
        except BaseException as error:
            if not reader.closed and isinstance(error, psycopg.Error) and not is_lost(error):
                self._reader = reader
            else:
                reader.close()
            raise
        if self in _open_journals:
            self._reader = reader
        else:
            reader.close()
        return answer


def _hear_of_lost(said: psycopg.errors.Diagnostic) -> None:
    """Hear what the trigger says that takes the notices of removed executions along."""
    if said.message_primary is not None and said.message_primary.startswith(NOTICES_LOST):
        complain_of_lost(int(said.message_primary.removeprefix(NOTICES_LOST)))


@contextmanager
def _closed_unless_ready(connection: Connection) -> Generator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _described(entry: Entry) -> dict[str, object]:
    """Describe an entry by the columns that it fills."""
    if isinstance(entry, Transition):
        execution_id, seq, at_ns, source, target, incarnation, cause, evidence, error, result_json = entry
        row: dict[str, object] = {
            "execution_id": execution_id,
            "seq": seq,
            "at_ns": at_ns,
            "incarnation": incarnation,
            "source": source._value_,
            "target": target._value_,
        }
        if cause is not None:
            row["cause"] = cause._value_
        if error is not None:
            row["error"] = error
        if evidence is not None:
            row["evidence_json"] = encode_evidence(evidence).decode()
        if result_json is not None:
            row["result_json"] = result_json.decode()
        return row
    row = {
        "execution_id": entry.execution_id,
        "seq": entry.seq,
        "at_ns": entry.at_ns,
        "incarnation": entry.incarnation,
    }
    if isinstance(entry, PhaseChange):
        return {**row, "phase": entry.phase._value_, "detail": entry.detail}
    if isinstance(entry, Warned):
        return {**row, "cause": entry.cause._value_, "detail": entry.detail}
    if entry.retry_of is not None or entry.attempt != 1:
        row |= {"retry_of": entry.retry_of, "attempt": entry.attempt}
    if entry.message_id is not None:
        row["message_id"] = entry.message_id
    return {
        **row,
        "target": INITIAL.value,
        "agent": entry.agent,
        "thread_id": entry.thread_id,
        "user_id": entry.user_id,
        "timeout": entry.timeout,
        "heartbeat_timeout": entry.heartbeat_timeout,
        "metadata_json": None if entry.metadata_json is None else entry.metadata_json.decode(),
    }


_held: Final[list[PostgresJournal]] = []


def _before_fork() -> None:
    """Let no transaction be in flight while the process is copied."""
    _held.extend(_open_journals)
    for journal in _held:
        journal._append_lock.acquire()
        journal._read_lock.acquire()
        journal._session.hold()


def _after_fork_in_parent() -> None:
    for journal in _held:
        journal._session.let_go()
        journal._read_lock.release()
        journal._append_lock.release()
    _held.clear()


def _after_fork_in_child() -> None:
    """Leave the parent its connections; the child connects anew when it first reads or writes."""
    for journal in _held:
        for bell in journal._bells:
            bell.after_fork()
        for connection in (journal._reader, journal._writer):
            if connection is not None:
                abandon(connection)
        journal._reader = journal._writer = None
        journal._read_lock = threading.Lock()
        journal._append_lock = threading.Lock()
        journal._workers.clear()
        journal._bells.clear()
        journal._in_doubt = False
        journal._after_fork_in_child()
    _held.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
