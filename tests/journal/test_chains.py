"""Chains in every store: a message of a user in a thread begins one execution, and each attempt after it has its place."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

import pytest

import runstate
from runstate import Cause, Entry, ExecutionState, JournalConflictError
from runstate._records import Selection
from runstate.journal import Journal, _sql
from runstate.journal._rules import parameters
from runstate.journal.sqlite import SqliteJournal

from ..stores import Store
from .doubles import in_threads
from .entries import OTHER_WORKER, WORKER, created, life, moved
from .test_conformance import entries_of

PENDING, RUNNING = ExecutionState.PENDING, ExecutionState.RUNNING
COMPLETED, FAILED = ExecutionState.COMPLETED, ExecutionState.FAILED
ASKED = {"thread_id": "t", "user_id": "u", "message_id": "m-1"}


def refused(journal: Journal, *batch: Entry) -> Sequence[str]:
    """Append, and say whose entries were refused."""
    try:
        journal.append(batch)
    except JournalConflictError as conflict:
        return conflict.execution_ids
    return ()


def ids(journal: Journal, **selection: Any) -> list[str]:
    """The executions that are selected, the newest first."""
    return [record.execution_id for record in journal.executions(Selection(**selection), 100)]


def test_a_chain_is_read_back_unchanged(journal: Journal) -> None:
    """First, attempt, and message are in the entries and in the records, and executions are found by them."""
    batch = [
        created("a", message_id="m-1"),
        moved("a", 2, PENDING, FAILED),
        created("b", message_id="m-1", retry_of="a", attempt=2),
        created("other"),
    ]
    journal.append(batch)
    assert entries_of(journal) == batch
    records = {record.execution_id: record for record in journal.executions(Selection(), 10)}
    assert [(one.retry_of, one.attempt, one.message_id) for one in (records["a"], records["b"], records["other"])] == [
        (None, 1, "m-1"),
        ("a", 2, "m-1"),
        (None, 1, None),
    ]
    assert ids(journal, thread_id="t", message_id="m-1") == ["b", "a"]
    assert ids(journal, retry_of="a") == ["b"]
    assert [event.entry for event in journal.read(0, 10, Selection(retry_of="a")).events] == [batch[2]]


@pytest.mark.parametrize("many", [1, 40])
def test_a_message_begins_one_execution(journal: Journal, many: int) -> None:
    """Of all that try to begin one for a message the first is stored, in this batch or another; the rest is stored too."""
    rest = [created(f"rest-{number}") for number in range(many)]
    assert refused(journal, created("a", **ASKED), created("b", **ASKED, incarnation=OTHER_WORKER), *rest) == ("b",)
    journal.append([moved("a", 2, PENDING, RUNNING), moved("a", 3, RUNNING, COMPLETED)])
    assert refused(journal, created("c", **ASKED), moved("c", 2, PENDING, RUNNING)) in {("c",), ("c", "c")}
    assert (
        refused(journal, created("d", thread_id="t", message_id="m-2"), created("e", thread_id="u", message_id="m-1"))
        == ()
    )
    assert sorted(ids(journal)) == sorted(["a", "d", "e", *(one.execution_id for one in rest)])


def test_a_message_is_its_users_own(journal: Journal) -> None:
    """Two users of a thread may give their messages the same id, attempts as well: each has a chain of its own, and finds its own."""
    theirs = {**ASKED, "user_id": "v"}
    batch = [created("a", **ASKED), created("b", **theirs), created("c", **ASKED, retry_of="a", attempt=2)]
    assert refused(journal, *batch, created("d", **theirs, retry_of="b", attempt=2)) == ()
    assert refused(journal, created("e", **theirs), created("f", **ASKED)) == ("e", "f")
    assert ids(journal, **ASKED) == ["c", "a"]
    assert ids(journal, **theirs) == ["d", "b"]


WRONG = {
    "an attempt that is there already": created("x", **ASKED, retry_of="a", attempt=2),
    "a retry that is the first attempt": created("x", **ASKED, retry_of="a", attempt=1),
    "a second attempt that retries nothing": created("x", thread_id="t", attempt=2),
    "no attempt at all": created("x", thread_id="t", attempt=0),
    "a retry of a retry": created("x", **ASKED, retry_of="b", attempt=3),
    "a retry of itself": created("x", thread_id="t", retry_of="x", attempt=2),
    "a retry in another thread": created("x", **{**ASKED, "thread_id": "u"}, retry_of="a", attempt=3),
    "a retry of another user": created("x", **{**ASKED, "user_id": "v"}, retry_of="a", attempt=3),
    "a retry for another message": created("x", thread_id="t", message_id="m-2", retry_of="a", attempt=3),
    "a retry of nothing": created("x", thread_id="t", message_id="m-3", retry_of="nothing", attempt=2),
    "a retry for no message": created("x", thread_id="t", retry_of="a", attempt=3),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_no_chain_is_refused(journal: Journal, wrong: Entry) -> None:
    """An attempt that does not follow its first one is refused; what else there is in the batch is stored."""
    journal.append([created("a", **ASKED), created("b", **ASKED, retry_of="a", attempt=2)])
    assert refused(journal, created("good"), wrong, created("better")) == ("x",)
    assert sorted(ids(journal)) == ["a", "b", "better", "good"]
    assert refused(journal, created("c", **ASKED, retry_of="a", attempt=3)) == ()


def test_a_first_that_retention_has_removed(store: Store) -> None:
    """A chain whose first one was pruned takes no more attempts, and its message can be asked anew."""
    journal = store.journal(runstate.Limits(retained_executions=1))
    journal.append([*life("a", FAILED, **ASKED), created("b", **ASKED, retry_of="a", attempt=2)])
    journal.append(life("newer", FAILED))
    if store.name == "postgres":  # it looks only from time to time
        journal._looked_at_ns = None  # type: ignore[attr-defined]
        with runstate_connection(store) as raw:
            raw.execute("UPDATE runstate.meta SET value = 0 WHERE key = 'looked'")
        journal.append([created("look")])
    assert "a" not in ids(journal)
    assert refused(journal, created("c", **ASKED, retry_of="a", attempt=3), created("d", **ASKED)) == ("c",)
    journal.close()


def runstate_connection(store: Store) -> Any:
    """A connection to the server that a store is on."""
    from .. import cluster

    return cluster.server().connect(store.url)  # type: ignore[attr-defined]


def test_many_writers_ask_at_once(store: Store) -> None:
    """Of many journals that begin executions for the same messages in opposite orders each message gets one, and nothing hangs."""
    if store.name == "memory":
        return
    messages = [f"m-{number}" for number in range(300)]
    journals = [store.journal() for _ in range(4)]

    stored: list[int] = []

    def ask(number: int) -> None:
        step = 1 if number % 2 else -1
        batches = [
            [
                created(f"{number}-{message}", message_id=message, incarnation=f"host:{number}")
                for message in messages[start : start + 10][::step]
            ]
            for start in range(0, len(messages), 10)
        ]
        stored.extend(len(batch) - len(refused(journals[number], *batch)) for batch in batches)

    in_threads(4, ask)
    assert sum(stored) == len(messages)
    assert len(journals[0].executions(Selection(), 1_000)) == len(messages)
    for journal in journals:
        journal.close()


@pytest.mark.parametrize("store", ["postgres"], indirect=True)
def test_who_waits_for_a_message_holds_none(store: Store, journal: Journal) -> None:
    """A batch with messages waits for the pen before it has any of them, so two that have the same in other orders never hang."""
    journal.append([created("known")])

    def batch(*names: str) -> str:
        rows = [
            {"execution_id": name, "seq": 1, "at_ns": 5, "incarnation": WORKER, "target": "pending", "agent": "a",
             "thread_id": "t", "user_id": "u", "message_id": name}
            for name in names
        ]  # fmt: skip
        return json.dumps(rows)

    waiting = threading.Thread(
        target=lambda: refused(journal, *(created(name, message_id=name) for name in ("b", "a")))
    )
    with runstate_connection(store) as raw, runstate_connection(store) as looking:
        raw.execute("SET deadlock_timeout = '10ms'")  # so that it is this one that is told
        with raw.transaction():
            raw.execute("SELECT runstate.append(%s, true)", (batch("a"),))
            waiting.start()
            asked = "SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) WHERE NOT granted AND datname = current_database()"
            while looking.execute(asked).fetchone() == (0,):
                looking.commit()
            raw.execute("SELECT runstate.append(%s, true)", (batch("b"),))
    waiting.join()
    assert sorted(ids(journal)) == ["a", "b", "known"]


RAW = {
    "a message twice": "INSERT INTO executions (execution_id, agent, thread_id, user_id, worker, created_at_ns, updated_at_ns, message_id)"
    " VALUES ('x', 'a', 't', 'u', 1, 5, 5, 'm-1')",
    "a message taken over": "INSERT OR REPLACE INTO executions (execution_id, agent, thread_id, user_id, worker, created_at_ns,"
    " updated_at_ns, message_id) VALUES ('x', 'a', 't', 'u', 1, 5, 5, 'm-1')",
    "an attempt taken over": "INSERT OR REPLACE INTO executions (execution_id, agent, thread_id, user_id, worker, created_at_ns,"
    " updated_at_ns, message_id, retry_of, attempt) VALUES ('x', 'a', 't', 'u', 1, 5, 5, 'm-1', 'a', 2)",
    "an empty message": "INSERT INTO executions (execution_id, agent, thread_id, user_id, worker, created_at_ns, updated_at_ns, message_id)"
    " VALUES ('x', 'a', 't', 'u', 1, 5, 5, '')",
    "another message": "UPDATE executions SET message_id = 'm-9'",
    "another attempt": "UPDATE executions SET attempt = attempt + 1",
}  # fmt: skip


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("statement", RAW.values(), ids=RAW)
def test_raw_sql_breaks_no_chain(store: Store, journal: SqliteJournal, statement: str) -> None:
    """A program that writes raw SQL can give no message twice, and change none."""
    import contextlib
    import sqlite3

    journal.append([created("a", **ASKED), created("b", **ASKED, retry_of="a", attempt=2)])
    before = entries_of(journal)
    with contextlib.closing(sqlite3.connect(store.path)) as raw:  # type: ignore[attr-defined]
        with pytest.raises(sqlite3.IntegrityError):
            raw.execute(statement)
        raw.rollback()
    assert entries_of(journal) == before
    assert runstate.verify(store.path) == ()  # type: ignore[attr-defined]


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("asked", [ASKED, {"thread_id": "t", "message_id": "m-1"}], ids=["user", "any user"])
def test_a_message_is_found_by_its_index(store: Store, journal: SqliteJournal, asked: dict[str, str]) -> None:
    """A message is looked for by the index of messages, with its user or without."""
    import contextlib
    import sqlite3

    selection = Selection(**asked)  # type: ignore[arg-type]
    with contextlib.closing(sqlite3.connect(journal.path)) as raw:
        query = f"EXPLAIN QUERY PLAN {_sql.read_executions(selection)}"
        steps = [step for *_, step in raw.execute(query, {**parameters(selection), "limit": 1})]
    assert any("executions_by_message" in step for step in steps)


@pytest.mark.parametrize("cause", [Cause.BREAKER_OPEN, Cause.FALLBACK])
def test_the_newer_causes(journal: Journal, cause: Cause) -> None:
    """FAILED is also for agents that were not called and for fallbacks that failed; only a fallback completes as one."""
    journal.append([created("a"), moved("a", 2, PENDING, FAILED, cause=cause)])
    answered = [created("b"), moved("b", 2, PENDING, RUNNING), moved("b", 3, RUNNING, COMPLETED, cause=cause)]
    assert refused(journal, *answered) == (() if cause is Cause.FALLBACK else ("b",))
    assert journal.executions(Selection(execution_id="a"), 1)[0].cause is cause
