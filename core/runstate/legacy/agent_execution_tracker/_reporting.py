"""The second part of facade B's tracker: phases with their events, and the state of an execution as a dict."""

from __future__ import annotations

from typing import Any, Final

from ... import InvalidValueError, StateTypeError
from .._calls import legacy_call
from .._outbox import all_arrived
from .._shared import found, shared
from ._courier import courier_of
from ._lifecycle import Lifecycle
from ._phases import FOLLOWING
from ._records import ID_PREFIX, AgentExecutionPhase, view

_SETTABLE: Final = ("warning_count", "error_count", "metadata")


class Reporting(Lifecycle):
    """Takes phases, and describes executions."""

    @legacy_call("Execution.phase(phase, detail)", refused=False)
    async def transition_state(
        self,
        execution_id: str,
        new_phase: AgentExecutionPhase,
        metadata: dict[str, Any] | None = None,
        websocket_manager: Any = None,
    ) -> bool:
        """Take a phase as reported, with the state that belongs to it, and send its event. Phases may come in any order.

        Args:
            execution_id: Which.
            new_phase: What it does now.
            metadata: What is said of it: `run_id`, `tool_name`, `error` and more go into the event.
            websocket_manager: What has `notify_agent_started(…)` and so on; None sends no event of this phase.

        Returns:
            True once the event has arrived; False if the execution is unknown or has ended, or the event did not arrive.

        Raises:
            StateTypeError: *new_phase* is no `AgentExecutionPhase`.
        """
        given: object = new_phase
        if not isinstance(given, AgentExecutionPhase):
            raise StateTypeError(
                f"new_phase must be an AgentExecutionPhase, not {type(given).__qualname__}: {given!r:.80}; "
                f"pass AgentExecutionPhase.THINKING or another member"
            )
        core = shared()
        courier = courier_of(core.find(execution_id))
        await all_arrived(courier.report(core, given, dict(metadata or {}), websocket_manager))
        return True

    @legacy_call("runstate.TRANSITIONS, for states; phases may come in any order")
    def validate_state_transition(
        self, current_phase: AgentExecutionPhase | None, new_phase: AgentExecutionPhase
    ) -> bool:
        """Return whether a phase was foreseen after another."""
        return new_phase in FOLLOWING.get(current_phase, frozenset())

    @legacy_call("runstate.ExecutionTracker.timeline(execution_id)")
    def get_state_history(self, execution_id: str) -> list[dict[str, Any]]:
        """Return an execution's changes of phase, oldest first; [] if it is unknown."""
        return state_history(execution_id)

    @legacy_call("runstate.ExecutionTracker.get(execution_id)")
    def get_agent_state(self, execution_id: str) -> dict[str, Any] | None:
        """Return the state of an execution as a dict; None if it is unknown."""
        return agent_state(execution_id)

    @legacy_call("runstate.ExecutionTracker.create(metadata=…)", refused=False)
    def set_agent_state(self, execution_id: str, state_updates: dict[str, Any]) -> bool:
        """Set `warning_count`, `error_count`, or add to `metadata`; False for any other key, and nothing is set."""
        life = shared().find(execution_id)
        given: object = state_updates
        if not isinstance(given, dict):
            raise StateTypeError(f"state_updates must be a dict, not {type(given).__qualname__}: {given!r:.80}")
        unknown = [str(key) for key in state_updates if key not in _SETTABLE]
        if unknown:
            raise InvalidValueError("state_updates", ", ".join(unknown), f"a dict with {', '.join(_SETTABLE)}")
        with life.lock:
            for name in ("warning_count", "error_count"):
                if name in state_updates:
                    life.facts[name] = state_updates[name]
            life.metadata.update(state_updates.get("metadata", {}))
        return True

    @legacy_call("runstate.Limits.retention", refused=False)
    def cleanup_state(self, execution_id: str) -> bool:
        """Show an ended execution no longer; False if it is unknown or live. The journal goes on keeping it."""
        core = shared()
        life = core.find(execution_id)
        if not life.state.is_terminal:
            raise InvalidValueError("execution_id", execution_id, f"an execution that has ended, not {life.state.name}")
        core.book.drop(life)
        return True


def agent_state(execution_id: object) -> dict[str, Any] | None:
    """Describe an execution; None if it is unknown."""
    life = found(execution_id)
    if life is None:
        return None
    record = view(life)
    return {
        "execution_id": ID_PREFIX + life.execution_id,
        "agent_name": record.agent_name,
        "user_id": record.user_id,
        "thread_id": record.thread_id,
        "state": record.state.value,
        "current_phase": record.current_phase.value,
        "started_at": record.started_at.isoformat(),
        "last_heartbeat": record.last_heartbeat.isoformat(),
        "total_duration_ms": record.get_total_duration_ms(),
        "current_phase_duration_ms": record.get_current_phase_duration_ms(),
        "phase_count": len(record.phase_history),
        "warning_count": record.warning_count,
        "error_count": record.error_count,
        "metadata": record.metadata,
    }


def state_history(execution_id: object) -> list[dict[str, Any]]:
    """Describe an execution's changes of phase; [] if it is unknown."""
    life = found(execution_id)
    return (
        []
        if life is None
        else [
            {
                "from_phase": None if change.from_phase is None else change.from_phase.value,
                "to_phase": change.to_phase.value,
                "timestamp": change.timestamp.isoformat(),
                "duration_ms": change.duration_ms,
                "metadata": change.metadata,
                "websocket_event_sent": change.websocket_event_sent,
            }
            for change in view(life).phase_history
        ]
    )
