"""What is special about the fleet on PostgreSQL: the upgrade while version 1 writes, rights, raw SQL, lost answers."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import runstate
from runstate import Cause, ExecutionState, JournalUnavailableError, JournalVersionError
from runstate._burial import bury
from runstate._fleet import WorkerState
from runstate._notices import NoticeState, Verdict
from runstate.journal import _migrations
from runstate.journal._postgres_fleet_schema import UPGRADED
from runstate.journal.postgres import PostgresJournal

from .. import cluster
from ..clock import FakeClock
from ..forging import populate_fleet
from ..relay import Relay
from .entries import OTHER_WORKER, THIRD_WORKER, WORKER, created, life, lives, moved
from .fleets import LEASE, found, refused
from .outboxes import BOX, claimed, settled, states
from .servers import Raw, dump, entries_of, execute, unkept
from .test_sqlite_fleet import REFUSED, TABLES
from .version_1 import MIGRATIONS as VERSION_1
from .version_1 import Version1Journal

RUNNING, COMPLETED, DEAD = ExecutionState.RUNNING, ExecutionState.COMPLETED, ExecutionState.DEAD

# -- version 1 ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def version_1(empty: str) -> Iterator[Version1Journal]:
    """A journal of version 1, and a worker that has something live and something ended in it."""
    journal = Version1Journal(empty)
    journal.append([*life("x", RUNNING), *life("done", COMPLETED)])
    yield journal
    journal.close()


def finish(url: str) -> None:
    """Run the post part."""
    with cluster.server().connect(url) as raw:
        _migrations.finish_migration(raw, "here")


def test_version_1_writes_on_beside_version_2(version_1: Version1Journal, empty: str) -> None:
    """After the pre part version 1's code goes on, also with a new connection, beside a worker of version 2 with a lease."""
    today = PostgresJournal(empty)
    assert runstate.verify(empty) == ()
    today.join(OTHER_WORKER, LEASE)
    today.append(life("mine", RUNNING, incarnation=OTHER_WORKER))
    version_1.append([moved("x", 3, RUNNING, COMPLETED), *life("y", RUNNING)])
    again = Version1Journal(empty)
    late = moved("y", 3, RUNNING, COMPLETED, incarnation=THIRD_WORKER)
    assert refused(again, moved("x", 3, RUNNING, COMPLETED), late, *life("z", RUNNING)) == ("x", "y")
    assert entries_of(again) == entries_of(today)
    assert (found(today, WORKER).live, found(today, WORKER).lease) == (2, None)
    assert [one.incarnation for one in today.workers()] == [WORKER, OTHER_WORKER]
    assert runstate.verify(empty) == ()
    for journal in (again, today):
        journal.close()


def test_version_1_is_fenced_like_any_other(version_1: Version1Journal, empty: str, clock: FakeClock) -> None:
    """A worker of version 1 that was proven dead is fenced and buried, and what it then tries as an end is refused and kept."""
    today = PostgresJournal(empty)
    today.join(OTHER_WORKER, LEASE)
    assert len(bury(today, WORKER, OTHER_WORKER, Cause.REPORTED, "seen by a person", clock)) == 1
    late = moved("x", 3, RUNNING, COMPLETED)
    assert refused(version_1, late, *life("new", RUNNING)) == ("x", "new")
    kept = today.rejected("x")
    assert kept is not None
    assert kept.move == late
    today.close()


def test_the_post_part_settles_version_1(version_1: Version1Journal, empty: str, clock: FakeClock) -> None:
    """When no worker of version 1 is left, what they have left live can be buried, and their code is refused."""
    today = PostgresJournal(empty)
    today.join(OTHER_WORKER, LEASE)
    finish(empty)
    worker = found(today, WORKER)
    assert worker.fence is not None
    assert (worker.fence.by, worker.fence.cause) == (UPGRADED, Cause.PROCESS_EXITED)
    assert found(today, OTHER_WORKER).state is WorkerState.ALIVE
    (end,) = bury(today, WORKER, OTHER_WORKER, Cause.REPORTED, None, clock)
    assert (end.execution_id, end.cause) == ("x", Cause.PROCESS_EXITED)
    assert runstate.verify(empty) == ()
    with pytest.raises(JournalVersionError):
        Version1Journal(empty)
    today.close()


def test_an_upgraded_journal_is_as_a_new_one(version_1: Version1Journal, empty: str, url: str) -> None:
    """Tables, constraints, indexes, triggers and functions of an upgraded database are those of a new one."""
    PostgresJournal(empty).close()
    asked = (
        "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = 'runstate' "
        "ORDER BY 1, 2",
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'runstate'::regnamespace ORDER BY 1",
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'runstate' ORDER BY 1",
        "SELECT pg_get_triggerdef(t.oid) FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid "
        "WHERE c.relnamespace = 'runstate'::regnamespace ORDER BY 1",
        "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'runstate'::regnamespace ORDER BY 1",
    )
    for query in asked:
        assert execute(empty, query) == execute(url, query)
    assert len(VERSION_1) == len(_migrations.MIGRATIONS) - 1


# -- rights ---------------------------------------------------------------------------------------------------------------

ROLES = ("runstate_test_writer", "runstate_test_reader")


@pytest.fixture
def roles(private: cluster.Cluster) -> Iterator[tuple[str, str]]:
    """The URLs of an empty journal for a writer and a reader with the rights that docs/fleet.md gives them."""
    here = private.journal()
    page = (Path(__file__).parent.parent.parent / "docs" / "fleet.md").read_text(encoding="utf-8")
    (grants,) = re.findall(r"```sql\n(GRANT USAGE.*?)```", page, re.DOTALL)
    for role in ROLES:
        private.execute(f"DROP ROLE IF EXISTS {role}", f"CREATE ROLE {role} LOGIN")
    execute(here, grants.replace("runstate_writer", ROLES[0]).replace("runstate_reader", ROLES[1]))
    yield here.replace("//runstate@", f"//{ROLES[0]}@"), here.replace("//runstate@", f"//{ROLES[1]}@")
    execute(here, *(f"DROP OWNED BY {role}" for role in ROLES))
    private.execute(*(f"DROP ROLE {role}" for role in ROLES))
    private.drop(here)


def test_a_writer_can_do_all_that_a_worker_does(roles: tuple[str, str], clock: FakeClock) -> None:
    """With the rights of docs/fleet.md a writer joins, renews, asks, fences, buries, watches and leaves, and changes no table."""
    writer, reader = roles
    journal, looking = PostgresJournal(writer), PostgresJournal(reader, read_only=True)
    vigil = journal.vigil(WORKER)
    for incarnation in (WORKER, OTHER_WORKER):
        journal.join(incarnation, LEASE)
    assert journal.renew(WORKER) is None
    journal.append(lives(["x", "y"], RUNNING, incarnation=OTHER_WORKER))
    assert journal.request_cancel("x", "a user") is not None
    assert len(bury(journal, OTHER_WORKER, WORKER, Cause.REPORTED, None, clock)) == 2
    assert refused(journal, moved("y", 3, RUNNING, COMPLETED, incarnation=OTHER_WORKER)) == ("y",)
    vigil.watch(["nobody"])
    assert journal.ring(WORKER)
    assert vigil.wait(20.0).rung
    assert [one.incarnation for one in looking.workers(9)] == [WORKER, OTHER_WORKER]
    assert looking.rejected("y") is not None
    assert looking.requests(OTHER_WORKER) == []
    journal.leave(WORKER)
    vigil.leave()
    for url in roles:
        for statement in (
            "UPDATE runstate.workers SET lease = 99",
            "INSERT INTO runstate.requests VALUES (1, 1, 'me')",
            "DELETE FROM runstate.rejected",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                execute(url, statement)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(reader, "SELECT runstate.fence('x', 'y', 'reported', NULL, false, false)")
    for one in (journal, looking):
        one.close()


def test_a_writer_can_do_all_that_a_deliverer_does(roles: tuple[str, str]) -> None:
    """With the rights of docs/fleet.md a writer opens an outbox, claims, settles, retries and removes; it changes no table, a reader only reads."""
    writer, reader = roles
    journal, looking = PostgresJournal(writer), PostgresJournal(reader, read_only=True)
    journal.join(WORKER, LEASE)
    journal.open_outbox(BOX)
    journal.append(lives(["x", "y"], COMPLETED))
    assert claimed(journal) == ["x", "y"]
    assert settled(journal, Verdict.DELIVERED, "x") == []
    assert settled(journal, Verdict.PARKED, "y") == []
    assert journal.retry_notice(BOX, "y") is NoticeState.PENDING
    assert states(looking) == {"x": NoticeState.DELIVERED, "y": NoticeState.PENDING}
    assert [one.name for one in looking.outboxes()] == [BOX]
    for url in roles:
        for statement in (
            "UPDATE runstate.notices SET attempts = 0",
            "DELETE FROM runstate.outboxes",
            "SELECT runstate.ring_the_bell()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                execute(url, statement)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(reader, "SELECT runstate.open_outbox('mine')")
    assert journal.remove_outbox(BOX) == 1
    for one in (journal, looking):
        one.close()


def test_a_writer_without_the_rights_is_told_in_one_line(
    roles: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Who opens a journal for writing without the rights hears in single lines what is missing; tracebacks are for who debugs."""
    _, reader = roles
    for level in (logging.INFO, logging.DEBUG):
        caplog.clear()
        with caplog.at_level(level, logger="runstate"), runstate.open(reader, lease=0.2):
            while not any("workers cannot be watched" in record.getMessage() for record in caplog.records):
                time.sleep(0.01)
        assert any("permission denied" in record.getMessage() for record in caplog.records)
        assert not any("\n" in record.getMessage() for record in caplog.records)
        assert any(record.exc_info for record in caplog.records) == (level == logging.DEBUG)


def test_who_only_reads_is_no_worker(url: str) -> None:
    """A journal that was opened read-only takes no worker, no fence and no request, and says why."""
    journal = PostgresJournal(url, read_only=True)
    for change in (
        lambda: journal.join(WORKER, LEASE),
        lambda: journal.renew(WORKER),
        lambda: journal.leave(WORKER),
        lambda: journal.vigil(WORKER),
        lambda: journal.fence(WORKER, OTHER_WORKER, Cause.REPORTED),
        lambda: journal.request_cancel("x", "me"),
    ):
        with pytest.raises(JournalUnavailableError, match="read-only"):
            change()
    assert journal.workers(9) == []
    journal.close()


# -- lost answers -----------------------------------------------------------------------------------------------------------


def test_a_fence_whose_answer_is_lost_is_ones_own(private: cluster.Cluster) -> None:
    """Who has set a fence, and did not hear of it, is told that it did; whoever fences then, with the same words, did not."""
    here = private.journal()
    private.execute(f"ALTER ROLE runstate PASSWORD '{cluster.PASSWORD}'")
    with Relay(private.port) as relay:
        place = private.tcp_url_of(here).replace(f":{private.port}/", f":{relay.port}/")
        journal = PostgresJournal(f"{place}?gssencmode=disable&sslmode=disable")
        journal.join(WORKER, LEASE)
        relay.loses_the_next_answer = True
        assert journal.fence(WORKER, OTHER_WORKER, Cause.PROCESS_EXITED, "killed")
        assert relay.cut.is_set()
        assert not journal.fence(WORKER, OTHER_WORKER, Cause.PROCESS_EXITED, "killed")
        relay.cut.clear()
        relay.loses_the_next_answer = True
        assert not journal.fence(WORKER, OTHER_WORKER, Cause.PROCESS_EXITED, "stopped")
        assert relay.cut.is_set()
        journal.close()
    private.drop(here)


# -- raw SQL ----------------------------------------------------------------------------------------------------------------

RAW = {
    name: statement.replace("boot_id", "process").replace(
        "(SELECT seq FROM sqlite_sequence WHERE name = 'entries')",
        "(SELECT max(position) FROM entries)",
    )
    for name, statement in REFUSED.items()
    if "REPLACE" not in statement
} | {
    "truncated requests": "TRUNCATE requests",
    "truncated rejected ends": "TRUNCATE rejected",
    "a burial after a phase of the burier": "INSERT INTO entries (number, seq, at_ns, worker, source, target, phase, cause, "
    "evidence_json) VALUES (1, 3, 5, 2, NULL, NULL, 'thinking', NULL, NULL), (1, 4, 5, 2, 'running', 'dead', NULL, "
    "'process_exited', '{}')",
    "two burials, one of a living worker's": "INSERT INTO entries (number, seq, at_ns, worker, source, target, cause, "
    "evidence_json) VALUES (1, 3, 5, 2, 'running', 'dead', 'process_exited', '{}'), (4, 3, 5, 2, 'running', 'dead', "
    "'process_exited', '{}')",
}


@pytest.fixture(scope="module")
def populated() -> Iterator[str]:
    """A journal of several workers, one of them fenced, with burials, requests and a rejected end."""
    url = cluster.server().journal()
    journal = PostgresJournal(url)
    populate_fleet(journal)
    journal.close()
    yield url
    cluster.server().drop(url)


@pytest.fixture
def raw(populated: str) -> Iterator[Raw]:
    """A superuser's connection to it, in a transaction that is not kept."""
    with unkept(populated) as raw:
        yield raw


@pytest.mark.parametrize("statement", RAW.values(), ids=RAW)
def test_raw_sql_cannot_do_what_the_fleet_cannot(raw: Raw, statement: str) -> None:
    """Each of these statements is refused by the database itself, also to its superuser, and changes nothing."""
    before = dump(raw, TABLES)
    with pytest.raises(psycopg.IntegrityError), raw.transaction():
        raw.execute(statement.encode())
    assert dump(raw, TABLES) == before


def test_a_sound_fleet_gives_nothing(populated: str) -> None:
    """Nothing is found where a worker was fenced and buried, asked to cancel, and refused."""
    assert runstate.verify(populated) == ()


def test_what_is_live_of_a_worker_is_found_by_its_index(raw: Raw) -> None:
    """Reading who is there, and what is unsettled or asked for, looks at what is live, not at the million that have ended."""
    from runstate.journal import _postgres_fleet_sql as sql

    raw.execute("SET LOCAL enable_seqscan = off")
    asked = {"departed": 0, "incarnation": WORKER, "limit": 1}
    for query in (sql.PEERS, sql.WORKERS, sql.WORKER, sql.UNSETTLED, sql.REQUESTS):
        steps = " ".join(step for (step,) in raw.execute(b"EXPLAIN " + query, asked))
        assert "executions_live" in steps
        assert "Seq Scan" not in steps


def test_a_renewal_is_one_row(url: str) -> None:
    """However many executions a worker has live, a renewal writes one row, and it stays on its page."""
    journal = PostgresJournal(url)
    journal.join(WORKER, LEASE)
    journal.append([entry for number in range(500) for entry in [created(f"x-{number}")]])

    def updates() -> tuple[int, int]:
        journal._session.ask(lambda session: session.execute("SELECT pg_stat_force_next_flush()"))
        (row,) = execute(
            url,
            "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del), sum(n_tup_hot_upd) FROM pg_stat_user_tables "
            "WHERE schemaname = 'runstate'",
        )
        return int(row[0]), int(row[1])

    journal.close()
    journal = PostgresJournal(url)
    before = updates()
    for _ in range(10):
        assert journal.renew(WORKER) is None
    after = updates()
    assert (after[0] - before[0], after[1] - before[1]) == (10, 10)
    journal.close()
