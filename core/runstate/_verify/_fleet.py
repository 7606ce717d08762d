"""What the workers of a journal, and what is kept beside the history, must be like: the part of `verify` about the fleet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, TypeAlias

from .._errors import RecordDecodeError, describe
from .._fleet import Worker, WorkerState
from .._fleet_codec import decode_rejected, decode_request, decode_worker
from .._records import Transition
from .._states import CAUSES, TRANSITIONS, ExecutionState
from ..journal._rules import is_live
from ._finding import Finding
from ._log import Row, check_text, decode_column, id_text, named

Read: TypeAlias = Callable[[str], Iterable[Row]]
"""Runs a query; gives its rows, columns by name."""


class Dialect(NamedTuple):
    """Where the databases differ."""

    schema: str
    """What stands before the name of a table."""
    process: str
    """The column that tells a worker's process, or boot, from every other."""
    newest: str
    """The query for `newest`, the newest position that was ever given out."""


_CHAINS: Final = """
SELECT x.execution_id, x.retry_of, x.attempt, f.execution_id AS first
FROM {schema}executions AS x LEFT JOIN {schema}executions AS f ON f.execution_id = x.retry_of
WHERE x.retry_of IS NOT NULL AND (f.attempt = 1 AND f.thread_id = x.thread_id AND f.user_id = x.user_id
    AND coalesce(f.message_id, '') = coalesce(x.message_id, '')) IS NOT TRUE
    AND (f.execution_id IS NOT NULL OR NOT EXISTS (SELECT 1 FROM {schema}meta WHERE key = 'pruned' AND value > 0))
ORDER BY x.number
"""
"""Once anything was pruned, the first of a chain may have been, too."""
_WORKERS: Final = f"""
SELECT w.number, w.incarnation, coalesce(l.live, 0) AS live, w.host, w.pid, w.started_at_ns, w.lease, w.renewed_at_ns,
       w.gone_at_ns, w.gone_position, w.fenced_by, w.fence_cause, w.fence_reason, w.{{process}} AS process
FROM {{schema}}workers AS w LEFT JOIN (
    SELECT worker, count(*) AS live FROM {{schema}}executions WHERE {is_live("state")} AND seq > 0 GROUP BY worker
) AS l ON l.worker = w.number
ORDER BY w.number
"""  # noqa: S608 - rendered from the transition table
_REQUESTS: Final = """
SELECT x.execution_id, w.incarnation AS owner, r.asked_by AS "by", r.reason, r.asked_at_ns AS at_ns
FROM {schema}requests AS r JOIN {schema}executions AS x ON x.number = r.number
LEFT JOIN {schema}workers AS w ON w.number = x.worker ORDER BY r.number
"""
_REJECTED: Final = """
SELECT x.execution_id, r.seq, r.at_ns, w.incarnation, r.source, r.target, r.cause, r.error, r.evidence_json, r.result_json,
       r.rejected_at_ns, r.worker, x.worker AS owner, w.fenced_by, x.state, e.worker AS ended_by
FROM {schema}rejected AS r JOIN {schema}executions AS x ON x.number = r.number
LEFT JOIN {schema}workers AS w ON w.number = r.worker LEFT JOIN {schema}entries AS e ON e.number = x.number AND e.seq = x.seq
ORDER BY r.number
"""


def workers(read: Read, dialect: Dialect) -> Iterator[Finding]:
    """Yield what is wrong with the workers."""
    (newest,) = read(dialect.newest)
    for found in read(_WORKERS.format_map(dialect._asdict())):
        row = named(found)
        process = row.pop("process")
        name = f"worker {describe(row['number'])}"
        try:
            check_text(row)
            worker = decode_worker({**row, "renewed_age": None, "expired": False})
        except RecordDecodeError as error:
            yield Finding("worker", None, f"{name}: {error}")
            continue
        if (process is None) != (worker.lease is None):
            yield Finding(
                "worker",
                None,
                f"{name} has {dialect.process} {describe(process)} and lease {worker.lease}; both, or neither",
            )
        yield from _gone(name, worker, row["gone_position"], newest["newest"])


def _gone(name: str, worker: Worker, position: object, head: object) -> Iterator[Finding]:
    if worker.state is WorkerState.LEFT and worker.live:
        yield Finding("worker", None, f"{name} has left, but {worker.live} of its executions are live")
    if worker.fence is not None and worker.fence.cause not in CAUSES[ExecutionState.DEAD]:
        yield Finding("fence", None, f"{name} was fenced with cause {worker.fence.cause.name}, which is none of DEAD")
    if worker.fence is not None and worker.fence.by == worker.incarnation:
        yield Finding("fence", None, f"{name} was fenced by itself")
    if isinstance(position, int) and isinstance(head, int) and position > head:
        yield Finding("fence", None, f"{name} had gone at position {position}, beyond the last one given out, {head}")


def requests(read: Read, dialect: Dialect) -> Iterator[Finding]:
    """Yield what is wrong with the requests to cancel."""
    for found in read(_REQUESTS.format_map(dialect._asdict())):
        row = named(found)
        try:
            check_text(row)
            decode_request(row)
        except RecordDecodeError as error:
            yield Finding("request", id_text(row["execution_id"]), f"the request to cancel it: {error}")


def rejected(read: Read, dialect: Dialect) -> Iterator[Finding]:
    """Yield what is wrong with the ends that came too late."""
    for found in read(_REJECTED.format_map(dialect._asdict())):
        row = named(found)
        worker, owner, fenced_by, state, ended_by = (
            row.pop(name) for name in ("worker", "owner", "fenced_by", "state", "ended_by")
        )
        where = id_text(row["execution_id"])
        if worker != owner or fenced_by is None:
            yield Finding(
                "rejected", where, f"worker {describe(worker)} had an end rejected, but is not its owner, fenced"
            )
        if ended_by == owner and state not in {live.value for live in ExecutionState if not live.is_terminal}:
            yield Finding("rejected", where, "its owner had an end rejected, but has ended it")
        try:
            check_text(row)
            move = decode_rejected(row).move
            decode_column("result_json", move.result_json)
        except RecordDecodeError as error:
            yield Finding("rejected", where, f"its rejected end: {error}")
        else:
            yield from _end(where, move)


def chains(read: Read, dialect: Dialect) -> Iterator[Finding]:
    """Yield the executions that are in no chain: the first one is not there, or is none, or begins another one."""
    for row in map(named, read(_CHAINS.format(schema=dialect.schema))):
        first = row["first"]
        why = "which is not there" if first is None else "which begins no chain of this thread, user and message"
        yield Finding(
            "chain",
            id_text(row["execution_id"]),
            f"it is attempt {describe(row['attempt'])} after {describe(row['retry_of'])}, {why}",
        )


def _end(where: str, move: Transition) -> Iterator[Finding]:
    if not move.target.is_terminal or move.target not in TRANSITIONS[move.source]:
        yield Finding("rejected", where, f"the rejected move {move.source.name} -> {move.target.name} is no end")
    elif move.cause not in CAUSES[move.target] or move.evidence is None:
        yield Finding(
            "rejected", where, f"the rejected end {move.target.name} lacks a cause that it accepts, or evidence"
        )
    if move.result_json is not None and move.target is not ExecutionState.COMPLETED:
        yield Finding("rejected", where, f"the rejected end {move.target.name} has a result; only COMPLETED has one")
