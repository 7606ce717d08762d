"""Programs that the migration leaves in part: each such line says why at its end, `# -> reason`."""

from __future__ import annotations

from .rewrites import HEAD

_B = "from netra_backend.app.core.agent_execution_tracker import"

UNPROVEN = {
    "texts that name modules": (
        HEAD[0]
        + """\
from unittest.mock import patch
def f() -> None:
    with patch("netra_backend.app.core.agent_execution_tracker.get_execution_tracker"):  # -> by this text misses
        print("netra_backend.app.core.agent_execution_trackers", "see netra_backend.app.core.execution_tracker")
"""
    ),
    "dicts": (
        HEAD[0]
        + """\
def f(id: str, data: dict[str, bool], other) -> None:
    tracker.update_execution_state(id, {"completed": True})  # -> not certain which state
    tracker.update_execution_state(id, {"success": other})  # -> not certain which state
    tracker.update_execution_state(id, {"success": False, "completed": False})  # -> not certain which state
    tracker.update_execution_state(id, {"success": False, "error": "e"})  # -> not certain which state
    tracker.update_execution_state(id, {"success": True, "success": False})  # -> not certain which state
    tracker.update_execution_state(id, {"success": 1})  # -> not certain which state
    tracker.update_execution_state(id, {**data})  # -> not certain which state
    tracker.update_execution_state(id, data)  # -> a dict that is made elsewhere
    other.update_execution_state(id, {"success": True})  # -> not certain what other is
    tracker.update_execution_state(id, {  # -> the comment in it would be lost
        "success": True,  # why
    })
"""
    ),
    "texts": (
        HEAD[0]
        + """\
def f(id: str, name: str, other) -> None:
    tracker.update_execution_state(id, "finished off")  # -> spells no state
    tracker.update_execution_state(id, name)  # -> a text that is made elsewhere
    tracker.update_execution_state(id, f"{name}")  # -> a text that is made elsewhere
    other.update_execution_state(id, "failed")  # -> not certain what other is
    other.update_execution_state(id, name)
"""
    ),
    "comparisons": (
        HEAD[0]
        + """\
DONE = ("completed", "failed")
def f(state: ExecutionState, name: str, other) -> None:
    print(state == "finished off")  # -> spells none
    print(state == name)  # -> a text that is made elsewhere
    print("running" == state == "failed")  # -> take it apart
    print(state in ("running", "finished off"))  # -> one spells none
    print(state in DONE)  # -> not certain what the state is looked for in
    print(other.state == "running")  # -> not certain that this is a state
    print(other.state == "CA", other.status == "running")
"""
    ),
    "states that were texts": (
        """\
from netra_backend.app.agents.execution_tracking.registry import ExecutionRecord, ExecutionState
import json
def f(record: ExecutionRecord, other) -> None:
    print(json.dumps({"state": record.state}))  # -> a text no longer
    print(record.state.lower(), other.state.lower())  # -> a text no longer
    print("state: " + record.state)  # -> a text no longer
    print({"INITIALIZING": 1}.get(record.state))  # -> a text no longer
    print(record.state is ExecutionState.RECOVERING)  # -> are one state now
    print(record.state == "INITIALIZING")  # -> are one state now
    table = {ExecutionState.SUCCESS: 1}  # -> a text no longer
    either = record.state if other else "none"  # -> a text no longer
    print(record.state is ExecutionState.FAILED)
"""
    ),
    "methods": (
        HEAD[0]
        + """\
def f(id: str, more) -> None:
    tracker.complete_execution(id, None, 5)  # -> more than update_execution_state() takes
    tracker.complete_execution(*more)  # -> more than update_execution_state() takes
    tracker.fail_execution(id, "e", error_context={})  # -> more than update_execution_state() takes
"""
    ),
    "a name that is taken": (
        f"""\
{_B} get_execution_tracker
ExecutionState = object()
get_execution_tracker().update_execution_state("x", "failed")  # -> the name ExecutionState is taken
"""
    ),
    "a name that a function takes": (
        f"""\
{_B} ExecutionState, get_execution_tracker
def f(ExecutionState: object) -> None:
    get_execution_tracker().update_execution_state("x", "failed")  # -> the name ExecutionState is taken
"""
    ),
}
