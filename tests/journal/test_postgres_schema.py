"""The rules that the PostgreSQL database itself holds: exactly the table, whoever writes, and however many rows at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Any

import psycopg
import pytest

from runstate import CAUSES, TRANSITIONS, Cause, ExecutionState, Phase
from runstate._records import Selection
from runstate.journal import _postgres_sql
from runstate.journal._rules import parameters
from runstate.journal.postgres import PostgresJournal

from .. import cluster
from ..moves import CAUSE_OF_VERB, ILLEGAL, LEGAL
from .entries import OTHER_WORKER, created, life, phased
from .servers import Raw, dump, unkept
from .test_raw_sql import INSERT, REFUSED, WARNING
from .test_schema import LIVE, TERMINAL

TABLES = ("meta", "workers", "executions", "entries")
SQLITE_ONLY = re.compile("REPLACE")
INSERTED = re.sub(r":(\w+)", r"%(\1)s", INSERT).encode()
LENGTH = {state: len(life("x", state)) for state in ExecutionState}


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A journal with one execution in each state, and one of another worker."""
    url = cluster.server().journal()
    journal = PostgresJournal(url)
    for state in ExecutionState:
        journal.append(life(state.value, state))
    journal.append([created("other", incarnation=OTHER_WORKER), phased("other", 2, incarnation=OTHER_WORKER)])
    journal.close()
    yield url
    cluster.server().drop(url)


@pytest.fixture
def raw(database: str) -> Iterator[Raw]:
    """A superuser's connection to it, in a transaction that is not kept."""
    with unkept(database) as raw:
        yield raw


def refuses(raw: Raw, statement: str | bytes, values: dict[str, Any] | None = None, match: str | None = None) -> None:
    """Check that a statement is refused for breaking a rule, and changes nothing."""
    before = dump(raw, TABLES)
    with pytest.raises((psycopg.IntegrityError, psycopg.errors.DatatypeMismatch), match=match), raw.transaction():
        raw.execute(statement.encode() if isinstance(statement, str) else statement, values)
    assert dump(raw, TABLES) == before


def move(source: ExecutionState, target: ExecutionState, in_state: ExecutionState | None = None) -> dict[str, Any]:
    """The values of a move of the execution that is in a state, as well-formed as can be."""
    in_state = in_state or source
    return {
        "id": in_state.value,
        "seq": LENGTH[in_state] + 1,
        "source": source.value,
        "target": target.value,
        "cause": CAUSE_OF_VERB[target].value if target.is_terminal else None,
        "evidence": '{"observer":"raw"}' if target.is_terminal else None,
    }


def test_exactly_the_legal_moves_can_be_inserted(raw: Raw) -> None:
    """Each of the 22 legal moves is taken as a raw row and moves its execution; none of the 59 others is, nor from another state."""
    for source, target in LEGAL:
        with raw.transaction(force_rollback=True):
            raw.execute(INSERTED, move(source, target))
            row = raw.execute("SELECT state, seq FROM executions WHERE execution_id = %s", (source.value,)).fetchone()
            assert row == (target.value, LENGTH[source] + 1)
    for source, target in ILLEGAL:
        refuses(raw, INSERTED, move(source, target))
    for source, target in LEGAL:
        for other in ExecutionState:
            if other is not source:
                refuses(
                    raw, INSERTED, move(source, target, other), "does not continue its execution's log|check constraint"
                )


def test_no_state_can_be_written_into_an_execution(raw: Raw) -> None:
    """Whatever the pair of states, an execution does not move without its entry."""
    for source, target in (*LEGAL, *ILLEGAL):
        for change in (f"state = '{target.value}'", f"state = '{target.value}', seq = seq + 1"):
            refuses(
                raw, f"UPDATE executions SET {change} WHERE execution_id = '{source.value}'", match="follow the entries"
            )


PORTABLE = {name: statement for name, statement in REFUSED.items() if not SQLITE_ONLY.search(statement)} | {
    "truncated entries": "TRUNCATE entries",
    "truncated executions": "TRUNCATE executions",
    "truncated workers": "TRUNCATE workers",
    "an older version": "UPDATE meta SET value = 0 WHERE key = 'schema'",
    "a forgotten version": "DELETE FROM meta WHERE key = 'schema'",
    "a limit without end": "INSERT INTO executions (execution_id, agent, thread_id, user_id, worker, created_at_ns, updated_at_ns, "
    "timeout) VALUES ('new', 'a', 't', 'u', 1, 5, 5, 'infinity')",
    "a log in the wrong order": "INSERT INTO entries (number, seq, at_ns, worker, source, target, phase) VALUES "
    "(3, 4, 5, 1, 'running', 'completing', NULL), (3, 3, 5, 1, NULL, NULL, 'thinking')",
    "a chain that is broken": "INSERT INTO entries (number, seq, at_ns, worker, source, target) VALUES "
    "(1, 2, 5, 1, 'pending', 'running'), (1, 3, 5, 1, 'starting', 'running')",
    "an end in the middle": "INSERT INTO entries (number, seq, at_ns, worker, source, target, phase, cause, evidence_json) VALUES "
    "(3, 3, 5, 1, 'running', 'failed', NULL, 'raised', '{}'), (3, 4, 5, 1, NULL, NULL, 'thinking', NULL, NULL)",
    "one good log and one bad": "INSERT INTO entries (number, seq, at_ns, worker, source, target) VALUES "
    "(1, 2, 5, 1, 'pending', 'running'), (3, 9, 5, 1, 'running', 'completing')",
    "two workers in one log": "INSERT INTO entries (number, seq, at_ns, worker, phase) VALUES "
    "(3, 3, 5, 1, 'thinking'), (3, 4, 5, 2, 'thinking')",
}


@pytest.mark.parametrize("statement", PORTABLE.values(), ids=PORTABLE)
def test_raw_sql_cannot_do_what_runstate_cannot(raw: Raw, statement: str) -> None:
    """Each of these statements is refused by the database itself, also to its superuser, and changes nothing."""
    assert raw.execute("SELECT state FROM executions WHERE number IN (3, 6) ORDER BY number").fetchall() == [
        ("running",),
        ("failed",),
    ]
    refuses(raw, statement)


def test_a_position_cannot_be_chosen(raw: Raw) -> None:
    """Who inserts an entry does not choose its position."""
    with pytest.raises(psycopg.errors.GeneratedAlways), raw.transaction():
        raw.execute(
            "INSERT INTO entries (position, number, seq, at_ns, worker, phase) VALUES (1000, 3, 3, 5, 1, 'thinking')"
        )


def test_an_ended_log_can_be_removed_whole(raw: Raw) -> None:
    """Retention, and whoever has to erase a user's data, may delete the entries of an ended execution and then itself."""
    raw.execute("DELETE FROM entries WHERE number IN (SELECT number FROM executions WHERE state = 'failed')")
    raw.execute("DELETE FROM executions WHERE state = 'failed'")
    assert raw.execute("SELECT count(*) FROM executions WHERE state = 'failed'").fetchone() == (0,)


# -- what is rendered -------------------------------------------------------------------------------------------------

DEFINED = """
SELECT coalesce(t.typname, c.conrelid::regclass::text), pg_get_constraintdef(c.oid)
FROM pg_constraint AS c LEFT JOIN pg_type AS t ON t.oid = c.contypid
WHERE c.connamespace = 'runstate'::regnamespace AND c.contype = 'c'
"""


def words(definition: str, column: str) -> list[str]:
    """The words in `column = ANY ('{one,two}'::text[])`."""
    (listed,) = re.findall(rf"{re.escape(column)} = ANY \('\{{([\w,]+)\}}'::text\[\]\)", definition)
    return listed.split(",")


@pytest.mark.parametrize(("domain", "enumeration"), [("state", ExecutionState), ("phase", Phase)])
def test_a_domain_knows_exactly_the_members(raw: Raw, domain: str, enumeration: type[Enum]) -> None:
    """Each enumerated type lists every member's value and no other word."""
    (definition,) = [definition for name, definition in raw.execute(DEFINED.encode()) if name == domain]
    assert sorted(words(definition, "VALUE")) == sorted(member.value for member in enumeration)


def test_an_end_accepts_exactly_its_causes(raw: Raw) -> None:
    """Each end is taken with the causes of its row of `CAUSES`, and with no other."""
    for target, accepted in CAUSES.items():
        for cause in Cause:
            values = {**move(ExecutionState.RUNNING, target), "cause": cause.value}
            if cause in accepted:
                with raw.transaction(force_rollback=True):
                    raw.execute(INSERTED, values)
            else:
                refuses(raw, INSERTED, values, "check constraint")


def test_a_warning_accepts_exactly_the_causes_of_dead(raw: Raw) -> None:
    """A raw row that is a warning moves nothing but seq and time, is taken with each cause of DEAD, and with no other."""
    for cause in Cause:
        statement = f"{WARNING} VALUES (3, 3, 5, 1, '{cause.value}', 'seen', NULL, NULL, NULL, NULL, NULL)"
        if cause in CAUSES[ExecutionState.DEAD]:
            with raw.transaction(force_rollback=True):
                raw.execute(statement.encode())
                row = raw.execute("SELECT state, seq, updated_at_ns, phase FROM executions WHERE number = 3").fetchone()
                assert row == ("running", 3, 5, None)
        else:
            refuses(raw, statement, match="check constraint")


def test_a_log_with_warnings_is_taken_at_once(raw: Raw) -> None:
    """One statement adds warnings between moves and phases: none has to be left out and added by itself."""
    raw.execute(
        "INSERT INTO entries (number, seq, at_ns, worker, source, target, phase, cause, detail) VALUES "
        "(1, 2, 5, 1, NULL, NULL, NULL, 'loop_blocked', 'seen'), (1, 3, 6, 1, 'pending', 'starting', NULL, NULL, NULL), "
        "(1, 4, 7, 1, NULL, NULL, 'thinking', NULL, 'deeply'), (1, 5, 8, 1, NULL, NULL, NULL, 'no_heartbeat', NULL), "
        "(1, 6, 9, 1, 'starting', 'running', NULL, NULL, NULL), (1, 7, 10, 1, NULL, NULL, NULL, 'loop_blocked', 'seen'), "
        "(3, 3, 6, 1, NULL, NULL, NULL, 'loop_blocked', NULL)"
    )
    rows = raw.execute(
        "SELECT state, seq, updated_at_ns, phase, phase_detail FROM executions WHERE number IN (1, 3) ORDER BY number"
    ).fetchall()
    assert rows == [("running", 7, 10, "thinking", "deeply"), ("running", 3, 6, None, None)]


def test_every_list_of_states_is_the_live_the_terminal_or_a_row(raw: Raw) -> None:
    """Wherever a function lists states, it lists the live ones, the terminal ones, or a row of the table."""
    rows = [{target.value for target in targets} for targets in TRANSITIONS.values() if targets]
    listed = 0
    for (source,) in raw.execute("SELECT prosrc FROM pg_proc WHERE pronamespace = 'runstate'::regnamespace"):
        for found in re.findall(r"ANY \('\{([\w,]+)\}'::text\[\]\)", source):
            assert set(found.split(",")) in [LIVE, TERMINAL, *rows]
            listed += 1
    assert listed >= 3


def test_what_lives_is_found_by_its_index(raw: Raw) -> None:
    """Looking for a live state reads the few executions that live, and a thread's or user's are read in order, by an index."""
    raw.execute("SET LOCAL enable_seqscan = off")
    cases = {
        "executions_live": Selection(state=ExecutionState.RUNNING),
        "executions_by_thread": Selection(thread_id="t"),
        "executions_by_user": Selection(user_id="u"),
        "executions_execution_id_key": Selection(execution_id="x"),
    }
    for index, selection in cases.items():
        query = b"EXPLAIN " + _postgres_sql.read_executions(selection)
        steps = " ".join(step for (step,) in raw.execute(query, {**parameters(selection), "limit": 1}))
        assert index in steps
        assert "Sort" not in steps or index == "executions_execution_id_key"


def test_what_is_new_of_an_agent_is_found_by_its_position(raw: Raw) -> None:
    """Reading an agent's new events looks at what comes after the position, also by a plan made while there was nothing, and kept."""
    selection = Selection(agent="a")
    query = b"EXPLAIN " + _postgres_sql.read_events(selection)
    steps = " ".join(step for (step,) in raw.execute(query, {**parameters(selection), "after": 1, "limit": 512}))
    assert "Seq Scan on executions" not in steps
    assert "Index Scan using entries_pkey on entries e" in steps


def test_functions_of_the_owner_see_our_schema_only(raw: Raw) -> None:
    """Whatever runs with the owner's rights has a search path of its own, and nothing can be called by everybody."""
    rows = raw.execute(
        "SELECT proname, prosecdef, proconfig, has_function_privilege('public', oid, 'EXECUTE') FROM pg_proc "
        "WHERE pronamespace = 'runstate'::regnamespace"
    ).fetchall()
    assert {name for name, as_owner, *_ in rows if as_owner} >= {"append", "append_around", "prune", "register"}
    for name, as_owner, settings, is_public in rows:
        assert not is_public, name
        assert not as_owner or settings == ["search_path=pg_catalog, pg_temp"], name
