"""The schema of the SQLite journal, rendered from the transition table, and every statement that it runs.

The database holds the rules itself, so a program that writes raw SQL can do no more than runstate can:

- A row in `entries` is accepted only if it continues its execution's log: the next seq, from the state that the execution is
  in, written by the worker that owns it, along a pair of the table. That one trigger is the compare-and-set.
- `executions.state` and `.seq` follow the entries by trigger, and refuse to be written in any other way.
- Entries never change, and go only when their execution has ended (retention).

This is version 1, and all statements of `Journal`; version 2 and the statements of `Fleet` are in `_sql_fleet`.

How an execution ended (cause, evidence, error, result) stands once, in its last entry, which is found by its seq.
"""

from __future__ import annotations

from typing import Final

from .._records import Selection
from .._states import INITIAL, LIVE, ExecutionState, Phase
from ._notice_rules import is_followed
from ._rules import (
    ENTRY_CHANGED,
    EVENT_COLUMNS,
    PRUNED_SHRANK,
    READ_ONLY_STATE,
    RECORD_COLUMNS,
    REFUSED,
    WORKER_CHANGED,
    has_ended,
    is_live,
    legal_pairs,
    one_of,
)
from ._sql_entries import FOLLOWED, KEPT
from ._sql_entries import VERSION_1 as ENTRIES_1
from ._sql_fleet import UPGRADE

APPLICATION_ID: Final = 0x52554E53
"""Marks an SQLite file as a runstate journal: `RUNS`."""
SCHEMA_VERSION: Final = 2

VERSION_1: Final = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('pruned', 0), ('ended', 0);

CREATE TABLE workers (
    number INTEGER PRIMARY KEY,
    incarnation TEXT NOT NULL UNIQUE CHECK (incarnation <> '')
) STRICT;

CREATE TABLE executions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    execution_id TEXT NOT NULL UNIQUE CHECK (execution_id <> ''),
    agent TEXT NOT NULL CHECK (agent <> ''),
    thread_id TEXT NOT NULL CHECK (thread_id <> ''),
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    worker INTEGER NOT NULL REFERENCES workers,
    created_at_ns INTEGER NOT NULL,
    timeout REAL CHECK (timeout > 0),
    heartbeat_timeout REAL CHECK (heartbeat_timeout > 0),
    metadata_json TEXT,
    state TEXT NOT NULL DEFAULT '{INITIAL.value}' CHECK ({one_of("state", ExecutionState)}),
    seq INTEGER NOT NULL DEFAULT 0,
    updated_at_ns INTEGER NOT NULL,
    phase TEXT CHECK ({one_of("phase", Phase)}),
    phase_detail TEXT
) STRICT;
CREATE INDEX executions_by_thread ON executions (thread_id);
CREATE INDEX executions_by_user ON executions (user_id);
CREATE INDEX executions_live ON executions (state) WHERE {is_live("state")};
CREATE INDEX executions_ended ON executions (updated_at_ns) WHERE {has_ended("state")};

CREATE TABLE entries ({ENTRIES_1}) STRICT;

CREATE TRIGGER entries_continue_the_log BEFORE INSERT ON entries
WHEN EXISTS (SELECT 1 FROM entries WHERE position = NEW.position) OR NOT EXISTS (
    SELECT 1 FROM executions AS x
    WHERE x.number = NEW.number AND x.seq = NEW.seq - 1 AND x.worker = NEW.worker
      AND CASE
        WHEN NEW.phase IS NOT NULL THEN NEW.source IS NULL AND NEW.seq > 1 AND {is_live("x.state")}
        WHEN NEW.seq = 1 THEN NEW.source IS NULL AND NEW.target = '{INITIAL.value}'
        ELSE x.state = NEW.source AND ({legal_pairs("NEW.source", "NEW.target")})
      END
)
BEGIN SELECT RAISE(ABORT, '{REFUSED.replace("'", "''")}'); END;
{FOLLOWED}
CREATE TRIGGER executions_begin_at_the_beginning BEFORE INSERT ON executions
WHEN NEW.state <> '{INITIAL.value}' OR NEW.seq <> 0
  OR EXISTS (SELECT 1 FROM executions WHERE number = NEW.number OR execution_id = NEW.execution_id)
BEGIN SELECT RAISE(ABORT, '{READ_ONLY_STATE}'); END;

CREATE TRIGGER executions_only_follow_the_log BEFORE UPDATE ON executions
WHEN NOT EXISTS (
    SELECT 1 FROM entries AS e
    WHERE e.number = OLD.number AND e.seq = NEW.seq AND NEW.seq = OLD.seq + 1
      AND NEW.state = coalesce(e.target, OLD.state) AND NEW.execution_id = OLD.execution_id AND NEW.worker = OLD.worker
)
BEGIN SELECT RAISE(ABORT, '{READ_ONLY_STATE}'); END;

CREATE TRIGGER executions_go_after_their_entries BEFORE DELETE ON executions
WHEN {is_live("OLD.state")} OR EXISTS (SELECT 1 FROM entries WHERE number = OLD.number)
BEGIN SELECT RAISE(ABORT, '{ENTRY_CHANGED}'); END;

CREATE TRIGGER executions_ended_more AFTER UPDATE OF state ON executions WHEN {has_ended("NEW.state")}
BEGIN UPDATE meta SET value = value + 1 WHERE key = 'ended'; END;

CREATE TRIGGER executions_ended_less AFTER DELETE ON executions
BEGIN UPDATE meta SET value = value - 1 WHERE key = 'ended'; END;

CREATE TRIGGER pruned_only_grows BEFORE UPDATE ON meta WHEN OLD.key = 'pruned' AND NEW.value < OLD.value
BEGIN SELECT RAISE(ABORT, '{PRUNED_SHRANK}'); END;

CREATE TRIGGER meta_is_complete BEFORE INSERT ON meta
BEGIN SELECT RAISE(ABORT, '{PRUNED_SHRANK}'); END;

CREATE TRIGGER meta_stays BEFORE DELETE ON meta
BEGIN SELECT RAISE(ABORT, '{PRUNED_SHRANK}'); END;

CREATE TRIGGER workers_come_once BEFORE INSERT ON workers
WHEN EXISTS (SELECT 1 FROM workers WHERE number = NEW.number OR incarnation = NEW.incarnation)
BEGIN SELECT RAISE(ABORT, '{WORKER_CHANGED}'); END;

CREATE TRIGGER workers_never_change BEFORE UPDATE ON workers
BEGIN SELECT RAISE(ABORT, '{WORKER_CHANGED}'); END;

CREATE TRIGGER workers_go_last BEFORE DELETE ON workers
WHEN EXISTS (SELECT 1 FROM executions WHERE worker = OLD.number) OR EXISTS (SELECT 1 FROM entries WHERE worker = OLD.number)
BEGIN SELECT RAISE(ABORT, '{WORKER_CHANGED}'); END;
{KEPT}
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = 1;
"""
"""What the first version made."""
SCHEMA: Final = VERSION_1 + UPGRADE
"""What a new file is made with: the first version and what upgrades it, so that both kinds of file are the same."""

ADD_WORKER: Final = "INSERT INTO workers (incarnation) VALUES (?)"
WORKER_NUMBER: Final = "SELECT number FROM workers WHERE incarnation = ?"

ADD_EXECUTION: Final = """
INSERT INTO executions (execution_id, agent, thread_id, user_id, worker, created_at_ns, updated_at_ns, timeout,
                        heartbeat_timeout, metadata_json, retry_of, attempt, message_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

ADD_ENTRY: Final = """
INSERT INTO entries (number, seq, at_ns, worker, source, target, phase, detail, cause, error, evidence_json, result_json)
VALUES ((SELECT number FROM executions WHERE execution_id = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

HEAD: Final = """
SELECT pruned.value, max(pruned.value, coalesce((SELECT max(position) FROM entries), 0))
FROM meta AS pruned WHERE pruned.key = 'pruned'
"""
"""The newest position pruned, and the newest position of all."""

ENDED: Final = "SELECT value FROM meta WHERE key = 'ended'"

_EXPIRED: Final = f"""
SELECT number FROM (
    SELECT number, updated_at_ns, row_number() OVER (ORDER BY updated_at_ns, number) AS age FROM (
        SELECT number, updated_at_ns FROM executions WHERE {has_ended("state")} ORDER BY updated_at_ns LIMIT :at_most
    )
)
WHERE updated_at_ns < :oldest_ns OR age <= :too_many
"""
PRUNE: Final = (
    "CREATE TEMP TABLE IF NOT EXISTS expired (number INTEGER PRIMARY KEY)",
    f"INSERT INTO expired {_EXPIRED}",
    "UPDATE meta SET value = max(value, coalesce((SELECT max(position) FROM entries WHERE number IN expired), 0)) "
    "WHERE key = 'pruned'",
    "DELETE FROM entries WHERE number IN expired",
    "DELETE FROM executions WHERE number IN expired",
    "DELETE FROM expired",
)
"""Statements that remove executions past their retention, in order; the second takes the parameters."""

_READ_EVENTS: Final = f"""
SELECT {EVENT_COLUMNS}
FROM entries AS e JOIN executions AS x ON x.number = e.number JOIN workers AS w ON w.number = e.worker
WHERE e.position > :after{{conditions}}
ORDER BY e.position LIMIT :limit
"""

_READ_EXECUTIONS: Final = f"""
SELECT {RECORD_COLUMNS}
FROM executions AS x{{by}} JOIN workers AS w ON w.number = x.worker
LEFT JOIN entries AS e ON e.number = x.number AND e.seq = x.seq
WHERE x.seq > 0{{conditions}}
ORDER BY x.number DESC LIMIT :limit
"""

_COUNT: Final = f"""
SELECT live.*, (SELECT execution_id FROM executions WHERE number = live.first)
FROM (SELECT x.state, count(*), NULL, min(x.number) AS first
      FROM executions AS x WHERE {is_live("x.state")} AND x.seq > 0{{conditions}}
      GROUP BY x.state) AS live
UNION ALL
SELECT x.state, count(*), x.updated_at_ns / :span * :span, NULL, NULL
FROM executions AS x WHERE {has_ended("x.state")} AND x.updated_at_ns >= :since{{conditions}}
  AND (x.state = '{ExecutionState.COMPLETED.value}' OR NOT {is_followed("x", "")})
GROUP BY x.state, 3
"""

_CONDITIONS: Final = {
    "execution_id": " AND x.execution_id = :execution_id",
    "agent": " AND x.agent = :agent",
    "thread_id": " AND x.thread_id = :thread_id",
    "user_id": " AND x.user_id = :user_id",
    "retry_of": " AND x.retry_of = :retry_of",
    "message_id": " AND x.message_id = :message_id",
    "state": " AND x.state = :state",
}


def read_events(selection: Selection) -> str:
    """The statement that reads events after a position."""
    return _READ_EVENTS.format(conditions=_conditions(selection, ignored="state"))


def read_executions(selection: Selection) -> str:
    """The statement that reads executions, the newest first."""
    conditions = _conditions(selection, ignored="")
    if selection.state in LIVE:
        conditions += (
            f" AND {is_live('x.state')}"  # adds nothing, but SQLite now finds the few that live by their index
        )
    is_message = selection.thread_id is not None and selection.message_id is not None
    # left to itself SQLite takes the index that has the order, and reads all that the thread, or the user, ever had
    by = " INDEXED BY executions_by_message" if is_message else ""
    return _READ_EXECUTIONS.format(by=by, conditions=conditions)


def count(selection: Selection) -> str:
    """The statement that counts executions: those that live by state, and those that have ended by state and span."""
    return _COUNT.format(conditions=_conditions(selection, ignored="state"))


def _conditions(selection: Selection, ignored: str) -> str:
    return "".join(
        condition for name, condition in _CONDITIONS.items() if name != ignored and getattr(selection, name) is not None
    )
