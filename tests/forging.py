"""Journals to damage, and the means: raw SQL with every rule of the schema switched off."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

import runstate
from runstate import Cause, ExecutionState, Finding, JournalConflictError, Phase
from runstate.journal import Fleet
from runstate.journal.sqlite import SqliteJournal

from .journal.entries import OTHER_WORKER, WORKER, life, lives, moved

EVIDENCE = """'{"observer":"owner","beats":0}'"""
DONE, FAILED, LIVE = 1, 2, 3
"""Numbers of the three executions of `small_journal`, in the order of their creation."""


def small_journal(path: Path) -> Path:
    """A closed, sound journal: a completed execution, a failed one, and a live one as a crash leaves it."""
    with runstate.open(path) as tracker:
        names = {"agent": "airline", "thread_id": "t-1", "user_id": "u-1"}
        done = tracker.create(**names, timeout=25.0, metadata={"tier": "free"}).run()
        done.phase(Phase.THINKING)
        done.phase(Phase.TOOL_EXECUTION, "get_user_details")
        done.complete({"text": "done"})
        failed = tracker.create(**names).run()
        failed.phase(Phase.THINKING)
        failed.fail(ValueError("no seat left"))
        tracker.flush()
    forge(
        path,
        "UPDATE workers SET gone_at_ns = NULL, gone_position = NULL",
        "INSERT INTO executions (number, execution_id, agent, thread_id, user_id, worker, created_at_ns, updated_at_ns,"
        " state, seq) VALUES (3, 'live', 'airline', 't-2', 'u-2', 1, 10, 20, 'running', 2)",
        "INSERT INTO entries (number, seq, at_ns, worker, target) VALUES (3, 1, 10, 1, 'pending')",
        "INSERT INTO entries (number, seq, at_ns, worker, source, target) VALUES (3, 2, 20, 1, 'pending', 'running')",
    )
    return path


def fleet_journal(path: Path) -> Path:
    """A closed, sound journal of four workers, as `populate_fleet` makes it."""
    journal = SqliteJournal(path)
    populate_fleet(journal)
    journal.close()
    return path


def populate_fleet(journal: Fleet) -> None:
    """Write what four workers do: 1 is fenced, 2 has buried for it, 3 is alive with something live, 4 without.

    Of the executions x, late and asked worker 1 was the owner: x is still live, late was buried and has a rejected end, asked was
    buried as cancelled on request. z is worker 3's, live and asked for.
    """
    for incarnation in (WORKER, OTHER_WORKER, "third", "fourth"):
        journal.join(incarnation, 10.0)
    running, dead, cancelled = ExecutionState.RUNNING, ExecutionState.DEAD, ExecutionState.CANCELLED
    journal.append([*lives(["x", "late", "asked"], running), *life("z", running, incarnation="third")])
    for execution_id in ("asked", "z"):
        journal.request_cancel(execution_id, "a user")
    journal.fence(WORKER, OTHER_WORKER, Cause.PROCESS_EXITED, "killed")
    journal.append([moved("late", 3, running, dead, incarnation=OTHER_WORKER, cause=Cause.PROCESS_EXITED)])
    journal.append([moved("asked", 3, running, cancelled, incarnation=OTHER_WORKER)])
    with suppress(JournalConflictError):
        journal.append([moved("late", 3, running, ExecutionState.COMPLETED)])


def larger_journal(path: Path) -> bytes:
    """The bytes of a closed, sound journal of 60 executions, on many pages."""
    with runstate.open(path) as tracker:
        for number in range(60):
            run = tracker.create(agent="airline", thread_id=f"t-{number}", user_id="u", metadata={"n": number}).run()
            run.phase(Phase.LLM_INTERACTION, "gpt-4o")
            run.complete({"text": "word " * 60})
    return path.read_bytes()


def forge(path: Path, *statements: str) -> None:
    """Run SQL on a journal with every rule of the schema switched off, and put the rules back as they were."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        for _, sql in triggers:
            connection.execute(sql)


def rewrite_schema(path: Path, *statements: str) -> None:
    """Run SQL on the schema table itself, which SQLite only allows on demand."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            connection.execute(statement)
        version = connection.execute("PRAGMA schema_version").fetchone()[0]
        connection.execute(f"PRAGMA schema_version = {version + 1}")


def rules(findings: Iterable[Finding]) -> set[str]:
    """The rules that findings name."""
    return {finding.rule for finding in findings}


def ids(path: Path) -> list[str]:
    """The ids in a journal, in the order of creation."""
    with closing(sqlite3.connect(path)) as connection:
        return [name for (name,) in connection.execute("SELECT execution_id FROM executions ORDER BY number")]
