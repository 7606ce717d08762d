"""The names that telemetry is given: those of the GenAI conventions, and our own below `runstate.`.

The conventions have left the semantic-conventions package for a repository of their own (v0.1.0, status Development), and every
constant that the Python package still has for them is deprecated. So they stand here, and one file has to follow the next change.
"""

from __future__ import annotations

from typing import Final

OPERATION: Final = "gen_ai.operation.name"
AGENT: Final = "gen_ai.agent.name"
CONVERSATION: Final = "gen_ai.conversation.id"
TOOL: Final = "gen_ai.tool.name"
ERROR_TYPE: Final = "error.type"
OTHER: Final = "_OTHER"
"""What the conventions put where a value has no place of its own."""
INVOKE_AGENT: Final = "invoke_agent"
"""The operation, and the first word of its span's name."""
INVOKE_AGENT_DURATION: Final = "gen_ai.invoke_agent.duration"
AGENT_BUCKETS: Final = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6)
"""Bounds in seconds that the conventions want for the duration of agents."""
VERDICT_BUCKETS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""Bounds in seconds for the time from a last sign of life to the verdict: milliseconds up to several leases."""

EXECUTION_ID: Final = "runstate.execution.id"
STATE: Final = "runstate.state"
CAUSE: Final = "runstate.cause"
WORKER: Final = "runstate.worker"
"""The incarnation that owned the execution."""
PHASE: Final = "runstate.phase"
PHASE_DETAIL: Final = "runstate.phase.detail"
WARNING_DETAIL: Final = "runstate.warning.detail"
WORKER_STATE: Final = "runstate.worker.state"
EVIDENCE: Final = "runstate.evidence."
"""What the names of the evidence's fields stand behind."""

TRANSITION_EVENT: Final = "runstate.transition"
PHASE_EVENT: Final = "runstate.phase"
WARNING_EVENT: Final = "runstate.warning"
EXCEPTION_EVENT: Final = "exception"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
