"""Facade B: `AgentExecutionTracker` with `exec_…` ids and phases, as in `netra_backend.app.core.agent_execution_tracker`.

Limits are enforced without `start_monitoring`. An execution that asked for nothing else ends as TIMEOUT after 15 s; silence is taken
for death after 10 s, once it has shown that it beats. Events carry the true id of the run (`run_id` in the metadata, else the
execution's id) and the true name of the tool (`tool_name` in the metadata of its phase), and the end reaches the user.
"""

from __future__ import annotations

from typing import Final

from ... import ExecutionState
from .._calls import legacy_call
from .._fork import ForkSafeLock
from ._breaker import CircuitBreakerOpenError, CircuitBreakerState
from ._records import AgentExecutionPhase, ExecutionRecord, PhaseTransition, TimeoutConfig
from ._tracker import AgentExecutionTracker

__all__ = [
    "AgentExecutionPhase",
    "AgentExecutionTracker",
    "CircuitBreakerOpenError",
    "CircuitBreakerState",
    "ExecutionRecord",
    "ExecutionState",
    "ExecutionTracker",
    "PhaseTransition",
    "TimeoutConfig",
    "get_agent_state_tracker",
    "get_execution_tracker",
    "initialize_tracker",
    "shutdown_tracker",
]

ExecutionTracker = AgentExecutionTracker
"""The name under which some of its callers import it."""

_singleton: Final[list[AgentExecutionTracker]] = []
_singleton_lock: Final = ForkSafeLock()


def _the_tracker() -> AgentExecutionTracker:
    with _singleton_lock:
        if not _singleton:
            _singleton.append(AgentExecutionTracker())
        return _singleton[0]


@legacy_call("runstate.open(url)")
def get_execution_tracker() -> AgentExecutionTracker:
    """Return the one tracker of this process."""
    return _the_tracker()


@legacy_call("runstate.open(url)")
def get_agent_state_tracker() -> AgentExecutionTracker:
    """Return the one tracker of this process: the same as `get_execution_tracker`."""
    return _the_tracker()


@legacy_call("runstate.open(url)")
async def initialize_tracker() -> AgentExecutionTracker:
    """Return the one tracker of this process, with its monitor started."""
    tracker = _the_tracker()
    await tracker.monitor.start()
    return tracker


@legacy_call("runstate.ExecutionTracker.close()")
async def shutdown_tracker() -> None:
    """Stop the monitor of the one tracker of this process. The tracker behind it is closed by whoever opened it."""
    await _the_tracker().monitor.stop()
