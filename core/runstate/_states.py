"""The states of an execution, and the one table of legal moves.

Everything about legality lives in this file, and nothing else does: the typed handle, the check at run time, the SQL
constraints and triggers, the diagram in the README, the model test and the documentation read `TRANSITIONS` or are
generated from it, and a test fails when one of them drifts. A pair that is not in the table is an illegal move; there
is no second place to look. (The rule is h11's: "everything that affects the state machine must live here".)

How to read the table:

- An execution begins PENDING. It is *live* until it enters a *terminal* state, and terminal states absorb: their row
  is empty, so the first terminal move wins for ever.
- No state moves to itself and the table has no cycle, so an execution enters each state at most once. A handle that
  remembers the state of its last move can therefore be told from a stale one by that state alone.
- The four unhappy ends (FAILED, TIMEOUT, DEAD, CANCELLED) can be reached from every live state: nothing that happens
  to an execution may leave it without an end.
- A terminal state is entered with a `Cause`; `CAUSES` says which causes each terminal state accepts.

`ExecutionState` is a plain `Enum`, neither `str` nor `int`: type checkers then report `state == "running"`, which they
do not for a `StrEnum`. Its members are singletons, so the identity hash is sound, and it is about three times cheaper
than `Enum`'s own, which hashes the name in Python on every lookup in the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias


class ExecutionState(Enum):
    """Where one execution (one run of one agent for one user message) stands."""

    if TYPE_CHECKING:  # a plain assignment leaves its type to be inferred

        def __hash__(self) -> int: ...
    else:
        __hash__ = object.__hash__

    PENDING = "pending"
    """Registered; nothing has begun."""
    STARTING = "starting"
    """Being prepared: connections, context, tools."""
    RUNNING = "running"
    """The agent works."""
    COMPLETING = "completing"
    """The work is done, the answer is being delivered."""
    COMPLETED = "completed"
    """Ended with a result."""
    FAILED = "failed"
    """Ended by an error, or without an outcome."""
    TIMEOUT = "timeout"
    """Ended because its time limit passed."""
    DEAD = "dead"
    """Ended because nothing shows it alive any more."""
    CANCELLED = "cancelled"
    """Ended because somebody asked for it."""

    @property
    def is_terminal(self) -> bool:
        """Whether the state is an end: no move leads out of it."""
        return not TRANSITIONS[self]


class Phase(Enum):
    """What a live execution is doing right now. Never repeats the name of a state."""

    if TYPE_CHECKING:  # a plain assignment leaves its type to be inferred

        def __hash__(self) -> int: ...
    else:
        __hash__ = object.__hash__

    WEBSOCKET_SETUP = "websocket_setup"
    CONTEXT_VALIDATION = "context_validation"
    THINKING = "thinking"
    TOOL_PREPARATION = "tool_preparation"
    LLM_INTERACTION = "llm_interaction"
    TOOL_EXECUTION = "tool_execution"
    RESULT_PROCESSING = "result_processing"


class Cause(Enum):
    """Why an execution ended. Every terminal move carries one."""

    if TYPE_CHECKING:  # a plain assignment leaves its type to be inferred

        def __hash__(self) -> int: ...
    else:
        __hash__ = object.__hash__

    RETURNED = "returned"
    """The agent handed in its result."""
    RAISED = "raised"
    """An exception left the agent."""
    REPORTED = "reported"
    """A caller said so through the API; the tracker itself observed nothing."""
    NO_OUTCOME = "no_outcome"
    """The agent left its block without saying how it ended."""
    BREAKER_OPEN = "breaker_open"
    """The agent was not called, as it had failed too often of late."""
    FALLBACK = "fallback"
    """In the place of the agent, which had failed, its fallback answered; or it failed as well."""
    DEADLINE = "deadline"
    """The tracker saw the time limit pass."""
    NO_HEARTBEAT = "no_heartbeat"
    """The tracker saw no beat for longer than the heartbeat limit."""
    LOOP_BLOCKED = "loop_blocked"
    """The event loop of the execution did not turn."""
    PROCESS_EXITED = "process_exited"
    """The process that owned the execution is gone."""
    LEASE_EXPIRED = "lease_expired"
    """The owner's lease ran out unrenewed."""
    CANCELLED_BY_CALLER = "cancelled_by_caller"
    """Cancelled by the code that runs it or by a request."""
    SHUTDOWN = "shutdown"
    """The tracker closed, or the interpreter exited, while it was live."""


TRANSITIONS: Final[Mapping[ExecutionState, frozenset[ExecutionState]]] = MappingProxyType(
    {
        ExecutionState.PENDING: frozenset(
            {
                ExecutionState.STARTING,
                ExecutionState.RUNNING,
                ExecutionState.FAILED,
                ExecutionState.TIMEOUT,
                ExecutionState.DEAD,
                ExecutionState.CANCELLED,
            }
        ),
        ExecutionState.STARTING: frozenset(
            {
                ExecutionState.RUNNING,
                ExecutionState.FAILED,
                ExecutionState.TIMEOUT,
                ExecutionState.DEAD,
                ExecutionState.CANCELLED,
            }
        ),
        ExecutionState.RUNNING: frozenset(
            {
                ExecutionState.COMPLETING,
                ExecutionState.COMPLETED,
                ExecutionState.FAILED,
                ExecutionState.TIMEOUT,
                ExecutionState.DEAD,
                ExecutionState.CANCELLED,
            }
        ),
        ExecutionState.COMPLETING: frozenset(
            {
                ExecutionState.COMPLETED,
                ExecutionState.FAILED,
                ExecutionState.TIMEOUT,
                ExecutionState.DEAD,
                ExecutionState.CANCELLED,
            }
        ),
        ExecutionState.COMPLETED: frozenset(),
        ExecutionState.FAILED: frozenset(),
        ExecutionState.TIMEOUT: frozenset(),
        ExecutionState.DEAD: frozenset(),
        ExecutionState.CANCELLED: frozenset(),
    }
)
"""The one table: every state, and the states it may become. An empty set is a terminal state."""

INITIAL: Final = ExecutionState.PENDING
TERMINAL: Final = frozenset(state for state, targets in TRANSITIONS.items() if not targets)
LIVE: Final = frozenset(state for state, targets in TRANSITIONS.items() if targets)

CAUSES: Final[Mapping[ExecutionState, frozenset[Cause]]] = MappingProxyType(
    {
        ExecutionState.COMPLETED: frozenset({Cause.RETURNED, Cause.FALLBACK}),
        ExecutionState.FAILED: frozenset(
            {Cause.RAISED, Cause.REPORTED, Cause.NO_OUTCOME, Cause.BREAKER_OPEN, Cause.FALLBACK}
        ),
        ExecutionState.TIMEOUT: frozenset({Cause.DEADLINE, Cause.REPORTED}),
        ExecutionState.DEAD: frozenset(
            {
                Cause.NO_HEARTBEAT,
                Cause.LOOP_BLOCKED,
                Cause.PROCESS_EXITED,
                Cause.LEASE_EXPIRED,
                Cause.REPORTED,
            }
        ),
        ExecutionState.CANCELLED: frozenset({Cause.CANCELLED_BY_CALLER, Cause.SHUTDOWN}),
    }
)
"""Which causes each terminal state accepts."""

REPORTED_CAUSE: Final[Mapping[ExecutionState, Cause]] = MappingProxyType(
    {
        ExecutionState.COMPLETED: Cause.RETURNED,
        ExecutionState.FAILED: Cause.REPORTED,
        ExecutionState.TIMEOUT: Cause.REPORTED,
        ExecutionState.DEAD: Cause.REPORTED,
        ExecutionState.CANCELLED: Cause.CANCELLED_BY_CALLER,
    }
)
"""The cause of a terminal move whose caller names none."""

LiveState: TypeAlias = Literal[
    ExecutionState.PENDING, ExecutionState.STARTING, ExecutionState.RUNNING, ExecutionState.COMPLETING
]
"""The live states as a type: what a handle must know itself to be in to beat, change phase or end unhappily."""


def in_table_order(states: frozenset[ExecutionState]) -> tuple[ExecutionState, ...]:
    """Sort states as the table lists them, for messages and diagrams that must not depend on hashes."""
    return tuple(state for state in ExecutionState if state in states)
