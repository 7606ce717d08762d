"""The phases of one execution and the events that they send: each once where it tells of a turn, and all in order.

The bridge of the last reported phase is remembered. So a tool is told to be done when its phase is left, and whatever ends the
execution, a passed limit included, reaches the user.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final

from ... import ExecutionState
from .._callbacks import running_loop
from .._life import SETTLE, Life
from .._outbox import Event, Outbox
from .._refusals import logger
from .._shared import Shared
from .._times import when
from ._phases import CORE, FOLLOWING, ONCE, STATES, end_event, phase_event, tool_completed_event, tool_name
from ._records import ENDING, AgentExecutionPhase, PhaseTransition, current_phase, view

HISTORY: Final = 1_000
"""How many changes of phase an execution keeps, the newest."""

_ENDS: Final = frozenset({"agent_completed", "agent_error", "agent_death"})
_ORDER: Final = {state: place for place, state in enumerate(ExecutionState)}
_ANNOUNCED: Final = AgentExecutionPhase.COMPLETED
_TOOL: Final = AgentExecutionPhase.TOOL_EXECUTION


class Courier:
    """One execution's. Made when its first phase is reported."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._bridge: object = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._outbox = Outbox(life.execution_id)
        self._sent: set[str] = set()
        self._phase = current_phase(life)
        self._entered_ns = life.started_ns
        self._metadata: Mapping[str, Any] = {}
        self._ending: Mapping[str, Any] | None = None
        self._arrivals: list[Future[None]] = []
        life.endings.append(self.end)

    @property
    def arrivals(self) -> list[Future[None]]:
        """The futures of the events of its end, once it has ended."""
        return self._arrivals

    def connect(self, bridge: object) -> None:
        """Send what there will be to say to this bridge, on the event loop that runs here; None leaves the present one."""
        if bridge is not None:
            self._bridge, self._loop = bridge, running_loop()

    def report(
        self,
        core: Shared,
        phase: AgentExecutionPhase,
        metadata: Mapping[str, Any],
        bridge: object,
        *,
        in_order: bool = True,
    ) -> list[Future[None]]:
        """Take a phase as reported: the state goes along, and the events are posted.

        Args:
            core: What moves the execution.
            phase: The phase.
            metadata: What is said of it.
            bridge: Where its event goes; None sends none, unless a tool is done by it or the execution ends.
            in_order: Whether an order that was not foreseen is worth a warning.

        Returns:
            A future for each event.

        Raises:
            RunstateError: The execution has ended otherwise, or the state cannot go along; nothing was sent.
        """
        life = self._life
        with life.lock:
            self.connect(bridge)
            if life.state.is_terminal and ENDING[life.state] is phase:
                return self._post(self._fresh([phase_event(life, view(life), phase, metadata)] if bridge else []))
            if in_order and phase not in FOLLOWING.get(self._phase, frozenset()):
                logger.warning("unforeseen phase of %s: %s after %s", life.execution_id, phase.value, self._phase.value)
            self._ending, self._arrivals = metadata, []
            try:
                self._take_along(core, phase, metadata)
            finally:
                self._ending = None
            if life.state.is_terminal:
                return self._arrivals  # `end` has entered the phase and posted what there is to say
            events, change = self._enter(phase, metadata)
            told = None if bridge is None else phase_event(life, view(life), phase, metadata)
            fresh = self._fresh([*events, told])
            arrivals = self._post(fresh)
            if told is not None and told in fresh:
                arrivals[-1].add_done_callback(lambda done: _note_sent(change, done))
            return arrivals

    def end(self) -> None:
        """The execution has ended: enter the phase of that end, and tell of it unless that was done."""
        life = self._life
        with life.lock:
            phase = ENDING[life.state]
            events: list[Event | None] = []
            said = self._ending
            if self._phase is not phase:
                events, _ = self._enter(phase, said or {})
            if not self._sent & _ENDS:
                events.append(
                    end_event(life, view(life)) if said is None else phase_event(life, view(life), phase, said)
                )
            self._arrivals = self._post(self._fresh(events))

    def _take_along(self, core: Shared, phase: AgentExecutionPhase, metadata: Mapping[str, Any]) -> None:
        life, target = self._life, STATES.get(phase)
        if life.state.is_terminal:
            core.move(life, target or life.state)  # refused, with the reason
        elif target is not None and target.is_terminal:
            text = metadata.get("error")
            core.move(life, target, error=f"the phase {phase.value} was reported" if text is None else text)
            life.facts["announced"] = target
        elif target is not None and _ORDER[target] > _ORDER[life.state]:
            core.move(life, target)
        if (same := CORE.get(phase)) is not None and life.execution is not None:
            life.execution.phase(same, tool_name(metadata) if phase is _TOOL else None)
        if phase is _ANNOUNCED:
            life.facts["announced"] = ExecutionState.COMPLETED
            core.announce(life, ExecutionState.COMPLETED, SETTLE)
        life.sign()

    def _enter(
        self, phase: AgentExecutionPhase, metadata: Mapping[str, Any]
    ) -> tuple[list[Event | None], PhaseTransition]:
        """Note a change of phase; return the event of a tool that is done by it, and the change."""
        life, now_ns = self._life, self._life.clock()
        record = view(life)
        lasted_ms = (now_ns - self._entered_ns) / 1e6
        change = PhaseTransition(self._phase, phase, when(life.now_ns), lasted_ms, dict(metadata))
        events: list[Event | None] = []
        if self._phase is _TOOL and self._bridge is not None:
            events.append(tool_completed_event(life, record, self._metadata, metadata, lasted_ms))
        history: list[PhaseTransition] = record.phase_history
        history.append(change)
        del history[:-HISTORY]
        self._phase, self._entered_ns, self._metadata = phase, now_ns, metadata
        life.facts["current_phase"] = phase
        return events, change

    def _fresh(self, events: list[Event | None]) -> list[Event]:
        """Leave out what has been sent and is sent once only."""
        fresh = [event for event in events if event is not None and event.name not in self._sent]
        self._sent |= {event.name for event in fresh if event.name in ONCE}
        return fresh

    def _post(self, events: list[Event]) -> list[Future[None]]:
        return [] if self._bridge is None else self._outbox.post(self._loop, self._bridge, events)


def courier_of(life: Life) -> Courier:
    """Return the one courier of an execution."""
    with life.lock:
        found: Courier | None = life.facts.get("courier")
        if found is None:
            found = life.facts["courier"] = Courier(life)
        return found


def _note_sent(change: PhaseTransition, done: Future[None]) -> None:
    change.websocket_event_sent = done.exception() is None
