"""Version 2 of the SQLite schema, as a script that upgrades version 1: what that lacks for a fleet; and the fleet's statements.

A new file is made by version 1's script and then this one, so a new file and an upgraded one are the same, character for character.

The rules that it adds, which raw SQL cannot break either:

- A worker is fenced or leaves once, and never comes back; it leaves only when nothing of its own is live. `gone_position` is
  the newest position of the journal at that moment, so it can be proven afterwards that nothing of its own came later.
- An entry is accepted from the owner as long as it is there. *Burial*: when the owner is fenced, it is accepted from anybody else
  who is there, if it ends the execution DEAD, or CANCELLED where that was requested.
- A warning is taken from the owner alone, of a live execution; `_sql_entries` has its shape.
- A worker's row goes when it is gone and nothing refers to it (`_rules.forgettable`), and no number is given a second time: a process
  that has stood still for longer than the retention knows its own by heart.
- A request, and the end that a fenced worker still tried to record, are kept once, never change, and go with their execution.
"""

from __future__ import annotations

from typing import Final

from .._states import INITIAL, ExecutionState
from ._rules import (
    NOTE_CHANGED,
    READ_ONLY_STATE,
    RECORD_COLUMNS,
    REFUSED,
    SIGNED_AT_NS,
    WORKER_CHANGED,
    accepted_causes,
    forgettable,
    has_ended,
    is_live,
    legal_pairs,
    suspects,
    threatens,
)
from ._sql_chain import CHAINED
from ._sql_entries import MADE_ANEW
from ._sql_outbox import SCHEMA as OUTBOXES

_JOINED: Final = ("host", "pid", "started_at_ns", "boot_id", "lease")
"""What a worker says of itself when it joins: all or nothing, and never anything else."""

_NEWEST: Final = "(SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'entries')"
"""The newest position that was ever given out."""

UPGRADE: Final = f"""
ALTER TABLE workers ADD COLUMN gone_at_ns INTEGER;
ALTER TABLE workers ADD COLUMN gone_position INTEGER CHECK ((gone_position IS NULL) = (gone_at_ns IS NULL));
ALTER TABLE workers ADD COLUMN fenced_by TEXT CHECK (fenced_by IS NULL OR (fenced_by <> '' AND gone_at_ns IS NOT NULL));
ALTER TABLE workers ADD COLUMN fence_cause TEXT
    CHECK ((fence_cause IS NULL) = (fenced_by IS NULL) AND {threatens("fence_cause")});
ALTER TABLE workers ADD COLUMN fence_reason TEXT CHECK (fence_reason IS NULL OR fenced_by IS NOT NULL);
ALTER TABLE workers ADD COLUMN host TEXT CHECK (host <> '');
ALTER TABLE workers ADD COLUMN pid INTEGER CHECK (pid > 0);
ALTER TABLE workers ADD COLUMN started_at_ns INTEGER;
ALTER TABLE workers ADD COLUMN boot_id TEXT;
ALTER TABLE workers ADD COLUMN lease REAL CHECK (lease > 0);
ALTER TABLE workers ADD COLUMN renewed_at_ns INTEGER
    CHECK ({" AND ".join(f"({column} IS NULL) = (renewed_at_ns IS NULL)" for column in _JOINED)});
CREATE INDEX workers_present ON workers (number) WHERE gone_at_ns IS NULL;
CREATE INDEX workers_gone ON workers (gone_at_ns) WHERE gone_at_ns IS NOT NULL;
CREATE INDEX workers_fenced ON workers (fenced_by) WHERE fenced_by IS NOT NULL;
CREATE INDEX executions_live_of ON executions (worker) WHERE {is_live("state")};

CREATE TABLE requests (
    number INTEGER PRIMARY KEY REFERENCES executions,
    asked_at_ns INTEGER NOT NULL,
    asked_by TEXT NOT NULL CHECK (asked_by <> ''),
    reason TEXT
) STRICT;

CREATE TABLE rejected (
    number INTEGER PRIMARY KEY REFERENCES executions,
    seq INTEGER NOT NULL CHECK (seq > 1),
    at_ns INTEGER NOT NULL,
    worker INTEGER NOT NULL REFERENCES workers,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    cause TEXT NOT NULL,
    error TEXT,
    evidence_json TEXT NOT NULL,
    result_json TEXT,
    rejected_at_ns INTEGER NOT NULL,
    CHECK ({legal_pairs("source", "target")}),
    CHECK ({has_ended("target")}),
    CHECK ({accepted_causes()}),
    CHECK (result_json IS NULL OR target = '{ExecutionState.COMPLETED.value}')
) STRICT;

{MADE_ANEW}
CREATE TRIGGER entries_continue_the_log BEFORE INSERT ON entries
WHEN EXISTS (SELECT 1 FROM entries WHERE position = NEW.position) OR NOT EXISTS (
    SELECT 1 FROM executions AS x
    WHERE x.number = NEW.number AND x.seq = NEW.seq - 1
      AND (SELECT gone_at_ns IS NULL FROM workers WHERE number = NEW.worker)
      AND CASE WHEN x.worker = NEW.worker THEN TRUE ELSE
        (SELECT fenced_by IS NOT NULL FROM workers WHERE number = x.worker) AND CASE NEW.target
          WHEN '{ExecutionState.DEAD.value}' THEN TRUE
          WHEN '{ExecutionState.CANCELLED.value}' THEN EXISTS (SELECT 1 FROM requests WHERE number = NEW.number)
        END
      END
      AND CASE
        WHEN NEW.target IS NULL THEN NEW.source IS NULL AND NEW.seq > 1 AND {is_live("x.state")}
        WHEN NEW.seq = 1 THEN NEW.source IS NULL AND NEW.target = '{INITIAL.value}'
        ELSE x.state = NEW.source AND ({legal_pairs("NEW.source", "NEW.target")})
      END
)
BEGIN SELECT RAISE(ABORT, '{REFUSED.replace("'", "''")}'); END;

DROP TRIGGER executions_begin_at_the_beginning;
CREATE TRIGGER executions_begin_at_the_beginning BEFORE INSERT ON executions
WHEN NEW.state <> '{INITIAL.value}' OR NEW.seq <> 0
  OR EXISTS (SELECT 1 FROM executions WHERE number = NEW.number OR execution_id = NEW.execution_id)
  OR NOT EXISTS (SELECT 1 FROM workers WHERE number = NEW.worker AND gone_at_ns IS NULL)
BEGIN SELECT RAISE(ABORT, '{READ_ONLY_STATE}'); END;

DROP TRIGGER workers_come_once;
CREATE TRIGGER workers_come_once BEFORE INSERT ON workers
WHEN NEW.gone_at_ns IS NOT NULL OR EXISTS (SELECT 1 FROM workers WHERE number = NEW.number OR incarnation = NEW.incarnation)
BEGIN SELECT RAISE(ABORT, '{WORKER_CHANGED}'); END;

DROP TRIGGER workers_never_change;
CREATE TRIGGER workers_join_renew_and_go BEFORE UPDATE ON workers
WHEN (
    NEW.number = OLD.number AND NEW.incarnation = OLD.incarnation AND OLD.gone_at_ns IS NULL
    AND (OLD.lease IS NULL OR (
        {" AND ".join(f"NEW.{column} = OLD.{column}" for column in _JOINED)} AND NEW.renewed_at_ns >= OLD.renewed_at_ns))
    AND (NEW.gone_at_ns IS NULL OR (
        NEW.gone_position = {_NEWEST}
        AND CASE WHEN NEW.fenced_by IS NULL
            THEN NOT EXISTS (SELECT 1 FROM executions WHERE worker = OLD.number AND {is_live("state")} AND seq > 0)
            ELSE NEW.fenced_by <> OLD.incarnation
                AND NOT EXISTS (SELECT 1 FROM workers WHERE incarnation = NEW.fenced_by AND gone_at_ns IS NOT NULL)
        END))
) IS NOT TRUE
BEGIN SELECT RAISE(ABORT, '{WORKER_CHANGED}'); END;

DROP TRIGGER workers_go_last;
CREATE TRIGGER workers_go_last BEFORE DELETE ON workers
WHEN OLD.gone_at_ns IS NULL OR OLD.number = (SELECT max(number) FROM workers)
  OR EXISTS (SELECT 1 FROM executions WHERE worker = OLD.number AND {is_live("state")})
  OR EXISTS (SELECT 1 FROM entries WHERE position <= OLD.gone_position AND worker = OLD.number)
  OR EXISTS (SELECT 1 FROM workers WHERE fenced_by = OLD.incarnation)
BEGIN SELECT RAISE(ABORT, '{WORKER_CHANGED}'); END;

CREATE TRIGGER requests_are_made_of_the_living BEFORE INSERT ON requests
WHEN EXISTS (SELECT 1 FROM requests WHERE number = NEW.number)
  OR NOT EXISTS (SELECT 1 FROM executions WHERE number = NEW.number AND {is_live("state")} AND seq > 0)
BEGIN SELECT RAISE(ABORT, '{NOTE_CHANGED}'); END;

CREATE TRIGGER requests_never_change BEFORE UPDATE ON requests
BEGIN SELECT RAISE(ABORT, '{NOTE_CHANGED}'); END;

CREATE TRIGGER requests_go_with_their_execution BEFORE DELETE ON requests
WHEN EXISTS (SELECT 1 FROM executions WHERE number = OLD.number)
BEGIN SELECT RAISE(ABORT, '{NOTE_CHANGED}'); END;

CREATE TRIGGER rejected_are_ends_of_the_fenced BEFORE INSERT ON rejected
WHEN EXISTS (SELECT 1 FROM rejected WHERE number = NEW.number) OR NOT EXISTS (
    SELECT 1 FROM executions AS x
    WHERE x.number = NEW.number AND x.worker = NEW.worker AND x.seq > 0
      AND (SELECT fenced_by IS NOT NULL FROM workers WHERE number = NEW.worker)
      AND ({is_live("x.state")} OR (SELECT worker FROM entries WHERE number = x.number AND seq = x.seq) <> x.worker)
)
BEGIN SELECT RAISE(ABORT, '{NOTE_CHANGED}'); END;

CREATE TRIGGER rejected_never_change BEFORE UPDATE ON rejected
BEGIN SELECT RAISE(ABORT, '{NOTE_CHANGED}'); END;

CREATE TRIGGER rejected_go_with_their_execution BEFORE DELETE ON rejected
WHEN EXISTS (SELECT 1 FROM executions WHERE number = OLD.number)
BEGIN SELECT RAISE(ABORT, '{NOTE_CHANGED}'); END;

CREATE TRIGGER executions_go_with_their_notes AFTER DELETE ON executions
BEGIN
    DELETE FROM requests WHERE number = OLD.number;
    DELETE FROM rejected WHERE number = OLD.number;
END;
{CHAINED}
{OUTBOXES}
PRAGMA user_version = 2;
"""
"""From version 1 to version 2."""

_LIVE: Final = f"FROM executions INDEXED BY executions_live_of WHERE {is_live('state')} AND seq > 0"

SETTLE_UPGRADED: Final = (
    f"""
UPDATE workers AS w
SET gone_at_ns = :now_ns, gone_position = {_NEWEST}, fenced_by = :by, fence_cause = :cause, fence_reason = :reason
WHERE EXISTS (SELECT 1 {_LIVE} AND worker = w.number)
""",
    f"UPDATE workers SET gone_at_ns = :now_ns, gone_position = {_NEWEST} WHERE gone_at_ns IS NULL",
)
"""Fences the workers of version 1 that have left something live, and sees the others off. Nobody else is connected."""

JOIN_AFTER_WRITING: Final = """
UPDATE workers SET host = :host, pid = :pid, started_at_ns = :wall_ns, boot_id = :boot_id, lease = :lease, renewed_at_ns = :now_ns
WHERE incarnation = :incarnation AND lease IS NULL AND gone_at_ns IS NULL
"""
JOIN: Final = """
INSERT INTO workers (incarnation, host, pid, started_at_ns, boot_id, lease, renewed_at_ns)
SELECT :incarnation, :host, :pid, :wall_ns, :boot_id, :lease, :now_ns
WHERE NOT EXISTS (SELECT 1 FROM workers WHERE incarnation = :incarnation)
"""
RENEW: Final = """
UPDATE workers SET renewed_at_ns = max(renewed_at_ns, :now_ns)
WHERE incarnation = :incarnation AND lease IS NOT NULL AND gone_at_ns IS NULL
"""
LEAVE: Final = f"""
UPDATE workers SET gone_at_ns = :wall_ns, gone_position = {_NEWEST} WHERE incarnation = :incarnation AND gone_at_ns IS NULL
"""

_EXPIRED: Final = """
w.lease IS NOT NULL AND (
    w.boot_id <> :boot_id
    OR :now_ns - w.renewed_at_ns > w.lease * 1e9
    OR (:now_ns < w.renewed_at_ns AND :boot_id = '')
)"""
"""The machine was started anew, which is known by its boot's id or, where it has none, by a clock that stands further back."""

FENCE: Final = f"""
UPDATE workers AS w
SET gone_at_ns = :wall_ns, gone_position = {_NEWEST}, fenced_by = :by, fence_cause = :cause, fence_reason = :reason
WHERE w.incarnation = :incarnation AND w.gone_at_ns IS NULL AND (NOT :expired_only OR ({_EXPIRED}))
  AND NOT EXISTS (SELECT 1 FROM workers WHERE incarnation = :by AND gone_at_ns IS NOT NULL)
"""

_PEER: Final = f"""w.incarnation, w.lease, w.renewed_at_ns,
       CASE WHEN w.boot_id = :boot_id AND w.renewed_at_ns <= :now_ns THEN (:now_ns - w.renewed_at_ns) / 1e9
            WHEN w.boot_id = :boot_id AND :boot_id <> '' THEN 0.0 END AS renewed_age,
       coalesce({_EXPIRED}, FALSE) AS expired, w.gone_at_ns, w.gone_position, w.fenced_by, w.fence_cause, w.fence_reason"""
_PRESENT: Final = "SELECT number FROM workers WHERE gone_at_ns IS NULL AND lease IS NOT NULL"

PEERS: Final = f"""
{suspects("", f"SELECT worker {_LIVE} ORDER BY worker LIMIT 1", f"SELECT worker {_LIVE} AND worker > owners.number ORDER BY worker LIMIT 1")}
SELECT {_PEER}
FROM workers AS w
WHERE w.number IN (
    {_PRESENT}
    UNION ALL SELECT s.number FROM suspects AS s CROSS JOIN workers AS f ON f.number = s.number
    WHERE f.fenced_by IS NOT NULL AND EXISTS (SELECT 1 {_LIVE} AND worker = f.number)
)
ORDER BY w.number
"""

_WORKER: Final = f"""
SELECT w.number, coalesce({{live}}, 0) AS live, w.host, w.pid, w.started_at_ns, {_PEER}
FROM workers AS w {{joined}}
ORDER BY w.number
"""
WORKER: Final = _WORKER.format(
    live=f"(SELECT count(*) {_LIVE} AND worker = w.number)", joined="WHERE w.incarnation = :incarnation"
)
WORKERS: Final = _WORKER.format(
    live="l.live",
    joined=f"""LEFT JOIN (SELECT worker, count(*) AS live {_LIVE} GROUP BY worker) AS l ON l.worker = w.number
WHERE w.number IN (
    {_PRESENT}
    UNION SELECT worker {_LIVE}
    UNION SELECT number FROM (SELECT number FROM workers WHERE gone_at_ns IS NOT NULL ORDER BY number DESC LIMIT :departed)
)""",
)

FORGET_WORKERS: Final = f"""
DELETE FROM workers WHERE number IN (
        {forgettable("", ":oldest_ns", ":at_most", ":entries", is_live("x.state"))}
)
"""

_OWNED: Final = "(SELECT number FROM workers WHERE incarnation = :incarnation)"

UNSETTLED: Final = f"""
SELECT {RECORD_COLUMNS}, {SIGNED_AT_NS.format(schema="")}, :wall_ns
FROM executions AS x INDEXED BY executions_live_of JOIN workers AS w ON w.number = x.worker
LEFT JOIN entries AS e ON e.number = x.number AND e.seq = x.seq
WHERE x.worker = {_OWNED} AND {is_live("x.state")} AND x.seq > 0
ORDER BY x.number LIMIT :limit
"""

ADD_REQUEST: Final = f"""
INSERT INTO requests (number, asked_at_ns, asked_by, reason)
SELECT number, :wall_ns, :by, :reason FROM executions
WHERE execution_id = :execution_id AND {is_live("state")} AND seq > 0
  AND NOT EXISTS (SELECT 1 FROM requests WHERE number = executions.number)
"""
_REQUEST: Final = "x.execution_id, w.incarnation AS owner, r.asked_by AS by, r.reason, r.asked_at_ns AS at_ns"
REQUEST: Final = f"""
SELECT {has_ended("x.state")} AS has_ended, {_REQUEST}
FROM executions AS x JOIN workers AS w ON w.number = x.worker LEFT JOIN requests AS r ON r.number = x.number
WHERE x.execution_id = :execution_id AND x.seq > 0
"""
REQUESTS: Final = f"""
SELECT {_REQUEST}
FROM executions AS x INDEXED BY executions_live_of CROSS JOIN requests AS r ON r.number = x.number
JOIN workers AS w ON w.number = x.worker
WHERE x.worker = {_OWNED} AND {is_live("x.state")}
ORDER BY x.number
"""

KEEP_REJECTED: Final = f"""
INSERT OR IGNORE INTO rejected (number, seq, at_ns, worker, source, target, cause, error, evidence_json, result_json, rejected_at_ns)
SELECT x.number, :seq, :at_ns, x.worker, :source, :target, :cause, :error, :evidence_json, :result_json, :rejected_at_ns
FROM executions AS x JOIN workers AS w ON w.number = x.worker
WHERE x.execution_id = :execution_id AND w.incarnation = :worker AND w.fenced_by IS NOT NULL AND x.seq > 0
  AND NOT EXISTS (SELECT 1 FROM rejected WHERE number = x.number)
  AND ({is_live("x.state")} OR (SELECT worker FROM entries WHERE number = x.number AND seq = x.seq) <> x.worker)
"""
"""Takes what `ADD_ENTRY` takes, by name, but the worker by its incarnation, and the time; keeps the end that a fenced owner has tried."""
REJECTED: Final = """
SELECT x.execution_id, r.seq, r.at_ns, w.incarnation, r.source, r.target, r.cause, r.error, r.evidence_json, r.result_json,
       r.rejected_at_ns
FROM rejected AS r JOIN executions AS x ON x.number = r.number JOIN workers AS w ON w.number = r.worker
WHERE x.execution_id = :execution_id
"""
