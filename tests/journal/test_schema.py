"""The schema in a fresh file holds exactly the transition table: nothing is missing, nothing is added, nothing has drifted."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import pytest

from runstate import CAUSES, TRANSITIONS, Cause, ExecutionState, Phase
from runstate.journal import _sql
from runstate.journal.sqlite import SqliteJournal

LIVE = {state.value for state in ExecutionState if not state.is_terminal}
TERMINAL = {state.value for state in ExecutionState if state.is_terminal}


@pytest.fixture
def schema(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A raw connection to a new journal."""
    path = tmp_path / "new.db"
    SqliteJournal(path).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        yield connection


def statement(connection: sqlite3.Connection, name: str) -> str:
    """The SQL that made a table or trigger, as the file holds it."""
    sql: str = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()[0]
    return sql


def members(listed: str, column: str) -> set[str]:
    """The words in `column = 'one' OR column = 'two' …`, which must be all that is there."""
    words = re.findall(r"= '(\w+)'", listed)
    assert listed == " OR ".join(f"{column} = '{word}'" for word in words)
    return set(words)


def test_the_trigger_holds_exactly_the_table(schema: sqlite3.Connection) -> None:
    """The pairs that the trigger on `entries` lets through are the 22 of the table."""
    sql = statement(schema, "entries_continue_the_log")
    pairs = {
        (source, target)
        for source, targets in re.findall(r"NEW\.source = '(\w+)' AND \(([^)]*)\)", sql)
        for target in members(targets, "NEW.target")
    }
    expected = {(source.value, target.value) for source, targets in TRANSITIONS.items() for target in targets}
    assert pairs == expected
    assert len(pairs) == 22


@pytest.mark.parametrize(
    ("table", "column", "enumeration"),
    [
        ("executions", "state", ExecutionState),
        ("executions", "phase", Phase),
        ("entries", "source", ExecutionState),
        ("entries", "target", ExecutionState),
        ("entries", "phase", Phase),
        ("entries", "cause", Cause),
    ],
)
def test_a_column_knows_exactly_the_members(
    schema: sqlite3.Connection, table: str, column: str, enumeration: type[Enum]
) -> None:
    """Each enumerated column's CHECK lists every member's value and no other word."""
    found = re.search(rf"^\s*{column} TEXT.*CHECK \(\(([^)]*)\)\)", statement(schema, table), re.MULTILINE)
    assert found is not None
    assert members(found[1], column) == {member.value for member in enumeration}


def test_an_end_accepts_exactly_its_causes(schema: sqlite3.Connection) -> None:
    """The CHECK on causes holds the row of causes of each terminal state and of no other."""
    pairs = re.findall(r"\(target = '(\w+)' AND \(([^)]*)\)\)", statement(schema, "entries"))
    assert {target: members(causes, "cause") for target, causes in pairs} == {
        state.value: {cause.value for cause in causes} for state, causes in CAUSES.items()
    }


def test_a_warning_accepts_exactly_the_causes_of_dead(schema: sqlite3.Connection) -> None:
    """The CHECK on warnings holds the causes of DEAD and no other."""
    found = re.search(r"phase IS NULL THEN cause IS NOT NULL AND \(([^)]*)\)", statement(schema, "entries"))
    assert found is not None
    assert members(found[1], "cause") == {cause.value for cause in CAUSES[ExecutionState.DEAD]}


def test_every_list_of_states_is_the_live_the_terminal_or_a_row(schema: sqlite3.Connection) -> None:
    """Wherever the schema lists states, it lists all, the live ones, the terminal ones, or a row of the table."""
    rows = [{target.value for target in targets} for targets in TRANSITIONS.values() if targets]
    known = [{state.value for state in ExecutionState}, LIVE, TERMINAL, *rows]
    listed = 0
    for (sql,) in schema.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL"):
        for inside, column in re.findall(r"\((((?:\w+\.)?(?:state|source|target)) = '\w+' OR [^)]*)\)", sql):
            assert members(inside, column) in known
            listed += 1
    assert listed >= 10


@pytest.mark.parametrize("adding", [_sql.ADD_EXECUTION, _sql.ADD_ENTRY], ids=["execution", "entry"])
def test_no_rule_needs_a_temporary_table(schema: sqlite3.Connection, adding: str) -> None:
    """No constraint or trigger that a new row meets makes a temporary table: with them writing took twice as long."""
    noticing = statement(schema, "ends_are_noticed")  # makes one, but only where there is an outbox
    assert re.search(r"\nWHEN \([^)]*\) AND EXISTS \(SELECT 1 FROM outboxes\) AND NOT EXISTS \(", noticing)
    schema.execute("DROP TRIGGER ends_are_noticed")
    program = schema.execute(f"EXPLAIN {adding}", (None,) * adding.count("?")).fetchall()
    steps = {opcode for _, opcode, *_ in program}
    assert "Program" in steps  # the triggers are shown as well
    assert not {step for step in steps if "Ephemeral" in step or "Autoindex" in step}


def test_the_file_is_marked(schema: sqlite3.Connection) -> None:
    """A journal carries its application id (`RUNS`) and its schema version, and is in WAL mode."""
    assert schema.execute("PRAGMA application_id").fetchone() == (int.from_bytes(b"RUNS", "big"),)
    assert schema.execute("PRAGMA user_version").fetchone() == (_sql.SCHEMA_VERSION,)
    assert schema.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_every_table_is_strict_and_sound(schema: sqlite3.Connection) -> None:
    """Every table has strict column types, and an empty journal passes SQLite's own checks."""
    tables = [(name, strict) for _, name, kind, _, _, strict in schema.execute("PRAGMA table_list") if kind == "table"]
    assert {name for name, strict in tables if not strict} <= {"sqlite_schema", "sqlite_temp_schema", "sqlite_sequence"}
    assert schema.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert schema.execute("PRAGMA foreign_key_check").fetchall() == []


def test_no_word_of_the_schema_is_unquoted(schema: sqlite3.Connection) -> None:
    """SQLite takes a word in double quotes for text when no column has that name; the schema uses none."""
    for (sql,) in schema.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL"):
        assert '"' not in sql
