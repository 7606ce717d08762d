"""The account: what the journal says after the replay, read back from the file, execution by execution."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import runstate
from runstate import (
    Cancelled,
    Cause,
    Completed,
    Died,
    ExecutionState,
    Failed,
    Finding,
    Json,
    Outcome,
    TimedOut,
    Transition,
)

from ._replay import Replay

_ALL: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Account:
    """What became of every execution."""

    ends: dict[tuple[ExecutionState, Cause | None], int]
    """Executions by state and cause, in the order of the states."""
    executions: int
    silent: int
    """Executions without exactly one end, and asked turns whose asker got no outcome, or another one than the journal's."""
    moves: int
    entries: int
    file_bytes: int
    findings: tuple[Finding, ...]


def account(path: Path, done: Replay) -> Account:
    """Read back a closed journal and compare it with what the askers got.

    Args:
        path: The journal.
        done: The replay that wrote it.
    """
    file_bytes = path.stat().st_size  # closing has checkpointed it: everything is in the one file
    findings = runstate.verify(path)
    ends: Counter[tuple[ExecutionState, Cause | None]] = Counter()
    moves = entries = 0
    silent = done.unheard
    with runstate.open(path, read_only=True) as reader:
        records = {record.execution_id: record for record in reader.find(limit=_ALL)}
        for execution_id, record in records.items():
            timeline = reader.timeline(execution_id)
            made = [entry for entry in timeline if isinstance(entry, Transition)]
            ended = sum(move.target.is_terminal for move in made) == 1
            heard = done.asked.get(execution_id)
            silent += not (ended and heard is not None and _state_of(heard) is record.state)
            ends[record.state, record.cause] += 1
            moves += len(made)
            entries += len(timeline)
    silent += len(done.asked.keys() - records.keys())
    in_order = {
        (state, cause): ends[state, cause] for state in ExecutionState for cause in (*Cause, None) if ends[state, cause]
    }
    return Account(in_order, len(records), silent, moves, entries, file_bytes, findings)


def _state_of(outcome: Outcome[Json]) -> ExecutionState:
    match outcome:
        case Completed():
            return ExecutionState.COMPLETED
        case Failed():
            return ExecutionState.FAILED
        case TimedOut():
            return ExecutionState.TIMEOUT
        case Died():
            return ExecutionState.DEAD
        case Cancelled():
            return ExecutionState.CANCELLED
