"""The part of version 2 of the SQLite schema that keeps notices, and the statements about them.

A trigger on `executions`, which follow the entries, makes the notices of an end: one row for each outbox, in the transaction that stores
the end, whoever stores it. With no outbox that is one look at an empty table. `_notice_rules` says what may become of a notice.
"""

from __future__ import annotations

from typing import Final

from .._notices import NoticeState
from ._notice_rules import (
    NOTICE_CHANGED,
    OUTBOX_CHANGED,
    PENDING,
    SHAPE,
    STATES,
    is_followed,
    is_free,
    is_there,
    may_become,
    notice_columns,
)
from ._rules import RECORD_COLUMNS, has_ended

_NEWEST: Final = "(SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'entries')"

SCHEMA: Final = f"""
CREATE TABLE outboxes (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE CHECK (name <> ''),
    since_ns INTEGER NOT NULL,
    since INTEGER NOT NULL,
    lost INTEGER NOT NULL DEFAULT 0 CHECK (lost >= 0)
) STRICT;

CREATE TABLE notices (
    number INTEGER NOT NULL REFERENCES executions,
    outbox INTEGER NOT NULL REFERENCES outboxes,
    ended_at_ns INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    due_at_ns INTEGER NOT NULL DEFAULT 0,
    claimed_by INTEGER,
    delivered_at_ns INTEGER,
    parked_at_ns INTEGER,
    error TEXT,
    PRIMARY KEY (number, outbox),
    CHECK ({SHAPE})
) STRICT, WITHOUT ROWID;
CREATE INDEX notices_pending ON notices (outbox, number) WHERE delivered_at_ns IS NULL AND parked_at_ns IS NULL;
CREATE INDEX notices_parked ON notices (outbox, number) WHERE parked_at_ns IS NOT NULL;

CREATE TRIGGER ends_are_noticed AFTER UPDATE OF state ON executions
WHEN {has_ended("NEW.state")} AND EXISTS (SELECT 1 FROM outboxes) AND NOT {is_followed("NEW", "")}
BEGIN
    INSERT INTO notices (number, outbox, ended_at_ns) SELECT NEW.number, number, NEW.updated_at_ns FROM outboxes;
END;

CREATE TRIGGER notices_are_of_ends BEFORE INSERT ON notices
WHEN EXISTS (SELECT 1 FROM notices WHERE number = NEW.number AND outbox = NEW.outbox)
  OR NEW.attempts <> 0 OR NEW.due_at_ns <> 0 OR NEW.claimed_by IS NOT NULL OR NEW.delivered_at_ns IS NOT NULL
  OR NEW.parked_at_ns IS NOT NULL OR NEW.error IS NOT NULL
  OR NOT EXISTS (
    SELECT 1 FROM executions AS x JOIN entries AS e ON e.number = x.number AND e.seq = x.seq
    WHERE x.number = NEW.number AND {has_ended("x.state")} AND x.updated_at_ns = NEW.ended_at_ns
      AND e.position > (SELECT since FROM outboxes WHERE number = NEW.outbox)
)
BEGIN SELECT RAISE(ABORT, '{NOTICE_CHANGED}'); END;

CREATE TRIGGER notices_are_settled_by_their_claimant BEFORE UPDATE ON notices
WHEN ({may_become("", "IS")}) IS NOT TRUE
BEGIN SELECT RAISE(ABORT, '{NOTICE_CHANGED}'); END;

CREATE TRIGGER notices_go_with_their_execution BEFORE DELETE ON notices
WHEN EXISTS (SELECT 1 FROM executions WHERE number = OLD.number) AND EXISTS (SELECT 1 FROM outboxes WHERE number = OLD.outbox)
BEGIN SELECT RAISE(ABORT, '{NOTICE_CHANGED}'); END;

CREATE TRIGGER executions_go_with_their_notices AFTER DELETE ON executions
BEGIN
    UPDATE outboxes SET lost = lost + 1
    WHERE number IN (SELECT outbox FROM notices WHERE number = OLD.number AND delivered_at_ns IS NULL);
    DELETE FROM notices WHERE number = OLD.number;
END;

CREATE TRIGGER outboxes_are_opened_once BEFORE INSERT ON outboxes
WHEN NEW.lost <> 0 OR NEW.since <> {_NEWEST}
  OR EXISTS (SELECT 1 FROM outboxes WHERE number = NEW.number OR name = NEW.name)
BEGIN SELECT RAISE(ABORT, '{OUTBOX_CHANGED}'); END;

CREATE TRIGGER outboxes_never_change BEFORE UPDATE ON outboxes
WHEN (NEW.number = OLD.number AND NEW.name = OLD.name AND NEW.since_ns = OLD.since_ns AND NEW.since = OLD.since
      AND NEW.lost >= OLD.lost) IS NOT TRUE
BEGIN SELECT RAISE(ABORT, '{OUTBOX_CHANGED}'); END;

CREATE TRIGGER outboxes_go_with_their_notices AFTER DELETE ON outboxes
BEGIN DELETE FROM notices WHERE outbox = OLD.number; END;
"""
"""What version 2 adds for notices."""

OPEN: Final = f"""
INSERT INTO outboxes (name, since_ns, since)
SELECT :name, :wall_ns, {_NEWEST} WHERE NOT EXISTS (SELECT 1 FROM outboxes WHERE name = :name)
"""
UNDELIVERED: Final = "SELECT count(*) FROM notices WHERE outbox = :outbox AND delivered_at_ns IS NULL"
REMOVE: Final = "DELETE FROM outboxes WHERE number = :outbox"
NUMBER: Final = "SELECT number FROM outboxes WHERE name = :name"
LOST: Final = "SELECT coalesce(sum(lost), 0) FROM outboxes"
OUTBOXES: Final = f"""
SELECT o.name, o.since_ns, (SELECT count(*) FROM notices AS n WHERE n.outbox = o.number AND {PENDING}) AS pending,
       (SELECT count(*) FROM notices AS n WHERE n.outbox = o.number AND n.parked_at_ns IS NOT NULL) AS parked, o.lost
FROM outboxes AS o ORDER BY o.number
"""

WORKER: Final = f"SELECT number FROM workers AS v WHERE incarnation = :incarnation AND {is_there('v.number', '')}"
CANDIDATES: Final = f"""
SELECT n.number, x.execution_id, x.thread_id
FROM notices AS n JOIN executions AS x ON x.number = n.number
WHERE n.outbox = :outbox AND n.number > :after AND {PENDING} AND n.due_at_ns <= :wall_ns AND {is_free("n", ":worker", "")}
ORDER BY n.number LIMIT :limit
"""
CLAIM: Final = f"""
UPDATE notices AS n SET claimed_by = :worker, attempts = attempts + 1
WHERE n.outbox = :outbox AND n.number = :number AND {PENDING} AND n.due_at_ns <= :wall_ns AND {is_free("n", ":worker", "")}
"""
CLAIMED: Final = f"""
SELECT n.attempts, {RECORD_COLUMNS}
FROM notices AS n JOIN executions AS x ON x.number = n.number JOIN workers AS w ON w.number = x.worker
LEFT JOIN entries AS e ON e.number = x.number AND e.seq = x.seq
WHERE n.outbox = :outbox AND n.number = :number
"""
SETTLE: Final = f"""
UPDATE notices AS n
SET claimed_by = CASE WHEN :verdict = 'delivered' THEN n.claimed_by END,
    delivered_at_ns = CASE WHEN :verdict = 'delivered' THEN :wall_ns END,
    parked_at_ns = CASE WHEN :verdict IN ('parked', 'exhausted') THEN :wall_ns END,
    attempts = n.attempts - (:verdict IN ('released', 'exhausted')),
    due_at_ns = CASE WHEN :verdict = 'later' THEN :wall_ns + :pause_ns ELSE n.due_at_ns END,
    error = coalesce(:error, n.error)
WHERE n.outbox = :outbox AND n.number = (SELECT number FROM executions WHERE execution_id = :notice_id) AND {PENDING}
  AND n.claimed_by = :worker
"""
DELIVERER: Final = """
SELECT w.incarnation
FROM notices AS n JOIN executions AS x ON x.number = n.number JOIN workers AS w ON w.number = n.claimed_by
WHERE n.outbox = :outbox AND x.execution_id = :notice_id AND n.delivered_at_ns IS NOT NULL
"""
RETRY: Final = """
UPDATE notices AS n SET parked_at_ns = NULL, attempts = 0, due_at_ns = 0, claimed_by = NULL
WHERE n.outbox = :outbox AND n.number = (SELECT number FROM executions WHERE execution_id = :notice_id)
  AND n.delivered_at_ns IS NULL AND n.claimed_by IS NULL
"""
STATE: Final = """
SELECT n.delivered_at_ns IS NOT NULL
FROM notices AS n JOIN executions AS x ON x.number = n.number WHERE n.outbox = :outbox AND x.execution_id = :notice_id
"""


def read_notices(outbox: str | None, state: NoticeState | None, thread_id: str | None) -> str:
    """The statement that reads notices, those of the newest executions first."""
    by_outbox = "" if outbox is None else " AND n.outbox = (SELECT number FROM outboxes WHERE name = :outbox)"
    by_state = "" if state is None else f" AND {STATES[state]}"
    by_thread = "" if thread_id is None else " AND x.thread_id = :thread_id"
    return f"""
SELECT {notice_columns(":wall_ns")}
FROM notices AS n JOIN outboxes AS o ON o.number = n.outbox JOIN executions AS x ON x.number = n.number
LEFT JOIN workers AS w ON w.number = n.claimed_by
WHERE TRUE{by_outbox}{by_state}{by_thread}
ORDER BY n.number DESC, n.outbox LIMIT :limit
"""
