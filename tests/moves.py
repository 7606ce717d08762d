"""How to bring an execution into any state by legal moves, and which verb of a handle leads to which state."""

from __future__ import annotations

from typing import Any

from runstate import TRANSITIONS, Cause, Execution, ExecutionState, ExecutionTracker

VERBS: dict[ExecutionState, tuple[str, tuple[object, ...]]] = {
    ExecutionState.STARTING: ("start", ()),
    ExecutionState.RUNNING: ("run", ()),
    ExecutionState.COMPLETING: ("finish", ()),
    ExecutionState.COMPLETED: ("complete", ({"text": "done"},)),
    ExecutionState.FAILED: ("fail", ("broken",)),
    ExecutionState.TIMEOUT: ("time_out", ()),
    ExecutionState.DEAD: ("die", ()),
    ExecutionState.CANCELLED: ("cancel", ()),
}
"""The verb that leads to each state, with arguments. There is none for PENDING."""

CAUSE_OF_VERB: dict[ExecutionState, Cause] = {
    ExecutionState.COMPLETED: Cause.RETURNED,
    ExecutionState.FAILED: Cause.REPORTED,
    ExecutionState.TIMEOUT: Cause.REPORTED,
    ExecutionState.DEAD: Cause.REPORTED,
    ExecutionState.CANCELLED: Cause.CANCELLED_BY_CALLER,
}
"""The cause of each end when the caller names none."""

PAIRS = [(source, target) for source in ExecutionState for target in ExecutionState]
LEGAL = [(source, target) for source, target in PAIRS if target in TRANSITIONS[source]]
ILLEGAL = [pair for pair in PAIRS if pair not in LEGAL]


def pair_id(pair: tuple[ExecutionState, ExecutionState]) -> str:
    """Name a pair in a test's id."""
    return f"{pair[0].name}-{pair[1].name}"


def path_to(state: ExecutionState) -> list[ExecutionState]:
    """Return the shortest way from PENDING, without PENDING itself."""
    paths: dict[ExecutionState, list[ExecutionState]] = {ExecutionState.PENDING: []}
    queue = [ExecutionState.PENDING]
    while queue:
        source = queue.pop(0)
        for target in ExecutionState:
            if target in TRANSITIONS[source] and target not in paths:
                paths[target] = [*paths[source], target]
                queue.append(target)
    return paths[state]


def move(handle: Execution[Any], target: ExecutionState) -> Execution[Any]:
    """Call the verb that leads to *target*, whatever a type checker would say."""
    verb, arguments = VERBS[target]
    moved: Execution[Any] = getattr(handle, verb)(*arguments)
    return moved


def create(tracker: ExecutionTracker, **options: Any) -> Execution[Any]:
    """Create an execution of agent `a`, thread `t`, user `u`, unless told otherwise."""
    return tracker.create(**{"agent": "a", "thread_id": "t", "user_id": "u", **options})


def bring_to(tracker: ExecutionTracker, state: ExecutionState, **options: Any) -> Execution[Any]:
    """Create an execution and bring it into *state* through its handle; return the newest handle."""
    handle = create(tracker, **options)
    for target in path_to(state):
        handle = move(handle, target)
    return handle
