"""The chains of executions in version 2 of the PostgreSQL schema: which one retries which, and which message it answers.

The rules are those of the SQLite journal (`_sql_chain`). The index on the message is the compare-and-set between two processes that are
asked the same thing. Whoever inserts into it and its neighbour takes the pen before, not after as with all else that is created:
who waits at an index for another's commit, while that one waits for the pen, would wait for ever.

Version 1's code calls the functions made here with batches that say nothing of chains. It knows fewer causes of ends.
"""

from __future__ import annotations

from typing import Final

from ._postgres_rules import CHAIN, CREATION, DEFINER_PLPGSQL, ENTRIES, LOCKS, PEN, quoted
from ._postgres_schema import CREATIONS, EXECUTION, NAMES, WORKER, WRITER, add, create, is_entry
from ._rules import CHAIN_BROKEN

_COLUMNS: Final = ", retry_of, attempt, message_id"
_VALUES: Final = ", retry_of, coalesce(attempt, 1), message_id"
_NAMES: Final = f"{NAMES}{_COLUMNS}"
_CHAINS: Final = """strpos(batch::text, '"message_id":') > 0 OR strpos(batch::text, '"retry_of":') > 0"""
"""Whether a batch creates an execution in a chain. In anybody's own text the quotes are escaped."""
_TAKE_THE_PEN: Final = f"PERFORM pg_catalog.pg_advisory_xact_lock({LOCKS}, {PEN});"

PRE: Final = f"""
ALTER TABLE runstate.executions
    ADD COLUMN retry_of runstate.name, ADD COLUMN attempt integer NOT NULL DEFAULT 1, ADD COLUMN message_id runstate.name,
    ADD CONSTRAINT executions_chain_check CHECK (
        attempt > 0 AND (attempt = 1) = (retry_of IS NULL) AND retry_of IS DISTINCT FROM execution_id);
CREATE UNIQUE INDEX executions_by_message ON runstate.executions (thread_id, message_id, user_id, attempt)
    WHERE message_id IS NOT NULL;
CREATE UNIQUE INDEX executions_by_chain ON runstate.executions (retry_of, attempt) WHERE retry_of IS NOT NULL;
ALTER TABLE runstate.entries DROP CONSTRAINT entries_check, ADD CONSTRAINT entries_check CHECK ({is_entry()});

CREATE FUNCTION runstate.check_chain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM runstate.executions AS x WHERE x.execution_id = NEW.retry_of
        AND x.attempt = 1 AND x.thread_id = NEW.thread_id AND x.user_id = NEW.user_id
        AND x.message_id IS NOT DISTINCT FROM NEW.message_id
    ) THEN
        RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = {quoted(CHAIN_BROKEN)};
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER executions_keep_their_chain BEFORE INSERT ON runstate.executions
FOR EACH ROW WHEN (NEW.retry_of IS NOT NULL) EXECUTE FUNCTION runstate.check_chain();

CREATE OR REPLACE FUNCTION runstate.append(batch json, creates boolean) RETURNS void {DEFINER_PLPGSQL} AS $$
BEGIN
    IF creates THEN
        IF {_CHAINS} THEN
            {_TAKE_THE_PEN}
        END IF;
        {create(CREATIONS.replace(CREATION, f"{CREATION}, {CHAIN}"), WORKER, _COLUMNS, _VALUES)};
    END IF;
    {add(ENTRIES, EXECUTION, WORKER)};
END $$;

ALTER TYPE runstate.described {", ".join(f"ADD ATTRIBUTE {column.strip()}" for column in CHAIN.split(","))};
CREATE OR REPLACE FUNCTION runstate.append_many(batch json) RETURNS void {DEFINER_PLPGSQL} AS $$
DECLARE
    described runstate.described[] := ARRAY(SELECT b FROM json_populate_recordset(NULL::runstate.described, batch) AS b);
    writer text := described[1].incarnation;
    its_number bigint := (SELECT w.number FROM runstate.workers AS w WHERE w.incarnation = writer);
    numbers bigint[];
BEGIN
    IF {_CHAINS} THEN
        {_TAKE_THE_PEN}
    END IF;
    {create("unnest(described) AS b", WRITER, _COLUMNS, _VALUES)};
    numbers := ARRAY(SELECT {EXECUTION} FROM unnest(described) AS b);
    {add(f"ROWS FROM (unnest(described), unnest(numbers)) AS b ({_NAMES}, number)", "b.number", WRITER)};
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA runstate FROM PUBLIC;
"""
"""Only adds, for version 1's code."""
