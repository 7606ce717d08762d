"""PostgreSQL by hand: the rows that runstate writes, in tables with runstate's columns, checks and indexes, and nothing else.

No triggers, no compare-and-set across statements, no order of positions, no retention: the floor of what the journal can cost. As a
program (`python -m bench.rivals.postgres_by_hand URL`) it writes one batch for each line that it is given, as its four like do
beside it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import psycopg

BATCH = 768
"""Executions in one transaction: 3,840 entries."""
SCHEMA = """
CREATE SCHEMA hand;
CREATE TABLE hand.executions (LIKE runstate.executions INCLUDING ALL);
CREATE TABLE hand.entries (LIKE runstate.entries INCLUDING ALL);
"""
_RUNNING = """
INSERT INTO hand.executions (execution_id, agent, thread_id, user_id, worker, created_at_ns, updated_at_ns, timeout, state, seq)
VALUES (%s, 'airline', 't-1', 'u-1', 1, %s, %s, 25, 'running', 2)
"""
_END = """
WITH moved AS (
    UPDATE hand.executions SET seq = 3, state = 'completed', updated_at_ns = %(at)s, ended_at_ns = %(at)s
    WHERE execution_id = %(id)s AND seq = 2 AND state = 'running' AND worker = 1
    RETURNING number
)
INSERT INTO hand.entries (number, seq, at_ns, worker, source, target, cause, evidence_json, result_json)
SELECT number, 3, %(at)s, 1, 'running', 'completed', 'returned', %(evidence)s, %(result)s FROM moved
RETURNING position
"""
_COLUMNS = """
AS b (execution_id text, seq bigint, at_ns bigint, source text, target text, cause text, evidence_json text, result_json text)
"""
_EXECUTIONS = f"""
INSERT INTO hand.executions (execution_id, agent, thread_id, user_id, worker, created_at_ns, updated_at_ns, timeout)
SELECT execution_id, 'airline', 't-1', 'u-1', 1, at_ns, at_ns, 25 FROM json_to_recordset(%s) {_COLUMNS} WHERE seq = 1
"""
_ENTRIES = f"""
WITH added AS (
    INSERT INTO hand.entries (number, seq, at_ns, worker, source, target, cause, evidence_json, result_json)
    SELECT x.number, b.seq, b.at_ns, 1, b.source, b.target, b.cause, b.evidence_json, b.result_json
    FROM json_to_recordset(%s) {_COLUMNS} JOIN hand.executions AS x USING (execution_id)
    RETURNING number, seq, at_ns
)
UPDATE hand.executions AS x SET seq = 5, state = 'completed', updated_at_ns = a.at_ns, ended_at_ns = a.at_ns
FROM added AS a WHERE a.number = x.number AND a.seq = 5
"""
_EVIDENCE = '{"observer":"owner","beats":0,"last_beat_age":1e-05}'
_RESULT = '{"text":"Your seat is booked."}'
_PATH = ("pending", "starting", "running", "completing", "completed")

_numbers = count(1)


def durable_end(connection: psycopg.Connection[Any]) -> Callable[[], None]:
    """Make an execution that runs; return what ends it durably, in one statement."""
    name, at = f"hand-{next(_numbers)}", time.time_ns()
    connection.execute(_RUNNING, (name, at, at))

    def end() -> None:
        values = {"id": name, "at": time.time_ns(), "evidence": _EVIDENCE, "result": _RESULT}
        if connection.execute(_END, values, prepare=True).fetchone() is None:
            raise AssertionError("the end was refused")

    return end


def write_batch(connection: psycopg.Connection[Any]) -> None:
    """Write whole lives in one transaction, in the order in which tasks would make them."""
    names = [f"hand-{os.getpid()}-{next(_numbers)}" for _ in range(BATCH)]
    rows: list[dict[str, object]] = []
    for seq, (source, target) in enumerate(zip((None, *_PATH), _PATH, strict=False), start=1):
        end = {"cause": "returned", "evidence_json": _EVIDENCE, "result_json": _RESULT} if seq == len(_PATH) else {}
        at = time.time_ns()
        rows += [
            {"execution_id": name, "seq": seq, "at_ns": at, "source": source, "target": target, **end} for name in names
        ]
    encoded = json.dumps(rows)
    with connection.transaction():
        connection.execute(_EXECUTIONS, (encoded,), prepare=True)
        connection.execute(_ENTRIES, (encoded,), prepare=True)


if __name__ == "__main__":
    with psycopg.connect(sys.argv[1], autocommit=True) as connection:
        connection.execute("SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off")
        for _ in sys.stdin:
            write_batch(connection)
            print("done", flush=True)
