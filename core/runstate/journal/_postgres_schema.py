"""The schema of the PostgreSQL journal, rendered from the transition table.

The database holds the rules itself, as the SQLite journal's does, but looks at whole statements where SQLite looks at rows: a
trigger on `entries` adds up all entries that a statement has inserted, one log for each execution, and moves `executions` on by one
UPDATE whose condition is the compare-and-set (the seq, the state and the owner that the log goes on from). A log that is not
followed fails the statement.

**Positions.** A sequence hands out positions in the order of asking, transactions become visible in the order of committing: a
reader could see position 8, and 7 later, which it would then never read. So whoever inserts entries takes *the pen* first, an advisory
lock that PostgreSQL holds until the transaction has become visible: positions are handed out in the order of committing, and what
`max(position)` shows is complete. The price is that a journal has one commit at a time. The alternative, readers who stop
before the oldest transaction that still runs, would let any long transaction in the whole cluster hold back every event.
Appends are batches, and the longer one waits for the pen the larger it is; several journals (databases) have a pen each.

What needs no pen is done before it is taken. An execution is created with seq 0, which no reader sees; and `append_many` has read
and looked up a large batch by then. Measured, of the 46 ms in which a writer stores 3,840 entries it holds the pen for 26; statements
by hand without lock, trigger or compare-and-set need 43, and four writers of them use as many cores as there are.

**The bell.** NOTIFY takes a lock of the whole cluster until its commit is on disk. So a listener holds a shared advisory lock, and
an append notifies only if it cannot have that lock alone: without listeners nobody pays.

**Rights.** `append` and the other functions run with the rights of their owner, who made the schema. A writer needs no right to
change any table, and a reader none to call them; `docs/fleet.md` has the three roles as SQL.

There are no foreign keys. The trigger that follows the log has looked at the execution already; asking again would lock its row
and write it once more.
"""

from __future__ import annotations

from typing import Final

from .._states import INITIAL, Cause, ExecutionState, Phase
from ._postgres_rules import (
    BELL,
    CHANNEL,
    CREATION,
    DEFINER,
    DEFINER_PLPGSQL,
    ENTRIES,
    ENTRY,
    INDEXED,
    LOCKS,
    PEN,
    append_part,
    follow_the_log,
    has_ended,
    is_accepted,
    is_legal,
    one_of,
    prune,
    quoted,
    refuse,
    threatens,
)
from ._rules import ENTRY_CHANGED, NEWER_CAUSES, PRUNED_SHRANK, READ_ONLY_STATE, WORKER_CHANGED


def is_entry(but: frozenset[Cause] = frozenset()) -> str:
    """Render the condition that a row of `entries` is one, and its cause none of those left out."""
    return f"""CASE WHEN target IS NULL THEN source IS NULL AND seq > 1
                    AND CASE WHEN phase IS NULL THEN coalesce({threatens("cause")}, false) ELSE cause IS NULL END
                WHEN seq = 1 THEN source IS NULL AND coalesce(target = '{INITIAL.value}', false)
                ELSE coalesce({is_legal("source", "target")}, false) END
       AND (target IS NULL OR (phase IS NULL AND detail IS NULL))
       AND CASE WHEN {has_ended("target")} THEN evidence_json IS NOT NULL AND coalesce({is_accepted("target", "cause", but)}, false)
                ELSE (cause IS NULL OR target IS NULL) AND evidence_json IS NULL AND error IS NULL END
       AND (result_json IS NULL OR coalesce(target = '{ExecutionState.COMPLETED.value}', false))"""


TABLES: Final = f"""
CREATE DOMAIN runstate.name AS text COLLATE "C" CHECK (VALUE <> '');
CREATE DOMAIN runstate.seconds AS double precision CHECK (VALUE > 0 AND VALUE < 'infinity');
CREATE DOMAIN runstate.state AS text COLLATE "C" CHECK ({one_of("VALUE", ExecutionState)});
CREATE DOMAIN runstate.phase AS text COLLATE "C" CHECK ({one_of("VALUE", Phase)});

CREATE TABLE runstate.meta (key text COLLATE "C" PRIMARY KEY, value bigint NOT NULL);

CREATE TABLE runstate.workers (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incarnation runstate.name NOT NULL UNIQUE
);

CREATE TABLE runstate.executions (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    execution_id runstate.name NOT NULL UNIQUE,
    agent runstate.name NOT NULL,
    thread_id runstate.name NOT NULL,
    user_id runstate.name NOT NULL,
    worker bigint NOT NULL,
    created_at_ns bigint NOT NULL,
    timeout runstate.seconds,
    heartbeat_timeout runstate.seconds,
    metadata_json text,
    state runstate.state NOT NULL DEFAULT '{INITIAL.value}',
    seq bigint NOT NULL DEFAULT 0,
    updated_at_ns bigint NOT NULL,
    ended_at_ns bigint,
    phase runstate.phase,
    phase_detail text,
    CHECK ((ended_at_ns IS NOT NULL) = {has_ended("state")})
) WITH (fillfactor = 80);
-- No index has a column that a move between live states changes: such a row is written anew on its own page, and nowhere else.
CREATE INDEX executions_by_thread ON runstate.executions (left(thread_id, {INDEXED}), number);
CREATE INDEX executions_by_user ON runstate.executions (left(user_id, {INDEXED}), number);
CREATE INDEX executions_live ON runstate.executions (number) WHERE ended_at_ns IS NULL;
CREATE INDEX executions_ended ON runstate.executions (ended_at_ns, number) WHERE ended_at_ns IS NOT NULL;

CREATE TABLE runstate.entries (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number bigint NOT NULL,
    seq bigint NOT NULL CHECK (seq > 0),
    at_ns bigint NOT NULL,
    worker bigint NOT NULL,
    source text COLLATE "C",
    target text COLLATE "C",
    phase runstate.phase,
    detail text,
    cause text COLLATE "C",
    error text,
    evidence_json text,
    result_json text,
    UNIQUE (number, seq),
    CHECK ({is_entry(NEWER_CAUSES)})
);
"""

RULES: Final = f"""
CREATE FUNCTION runstate.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = TG_ARGV[0];
END $$;

CREATE FUNCTION runstate.take_the_pen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.pg_advisory_xact_lock({LOCKS}, {PEN});
    IF NOT pg_catalog.pg_try_advisory_xact_lock({LOCKS}, {BELL}) THEN
        PERFORM pg_catalog.pg_notify('{CHANNEL}', '');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER entries_take_the_pen BEFORE INSERT ON runstate.entries
FOR EACH STATEMENT EXECUTE FUNCTION runstate.take_the_pen();

{follow_the_log("CREATE", "", "x.worker = one.worker", "x.worker = log.worker")}
CREATE TRIGGER executions_follow_the_log AFTER INSERT ON runstate.entries
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION runstate.follow_the_log();

CREATE TRIGGER executions_begin_at_the_beginning BEFORE INSERT ON runstate.executions
FOR EACH ROW WHEN (NEW.state <> '{INITIAL.value}' OR NEW.seq <> 0 OR NEW.phase IS NOT NULL) {refuse(READ_ONLY_STATE)};
CREATE TRIGGER executions_only_follow_the_log BEFORE UPDATE ON runstate.executions
FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) {refuse(READ_ONLY_STATE)};
CREATE TRIGGER entries_never_change BEFORE UPDATE OR TRUNCATE ON runstate.entries
FOR EACH STATEMENT {refuse(ENTRY_CHANGED)};
CREATE TRIGGER executions_stay BEFORE TRUNCATE ON runstate.executions FOR EACH STATEMENT {refuse(ENTRY_CHANGED)};
CREATE TRIGGER workers_never_change BEFORE UPDATE OR TRUNCATE ON runstate.workers
FOR EACH STATEMENT {refuse(WORKER_CHANGED)};
CREATE TRIGGER meta_is_complete BEFORE INSERT OR DELETE OR TRUNCATE ON runstate.meta
FOR EACH STATEMENT {refuse(PRUNED_SHRANK)};
CREATE TRIGGER pruned_only_grows BEFORE UPDATE ON runstate.meta
FOR EACH ROW WHEN (NEW.key <> OLD.key OR (OLD.key <> 'looked' AND NEW.value < OLD.value)) {refuse(PRUNED_SHRANK)};

CREATE FUNCTION runstate.check_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (CASE TG_TABLE_NAME
        WHEN 'entries' THEN EXISTS (
            SELECT FROM gone JOIN runstate.executions AS x USING (number) WHERE x.ended_at_ns IS NULL)
        WHEN 'executions' THEN EXISTS (
            SELECT FROM gone WHERE (to_jsonb(gone) ->> 'ended_at_ns') IS NULL
                OR EXISTS (SELECT FROM runstate.entries AS e WHERE e.number = gone.number))
        ELSE EXISTS (
            SELECT FROM gone WHERE EXISTS (SELECT FROM runstate.executions AS x WHERE x.worker = gone.number)
                OR EXISTS (SELECT FROM runstate.entries AS e WHERE e.worker = gone.number))
    END) THEN
        RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = TG_ARGV[0];
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER entries_go_with_their_execution AFTER DELETE ON runstate.entries
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION runstate.check_gone({quoted(ENTRY_CHANGED)});
CREATE TRIGGER executions_go_after_their_entries AFTER DELETE ON runstate.executions
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION runstate.check_gone({quoted(ENTRY_CHANGED)});
CREATE TRIGGER workers_go_last AFTER DELETE ON runstate.workers
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION runstate.check_gone({quoted(WORKER_CHANGED)});
"""

CREATIONS: Final = f"json_to_recordset(batch) AS b (execution_id text, at_ns bigint, incarnation text, {CREATION})"
NAMES: Final = ", ".join(column.split()[0] for column in f"{ENTRY}, {CREATION}".split(","))
WORKER: Final = "(SELECT w.number FROM runstate.workers AS w WHERE w.incarnation = b.incarnation)"
WRITER: Final = f"CASE WHEN b.incarnation = writer THEN its_number ELSE {WORKER} END"
EXECUTION: Final = "(SELECT x.number FROM runstate.executions AS x WHERE x.execution_id = b.execution_id)"
_SAME: Final = (
    "at_ns",
    "worker",
    "source",
    "target",
    "phase",
    "detail",
    "cause",
    "error",
    "evidence_json",
    "result_json",
)
"""The columns by which an entry of ours is known again; `WORKER` stands for what the batch calls its incarnation."""


def create(batch: str, worker: str, more: str = "", values: str = "") -> str:
    """Render the statement that creates executions, with values for more columns than version 1 has."""
    return f"""INSERT INTO runstate.executions (execution_id, agent, thread_id, user_id, worker, created_at_ns, updated_at_ns,
                                         timeout, heartbeat_timeout, metadata_json{more})
        SELECT execution_id, agent, thread_id, user_id, {worker}, at_ns, at_ns, timeout, heartbeat_timeout, metadata_json{values}
        FROM {batch} WHERE agent IS NOT NULL"""


def add(batch: str, number: str, worker: str) -> str:
    """Render the statement that adds entries, which takes the pen first."""
    return f"""INSERT INTO runstate.entries (number, seq, at_ns, worker, source, target, phase, detail, cause, error, evidence_json,
                                  result_json)
    SELECT {number}, seq, at_ns, {worker}, source, target, phase, detail, cause, error, evidence_json, result_json
    FROM {batch}"""


FUNCTIONS: Final = f"""
CREATE FUNCTION runstate.register(incarnation text) RETURNS void {DEFINER} AS $$
    INSERT INTO runstate.workers (incarnation) VALUES ($1) ON CONFLICT DO NOTHING
$$;

CREATE FUNCTION runstate.append(batch json, creates boolean) RETURNS void {DEFINER_PLPGSQL} AS $$
BEGIN
    IF creates THEN
        {create(CREATIONS, WORKER)};
    END IF;
    {add(ENTRIES, EXECUTION, WORKER)};
END $$;

-- The same for many entries: they are read once, and looked up, before the pen is taken.
CREATE TYPE runstate.described AS ({ENTRY}, {CREATION});
CREATE FUNCTION runstate.append_many(batch json) RETURNS void {DEFINER_PLPGSQL} AS $$
DECLARE
    described runstate.described[] := ARRAY(SELECT b FROM json_populate_recordset(NULL::runstate.described, batch) AS b);
    writer text := described[1].incarnation;
    its_number bigint := (SELECT w.number FROM runstate.workers AS w WHERE w.incarnation = writer);
    numbers bigint[];
BEGIN
    {create("unnest(described) AS b", WRITER)};
    numbers := ARRAY(SELECT {EXECUTION} FROM unnest(described) AS b);
    {add(f"ROWS FROM (unnest(described), unnest(numbers)) AS b ({NAMES}, number)", "b.number", WRITER)};
END $$;

CREATE FUNCTION runstate.is_stored(batch json) RETURNS boolean {DEFINER} AS $$
    SELECT EXISTS (
        SELECT FROM {ENTRIES} JOIN runstate.entries AS e ON e.number = {EXECUTION} AND e.seq = b.seq
        WHERE ({", ".join(f"e.{name}" for name in _SAME)})
              IS NOT DISTINCT FROM ({", ".join(WORKER if name == "worker" else f"b.{name}" for name in _SAME)})
    )
$$;

{append_part("CREATE", "", "")}
CREATE FUNCTION runstate.append_around(batch json, again boolean) RETURNS text[] {DEFINER_PLPGSQL} AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({LOCKS}, {PEN});  -- here, as a part that is refused gives back what it took
    RETURN runstate.append_part(ARRAY(SELECT json_array_elements(batch)), again);
END $$;

{prune("CREATE", "")}
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA runstate FROM PUBLIC;
"""

SCHEMA: Final = f"""
CREATE SCHEMA runstate;
{TABLES}
INSERT INTO runstate.meta VALUES ('schema', 0), ('serves', 0), ('pruned', 0), ('looked', 0);
{RULES}
{FUNCTIONS}
"""
