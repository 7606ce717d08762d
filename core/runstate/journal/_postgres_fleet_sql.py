"""The statements of the fleet on PostgreSQL, and of who watches it."""

from __future__ import annotations

from typing import Final

from ._postgres_fleet_schema import LIVE, LIVE_OF
from ._postgres_rules import PRESENT
from ._rules import RECORD_COLUMNS, SIGNED_AT_NS, suspects

JOIN: Final = b"SELECT runstate.join_fleet(%s, %s, %s, %s, %s)"
RENEW: Final = b"SELECT runstate.renew_lease(%s)"
LEAVE: Final = b"SELECT runstate.leave_fleet(%s)"
FENCE: Final = b"SELECT runstate.fence(%s, %s, %s, %s, %s, %s)"
ADD_REQUEST: Final = b"SELECT runstate.request_cancel(%s, %s, %s)"

_PEER: Final = """w.incarnation, w.lease, w.renewed_at_ns,
       (greatest(now.ns, w.renewed_at_ns) - w.renewed_at_ns)::double precision / 1e9 AS renewed_age,
       coalesce(now.ns - w.renewed_at_ns > w.lease * 1e9, false) AS expired,
       w.gone_at_ns, w.gone_position, w.fenced_by, w.fence_cause, w.fence_reason"""
_PRESENT: Final = "SELECT number FROM runstate.workers WHERE gone_at_ns IS NULL AND lease IS NOT NULL"

_NEWEST_LIVE: Final = (
    f"SELECT x.worker FROM runstate.executions AS x WHERE {LIVE}{{}} ORDER BY x.worker DESC, x.number DESC LIMIT 1"
)
"""Backwards, as the newest execution is the likeliest to be live: what has ended leaves dead rows in the index until a vacuum."""
PEERS: Final = f"""
{suspects("runstate.", _NEWEST_LIVE.format(""), _NEWEST_LIVE.format(" AND x.worker < owners.number"))}
SELECT {_PEER}
FROM runstate.workers AS w CROSS JOIN (SELECT runstate.now_ns() AS ns) AS now
WHERE w.number IN (
    {_PRESENT}
    UNION ALL SELECT s.number FROM suspects AS s JOIN runstate.workers AS f ON f.number = s.number
    WHERE f.fenced_by IS NOT NULL AND (SELECT x.worker {LIVE_OF.format(number="f.number")} LIMIT 1) IS NOT NULL
)
ORDER BY w.number
""".encode()
"""As EXISTS what is live would be joined to the workers, all of it."""

_WORKER: Final = f"""
SELECT w.number, (SELECT count(*) {LIVE_OF.format(number="w.number")}) AS live, w.host, w.pid, w.started_at_ns, {_PEER}
FROM runstate.workers AS w CROSS JOIN (SELECT runstate.now_ns() AS ns) AS now
WHERE {{condition}}
ORDER BY w.number
"""
WORKER: Final = _WORKER.format(condition="w.incarnation = %(incarnation)s").encode()
WORKERS: Final = _WORKER.format(
    condition=f"""w.number IN (
    {_PRESENT}
    UNION SELECT x.worker FROM runstate.executions AS x WHERE {LIVE}
    UNION (SELECT number FROM runstate.workers WHERE gone_at_ns IS NOT NULL ORDER BY number DESC LIMIT %(departed)s)
)"""
).encode()

_OWNED: Final = "(SELECT number FROM runstate.workers WHERE incarnation = %(incarnation)s)"

UNSETTLED: Final = f"""
SELECT {RECORD_COLUMNS}, {SIGNED_AT_NS.format(schema="runstate.")}, runstate.now_ns()
FROM runstate.executions AS x JOIN runstate.workers AS w ON w.number = x.worker
LEFT JOIN runstate.entries AS e ON e.number = x.number AND e.seq = x.seq
WHERE x.worker = {_OWNED} AND {LIVE}
ORDER BY x.number LIMIT %(limit)s
""".encode()

_REQUEST: Final = 'x.execution_id, w.incarnation AS owner, r.asked_by AS "by", r.reason, r.asked_at_ns AS at_ns'
REQUEST: Final = f"""
SELECT x.ended_at_ns IS NOT NULL AS has_ended, {_REQUEST}
FROM runstate.executions AS x JOIN runstate.workers AS w ON w.number = x.worker
LEFT JOIN runstate.requests AS r ON r.number = x.number
WHERE x.execution_id = %(execution_id)s AND x.seq > 0
""".encode()
REQUESTS: Final = f"""
SELECT {_REQUEST}
FROM runstate.executions AS x JOIN runstate.requests AS r ON r.number = x.number
JOIN runstate.workers AS w ON w.number = x.worker
WHERE x.worker = {_OWNED} AND {LIVE}
ORDER BY x.number
""".encode()
REJECTED: Final = b"""
SELECT x.execution_id, r.seq, r.at_ns, w.incarnation, r.source, r.target, r.cause, r.error, r.evidence_json, r.result_json,
       r.rejected_at_ns
FROM runstate.rejected AS r JOIN runstate.executions AS x ON x.number = r.number JOIN runstate.workers AS w ON w.number = r.worker
WHERE x.execution_id = %(execution_id)s
"""

NUMBER: Final = b"SELECT number FROM runstate.workers WHERE incarnation = %s"
ENTER: Final = f"""
LISTEN runstate_{{number}};
SELECT pg_try_advisory_lock({PRESENT}, {{number}})
"""
"""A worker's own channel, and its lock, for as long as the session lives."""
TAKE_THE_LOCK: Final = f"SELECT pg_try_advisory_lock({PRESENT}, %s)".encode()
EXIT: Final = f"""
UNLISTEN runstate_{{number}};
SELECT pg_advisory_unlock({PRESENT}, {{number}})
"""
RING: Final = (
    b"SELECT pg_notify('runstate_' || number, '') FROM runstate.workers WHERE incarnation = %s AND gone_at_ns IS NULL"
)

LOOK: Final = f"""
SELECT w.number, w.incarnation, w.pid, w.process, w.lease, w.renewed_at_ns,
       (runstate.now_ns() - w.renewed_at_ns)::double precision / 1e9 AS renewed_age, w.number IN (
    SELECT l.objid FROM pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.classid = {PRESENT} AND l.objsubid = 2 AND l.granted AND l.mode = 'ExclusiveLock'
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
) AS is_there
FROM runstate.workers AS w
WHERE w.incarnation = ANY (%s) AND w.gone_at_ns IS NULL AND w.lease IS NOT NULL
ORDER BY w.number
""".encode()
"""Peers, and whose session is there. Not of those who never joined: nobody can say that they ever had a session."""
AWAIT_RELEASE: Final = b"SELECT runstate.await_release($1)"
