"""What a journal on a server must be like as a whole: the half of `verify` that talks to PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import psycopg
from psycopg import Connection
from psycopg.rows import dict_row

from .._errors import JournalCorruptError, JournalError, JournalVersionError, describe
from ..journal import _migrations
from ..journal._postgres_connection import Address, translated
from . import _fleet, _notices
from ._finding import Finding
from ._log import ExecutionLog, Row, id_text

PAGE: Final = 1_000
"""Rows fetched at once."""

_EXECUTIONS: Final = b"""
SELECT x.number, x.execution_id, x.agent, x.thread_id, x.user_id, x.state, x.seq, x.created_at_ns, x.updated_at_ns,
       w.incarnation, x.timeout, x.heartbeat_timeout, x.phase, x.phase_detail, x.metadata_json, x.worker,
       w.fenced_by, r.asked_by, x.retry_of, x.attempt, x.message_id
FROM runstate.executions AS x LEFT JOIN runstate.workers AS w ON w.number = x.worker
LEFT JOIN runstate.requests AS r ON r.number = x.number
ORDER BY x.number
"""
_ENTRIES: Final = b"""
SELECT e.number, e.position, e.seq, e.at_ns, w.incarnation, e.worker, e.source, e.target, e.phase, e.detail, e.cause, e.error,
       e.evidence_json, e.result_json, w.gone_position
FROM runstate.entries AS e LEFT JOIN runstate.workers AS w ON w.number = e.worker
ORDER BY e.number, e.seq, e.position
"""
_ORPHANS: Final = b"""
SELECT number, count(*), min(position) FROM runstate.entries AS e
WHERE NOT EXISTS (SELECT FROM runstate.executions AS x WHERE x.number = e.number) GROUP BY number ORDER BY number
"""
_NOTES_OF_NOTHING: Final = b"""
SELECT number, 'a request to cancel' FROM runstate.requests
WHERE number NOT IN (SELECT number FROM runstate.executions)
UNION ALL SELECT number, 'a rejected end' FROM runstate.rejected
WHERE number NOT IN (SELECT number FROM runstate.executions) ORDER BY number
"""
_POSTGRES: Final = _fleet.Dialect(
    "runstate.",
    "process",
    "SELECT greatest((SELECT max(position) FROM runstate.entries), "
    "(SELECT value FROM runstate.meta WHERE key = 'pruned')) AS newest",
)
_TWICE: Final = b"SELECT execution_id, count(*) FROM runstate.executions GROUP BY execution_id HAVING count(*) > 1"
_ENDED: Final = b"""
SELECT execution_id, ended_at_ns, updated_at_ns FROM runstate.executions
WHERE ended_at_ns IS NOT NULL AND ended_at_ns <> updated_at_ns ORDER BY number
"""
_COUNTED: Final = b"""
SELECT 'executions.number', (SELECT max(number) FROM runstate.executions), last_value
FROM pg_sequences WHERE schemaname = 'runstate' AND sequencename = 'executions_number_seq'
  AND has_sequence_privilege(to_regclass('runstate.executions_number_seq'), 'SELECT, USAGE')
UNION ALL
SELECT 'entries.position', greatest((SELECT max(position) FROM runstate.entries),
                                    (SELECT nullif(value, 0) FROM runstate.meta WHERE key = 'pruned')), last_value
FROM pg_sequences WHERE schemaname = 'runstate' AND sequencename = 'entries_position_seq'
  AND has_sequence_privilege(to_regclass('runstate.entries_position_seq'), 'SELECT, USAGE')
"""
"""The counters that this role may see: of the others `last_value` is NULL, as if they had never counted."""
_FUNCTIONS: Final = b"SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'runstate'::regnamespace"
_TRIGGERS: Final = b"""
SELECT t.tgname, t.tgenabled = 'O' FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
WHERE c.relnamespace = 'runstate'::regnamespace AND NOT t.tgisinternal
"""
_CONSTRAINTS: Final = b"SELECT conname, convalidated FROM pg_constraint WHERE connamespace = 'runstate'::regnamespace"
_INDEXES: Final = b"""
SELECT c.relname, i.indisvalid FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE c.relnamespace = 'runstate'::regnamespace
"""
_NAMED_CONSTRAINTS: Final = {
    *("meta_pkey", "workers_pkey", "workers_incarnation_key"),
    *("executions_pkey", "executions_execution_id_key", "executions_check", "executions_chain_check"),
    *("entries_pkey", "entries_number_seq_key", "entries_check", "entries_seq_check"),
    *(
        "workers_go_check",
        "workers_join_check",
        "requests_pkey",
        "rejected_pkey",
        "rejected_check",
        "rejected_seq_check",
    ),
    *("outboxes_pkey", "outboxes_name_key", "outboxes_lost_check", "notices_pkey", "notices_check"),
    *("name_check", "seconds_check", "state_check", "phase_check"),
}
"""What PostgreSQL calls the constraints of the rendered schema."""
_SCHEMA: Final = "".join(part for migration in _migrations.MIGRATIONS for part in (migration.pre, migration.post))
"""All that was ever made, in order."""
_KEYS: Final = {"schema", "serves", "pruned", "looked"}


def findings(url: str) -> Iterator[Finding]:
    """Yield everything that is wrong with a journal on a server, reading it row by row in one snapshot.

    Args:
        url: Which.
    """
    address = Address(url)
    try:
        with translated(address), address.connect("verify") as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield from _checked(address.shown, connection)
    except JournalVersionError as error:
        yield Finding("version", None, str(error))
    except JournalCorruptError as error:
        yield Finding("format", None, str(error))
    except JournalError as error:
        yield Finding("file", None, str(error))


def _checked(name: str, connection: Connection) -> Iterator[Finding]:
    _migrations.check_version(connection, name)
    yield from _schema(connection)
    yield from _meta(connection)
    for execution_id, times in connection.execute(_TWICE):
        yield Finding("unique", id_text(execution_id), f"{times} executions have this id")
    for number, entries, first in connection.execute(_ORPHANS):
        yield Finding(
            "orphan",
            None,
            f"{entries} entries from position {first} on belong to execution number {number}, which is not there",
        )
    for execution_id, ended, updated in connection.execute(_ENDED):
        yield Finding(
            "fold", id_text(execution_id), f"executions.ended_at_ns is {ended}, but its last entry is of {updated}"
        )
    for number, what in connection.execute(_NOTES_OF_NOTHING):
        yield Finding("orphan", None, f"{what} belongs to execution number {number}, which is not there")
    for check in (_fleet.workers, _fleet.requests, _fleet.rejected, _fleet.chains, _notices.notices):
        yield from check(lambda query: _rows(connection, "fleet", query.encode()), _POSTGRES)
    yield from _executions(connection)


def _schema(connection: Connection) -> Iterator[Finding]:
    # of a function that was replaced, the newest
    rendered = dict(
        re.findall(r"CREATE (?:OR REPLACE )?FUNCTION runstate\.(\w+)\(.*?\$\$(.*?)\$\$", _SCHEMA, re.DOTALL)
    )
    found: dict[str, str] = dict(connection.execute(_FUNCTIONS).fetchall())
    for name in rendered.keys() - found.keys():
        yield Finding("schema", None, f"function {name} is missing")
    for name, source in found.items():
        if name not in rendered:
            yield Finding("schema", None, f"function {describe(name)} does not belong to a journal")
        elif source != rendered[name]:
            yield Finding("schema", None, f"function {name} is not as rendered: {describe(source, 200)}")
    expected = {
        "trigger": (_made("TRIGGER"), _TRIGGERS),
        "constraint": (_NAMED_CONSTRAINTS, _CONSTRAINTS),
        "index": (_made("INDEX"), _INDEXES),
    }
    for kind, (names, asked) in expected.items():
        works: dict[str, bool] = dict(connection.execute(asked).fetchall())
        for name in sorted(names - works.keys()):
            yield Finding("schema", None, f"{kind} {name} is missing")
        for name in sorted(name for name, is_on in works.items() if not is_on):
            yield Finding("schema", None, f"{kind} {describe(name)} is switched off, or was never checked")


def _made(kind: str) -> set[str]:
    return set(re.findall(rf"CREATE (?:UNIQUE )?{kind} (\w+)", _SCHEMA)) - set(
        re.findall(rf"DROP {kind} (\w+)", _SCHEMA)
    )


def _meta(connection: Connection) -> Iterator[Finding]:
    values: dict[str, int] = dict(connection.execute("SELECT key, value FROM runstate.meta").fetchall())
    for key in sorted(values.keys() ^ _KEYS):
        yield Finding("meta", None, f"meta.{key} is {'missing' if key in _KEYS else 'not known here'}")
    for key, value in sorted(values.items()):
        if value < 0:
            yield Finding("meta", None, f"meta.{key} must be a number, 0 or more; found {value}")
    for column, newest, last in connection.execute(_COUNTED):
        if newest is not None and (last is None or newest > last):
            yield Finding(
                "meta", None, f"{column} goes up to {newest}, but its counter says {last}: numbers would be given twice"
            )


def _executions(connection: Connection) -> Iterator[Finding]:
    """Check every execution; two cursors walk through both tables side by side."""
    entries = groupby(_rows(connection, "entries", _ENTRIES), key=itemgetter("number"))
    number, log = next(entries, (None, iter(())))
    for row in _rows(connection, "executions", _EXECUTIONS):
        while number is not None and number < row["number"]:  # orphans, which are reported already
            number, log = next(entries, (None, iter(())))
        own: Iterator[Row] = iter(())
        if number == row["number"]:
            own = log
        yield from ExecutionLog(row).check(own)


def _rows(connection: Connection, name: str, query: bytes) -> Iterator[dict[str, Any]]:
    with psycopg.ServerCursor(connection, name, row_factory=dict_row) as cursor:
        cursor.itersize = PAGE
        yield from cursor.execute(query)
