"""The rules of the transition table as PostgreSQL takes them, and the functions that more than one version of the schema has."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

from .._states import CAUSES, TERMINAL, TRANSITIONS, Cause, ExecutionState, in_table_order
from ._rules import REFUSED

LOCKS: Final = 0x52554E53
"""The first half of every advisory lock's key: `RUNS`."""
PEN: Final = 1
BELL: Final = 2
MIGRATING: Final = 3
PRUNING: Final = 4
"""The second half."""
CHANNEL: Final = "runstate"
"""Where listeners listen."""
PRESENT: Final = 0x52554E57
"""The first half of the key of a worker's lock, `RUNW`; the second is its number."""
INDEXED: Final = 512
"""Characters of a thread's or user's name that are indexed: an index takes no more than 2,704 bytes."""

ENTRY: Final = """execution_id text, seq bigint, at_ns bigint, incarnation text, source text, target text, phase text, detail text,
        cause text, error text, evidence_json text, result_json text"""
"""What a batch says of an entry."""
CREATION: Final = """agent text, thread_id text, user_id text, timeout double precision, heartbeat_timeout double precision,
        metadata_json text"""
"""What it says besides of one that creates an execution."""
CHAIN: Final = "retry_of text, attempt integer, message_id text"
"""What version 2 has it say of that as well."""
ENTRIES: Final = f"json_to_recordset(batch) AS b ({ENTRY})"
"""A batch as rows."""

AS_OWNER: Final = "SECURITY DEFINER SET search_path = pg_catalog, pg_temp"
DEFINER: Final = f"LANGUAGE sql {AS_OWNER}"
DEFINER_PLPGSQL: Final = f"LANGUAGE plpgsql {AS_OWNER}"


def quoted(text: str) -> str:
    """Render a text."""
    return "'" + text.replace("'", "''") + "'"


def one_of(value: str, members: Iterable[Enum]) -> str:
    """Render the condition that a value is one of the members, as short as PostgreSQL can keep it.

    It reads its constraints anew for each statement. As alternatives joined by OR they took longer than all else that an end costs.
    """
    return among(value, (member.value for member in members))


def among(value: str, words: Iterable[str]) -> str:
    """Render the condition that a value is one of the words."""
    return f"({value} = ANY ('{{{','.join(words)}}}'::text[]))"


def has_ended(value: str) -> str:
    """Render the condition that a state is an end."""
    return one_of(value, in_table_order(TERMINAL))


def is_legal(source: str, target: str) -> str:
    """Render the condition that two values are a source and a target of the table."""
    pairs = ((one.value, other.value) for one, others in TRANSITIONS.items() for other in in_table_order(others))
    return among(f"{source} || '>' || {target}", (f"{one}>{other}" for one, other in pairs))


def is_accepted(target: str, cause: str, but: frozenset[Cause] = frozenset()) -> str:
    """Render the condition that an end accepts a cause, and that it is none of those left out."""
    pairs = ((state.value, one.value) for state, causes in CAUSES.items() for one in Cause if one in causes - but)
    return among(f"{target} || ':' || {cause}", (f"{state}:{one}" for state, one in pairs))


def threatens(cause: str) -> str:
    """Render the condition that a cause is one that a warning may have, or a fence: one of DEAD's."""
    return one_of(cause, (one for one in Cause if one in CAUSES[ExecutionState.DEAD]))


def refuse(message: str) -> str:
    """Render what a trigger does that refuses."""
    return f"EXECUTE FUNCTION runstate.refuse({quoted(message)})"


def follow_the_log(
    create: str, first: str, one_owned: str, log_owned: str, one_ended: str = "", ended: str = ""
) -> str:
    """Render the trigger's function that moves executions on by the entries that a statement has added.

    Args:
        create: How it is made.
        first: Statements that come before anything is moved; those entries that are one are known as `one`.
        one_owned: The condition that entry `one` is its writer's to make, of execution `x`.
        log_owned: The same of an execution's entries, `log`.
        one_ended: Statements that come when entry `one` was an end.
        ended: Statements that come when any number of entries have been followed, all in `added`.
    """
    return f"""{create} FUNCTION runstate.follow_the_log() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    one record;
    logs bigint;
    followed bigint;
BEGIN
    SELECT count(*) AS entries, min(number) AS number, min(seq) AS seq, min(at_ns) AS at_ns, min(worker) AS worker,
           min(source) AS source, min(target) AS target, min(phase) AS phase, min(detail) AS detail INTO one FROM added;
    {first}IF one.entries = 1 THEN  -- the same as below, in half the time: most appends that somebody waits for are an end
        UPDATE runstate.executions AS x
        SET seq = one.seq, updated_at_ns = one.at_ns, state = coalesce(one.target, x.state),
            ended_at_ns = CASE WHEN {has_ended("one.target")} THEN one.at_ns END,
            phase = coalesce(one.phase, x.phase),
            phase_detail = CASE WHEN one.phase IS NULL THEN x.phase_detail ELSE one.detail END
        WHERE x.number = one.number AND x.seq = one.seq - 1 AND {one_owned} AND NOT {has_ended("x.state")}
          AND (one.source IS NULL OR one.source = x.state);
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = {quoted(REFUSED)};
        END IF;
        {one_ended}RETURN NULL;
    END IF;
    WITH log AS MATERIALIZED (
        SELECT number, min(seq) AS first, max(seq) AS last, (array_agg(at_ns))[count(*)] AS at_ns, min(worker) AS worker,
               bool_and(unbroken) AND min(worker) = max(worker)
                   AND coalesce(bool_and(newest) FILTER (WHERE {has_ended("target")}), true) AS sound,
               array_agg(source::text) FILTER (WHERE target IS NOT NULL) AS sources,
               array_agg(target::text) FILTER (WHERE target IS NOT NULL) AS targets,
               array_agg(phase::text) FILTER (WHERE phase IS NOT NULL) AS phases,
               array_agg(detail) FILTER (WHERE phase IS NOT NULL) AS details,
               max(at_ns) FILTER (WHERE {has_ended("target")}) AS ended_at_ns
        FROM (
            SELECT *, coalesce(seq = lag(seq) OVER entries + 1, true) AS unbroken, lead(seq) OVER entries IS NULL AS newest
            FROM added WINDOW entries AS (PARTITION BY number ORDER BY position)
        ) AS ordered
        GROUP BY number
    ), moved AS (
        UPDATE runstate.executions AS x
        SET seq = log.last, updated_at_ns = log.at_ns, ended_at_ns = log.ended_at_ns,
            state = coalesce(log.targets[cardinality(log.targets)], x.state),
            phase = coalesce(log.phases[cardinality(log.phases)], x.phase),
            phase_detail = CASE WHEN log.phases IS NULL THEN x.phase_detail ELSE log.details[cardinality(log.phases)] END
        -- looked up one by one, and found again by its place: a plan made while the table was small stays good when it is not
        FROM log CROSS JOIN LATERAL (SELECT ctid AS place FROM runstate.executions WHERE number = log.number OFFSET 0) AS found
        WHERE x.ctid = found.place AND log.sound AND x.seq = log.first - 1 AND {log_owned}
          AND NOT {has_ended("x.state")}
          AND (log.sources IS NULL OR log.sources = array_prepend(
                CASE WHEN x.seq > 0 THEN x.state::text END, log.targets[:cardinality(log.targets) - 1]))
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM log), (SELECT count(*) FROM moved) INTO logs, followed;
    IF followed <> logs THEN
        RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = {quoted(REFUSED)};
    END IF;
    {ended}RETURN NULL;
END $$;
"""


def append_part(create: str, before: str, refused: str) -> str:
    """Render the function that stores a part of a batch, and halves it until it has found whose entries to leave out.

    Args:
        create: How it is made.
        before: Statements that come before the part is stored, and are undone with it.
        refused: Statements about the one entry that is left out, `batch[1]`.
    """
    return f"""{create} FUNCTION runstate.append_part(batch json[], again boolean) RETURNS text[] {DEFINER_PLPGSQL} AS $$
DECLARE
    half integer := cardinality(batch) / 2;
BEGIN
    BEGIN
        {before}PERFORM runstate.append(array_to_json(batch), true);
        RETURN '{{}}';
    EXCEPTION WHEN integrity_constraint_violation THEN
        NULL;
    END;
    IF half > 0 THEN
        RETURN runstate.append_part(batch[:half], again) || runstate.append_part(batch[half + 1:], again);
    ELSIF again AND runstate.is_stored(array_to_json(batch)) THEN
        RETURN '{{}}';
    END IF;
    {refused}RETURN ARRAY[batch[1] ->> 'execution_id'];
END $$;
"""


def prune(create: str, first: str) -> str:
    """Render the function that removes what is past its retention.

    Args:
        create: How it is made.
        first: What is removed before executions are.
    """
    return f"""-- Removes what is past its retention, at most so many executions. NULL says that this is all; any other answer asks to be called
-- again with it: how many more are known to be too many, so that they need not be counted each time, or -1 where nobody knows.
{create} FUNCTION runstate.prune(now_ns bigint, oldest_ns bigint, kept bigint, at_most bigint, every_ns bigint, known bigint)
RETURNS bigint {DEFINER_PLPGSQL} AS $$
DECLARE
    expired bigint[];
    too_many bigint := -1;
BEGIN
    IF NOT pg_try_advisory_xact_lock({LOCKS}, {PRUNING}) THEN
        RETURN NULL;
    END IF;
    UPDATE runstate.meta SET value = now_ns WHERE key = 'looked' AND value NOT BETWEEN now_ns - every_ns + 1 AND now_ns;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    {first}expired := ARRAY(SELECT number FROM runstate.executions WHERE ended_at_ns < oldest_ns
                     ORDER BY ended_at_ns, number LIMIT at_most);
    IF cardinality(expired) < at_most THEN
        too_many := known;
        IF too_many < 0 THEN
            too_many := (SELECT count(*) FROM runstate.executions WHERE ended_at_ns IS NOT NULL) - kept;
        END IF;
        IF too_many > cardinality(expired) THEN
            expired := ARRAY(SELECT number FROM runstate.executions WHERE ended_at_ns IS NOT NULL
                             ORDER BY ended_at_ns, number LIMIT least(too_many, at_most));
        END IF;
    END IF;
    IF cardinality(expired) = 0 THEN
        RETURN NULL;
    END IF;
    UPDATE runstate.meta SET value = greatest(value, (
        SELECT max(position) FROM runstate.entries WHERE number = ANY (expired)
    )) WHERE key = 'pruned';
    DELETE FROM runstate.entries WHERE number = ANY (expired);
    DELETE FROM runstate.executions WHERE number = ANY (expired);
    RETURN CASE WHEN cardinality(expired) = at_most THEN greatest(too_many - at_most, -1) END;
END $$;
"""
