# Legacy tracker C, a package of four modules. There are two classes named `ExecutionProgress`, and neither is named here.

from .heartbeat import HeartbeatMonitor as HeartbeatMonitor
from .registry import ExecutionRegistry as ExecutionRegistry
from .timeout import TimeoutManager as TimeoutManager
from .tracker import ExecutionTracker as ExecutionTracker

__all__ = ["ExecutionRegistry", "ExecutionTracker", "HeartbeatMonitor", "TimeoutManager"]
