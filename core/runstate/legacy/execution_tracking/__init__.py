"""Facade C: registry, heartbeat monitor, time limits and the tracker over them, as in `netra_backend.app.agents.execution_tracking`.

Each of its modules is there under its old name: `tracker`, `registry`, `heartbeat`, `timeout`. The body of the old one becomes
`from runstate.legacy.execution_tracking.<name> import *`. Two of them define an `ExecutionProgress`: the registry's counts from
0 to 1, the tracker's to 100, and each call takes its own only.

Its table of moves is runstate's (`_names` says what became of RECOVERING), and an illegal move is still a `ValueError` of
`update_execution_state`; whatever else is refused is answered with False or None. One execution stands behind an id: a monitor
or a time limit is a view of it, so nothing can be monitored or limited that nobody has created: that is refused (logged, counted,
raised with `strict`), and answered as it used to be. An end ends everything that was set up.

One thing cannot be kept: the old states were texts, and these are members of the one enum, so `record.state == "SUCCESS"` is False
and says nothing, and a dict with texts for keys has no such key. Compare with the member, `record.state is ExecutionState.COMPLETED`;
`runstate audit` finds the lines that compare with a text.
"""

from __future__ import annotations

from .heartbeat import HeartbeatMonitor, HeartbeatStatus
from .registry import ExecutionMetrics, ExecutionRecord, ExecutionRegistry, ExecutionState
from .timeout import TimeoutInfo, TimeoutManager
from .tracker import AgentExecutionContext, AgentExecutionResult, ExecutionStatus, ExecutionTracker

__all__ = [
    "AgentExecutionContext",
    "AgentExecutionResult",
    "ExecutionMetrics",
    "ExecutionRecord",
    "ExecutionRegistry",
    "ExecutionState",
    "ExecutionStatus",
    "ExecutionTracker",
    "HeartbeatMonitor",
    "HeartbeatStatus",
    "TimeoutInfo",
    "TimeoutManager",
]
