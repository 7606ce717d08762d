"""The part of version 2 of the PostgreSQL schema that keeps notices.

The trigger that follows the log makes the notices of each end: one row for each outbox, in the transaction that stores the end, whoever
stores it. With no outbox that is one look at an empty table. `_notice_rules` says what may become of a notice.

An outbox is opened under the pen, so each end comes clearly before it or after it. Whoever claims or settles notices locks its own row in
`workers` against a fence until that is committed.
"""

from __future__ import annotations

from typing import Final

from ._notice_rules import NOTICE_CHANGED, OUTBOX_CHANGED, PENDING, SHAPE, is_followed, is_free, is_there, may_become
from ._postgres_rules import BELL, CHANNEL, DEFINER_PLPGSQL, LOCKS, PEN, has_ended, quoted, refuse

_TAKE_THE_PEN: Final = f"PERFORM pg_catalog.pg_advisory_xact_lock({LOCKS}, {PEN});"
_NEWEST: Final = """coalesce(greatest((SELECT max(position) FROM runstate.entries),
                              (SELECT value FROM runstate.meta WHERE key = 'pruned')), 0)"""
_WORKER: Final = f"""(SELECT v.number FROM runstate.workers AS v
                   WHERE v.incarnation = $2 AND {is_there("v.number", "runstate.")} FOR SHARE OF v)"""
_OUTBOX: Final = "(SELECT o.number FROM runstate.outboxes AS o WHERE o.name = $1)"
_SETTLED: Final = "json_to_recordset($3) AS s (notice_id text, verdict text, error text, pause double precision)"


NOTICES_LOST: Final = "runstate: notices lost: "
"""What the server's warning begins with that tells how many undelivered notices went with their executions."""


def _raise(message: str) -> str:
    return f"RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = {quoted(message)};"


NOTE_ONE: Final = f"""IF {has_ended("one.target")} AND EXISTS (SELECT FROM runstate.outboxes) THEN
            INSERT INTO runstate.notices (number, outbox, ended_at_ns)
            SELECT x.number, o.number, one.at_ns FROM runstate.outboxes AS o CROSS JOIN runstate.executions AS x
            WHERE x.number = one.number AND NOT {is_followed("x", "runstate.")};
        END IF;
        """
"""What the trigger that follows the log does when it has followed one entry."""
NOTE_ALL: Final = f"""IF EXISTS (SELECT FROM runstate.outboxes) THEN
        INSERT INTO runstate.notices (number, outbox, ended_at_ns)
        SELECT x.number, o.number, a.at_ns FROM added AS a JOIN runstate.executions AS x ON x.number = a.number
        CROSS JOIN runstate.outboxes AS o WHERE {has_ended("a.target")} AND NOT {is_followed("x", "runstate.")};
    END IF;
    """
"""What it does when it has followed several."""

OUTBOXES: Final = f"""
CREATE TABLE runstate.outboxes (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name runstate.name NOT NULL UNIQUE,
    since_ns bigint NOT NULL,
    since bigint NOT NULL,
    lost bigint NOT NULL DEFAULT 0 CHECK (lost >= 0)
);

CREATE TABLE runstate.notices (
    number bigint NOT NULL,
    outbox bigint NOT NULL,
    ended_at_ns bigint NOT NULL,
    attempts bigint NOT NULL DEFAULT 0,
    due_at_ns bigint NOT NULL DEFAULT 0,
    claimed_by bigint,
    delivered_at_ns bigint,
    parked_at_ns bigint,
    error text,
    PRIMARY KEY (number, outbox),
    CHECK (attempts >= 0 AND {SHAPE})
) WITH (fillfactor = 80);
CREATE INDEX notices_pending ON runstate.notices (outbox, number) WHERE delivered_at_ns IS NULL AND parked_at_ns IS NULL;
CREATE INDEX notices_parked ON runstate.notices (outbox, number) WHERE parked_at_ns IS NOT NULL;

CREATE FUNCTION runstate.check_notice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (CASE TG_OP
        WHEN 'INSERT' THEN NEW.attempts = 0 AND NEW.due_at_ns = 0 AND NEW.claimed_by IS NULL AND NEW.delivered_at_ns IS NULL
            AND NEW.parked_at_ns IS NULL AND NEW.error IS NULL AND EXISTS (
                SELECT FROM runstate.executions AS x JOIN runstate.entries AS e ON e.number = x.number AND e.seq = x.seq
                WHERE x.number = NEW.number AND x.ended_at_ns = NEW.ended_at_ns
                  AND e.position > (SELECT o.since FROM runstate.outboxes AS o WHERE o.number = NEW.outbox))
        ELSE {may_become("runstate.", "IS NOT DISTINCT FROM")}
    END) IS NOT TRUE THEN
        {_raise(NOTICE_CHANGED)}
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER notices_are_of_ends BEFORE INSERT ON runstate.notices
FOR EACH ROW EXECUTE FUNCTION runstate.check_notice();
CREATE TRIGGER notices_are_settled_by_their_claimant BEFORE UPDATE ON runstate.notices
FOR EACH ROW EXECUTE FUNCTION runstate.check_notice();
CREATE TRIGGER notices_stay BEFORE TRUNCATE ON runstate.notices FOR EACH STATEMENT {refuse(NOTICE_CHANGED)};

CREATE FUNCTION runstate.check_gone_notices() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM gone JOIN runstate.executions AS x ON x.number = gone.number
               JOIN runstate.outboxes AS o ON o.number = gone.outbox) THEN
        {_raise(NOTICE_CHANGED)}
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER notices_go_with_their_execution AFTER DELETE ON runstate.notices
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION runstate.check_gone_notices();

CREATE FUNCTION runstate.take_the_notices_along() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    undelivered bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM runstate.outboxes) THEN
        RETURN NULL;
    END IF;
    undelivered := (SELECT count(*) FROM gone JOIN runstate.notices AS n ON n.number = gone.number WHERE n.delivered_at_ns IS NULL);
    IF undelivered > 0 THEN
        UPDATE runstate.outboxes AS o SET lost = o.lost + (
            SELECT count(*) FROM gone JOIN runstate.notices AS n ON n.number = gone.number
            WHERE n.outbox = o.number AND n.delivered_at_ns IS NULL);
        RAISE WARNING USING MESSAGE = {quoted(NOTICES_LOST)} || undelivered;
    END IF;
    DELETE FROM runstate.notices USING gone WHERE notices.number = gone.number;
    RETURN NULL;
END $$;
CREATE TRIGGER executions_go_with_their_notices AFTER DELETE ON runstate.executions
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION runstate.take_the_notices_along();

CREATE FUNCTION runstate.check_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        {_TAKE_THE_PEN}
    END IF;
    IF (CASE TG_OP
        WHEN 'INSERT' THEN NEW.lost = 0 AND NEW.since = {_NEWEST}
        ELSE (NEW.number, NEW.name, NEW.since_ns, NEW.since) = (OLD.number, OLD.name, OLD.since_ns, OLD.since) AND NEW.lost >= OLD.lost
    END) IS NOT TRUE THEN
        {_raise(OUTBOX_CHANGED)}
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER outboxes_are_opened_once BEFORE INSERT ON runstate.outboxes
FOR EACH ROW EXECUTE FUNCTION runstate.check_outbox();
CREATE TRIGGER outboxes_never_change BEFORE UPDATE ON runstate.outboxes
FOR EACH ROW EXECUTE FUNCTION runstate.check_outbox();
CREATE TRIGGER outboxes_stay BEFORE TRUNCATE ON runstate.outboxes FOR EACH STATEMENT {refuse(OUTBOX_CHANGED)};

CREATE FUNCTION runstate.empty_the_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM runstate.notices USING gone WHERE notices.outbox = gone.number;
    RETURN NULL;
END $$;
CREATE TRIGGER outboxes_go_with_their_notices AFTER DELETE ON runstate.outboxes
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION runstate.empty_the_outbox();

-- Tells whoever listens that there may be something to look at, as an append does.
CREATE FUNCTION runstate.ring_the_bell() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT pg_catalog.pg_try_advisory_xact_lock({LOCKS}, {BELL}) THEN
        PERFORM pg_catalog.pg_notify('{CHANNEL}', '');
    END IF;
END $$;

CREATE FUNCTION runstate.open_outbox(name text) RETURNS void {DEFINER_PLPGSQL} AS $$
#variable_conflict use_column
BEGIN
    IF {_OUTBOX} IS NULL THEN
        {_TAKE_THE_PEN}
        INSERT INTO runstate.outboxes (name, since_ns, since) VALUES ($1, runstate.now_ns(), {_NEWEST}) ON CONFLICT DO NOTHING;
    END IF;
END $$;

-- Says how many of its notices were not delivered; NULL if there is no such outbox.
CREATE FUNCTION runstate.remove_outbox(name text) RETURNS bigint {DEFINER_PLPGSQL} AS $$
#variable_conflict use_column
DECLARE
    its_number bigint;
    undelivered bigint;
BEGIN
    {_TAKE_THE_PEN}
    its_number := {_OUTBOX};
    IF its_number IS NULL THEN
        RETURN NULL;
    END IF;
    undelivered := (SELECT count(*) FROM runstate.notices AS n WHERE n.outbox = its_number AND n.delivered_at_ns IS NULL);
    DELETE FROM runstate.outboxes WHERE number = its_number;
    RETURN undelivered;
END $$;

CREATE FUNCTION runstate.claim_notices(outbox text, incarnation text, numbers bigint[])
RETURNS TABLE (number bigint, attempts bigint) {DEFINER_PLPGSQL} AS $$
#variable_conflict use_column
DECLARE
    its_number bigint := {_OUTBOX};
    claimant bigint := {_WORKER};
BEGIN
    RETURN QUERY UPDATE runstate.notices AS m SET claimed_by = claimant, attempts = m.attempts + 1
    WHERE claimant IS NOT NULL AND m.outbox = its_number AND m.number IN (
        SELECT n.number FROM runstate.notices AS n
        WHERE n.outbox = its_number AND n.number = ANY ($3) AND {PENDING} AND n.due_at_ns <= runstate.now_ns()
          AND {is_free("n", "claimant", "runstate.")}
        FOR UPDATE OF n SKIP LOCKED)
    RETURNING m.number, m.attempts;
END $$;

-- Says which notices should be delivered by this worker and are not.
CREATE FUNCTION runstate.settle_notices(outbox text, incarnation text, settled json) RETURNS text[] {DEFINER_PLPGSQL} AS $$
#variable_conflict use_column
DECLARE
    its_number bigint := {_OUTBOX};
    claimant bigint := {_WORKER};
    now_ns bigint := runstate.now_ns();
BEGIN
    UPDATE runstate.notices AS n
    SET claimed_by = CASE WHEN s.verdict = 'delivered' THEN n.claimed_by END,
        delivered_at_ns = CASE WHEN s.verdict = 'delivered' THEN now_ns END,
        parked_at_ns = CASE WHEN s.verdict IN ('parked', 'exhausted') THEN now_ns END,
        attempts = n.attempts - CASE WHEN s.verdict IN ('released', 'exhausted') THEN 1 ELSE 0 END,
        due_at_ns = CASE WHEN s.verdict = 'later' THEN now_ns + (s.pause * 1e9)::bigint ELSE n.due_at_ns END,
        error = coalesce(s.error, n.error)
    FROM {_SETTLED} JOIN runstate.executions AS x ON x.execution_id = s.notice_id
    WHERE n.number = x.number AND n.outbox = its_number AND n.claimed_by = claimant AND {PENDING};
    IF EXISTS (SELECT FROM {_SETTLED} WHERE s.verdict = 'released') THEN
        PERFORM runstate.ring_the_bell();
    END IF;
    RETURN ARRAY(
        SELECT s.notice_id FROM {_SETTLED} WHERE s.verdict = 'delivered' AND NOT EXISTS (
            SELECT FROM runstate.notices AS n JOIN runstate.executions AS x ON x.number = n.number
            JOIN runstate.workers AS w ON w.number = n.claimed_by
            WHERE x.execution_id = s.notice_id AND n.outbox = its_number AND n.delivered_at_ns IS NOT NULL AND w.incarnation = $2));
END $$;

-- Says whether it is delivered; NULL if there is no such notice.
CREATE FUNCTION runstate.retry_notice(outbox text, notice_id text) RETURNS boolean {DEFINER_PLPGSQL} AS $$
#variable_conflict use_column
DECLARE
    its_number bigint := {_OUTBOX};
    execution bigint := (SELECT x.number FROM runstate.executions AS x WHERE x.execution_id = $2);
BEGIN
    UPDATE runstate.notices AS n SET parked_at_ns = NULL, attempts = 0, due_at_ns = 0
    WHERE n.outbox = its_number AND n.number = execution AND n.delivered_at_ns IS NULL AND n.claimed_by IS NULL;
    PERFORM runstate.ring_the_bell();
    RETURN (SELECT n.delivered_at_ns IS NOT NULL FROM runstate.notices AS n WHERE n.outbox = its_number AND n.number = execution);
END $$;
"""
"""What version 2 adds for notices."""
