"""Every statement that the PostgreSQL journal runs, but those that make the schema."""

from __future__ import annotations

from typing import Final

from .._records import Selection
from .._states import LIVE, ExecutionState
from ._notice_rules import is_followed
from ._postgres_rules import BELL, CHANNEL, INDEXED, LOCKS
from ._rules import EVENT_COLUMNS, RECORD_COLUMNS

REGISTER: Final = b"SELECT runstate.register(%s)"
APPEND: Final = b"SELECT runstate.append(%s, %s)"
APPEND_MANY: Final = b"SELECT runstate.append_many(%s)"
APPEND_AROUND: Final = b"SELECT runstate.append_around(%s, %s)"
PRUNE: Final = b"SELECT runstate.prune(%s, %s, %s, %s, %s, %s)"
LISTEN: Final = f"LISTEN {CHANNEL}; SELECT pg_advisory_lock_shared({LOCKS}, {BELL})".encode()

_KEEPALIVES: Final = """set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '5', false),
       set_config('tcp_keepalives_count', '3', false)"""
"""So that the server, too, notices a host that has vanished, and frees what it has locked. Of no effect on a Unix socket."""
_BY_INDEX: Final = """set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false),
       set_config('enable_mergejoin', 'off', false)"""
"""So that everything is looked up by an index: a plan made while a table is small is kept when it no longer is."""
WRITING: Final = f"""
SELECT {_BY_INDEX}, set_config('jit', 'off', false),
       set_config('plan_cache_mode', 'force_generic_plan', false),
       set_config('lock_timeout', '10s', false), set_config('statement_timeout', '60s', false),
       set_config('synchronous_commit', CASE s WHEN 'off' THEN 'on' ELSE s END, false),
       {_KEEPALIVES}
FROM current_setting('synchronous_commit') AS s
""".encode()
"""The settings of a connection that writes.

Plans are kept: left to itself, the server plans the move of a single entry anew each time, which takes a third of all that an end
costs. What is acknowledged is on disk, whatever the server's default. Nobody waits for ever for who holds the pen.
"""
READING: Final = b"""
SELECT set_config('jit', 'off', false), set_config('statement_timeout', '60s', false),
       set_config('default_transaction_read_only', 'on', false)
"""
"""The settings of a connection that reads."""

WORKING: Final = f"""
SELECT {_BY_INDEX}, set_config('enable_bitmapscan', 'off', false), set_config('jit', 'off', false),
       set_config('lock_timeout', '10s', false), set_config('statement_timeout', '60s', false),
       set_config('idle_session_timeout', '0', false),
       set_config('synchronous_commit', CASE s WHEN 'off' THEN 'on' ELSE s END, false),
       {_KEEPALIVES}
FROM current_setting('synchronous_commit') AS s
""".encode()
"""The settings of the session of a worker's own affairs.

What is live is read in the order of its index, and entries there of what is no longer live are marked by whoever meets them first; a
bitmap would do neither.
"""
WATCHING: Final = b"""
SELECT set_config('jit', 'off', false), set_config('lock_timeout', '900ms', false), set_config('statement_timeout', '0', false),
       set_config('idle_session_timeout', '0', false),
       set_config('default_transaction_read_only', 'on', false)
"""
"""The settings of the connection that waits for a peer's lock."""

_READ_EVENTS: Final = f"""
SELECT head.pruned, greatest(head.pruned, head.newest), page.*
FROM (SELECT (SELECT value FROM runstate.meta WHERE key = 'pruned') AS pruned,
             (SELECT max(position) FROM runstate.entries) AS newest) AS head
LEFT JOIN (
    SELECT {EVENT_COLUMNS}
    FROM runstate.entries AS e {{executions}} JOIN runstate.workers AS w ON w.number = e.worker
    WHERE e.position > %(after)s{{conditions}}
    ORDER BY e.position LIMIT %(limit)s
) AS page ON true
ORDER BY page.position
"""
"""The newest position pruned, the newest of all, and the page: one statement, so all from one moment."""

_READ_EXECUTIONS: Final = f"""
SELECT {RECORD_COLUMNS}
FROM runstate.executions AS x JOIN runstate.workers AS w ON w.number = x.worker
LEFT JOIN runstate.entries AS e ON e.number = x.number AND e.seq = x.seq
WHERE x.seq > 0{{conditions}}
ORDER BY x.number DESC LIMIT %(limit)s
"""

_COUNT: Final = f"""
SELECT live.*, (SELECT execution_id FROM runstate.executions WHERE number = live.first)
FROM (SELECT x.state, count(*), NULL::bigint, min(x.number) AS first
      FROM runstate.executions AS x WHERE x.ended_at_ns IS NULL AND x.seq > 0{{conditions}}
      GROUP BY x.state) AS live
UNION ALL
SELECT x.state, count(*), x.ended_at_ns / %(span)s * %(span)s AS span, NULL, NULL
FROM runstate.executions AS x WHERE x.ended_at_ns IS NOT NULL AND x.ended_at_ns >= %(since)s{{conditions}}
  AND (x.state = '{ExecutionState.COMPLETED.value}' OR NOT {is_followed("x", "runstate.")})
GROUP BY x.state, span
"""

_CONDITIONS: Final = {
    "execution_id": " AND x.execution_id = %(execution_id)s",
    "agent": " AND x.agent = %(agent)s",
    "thread_id": f" AND left(x.thread_id, {INDEXED}) = left(%(thread_id)s, {INDEXED}) AND x.thread_id = %(thread_id)s",
    "user_id": f" AND left(x.user_id, {INDEXED}) = left(%(user_id)s, {INDEXED}) AND x.user_id = %(user_id)s",
    "retry_of": " AND x.retry_of = %(retry_of)s",
    "message_id": " AND x.message_id = %(message_id)s",
    "state": " AND x.state = %(state)s",
}

_FOR_EACH: Final = "CROSS JOIN LATERAL (SELECT * FROM runstate.executions WHERE number = e.number OFFSET 0) AS x"
_FEW: Final = " AND e.position < 9223372036854775807"
"""Leaves nothing out, but has the server expect few entries.

Both for what is read of an agent. Executions have no index by agent, so a plan that goes through them first, made while there were few
and kept, would read all that the agent ever had, with each look. This one goes through the entries after the position.
"""


def read_events(selection: Selection) -> bytes:
    """The statement that reads events after a position."""
    conditions = _conditions(selection, ignored="state")
    if selection.agent is not None and selection == Selection(agent=selection.agent):
        return _READ_EVENTS.format(executions=_FOR_EACH, conditions=conditions + _FEW).encode()
    return _READ_EVENTS.format(
        executions="JOIN runstate.executions AS x USING (number)", conditions=conditions
    ).encode()


def read_executions(selection: Selection) -> bytes:
    """The statement that reads executions, the newest first."""
    conditions = _conditions(selection, ignored="")
    if selection.state is not None:  # adds nothing, but the few that live are now found by their index
        conditions += f" AND x.ended_at_ns IS {'' if selection.state in LIVE else 'NOT '}NULL"
    return _READ_EXECUTIONS.format(conditions=conditions).encode()


def count(selection: Selection) -> bytes:
    """The statement that counts executions: those that live by state, and those that have ended by state and span."""
    return _COUNT.format(conditions=_conditions(selection, ignored="state")).encode()


def _conditions(selection: Selection, ignored: str) -> str:
    return "".join(
        condition for name, condition in _CONDITIONS.items() if name != ignored and getattr(selection, name) is not None
    )
