"""The seven events that chat front ends know, as a fold over the journal's entries.

| entry | client event |
|---|---|
| PENDING becomes live: STARTING, or RUNNING at once | `agent_started` |
| phase THINKING, TOOL_PREPARATION, LLM_INTERACTION, RESULT_PROCESSING | `agent_thinking` |
| phase TOOL_EXECUTION | `tool_executing`, with the phase's detail as the tool's name |
| that phase is left: for another phase, for COMPLETING or for COMPLETED | `tool_completed`, before the event of what comes next |
| COMPLETED | `agent_completed` |
| FAILED, TIMEOUT, CANCELLED | `agent_error` |
| DEAD | `agent_death` |

An execution has exactly one end, and so exactly one final event. A tool that an unhappy end interrupts was not completed, and nobody is
told that it was; the final event names it.

All but one thing follows from the entry alone: whether a tool is being executed. The fold remembers it for each live execution. Of one
whose beginning it has not seen it reads the log once, so who resumes in the middle of an execution knows the phase that it was in.

Ids: an event's id is the position of its entry. Of two events of one entry the first has `.0` behind it: who has seen that and no more
resumes with the second.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from runstate import (
    Created,
    Entry,
    Event,
    ExecutionState,
    Phase,
    PhaseChange,
    Transition,
    UnknownExecutionError,
    Warned,
)

THINKING: Final = frozenset({Phase.THINKING, Phase.TOOL_PREPARATION, Phase.LLM_INTERACTION, Phase.RESULT_PROCESSING})
"""Phases that are thinking to a chat front end."""
_HAPPY: Final = frozenset({ExecutionState.COMPLETING, ExecutionState.COMPLETED})
FINAL: Final = {
    ExecutionState.COMPLETED: "agent_completed",
    ExecutionState.FAILED: "agent_error",
    ExecutionState.TIMEOUT: "agent_error",
    ExecutionState.CANCELLED: "agent_error",
    ExecutionState.DEAD: "agent_death",
}
"""The one final event of each end."""
CLIENT_EVENTS: Final = (
    *("agent_started", "agent_thinking", "tool_executing", "tool_completed"),
    *("agent_completed", "agent_error", "agent_death"),
)
"""All of them."""


class Tool(NamedTuple):
    """A tool that is being executed."""

    name: str | None
    """None if the phase was entered without one."""


class ClientEvent(NamedTuple):
    """One event as chat front ends know it."""

    name: str
    id: str
    facts: dict[str, Any]
    """What it tells besides whose it is and when."""


Log = Callable[[str], Awaitable[Sequence[Entry]]]
"""Reads the whole log of an execution."""


class Fold:
    """Turns the journal's events, in their order, into client events.

    Args:
        log: Asked for the log of an execution whose beginning was not seen.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._tools: dict[str, Tool | None] = {}

    async def tell(self, event: Event) -> tuple[ClientEvent, ...]:
        """Return the client events of the next event: none, one or two.

        Raises:
            UnknownExecutionError: Its execution has been removed meanwhile, and what it was doing cannot be known.
            JournalError: The log of its execution cannot be read.
        """
        entry = event.entry
        execution_id = entry.execution_id
        if isinstance(entry, Created):
            self._tools[execution_id] = None
            return ()
        if isinstance(entry, Warned):
            return ()
        if execution_id not in self._tools and entry.seq > 2:  # the first entry is its creation
            self._tools[execution_id] = _tool_before(entry.seq, await self._log(execution_id))
        tool = self._tools.get(execution_id)
        if isinstance(entry, Transition) and entry.target.is_terminal:
            self._tools.pop(execution_id, None)
        else:
            self._tools[execution_id] = _tool_after(tool, entry)
        return _numbered(event.position, _told(tool, entry))


def _tool_before(seq: int, log: Sequence[Entry]) -> Tool | None:
    tool: Tool | None = None
    for entry in log:
        if entry.seq >= seq:
            return tool
        if isinstance(entry, Transition | PhaseChange):
            tool = _tool_after(tool, entry)
    raise UnknownExecutionError(log[0].execution_id if log else "")


def _tool_after(tool: Tool | None, entry: Transition | PhaseChange) -> Tool | None:
    if isinstance(entry, PhaseChange):
        return Tool(entry.detail) if entry.phase is Phase.TOOL_EXECUTION else None
    return None if entry.target in _HAPPY else tool


def _told(tool: Tool | None, entry: Transition | PhaseChange) -> list[tuple[str, dict[str, Any]]]:
    told: list[tuple[str, dict[str, Any]]] = []
    is_left = isinstance(entry, PhaseChange) or entry.target in _HAPPY
    if tool is not None and is_left:
        told.append(("tool_completed", {"tool_name": tool.name}))
    if isinstance(entry, PhaseChange):
        if entry.phase is Phase.TOOL_EXECUTION:
            told.append(("tool_executing", {"tool_name": entry.detail}))
        elif entry.phase in THINKING:
            told.append(("agent_thinking", {"phase": entry.phase.value, "detail": entry.detail}))
    elif entry.target.is_terminal:
        told.append((FINAL[entry.target], _end(tool, entry)))
    elif entry.source is ExecutionState.PENDING:
        told.append(("agent_started", {}))
    return told


def _end(tool: Tool | None, entry: Transition) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "state": entry.target.value,
        "cause": None if entry.cause is None else entry.cause.value,
    }
    if entry.target is ExecutionState.COMPLETED:
        return {**facts, "result": entry.result}
    return {**facts, "error": entry.error, "tool_name": None if tool is None else tool.name}


def _numbered(position: int, told: list[tuple[str, dict[str, Any]]]) -> tuple[ClientEvent, ...]:
    last = len(told) - 1
    return tuple(
        ClientEvent(name, str(position) if index == last else f"{position}.{index}", facts)
        for index, (name, facts) in enumerate(told)
    )
