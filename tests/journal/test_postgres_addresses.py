"""Who may do what with a PostgreSQL journal, and what is told of where it is: URLs, passwords, roles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
import pytest

import runstate
from runstate import (
    ExecutionState,
    InvalidValueError,
    JournalUnavailableError,
)
from runstate._records import Selection
from runstate.journal._postgres_connection import Address
from runstate.journal.postgres import PostgresJournal

from .. import cluster
from ..moves import bring_to
from .entries import created
from .servers import execute

ALL = Selection()
RUNNING, COMPLETED, FAILED = ExecutionState.RUNNING, ExecutionState.COMPLETED, ExecutionState.FAILED
FLEET = Path(__file__).parents[2] / "docs" / "fleet.md"


# -- addresses and passwords ------------------------------------------------------------------------------------------


def test_a_unix_socket_and_tcp_lead_to_the_same_journal(private: cluster.Cluster) -> None:
    """By socket and by TCP with a password the same executions are found, and both addresses are shown without it."""
    here = private.journal()
    private.execute(f"ALTER ROLE runstate PASSWORD '{cluster.PASSWORD}'")
    with runstate.open(here) as one, runstate.open(private.tcp_url_of(here)) as other:
        ended = bring_to(one, COMPLETED)
        one.flush()
        assert other.get(ended.execution_id).result == {"text": "done"}
        assert f"127.0.0.1:{private.port}" in repr(other)
        assert all(secret not in repr(other) for secret in (cluster.PASSWORD, quote(cluster.PASSWORD, safe="")))
    private.drop(here)


SECRET = "hunter2"
BAD_URLS = {
    "an unescaped @": f"postgresql://u:x@{SECRET}@localhost/d",
    "an unescaped /": f"postgresql://u:x/{SECRET}@localhost/d",
    "a number before an unescaped /": f"postgresql://u:5432/{SECRET}@localhost/d",
    "an unknown option": f"postgresql://u:{SECRET}@localhost/d?nonsense=1",
    "a port that is none": f"postgresql://u:{SECRET}@localhost:many/d",
    "a wrong escape": f"postgresql://u:{SECRET}%zz@localhost/d",
    "another scheme": f"mysql://u:{SECRET}@localhost/d",
    "the short scheme": f"postgres://u:{SECRET}@localhost/d",
    "two hosts, one bad": f"postgresql://u:{SECRET}@[::1/d",
}


@pytest.mark.parametrize("bad", BAD_URLS.values(), ids=BAD_URLS)
def test_a_url_that_cannot_be_read_is_not_shown(bad: str) -> None:
    """It is refused, and neither the error nor what caused it shows any of the password."""
    with pytest.raises((InvalidValueError, JournalUnavailableError)) as caught:
        runstate.open(bad)
    assert_hidden(caught.value, SECRET)


@pytest.mark.parametrize(
    "place",
    ["postgresql://nobody:{}@127.0.0.1:{}/d", "postgresql://127.0.0.1:{1}/d?user=nobody&password={0}"],
    ids=["in the user part", "as an option"],
)
def test_a_password_is_shown_nowhere(private: cluster.Cluster, place: str) -> None:
    """A wrong password is JournalUnavailableError: neither it, nor its causes, nor any `repr` shows the password."""
    with pytest.raises(JournalUnavailableError, match="password authentication failed") as caught:
        runstate.open(place.format(SECRET, private.port))
    assert_hidden(caught.value, SECRET)
    assert "127.0.0.1" in str(caught.value)


def assert_hidden(error: BaseException | None, secret: str) -> None:
    """Check an error and all that it was caused by."""
    while error is not None:
        assert secret not in f"{error} {error!r} {getattr(error, '__notes__', '')}"
        assert secret not in str(vars(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_people_see_who_is_connected(url: str) -> None:
    """Connections carry a name, unless the URL or the environment gives one, and TCP keepalives."""
    asked = "SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    for place, names in (
        (url, {"runstate writer", "runstate reader", "runstate worker"}),
        (f"{url}&application_name=mine", {"mine"}),
    ):
        with runstate.open(place) as tracker:
            tracker.find()
            assert {name for (name,) in execute(url, asked)} == names
    assert "tcp_user_timeout=20000" in Address(url)._conninfo


# -- rights -----------------------------------------------------------------------------------------------------------


class Roles:
    """The three roles of docs/fleet.md, under names of this test's own, in one database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.prefix = f"{urlsplit(url).path[1:]}_"
        blocks = re.findall(r"```sql\n(.*?)```", FLEET.read_text(encoding="utf-8"), re.DOTALL)
        self.making, self.granting = (block.replace("runstate_", self.prefix) for block in blocks[:2])

    def url_of(self, role: str) -> str:
        """The database's URL for one of them."""
        return urlsplit(self.url)._replace(netloc=f"{self.prefix}{role}@").geturl()


@pytest.fixture
def roles(empty: str) -> Iterator[Roles]:
    """A journal made and shared out as docs/fleet.md says."""
    roles = Roles(empty)
    execute(empty, roles.making.replace("DATABASE runs", f"DATABASE {urlsplit(empty).path[1:]}"))
    try:
        PostgresJournal(roles.url_of("owner")).close()
        execute(roles.url_of("owner"), roles.granting)
        yield roles
    finally:
        for role in ("reader", "writer", "owner"):
            execute(empty, f"DROP OWNED BY {roles.prefix}{role} CASCADE", f"DROP ROLE {roles.prefix}{role}")


def test_each_role_can_do_what_it_is_for(roles: Roles) -> None:
    """With the grants of docs/fleet.md a writer tracks, listens and prunes, a reader reads, and that is all that they can."""
    with runstate.open(roles.url_of("writer")) as tracker, tracker.subscribe() as subscription:
        ended = bring_to(tracker, COMPLETED)
        tracker.flush()
        assert subscription.get(timeout=20).entry.execution_id == ended.execution_id
    with runstate.open(roles.url_of("reader"), read_only=True) as tracker:
        assert tracker.get(ended.execution_id).state is COMPLETED
        assert len(tracker.timeline(ended.execution_id)) == 3
    for role in ("writer", "reader"):
        for statement in (
            "INSERT INTO runstate.executions (execution_id) VALUES ('x')",
            "INSERT INTO runstate.entries (number, seq) VALUES (1, 4)",
            "UPDATE runstate.executions SET agent = 'mine'",
            "DELETE FROM runstate.entries",
            "TRUNCATE runstate.meta",
            "DROP TABLE runstate.entries",
            "ALTER TABLE runstate.entries DISABLE TRIGGER ALL",
            "SELECT runstate.append_part('{}', false)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                execute(roles.url_of(role), statement)


def test_a_role_without_rights_is_told_so(roles: Roles) -> None:
    """A reader that records, and a writer in a database without a journal, get JournalUnavailableError that names docs/fleet.md."""
    journal = PostgresJournal(roles.url_of("reader"))
    with pytest.raises(JournalUnavailableError, match=r"permission denied.*docs/fleet\.md"):
        journal.append([created("x")])
    assert journal.executions(ALL, 1) == []
    journal.close()
    execute(roles.url, "DROP SCHEMA runstate CASCADE")
    with pytest.raises(JournalUnavailableError, match=r"permission denied.*docs/fleet\.md"):
        runstate.open(roles.url_of("writer"))
