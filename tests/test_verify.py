"""`verify`: each kind of damage is forged with raw SQL, below the rules, and must be named; a sound journal gives nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

import runstate
from runstate import ExecutionState, Finding, verify
from runstate.journal import _sql
from runstate.journal.sqlite import SqliteJournal

from .forging import DONE, EVIDENCE, FAILED, LIVE, forge, ids, rewrite_schema, rules, small_journal
from .journal.entries import created, moved, warned


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A sound journal, to be damaged."""
    return small_journal(tmp_path / "runs.db")


class Damage(NamedTuple):
    """A damage, and what `verify` must say of it: exactly these rules, and for its rule this text."""

    name: str
    sql: tuple[str, ...]
    rule: str
    says: str
    number: int | None = None
    """The execution that the finding must name."""
    besides: frozenset[str] = frozenset()
    """Other rules that the same damage breaks."""


AFTER_THE_END = (
    "INSERT INTO entries (number, seq, at_ns, worker, source, target, cause, evidence_json) SELECT 1, 6, updated_at_ns, worker,"
    f" 'completed', 'failed', 'raised', {EVIDENCE} FROM executions WHERE number = 1"
)

DAMAGES = (
    Damage("a gap", ("DELETE FROM entries WHERE number = 1 AND seq = 3",), "log", "entry 4 where entry 3 was expected", DONE),
    Damage("no creation", ("DELETE FROM entries WHERE number = 1 AND seq = 1",), "log", "entry 2 where entry 1 was expected", DONE,
           frozenset({"fold"})),
    Damage("no entries", ("DELETE FROM entries WHERE number = 3",), "log", "it has no entries", LIVE),
    Damage("created twice", ("UPDATE entries SET source = NULL, target = 'pending' WHERE number = 3 AND seq = 2",), "log",
           "only entry 1 is a creation", LIVE, frozenset({"fold"})),
    Damage("created in another state", ("UPDATE entries SET target = 'running' WHERE number = 3 AND seq = 1",), "log",
           "expected its creation, as pending", LIVE),
    Damage("entries stored in another order",
           ("UPDATE entries SET position = -position WHERE number = 1 AND seq IN (3, 4)",
            "UPDATE entries SET position = 7 + position WHERE position < 0"),
           "log", "is stored before the one that it follows", DONE),
    Damage("an illegal move", ("UPDATE entries SET target = 'completing' WHERE number = 1 AND seq = 2",), "transition",
           "moves PENDING -> COMPLETING; PENDING may become: STARTING, RUNNING", DONE),
    Damage("a move from elsewhere", ("UPDATE entries SET source = 'completing' WHERE number = 1 AND seq = 5",), "transition",
           "moves COMPLETING -> COMPLETED, but the execution was RUNNING", DONE),
    Damage("two ends", (AFTER_THE_END, "UPDATE executions SET state = 'failed', seq = 6 WHERE number = 1"), "end",
           "entry 6 comes after the end, COMPLETED", DONE, frozenset({"transition"})),
    Damage("a phase after the end",
           ("INSERT INTO entries (number, seq, at_ns, worker, phase) SELECT 1, 6, updated_at_ns, worker, 'thinking'"
            " FROM executions WHERE number = 1",
            "UPDATE executions SET seq = 6, phase = 'thinking', phase_detail = NULL WHERE number = 1"),
           "end", "entry 6 comes after the end, COMPLETED", DONE),
    Damage("a cause of another state", ("UPDATE entries SET cause = 'deadline' WHERE number = 1 AND seq = 5",), "cause",
           "ends COMPLETED with cause DEADLINE; expected one of: RETURNED", DONE),
    Damage("no cause", ("UPDATE entries SET cause = NULL WHERE number = 2 AND seq = 4",), "cause",
           "ends FAILED with no cause; expected one of: RAISED, REPORTED, NO_OUTCOME", FAILED),
    Damage("no evidence", ("UPDATE entries SET evidence_json = NULL WHERE number = 2 AND seq = 4",), "cause",
           "ends FAILED without evidence", FAILED),
    Damage("a cause before the end", ("UPDATE entries SET cause = 'raised' WHERE number = 2 AND seq = 2",), "cause",
           "entry 2 has cause, but is no end", FAILED),
    Damage("an error in a phase", ("UPDATE entries SET error = 'x' WHERE number = 2 AND seq = 3",), "cause",
           "entry 3 has error, but is no end", FAILED),
    Damage("a result of a failure", ("UPDATE entries SET result_json = '1' WHERE number = 2 AND seq = 4",), "cause",
           "ends FAILED with a result", FAILED),
    Damage("another worker's entry",
           ("INSERT INTO workers (number, incarnation) VALUES (2, 'somebody else')",
            "UPDATE entries SET worker = 2 WHERE number = 2 AND seq = 3"),
           "owner", "entry 3 was written by worker 2, but worker 1 owns the execution", FAILED),
    Damage("time going back", ("UPDATE entries SET at_ns = at_ns - 7000000000 WHERE number = 1 AND seq = 3",), "time",
           "ns earlier than the one before", DONE),
    Damage("another state", ("UPDATE executions SET state = 'failed' WHERE number = 1",), "fold",
           "executions.state is 'failed', but its log adds up to 'completed'", DONE),
    Damage("another seq", ("UPDATE executions SET seq = 4 WHERE number = 1",), "fold", "executions.seq is 4", DONE),
    Damage("another time of creation", ("UPDATE executions SET created_at_ns = 1 WHERE number = 1",), "fold",
           "executions.created_at_ns is 1", DONE),
    Damage("another time of change", ("UPDATE executions SET updated_at_ns = 1 WHERE number = 1",), "fold",
           "executions.updated_at_ns is 1", DONE),
    Damage("another phase", ("UPDATE executions SET phase = 'thinking' WHERE number = 1",), "fold",
           "executions.phase is 'thinking', but its log adds up to 'tool_execution'", DONE),
    Damage("another phase's detail", ("UPDATE executions SET phase_detail = 'x' WHERE number = 1",), "fold",
           "executions.phase_detail is 'x'", DONE),
    Damage("metadata that is no JSON", ("UPDATE executions SET metadata_json = '{' WHERE number = 1",), "decode",
           "not a valid record at metadata_json", DONE),
    Damage("a result that is no JSON", ("UPDATE entries SET result_json = '[1,' WHERE number = 1 AND seq = 5",), "decode",
           "not a valid record at result_json", DONE),
    Damage("evidence that is no JSON", ("UPDATE entries SET evidence_json = 'x' WHERE number = 1 AND seq = 5",), "decode",
           "entry 5: not a valid record", DONE),
    Damage("evidence of a wrong type", ("""UPDATE entries SET evidence_json = '{"observer":5}' WHERE number = 1 AND seq = 5""",),
           "decode", "not a valid record at observer", DONE),
    Damage("an unknown state", ("UPDATE entries SET target = 'sleeping' WHERE number = 3 AND seq = 2",), "decode",
           "entry 2: not a valid record at target", LIVE),
    Damage("an unknown phase", ("UPDATE entries SET phase = 'dreaming' WHERE number = 1 AND seq = 3",), "decode",
           "entry 3: not a valid record at phase", DONE),
    Damage("an unknown cause", ("UPDATE entries SET cause = 'fate' WHERE number = 1 AND seq = 5",), "decode",
           "entry 5: not a valid record at cause", DONE),
    Damage("a move and a phase in one",
           ("UPDATE entries SET phase = 'thinking' WHERE number = 3 AND seq = 2",
            "UPDATE executions SET phase = 'thinking' WHERE number = 3"),
           "decode", "entry 2 must be either a move or a phase", LIVE, frozenset({"fold"})),
    Damage("a detail of a move", ("UPDATE entries SET detail = 'x' WHERE number = 3 AND seq = 2",), "decode",
           "entry 2 has a phase's detail, but is no phase", LIVE),
    Damage("a warning after the end",
           ("INSERT INTO entries (number, seq, at_ns, worker, cause) SELECT 1, 6, updated_at_ns, worker, 'loop_blocked'"
            " FROM executions WHERE number = 1",
            "UPDATE executions SET seq = 6 WHERE number = 1"),
           "end", "entry 6 comes after the end, COMPLETED", DONE),
    Damage("a warning of what is no verdict",
           ("UPDATE entries SET phase = NULL, detail = NULL, cause = 'raised' WHERE number = 1 AND seq = 4",
            "UPDATE executions SET phase = 'thinking', phase_detail = NULL WHERE number = 1"),
           "decode", "entry 4: not a valid record at cause: a cause of dead (", DONE),
    Damage("an entry that is nothing",
           ("UPDATE entries SET phase = NULL, detail = NULL WHERE number = 1 AND seq = 4",
            "UPDATE executions SET phase = 'thinking', phase_detail = NULL WHERE number = 1"),
           "decode", "entry 4: not a valid record at cause", DONE),
    Damage("an error in a warning",
           ("UPDATE entries SET phase = NULL, detail = NULL, cause = 'loop_blocked', error = 'x' WHERE number = 1 AND seq = 4",
            "UPDATE executions SET phase = 'thinking', phase_detail = NULL WHERE number = 1"),
           "cause", "entry 4 has error, but is no end", DONE),
    Damage("a warning in the place of the creation",
           ("UPDATE entries SET target = NULL, cause = 'loop_blocked' WHERE number = 3 AND seq = 1",), "log",
           "entry 1 is a warning of LOOP_BLOCKED; expected its creation, as pending", LIVE),
    Damage("another worker's warning",
           ("INSERT INTO workers (number, incarnation) VALUES (2, 'somebody else')",
            "INSERT INTO entries (number, seq, at_ns, worker, cause) VALUES (3, 3, 21, 2, 'loop_blocked')",
            "UPDATE executions SET seq = 3, updated_at_ns = 21 WHERE number = 3"),
           "owner", "entry 3 was written by worker 2, but worker 1 owns the execution", LIVE),
    Damage("a warning that did not count",
           ("INSERT INTO entries (number, seq, at_ns, worker, cause) VALUES (3, 3, 21, 1, 'loop_blocked')",), "fold",
           "executions.updated_at_ns is 20, but its log adds up to 21", LIVE),
    Damage("a name that is empty", ("UPDATE executions SET agent = '' WHERE number = 1",), "decode",
           "entry 1: not a valid record at agent", DONE),
    Damage("a limit that is negative", ("UPDATE executions SET timeout = -1 WHERE number = 1",), "decode",
           "entry 1: not a valid record at timeout", DONE),
    Damage("a name that is no UTF-8", ("UPDATE executions SET thread_id = CAST(x'ff61' AS TEXT) WHERE number = 1",), "decode",
           "entry 1: not a valid record at thread_id: valid UTF-8", DONE),
    Damage("a detail that is no UTF-8",
           ("UPDATE entries SET detail = CAST(x'ff61' AS TEXT) WHERE number = 1 AND seq = 3",), "decode",
           "entry 3: not a valid record at detail: valid UTF-8", DONE),
    Damage("an execution without a valid row or log",
           ("DELETE FROM entries WHERE number = 3", "UPDATE executions SET user_id = CAST(x'ff61' AS TEXT) WHERE number = 3"),
           "decode", "its row in executions: not a valid record at user_id", LIVE, frozenset({"log"})),
    Damage("an execution that is gone", ("DELETE FROM executions WHERE number = 3",), "orphan",
           "2 entries from position 10 on belong to execution number 3, which is not there", None, frozenset({"foreign_key"})),
    Damage("a worker that is gone", ("DELETE FROM workers",), "foreign_key", "refers to a row of workers that is not there", None,
           frozenset({"decode"})),
    Damage("no bookkeeping", ("DELETE FROM meta WHERE key = 'pruned'",), "meta", "meta.pruned must be a number"),
    Damage("a negative bookkeeping", ("UPDATE meta SET value = -1 WHERE key = 'pruned'",), "meta", "found -1"),
    Damage("unknown bookkeeping", ("INSERT INTO meta VALUES ('mood', 1)",), "meta", "meta.mood is not known here"),
    Damage("a wrong count of ends", ("UPDATE meta SET value = 7 WHERE key = 'ended'",), "meta",
           "meta.ended is 7, but 2 executions have ended"),
    Damage("pruned beyond the end", ("UPDATE meta SET value = 1000 WHERE key = 'pruned'",), "meta",
           "beyond the last position given out, 11"),
    Damage("positions that would repeat", ("UPDATE sqlite_sequence SET seq = 2 WHERE name = 'entries'",), "meta",
           "entries.position goes up to 11, but its counter says 2"),
    Damage("numbers that would repeat", ("DELETE FROM sqlite_sequence WHERE name = 'executions'",), "meta",
           "executions.number goes up to 3, but its counter says 0"),
    Damage("a dropped index", ("DROP INDEX executions_live",), "schema", "index executions_live is missing"),
    Damage("a foreign table", ("CREATE TABLE mine (x)",), "schema", "table 'mine' does not belong to a journal"),
    Damage("a foreign trigger", ("CREATE TRIGGER mine AFTER INSERT ON entries BEGIN SELECT 1; END",), "schema",
           "trigger 'mine' does not belong to a journal"),
)  # fmt: skip


def test_a_sound_journal_gives_nothing(journal: Path) -> None:
    """Nothing is found in a journal with completed, failed and live executions."""
    assert verify(journal) == ()


def test_warnings_are_sound(journal: Path) -> None:
    """Nothing is found when executions that live and that have ended were warned of."""
    log = [created("x"), warned("x", 2), moved("x", 3, ExecutionState.PENDING, ExecutionState.RUNNING), warned("x", 4)]
    store = SqliteJournal(journal)
    store.append([*log, *(entry._replace(execution_id="y") for entry in log)])
    store.append([moved("x", 5, ExecutionState.RUNNING, ExecutionState.DEAD)])
    store.close()
    assert verify(journal) == ()


def test_an_empty_journal_gives_nothing(tmp_path: Path) -> None:
    """Nothing is found in a journal that has just been made."""
    runstate.open(tmp_path / "runs.db").close()
    assert verify(tmp_path / "runs.db") == ()


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_every_damage_is_named(journal: Path, damage: Damage) -> None:
    """A forged damage breaks exactly the rules that it should, and the finding says what and where."""
    wanted = None if damage.number is None else ids(journal)[damage.number - 1]
    forge(journal, *damage.sql)
    findings = verify(journal)
    # Whether SQLite's own check looks at CHECK constraints in a file opened read-only depends on its version.
    assert rules(findings) - {"integrity"} == {damage.rule} | damage.besides, findings
    assert [
        finding
        for finding in findings
        if finding.rule == damage.rule and damage.says in finding.message and finding.execution_id == wanted
    ], findings


def triggers() -> list[str]:
    """The triggers that the schema renders."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(_sql.SCHEMA)
        return [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")]


@pytest.mark.parametrize("trigger", triggers())
def test_a_dropped_trigger_is_named(journal: Path, trigger: str) -> None:
    """Each trigger of the schema is missed."""
    with closing(sqlite3.connect(journal)) as connection:
        connection.execute(f"DROP TRIGGER {trigger}")
    assert verify(journal) == (Finding("schema", None, f"trigger {trigger} is missing"),)


def test_a_weakened_trigger_is_named(journal: Path) -> None:
    """A trigger that is there, but does not do what the table says, is found."""
    with closing(sqlite3.connect(journal)) as connection:
        connection.execute("DROP TRIGGER entries_never_change")
        connection.execute("CREATE TRIGGER entries_never_change BEFORE UPDATE ON entries BEGIN SELECT 1; END")
    (finding,) = verify(journal)
    assert finding.rule == "schema"
    assert finding.message.startswith("trigger entries_never_change is not as rendered: ")


def test_a_removed_constraint_is_named(journal: Path) -> None:
    """A table whose definition allows one more state is found, although its rows are all fine."""
    rewrite_schema(
        journal,
        "UPDATE sqlite_schema SET sql = replace(sql, 'state = ''starting''', 'state IN (''starting'', ''limbo'')')"
        " WHERE name = 'executions'",
    )
    (finding,) = verify(journal)
    assert finding.rule == "schema"
    assert finding.message.startswith("table executions is not as rendered: ")


def test_an_id_used_twice_is_named(journal: Path) -> None:
    """Two executions with one id are found, in a file whose schema does not forbid it any more."""
    rewrite_schema(
        journal,
        "UPDATE sqlite_schema SET sql = replace(sql, 'execution_id TEXT NOT NULL UNIQUE', 'execution_id TEXT NOT NULL')"
        " WHERE name = 'executions'",
        "DELETE FROM sqlite_schema WHERE name = 'sqlite_autoindex_executions_1'",
    )
    forge(journal, "UPDATE executions SET execution_id = 'twin' WHERE number IN (1, 3)")
    findings = verify(journal)
    assert Finding("unique", "twin", "2 executions have this id") in findings
    assert {"schema", "unique"} <= rules(findings)


def test_an_entry_stored_twice_is_named(journal: Path) -> None:
    """Two entries with one seq are found, in a file whose schema does not forbid it any more."""
    rewrite_schema(
        journal,
        "UPDATE sqlite_schema SET sql = replace(sql, 'UNIQUE (number, seq),', '') WHERE name = 'entries'",
        "DELETE FROM sqlite_schema WHERE name = 'sqlite_autoindex_entries_1'",
    )
    forge(
        journal,
        "INSERT INTO entries (number, seq, at_ns, worker, source, target) VALUES (3, 2, 20, 1, 'pending', 'starting')",
    )
    logs = [finding for finding in verify(journal) if finding.rule == "log"]
    assert logs == [Finding("log", "live", "entry 2 where entry 3 was expected")]


def test_everything_is_reported_not_just_the_first(journal: Path) -> None:
    """Damages of several executions and of the file are all found in one run."""
    forge(
        journal,
        "UPDATE executions SET state = 'failed' WHERE number = 1",
        "UPDATE entries SET result_json = '{' WHERE number = 1 AND seq = 5",
        "DELETE FROM entries WHERE number = 2 AND seq = 3",
        "UPDATE executions SET phase = 'thinking' WHERE number = 3",
        "CREATE TABLE mine (x)",
    )
    done, failed, live = ids(journal)
    found = {(finding.rule, finding.execution_id) for finding in verify(journal)}
    assert found >= {("schema", None), ("decode", done), ("log", failed), ("fold", live)}
