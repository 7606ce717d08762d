"""What raw SQL can do to outboxes and notices: no more than runstate. The rules are the databases' own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runstate import Cause, ExecutionState
from runstate._notices import Verdict
from runstate.journal import Fleet, Outbox
from runstate.journal.sqlite import SqliteJournal

from .entries import OTHER_WORKER, WORKER, life, lives
from .fleets import FLEETS, LEASE
from .outboxes import BOX, claimed, settled

COMPLETED = ExecutionState.COMPLETED
Execute = Callable[[str], Any]

EARLY, FRESH, CLAIMED, DONE, PARKED, ORPHANED, LIVE = range(1, 8)
"""Numbers of the executions, by what their notices are; the first and the last have none."""


@pytest.fixture(params=sorted(FLEETS))
def raw(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Execute]:
    """Runs statements, as any program could, in a journal with a notice of each kind."""
    store = FLEETS[request.param](tmp_path)
    journal = store.journal()
    assert isinstance(journal, Outbox)
    fleet: Fleet = journal
    for incarnation in (WORKER, OTHER_WORKER):
        fleet.join(incarnation, LEASE)
    fleet.append(life("early", COMPLETED))
    journal.open_outbox(BOX)
    fleet.append(lives(["fresh", "claimed", "done", "parked", "orphaned"], COMPLETED))
    assert len(claimed(journal)) == 5
    settled(journal, Verdict.RELEASED, "fresh", "orphaned")
    settled(journal, Verdict.DELIVERED, "done")
    settled(journal, Verdict.PARKED, "parked")
    fleet.join("departed", LEASE)
    assert [one.notice_id for one in journal.claim(BOX, "departed", 9, threads=None)] == ["fresh", "orphaned"]
    settled(journal, Verdict.RELEASED, "fresh", worker="departed")
    fleet.fence("departed", WORKER, Cause.REPORTED)
    fleet.append(life("live", ExecutionState.RUNNING))
    if isinstance(fleet, SqliteJournal):
        connection: Any = sqlite3.connect(store.place, isolation_level=None)
    else:
        connection = psycopg.connect(store.place, autocommit=True)
        connection.execute("SET search_path = runstate")
    yield connection.execute
    connection.close()
    journal.close()


def dump(execute: Execute) -> list[Any]:
    """Every row about notices."""
    return [execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in ("outboxes", "notices")]


INSERT = "INSERT INTO notices (number, outbox, ended_at_ns"
REFUSED = {
    "a notice of what is live": f"{INSERT}) SELECT {LIVE}, 1, updated_at_ns FROM executions WHERE number = {LIVE}",
    "a notice of what had ended before": f"{INSERT}) SELECT {EARLY}, 1, updated_at_ns FROM executions WHERE number = {EARLY}",
    "a notice of another time": f"UPDATE notices SET ended_at_ns = ended_at_ns + 1 WHERE number = {FRESH}",
    "a second notice": f"{INSERT}) SELECT number, outbox, ended_at_ns FROM notices WHERE number = {FRESH}",
    "another execution's": f"UPDATE notices SET number = {EARLY} WHERE number = {FRESH}",
    "another outbox's": f"UPDATE notices SET outbox = 2 WHERE number = {FRESH}",
    "delivered unclaimed": f"UPDATE notices SET delivered_at_ns = 5 WHERE number = {FRESH}",
    "claimed and delivered at once": f"UPDATE notices SET claimed_by = 1, attempts = 1, delivered_at_ns = 5 WHERE number = {FRESH}",
    "delivered by another": f"UPDATE notices SET claimed_by = 2, delivered_at_ns = 5 WHERE number = {CLAIMED}",
    "delivered by the departed": f"UPDATE notices SET delivered_at_ns = 5 WHERE number = {ORPHANED}",
    "put off by the departed": f"UPDATE notices SET claimed_by = NULL, due_at_ns = 9, error = 'x' WHERE number = {ORPHANED}",
    "parked unclaimed": f"UPDATE notices SET parked_at_ns = 5, error = 'x' WHERE number = {FRESH}",
    "parked without an error": f"UPDATE notices SET parked_at_ns = 5, claimed_by = NULL WHERE number = {CLAIMED}",
    "put off without an error": f"UPDATE notices SET due_at_ns = 5, claimed_by = NULL WHERE number = {CLAIMED}",
    "claimed from who is there": f"UPDATE notices SET claimed_by = 2, attempts = attempts + 1 WHERE number = {CLAIMED}",
    "claimed by the departed": f"UPDATE notices SET claimed_by = 3, attempts = 1 WHERE number = {FRESH}",
    "claimed by nobody known": f"UPDATE notices SET claimed_by = 99, attempts = 1 WHERE number = {FRESH}",
    "an attempt not counted": f"UPDATE notices SET claimed_by = 1 WHERE number = {FRESH}",
    "a claim of what is parked": f"UPDATE notices SET claimed_by = 1, attempts = 2, parked_at_ns = NULL WHERE number = {PARKED}",
    "a parked one delivered": f"UPDATE notices SET parked_at_ns = NULL, delivered_at_ns = 5, claimed_by = 1 WHERE number = {PARKED}",
    "a retry that keeps its attempts": f"UPDATE notices SET parked_at_ns = NULL WHERE number = {PARKED}",
    "delivered twice": f"UPDATE notices SET delivered_at_ns = 6 WHERE number = {DONE}",
    "no longer delivered": f"UPDATE notices SET delivered_at_ns = NULL, claimed_by = NULL WHERE number = {DONE}",
    "a forgotten notice": f"DELETE FROM notices WHERE number = {FRESH}",
    "a forgotten delivery": f"DELETE FROM notices WHERE number = {DONE}",
    "an outbox of the past": "INSERT INTO outboxes (name, since_ns, since) VALUES ('past', 5, 0)",
    "an outbox again": "INSERT INTO outboxes (name, since_ns, since) SELECT name, since_ns, since FROM outboxes",
    "an outbox renamed": "UPDATE outboxes SET name = 'other'",
    "an outbox dated back": "UPDATE outboxes SET since = 0",
    "losses forgotten": "UPDATE outboxes SET lost = -1",
}


@pytest.mark.parametrize("statement", REFUSED.values(), ids=REFUSED.keys())
def test_what_breaks_a_rule_is_refused(raw: Execute, statement: str) -> None:
    """Raw SQL that no call of runstate would lead to is refused, and changes nothing."""
    before = dump(raw)
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        raw(statement)
    assert dump(raw) == before


ACCEPTED = (
    f"UPDATE notices SET claimed_by = 1, attempts = attempts + 1 WHERE number = {FRESH}",
    f"UPDATE notices SET claimed_by = 2, attempts = attempts + 1 WHERE number = {ORPHANED}",
    f"UPDATE notices SET claimed_by = NULL, due_at_ns = 9, error = 'x' WHERE number = {CLAIMED}",
    f"UPDATE notices SET claimed_by = NULL, parked_at_ns = 9, error = 'x' WHERE number = {CLAIMED}",
    f"UPDATE notices SET claimed_by = NULL, attempts = attempts - 1 WHERE number = {CLAIMED}",
    f"UPDATE notices SET claimed_by = NULL, attempts = attempts - 1, parked_at_ns = 9, error = 'x' WHERE number = {CLAIMED}",
    f"UPDATE notices SET delivered_at_ns = 9 WHERE number = {CLAIMED}",
    f"UPDATE notices SET parked_at_ns = NULL, attempts = 0, due_at_ns = 0 WHERE number = {PARKED}",
)


@pytest.mark.parametrize("statement", ACCEPTED)
def test_what_runstate_does_can_be_done(raw: Execute, statement: str) -> None:
    """Raw SQL that does what a call does is taken: what refuses the rest is the rules, and not that it is raw."""
    before = dump(raw)
    raw(statement)
    assert dump(raw) != before
