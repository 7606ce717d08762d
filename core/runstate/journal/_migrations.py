"""The versions of the PostgreSQL schema, and how one becomes the next while a fleet is running.

Each version has two parts. Its *pre* part only adds, so the former version's code goes on working on what it makes; its *post*
part takes away what only the former version needed. In between both versions write, which is how a fleet is upgraded without
stopping: run pre, replace the workers one by one, run post.

Two numbers in `runstate.meta` say where a database stands: `schema`, the newest version whose pre part has run, and `serves`, the
oldest version whose code may still use it. Code of version V opens what serves V or older and has V's pre part; anything newer is
`JournalVersionError`. Opening for writing runs the pre parts that are missing, and makes an empty database a journal; the post
part of the newest version is run by `finish_migration` alone, because only people know when the last old worker is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from psycopg import Connection

from .._errors import JournalCorruptError, JournalUnavailableError, JournalVersionError
from ._postgres_chain_schema import PRE as CHAINED
from ._postgres_fleet_schema import POST, PRE
from ._postgres_rules import LOCKS, MIGRATING
from ._postgres_schema import SCHEMA


class Migration(NamedTuple):
    """How the former version's schema becomes this version's."""

    version: int
    pre: str
    """Only adds: the former version's code works on."""
    post: str
    """Takes away what the former version's code needed."""


MIGRATIONS: Final = (Migration(1, pre=SCHEMA, post=""), Migration(2, pre=PRE + CHAINED, post=POST))
"""Every version, the oldest first."""

_STATE: Final = (
    b"SELECT (SELECT value FROM runstate.meta WHERE key = %s), (SELECT value FROM runstate.meta WHERE key = %s)"
)
_IS_THERE: Final = b"""
SELECT n.nspname, c.relname FROM pg_namespace AS n LEFT JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = 'meta'
WHERE n.nspname = 'runstate'
"""
_BEGIN: Final = f"SELECT set_config('lock_timeout', '60s', true), pg_advisory_xact_lock({LOCKS}, {MIGRATING})".encode()


class _State(NamedTuple):
    schema: int
    serves: int


def check_version(connection: Connection, where: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Refuse what is no journal of a version that this code can use.

    Raises:
        JournalUnavailableError: There is no journal yet.
        JournalCorruptError: Something else has the name of our schema.
        JournalVersionError: It is of another version.
    """
    supported = migrations[-1].version
    state = _state(connection, where)
    if state is None:
        raise JournalUnavailableError(
            f"{where} holds no journal; open it once for writing, as a role that may create a schema"
        )
    if state.serves > supported:
        raise JournalVersionError(where, state.serves, supported)
    if state.schema < supported:
        raise JournalVersionError(where, state.schema, supported)


def prepare(connection: Connection, where: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Make a journal in an empty database, and bring an older one to where this version's code can use it.

    Safe in several processes at once: one does it, the others wait.

    Raises:
        JournalUnavailableError: The database cannot hold every text.
        JournalCorruptError: Something else has the name of our schema.
    """
    supported = migrations[-1].version
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise JournalUnavailableError(
            f"{where} has encoding {encoding}, which cannot hold every text; give a database with encoding UTF8"
        )
    state = _state(connection, where)
    if state is not None and state.schema >= supported:
        return
    with connection.transaction():
        connection.execute(_BEGIN)
        state = _state(connection, where)
        is_new = state is None
        schema, serves = state or (0, 0)
        for migration in migrations:
            if migration.version <= schema:
                continue
            if serves < migration.version - 1:
                _finish(connection, migrations, schema)
            connection.execute(migration.pre.encode())
            schema, serves = migration.version, schema
            _set(connection, "schema", schema)
            _set(connection, "serves", serves)
        if is_new:  # nobody else has been here
            _finish(connection, migrations, schema)


def finish_migration(connection: Connection, where: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Run the newest post part: from now on the former version's code is refused. Call it when no such worker is left.

    Raises:
        JournalVersionError: The database does not have this version's pre part, or a newer one.
    """
    with connection.transaction():
        connection.execute(_BEGIN)
        state = _state(connection, where)
        supported = migrations[-1].version
        if state is None or state.schema != supported:
            raise JournalVersionError(where, 0 if state is None else state.schema, supported)
        if state.serves < supported:
            _finish(connection, migrations, supported)


def _finish(connection: Connection, migrations: Sequence[Migration], version: int) -> None:
    for migration in migrations:
        if migration.version == version:
            if migration.post:
                connection.execute(migration.post.encode())
            _set(connection, "serves", version)


def _set(connection: Connection, key: str, value: int) -> None:
    connection.execute("UPDATE runstate.meta SET value = %s WHERE key = %s", (value, key))


def _state(connection: Connection, where: str) -> _State | None:
    found = connection.execute(_IS_THERE).fetchone()
    if found is None:
        return None
    row = connection.execute(_STATE, ("schema", "serves")).fetchone() if found[1] is not None else None
    if row is None or None in row:
        raise JournalCorruptError(f"{where} has a schema named runstate that is no journal; give another database")
    return _State(*row)
