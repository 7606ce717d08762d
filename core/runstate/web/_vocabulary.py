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

A call that is tried again is a chain of executions, and its user waits for one answer. So in a conversation the end of an attempt that
another follows is no event at all; the next attempt says by `retry_of` and `attempt` what it goes on with. Whoever follows that one
execution is told how it ended, with `is_final` false.

What does not follow from the entry alone the fold remembers of each live execution: its place in a chain, whether another attempt follows,
and the tool that is being executed. An attempt that follows is created before the end of the one before it. Of an execution whose
beginning it has not seen the fold reads the log once, and at its unhappy end the chain, so who resumes in the middle is told the same.

Ids: an event's id is the position of its entry. Of two events of one entry the first has `.0` behind it: who has seen that and no more
resumes with the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from runstate import (
    Created,
    Entry,
    Event,
    ExecutionRecord,
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
_ENDS: Final = frozenset(FINAL.values())
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
    is_passing: bool = False
    """Whether it is the end of an attempt that another follows, which is news only to who follows this one execution."""


class Reader(Protocol):
    """Reads from the journal what a fold has not seen."""

    async def log(self, execution_id: str) -> Sequence[Entry]:
        """Read the whole log of an execution."""
        ...

    async def chain(self, execution_id: str) -> Sequence[ExecutionRecord]:
        """Read all attempts of the chain that an execution is in."""
        ...


class _Known:
    """What is remembered of a live execution."""

    __slots__ = ("began", "tool", "was_seen")

    def __init__(self, began: Created, *, was_seen: bool) -> None:
        self.began = began
        self.was_seen = was_seen
        """Whether its creation came by here, so that what follows it will as well."""
        self.tool: Tool | None = None

    def facts(self) -> dict[str, Any]:
        """Its place in a chain, as every client event has it."""
        return {"message_id": self.began.message_id, "retry_of": self.began.retry_of, "attempt": self.began.attempt}


class Fold:
    """Turns the journal's events, in their order, into client events.

    Args:
        reader: Asked for what was not seen.
        of_one: Whether all events are of one execution, so that attempts that follow it do not come by.
    """

    def __init__(self, reader: Reader, *, of_one: bool = False) -> None:
        self._reader = reader
        self._of_one = of_one
        self._live: dict[str, _Known] = {}
        self._places: set[tuple[str, int]] = set()
        """The live executions' places: their chain's first one, and which attempt they are."""

    async def tell(self, event: Event) -> tuple[ClientEvent, ...]:
        """Return the client events of the next event: none, one or two.

        Raises:
            UnknownExecutionError: Its execution has been removed meanwhile, and what it was doing cannot be known.
            JournalError: The log of its execution cannot be read.
        """
        entry = event.entry
        if isinstance(entry, Created):
            self._begin(_Known(entry, was_seen=not self._of_one))
            return ()
        if isinstance(entry, Warned):
            return ()
        known = self._live.get(entry.execution_id) or await self._look_up(entry)
        tool = known.tool
        is_passing = False
        if isinstance(entry, Transition) and entry.target.is_terminal:
            is_passing = await self._is_followed(known, entry)
            self._forget(known.began)
        else:
            known.tool = _tool_after(tool, entry)
        return _numbered(event.position, _told(tool, entry), known.facts(), is_passing=is_passing)

    def _begin(self, known: _Known) -> None:
        self._live[known.began.execution_id] = known
        self._places.add(_place(known.began))

    def _forget(self, began: Created) -> None:
        del self._live[began.execution_id]
        self._places.discard(_place(began))

    async def _look_up(self, entry: Transition | PhaseChange) -> _Known:
        """Find out what an execution was doing whose beginning was not seen."""
        known: _Known | None = None
        for one in await self._reader.log(entry.execution_id):
            if isinstance(one, Created):
                known = _Known(one, was_seen=False)
            elif known is not None and one.seq < entry.seq and isinstance(one, Transition | PhaseChange):
                known.tool = _tool_after(known.tool, one)
        if known is None:
            raise UnknownExecutionError(entry.execution_id)
        self._begin(known)
        return known

    async def _is_followed(self, known: _Known, end: Transition) -> bool:
        first, attempt = _place(known.began)
        is_followed = (first, attempt + 1) in self._places
        if is_followed or known.was_seen or end.target is ExecutionState.COMPLETED:
            return is_followed
        return any(one.attempt == attempt + 1 for one in await self._reader.chain(end.execution_id))


def _place(began: Created) -> tuple[str, int]:
    return began.retry_of or began.execution_id, began.attempt


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


def _numbered(
    position: int, told: list[tuple[str, dict[str, Any]]], place: dict[str, Any], *, is_passing: bool
) -> tuple[ClientEvent, ...]:
    last = len(told) - 1
    events: list[ClientEvent] = []
    for index, (name, facts) in enumerate(told):
        is_end = name in _ENDS
        data = {**place, **facts, "is_final": not is_passing} if is_end else {**place, **facts}
        events.append(
            ClientEvent(name, str(position) if index == last else f"{position}.{index}", data, is_end and is_passing)
        )
    return tuple(events)
