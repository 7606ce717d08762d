"""How the PostgreSQL schema becomes the next one while workers of two versions write. The next versions here are made up."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from runstate import ExecutionState, JournalUnavailableError, JournalVersionError
from runstate._records import Selection
from runstate.journal._migrations import MIGRATIONS, Migration, check_version, finish_migration, prepare
from runstate.journal.postgres import PostgresJournal

from .. import cluster
from .entries import life, moved

ALL = Selection()
RUNNING, COMPLETED = ExecutionState.RUNNING, ExecutionState.COMPLETED
NOW = len(MIGRATIONS)
NEXT = (
    *MIGRATIONS,
    Migration(
        NOW + 1,
        pre="ALTER TABLE runstate.executions ADD COLUMN colour text DEFAULT 'grey'",
        post="ALTER TABLE runstate.executions ALTER COLUMN colour SET NOT NULL",
    ),
)
LATER = (
    *NEXT,
    Migration(
        NOW + 2,
        pre="ALTER TABLE runstate.executions ADD COLUMN shade text",
        post="ALTER TABLE runstate.executions DROP COLUMN colour",
    ),
)
Raw = psycopg.connection.Connection[Any]


@pytest.fixture
def url() -> Iterator[str]:
    """The URL of a journal of today's version."""
    url = cluster.server().journal()
    yield url
    cluster.server().drop(url)


@pytest.fixture
def raw(url: str) -> Iterator[Raw]:
    """A connection of whoever migrates it."""
    with cluster.server().connect(url) as connection:
        yield connection


def state(raw: Raw) -> tuple[int, int]:
    """Which version a database has, and the oldest that it serves."""
    values = dict(raw.execute("SELECT key, value FROM runstate.meta").fetchall())
    return values["schema"], values["serves"]


def columns(raw: Raw) -> set[str]:
    """The columns of `executions` that are made up."""
    asked = "SELECT attname FROM pg_attribute WHERE attrelid = 'runstate.executions'::regclass AND NOT attisdropped"
    return {name for (name,) in raw.execute(asked)} & {"colour", "shade"}


def test_the_former_version_works_between_pre_and_post(url: str, raw: Raw) -> None:
    """After the next version's pre part today's code goes on, also with a new connection; after its post part it is refused."""
    journal = PostgresJournal(url)
    journal.append(life("x", RUNNING))
    prepare(raw, "here", NEXT)
    assert state(raw) == (NOW + 1, NOW)
    journal.append([moved("x", 3, RUNNING, COMPLETED)])
    journal.close()
    again = PostgresJournal(url)
    again.append(life("y", COMPLETED))
    assert len(again.executions(ALL, 10)) == 2
    check_version(raw, "here", NEXT)
    finish_migration(raw, "here", NEXT)
    assert state(raw) == (NOW + 1, NOW + 1)
    for read_only in (False, True):
        with pytest.raises(JournalVersionError) as caught:
            PostgresJournal(url, read_only=read_only)
        assert (caught.value.found, caught.value.supported) == (NOW + 1, NOW)
    again.close()


def test_migrating_again_changes_nothing(raw: Raw) -> None:
    """Each part runs once, however often it is asked for."""
    for _ in range(3):
        prepare(raw, "here", NEXT)
    for _ in range(3):
        finish_migration(raw, "here", NEXT)
    assert state(raw) == (NOW + 1, NOW + 1)
    assert columns(raw) == {"colour"}


def test_many_may_migrate_at_once(url: str, raw: Raw) -> None:
    """Of eight processes that find an older version one migrates it, and none fails."""

    def migrate(_: int) -> None:
        with cluster.server().connect(url) as connection:
            prepare(connection, "here", NEXT)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(migrate, range(8)))
    assert state(raw) == (NOW + 1, NOW)


def test_a_version_that_was_left_out_is_made_up_for(raw: Raw) -> None:
    """Two versions at once: the first one's post part runs before the second one's pre part, which serves the first."""
    prepare(raw, "here", LATER)
    assert state(raw) == (NOW + 2, NOW + 1)
    assert columns(raw) == {"colour", "shade"}
    finish_migration(raw, "here", LATER)
    assert columns(raw) == {"shade"}


def test_a_new_journal_serves_nobody_older() -> None:
    """In an empty database every part of every version runs: there is nobody to be considerate of."""
    url = cluster.server().empty_database()
    with cluster.server().connect(url) as raw:
        prepare(raw, "here", LATER)
        assert state(raw) == (NOW + 2, NOW + 2)
        assert columns(raw) == {"shade"}
    cluster.server().drop(url)


def test_a_part_that_fails_leaves_all_as_it_was(raw: Raw) -> None:
    """A migration is one transaction: when a statement of it fails, today's version is what remains, and works."""
    broken = (*MIGRATIONS, Migration(NOW + 1, pre=f"{NEXT[-1].pre}; SELECT nonsense", post=""))
    with pytest.raises(psycopg.errors.UndefinedColumn):
        prepare(raw, "here", broken)
    assert state(raw) == (NOW, NOW)
    assert columns(raw) == set()


def test_only_what_was_prepared_is_finished(raw: Raw) -> None:
    """The post part of a version whose pre part has not run is refused."""
    with pytest.raises(JournalVersionError):
        finish_migration(raw, "here", NEXT)
    with pytest.raises(JournalVersionError) as caught:
        check_version(raw, "here", NEXT)
    assert (caught.value.found, caught.value.supported) == (NOW, NOW + 1)


def test_nothing_to_read_is_said() -> None:
    """A database without a journal is JournalUnavailableError that says how one is made."""
    url = cluster.server().empty_database()
    with cluster.server().connect(url) as raw, pytest.raises(JournalUnavailableError, match="open it once for writing"):
        check_version(raw, "here")
    cluster.server().drop(url)
