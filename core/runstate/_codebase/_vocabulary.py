"""What members of foreign enums mean: which `ExecutionState` a name stands for, and which classes are look-alikes.

The legacy trackers' own words come first (SUCCESS, ABORTED, INITIALIZING and RECOVERING mean what the migration of the
legacy system made of them); the others are the common synonyms of the field.
"""

from __future__ import annotations

import re
from typing import Final

from runstate import TRANSITIONS, ExecutionState

from ._facts import ClassFacts

_SYNONYMS: Final = {
    ExecutionState.PENDING: "pending queued created new waiting scheduled registered submitted not_started accepted",
    ExecutionState.STARTING: "starting initializing initialising recovering preparing launching booting provisioning",
    ExecutionState.RUNNING: "running in_progress inprogress active working executing processing started ongoing",
    ExecutionState.COMPLETING: "completing finishing finalizing finalising",
    ExecutionState.COMPLETED: "completed complete success succeeded successful done finished",
    ExecutionState.FAILED: "failed failure fail error errored crashed",
    ExecutionState.TIMEOUT: "timeout timed_out timedout",
    ExecutionState.DEAD: "dead lost zombie stalled unresponsive",
    ExecutionState.CANCELLED: "cancelled canceled aborted killed terminated interrupted revoked",
}
_MEANING: Final = {word: state for state, words in _SYNONYMS.items() for word in words.split()}

LEGACY: Final = {
    **{state.name: state for state in ExecutionState},
    "INITIALIZING": ExecutionState.STARTING,
    "SUCCESS": ExecutionState.COMPLETED,
    "ABORTED": ExecutionState.CANCELLED,
    "RECOVERING": ExecutionState.STARTING,
}
"""What the members of the legacy trackers' enums became."""

_LEAST: Final = 3
_SHARE: Final = 0.6
"""The share of the members that must mean a state before an enum is taken for an enum of states."""

_LIFECYCLE: Final = re.compile(
    r"(register|create|begin|start|complete|finish|end|fail|kill|cancel|abort|update)_(agent_)?execution(_state|_status|_progress)?"
)
_COMPETING_NAME: Final = re.compile(r"(Agent)?Execution(State|Status)(Enum)?")
_TRACKER_NAME: Final = re.compile(r"Track|Registry|Monitor")


def meaning(name: str) -> ExecutionState | None:
    """Return the state that a member's name stands for; None where it stands for none."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().strip("_").replace("-", "_").replace(" ", "_")
    return _MEANING.get(words)


def mapping(facts: ClassFacts) -> dict[str, ExecutionState | None]:
    """Map each member of a class onto the state that it stands for."""
    return {member.name: meaning(member.name) for member in facts.members}


def is_state_like(facts: ClassFacts, *, is_enum: bool) -> bool:
    """Whether a class, or an alias of a Literal, enumerates states of an execution."""
    if not (is_enum or facts.is_literal or _is_constants(facts)):
        return False
    told = mapping(facts)
    states = {state for state in told.values() if state is not None}
    live = {state for state in states if TRANSITIONS[state]}
    known = sum(state is not None for state in told.values())
    return len(states) >= _LEAST and bool(live) and live != states and known >= _SHARE * len(told)


def _is_constants(facts: ClassFacts) -> bool:
    """Whether a class is nothing but names for texts."""
    if facts.bases or facts.methods or len(facts.members) < _LEAST:
        return False
    return all(member.name.isupper() and member.value is not None for member in facts.members)


def is_tracker_like(facts: ClassFacts) -> bool:
    """Whether a class moves executions: two of its methods do what a tracker's do, and its name says so."""
    moving = [one for one in facts.methods if _LIFECYCLE.fullmatch(one.name)]
    beats = [one for one in facts.methods if one.name.endswith("heartbeat") and not one.name.startswith("_")]
    return len(moving) + len(beats) >= 2 and bool(moving) and bool(_TRACKER_NAME.search(facts.name))


def is_execution_name(name: str) -> bool:
    """Whether a class name says that it is about executions and their states."""
    words = name.lower()
    return "execution" in words and ("state" in words or "status" in words)


def is_competing_name(name: str) -> bool:
    """Whether a class name says that it is about executions as such, and not about those of one kind of thing."""
    return _COMPETING_NAME.fullmatch(name.rpartition(".")[2]) is not None
