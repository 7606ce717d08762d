"""The rules of notices as SQL, rendered once for every dialect: what may become of a row of `notices`, and what is read.

A notice tells somebody an answer, or why there is none. So an attempt that is followed by another makes none when it ends: the next attempt is
created before that end is stored, and so is seen by whoever stores it.

A program that writes raw SQL can do no more than runstate can: a notice is there because of an end that came after its outbox was opened; it
is DELIVERED, PARKED or put off only by a worker that has claimed it and is there; and what is DELIVERED never changes.
"""

from __future__ import annotations

from typing import Final

from .._notices import NoticeState

NOTICE_CHANGED: Final = (
    "runstate: notices follow the ends, are settled by the worker that has claimed them, and go with their execution"
)
OUTBOX_CHANGED: Final = "runstate: outboxes are opened once, from now on, and never change"

PENDING: Final = "n.delivered_at_ns IS NULL AND n.parked_at_ns IS NULL"
"""The condition that notice n is PENDING."""
STATES: Final = {
    NoticeState.PENDING: PENDING,
    NoticeState.DELIVERED: "n.delivered_at_ns IS NOT NULL",
    NoticeState.PARKED: "n.parked_at_ns IS NOT NULL",
}
"""The condition of each state."""

SHAPE: Final = """(delivered_at_ns IS NULL OR (claimed_by IS NOT NULL AND parked_at_ns IS NULL))
       AND (parked_at_ns IS NULL OR (claimed_by IS NULL AND error IS NOT NULL))"""
"""What always holds of a row."""


def is_there(worker: str, schema: str) -> str:
    """Render the condition that a worker has joined and is not gone; false of NULL."""
    return f"EXISTS (SELECT 1 FROM {schema}workers AS w WHERE w.number = {worker} AND w.gone_at_ns IS NULL AND w.lease IS NOT NULL)"


def is_free(notice: str, worker: str, schema: str) -> str:
    """Render the condition that nobody else who is there has claimed a notice."""
    return f"({notice}.claimed_by IS NULL OR {notice}.claimed_by = {worker} OR NOT {is_there(f'{notice}.claimed_by', schema)})"


def is_followed(execution: str, schema: str) -> str:
    """Render the condition that an execution's chain goes on with another attempt: its end is nobody's answer."""
    return f"""EXISTS (SELECT 1 FROM {schema}executions AS s
        WHERE s.retry_of = coalesce({execution}.retry_of, {execution}.execution_id) AND s.attempt = {execution}.attempt + 1)"""


def may_become(schema: str, same: str) -> str:
    """Render the condition that row OLD of `notices` may become row NEW.

    Args:
        schema: What stands before the name of a table.
        same: The operator that compares two values of which both may be NULL.
    """
    return f"""NEW.number = OLD.number AND NEW.outbox = OLD.outbox AND NEW.ended_at_ns = OLD.ended_at_ns AND OLD.delivered_at_ns IS NULL
    AND CASE
        WHEN OLD.claimed_by IS NULL AND NEW.claimed_by IS NULL THEN  -- tried at once, because a person says so
            NEW.parked_at_ns IS NULL AND NEW.attempts = 0 AND NEW.due_at_ns = 0 AND NEW.error {same} OLD.error
        WHEN NEW.claimed_by IS NOT NULL AND NEW.delivered_at_ns IS NULL THEN  -- claimed
            OLD.parked_at_ns IS NULL AND NEW.attempts = OLD.attempts + 1 AND NEW.due_at_ns = OLD.due_at_ns AND NEW.error {same} OLD.error
            AND {is_there("NEW.claimed_by", schema)}
            AND {is_free("OLD", "NEW.claimed_by", schema)}
        WHEN NOT {is_there("OLD.claimed_by", schema)} THEN FALSE
        WHEN NEW.delivered_at_ns IS NOT NULL THEN
            NEW.claimed_by = OLD.claimed_by AND NEW.attempts = OLD.attempts AND NEW.due_at_ns = OLD.due_at_ns
            AND NEW.error {same} OLD.error
        WHEN NEW.attempts = OLD.attempts - 1 THEN  -- not tried: released, or parked as those who had tried it have died
            NEW.due_at_ns = OLD.due_at_ns AND (NEW.error {same} OLD.error OR NEW.parked_at_ns IS NOT NULL)
        ELSE NEW.attempts = OLD.attempts AND NEW.error IS NOT NULL  -- put off, or parked
    END"""


def notice_columns(now_ns: str) -> str:
    """Render what `decode_notice` takes, of a notice n, its outbox o, its execution x and the worker w that has claimed it."""
    return f"""x.execution_id AS notice_id, o.name AS outbox, x.agent, x.thread_id, x.user_id, x.state AS "end", n.ended_at_ns, n.attempts,
       n.due_at_ns, CASE WHEN n.delivered_at_ns IS NOT NULL OR w.gone_at_ns IS NULL THEN w.incarnation END AS claimed_by,
       n.delivered_at_ns, n.parked_at_ns, n.error, {now_ns} AS now_ns"""
