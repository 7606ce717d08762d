"""Right and wrong uses of the legacy trackers, of runstate, and of trackers that only look like them."""

from __future__ import annotations

LEGACY = """\
import asyncio, contextlib, logging, threading, time
from netra_backend.app.core.agent_execution_tracker import (
    AgentExecutionTracker, ExecutionRecord, ExecutionState, get_execution_tracker)
from netra_backend.app.core import execution_tracker as a
from netra_backend.app.agents.execution_tracking import registry as c
logger = logging.getLogger(__name__)
tracker = get_execution_tracker()
"""

_NATIVE = """\
import runstate
from runstate import ExecutionState, ExecutionTracker
"""

SNIPPETS = {
    # -- dicts
    "dict: issue 305": LEGACY + """
def end(id: str) -> bool:
    return tracker.update_execution_state(id, {"success": False, "completed": True})  # -> dict-state
""",
    "dict: by keyword, through a variable, made by dict()": LEGACY + """
def end(id: str, result: dict[str, object]) -> None:
    state = {"success": True}
    ok = tracker.update_execution_state(id, state=state)  # -> dict-state
    ok = tracker.update_execution_state(id, dict(success=True))  # -> dict-state
    ok = tracker.update_execution_state(id, result)  # -> dict-state
    ok = tracker.update_execution_state(id, ExecutionState.FAILED if ok else {})  # -> dict-state
""",
    "dict: to an attribute, a variable, a result": LEGACY + """
def limbo(record: ExecutionRecord) -> ExecutionState:
    record.state = {"success": False}  # -> dict-state
    state: ExecutionState = {"success": False}  # -> dict-state
    return {"success": False}  # -> dict-state
""",
    "dict: where a dict belongs": LEGACY + """
def more(id: str) -> None:
    tracker.set_agent_state(id, {"warning_count": 1})  # -> ignored-refusal
    id = tracker.create_execution("a", "t", "u", metadata={"state": "running"})
""",
    "dict: to something unknown of the same name": """
from somewhere import tracker, ExecutionState
def end(id, other, state):
    tracker.update_execution_state(id, {"success": False})  # -> dict-state
    other.update_execution_state(id, "completed")  # -> str-state
    other.update_execution_state(id, "shipped")
    other.update_execution_state(id, state)
    other.update_order_state(id, {"success": False})
    return ExecutionState.RUNNING == "running"
""",
    "dict: issue 305, of a tracker that nothing is known of": """
class Core:
    def __init__(self, tracker=None):
        self.execution_tracker = tracker
    async def run(self, execution_id):
        self.execution_tracker.update_execution_state(execution_id, {"success": False, "completed": True})  # -> dict-state
        self.execution_tracker.update_execution_state(execution_id, state="failed")  # -> str-state
""",
    "dict: to a name that is bound to two things": LEGACY + """
def end(id: str, flag: bool) -> None:
    one = tracker if flag else object()
    one.update_execution_state(id, {})  # -> dict-state
    state = {}
    if flag:
        state = ExecutionState.FAILED
    ok = tracker.update_execution_state(id, state)
""",
    "dict: to runstate": _NATIVE + """
def end(id: str) -> None:
    with runstate.open("memory:") as tracker:
        tracker.update_execution_state(id, {"success": False, "completed": True})  # -> dict-state
        tracker.update_execution_state(id, ExecutionState.FAILED, error="x")
        for record in tracker.find(state="running"):  # -> str-state
            print(record.state == "running")  # -> string-comparison
            print(record.state is ExecutionState.RUNNING, record.state.value == "running")
""",
    # -- texts
    "text: spelled": LEGACY + """
def end(id: str, name: str) -> None:
    ok = tracker.update_execution_state(id, "completed")  # -> str-state
    ok = tracker.update_execution_state(id, name)  # -> str-state
    ok = tracker.update_execution_state(id, ExecutionState.FAILED.value)  # -> str-state
    ok = tracker.update_execution_state(id, ExecutionState(name))
    ok = tracker.update_execution_state(id, ExecutionState[name.upper()])
    id = tracker.create_execution_with_full_context("a", {}, initial_state="PENDING")
""",
    "text: to C, whose members are texts": LEGACY + """
async def end(registry: c.ExecutionRegistry, id: str) -> bool:
    ok = await registry.update_execution_state(id, "SUCCESS")  # -> str-state
    ok = await registry.update_execution_state(id, c.ExecutionState.SUCCESS)
    return ok
""",
    # -- comparisons
    "comparison: plain enum": LEGACY + """
def look(id: str) -> None:
    record = tracker.get_execution(id)
    assert record is not None
    if record.state == "running" or "failed" != record.state:  # -> string-comparison
        print(record.state in ("completed", "failed"))  # -> string-comparison
    match record.state:
        case "running":  # -> string-comparison
            pass
        case ExecutionState.FAILED:
            pass
    for one in tracker.get_active_executions():
        print([other.state == "dead" for other in [one]])  # -> string-comparison
    print(record.agent_name == "running", record.state == ExecutionState.RUNNING, record.state is not None)
""",
    "comparison: values": LEGACY + """
def look(record: ExecutionRecord) -> bool:
    if record.state.value == "COMPLETED_AT_LAST":  # -> string-comparison
        return False
    return record.state.value == "completed" or record.state.name == "COMPLETED" or record.state.value.upper() == "X"
""",
    "comparison: enum of texts": LEGACY + """
def look(record: c.ExecutionRecord) -> bool:
    if record.state == "SUCCESS":  # -> string-comparison
        return True
    return record.state == "success"  # -> string-comparison
""",
    "comparison: after a test of its type": LEGACY + """
def normal(state: ExecutionState) -> bool:
    if isinstance(state, str):
        return state == "running"
    return state is ExecutionState.RUNNING
""",
    # -- mixed enums
    "mixed: argument, attribute, comparison": LEGACY + """
def mix(id: str, record: ExecutionRecord) -> None:
    ok = tracker.update_execution_state(id, a.ExecutionState.FAILED)  # -> mixed-enums
    record.state = a.ExecutionState.FAILED  # -> mixed-enums
    if record.state == a.ExecutionState.FAILED:  # -> mixed-enums
        print(record.state in (c.ExecutionState.FAILED, ExecutionState.DEAD))  # -> mixed-enums
    ok = tracker.update_execution_state(id, ExecutionState.FAILED)
    print(record.state is ExecutionState.FAILED)
""",
    "mixed: not with an enum that says something else": LEGACY + """
from enum import Enum
class Colour(Enum):
    RED = 1
    GREEN = 2
    BLUE = 3
def mix(record: ExecutionRecord) -> bool:
    return record.state == Colour.RED
""",
    # -- refusals
    "refusal: ignored": LEGACY + """
class Engine:
    def __init__(self, given: AgentExecutionTracker) -> None:
        self.tracker = get_execution_tracker()
        self.given = given
    async def run(self, id: str) -> None:
        self.tracker.start_execution(id)  # -> ignored-refusal
        self.given.heartbeat(id)  # -> ignored-refusal
        await self.tracker.transition_state(id, None)  # -> ignored-refusal
        self.tracker.transition_state(id, None)
        if not self.tracker.start_execution(id):
            raise RuntimeError(id)
        _ = self.tracker.heartbeat(id)
        self.tracker.register_death_callback(print)
class Rebound:
    def __init__(self) -> None:
        self.tracker = get_execution_tracker()
    def run(self, id: str, other: object) -> None:
        self.tracker = other
        self.tracker.heartbeat(id)
class Other:
    def __init__(self, given: AgentExecutionTracker) -> None:
        self.tracker = given
    def run(self, id: str) -> None:
        self.tracker.heartbeat(id)  # -> ignored-refusal
""",
    "refusal: of A": LEGACY + """
async def run(id) -> None:
    its = a.get_execution_tracker()
    await its.heartbeat(id)  # -> ignored-refusal
    await its.start_execution(id)
    await its.complete_execution(id)
""",
    # -- swallowed errors
    "swallowed: in every way": LEGACY + """
def run(id: str) -> None:
    for _ in range(3):
        try:
            ok = tracker.update_execution_state(id, ExecutionState.FAILED)
        except Exception:  # -> swallowed-error
            pass
        try:
            ok = tracker.heartbeat(id)
        except:  # -> swallowed-error
            continue
    with contextlib.suppress(Exception):  # -> swallowed-error
        ok = tracker.heartbeat(id)
    try:
        ok = tracker.heartbeat(id)
    except (ValueError, Exception) as error:  # -> swallowed-error
        logger.debug("no beat: %s", error)
        return None
    try:
        ok = tracker.heartbeat(id)
    except Exception:  # -> swallowed-error
        logger.exception("no beat")
""",
    "swallowed: not": LEGACY + """
def run(id: str, errors: list[Exception]) -> object:
    try:
        ok = tracker.heartbeat(id)
    except ValueError:
        pass
    try:
        ok = tracker.heartbeat(id)
    except Exception as error:
        errors.append(error)
    try:
        ok = tracker.heartbeat(id)
    except Exception as error:
        raise RuntimeError(id) from error
    try:
        ok = tracker.heartbeat(id)
    except Exception as error:
        return error
    try:
        print(id)
    except Exception:
        pass
    try:
        def later() -> bool:
            return tracker.heartbeat(id)
    except Exception:
        pass
    with contextlib.suppress(KeyError):
        ok = tracker.heartbeat(id)
    return None
""",
    # -- heartbeats
    "heartbeat: blind": LEGACY + """
async def beat(id: str) -> None:
    while True:  # -> blind-heartbeat
        await asyncio.sleep(2)
        if not tracker.heartbeat(id):
            break
def beat_on(id: str, stop: threading.Event) -> None:
    while not stop.is_set():  # -> blind-heartbeat
        stop.wait(2.0)
        try:
            ok = tracker.heartbeat(id)
        except ValueError:
            logger.error("no beat")
async def beat_with_a_limit(id: str, stop: asyncio.Event) -> None:
    while not stop.is_set():  # -> blind-heartbeat
        ok = get_execution_tracker().heartbeat(id)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), 1)
def beat_native(run) -> None:
    while True:
        time.sleep(1)
        run.heartbeat()
""",
    "heartbeat: of runstate": _NATIVE + """
import time
def beat(tracker: ExecutionTracker) -> None:
    with tracker.execution(agent="a", thread_id="t", user_id="u") as run:
        while True:  # -> blind-heartbeat
            run.heartbeat()
            time.sleep(1)
""",
    "heartbeat: that knows how the agent fares": LEGACY + """
def work(id: str, agent, queue) -> None:
    while True:
        item = queue.get()
        ok = tracker.heartbeat(id)
        time.sleep(1)
    while agent.alive:
        if agent.steps > 3:
            ok = tracker.heartbeat(id)
        time.sleep(1)
    for step in agent:
        ok = tracker.heartbeat(id)
        time.sleep(1)
""",
}  # fmt: skip
