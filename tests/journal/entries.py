"""Entries as the decider makes them, for tests that talk to a journal directly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runstate import CAUSES, Cause, Created, Entry, Evidence, ExecutionState, Phase, PhaseChange, Transition, Warned

from ..clock import SECOND
from ..moves import CAUSE_OF_VERB, path_to

START_NS = 1_800_000_000 * SECOND
WORKER = "host:1:0123456789abcdef"
OTHER_WORKER = "host:2:fedcba9876543210"
THIRD_WORKER = "host:3:0000000000000000"
EVIDENCE = Evidence("owner", 3, 0.25, Phase.THINKING, "deeply", None, "asked to")


def created(execution_id: str, **options: Any) -> Created:
    """Make the first entry of an execution."""
    fields: dict[str, Any] = {
        "execution_id": execution_id,
        "seq": 1,
        "at_ns": START_NS,
        "agent": "a",
        "thread_id": "t",
        "user_id": "u",
        "incarnation": WORKER,
        "timeout": 25.0,
        "heartbeat_timeout": None,
        "metadata_json": None,
    }
    return Created(**{**fields, **options})


def moved(execution_id: str, seq: int, source: ExecutionState, target: ExecutionState, **options: Any) -> Transition:
    """Make a move, complete with what its target asks for."""
    fields: dict[str, Any] = {"at_ns": START_NS + seq, "incarnation": WORKER}
    if target in CAUSES:
        fields |= {"cause": CAUSE_OF_VERB[target], "evidence": EVIDENCE}
        if target is ExecutionState.COMPLETED:
            fields["result_json"] = b'{"text":"done"}'
        elif target is ExecutionState.FAILED:
            fields |= {"cause": Cause.RAISED, "error": "ValueError: broken"}
    return Transition(execution_id, seq, source=source, target=target, **{**fields, **options})


def phased(execution_id: str, seq: int, phase: Phase = Phase.THINKING, **options: Any) -> PhaseChange:
    """Make a change of phase."""
    fields: dict[str, Any] = {"at_ns": START_NS + seq, "detail": None, "incarnation": WORKER}
    return PhaseChange(execution_id, seq, phase=phase, **{**fields, **options})


def warned(execution_id: str, seq: int, cause: Cause = Cause.LOOP_BLOCKED, **options: Any) -> Warned:
    """Make a warning."""
    fields: dict[str, Any] = {"at_ns": START_NS + seq, "detail": "time.sleep(60)", "incarnation": WORKER}
    return Warned(execution_id, seq, cause=cause, **{**fields, **options})


def life(
    execution_id: str, state: ExecutionState, *, at_ns: int = START_NS, incarnation: str = WORKER, **options: Any
) -> list[Entry]:
    """Make the log of an execution that has come to *state* on the shortest way, all at one time."""
    entries: list[Entry] = [created(execution_id, at_ns=at_ns, incarnation=incarnation, **options)]
    source = ExecutionState.PENDING
    for target in path_to(state):
        entries.append(moved(execution_id, len(entries) + 1, source, target, at_ns=at_ns, incarnation=incarnation))
        source = target
    return entries


def seconds_later(seconds: float) -> int:
    """A time after the start of all tests, in nanoseconds."""
    return START_NS + round(seconds * SECOND)


def lives(names: Sequence[str], state: ExecutionState, **options: Any) -> list[Entry]:
    """Make one log after the other."""
    return [entry for name in names for entry in life(name, state, **options)]
