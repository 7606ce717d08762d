"""`diagnose` on PostgreSQL: sessions that really hold locks, roles that really may not see them, and what ails a server."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from runstate import InvalidValueError, JournalCorruptError, JournalUnavailableError, JournalVersionError, diagnose
from runstate._doctor import _server
from runstate.journal.postgres import PostgresJournal

from .. import cluster
from ..journal.entries import created
from ..journal.servers import TAKE_THE_PEN, execute, wait_until
from .wards import OK, PROBLEM, WARNING, amiss, the


@pytest.fixture
def session(url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Another session, in a transaction."""
    with psycopg.connect(url, autocommit=True, application_name="stranger") as session:
        session.execute("BEGIN")
        yield session


@pytest.fixture
def role(url: str) -> Iterator[str]:
    """The journal's URL for a role that may read it, and nothing else."""
    name = f"doctor_{urlsplit(url).path[1:]}"
    execute(
        url,
        f"CREATE ROLE {name} LOGIN",
        f"GRANT USAGE ON SCHEMA runstate TO {name}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA runstate TO {name}",
        f"GRANT EXECUTE ON FUNCTION runstate.now_ns TO {name}",
    )
    yield urlsplit(url)._replace(netloc=f"{name}@").geturl()
    execute(url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_who_holds_the_pen_is_named(url: str, session: psycopg.Connection[tuple[object, ...]]) -> None:
    """A session that idles with the pen is a problem with its pid, program and role; with a commit it is none."""
    session.execute(TAKE_THE_PEN.encode())
    wait_until(lambda: amiss(url))
    one = the(url)
    assert (one.severity, one.topic) == (PROBLEM, "lock")
    assert (
        f"session {session.info.backend_pid} (stranger, role runstate, idle in transaction) has had the pen"
        in one.found
    )
    assert f"pg_terminate_backend({session.info.backend_pid})" in str(one.advice)
    session.execute("COMMIT")
    assert amiss(url) == []


def test_who_waits_for_the_pen_is_counted_for_a_role_that_sees_no_activity(
    url: str, role: str, session: psycopg.Connection[tuple[object, ...]]
) -> None:
    """A role with the least rights is told what it cannot see, and still who holds the pen, by how long the others wait."""
    session.execute(TAKE_THE_PEN.encode())
    with psycopg.connect(url, autocommit=True) as waiting:
        waiting.pgconn.send_query(TAKE_THE_PEN.encode())
        wait_until(lambda: amiss(role, "lock"))
        (one,) = amiss(role, "lock")
        assert f"session {session.info.backend_pid} (stranger, role runstate) has had the pen" in one.found
        assert "1 session waits" in one.found
        unseen = the(role, "rights")
        session.execute("COMMIT")
        while waiting.pgconn.get_result() is not None:
            pass
    assert unseen.severity is WARNING
    assert "GRANT pg_read_all_stats" in str(unseen.advice)
    assert "of a size that only pg_monitor may see" in next(one.found for one in diagnose(role) if one.topic == "size")


def test_a_role_that_may_see_activity_sees_it(
    url: str, role: str, session: psycopg.Connection[tuple[object, ...]]
) -> None:
    """With the right that the advice names, nothing is unseen."""
    assert [one.topic for one in amiss(role)] == ["rights"]
    execute(url, f"GRANT pg_read_all_stats TO {urlsplit(role).username}")
    assert amiss(role) == []


def test_who_locks_a_table_is_named(url: str, session: psycopg.Connection[tuple[object, ...]]) -> None:
    """A session that has a table's lock, for which another waits, is named with the table and who waits."""
    session.execute("LOCK TABLE runstate.requests IN EXCLUSIVE MODE")  # which still lets us read
    with psycopg.connect(url, autocommit=True) as waiting:
        pid = waiting.info.backend_pid
        waiting.pgconn.send_query(b"BEGIN; LOCK TABLE runstate.requests IN EXCLUSIVE MODE")
        wait_until(lambda: amiss(url))
        one = the(url)
        session.execute("COMMIT")
        while waiting.pgconn.get_result() is not None:
            pass
    assert (one.severity, one.topic) == (WARNING, "lock")
    assert f"session {pid} (" in one.found
    assert "requests since 1" in one.found
    assert f"; session {session.info.backend_pid} (stranger" in one.found


def test_who_idles_in_a_transaction_is_named(
    url: str, session: psycopg.Connection[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that has idled in its transaction for too long is a warning, with its pid."""
    assert amiss(url) == []
    monkeypatch.setattr(_server, "IDLE", 0.0)
    one = the(url, "session")
    assert (one.severity, str(session.info.backend_pid) in one.found) == (WARNING, True)


def test_the_oldest_snapshot_is_named(
    url: str, session: psycopg.Connection[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session whose snapshot is older than it may be is a warning, with its pid and how old."""
    monkeypatch.setattr(_server, "OLD", 3)
    session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    session.execute("SELECT 1")
    execute(url, *["SELECT pg_current_xact_id()"] * 5)
    one = the(url, "session")
    assert f"session {session.info.backend_pid} (stranger" in one.found
    assert "transactions ago" in one.found


def test_dead_rows_are_counted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is mostly dead rows is named, and what autovacuum has to do with it."""
    monkeypatch.setattr(_server, "DEAD", 5)
    for number in range(10):
        execute(
            url,
            f"SELECT runstate.register('w{number}')",
            "UPDATE runstate.meta SET value = value + 1 WHERE key = 'looked'",
        )
    execute(url, "SELECT pg_stat_force_next_flush()")
    wait_until(lambda: "most of meta" in the(url, "size").found)
    assert "VACUUM" in str(the(url, "size").advice)


def test_a_pending_migration_is_named(url: str) -> None:
    """Between the two parts of a migration a warning says which version is still served, and what to run."""
    execute(url, "SET session_replication_role = replica", "UPDATE runstate.meta SET value = 1 WHERE key = 'serves'")
    one = the(url)
    assert (one.severity, one.topic) == (WARNING, "schema")
    assert "serves runstate's versions from 1 on" in one.found
    assert "docs/fleet.md" in str(one.advice)
    execute(url, "SET session_replication_role = replica", "UPDATE runstate.meta SET value = 3 WHERE key = 'schema'",
            "UPDATE runstate.meta SET value = 2 WHERE key = 'serves'")  # fmt: skip
    assert "a newer runstate has begun an upgrade" in str(the(url).advice)


@pytest.mark.parametrize("seconds", [60, -60])
def test_the_servers_clock_is_compared_with_this_machines(url: str, seconds: int) -> None:
    """A server whose clock is a minute apart from this machine's is a warning, with by how much."""
    (offset,) = [one for one in diagnose(url) if one.topic == "clock" and "server" in one.found]
    assert offset.severity is OK
    execute(
        url,
        "CREATE OR REPLACE FUNCTION runstate.now_ns() RETURNS bigint LANGUAGE sql AS "
        f"'SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint + {seconds}000000000'",
    )
    one = the(url, "clock")
    assert one.severity is WARNING
    assert "60 s " + ("ahead of" if seconds > 0 else "behind") in one.found


def test_it_looks_while_others_write(url: str) -> None:
    """Looking waits for nobody who writes, and nobody who writes waits for it."""
    journal = PostgresJournal(url)
    with psycopg.connect(url) as writing:
        writing.execute("SELECT runstate.register('w')")
        writing.execute(TAKE_THE_PEN.encode())
        assert diagnose(url)
    journal.append([created("x")])
    journal.close()


def test_what_cannot_be_looked_at_is_the_usual_error(url: str, role: str) -> None:
    """A database without a journal, with something else, of another version, out of reach, or not for this role."""
    empty = cluster.server().empty_database()
    with pytest.raises(JournalUnavailableError, match="holds no journal"):
        diagnose(empty)
    execute(empty, "CREATE SCHEMA runstate")
    with pytest.raises(JournalCorruptError, match="is no journal"):
        diagnose(empty)
    cluster.server().drop(empty)
    execute(url, f"REVOKE SELECT ON runstate.executions FROM {urlsplit(role).username}")
    with pytest.raises(JournalUnavailableError, match=r"permission denied.*docs/fleet\.md"):
        diagnose(role)
    execute(url, "SET session_replication_role = replica", "UPDATE runstate.meta SET value = 9")
    with pytest.raises(JournalVersionError):
        diagnose(url)
    with pytest.raises(JournalUnavailableError, match="nothing that was acknowledged"):
        diagnose("postgresql://127.0.0.1:1/x")
    with pytest.raises(InvalidValueError, match="not shown"):
        diagnose("postgresql://u:s3cret/@host/x")
