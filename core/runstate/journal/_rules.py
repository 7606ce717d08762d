"""The rules of the transition table as SQL, rendered once for every dialect, and what every dialect reads.

Each SQL journal lets its database hold the rules itself, so that a program which writes raw SQL can do no more than runstate
can. How a database is told differs (SQLite looks at each row, PostgreSQL at each statement); what it is told stands here.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

from .._records import Selection
from .._states import CAUSES, LIVE, TERMINAL, TRANSITIONS, Cause, ExecutionState, in_table_order

REFUSED: Final = "runstate: this entry does not continue its execution's log"
READ_ONLY_STATE: Final = "runstate: state and seq follow the entries; insert an entry instead"
PRUNED_SHRANK: Final = "runstate: the bookkeeping stays complete, and the newest pruned position only grows"
WORKER_CHANGED: Final = "runstate: workers never change, and go only after all that they have written"
NOTE_CHANGED: Final = "runstate: requests and rejected ends are kept once, never change, and go with their execution"
CHAIN_BROKEN: Final = (
    "runstate: a thread has each message once, and each attempt follows the first one of its chain, thread and message"
)
ENTRY_CHANGED: Final = "runstate: entries never change, and go only after their execution has ended"

NEWER_CAUSES: Final = frozenset({Cause.BREAKER_OPEN, Cause.FALLBACK})
"""Causes that version 1 of the schemas does not know."""

EVENT_COLUMNS: Final = """e.position, x.execution_id, e.seq, e.at_ns, w.incarnation, e.source, e.target, e.phase, e.detail, e.cause,
       e.error, e.evidence_json, e.result_json, x.agent, x.thread_id, x.user_id, x.timeout, x.heartbeat_timeout,
       x.metadata_json, x.retry_of, x.attempt, x.message_id"""
"""What `_rows.event_of` decodes, of an entry e, its execution x and its worker w."""

RECORD_COLUMNS: Final = """x.execution_id, x.agent, x.thread_id, x.user_id, x.state, x.seq, x.created_at_ns, x.updated_at_ns, w.incarnation,
       x.timeout, x.heartbeat_timeout, x.phase, x.phase_detail, CASE WHEN e.target IS NOT NULL THEN e.cause END, e.error,
       x.metadata_json, e.result_json, e.evidence_json, x.retry_of, x.attempt, x.message_id"""
"""What `_rows.record_of` decodes, of an execution x, its worker w and its newest entry e; the cause of a warning is no end's."""


SIGNED_AT_NS: Final = """(SELECT s.at_ns FROM {schema}entries AS s
    WHERE s.number = x.number AND (s.target IS NOT NULL OR s.phase IS NOT NULL) ORDER BY s.seq DESC LIMIT 1)"""
"""When an execution x gave its last sign of life: an entry that is no warning. With what it follows, `_rows.unsettled_of` decodes it."""


def one_of(column: str, members: Iterable[Enum]) -> str:
    """Render the condition that a column is one of the members; of NULL it is NULL, as `IN` would be.

    SQLite makes a temporary table for each `IN` with more than two members, each time that a row meets it. Over a durable life
    that took as long as all else, the disk included.
    """
    return "(" + " OR ".join(f"{column} = '{member.value}'" for member in members) + ")"


def is_live(column: str) -> str:
    """Render the condition that a state is one in which an execution lives."""
    return one_of(column, in_table_order(LIVE))


def has_ended(column: str) -> str:
    """Render the condition that a state is an end."""
    return one_of(column, in_table_order(TERMINAL))


def legal_pairs(source: str, target: str) -> str:
    """Render the condition that two columns are a source and a target of the table."""
    return " OR ".join(
        f"({source} = '{state.value}' AND {one_of(target, in_table_order(targets))})"
        for state, targets in TRANSITIONS.items()
        if targets
    )


def accepted_causes(but: frozenset[Cause] = frozenset()) -> str:
    """Render the condition that `cause` is one that `target` accepts, and none of those left out."""
    return " OR ".join(
        f"(target = '{state.value}' AND {one_of('cause', sorted(causes - but, key=lambda cause: cause.value))})"
        for state, causes in CAUSES.items()
    )


def threatens(column: str) -> str:
    """Render the condition that a cause is one that a warning may have, or a fence: one of DEAD's."""
    return one_of(column, sorted(CAUSES[ExecutionState.DEAD], key=lambda cause: cause.value))


SUSPECTS: Final = 200
"""Fenced workers up to which a look at the peers asks of each whether anything of it is live."""


def suspects(schema: str, newest_live: str, next_live: str) -> str:
    """Render what a look at the peers begins with: `suspects`, numbers among which are all fenced workers with something live.

    Where few are fenced, it is those. Where retention keeps many, it is whoever owns something live: found by going from owner to
    owner in the index, one step for each, however much each has live and however many are gone.

    Args:
        schema: What stands before the name of a table.
        newest_live: The query for the first owner.
        next_live: The query for the one that comes after `owners.number`.
    """
    return f"""WITH RECURSIVE fenced AS MATERIALIZED (
    SELECT number FROM {schema}workers WHERE fenced_by IS NOT NULL LIMIT {SUSPECTS}
), owners (number) AS (
    SELECT ({newest_live}) WHERE (SELECT count(*) FROM fenced) = {SUSPECTS}
    UNION ALL
    SELECT ({next_live}) FROM owners WHERE number IS NOT NULL
), suspects AS (
    SELECT number FROM owners UNION ALL SELECT number FROM fenced WHERE (SELECT count(*) FROM fenced) < {SUSPECTS}
)"""  # noqa: S608 - our own names and numbers


def forgettable(schema: str, oldest_ns: str, at_most: str, entries: str, lives: str) -> str:
    """Render the query for workers that went before a time and that nothing refers to any more, those that went first.

    A reference is an entry, its execution or another worker's fence. There is no index of entries by worker, which each of them would
    pay for: no entry of a worker comes after its `gone_position`, so the oldest entries, up to there, are looked at. Retention has
    removed nearly all of them before; where more are left than may be looked at, who went later waits.

    The newest worker's row stays: SQLite would give its number a second time.

    Args:
        schema: What stands before the name of a table.
        oldest_ns: The time.
        at_most: How many workers.
        entries: How many entries may be looked at.
        lives: The condition that an execution x has not ended.
    """
    return f"""WITH looked_at AS MATERIALIZED (
            SELECT position, worker FROM {schema}entries
            WHERE position <= (SELECT max(gone_position) FROM {schema}workers WHERE gone_at_ns < {oldest_ns})
            ORDER BY position LIMIT {entries}
        )
        SELECT w.number FROM {schema}workers AS w
        WHERE w.gone_at_ns < {oldest_ns} AND w.number < (SELECT max(number) FROM {schema}workers)
          AND w.gone_position <= coalesce(
            (SELECT CASE WHEN count(*) = {entries} THEN max(position) END FROM looked_at), w.gone_position)
          AND w.number NOT IN (SELECT worker FROM looked_at)
          AND NOT EXISTS (SELECT 1 FROM {schema}executions AS x WHERE x.worker = w.number AND {lives})
          AND NOT EXISTS (SELECT 1 FROM {schema}workers AS f WHERE f.fenced_by = w.incarnation)
        ORDER BY w.gone_at_ns LIMIT {at_most}"""  # noqa: S608 - our own names and numbers


def parameters(selection: Selection) -> dict[str, str | int | None]:
    """The values that the conditions of a selection refer to."""
    return {
        "execution_id": selection.execution_id,
        "agent": selection.agent,
        "thread_id": selection.thread_id,
        "user_id": selection.user_id,
        "retry_of": selection.retry_of,
        "message_id": selection.message_id,
        "state": None if selection.state is None else selection.state.value,
    }
