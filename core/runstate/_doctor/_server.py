"""What ails a journal on a server, and the server under it: the half of `diagnose` that looks at PostgreSQL.

Locks are visible to every role, activity only to those that may see it: of the others' sessions there is then the pid, the user and how
long somebody has waited for them, and a diagnosis that says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from psycopg import Connection
from psycopg.rows import dict_row

from .._clock import SystemClock
from .._fleet import Worker, WorkerState
from .._fleet_codec import decode_worker
from .._processes import is_running
from ..journal import _migrations, _postgres_fleet_sql, _postgres_sql
from ..journal._postgres_connection import Address, translated
from ..journal._postgres_fleet_schema import LIVE
from ..journal._postgres_rules import LOCKS, PEN, PRESENT
from ._diagnosis import Diagnosis, counted, fine, problem, size, span, warning
from ._fleet import APART, Fleet, fleet, retention
from ._notices import notices

SLOW: Final = 1.0
"""Seconds that a lock may be held or waited for until it is named."""
STUCK: Final = 10.0
"""Seconds after which those who wait for the pen are refused."""
IDLE: Final = 60.0
"""Seconds that a transaction may be idle."""
OLD: Final = 1_000_000
"""Transactions that the oldest snapshot may be behind."""
DEAD: Final = 10_000
"""Dead rows that a table may have, if they are fewer than the others."""

_HERE: Final = "(SELECT oid FROM pg_database WHERE datname = current_database())"
_SESSIONS: Final = """
SELECT pid, usename AS role, application_name AS program, client_addr::text AS address, state,
       extract(epoch FROM clock_timestamp() - xact_start)::float8 AS busy,
       query = '<insufficient privilege>' AS is_hidden, datname = current_database() AS is_here
FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND datname IS NOT NULL
"""
_PEN: Final = f"""
SELECT pid, granted, coalesce(extract(epoch FROM clock_timestamp() - waitstart), 0)::float8 AS waits FROM pg_locks
WHERE locktype = 'advisory' AND classid = {LOCKS} AND objid = {PEN} AND objsubid = 2 AND database = {_HERE}
ORDER BY waits DESC
"""  # noqa: S608 - our own numbers
_WAITS: Final = f"""
SELECT pid, pg_blocking_pids(pid) AS by, relation::regclass::text AS what, locktype AS kind,
       coalesce(extract(epoch FROM clock_timestamp() - waitstart), 0)::float8 AS waits
FROM pg_locks
WHERE NOT granted AND database = {_HERE} AND NOT (locktype = 'advisory' AND classid IN ({LOCKS}, {PRESENT})) ORDER BY waits DESC
"""  # noqa: S608 - our own numbers
_OLDEST_SNAPSHOT: Final = """
SELECT age, who, pid FROM (
    SELECT age(backend_xmin) AS age, NULL AS who, pid FROM pg_stat_activity
    WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
    UNION ALL SELECT age(transaction), 'the prepared transaction ' || gid, NULL FROM pg_prepared_xacts
    UNION ALL SELECT greatest(age(xmin), age(catalog_xmin)), 'the replication slot ' || slot_name, NULL FROM pg_replication_slots
) AS held (age, who, pid) WHERE age IS NOT NULL ORDER BY age DESC LIMIT 1
"""
_TABLES: Final = """
SELECT relname AS name, n_live_tup AS live, n_dead_tup AS dead,
       extract(epoch FROM clock_timestamp() - greatest(last_vacuum, last_autovacuum))::float8 AS vacuumed
FROM pg_stat_all_tables WHERE schemaname = 'runstate' ORDER BY n_dead_tup DESC
"""
_SERVER: Final = """
SELECT current_user AS role, pg_database_size(current_database()) AS size, current_setting('max_connections')::int AS connections,
       current_setting('autovacuum')::bool AS autovacuum, has_function_privilege('pg_ls_waldir()', 'execute') AS sees_wal
"""
_WAL: Final = "SELECT coalesce(sum(size), 0)::bigint AS size FROM pg_ls_waldir()"
_META: Final = "SELECT key, value FROM runstate.meta"
_NOW: Final = "SELECT runstate.now_ns() AS ns"
_ROWS: Final = "SELECT count(*) AS many FROM runstate.workers"
_ENDED: Final = (
    "SELECT count(*) AS many, min(ended_at_ns) AS oldest FROM runstate.executions WHERE ended_at_ns IS NOT NULL"
)
_PROCESSES: Final = "SELECT incarnation, process FROM runstate.workers WHERE gone_at_ns IS NULL AND process IS NOT NULL"


class Session(NamedTuple):
    """A session of the server, as far as this role may see it."""

    pid: int
    role: str | None
    program: str | None
    address: str | None
    state: str | None
    busy: float | None
    """Seconds since its transaction began."""
    is_hidden: bool
    is_here: bool
    """Whether it is in the journal's database."""

    def __str__(self) -> str:
        facts = (
            self.program,
            f"role {self.role}",
            None if self.address is None else f"from {self.address}",
            self.state,
        )
        return f"session {self.pid} ({', '.join(fact for fact in facts if fact)})"


class _Server:
    """A connection, and what is asked of it more than once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.sessions = {row["pid"]: Session(**row) for row in self.read(_SESSIONS)}

    def read(self, query: str, asked: Mapping[str, object] | tuple[object, ...] | None = None) -> list[dict[str, Any]]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query.encode(), asked).fetchall()

    def name(self, pid: int) -> str:
        return str(self.sessions.get(pid, f"session {pid}"))


def diagnoses(url: str) -> list[Diagnosis]:
    """Look at a journal on a server.

    Args:
        url: Which.

    Raises:
        InvalidValueError: *url* is no such URL.
        JournalUnavailableError: The server cannot be reached, does not let this role read, or has no journal there.
        JournalCorruptError: The schema `runstate` there is no journal.
        JournalVersionError: It is of another version.
        RecordDecodeError: A worker's row is no valid one.
    """
    address = Address(url)
    with translated(address), address.connect("doctor") as connection:
        connection.execute(_postgres_sql.READING)
        _migrations.check_version(connection, address.shown)
        return list(_diagnosed(_Server(connection)))


def _diagnosed(server: _Server) -> Iterator[Diagnosis]:
    meta: dict[str, int] = {row["key"]: row["value"] for row in server.read(_META)}
    yield _schema(meta)
    (facts,) = server.read(_SERVER)
    yield from _rights(server, facts)
    yield from _pen(server)
    yield from _waits(server)
    yield from _sessions(server, facts)
    yield from _sizes(server, facts)
    clock = SystemClock()
    before = clock.time_ns()
    now_ns: int = server.read(_NOW)[0]["ns"]
    yield _clock(now_ns, before, clock.time_ns())
    workers = [decode_worker(row) for row in server.read(_postgres_fleet_sql.WORKERS.decode(), {"departed": 0})]
    present, gone = _look_around(server, workers)
    rows: int = server.read(_ROWS)[0]["many"]
    found = Fleet(server.read, "runstate.", LIVE, workers, rows, present, gone, now_ns)
    yield from fleet(found)
    yield from notices(found)
    (ended,) = server.read(_ENDED)
    yield retention(ended["many"], ended["oldest"], meta["pruned"], now_ns, meta["looked"])


def _schema(meta: Mapping[str, int]) -> Diagnosis:
    version = _migrations.MIGRATIONS[-1].version
    found = f"version {meta['schema']}, which serves runstate's versions from {meta['serves']} on"
    expected = f"version {version}, and no migration half done"
    if meta["schema"] > version:
        return warning("schema", found, expected, "a newer runstate has begun an upgrade: replace this one, too")
    if meta["serves"] < meta["schema"]:
        advice = f"when no worker of version {meta['serves']} is left, run the post part (docs/fleet.md, Migrations)"
        return warning("schema", f"{found}: the post part of the migration is pending", expected, advice)
    return fine("schema", found, expected)


def _rights(server: _Server, facts: Mapping[str, Any]) -> Iterator[Diagnosis]:
    hidden = [session for session in server.sessions.values() if session.is_hidden and session.is_here]
    if hidden:
        roles = ", ".join(sorted({str(session.role) for session in hidden}))
        yield warning(
            "rights",
            f"what {counted(len(hidden), 'session')} of {roles} do cannot be seen by {facts['role']}",
            "a role that looks after the journal may see the activity of others",
            f"as a superuser: GRANT pg_read_all_stats TO {facts['role']}",
        )


def _pen(server: _Server) -> Iterator[Diagnosis]:
    rows = server.read(_PEN)
    waiting = [row for row in rows if not row["granted"]]
    longest: float = waiting[0]["waits"] if waiting else 0.0
    expected = f"whoever appends has the pen for milliseconds; others wait {span(STUCK)} for it, then get JournalUnavailableError"
    waits = (
        f"; {counted(len(waiting), 'session')} {'waits' if len(waiting) == 1 else 'wait'}, the longest for {span(longest)}"
        if waiting
        else ""
    )
    for pid in [row["pid"] for row in rows if row["granted"]]:
        session = server.sessions.get(pid)
        busy = max((session.busy if session is not None else None) or 0.0, longest)
        idle = session is not None and (session.state or "").startswith("idle")
        if busy < SLOW:
            continue
        say = problem if idle or busy >= STUCK else warning
        what = f"{server.name(pid)} has had the pen for at least {span(busy)}{waits}"
        advice = f"look what it does; SELECT pg_terminate_backend({pid}) ends it, and undoes what it has not committed"
        yield say("lock", what, expected, advice)
        return
    yield fine("lock", f"nobody holds on to the pen{waits}", expected)


def _waits(server: _Server) -> Iterator[Diagnosis]:
    for row in server.read(_WAITS):
        if row["waits"] >= SLOW:
            say = problem if row["waits"] >= STUCK else warning
            by = " and ".join(map(server.name, row["by"])) or "somebody"
            what = row["what"] or f"a lock ({row['kind']})"
            yield say(
                "lock",
                f"{server.name(row['pid'])} waits for {what} since {span(row['waits'])}; {by} has it",
                "nobody locks the journal's tables, and a migration waits for nobody for long",
                f"look what they do; SELECT pg_terminate_backend({row['by'][0]}) ends it"
                if row["by"]
                else "look again",
            )


def _sessions(server: _Server, facts: Mapping[str, Any]) -> Iterator[Diagnosis]:
    idle = [one for one in server.sessions.values() if one.is_here and (one.state or "").startswith("idle in")]
    long = [one for one in idle if (one.busy or 0.0) >= IDLE]
    expected = "runstate's own sessions are never idle in a transaction; others end theirs within a minute"
    for session in long:
        yield warning(
            "session",
            f"{session} has been in a transaction for {span(session.busy or 0.0)}, and does nothing",
            f"{expected}: it keeps old rows from being removed, and may hold locks",
            f"SELECT pg_terminate_backend({session.pid}) ends it; idle_in_transaction_session_timeout would do so by itself",
        )
    if not long:
        here = sum(session.is_here for session in server.sessions.values())
        what = f"{counted(here, 'session')} here, {len(server.sessions)} of at most {facts['connections']} in all; none idles in a transaction"
        yield fine("session", what, expected)
    oldest = next(iter(server.read(_OLDEST_SNAPSHOT)), None)
    if oldest is not None and oldest["age"] > OLD:
        who = oldest["who"] or server.name(oldest["pid"])
        yield warning(
            "session",
            f"{who} still sees the database as it was {oldest['age']:,} transactions ago",
            f"no snapshot is older than {OLD:,} transactions; the server removes no row that one can still see",
            "end that session, or drop the slot or the prepared transaction if nobody needs it any more",
        )


def _sizes(server: _Server, facts: Mapping[str, Any]) -> Iterator[Diagnosis]:
    wal = size(server.read(_WAL)[0]["size"]) if facts["sees_wal"] else "of a size that only pg_monitor may see"
    tables: list[dict[str, Any]] = server.read(_TABLES)
    dead = sum(table["dead"] for table in tables)
    live = sum(table["live"] for table in tables)
    vacuumed = [table["vacuumed"] for table in tables if table["vacuumed"] is not None]
    last = f"last vacuumed {span(min(vacuumed))} ago" if vacuumed else "never vacuumed"
    what = f"the database has {size(facts['size'])}, the server's WAL is {wal}; {live:,} rows and {dead:,} dead ones, {last}"
    expected = f"autovacuum is on, and removes dead rows before they are more than {DEAD:,} and the most of a table"
    fat = [table for table in tables if table["dead"] > max(DEAD, table["live"])]
    if fat or not facts["autovacuum"]:
        names = ", ".join(table["name"] for table in fat)
        why = f"; most of {names} is dead" if fat else "; autovacuum is off"
        advice = "switch autovacuum on; see above for who holds it back; VACUUM runstate.executions, runstate.entries"
        yield warning("size", what + why, expected, advice)
    else:
        yield fine("size", what, expected)


def _clock(now_ns: int, before_ns: int, after_ns: int) -> Diagnosis:
    offset, doubt = (now_ns - (before_ns + after_ns) / 2) / 1e9, (after_ns - before_ns) / 2e9
    found = f"the server's clock is {span(abs(offset))} {'ahead of' if offset > 0 else 'behind'} this machine's, ± {span(doubt)}"
    expected = f"within {span(APART)}; leases go by the server's clock alone, times in the history by each worker's"
    if abs(offset) > APART + doubt:
        return warning("clock", found, expected, "set the clock of the one that is wrong (NTP)")
    return fine("clock", found, expected)


def _look_around(server: _Server, workers: list[Worker]) -> tuple[set[str], dict[str, str]]:
    """Find out who of the workers is there: by the lock of its session, and on this machine by its process."""
    alive = [worker.incarnation for worker in workers if worker.state is WorkerState.ALIVE]
    processes: dict[str, str] = {row["incarnation"]: row["process"] for row in server.read(_PROCESSES)}
    present: set[str] = set()
    gone: dict[str, str] = {}
    for row in server.read(_postgres_fleet_sql.LOOK.decode(), (alive,)):
        name: str = row["incarnation"]
        runs = is_running(row["pid"], processes[name])
        if row["is_there"] or runs:
            present.add(name)
        elif runs is not None:
            gone[name] = "its session has ended, and its process is not there"
        elif row["lease"] is not None:
            gone[name] = "its session has ended"
    return present, gone
