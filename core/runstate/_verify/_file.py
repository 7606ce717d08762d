"""What a journal file must be like as a whole: the half of `verify` that talks to SQLite."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from .._errors import JournalVersionError, describe
from .._states import TERMINAL, in_table_order
from ..journal import _sql
from . import _fleet, _notices
from ._finding import Finding
from ._log import ExecutionLog, Row, Value, id_text, named

INTEGRITY_ROWS: Final = 10_000
"""How many troubles SQLite's own check reports before it stops."""
LONGEST_NAME: Final = 300
"""Characters of a path that a message shows."""
_SQLITE: Final = _fleet.Dialect(
    "", "boot_id", "SELECT coalesce(max(seq), 0) AS newest FROM sqlite_sequence WHERE name = 'entries'"
)
BUSY_TIMEOUT: Final = 5.0
"""Seconds to wait for a writer that holds the file."""

_DAMAGE: Final = (sqlite3.Error, UnicodeDecodeError)
"""What reading a damaged file raises: the driver also decodes names and error texts, whatever bytes they hold."""

_EXECUTIONS: Final = """
SELECT x.number, x.execution_id, x.agent, x.thread_id, x.user_id, x.state, x.seq, x.created_at_ns, x.updated_at_ns,
       w.incarnation, x.timeout, x.heartbeat_timeout, x.phase, x.phase_detail, x.metadata_json, x.worker,
       w.fenced_by, r.asked_by, x.retry_of, x.attempt, x.message_id
FROM executions AS x LEFT JOIN workers AS w ON w.number = x.worker LEFT JOIN requests AS r ON r.number = x.number
ORDER BY x.number
"""
_ENTRIES: Final = """
SELECT e.position, e.seq, e.at_ns, w.incarnation, e.worker, e.source, e.target, e.phase, e.detail, e.cause, e.error,
       e.evidence_json, e.result_json, w.gone_position
FROM entries AS e LEFT JOIN workers AS w ON w.number = e.worker
WHERE e.number = ? ORDER BY e.seq, e.position
"""
_ORPHANS: Final = """
SELECT number, count(*) AS entries, min(position) AS first
FROM entries WHERE number NOT IN (SELECT number FROM executions) GROUP BY number
"""
_TWICE: Final = "SELECT execution_id, count(*) AS times FROM executions GROUP BY execution_id HAVING count(*) > 1"
_SCHEMA: Final = "SELECT type, name, tbl_name, sql FROM sqlite_schema"
_COUNTED: Final = (("executions", "number"), ("entries", "position"))
_ENDED: Final = (
    "SELECT count(*) FROM executions WHERE state IN "  # noqa: S608 - our own names
    f"({', '.join(repr(state.value) for state in in_table_order(TERMINAL))})"
)


def findings(file: Path, *, immutable: bool) -> Iterator[Finding]:
    """Yield everything that is wrong with a journal file, reading it row by row.

    Args:
        file: The SQLite file.
        immutable: Read it without any locks; only sound while nobody writes.
    """
    name = _name(file)
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            yield Finding("file", None, f"{name} is no regular file; give the path of a journal")
            return
        if not os.access(file, os.R_OK):  # not by opening it: see `_peek`
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        connection = _open(file, immutable=immutable)
    except FileNotFoundError:
        yield Finding("file", None, f"{name} does not exist; give the path of a journal")
        return
    except (OSError, sqlite3.OperationalError) as error:
        yield Finding("file", None, f"{name} cannot be opened: {getattr(error, 'strerror', None) or error}")
        return
    try:
        yield from _checked(name, connection)
    finally:
        connection.close()


def _name(file: Path) -> str:
    name = str(file).encode("utf-8", "backslashreplace").decode()  # a name need not be UTF-8
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


def _open(file: Path, *, immutable: bool) -> sqlite3.Connection:
    mode = "mode=ro&immutable=1" if immutable else "mode=ro"
    connection = sqlite3.connect(
        f"{file.absolute().as_uri()}?{mode}", uri=True, timeout=BUSY_TIMEOUT, isolation_level=None
    )
    connection.row_factory = sqlite3.Row
    connection.text_factory = _text
    return connection


def _text(encoded: bytes) -> str:
    """Bytes that are no UTF-8 must become a finding of the strict decoder, not an error of the driver."""
    return encoded.decode("utf-8", "surrogateescape")


def _checked(name: str, connection: sqlite3.Connection) -> Iterator[Finding]:
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("BEGIN")
        application_id: int = connection.execute("PRAGMA application_id").fetchone()[0]
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.OperationalError as error:
        yield Finding("file", None, f"{name} cannot be read: {error}")
        return
    except _DAMAGE as error:
        yield Finding("format", None, f"{name} is no SQLite file: {error}")
        return
    if application_id != _sql.APPLICATION_ID:
        yield Finding(
            "format",
            None,
            f"{name} is an SQLite file, but no runstate journal: its application id is {application_id:#010x}, "
            f"expected {_sql.APPLICATION_ID:#010x}",
        )
        return
    if version != _sql.SCHEMA_VERSION:
        yield Finding("version", None, str(JournalVersionError(name, version, _sql.SCHEMA_VERSION)))
        return
    yield from _guarded("the file", _integrity(connection))
    yield from _guarded("the references", _foreign_keys(connection))
    yield from _guarded("the schema", _schema(connection))
    yield from _guarded("the bookkeeping", _meta(connection))
    yield from _guarded("the ids", _unique(connection))
    yield from _guarded("the entries", _orphans(connection))
    yield from _guarded("the workers", _fleet.workers(connection.execute, _SQLITE))
    yield from _guarded("the requests", _fleet.requests(connection.execute, _SQLITE))
    yield from _guarded("the chains", _fleet.chains(connection.execute, _SQLITE))
    yield from _guarded("the rejected ends", _fleet.rejected(connection.execute, _SQLITE))
    yield from _guarded("the notices", _notices.notices(connection.execute, _SQLITE))
    yield from _guarded("the executions", _executions(connection))


def _guarded(what: str, found: Iterable[Finding], execution_id: str | None = None) -> Iterator[Finding]:
    try:
        yield from found
    except _DAMAGE as error:
        yield Finding("integrity", execution_id, f"{what} cannot be read any further: {error}")


def _integrity(connection: sqlite3.Connection) -> Iterator[Finding]:
    for (trouble,) in connection.execute(f"PRAGMA integrity_check({INTEGRITY_ROWS})"):
        if trouble != "ok":
            yield Finding("integrity", None, str(trouble).replace("\n", "; "))


def _foreign_keys(connection: sqlite3.Connection) -> Iterator[Finding]:
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield Finding("foreign_key", None, f"row {row} of {table} refers to a row of {parent} that is not there")


def _rendered() -> sqlite3.Connection:
    """An empty journal in memory, made from the transition table: what the schema must be."""
    rendered = sqlite3.connect(":memory:", isolation_level=None)
    rendered.executescript(_sql.SCHEMA)
    return rendered


def _schema(connection: sqlite3.Connection) -> Iterator[Finding]:
    with closing(_rendered()) as rendered:
        expected = {(kind, name): (table, sql) for kind, name, table, sql in rendered.execute(_SCHEMA)}
    found = {(kind, name): (table, sql) for kind, name, table, sql in connection.execute(_SCHEMA)}
    for (kind, name), definition in expected.items():
        if (kind, name) not in found:
            yield Finding("schema", None, f"{kind} {name} is missing")
        elif found[kind, name] != definition:
            yield Finding("schema", None, f"{kind} {name} is not as rendered: {describe(found[kind, name][1], 200)}")
    for kind, name in found:
        if (kind, name) not in expected and not str(name).startswith("sqlite_"):  # SQLite's own, as ANALYZE makes them
            yield Finding("schema", None, f"{kind} {describe(name)} does not belong to a journal")


def _meta(connection: sqlite3.Connection) -> Iterator[Finding]:
    with closing(_rendered()) as rendered:
        expected = [key for (key,) in rendered.execute("SELECT key FROM meta ORDER BY key")]
    values: dict[str, Value] = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    for key in values.keys() - set(expected):
        yield Finding("meta", None, f"meta.{key} is not known here; expected only {', '.join(expected)}")
    for key in expected:
        value = values.get(key)
        if not isinstance(value, int) or value < 0:
            yield Finding("meta", None, f"meta.{key} must be a number, 0 or more; found {describe(value)}")
    ended: int = connection.execute(_ENDED).fetchone()[0]
    if "ended" in expected and values.get("ended") != ended:
        yield Finding("meta", None, f"meta.ended is {describe(values.get('ended'))}, but {ended} executions have ended")
    given: dict[str, Value] = dict(connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    for table, column in _COUNTED:
        newest = connection.execute(f"SELECT max({column}) FROM {table}").fetchone()[0]  # noqa: S608 - our own names
        last = given.get(table, 0)
        if isinstance(newest, int) and not (isinstance(last, int) and newest <= last):
            yield Finding(
                "meta",
                None,
                f"{table}.{column} goes up to {newest}, but its counter says {describe(last)}: numbers would be given twice",
            )
    pruned, last = values.get("pruned"), given.get("entries", 0)
    if isinstance(pruned, int) and isinstance(last, int) and pruned > last:
        yield Finding("meta", None, f"meta.pruned is {pruned}, beyond the last position given out, {last}")


def _unique(connection: sqlite3.Connection) -> Iterator[Finding]:
    for execution_id, times in connection.execute(_TWICE):
        yield Finding("unique", id_text(execution_id), f"{times} executions have this id")


def _orphans(connection: sqlite3.Connection) -> Iterator[Finding]:
    for number, entries, first in connection.execute(_ORPHANS):
        yield Finding(
            "orphan",
            None,
            f"{entries} entries from position {first} on belong to execution number {number}, which is not there",
        )


def _executions(connection: sqlite3.Connection) -> Iterator[Finding]:
    for row in connection.execute(_EXECUTIONS):
        execution = named(row)
        entries = _entries(connection, row["number"])
        yield from _guarded("its log", ExecutionLog(execution).check(entries), id_text(execution["execution_id"]))


def _entries(connection: sqlite3.Connection, number: Value) -> Iterator[Row]:
    yield from connection.execute(_ENTRIES, [number])  # here, so that a log that cannot be read costs only itself
