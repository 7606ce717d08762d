"""The statements about notices on PostgreSQL."""

from __future__ import annotations

from typing import Final

from .._notices import NoticeState
from ._notice_rules import PENDING, STATES, is_free, is_there, notice_columns
from ._postgres_rules import INDEXED
from ._rules import RECORD_COLUMNS

OPEN: Final = b"SELECT runstate.open_outbox(%s)"
REMOVE: Final = b"SELECT runstate.remove_outbox(%s)"
SETTLE: Final = b"SELECT runstate.settle_notices(%s, %s, %s)"
RETRY: Final = b"SELECT runstate.retry_notice(%s, %s)"
OUTBOXES: Final = f"""
SELECT o.name, o.since_ns, (SELECT count(*) FROM runstate.notices AS n WHERE n.outbox = o.number AND {PENDING}) AS pending,
       (SELECT count(*) FROM runstate.notices AS n WHERE n.outbox = o.number AND n.parked_at_ns IS NOT NULL) AS parked, o.lost
FROM runstate.outboxes AS o ORDER BY o.number
""".encode()

CLAIMANT: Final = f"""
SELECT (SELECT number FROM runstate.outboxes WHERE name = %(outbox)s),
       (SELECT v.number FROM runstate.workers AS v WHERE v.incarnation = %(incarnation)s AND {is_there("v.number", "runstate.")})
""".encode()
CANDIDATES: Final = f"""
SELECT n.number, x.execution_id, x.thread_id
FROM runstate.notices AS n JOIN runstate.executions AS x ON x.number = n.number
WHERE n.outbox = %(outbox)s AND n.number > %(after)s AND {PENDING} AND n.due_at_ns <= (SELECT runstate.now_ns())
  AND {is_free("n", "%(worker)s", "runstate.")}
ORDER BY n.number LIMIT %(limit)s
""".encode()
RECORDS: Final = f"""
SELECT x.number, {RECORD_COLUMNS}
FROM runstate.executions AS x JOIN runstate.workers AS w ON w.number = x.worker
LEFT JOIN runstate.entries AS e ON e.number = x.number AND e.seq = x.seq
WHERE x.number = ANY (%s)
""".encode()
CLAIM: Final = b"SELECT number, attempts FROM runstate.claim_notices(%s, %s, %s) ORDER BY number"


def read_notices(outbox: str | None, state: NoticeState | None, thread_id: str | None) -> bytes:
    """The statement that reads notices, those of the newest executions first."""
    by_outbox = "" if outbox is None else " AND o.name = %(outbox)s"
    by_state = "" if state is None else f" AND {STATES[state]}"
    by_thread = (
        ""
        if thread_id is None
        else f" AND left(x.thread_id, {INDEXED}) = left(%(thread_id)s, {INDEXED}) AND x.thread_id = %(thread_id)s"
    )
    return f"""
SELECT {notice_columns("now.ns")}
FROM runstate.notices AS n JOIN runstate.outboxes AS o ON o.number = n.outbox JOIN runstate.executions AS x ON x.number = n.number
LEFT JOIN runstate.workers AS w ON w.number = n.claimed_by CROSS JOIN (SELECT runstate.now_ns() AS ns) AS now
WHERE true{by_outbox}{by_state}{by_thread}
ORDER BY n.number DESC, n.outbox LIMIT %(limit)s
""".encode()
