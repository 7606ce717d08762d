"""Version 2 of the PostgreSQL schema: what version 1 lacks for a fleet, in its two parts.

The rules are those of the SQLite journal (`_sql_fleet`), and held by the database as well:

- A worker is fenced or leaves once, and never comes back; it leaves only when nothing of its own is live. Both take the pen, so
  nothing of the worker is on its way at that moment, and `gone_position` is exactly where its entries end.
- An entry is accepted from the owner as long as it is there. *Burial*: when the owner is fenced, it is accepted from anybody else
  who is there, if it ends the execution DEAD, or CANCELLED where that was requested.
- A warning is accepted from the owner alone, of a live execution.
- A worker's row goes when it is gone and nothing refers to it. No entry of a worker comes after its `gone_position`, so who has
  looked at all up to there has seen every reference to it, and no index of entries by worker is needed.
- A request, and the end that a fenced worker still tried to record, are kept once, never change, and go with their execution.

Time is the server's, asked in one place: `now_ns`. A renewal is one row in one page, not synced to disk by itself: one that a crash
of the server loses has cost its worker a fraction of its lease.

Version 1 writes on this schema too: its functions are there, with the same parameters. Its workers never join, so no lease of
theirs runs out; the post part, which is run when none of them is left, fences those that have left something live.
"""

from __future__ import annotations

from typing import Final

from .._states import Cause, ExecutionState
from ._postgres_outbox_schema import NOTE_ALL, NOTE_ONE, OUTBOXES
from ._postgres_rules import (
    DEFINER,
    DEFINER_PLPGSQL,
    ENTRIES,
    LOCKS,
    PEN,
    PRESENT,
    append_part,
    follow_the_log,
    has_ended,
    is_accepted,
    is_legal,
    prune,
    quoted,
    refuse,
    threatens,
)
from ._rules import NOTE_CHANGED, READ_ONLY_STATE, WORKER_CHANGED, forgettable

UPGRADED: Final = "upgrade to schema version 2"
"""Who fences the workers of version 1."""

_JOINED: Final = ("host", "pid", "started_at_ns", "process", "lease")
"""What a worker says of itself when it joins: all or nothing, and never anything else."""
_NEWEST: Final = """greatest((SELECT max(position) FROM runstate.entries),
                     (SELECT value FROM runstate.meta WHERE key = 'pruned'))"""
"""The newest position that a reader can have seen. Exact for who holds the pen."""
_TAKE_THE_PEN: Final = f"PERFORM pg_catalog.pg_advisory_xact_lock({LOCKS}, {PEN});"
LIVE: Final = "x.ended_at_ns IS NULL AND x.seq > 0"
LIVE_OF: Final = f"FROM runstate.executions AS x WHERE x.worker = {{number}} AND {LIVE}"
_NOT_ITS_END: Final = """(x.ended_at_ns IS NULL
                OR (SELECT e.worker FROM runstate.entries AS e WHERE e.number = x.number AND e.seq = x.seq) <> x.worker)"""
"""An end of its owner's is late: the execution is live, or somebody else has ended it."""
_BATCH: Final = ENTRIES.replace("(batch)", "(array_to_json(batch))")


def _may_write(entry: str, target: str, alone: str) -> str:
    """Render the condition that an entry is its writer's to make: the owner's, or a burial."""
    return f"""(SELECT w.gone_at_ns IS NULL FROM runstate.workers AS w WHERE w.number = {entry}.worker)
          AND (x.worker = {entry}.worker OR (
            (SELECT w.fenced_by IS NOT NULL FROM runstate.workers AS w WHERE w.number = x.worker){alone}
            AND ({target} = '{ExecutionState.DEAD.value}' OR ({target} = '{ExecutionState.CANCELLED.value}'
                AND EXISTS (SELECT FROM runstate.requests AS r WHERE r.number = x.number)))))"""


def _raise(message: str) -> str:
    return f"RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = {quoted(message)};"


TABLES: Final = f"""
ALTER TABLE runstate.workers
    ADD COLUMN gone_at_ns bigint, ADD COLUMN gone_position bigint, ADD COLUMN fenced_by runstate.name,
    ADD COLUMN fence_cause text COLLATE "C", ADD COLUMN fence_reason text,
    ADD COLUMN host runstate.name, ADD COLUMN pid integer, ADD COLUMN started_at_ns bigint, ADD COLUMN process text,
    ADD COLUMN lease runstate.seconds, ADD COLUMN renewed_at_ns bigint,
    ADD CONSTRAINT workers_go_check CHECK (
        (gone_position IS NULL) = (gone_at_ns IS NULL) AND (fence_cause IS NULL) = (fenced_by IS NULL)
        AND (fenced_by IS NULL OR (gone_at_ns IS NOT NULL AND {threatens("fence_cause")}))
        AND (fence_reason IS NULL OR fenced_by IS NOT NULL)),
    ADD CONSTRAINT workers_join_check CHECK (
        {" AND ".join(f"({column} IS NULL) = (renewed_at_ns IS NULL)" for column in _JOINED)} AND (pid IS NULL OR pid > 0)),
    SET (fillfactor = 50);
CREATE INDEX workers_present ON runstate.workers (number) WHERE gone_at_ns IS NULL;
CREATE INDEX workers_gone ON runstate.workers (gone_at_ns) WHERE gone_at_ns IS NOT NULL;
CREATE INDEX workers_fenced ON runstate.workers (fenced_by) WHERE fenced_by IS NOT NULL;
CREATE INDEX executions_live_of ON runstate.executions (worker, number) WHERE ended_at_ns IS NULL;

CREATE TABLE runstate.requests (
    number bigint PRIMARY KEY,
    asked_at_ns bigint NOT NULL,
    asked_by runstate.name NOT NULL,
    reason text
);

CREATE TABLE runstate.rejected (
    number bigint PRIMARY KEY,
    seq bigint NOT NULL CHECK (seq > 1),
    at_ns bigint NOT NULL,
    worker bigint NOT NULL,
    source text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL,
    cause text COLLATE "C" NOT NULL,
    error text,
    evidence_json text NOT NULL,
    result_json text,
    rejected_at_ns bigint NOT NULL,
    CHECK ({is_legal("source", "target")} AND {has_ended("target")} AND {is_accepted("target", "cause")}
       AND (result_json IS NULL OR target = '{ExecutionState.COMPLETED.value}'))
);
"""

RULES: Final = f"""
{follow_the_log("CREATE OR REPLACE", "", _may_write("one", "one.target", ""), _may_write("log", "log.targets[1]", " AND log.first = log.last"), NOTE_ONE, NOTE_ALL)}

CREATE FUNCTION runstate.check_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM (SELECT DISTINCT worker FROM added) AS owners WHERE NOT EXISTS (
            SELECT FROM runstate.workers AS w WHERE w.number = owners.worker AND w.gone_at_ns IS NULL)) THEN
        {_raise(READ_ONLY_STATE)}
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER executions_are_begun_by_who_is_there AFTER INSERT ON runstate.executions
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION runstate.check_owner();

CREATE FUNCTION runstate.check_worker() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.gone_at_ns IS NOT NULL THEN
        {_TAKE_THE_PEN}
    END IF;
    IF (NEW.number = OLD.number AND NEW.incarnation = OLD.incarnation AND OLD.gone_at_ns IS NULL
        AND (OLD.lease IS NULL OR (
            {" AND ".join(f"NEW.{column} = OLD.{column}" for column in _JOINED)} AND NEW.renewed_at_ns >= OLD.renewed_at_ns))
        AND (NEW.gone_at_ns IS NULL OR (
            NEW.gone_position = {_NEWEST}
            AND CASE WHEN NEW.fenced_by IS NULL
                THEN NOT EXISTS (SELECT {LIVE_OF.format(number="OLD.number")})
                ELSE NEW.fenced_by <> OLD.incarnation AND NOT EXISTS (
                    SELECT FROM runstate.workers WHERE incarnation = NEW.fenced_by AND gone_at_ns IS NOT NULL)
            END))) IS NOT TRUE
    THEN
        {_raise(WORKER_CHANGED)}
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER workers_never_change ON runstate.workers;
CREATE TRIGGER workers_join_renew_and_go BEFORE UPDATE ON runstate.workers
FOR EACH ROW EXECUTE FUNCTION runstate.check_worker();
CREATE TRIGGER workers_stay BEFORE TRUNCATE ON runstate.workers FOR EACH STATEMENT {refuse(WORKER_CHANGED)};
CREATE TRIGGER workers_come_alive BEFORE INSERT ON runstate.workers
FOR EACH ROW WHEN (NEW.gone_at_ns IS NOT NULL) {refuse(WORKER_CHANGED)};

CREATE FUNCTION runstate.check_gone_worker() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM gone WHERE gone_at_ns IS NULL
            OR EXISTS (SELECT FROM runstate.executions AS x WHERE x.worker = gone.number AND x.ended_at_ns IS NULL)
            OR EXISTS (SELECT FROM runstate.workers AS w WHERE w.fenced_by = gone.incarnation))
        OR EXISTS (SELECT FROM runstate.entries AS e WHERE e.position <= (SELECT max(gone_position) FROM gone)
            AND (e.worker IN (SELECT number FROM gone)) IS TRUE)  -- so that they are hashed, once
    THEN
        {_raise(WORKER_CHANGED)}
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER workers_go_last ON runstate.workers;
CREATE TRIGGER workers_go_last AFTER DELETE ON runstate.workers
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION runstate.check_gone_worker();

CREATE FUNCTION runstate.check_request() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {_TAKE_THE_PEN}
    IF NOT EXISTS (SELECT FROM runstate.executions AS x WHERE x.number = NEW.number AND {LIVE}) THEN
        {_raise(NOTE_CHANGED)}
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER requests_are_made_of_the_living BEFORE INSERT ON runstate.requests
FOR EACH ROW EXECUTE FUNCTION runstate.check_request();

CREATE FUNCTION runstate.check_rejected() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM runstate.executions AS x JOIN runstate.workers AS w ON w.number = x.worker
        WHERE x.number = NEW.number AND x.worker = NEW.worker AND x.seq > 0 AND w.fenced_by IS NOT NULL AND {_NOT_ITS_END}
    ) THEN
        {_raise(NOTE_CHANGED)}
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER rejected_are_ends_of_the_fenced BEFORE INSERT ON runstate.rejected
FOR EACH ROW EXECUTE FUNCTION runstate.check_rejected();

CREATE FUNCTION runstate.check_gone_notes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM gone JOIN runstate.executions AS x USING (number)) THEN
        {_raise(NOTE_CHANGED)}
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER requests_go_with_their_execution AFTER DELETE ON runstate.requests
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION runstate.check_gone_notes();
CREATE TRIGGER rejected_go_with_their_execution AFTER DELETE ON runstate.rejected
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION runstate.check_gone_notes();
CREATE TRIGGER requests_never_change BEFORE UPDATE OR TRUNCATE ON runstate.requests
FOR EACH STATEMENT {refuse(NOTE_CHANGED)};
CREATE TRIGGER rejected_never_change BEFORE UPDATE OR TRUNCATE ON runstate.rejected
FOR EACH STATEMENT {refuse(NOTE_CHANGED)};

CREATE FUNCTION runstate.take_the_notes_along() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM runstate.requests USING gone WHERE requests.number = gone.number;
    DELETE FROM runstate.rejected USING gone WHERE rejected.number = gone.number;
    RETURN NULL;
END $$;
CREATE TRIGGER executions_go_with_their_notes AFTER DELETE ON runstate.executions
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION runstate.take_the_notes_along();
"""

_REGISTER: Final = f"""INSERT INTO runstate.workers (incarnation)
        SELECT DISTINCT b.incarnation FROM {_BATCH}
        WHERE NOT EXISTS (SELECT FROM runstate.workers AS w WHERE w.incarnation = b.incarnation)
        ON CONFLICT DO NOTHING;
        """
_KEEP_REJECTED: Final = f"""INSERT INTO runstate.rejected (number, seq, at_ns, worker, source, target, cause, error, evidence_json,
                                   result_json, rejected_at_ns)
    SELECT x.number, b.seq, b.at_ns, x.worker, b.source, b.target, b.cause, b.error, b.evidence_json, b.result_json,
           runstate.now_ns()
    FROM {_BATCH}
    JOIN runstate.executions AS x ON x.execution_id = b.execution_id
    JOIN runstate.workers AS w ON w.number = x.worker AND w.incarnation = b.incarnation
    WHERE w.fenced_by IS NOT NULL AND x.seq > 0 AND {has_ended("b.target")} AND {_NOT_ITS_END}
      AND b.seq > 1 AND {is_legal("b.source", "b.target")} AND {is_accepted("b.target", "b.cause")}
      AND b.evidence_json IS NOT NULL AND (b.result_json IS NULL OR b.target = '{ExecutionState.COMPLETED.value}')
    ON CONFLICT DO NOTHING;
    """

FUNCTIONS: Final = f"""
CREATE FUNCTION runstate.now_ns() RETURNS bigint LANGUAGE sql AS $$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint
$$;

{append_part("CREATE OR REPLACE", _REGISTER, _KEEP_REJECTED)}

CREATE FUNCTION runstate.join_fleet(incarnation text, host text, pid integer, process text, lease double precision)
RETURNS boolean {DEFINER_PLPGSQL} AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO runstate.workers AS w (incarnation, host, pid, started_at_ns, process, lease, renewed_at_ns)
    VALUES ($1, $2, $3, runstate.now_ns(), $4, $5, runstate.now_ns())
    ON CONFLICT (incarnation) DO UPDATE
    SET {", ".join(f"{column} = coalesce(w.{column}, excluded.{column})" for column in _JOINED)},
        renewed_at_ns = greatest(w.renewed_at_ns, excluded.renewed_at_ns)
    WHERE w.gone_at_ns IS NULL;
    RETURN FOUND;
END $$;

CREATE FUNCTION runstate.renew_lease(incarnation text) RETURNS boolean {DEFINER_PLPGSQL} AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE runstate.workers SET renewed_at_ns = greatest(renewed_at_ns, runstate.now_ns())
    WHERE incarnation = $1 AND lease IS NOT NULL AND gone_at_ns IS NULL;
    RETURN FOUND;
END $$;

-- Says how many executions are still live; only with none it has left.
CREATE FUNCTION runstate.leave_fleet(incarnation text) RETURNS bigint {DEFINER_PLPGSQL} AS $$
#variable_conflict use_column
DECLARE
    live bigint;
BEGIN
    {_TAKE_THE_PEN}
    live := (SELECT count(*) {LIVE_OF.format(number="(SELECT number FROM runstate.workers WHERE incarnation = $1)")});
    IF live = 0 THEN
        UPDATE runstate.workers SET gone_at_ns = runstate.now_ns(), gone_position = {_NEWEST}
        WHERE incarnation = $1 AND gone_at_ns IS NULL;
    END IF;
    RETURN live;
END $$;

-- With `again` the fence that stands may be the one of an earlier attempt, whose answer was lost.
CREATE FUNCTION runstate.fence(incarnation text, fenced_by text, cause text, reason text, expired_only boolean, again boolean)
RETURNS boolean {DEFINER_PLPGSQL} AS $$
#variable_conflict use_column
DECLARE
    is_done boolean;
BEGIN
    {_TAKE_THE_PEN}
    UPDATE runstate.workers AS w
    SET gone_at_ns = runstate.now_ns(), gone_position = {_NEWEST}, fenced_by = $2, fence_cause = $3, fence_reason = $4
    WHERE w.incarnation = $1 AND w.gone_at_ns IS NULL
      AND (NOT $5 OR (w.lease IS NOT NULL AND runstate.now_ns() - w.renewed_at_ns > w.lease * 1e9))
      AND NOT EXISTS (SELECT FROM runstate.workers AS b WHERE b.incarnation = $2 AND b.gone_at_ns IS NOT NULL);
    is_done := FOUND;
    IF is_done THEN
        PERFORM runstate.ring_the_bell();  -- what it had claimed is free
    END IF;
    RETURN is_done OR ($6 AND EXISTS (
        SELECT FROM runstate.workers AS w WHERE w.incarnation = $1
        AND (w.fenced_by, w.fence_cause, w.fence_reason) IS NOT DISTINCT FROM ($2, $3, $4)));
END $$;

CREATE FUNCTION runstate.request_cancel(execution_id text, asked_by text, reason text) RETURNS void {DEFINER_PLPGSQL} AS $$
#variable_conflict use_column
BEGIN
    {_TAKE_THE_PEN}
    INSERT INTO runstate.requests (number, asked_at_ns, asked_by, reason)
    SELECT x.number, runstate.now_ns(), $2, $3 FROM runstate.executions AS x WHERE x.execution_id = $1 AND {LIVE}
    ON CONFLICT DO NOTHING;
END $$;

-- Waits until a worker's lock is free, but no longer than `lock_timeout`: a statement that waits keeps old rows from being removed.
CREATE FUNCTION runstate.await_release(number integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.pg_advisory_xact_lock_shared({PRESENT}, $1);
    RETURN true;
EXCEPTION WHEN lock_not_available OR query_canceled THEN
    RETURN false;
END $$;

CREATE FUNCTION runstate.prune_workers(oldest_ns bigint, at_most bigint) RETURNS void {DEFINER} AS $$
    DELETE FROM runstate.workers WHERE number = ANY (ARRAY(
        {forgettable("runstate.", "oldest_ns", "at_most", "100 * at_most", "x.ended_at_ns IS NULL")}))
$$;

{prune("CREATE OR REPLACE", "PERFORM runstate.prune_workers(oldest_ns, at_most);" + chr(10) + "    ")}
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA runstate FROM PUBLIC;
"""

PRE: Final = f"""
{TABLES}
{RULES}
{OUTBOXES}
{FUNCTIONS}
"""
"""Only adds, for version 1's code."""

POST: Final = f"""
UPDATE runstate.workers AS w
SET gone_at_ns = runstate.now_ns(), gone_position = {_NEWEST}, fenced_by = '{UPGRADED}',
    fence_cause = '{Cause.PROCESS_EXITED.value}', fence_reason = 'no worker of version 1 was left when the upgrade was finished'
WHERE w.lease IS NULL AND w.gone_at_ns IS NULL AND EXISTS (SELECT {LIVE_OF.format(number="w.number")});
"""
"""Settles what version 1's workers have left."""
