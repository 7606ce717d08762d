"""A code base that still has the three legacy trackers, made up for the tests, as files by their path.

Its trackers are written as the real ones are: hardly annotated, so that a checker which reads them, and not the stubs, finds
next to nothing wrong with the calls of `calls.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

TRACKER_A: Final = """
from enum import Enum
from uuid import uuid4

from netra_backend.app.monitoring import metrics  # not in this code base


class ExecutionState(Enum):
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    DEAD = "dead"


class ExecutionTracker:
    def __init__(self):
        self.executions = {}

    async def register_execution(self, agent_name, correlation_id=None, thread_id=None, user_id=None, timeout_seconds=30.0):
        execution_id = uuid4()
        self.executions[execution_id] = metrics.record(agent_name)
        return execution_id

    async def heartbeat(self, execution_id):
        return execution_id in self.executions

    def __getattr__(self, name):
        return getattr(metrics, name)


def get_execution_tracker():
    return ExecutionTracker()


async def init_execution_tracker():
    return ExecutionTracker()
"""

TRACKER_B: Final = """
from enum import Enum


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


class AgentExecutionPhase(Enum):
    THINKING = "thinking"


class TimeoutConfig:
    def __init__(self, **fields):
        self.__dict__.update(fields)


class CircuitBreakerOpenError(Exception):
    pass


class ExecutionRecord:
    def __getattr__(self, name):
        return None


class AgentExecutionTracker:
    def __init__(self, *args, **kwargs):
        self._executions = {}

    def update_execution_state(self, execution_id, state, error=None, result=None):
        self._executions[execution_id] = state
        print(state.value)
        return True

    def __getattr__(self, name):
        return lambda *args, **kwargs: None


def get_execution_tracker():
    return AgentExecutionTracker()


def get_agent_state_tracker():
    return AgentExecutionTracker()


async def initialize_tracker():
    return AgentExecutionTracker()


async def shutdown_tracker():
    pass
"""

_LOOSE: Final = """
class {0}:
    def __init__(self, *args, **kwargs):
        pass

    def __len__(self):
        return 0

    def __getattr__(self, name):
        return lambda *args, **kwargs: None

"""

TRACKER_C_STATES: Final = """
from enum import Enum


class ExecutionState(str, Enum):
    PENDING = "PENDING"
    INITIALIZING = "INITIALIZING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    ABORTED = "ABORTED"
    RECOVERING = "RECOVERING"

"""

RIGHT: Final = '''
"""Right calls of every tracker."""

import asyncio
import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

import structured_logs  # mypy[import-not-found] pyright[reportMissingImports]
from netra_backend.app.missing import thing  # mypy[import-not-found] pyright[reportMissingImports]

from netra_backend import VERSION
from netra_backend.app.core import LIMIT, execution_tracker
from netra_backend.app.core import agent_execution_tracker as b
from netra_backend.app.core.clock import seconds
from netra_backend.app.core.execution_tracker import ExecutionRecord, ExecutionState, ExecutionTracker, get_execution_tracker
from netra_backend.app.agents import execution_tracking as c
from netra_backend.app.agents.execution_tracking.heartbeat import HeartbeatMonitor, HeartbeatStatus
from netra_backend.app.agents.execution_tracking.registry import ExecutionRegistry
from netra_backend.app.agents.execution_tracking.registry import ExecutionState as StateOfC
from netra_backend.app.agents.execution_tracking.timeout import TimeoutInfo, TimeoutManager
from netra_backend.app.agents.execution_tracking.tracker import AgentExecutionContext, AgentExecutionResult, ExecutionProgress

log = logging.getLogger(__name__)


async def on_dead(record: ExecutionRecord) -> None:
    log.error("%s died after %s s", record.agent_name, record.duration())


async def with_a(question: str) -> dict[str, Any]:
    tracker = get_execution_tracker()
    tracker.register_recovery_callback(on_dead)
    await tracker.start_monitoring()
    execution_id: UUID = await tracker.register_execution("triage", thread_id="t-1", user_id="u-1", timeout_seconds=12.5)
    await tracker.start_execution(execution_id)
    if not await tracker.heartbeat(execution_id):
        log.error("nobody knows %s", execution_id)
    answer = thing.ask(question)
    structured_logs.bind(answer=answer)
    await tracker.complete_execution(execution_id, result=answer)
    await tracker.complete_execution(execution_id, {"text": question}, error="late" if LIMIT else None)
    record = tracker.get_execution(execution_id)
    if record is not None and record.state is ExecutionState.COMPLETED:
        text: str = record.result["text"]
        log.info("%s after %s %s", text, seconds(record.duration()), VERSION)
    for live in tracker.get_active_executions():
        if live.is_timeout() or live.is_dead(5.0):
            await tracker.kill_execution(live.execution_id)
    metrics = await tracker.collect_metrics(execution_id)
    await tracker.stop_monitoring()
    other: ExecutionTracker = await execution_tracker.init_execution_tracker()
    return {**(metrics or {}), **other.get_health_status()}


async def with_b(tracker: b.AgentExecutionTracker, context: dict[str, Any]) -> timedelta | None:
    execution_id = tracker.create_execution("triage", "t-1", "u-1", timeout_seconds=25, metadata={"tier": thing})
    if not tracker.start_execution(execution_id):
        raise RuntimeError(execution_id)
    moved = await tracker.transition_state(execution_id, b.AgentExecutionPhase.THINKING, websocket_manager=thing)
    alive = tracker.heartbeat(execution_id)
    answer = await tracker.execute_with_circuit_breaker(execution_id, ask, "ask")
    ended = tracker.update_execution_state(execution_id, b.ExecutionState.COMPLETED, result=answer.upper())
    failed = tracker.update_execution_state(execution_id, state=b.ExecutionState.FAILED, error="too late")
    state = b.ExecutionState.TIMEOUT if moved else b.ExecutionState.DEAD
    assert tracker.update_execution_state(execution_id, state) or ended or alive or failed
    full = tracker.create_execution_with_full_context("triage", context, {"agent": 25.0}, initial_state="PENDING")
    record = tracker.get_execution(full)
    if record is None:
        return None
    if record.state == b.ExecutionState.DEAD or record.state in (b.ExecutionState.FAILED, b.ExecutionState.TIMEOUT):
        log.warning("%s in %s", record.state.value, record.current_phase)
    return record.duration if tracker.set_agent_state(full, {"warning_count": 1}) else record.time_since_heartbeat


async def ask() -> str:
    return await asyncio.sleep(0, "answer")


def on_timeout(execution_id: str, info: TimeoutInfo) -> None:
    log.error("%s: %s s since %s", execution_id, info.timeout_seconds, info.started_at)


async def on_failure(execution_id: str, status: HeartbeatStatus) -> None:
    log.error("%s: %s", execution_id, status.last_heartbeat)


async def with_c(context: dict[str, Any]) -> int:
    registry = ExecutionRegistry(30)
    record = await registry.register_execution("run-1", "triage", context)
    if not await registry.update_execution_state(record.execution_id, StateOfC.RUNNING, {"error": None}):
        raise RuntimeError(record.run_id)
    monitor, limits = HeartbeatMonitor(max_missed_heartbeats=3), TimeoutManager()
    monitor.add_failure_callback(on_failure)
    limits.add_timeout_callback(on_timeout)
    await monitor.start_monitoring(record.execution_id)
    assert await monitor.send_heartbeat(record.execution_id)
    assert await limits.extend_timeout(record.execution_id, 5.0, "a slow tool")
    tracker = c.ExecutionTracker(websocket_bridge=thing)
    who = AgentExecutionContext(run_id="run-2", agent_name="data_helper", thread_id="t-1", user_id="u-1", metadata=context)
    execution_id = await tracker.start_execution("run-2", "data_helper", who)
    await tracker.update_execution_progress(execution_id, ExecutionProgress(stage="sql", percentage=20, message=""))
    result = AgentExecutionResult(success=True, execution_id=execution_id, duration_seconds=1.5, data=thing)
    await tracker.complete_execution(execution_id, result)
    await tracker.handle_execution_failure(execution_id, ValueError("late"))
    name: str = StateOfC.SUCCESS
    return len(registry) + len(name) + len(await registry.get_active_executions())
'''

FILES: Final = {
    "netra_backend/__init__.py": 'VERSION: str = "1"\n',
    "netra_backend/app/__init__.py": "",
    "netra_backend/app/core/__init__.py": "from .clock import seconds\n\nLIMIT: int = 3\n",
    "netra_backend/app/core/clock.py": "def seconds(value: float) -> float:\n    return value\n",
    "netra_backend/app/core/execution_tracker.py": TRACKER_A,
    "netra_backend/app/core/agent_execution_tracker.py": TRACKER_B,
    "netra_backend/app/agents/__init__.py": "",
    "netra_backend/app/agents/execution_tracking/__init__.py": "from .tracker import *\n",
    "netra_backend/app/agents/execution_tracking/registry.py": (
        TRACKER_C_STATES + "".join(map(_LOOSE.format, ("ExecutionProgress", "ExecutionRecord", "ExecutionRegistry")))
    ),
    "netra_backend/app/agents/execution_tracking/heartbeat.py": (
        "".join(map(_LOOSE.format, ("HeartbeatStatus", "HeartbeatMonitor")))
    ),
    "netra_backend/app/agents/execution_tracking/timeout.py": (
        "".join(map(_LOOSE.format, ("TimeoutInfo", "TimeoutManager")))
    ),
    "netra_backend/app/agents/execution_tracking/tracker.py": (
        "".join(
            map(
                _LOOSE.format,
                ("AgentExecutionContext", "AgentExecutionResult", "ExecutionProgress", "ExecutionTracker"),
            )
        )
    ),
    "netra_backend/app/services/__init__.py": "",
    "netra_backend/app/services/right.py": RIGHT,
}
"""All but the wrong calls."""


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files below a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip("\n"), encoding="utf-8")
