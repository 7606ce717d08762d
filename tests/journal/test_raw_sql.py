"""The rules that the file itself holds: a program that writes raw SQL can do no more than runstate can.

The connection here is one that any program may open: no pragma is set, so foreign keys are off, and every rule must hold
by a trigger or a constraint.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from runstate import ExecutionState
from runstate.journal.sqlite import SqliteJournal

from ..moves import CAUSE_OF_VERB, ILLEGAL, LEGAL, pair_id
from .entries import OTHER_WORKER, created, life, phased

TABLES = ("meta", "workers", "executions", "entries")
INSERT = """
INSERT INTO entries (number, seq, at_ns, worker, source, target, cause, evidence_json)
VALUES ((SELECT number FROM executions WHERE execution_id = :id), :seq, 5, 1, :source, :target, :cause, :evidence)
"""


class RawJournal:
    """A journal file with one execution in each state, and a raw connection to it."""

    def __init__(self, path: Path) -> None:
        journal = SqliteJournal(path)
        self.length: dict[ExecutionState, int] = {}
        for state in ExecutionState:
            log = life(state.value, state)
            self.length[state] = len(log)
            journal.append(log)
        journal.append([created("other", incarnation=OTHER_WORKER), phased("other", 2, incarnation=OTHER_WORKER)])
        journal.close()
        self.connection = sqlite3.connect(path, isolation_level=None)

    def dump(self) -> list[list[tuple[object, ...]]]:
        """Every row of every table."""
        return [self.connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in TABLES]

    def insert(self, source: ExecutionState, target: ExecutionState, in_state: ExecutionState | None = None) -> None:
        """Insert a move of the execution that is in a state, as well-formed as can be."""
        in_state = in_state or source
        end = target.is_terminal
        self.connection.execute(
            INSERT,
            {
                "id": in_state.value,
                "seq": self.length[in_state] + 1,
                "source": source.value,
                "target": target.value,
                "cause": CAUSE_OF_VERB[target].value if end else None,
                "evidence": '{"observer":"raw"}' if end else None,
            },
        )

    def refuses(self, statement: str) -> None:
        """Check that a statement is refused and changes nothing, and that it is not refused for being no SQL."""
        before = self.dump()
        with pytest.raises(sqlite3.IntegrityError):
            self.connection.execute(statement)
        assert self.dump() == before


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[RawJournal]:
    """A journal file as another program sees it."""
    raw = RawJournal(tmp_path / "raw.db")
    with contextlib.closing(raw.connection):
        yield raw


@pytest.mark.parametrize("pair", LEGAL, ids=pair_id)
def test_a_legal_move_can_be_inserted(raw: RawJournal, pair: tuple[ExecutionState, ExecutionState]) -> None:
    """Each of the 22 legal moves is taken as a raw row and moves its execution: what refuses the others is the table."""
    source, target = pair
    raw.insert(source, target)
    row = raw.connection.execute("SELECT state, seq FROM executions WHERE execution_id = ?", (source.value,)).fetchone()
    assert row == (target.value, raw.length[source] + 1)


@pytest.mark.parametrize("pair", ILLEGAL, ids=pair_id)
def test_an_illegal_move_cannot_be_written(raw: RawJournal, pair: tuple[ExecutionState, ExecutionState]) -> None:
    """None of the 59 illegal moves can be inserted as an entry, nor written into the execution, with or without its seq."""
    source, target = pair
    before = raw.dump()
    with pytest.raises(sqlite3.IntegrityError, match="does not continue its execution's log"):
        raw.insert(source, target)
    for change in (f"state = '{target.value}'", f"state = '{target.value}', seq = seq + 1"):
        with pytest.raises(sqlite3.IntegrityError, match="follow the entries"):
            raw.connection.execute(f"UPDATE executions SET {change} WHERE execution_id = ?", (source.value,))
    assert raw.dump() == before


@pytest.mark.parametrize("pair", LEGAL, ids=pair_id)
def test_a_legal_move_needs_its_entry(raw: RawJournal, pair: tuple[ExecutionState, ExecutionState]) -> None:
    """Even a legal move cannot be written into the execution alone, nor entered from a state that it is not in."""
    source, target = pair
    raw.refuses(f"UPDATE executions SET state = '{target.value}', seq = seq + 1 WHERE execution_id = '{source.value}'")
    before = raw.dump()
    for other in ExecutionState:
        if other is not source:
            with pytest.raises(sqlite3.IntegrityError):
                raw.insert(source, target, in_state=other)
    assert raw.dump() == before


NEW_EXECUTION = "INSERT INTO executions (execution_id, agent, thread_id, user_id, worker, created_at_ns, updated_at_ns"
NEW_ENTRY = (
    "INSERT INTO entries (number, seq, at_ns, worker, source, target, phase, cause, evidence_json, error, result_json)"
)
WARNING = "INSERT INTO entries (number, seq, at_ns, worker, cause, detail, source, target, phase, evidence_json, error)"

REFUSED = {
    "an unknown state": f"{NEW_ENTRY} VALUES (3, 3, 5, 1, 'running', 'finished', NULL, NULL, NULL, NULL, NULL)",
    "an unknown state as source": f"{NEW_ENTRY} VALUES (3, 3, 5, 1, 'alive', 'failed', NULL, 'raised', '{{}}', NULL, NULL)",
    "an unknown state of an execution": "UPDATE executions SET state = 'finished'",
    "an upper-case state": f"{NEW_ENTRY} VALUES (3, 3, 5, 1, 'running', 'COMPLETING', NULL, NULL, NULL, NULL, NULL)",
    "a state that is a number": f"{NEW_ENTRY} VALUES (3, 3, 5, 1, 'running', 5, NULL, NULL, NULL, NULL, NULL)",
    "no state and no phase": f"{NEW_ENTRY} VALUES (3, 3, 5, 1, 'running', NULL, NULL, NULL, NULL, NULL, NULL)",
    "a state and a phase": f"{NEW_ENTRY} VALUES (3, 3, 5, 1, 'running', 'completing', 'thinking', NULL, NULL, NULL, NULL)",
    "an unknown phase": f"{NEW_ENTRY} VALUES (3, 3, 5, 1, NULL, NULL, 'dreaming', NULL, NULL, NULL, NULL)",
    "a phase after the end": f"{NEW_ENTRY} VALUES (6, 3, 5, 1, NULL, NULL, 'thinking', NULL, NULL, NULL, NULL)",
    "a warning after the end": f"{WARNING} VALUES (6, 3, 5, 1, 'loop_blocked', NULL, NULL, NULL, NULL, NULL, NULL)",
    "a warning without a cause": f"{WARNING} VALUES (3, 3, 5, 1, NULL, 'seen', NULL, NULL, NULL, NULL, NULL)",
    "a warning of a failure": f"{WARNING} VALUES (3, 3, 5, 1, 'raised', NULL, NULL, NULL, NULL, NULL, NULL)",
    "a warning from a state": f"{WARNING} VALUES (3, 3, 5, 1, 'loop_blocked', NULL, 'running', NULL, NULL, NULL, NULL)",
    "a warning that moves": f"{WARNING} VALUES (3, 3, 5, 1, 'loop_blocked', NULL, 'running', 'completing', NULL, NULL, NULL)",
    "a warning that ends": f"{WARNING} VALUES (3, 3, 5, 1, 'loop_blocked', 'seen', 'running', 'dead', NULL, '{{}}', NULL)",
    "a warning with a phase": f"{WARNING} VALUES (3, 3, 5, 1, 'loop_blocked', NULL, NULL, NULL, 'thinking', NULL, NULL)",
    "a warning with evidence": f"{WARNING} VALUES (3, 3, 5, 1, 'loop_blocked', NULL, NULL, NULL, NULL, '{{}}', NULL)",
    "a warning with an error": f"{WARNING} VALUES (3, 3, 5, 1, 'loop_blocked', NULL, NULL, NULL, NULL, NULL, 'e')",
    "another worker's warning": f"{WARNING} VALUES (3, 3, 5, 2, 'loop_blocked', NULL, NULL, NULL, NULL, NULL, NULL)",
    "a warning in the place of another entry": f"{WARNING} VALUES (3, 2, 5, 1, 'loop_blocked', NULL, NULL, NULL, NULL, NULL, NULL)",
    "a warning in the place of the creation": f"{WARNING} VALUES (3, 1, 5, 1, 'loop_blocked', NULL, NULL, NULL, NULL, NULL, NULL)",
    "an unknown cause": f"{NEW_ENTRY} VALUES (3, 3, 5, 1, 'running', 'failed', NULL, 'fate', '{{}}', NULL, NULL)",
    "another state's cause": f"{NEW_ENTRY} VALUES (3, 3, 5, 1, 'running', 'failed', NULL, 'deadline', '{{}}', NULL, NULL)",
    "an end without a cause": f"{NEW_ENTRY} VALUES (3, 3, 5, 1, 'running', 'failed', NULL, NULL, '{{}}', NULL, NULL)",
    "an end without evidence": f"{NEW_ENTRY} VALUES (3, 3, 5, 1, 'running', 'failed', NULL, 'raised', NULL, NULL, NULL)",
    "a result of a failure": f"{NEW_ENTRY} VALUES (3, 3, 5, 1, 'running', 'failed', NULL, 'raised', '{{}}', NULL, '1')",
    "a cause of no end": f"{NEW_ENTRY} VALUES (3, 3, 5, 1, 'running', 'completing', NULL, 'raised', NULL, NULL, NULL)",
    "an error of no end": f"{NEW_ENTRY} VALUES (3, 3, 5, 1, 'running', 'completing', NULL, NULL, NULL, 'e', NULL)",
    "another worker's entry": f"{NEW_ENTRY} VALUES (3, 3, 5, 2, 'running', 'completing', NULL, NULL, NULL, NULL, NULL)",
    "a used seq": f"{NEW_ENTRY} VALUES (3, 2, 5, 1, 'running', 'completing', NULL, NULL, NULL, NULL, NULL)",
    "a gap": f"{NEW_ENTRY} VALUES (3, 4, 5, 1, 'running', 'completing', NULL, NULL, NULL, NULL, NULL)",
    "an entry of no execution": f"{NEW_ENTRY} VALUES (99, 1, 5, 1, NULL, 'pending', NULL, NULL, NULL, NULL, NULL)",
    "an execution that begins in the middle": f"{NEW_EXECUTION}, state) VALUES ('new', 'a', 't', 'u', 1, 5, 5, 'running')",
    "an execution that begins with entries": f"{NEW_EXECUTION}, seq) VALUES ('new', 'a', 't', 'u', 1, 5, 5, 3)",
    "an execution without an agent": f"{NEW_EXECUTION}) VALUES ('new', '', 't', 'u', 1, 5, 5)",
    "a negative limit": f"{NEW_EXECUTION}, timeout) VALUES ('new', 'a', 't', 'u', 1, 5, 5, -1.0)",
    "a second execution of the same id": f"{NEW_EXECUTION}) VALUES ('running', 'a', 't', 'u', 1, 5, 5)",
    "a replaced execution": "INSERT OR REPLACE INTO executions SELECT number, execution_id, 'mine', thread_id, user_id, worker, "
    "created_at_ns, timeout, heartbeat_timeout, metadata_json, 'pending', 0, updated_at_ns, NULL, NULL, NULL, 1, NULL FROM executions",
    "a replaced entry": f"INSERT OR REPLACE INTO entries (position, {NEW_ENTRY.partition('(')[2]} "
    "VALUES (1, 3, 3, 5, 1, 'running', 'completing', NULL, NULL, NULL, NULL, NULL)",
    "a changed entry": "UPDATE entries SET at_ns = 0 WHERE number = 3",
    "a changed end": "UPDATE entries SET error = 'another' WHERE number = 6",
    "a moved entry": "UPDATE OR REPLACE entries SET seq = 1 WHERE number = 3 AND seq = 2",
    "a deleted entry of a live log": "DELETE FROM entries WHERE number = 3 AND seq = 2",
    "deleted entries": "DELETE FROM entries",
    "a deleted live execution": "DELETE FROM executions WHERE state = 'running'",
    "a deleted ended execution whose entries stay": "DELETE FROM executions WHERE state = 'failed'",
    "another owner": "UPDATE executions SET worker = 2 WHERE number = 3",
    "another agent": "UPDATE executions SET agent = 'mine' WHERE number = 3",
    "another deadline": "UPDATE executions SET timeout = 1e9 WHERE number = 3",
    "another id": "UPDATE executions SET execution_id = 'mine' WHERE number = 3",
    "a renamed worker": "UPDATE workers SET incarnation = 'me' WHERE number = 1",
    "a deleted worker": "DELETE FROM workers WHERE number = 1",
    "a replaced worker": "INSERT OR REPLACE INTO workers (number, incarnation) VALUES (1, 'me')",
    "a nameless worker": "INSERT INTO workers (incarnation) VALUES ('')",
    "a lag that is hidden": "UPDATE meta SET value = -1 WHERE key = 'pruned'",
    "a lag that is replaced": "REPLACE INTO meta VALUES ('pruned', -1)",
}


@pytest.mark.parametrize("statement", REFUSED.values(), ids=REFUSED)
def test_raw_sql_cannot_do_what_runstate_cannot(raw: RawJournal, statement: str) -> None:
    """Each of these statements is refused by the file itself, and changes nothing."""
    assert raw.connection.execute("SELECT state FROM executions WHERE number IN (3, 6)").fetchall() == [
        ("running",),
        ("failed",),
    ]
    raw.refuses(statement)


def test_a_warning_moves_nothing(raw: RawJournal) -> None:
    """A raw row that is a warning is taken from the owner of a live execution, and changes only its seq and time."""
    raw.connection.execute(f"{WARNING} VALUES (3, 3, 5, 1, 'loop_blocked', 'seen', NULL, NULL, NULL, NULL, NULL)")
    row = raw.connection.execute("SELECT state, seq, updated_at_ns, phase FROM executions WHERE number = 3").fetchone()
    assert row == ("running", 3, 5, None)


def test_an_ended_log_can_be_removed_whole(raw: RawJournal) -> None:
    """Retention, and whoever has to erase a user's data, may delete the entries of an ended execution and then itself."""
    raw.connection.execute("DELETE FROM entries WHERE number IN (SELECT number FROM executions WHERE state = 'failed')")
    raw.connection.execute("DELETE FROM executions WHERE state = 'failed'")
    assert raw.connection.execute("SELECT count(*) FROM executions WHERE state = 'failed'").fetchone() == (0,)


def test_the_rules_hold_within_a_transaction_too(raw: RawJournal) -> None:
    """A transaction that breaks a rule cannot commit what it broke, and what it did before can be kept."""
    raw.connection.execute("BEGIN")
    raw.insert(ExecutionState.RUNNING, ExecutionState.COMPLETING)
    with pytest.raises(sqlite3.IntegrityError):
        raw.insert(ExecutionState.PENDING, ExecutionState.COMPLETED)
    raw.connection.execute("COMMIT")
    states = dict(raw.connection.execute("SELECT execution_id, state FROM executions"))
    assert (states["running"], states["pending"]) == ("completing", "pending")
