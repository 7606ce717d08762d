"""Stand-ins of the three legacy trackers: as they answered and refused, as far as programs of the migration's tests ask them."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType

_A = """
from dataclasses import dataclass
from enum import Enum
from uuid import uuid4
class ExecutionState(Enum):
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    DEAD = "dead"
@dataclass
class ExecutionRecord:
    state: ExecutionState
    result: object = None
    error: object = None
class ExecutionTracker:
    def __init__(self):
        self.executions = {}
    async def register_execution(self, agent_name, correlation_id=None, thread_id=None, user_id=None, timeout_seconds=30.0):
        id = uuid4()
        self.executions[id] = ExecutionRecord(ExecutionState.PENDING)
        return id
    async def start_execution(self, execution_id):
        if execution_id in self.executions:
            self.executions[execution_id].state = ExecutionState.RUNNING
    async def heartbeat(self, execution_id):
        return execution_id in self.executions
    async def complete_execution(self, execution_id, result=None, error=None):
        record = self.executions.get(execution_id)
        if record is not None:
            record.state = ExecutionState.FAILED if error else ExecutionState.COMPLETED
            record.result, record.error = result, error
    async def kill_execution(self, execution_id):
        await self.complete_execution(execution_id, error="Execution killed manually")
    def get_execution(self, execution_id):
        return self.executions.get(execution_id)
"""

_B = """
from dataclasses import dataclass
from enum import Enum
from uuid import uuid4
class ExecutionState(Enum):
    PENDING = "pending"
    STARTING = "starting"
    RUNNING = "running"
    COMPLETING = "completing"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    DEAD = "dead"
    CANCELLED = "cancelled"
ENDS = set(list(ExecutionState)[4:])
@dataclass
class ExecutionRecord:
    state: ExecutionState
    result: object = None
    error: object = None
class AgentExecutionTracker:
    def __init__(self):
        self.executions = {}
    def create_execution(self, agent_name, thread_id, user_id, timeout_seconds=None, metadata=None):
        id = f"exec_execution_1_{uuid4().hex[:8]}"
        self.executions[id] = ExecutionRecord(ExecutionState.PENDING)
        return id
    def start_execution(self, execution_id):
        record = self.executions.get(execution_id)
        if record is None or record.state is not ExecutionState.PENDING:
            return False
        record.state = ExecutionState.STARTING
        return True
    def update_execution_state(self, execution_id, state, error=None, result=None):
        record = self.executions.get(execution_id)
        if record is None or record.state in ENDS:
            return False
        record.state = state
        record.error = error or record.error
        record.result = result or record.result
        state.value
        return True
    def complete_execution(self, execution_id, result=None, execution_time_ms=None):
        return self.update_execution_state(execution_id, ExecutionState.COMPLETED, result=result)
    def fail_execution(self, execution_id, error, error_context=None):
        return self.update_execution_state(execution_id, ExecutionState.FAILED, error=error)
    def heartbeat(self, execution_id):
        record = self.executions.get(execution_id)
        if record is None or record.state in ENDS:
            return False
        if record.state is ExecutionState.STARTING:
            record.state = ExecutionState.RUNNING
        return True
    def get_execution(self, execution_id):
        return self.executions.get(execution_id)
"""

_C = """
from dataclasses import dataclass
from enum import Enum
from uuid import uuid4
class ExecutionState(str, Enum):
    PENDING = "PENDING"
    INITIALIZING = "INITIALIZING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    ABORTED = "ABORTED"
    RECOVERING = "RECOVERING"
S = ExecutionState
MOVES = {
    S.PENDING: {S.INITIALIZING, S.ABORTED},
    S.INITIALIZING: {S.RUNNING, S.FAILED, S.ABORTED},
    S.RUNNING: {S.RUNNING, S.SUCCESS, S.FAILED, S.TIMEOUT, S.RECOVERING},
    S.FAILED: {S.RECOVERING, S.ABORTED},
    S.TIMEOUT: {S.RECOVERING, S.ABORTED},
    S.RECOVERING: {S.RUNNING, S.ABORTED, S.SUCCESS},
}
@dataclass
class ExecutionRecord:
    execution_id: str
    state: ExecutionState = S.PENDING
class ExecutionRegistry:
    def __init__(self, cleanup_interval_seconds=60):
        self.executions = {}
    async def register_execution(self, run_id, agent_name, context=None):
        record = ExecutionRecord(f"{agent_name}_{run_id}_{uuid4().hex[:8]}")
        self.executions[record.execution_id] = record
        return record
    async def update_execution_state(self, execution_id, new_state, metadata=None):
        record = self.executions.get(execution_id)
        if record is None:
            return False
        if new_state != record.state and new_state not in MOVES.get(record.state, ()):
            raise ValueError(f"{record.state} -> {new_state}")
        record.state = S(new_state)
        return True
    async def get_execution(self, execution_id):
        return self.executions.get(execution_id)
"""

_SOURCES = {
    "netra_backend.app.core.execution_tracker": _A,
    "netra_backend.app.core.agent_execution_tracker": _B,
    "netra_backend.app.agents.execution_tracking.registry": _C,
}


@contextmanager
def old_trackers() -> Generator[None]:
    """Within it, the legacy modules can be imported, and are new."""
    made: dict[str, ModuleType] = {}
    for name, source in _SOURCES.items():
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            full = ".".join(parts[:length])
            made.setdefault(full, ModuleType(full))
        sys.modules.update(made)
        exec(compile(source, name, "exec", dont_inherit=True), vars(made[name]))
    for full, module in made.items():
        package, _, last = full.rpartition(".")
        if package:
            setattr(made[package], last, module)
    try:
        yield
    finally:
        for full in made:
            del sys.modules[full]
