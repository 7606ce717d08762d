"""Phases of facade B: which follow each other, what they mean for the state, and which events they send.

The old tracker kept phase and state apart, so an execution could be COMPLETED by its phase and PENDING by its state. Here a phase
takes the state along: one that repeats a state's name moves to it, one of work takes the execution to RUNNING first. Phases
may still come in any order; one that the table does not foresee is logged.

"Completed" as a phase is the word that the answer is there, and the answer itself may follow: the state goes to COMPLETING, and to
COMPLETED with the result that is reported within `SETTLE` seconds, or without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ... import ExecutionState, Phase
from .._life import Life
from .._outbox import Event
from ._records import ID_PREFIX, AgentExecutionPhase, ExecutionRecord

_P = AgentExecutionPhase

_FAILING: Final = frozenset({_P.FAILED, _P.TIMEOUT})

FOLLOWING: Final[Mapping[AgentExecutionPhase | None, frozenset[AgentExecutionPhase]]] = {
    None: frozenset({_P.CREATED}),
    _P.CREATED: frozenset({_P.WEBSOCKET_SETUP, _P.FAILED}),
    _P.WEBSOCKET_SETUP: frozenset({_P.CONTEXT_VALIDATION, _P.FAILED}),
    _P.CONTEXT_VALIDATION: frozenset({_P.STARTING, _P.FAILED}),
    _P.STARTING: frozenset({_P.THINKING}) | _FAILING,
    _P.THINKING: frozenset({_P.TOOL_PREPARATION, _P.LLM_INTERACTION}) | _FAILING,
    _P.TOOL_PREPARATION: frozenset({_P.TOOL_EXECUTION, _P.LLM_INTERACTION}) | _FAILING,
    _P.LLM_INTERACTION: frozenset({_P.THINKING, _P.TOOL_EXECUTION, _P.RESULT_PROCESSING, _P.CIRCUIT_BREAKER_OPEN})
    | _FAILING,
    _P.TOOL_EXECUTION: frozenset({_P.THINKING, _P.LLM_INTERACTION, _P.RESULT_PROCESSING}) | _FAILING,
    _P.RESULT_PROCESSING: frozenset({_P.COMPLETING, _P.THINKING}) | _FAILING,
    _P.COMPLETING: frozenset({_P.COMPLETED}) | _FAILING,
}
"""Which phases were foreseen after which."""

STATES: Final[Mapping[AgentExecutionPhase, ExecutionState]] = {
    _P.STARTING: ExecutionState.STARTING,
    _P.THINKING: ExecutionState.RUNNING,
    _P.TOOL_PREPARATION: ExecutionState.RUNNING,
    _P.LLM_INTERACTION: ExecutionState.RUNNING,
    _P.TOOL_EXECUTION: ExecutionState.RUNNING,
    _P.RESULT_PROCESSING: ExecutionState.RUNNING,
    _P.COMPLETING: ExecutionState.COMPLETING,
    _P.COMPLETED: ExecutionState.COMPLETING,
    _P.FAILED: ExecutionState.FAILED,
    _P.TIMEOUT: ExecutionState.TIMEOUT,
}
"""The state that an execution is at least in during a phase. The others say nothing about the state."""

CORE: Final[Mapping[AgentExecutionPhase, Phase]] = {_P(phase.value): phase for phase in Phase}
"""The phases that runstate has as well."""

_THOUGHTS: Final[Mapping[AgentExecutionPhase, str]] = {
    _P.TOOL_PREPARATION: "Preparing tools for execution...",
    _P.LLM_INTERACTION: "Interacting with AI language model...",
    _P.RESULT_PROCESSING: "Processing results...",
    _P.COMPLETING: "Finalizing response...",
}

_FAILURES: Final[Mapping[AgentExecutionPhase, str]] = {
    _P.FAILED: "Agent execution failed",
    _P.TIMEOUT: "Agent execution timed out",
    _P.CIRCUIT_BREAKER_OPEN: "Service temporarily unavailable",
}

ONCE: Final = frozenset({"agent_started", "agent_completed", "agent_error", "agent_death"})
"""Events that are sent once in an execution, however often their phase is reported."""

UNNAMED_TOOL: Final = "unnamed tool"
"""The name of a tool whose phase was reported without one."""


def run_id(life: Life, metadata: Mapping[str, Any]) -> str:
    """The id of the run that clients know: from the phase's metadata or the execution's, else the execution's id."""
    return str(metadata.get("run_id") or life.metadata.get("run_id") or ID_PREFIX + life.execution_id)


def tool_name(metadata: Mapping[str, Any]) -> str:
    """The name of the tool that a phase's metadata tells of."""
    return str(metadata.get("tool_name") or metadata.get("tool") or UNNAMED_TOOL)


def phase_event(
    life: Life, record: ExecutionRecord, phase: AgentExecutionPhase, metadata: Mapping[str, Any]
) -> Event | None:
    """The event that tells of entering a phase; None for the three before the start."""
    whose = {"run_id": run_id(life, metadata), "agent_name": record.agent_name}
    total_ms, steps = record.get_total_duration_ms(), len(record.phase_history)
    told = {"phase": phase.value, "total_duration_ms": total_ms, "metadata": dict(metadata)}
    if phase is _P.STARTING:
        return Event("agent_started", {**whose, "context": told})
    if phase is _P.THINKING:
        thought = str(metadata.get("reasoning") or f"Agent is thinking... (step {steps})")
        return Event("agent_thinking", {**whose, "reasoning": thought, "step_number": steps})
    if phase in _THOUGHTS:
        return Event("agent_thinking", {**whose, "reasoning": _THOUGHTS[phase], "step_number": steps})
    if phase is _P.TOOL_EXECUTION:
        return Event("tool_executing", {**whose, "tool_name": tool_name(metadata), "parameters": dict(metadata)})
    if phase is _P.COMPLETED:
        result = {
            "success": True,
            "total_duration_ms": total_ms,
            "phase_count": steps,
            "warnings": record.warning_count,
            "metadata": record.metadata,
        }
        return Event("agent_completed", {**whose, "result": result, "execution_time_ms": int(total_ms)})
    if phase in _FAILURES:
        return Event("agent_error", {**whose, "error": _FAILURES[phase], "error_context": told})
    return None


def tool_completed_event(
    life: Life, record: ExecutionRecord, entered: Mapping[str, Any], left: Mapping[str, Any], duration_ms: float
) -> Event:
    """The event that a tool is done. *entered* and *left* are the metadata of its phase and of the one after it."""
    return Event(
        "tool_completed",
        {
            "run_id": run_id(life, entered),
            "agent_name": record.agent_name,
            "tool_name": tool_name(entered),
            "result": left.get("tool_result"),
            "execution_time_ms": duration_ms,
        },
    )


def end_event(life: Life, record: ExecutionRecord) -> Event:
    """The event of an end that no phase has told of."""
    state, error = record.state, record.error
    if state is ExecutionState.COMPLETED:
        found = phase_event(life, record, _P.COMPLETED, {})
        if found is not None:
            return found
    told: dict[str, Any] = {
        "execution_id": record.execution_id,
        "state": state.value,
        "error": error,
        "seconds_since_heartbeat": life.silent(),
        "heartbeat_count": record.heartbeat_count,
        "total_duration_ms": record.get_total_duration_ms(),
    }
    if state is ExecutionState.DEAD:  # bridges name its last two parameters differently, so it is called by position
        return Event("agent_death", {}, (run_id(life, {}), record.agent_name, error or "no heartbeat", told))
    text = {ExecutionState.CANCELLED: "Agent execution was cancelled", ExecutionState.TIMEOUT: _FAILURES[_P.TIMEOUT]}
    return Event(
        "agent_error",
        {
            "run_id": run_id(life, {}),
            "agent_name": record.agent_name,
            "error": text.get(state, _FAILURES[_P.FAILED]),
            "error_context": told,
        },
    )
