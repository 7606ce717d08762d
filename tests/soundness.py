"""What must hold in a journal's file whatever was done to the process that wrote it, asked twice.

Once in raw SQL: that shares no code with runstate but the transition table, so a mistake in runstate's own reading cannot
hide one in its writing. And once by `runstate.verify`, which knows more rules.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import groupby
from pathlib import Path

import runstate
from runstate import CAUSES, TRANSITIONS, Cause, ExecutionState

_LOGS = """
SELECT x.execution_id, x.state, x.seq, e.seq, e.source, e.target, e.phase, e.cause, e.evidence_json
FROM executions AS x LEFT JOIN entries AS e ON e.number = x.number ORDER BY x.number, e.seq
"""


def findings(path: Path) -> list[str]:
    """Everything that is wrong with the file; empty when nothing is."""
    with closing(sqlite3.connect(path)) as connection:
        found = [f"integrity: {row[0]}" for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        found += [f"foreign key: {row}" for row in connection.execute("PRAGMA foreign_key_check")]
        rows = connection.execute(_LOGS).fetchall()
    for execution_id, log in groupby(rows, key=lambda row: row[0]):
        found += [f"{execution_id}: {finding}" for finding in _wrong_with(list(log))]
    return found + [f"verify: {finding}" for finding in runstate.verify(path)]


def states(path: Path) -> dict[str, ExecutionState]:
    """The state of every execution in the file."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT execution_id, state FROM executions").fetchall()
    return {execution_id: ExecutionState(state) for execution_id, state in rows}


def _wrong_with(log: list[tuple[str, ...]]) -> Iterator[str]:
    _, stored_state, stored_seq, *_ = log[0]
    if [row[3] for row in log] != list(range(1, int(stored_seq) + 1)):
        yield f"its entries are numbered {[row[3] for row in log]}, and it says {stored_seq}"
        return
    state: ExecutionState | None = None
    ends = 0
    for _, _, _, seq, source, target, phase, cause, evidence in log:
        if state is not None and state.is_terminal:
            yield f"entry {seq} comes after the end"
        if phase is not None or target is None:  # a warning changes nothing either
            continue
        after = ExecutionState(target)
        if state is None:
            if (source, after) != (None, ExecutionState.PENDING):
                yield f"it begins with {source} -> {target}"
        elif source != state.value or after not in TRANSITIONS[state]:
            yield f"entry {seq} moves {source} -> {target} from {state.value}"
        if after.is_terminal:
            ends += 1
            if cause is None or Cause(cause) not in CAUSES[after] or "observer" not in json.loads(evidence):
                yield f"it ended {target} with cause {cause} and evidence {evidence}"
        state = after
    if ends > 1:
        yield f"it has {ends} ends"
    if state is None or state.value != stored_state:
        yield f"its log leads to {state}, and it says {stored_state}"
