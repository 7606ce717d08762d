"""What is special about the PostgreSQL journal: addresses, passwords, rights, several openings, versions."""

from __future__ import annotations

import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

import runstate
from runstate import (
    ExecutionState,
    ExecutionTracker,
    FencedError,
    JournalCorruptError,
    JournalError,
    JournalUnavailableError,
    JournalVersionError,
    NotOwnerError,
)
from runstate._records import Selection
from runstate.journal import _migrations
from runstate.journal._migrations import MIGRATIONS
from runstate.journal.postgres import PostgresJournal

from .. import cluster
from ..clock import FakeClock
from ..moves import bring_to, create
from .doubles import in_threads
from .entries import created, life, lives, moved
from .servers import execute

ALL = Selection()
RUNNING, COMPLETED, FAILED = ExecutionState.RUNNING, ExecutionState.COMPLETED, ExecutionState.FAILED
FLEET = Path(__file__).parents[2] / "docs" / "fleet.md"


# -- opening ----------------------------------------------------------------------------------------------------------


def test_an_empty_database_becomes_a_journal(empty: str) -> None:
    """Opening for writing makes the schema, once, and everything is there after reopening."""
    with runstate.open(empty) as tracker:
        ended = bring_to(tracker, COMPLETED, metadata={"tier": "free"})
    with runstate.open(empty) as tracker:
        assert tracker.get(ended.execution_id).metadata == {"tier": "free"}
        assert len(tracker.timeline(ended.execution_id)) == 3


def test_several_processes_may_find_it_empty(empty: str) -> None:
    """Of eight openings at once one makes the schema, the others wait for it, and all of them work."""
    with ThreadPoolExecutor(8) as pool:
        journals = list(pool.map(lambda _: PostgresJournal(empty), range(8)))
    for number, journal in enumerate(journals):
        journal.append(life(f"x{number}", COMPLETED))
    assert len(journals[0].executions(ALL, 100)) == 8
    for journal in journals:
        journal.close()


def test_reading_makes_nothing(empty: str) -> None:
    """Opened read-only, a database without a journal is JournalUnavailableError, and stays empty."""
    with pytest.raises(JournalUnavailableError, match="holds no journal"):
        runstate.open(empty, read_only=True)
    assert execute(empty, "SELECT to_regnamespace('runstate')") == [(None,)]


def test_a_read_only_journal_is_read_and_nothing_else(url: str) -> None:
    """Opened read-only, everything can be read and every write is refused, by us and by the server."""
    with runstate.open(url) as tracker:
        ended = bring_to(tracker, COMPLETED)
    with runstate.open(url, read_only=True) as tracker:
        assert tracker.get(ended.execution_id).result == {"text": "done"}
        with pytest.raises(JournalUnavailableError, match="read-only"):
            create(tracker)
    journal = PostgresJournal(url, read_only=True)
    with pytest.raises(JournalUnavailableError, match="read-only"):
        journal.append(life("x", RUNNING))
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        journal._ask(lambda reader: reader.execute("SELECT runstate.register('me')"))
    journal.close()


def test_a_foreign_schema_of_our_name_is_refused(empty: str) -> None:
    """A schema `runstate` that is somebody else's is JournalCorruptError, and is left as it is."""
    execute(empty, "CREATE SCHEMA runstate", "CREATE TABLE runstate.customers (name text)")
    for read_only in (False, True):
        with pytest.raises(JournalCorruptError, match="no journal"):
            runstate.open(empty, read_only=read_only)
    assert execute(empty, "SELECT relname FROM pg_class WHERE relnamespace = 'runstate'::regnamespace") == [
        ("customers",)
    ]


def test_a_server_that_is_down_is_said_at_once(tmp_path: Path) -> None:
    """Where no server answers, by TCP or by a Unix socket, opening is JournalUnavailableError with the address and the reason."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        for where in (f"127.0.0.1:{port}/runs", f"/runs?host={tmp_path}"):
            with pytest.raises(JournalUnavailableError, match="connection") as caught:
                runstate.open(f"postgresql://{where}")
            assert "postgresql://" in str(caught.value)


def test_without_its_driver_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without psycopg a PostgreSQL URL is JournalUnavailableError that names the extra; other journals open all the same."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "psycopg" or "postgres" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delattr(sys.modules["runstate.journal"], "postgres", raising=False)
    with pytest.raises(JournalUnavailableError, match=r"pip install 'runstate\[postgres\]'"):
        runstate.open("postgresql://host/database")
    runstate.open("memory:").close()


def test_text_that_is_no_unicode_database_is_refused() -> None:
    """A database that cannot hold every character is refused when it is opened, not when the first such text comes."""
    server = cluster.server()
    name = f"{server._prefix}_ascii"
    server.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING SQL_ASCII LOCALE 'C'")
    try:
        with pytest.raises(JournalUnavailableError, match="UTF8"):
            runstate.open(server.url_of(name))
    finally:
        server.drop(server.url_of(name))


# -- several openings -------------------------------------------------------------------------------------------------


def test_two_openings_share_one_journal(url: str, clock: FakeClock) -> None:
    """Each tracker sees the other's executions, may not move them while they live, and is told how they ended."""
    with (
        ExecutionTracker(PostgresJournal(url), clock=clock) as one,
        ExecutionTracker(PostgresJournal(url), clock=clock) as other,
    ):
        running = bring_to(one, RUNNING)
        one.flush()
        assert other.get(running.execution_id).state is RUNNING
        with pytest.raises(NotOwnerError) as caught:
            other.update_execution_state(running.execution_id, FAILED)
        assert caught.value.owner == running.record.incarnation
        running.complete()
        one.flush()
        with pytest.raises(FencedError):
            other.handle(running.execution_id)


def test_many_writers_lose_nothing_and_readers_miss_nothing(url: str) -> None:
    """While six writers append at once, followers read every entry once, each log in its order, positions only growing."""
    writers, rounds = 6, 40
    done = threading.Event()

    def write(number: int) -> None:
        journal = PostgresJournal(url)
        for turn in range(rounds):
            name = f"{number}-{turn}"
            journal.append(life(name, RUNNING, incarnation=f"w{number}"))
            journal.append([moved(name, 3, RUNNING, COMPLETED, incarnation=f"w{number}")])
        journal.close()

    def follow(number: int) -> None:
        journal = PostgresJournal(url, read_only=True)
        positions: list[int] = []
        names: dict[str, int] = {}
        after = 0
        while True:
            last_look = done.is_set()
            page = journal.read(after, 7 + number * 100, ALL)
            for event in page.events:
                positions.append(event.position)
                assert event.entry.seq == names.get(event.entry.execution_id, 0) + 1
                names[event.entry.execution_id] = event.entry.seq
            after = page.up_to
            if last_look and not page.events:
                break
        assert positions == sorted(set(positions))
        assert names == {f"{writer}-{turn}": 3 for writer in range(writers) for turn in range(rounds)}
        journal.close()

    def work(number: int) -> None:
        if number < 2:
            follow(number)
        else:
            try:
                in_threads(writers, write)
            finally:
                done.set()

    in_threads(3, work)


def test_a_position_is_not_seen_before_the_ones_below_it(url: str) -> None:
    """While a transaction has taken positions and not committed, nobody can commit later ones: no reader passes it by."""
    journal = PostgresJournal(url)
    journal.append(life("x", RUNNING))
    with cluster.server().connect(url) as raw:
        raw.execute("BEGIN")
        raw.execute("INSERT INTO runstate.entries (number, seq, at_ns, worker, phase) VALUES (1, 3, 5, 1, 'thinking')")
        late = threading.Thread(target=journal.append, args=([created("y")],))
        late.start()
        while not execute(url, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            assert late.is_alive()
        head = journal.read(0, 100, ALL).up_to
        raw.execute("COMMIT")
        late.join()
    assert [(event.entry.execution_id, event.entry.seq) for event in journal.read(head, 100, ALL).events] == [
        ("x", 3),
        ("y", 1),
    ]
    journal.close()


def test_of_two_writers_of_one_log_the_first_wins(url: str) -> None:
    """Compare-and-set holds between connections: the second writer of a seq is refused, and the rest of its batch is stored."""
    one, other = PostgresJournal(url), PostgresJournal(url)
    one.append(life("x", RUNNING))
    other.append([moved("x", 3, RUNNING, COMPLETED)])
    with pytest.raises(JournalError) as caught:
        one.append([*life("y", COMPLETED), moved("x", 3, RUNNING, FAILED), *life("z", COMPLETED)])
    assert caught.value.execution_ids == ("x",)  # type: ignore[attr-defined]
    assert {record.execution_id: record.state for record in one.executions(ALL, 9)} == dict.fromkeys("xyz", COMPLETED)
    for journal in (one, other):
        journal.close()


def test_names_longer_than_an_index_takes(url: str) -> None:
    """Names of any length that `Limits` allow are stored, and found by all of their characters, not only those in the index."""
    journal = PostgresJournal(url)
    long = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(60_000))
    for number, end in enumerate("abc"):
        journal.append([created(f"x{number}", agent=long + end, thread_id=long + end, user_id=long + end)])
    for field in ("agent", "thread_id", "user_id"):
        selection = Selection(**{field: f"{long}b"})
        assert [record.execution_id for record in journal.executions(selection, 9)] == ["x1"]
        assert [event.entry.execution_id for event in journal.read(0, 9, selection).events] == ["x1"]
    journal.close()


def test_a_server_that_ends_idle_sessions_is_not_noticed(url: str) -> None:
    """A server that ends sessions which are idle costs a new connection, and nothing that a caller sees."""
    journal = PostgresJournal(url)
    assert journal._writer is not None
    journal._writer.execute("SET idle_session_timeout = '1ms'")
    while execute(
        url,
        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'runstate writer' AND datname = current_database()",
    ):
        pass
    journal.append(life("x", COMPLETED))
    assert len(journal.executions(ALL, 9)) == 1
    journal.close()


def test_pruning_is_shared(url: str) -> None:
    """Of many processes one looks for what is past its retention in a minute, whichever comes first."""
    journals = [PostgresJournal(url) for _ in range(2)]
    for number, journal in enumerate(journals):
        journal.append(lives([f"{number}"], COMPLETED))
    assert execute(url, "SELECT value > 0 FROM runstate.meta WHERE key = 'looked'") == [(True,)]
    for journal in journals:
        journal.close()


# -- versions ---------------------------------------------------------------------------------------------------------


def newer(url: str) -> None:
    """Make a journal one of the next version, which no longer serves this one."""
    execute(url, "UPDATE runstate.meta SET value = value + 1 WHERE key IN ('schema', 'serves')")


def test_a_newer_version_is_refused(url: str) -> None:
    """A journal that no longer serves this version is JournalVersionError with both versions, also for who reconnects to it."""
    supported = MIGRATIONS[-1].version
    journal = PostgresJournal(url)
    newer(url)
    for read_only in (False, True):
        with pytest.raises(JournalVersionError) as caught:
            runstate.open(url, read_only=read_only)
        assert (caught.value.found, caught.value.supported) == (supported + 1, supported)
    execute(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'runstate writer'")
    with pytest.raises(JournalVersionError):
        journal.append([created("x")])
    journal.close()


def test_a_version_between_pre_and_post_is_used(url: str) -> None:
    """A journal with the next version's pre part, which still serves this one, is opened and written."""
    execute(url, "UPDATE runstate.meta SET value = value + 1 WHERE key = 'schema'")
    with runstate.open(url) as tracker:
        assert bring_to(tracker, COMPLETED).state is COMPLETED


def test_the_version_is_that_of_the_newest_migration(url: str) -> None:
    """A fresh journal has the newest version and serves no older one: the migrations are numbered 1 to that without a gap."""
    assert [migration.version for migration in _migrations.MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))
    state = dict(execute(url, "SELECT key, value FROM runstate.meta WHERE key IN ('schema', 'serves')"))
    assert state == {"schema": len(MIGRATIONS), "serves": len(MIGRATIONS)}
