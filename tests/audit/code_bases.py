"""Code bases of several modules, in which it takes more than one of them to know what is wrong."""

from __future__ import annotations

from .snippets import LEGACY

PROJECTS = {
    "monitored nowhere": {"app/engine.py": LEGACY + """
class Engine:
    def __init__(self) -> None:
        self.tracker = AgentExecutionTracker()  # -> unmonitored-tracker
local = AgentExecutionTracker(heartbeat_timeout=5)  # -> unmonitored-tracker
"""},
    "monitored elsewhere by the same name": {"app/engine.py": LEGACY + """
class Engine:
    def __init__(self) -> None:
        self.tracker = AgentExecutionTracker()
        self.private = AgentExecutionTracker()  # -> unmonitored-tracker
""", "app/main.py": """
from app.engine import Engine
async def main() -> None:
    engine = Engine()
    await engine.tracker.start_monitoring()
"""},
    "monitored by whoever gets it": {"app/engine.py": LEGACY + """
async def begin(one: AgentExecutionTracker) -> None:
    await one.start_monitoring()
async def main() -> None:
    mine = AgentExecutionTracker()
    await begin(mine)
"""},
    "something unknown is monitored": {"app/engine.py": LEGACY + """
mine = AgentExecutionTracker()
async def main(things) -> None:
    for one in things:
        await one.start_monitoring()
"""},
    "the tracker's own module starts it, if it is asked to": {"app/core/tracking.py": """
from enum import Enum
class ExecutionState(Enum):  # -> state-lookalike
    PENDING = "pending"
    RUNNING = "running"
    FAILED = "failed"
class ExecutionTracker:  # -> tracker-lookalike
    def start_execution(self, id: str) -> bool: return True
    def update_execution_state(self, id: str, state: ExecutionState) -> bool: return True
    async def start_monitoring(self) -> None: ...
_tracker: ExecutionTracker | None = None
def get_tracker() -> ExecutionTracker:
    global _tracker
    if _tracker is None:
        _tracker = ExecutionTracker()  # -> unmonitored-tracker
    return _tracker
async def init_tracker() -> ExecutionTracker:
    tracker = get_tracker()
    await tracker.start_monitoring()
    return tracker
""", "app/main.py": """
from .core.tracking import ExecutionState as State, get_tracker
from .core import tracking
def main(id: str) -> None:
    get_tracker().update_execution_state(id, {})  # -> dict-state, ignored-refusal
    ok = tracking.get_tracker().update_execution_state(id, State.FAILED)
    ok = tracking.get_tracker().update_execution_state(id, "failed")  # -> str-state
"""},
    "the same, asked to": {"app/core/tracking.py": """
class ExecutionTracker:  # -> tracker-lookalike
    def start_execution(self, id: str) -> bool: return True
    def fail_execution(self, id: str) -> bool: return True
    async def start_monitoring(self) -> None: ...
_tracker = ExecutionTracker()
async def init_tracker() -> None:
    await _tracker.start_monitoring()
""", "app/main.py": """
from app.core.tracking import init_tracker
async def main() -> None:
    await init_tracker()
"""},
    "reached through other modules": {"app/shared.py": """
from netra_backend.app.core.agent_execution_tracker import *
from netra_backend.app.core import execution_tracker
""", "app/services/__init__.py": """
from ..shared import ExecutionState, get_execution_tracker as its_tracker
from ..shared import execution_tracker
tracker = its_tracker()
""", "app/main.py": """
from app.services import tracker, ExecutionState, execution_tracker
import app.services
class Base:
    def __init__(self) -> None:
        self.tracker = tracker
class Engine(Base):
    def run(self, id: str) -> None:
        ok = self.tracker.update_execution_state(id, "failed")  # -> str-state
        ok = self.tracker.update_execution_state(id, execution_tracker.ExecutionState.FAILED)  # -> mixed-enums
        ok = app.services.tracker.update_execution_state(id, app.services.ExecutionState.FAILED)
        app.services.tracker.heartbeat(id)  # -> ignored-refusal
    def late(self, id: str) -> None:
        from netra_backend.app.core.agent_execution_tracker import get_execution_tracker
        ok = get_execution_tracker().update_execution_state(id, {})  # -> dict-state
"""},
    "an import that may fail": {"app/main.py": """
try:
    from netra_backend.app.core.agent_execution_tracker import get_execution_tracker
except ImportError:
    from elsewhere import get_execution_tracker
get_execution_tracker().update_execution_state("x", {})  # -> dict-state
"""},
    "three truths": {"app/a.py": """
from enum import Enum, StrEnum
from typing import Literal
class ExecutionState(Enum):  # -> state-lookalike
    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
""", "app/b.py": """
from enum import StrEnum
class ExecutionStatus(StrEnum):  # -> state-lookalike
    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    ABORTED = "aborted"
class OrderState(StrEnum):
    OPEN = "open"
    PAID = "paid"
    CLOSED = "closed"
""", "app/c.py": """
from typing import Literal
ExecutionState = Literal["pending", "running", "done"]  # -> state-lookalike
class AgentExecutionState:  # -> state-lookalike
    PENDING = "pending"
    RUNNING = "running"
    FAILED = "failed"
class JobStatus:  # -> state-lookalike
    PENDING = "pending"
    RUNNING = "running"
    FAILED = "failed"
"""},
}  # fmt: skip
