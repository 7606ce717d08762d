"""How values get to the place where they are used: the detours that the audit follows, and those on which it loses sight."""

from __future__ import annotations

import sys

from .snippets import LEGACY

_HEAD = (
    LEGACY
    + """\
from dataclasses import dataclass
from typing import Any, Dict, List, Literal, Mapping, NamedTuple, Optional, Set, TypedDict, cast, overload
"""
)

DETOURS = {
    # -- to the tracker
    "a default tracker": _HEAD + """
class Engine:
    def __init__(self, tracker: Optional[AgentExecutionTracker] = None, other=None) -> None:
        self.tracker = tracker or get_execution_tracker()
        self.maybe = get_execution_tracker() if other else None
        self.either = other or get_execution_tracker()
        self.tested = other if other is not None else get_execution_tracker()
    def end(self, id: str, given, default=None) -> None:
        self.tracker.heartbeat(id)  # -> ignored-refusal
        self.maybe.heartbeat(id)  # -> ignored-refusal
        self.either.heartbeat(id)  # -> ignored-refusal
        self.tested.heartbeat(id)  # -> ignored-refusal
        (default or tracker).heartbeat(id)  # -> ignored-refusal
        (given or tracker).heartbeat(id)
        if default is None:
            default = tracker
        default.heartbeat(id)  # -> ignored-refusal
    def compare(self, record: ExecutionRecord, state=None) -> bool:
        state = state or ExecutionState.RUNNING
        ok = tracker.update_execution_state("x", self.outcome())  # -> dict-state
        return state == "running" or record.state == ExecutionState.RUNNING.value  # -> string-comparison
    def outcome(self):
        return {"success": True}
""",
    "attributes that are bound again": _HEAD + """
class Engine:
    def __init__(self, tracker: AgentExecutionTracker, own: AgentExecutionTracker) -> None:
        self.tracker = tracker
        self.own = own
    def renew(self, other) -> None:
        self.tracker = get_execution_tracker()
        self.own = other
    def close(self) -> None:
        self.tracker = None
    def end(self, id: str) -> None:
        self.tracker.heartbeat(id)  # -> ignored-refusal
        self.own.heartbeat(id)
""",
    "attributes and properties": _HEAD + """
class Engine:
    tracker: "AgentExecutionTracker"
    kept = get_execution_tracker()
    _given: Optional["AgentExecutionTracker"] = None
    @property
    def shared(self) -> AgentExecutionTracker:
        return self._given
    def end(self, id: str) -> None:
        self.tracker.heartbeat(id)  # -> ignored-refusal
        self.shared.heartbeat(id)  # -> ignored-refusal
        Engine.kept.heartbeat(id)  # -> ignored-refusal
        if (one := get_execution_tracker()) is not None:
            one.heartbeat(id)  # -> ignored-refusal
""",
    "global singletons": _HEAD + """
_kept: Optional[AgentExecutionTracker] = None
_late = None
_both = get_execution_tracker()
def get(other) -> AgentExecutionTracker:
    global _kept, _late, _both
    if _kept is None:
        _kept = get_execution_tracker()
    _late, _both = _late, other
    _late = get_execution_tracker()
    _kept.heartbeat("x")  # -> ignored-refusal
    return _kept
def end(id: str) -> None:
    _kept.heartbeat(id)  # -> ignored-refusal
    _late.heartbeat(id)
    _both.heartbeat(id)
_set = None
def begin() -> None:
    global _set
    _set = get_execution_tracker()
def beat(id: str) -> None:
    _set.heartbeat(id)  # -> ignored-refusal
    _kept = object()
    _kept.heartbeat(id)
""",
    "base classes and class methods": _HEAD + """
class Mine(AgentExecutionTracker):
    def end(self, id: str) -> None:
        self.heartbeat(id)  # -> ignored-refusal
        super().heartbeat(id)  # -> ignored-refusal
    @staticmethod
    def get_instance() -> "Mine": ...
Mine.get_instance().heartbeat("x")  # -> ignored-refusal
cast(AgentExecutionTracker, object()).heartbeat("x")  # -> ignored-refusal
cast("AgentExecutionTracker", object()).heartbeat("x")  # -> ignored-refusal
""",
    "containers": _HEAD + """
class Pool:
    def __init__(self) -> None:
        self.trackers: Dict[str, AgentExecutionTracker] = {}
        self.all: List[AgentExecutionTracker] = []
    def end(self, id: str, other: object) -> None:
        self.trackers[id].heartbeat(id)  # -> ignored-refusal
        self.trackers.get(id).heartbeat(id)  # -> ignored-refusal
        self.trackers.get(id, other).heartbeat(id)
        for one in self.all:
            one.heartbeat(id)  # -> ignored-refusal
        for key, one in self.trackers.items():
            one.heartbeat(id)  # -> ignored-refusal
            key.heartbeat(id)
        for number, one in enumerate(self.all):
            one.heartbeat(id)  # -> ignored-refusal
        print([one.state == "running" for one in tracker.get_active_executions()])  # -> string-comparison
        print({key: one.get_execution(id).state == "x" for key, one in self.trackers.items()})  # -> string-comparison
""",
    "a local class of the same name": _HEAD + """
def end(id: str) -> None:
    class AgentExecutionTracker:
        def heartbeat(self, id): ...
    tracker = AgentExecutionTracker()
    tracker.heartbeat(id)
def beat(tracker, id: str) -> None:
    tracker.heartbeat(id)
""",
    # -- to the state
    "dicts": _HEAD + """
STATE = {"success": False}
class Result(TypedDict):
    success: bool
def outcome(ok: bool) -> Dict[str, Any]: ...
def result() -> Result: ...
def end(id: str, given: Mapping[str, object], typed: Result) -> None:
    ok = tracker.update_execution_state(id, STATE)  # -> dict-state
    ok = tracker.update_execution_state(id, given)  # -> dict-state
    ok = tracker.update_execution_state(id, typed)  # -> dict-state
    ok = tracker.update_execution_state(id, outcome(False))  # -> dict-state
    ok = tracker.update_execution_state(id, result())  # -> dict-state
    ok = tracker.update_execution_state(id, {"a": 1} | given)  # -> dict-state
    ok = tracker.update_execution_state(id, {key: 1 for key in given})  # -> dict-state
    update = tracker.update_execution_state
    ok = update(id, {})  # -> dict-state
""",
    "texts": _HEAD + """
FAILED = "failed"
def end(id: str, name: Literal["failed", "dead"]) -> None:
    ok = tracker.update_execution_state(id, FAILED)  # -> str-state
    ok = tracker.update_execution_state(id, name)  # -> str-state
    ok = tracker.update_execution_state(id, "fail" + "ed")  # -> str-state
    ok = tracker.update_execution_state(id, "%s" % name)  # -> str-state
    ok = tracker.update_execution_state(id, "{}".format(name))  # -> str-state
    ok = tracker.update_execution_state(id, name.strip())  # -> str-state
    ok = tracker.update_execution_state(id, "failed" if ok else "completed")  # -> str-state
""",
    "tables of states": _HEAD + """
MEANS: Dict[str, ExecutionState] = {}
OLD = {a.ExecutionState.FAILED: ExecutionState.FAILED}
def end(id: str, word: str, old: a.ExecutionRecord, data: dict[str, Any], union: ExecutionState | str) -> None:
    ok = tracker.update_execution_state(id, MEANS[word])
    ok = tracker.update_execution_state(id, MEANS.get(word, ExecutionState.FAILED))
    ok = tracker.update_execution_state(id, OLD[old.state])
    ok = tracker.update_execution_state(id, ExecutionState[old.state.name])
    ok = tracker.update_execution_state(id, data["state"])
    ok = tracker.update_execution_state(id, data.get("state", "failed"))
    ok = tracker.update_execution_state(id, union)
    for state in ExecutionState:
        ok = tracker.update_execution_state(id, state)
    state = ExecutionState.FAILED
    def inner() -> None:
        nonlocal state
        state = {}
    ok = tracker.update_execution_state(id, state)
""",
    "a name that two modules give": """
from netra_backend.app.core.execution_tracker import ExecutionState
from netra_backend.app.core.agent_execution_tracker import get_execution_tracker
class Core:
    def __init__(self):
        self.execution_tracker = get_execution_tracker()
    async def go(self, id):
        try:
            ok = self.execution_tracker.update_execution_state(id, ExecutionState.COMPLETED)  # -> mixed-enums
        except Exception as error:
            return {"success": False, "error": str(error)}
        state = ExecutionState.FAILED if ok else ExecutionState.COMPLETED
        ok = self.execution_tracker.update_execution_state(id, state)  # -> mixed-enums
        return self.execution_tracker.get_execution(id).state is ExecutionState.FAILED  # -> mixed-enums
""",
    "fields and defaults": _HEAD + """
@dataclass
class Result:
    state: ExecutionState
    text: str = ""
class Pair(NamedTuple):
    state: ExecutionState
@dataclass
class Converting:
    state: ExecutionState
    def __post_init__(self) -> None:
        self.state = ExecutionState(self.state)
def make() -> None:
    Result(state={"success": True})  # -> dict-state
    Result("failed")  # -> str-state
    Result(a.ExecutionState.FAILED)  # -> mixed-enums
    Result(ExecutionState.FAILED, "text")
    Pair("failed")  # -> str-state
    Converting("failed")
def give(state: ExecutionState = {}) -> None: ...  # -> dict-state
def name(*, state: ExecutionState = "failed", other: Optional[ExecutionState] = None) -> None: ...  # -> str-state
@tracker.command
def converted(state: ExecutionState = "failed") -> None: ...
class Run:
    started = ExecutionState.RUNNING
    def __init__(self) -> None:
        self.state: ExecutionState = "failed"  # -> str-state
    @property
    def loose(self) -> ExecutionState: ...
    @loose.setter
    def loose(self, value: ExecutionState | str) -> None: ...
    @property
    def strict(self) -> ExecutionState: ...
    @strict.setter
    def strict(self, value: ExecutionState) -> None: ...
    @overload
    def put(self, state: ExecutionState) -> None: ...
    @overload
    def put(self, state: str) -> None: ...
    def put(self, state): ...
def set_them(run: Run, id: str) -> None:
    run.loose = "failed"
    run.strict = "failed"  # -> str-state
    run.put("failed")
    ok = tracker.update_execution_state(id, Run.started)
""",
    # -- to the comparison
    "comparisons": _HEAD + """
DONE = ("completed", "failed")
OLD = [a.ExecutionState.FAILED]
def look(id: str, record: ExecutionRecord, states: Set[ExecutionState], old: a.ExecutionRecord) -> None:
    print(record.state in DONE)  # -> string-comparison
    print(record.state in OLD)  # -> mixed-enums
    print(record.state in states)
    print(record.state.name == "running")  # -> string-comparison
    print(record.state.value == "RUNNING")  # -> string-comparison
    print(record.state.value == "running", record.state.name == "RUNNING", record.state.value.upper() == "running")
    print(record.state.value == old.state.value)
    while tracker.get_execution(id).state != "completed":  # -> string-comparison
        pass
    match record.state.value:
        case "COMPLETED":  # -> string-comparison
            pass
""",
    "states that say what they equal": """
from enum import Enum
class ExecutionState(Enum):  # -> state-lookalike
    PENDING = "pending"
    RUNNING = "running"
    FAILED = "failed"
    def __eq__(self, other): ...
def look(state: ExecutionState) -> bool:
    return state == "running" or state in ("failed",)
""",
    # -- to nowhere
    "refusals": _HEAD + """
def end(id: str) -> None:
    id and tracker.heartbeat(id)  # -> ignored-refusal
    tracker.heartbeat(id) if id else None  # -> ignored-refusal
    tracker.heartbeat(id) or print("gone")
""",
    "errors": _HEAD + """
def run(id: str) -> object:
    try:
        ok = tracker.heartbeat(id)
    except Exception as error:  # -> swallowed-error
        logging.getLogger(__name__).warning("no beat: %s", error)
    try:
        ok = tracker.heartbeat(id)
    except* Exception:  # -> swallowed-error
        pass
    try:
        ok = tracker.heartbeat(id)
    except Exception:  # -> swallowed-error
        import traceback
        traceback.print_exc()
    try:
        ok = tracker.heartbeat(id)
    except Exception:
        ok = tracker.update_execution_state(id, ExecutionState.FAILED)
    try:
        ok = tracker.heartbeat(id)
    except Exception:  # -> swallowed-error
        return {}
    return None
""",
    "beats": _HEAD + """
class Loop:
    def __init__(self) -> None:
        self.running = True
        self.stop = asyncio.Event()
    async def until_told(self, id: str) -> None:
        while self.running:  # -> blind-heartbeat
            try:
                await asyncio.wait_for(self.stop.wait(), timeout=2.0)
            except asyncio.TimeoutError:
                ok = tracker.heartbeat(id)
    async def counting(self, id: str) -> None:
        count = 0
        while True:  # -> blind-heartbeat
            await asyncio.sleep(2)
            success = tracker.heartbeat(id)
            if not success:
                logger.warning("gone %s %s", id, time.time())
                break
            count += 1
            logger.debug(f"beat {count} of {id[:8]}")
    async def asking_the_tracker(self, id: str) -> None:
        while True:  # -> blind-heartbeat
            if tracker.get_execution(id) is None:
                return
            ok = tracker.heartbeat(id)
            await asyncio.sleep(1)
    async def asking_the_agent(self, id: str, agent) -> None:
        while agent.progressed():
            ok = tracker.heartbeat(id)
            await asyncio.sleep(1)
""",
    "trackers that are made": _HEAD + """
def get_agent_state_tracker() -> AgentExecutionTracker:
    return AgentExecutionTracker()  # -> unmonitored-tracker
class Engine:
    def __init__(self, tracker: AgentExecutionTracker | None = None) -> None:
        self.tracker = tracker or AgentExecutionTracker()  # -> unmonitored-tracker
def go(engine=Engine(AgentExecutionTracker())) -> None:  # -> unmonitored-tracker
    trackers = {"x": AgentExecutionTracker()}  # -> unmonitored-tracker
""",
    "trackers that are made and monitored": _HEAD + """
class Engine:
    def __init__(self, tracker=None) -> None:
        self.tracker = tracker or AgentExecutionTracker()
    async def start(self) -> None:
        await self.tracker.start_monitoring()
""",
    # -- definitions
    "enums in every form": """
import enum
from enum import Enum, IntEnum, auto
from typing import Final, Literal, TypeAlias
class Outer:
    class ExecutionState(enum.Enum):  # -> state-lookalike
        PENDING = auto()
        RUNNING = auto()
        DONE = auto()
class ExecStatus(IntEnum):  # -> state-lookalike
    queued = 1
    running = 2
    failed = 3
ByList = Enum("ByList", ["PENDING", "RUNNING", "FAILED"])  # -> state-lookalike
ByText = Enum("ByText", names="PENDING RUNNING FAILED")  # -> state-lookalike
ByDict = Enum("ByDict", {"PENDING": 1, "RUNNING": 2, "FAILED": 3})  # -> state-lookalike
ByPairs = Enum("ByPairs", [("PENDING", 1), ("RUNNING", 2), ("FAILED", 3)])  # -> state-lookalike
AgentStatus: TypeAlias = Literal["idle", "pending", "running", "completed", "failed"]  # -> state-lookalike
class Constants:  # -> state-lookalike
    PENDING: Final = "pending"
    RUNNING: Final = "running"
    FAILED: Final = "failed"
class Light(Enum):
    RED = 1
    RUNNING = 2
    AMBER = 3
""",
}  # fmt: skip

if sys.version_info >= (3, 12):
    DETOURS["type statements"] = """
from typing import Literal
type ExecutionStatus = Literal["pending", "running", "done"]  # -> state-lookalike
"""
