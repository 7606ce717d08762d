"""Programs before and after the migration. Every line of the second says what the migration must make of the first."""

from __future__ import annotations

_B = "from netra_backend.app.core.agent_execution_tracker import"
_A = "from netra_backend.app.core.execution_tracker import"
_NEW_B = "from runstate.legacy.agent_execution_tracker import"
_NEW_A = "from runstate.legacy.execution_tracker import"

HEAD = (
    f"{_B} AgentExecutionTracker, ExecutionState, get_execution_tracker\ntracker = get_execution_tracker()\n",
    "from runstate import ExecutionState\n"
    f"{_NEW_B} AgentExecutionTracker, get_execution_tracker\ntracker = get_execution_tracker()\n",
)


def _with_head(before: str, after: str) -> tuple[str, str]:
    return HEAD[0] + before, HEAD[1] + after


REWRITES = {
    "issue 305": _with_head(
        'tracker.update_execution_state("x", {"success": False, "completed": True})  # so it was\n'
        'tracker.update_execution_state("x", f"failed")\ndef local() -> None:\n    ExecutionState = 3\n',
        'tracker.update_execution_state("x", ExecutionState.FAILED)  # so it was\n'
        'tracker.update_execution_state("x", ExecutionState.FAILED)\ndef local() -> None:\n    ExecutionState = 3\n',
    ),
    "dicts": _with_head(
        """\
def f(id: str, one: AgentExecutionTracker, flag: bool) -> None:
    one.update_execution_state(id, {"success": True})
    one.update_execution_state(id, {'completed': True, 'success': True}, result=1)
    one.update_execution_state(id, state={"success": False}, error="e")
    one.update_execution_state(id, ( {"state": "RUNNING"} ))
    one.update_execution_state(id, {"status": "timeout"} if flag else ExecutionState.DEAD)
    one.update_execution_state(
        id,
        {
            "success": False,
            "completed": True,
        },  # kept
    )
""",
        """\
def f(id: str, one: AgentExecutionTracker, flag: bool) -> None:
    one.update_execution_state(id, ExecutionState.COMPLETED)
    one.update_execution_state(id, ExecutionState.COMPLETED, result=1)
    one.update_execution_state(id, state=ExecutionState.FAILED, error="e")
    one.update_execution_state(id, ( ExecutionState.RUNNING ))
    one.update_execution_state(id, ExecutionState.TIMEOUT if flag else ExecutionState.DEAD)
    one.update_execution_state(
        id,
        ExecutionState.FAILED,  # kept
    )
""",
    ),
    "texts": _with_head(
        """\
def f(id: str) -> ExecutionState:
    tracker.update_execution_state(id, "completed")
    tracker.update_execution_state(id, 'COMPLETED')
    tracker.update_execution_state(id, "SUCCESS")
    tracker.update_execution_state(id, "aborted", error="a" "b")
    tracker.update_execution_state(id, "fai" "led")
    tracker.update_execution_state(id, ExecutionState.FAILED.value)
    record = tracker.get_execution(id)
    if record:
        record.state = "running"
    state: ExecutionState = "dead"
    return "pending"
""",
        """\
def f(id: str) -> ExecutionState:
    tracker.update_execution_state(id, ExecutionState.COMPLETED)
    tracker.update_execution_state(id, ExecutionState.COMPLETED)
    tracker.update_execution_state(id, ExecutionState.COMPLETED)
    tracker.update_execution_state(id, ExecutionState.CANCELLED, error="a" "b")
    tracker.update_execution_state(id, ExecutionState.FAILED)
    tracker.update_execution_state(id, ExecutionState.FAILED)
    record = tracker.get_execution(id)
    if record:
        record.state = ExecutionState.RUNNING
    state: ExecutionState = ExecutionState.DEAD
    return ExecutionState.PENDING
""",
    ),
    "comparisons": _with_head(
        """\
def f(a: ExecutionState, b: ExecutionState, c: ExecutionState, d: ExecutionState) -> bool:
    if a == "running" or "failed"!=b or (c) == ("dead"):
        return d.value == "completed"
    if d.value.lower() == "running" or d.name == 'RUNNING':
        return d.value != "COMPLETED"  # a comment
    return False
def g(state: ExecutionState) -> bool:
    match state:
        case "timeout" | "dead":
            return True
        case ExecutionState.FAILED:
            return False
    return state in ("completed", "failed",) or state == ExecutionState.CANCELLED
def h(state: ExecutionState) -> bool:
    return state.value not in ["running"]
""",
        """\
def f(a: ExecutionState, b: ExecutionState, c: ExecutionState, d: ExecutionState) -> bool:
    if a is ExecutionState.RUNNING or ExecutionState.FAILED is not b or (c) is (ExecutionState.DEAD):
        return d is ExecutionState.COMPLETED
    if d.value.lower() == "running" or d is ExecutionState.RUNNING:
        return d is not ExecutionState.COMPLETED  # a comment
    return False
def g(state: ExecutionState) -> bool:
    match state:
        case ExecutionState.TIMEOUT | ExecutionState.DEAD:
            return True
        case ExecutionState.FAILED:
            return False
    return state in (ExecutionState.COMPLETED, ExecutionState.FAILED,) or state == ExecutionState.CANCELLED
def h(state: ExecutionState) -> bool:
    return state not in [ExecutionState.RUNNING]
""",
    ),
    "in odd places": _with_head(
        """\
def f(id: str, a: ExecutionState, b: ExecutionState, c: ExecutionState, other: ExecutionState = "pending") -> str:
    ends = [lambda id: tracker.update_execution_state(id, "failed")]
    if a=="running"or a=="dead":
        return f"{b == 'failed'} {tracker.update_execution_state(id, 'failed')}"
    tracker.update_execution_state(
        id, \\
        (  # why
            "failed"
        ),
    )
    assert not (b
                == "running"), "still running"
    return "x" if c=="dead"else "y"
""",
        """\
def f(id: str, a: ExecutionState, b: ExecutionState, c: ExecutionState, other: ExecutionState = ExecutionState.PENDING) -> str:
    ends = [lambda id: tracker.update_execution_state(id, ExecutionState.FAILED)]
    if a is (ExecutionState.RUNNING)or a is ExecutionState.DEAD:
        return f"{b is ExecutionState.FAILED} {tracker.update_execution_state(id, ExecutionState.FAILED)}"
    tracker.update_execution_state(
        id, \\
        (  # why
            ExecutionState.FAILED
        ),
    )
    assert not (b
                is ExecutionState.RUNNING), "still running"
    return "x" if c is (ExecutionState.DEAD)else "y"
""",
    ),
    "methods": _with_head(
        """\
def f(id: str, error: str) -> bool:
    tracker.complete_execution(id)
    tracker.complete_execution(id, {"text": "t"})
    tracker.complete_execution( execution_id=id , result=0 )
    tracker.fail_execution(id, error,)
    return tracker.fail_execution(id, error="e")
""",
        """\
def f(id: str, error: str) -> bool:
    tracker.update_execution_state(id, ExecutionState.COMPLETED)
    tracker.update_execution_state(id, ExecutionState.COMPLETED, result={"text": "t"})
    tracker.update_execution_state( execution_id=id, state=ExecutionState.COMPLETED , result=0 )
    tracker.update_execution_state(id, ExecutionState.FAILED, error=error,)
    return tracker.update_execution_state(id, ExecutionState.FAILED, error="e")
""",
    ),
    "imports: one by one": (
        f"""\
# first
{_A} ExecutionState
{_B} ExecutionState as BState, get_execution_tracker  # why
{_A} ExecutionRecord as Record
""",
        f"""\
# first
from runstate import ExecutionState
from runstate import ExecutionState as BState
{_NEW_B} get_execution_tracker  # why
{_NEW_A} ExecutionRecord as Record
""",
    ),
    "imports: with comments between the names": (
        f"""\
{_B} (
    ExecutionState,  # which
    get_execution_tracker,  # from where
)
get_execution_tracker().update_execution_state("x", "failed")
""",
        f"""\
{_NEW_B} (
    ExecutionState,  # which
    get_execution_tracker,  # from where
)
get_execution_tracker().update_execution_state("x", ExecutionState.FAILED)
""",
    ),
    "imports: modules": (
        """\
from netra_backend.app.core import execution_tracker
from netra_backend.app.core import agent_execution_tracker as b, other
import netra_backend.app.core.execution_tracker as third
b.get_execution_tracker().update_execution_state("x", execution_tracker.ExecutionState.FAILED)
b.get_execution_tracker().update_execution_state("x", "failed")
third.get_execution_tracker()
""",
        """\
from runstate.legacy import execution_tracker
from netra_backend.app.core import other
from runstate.legacy import agent_execution_tracker as b
import runstate.legacy.execution_tracker as third
from runstate import ExecutionState

b.get_execution_tracker().update_execution_state("x", execution_tracker.ExecutionState.FAILED)
b.get_execution_tracker().update_execution_state("x", ExecutionState.FAILED)
third.get_execution_tracker()
""",
    ),
    "imports: inside functions, and where the name must be added": (
        f"""\
\"\"\"What it is.\"\"\"

from __future__ import annotations

import os


def f(id: str) -> None:
    {_B} get_execution_tracker
    get_execution_tracker().update_execution_state(id, "failed")
""",
        f"""\
\"\"\"What it is.\"\"\"

from __future__ import annotations

import os
from runstate import ExecutionState


def f(id: str) -> None:
    {_NEW_B} get_execution_tracker
    get_execution_tracker().update_execution_state(id, ExecutionState.FAILED)
""",
    ),
    "imports: everything": (f"{_B} *\n", f"{_NEW_B} *\n"),
    "imports: already there": (
        f"from runstate import ExecutionState\n{_B} ExecutionState\n{_B} get_execution_tracker\n",
        f"from runstate import ExecutionState\n{_NEW_B} get_execution_tracker\n",
    ),
    "a facade that is there already": (
        f"{_NEW_B} ExecutionState, get_execution_tracker\n"
        'get_execution_tracker().update_execution_state("x", "failed")\n'
        'get_execution_tracker().complete_execution("x")\n',
        f"{_NEW_B} ExecutionState, get_execution_tracker\n"
        'get_execution_tracker().update_execution_state("x", ExecutionState.FAILED)\n'
        'get_execution_tracker().update_execution_state("x", ExecutionState.COMPLETED)\n',
    ),
    "runstate itself": (
        """\
import runstate
with runstate.open("memory:") as tracker:
    tracker.update_execution_state("x", {"success": False, "completed": True})
    print([record for record in tracker.find(state="failed") if record.state == "failed"])
    print([record.state.value == "failed" for record in tracker.find()])
""",
        """\
import runstate
from runstate import ExecutionState

with runstate.open("memory:") as tracker:
    tracker.update_execution_state("x", ExecutionState.FAILED)
    print([record for record in tracker.find(state=ExecutionState.FAILED) if record.state is ExecutionState.FAILED])
    print([record.state.value == "failed" for record in tracker.find()])
""",
    ),
    "nothing to do": (
        """\
from enum import Enum
class ExecutionState(Enum):
    PENDING = 1
    RUNNING = 2
    FAILED = 3
def f(state: ExecutionState, tracker) -> bool:
    return state == "running"
""",
        "",
    ),
}  # fmt: skip

_C = "from netra_backend.app.agents.execution_tracking"
_NEW_C = "from runstate.legacy.execution_tracking"

REWRITES_OF_C = {
    "names": (
        f"""\
{_C}.registry import ExecutionRegistry, ExecutionState
async def f(registry: ExecutionRegistry, id: str) -> None:
    await registry.update_execution_state(id, ExecutionState.SUCCESS)
    await registry.update_execution_state(id, ExecutionState["ABORTED"])
    await registry.update_execution_state(id, ExecutionState("INITIALIZING"))
    await registry.update_execution_state(id, ExecutionState.RUNNING)
    record = await registry.get_execution(id)
    assert record is not None
    print(record.state == "SUCCESS", record.state.value in ("ABORTED", "FAILED"), record.state is ExecutionState.RUNNING)
""",
        f"""\
from runstate import ExecutionState
{_NEW_C}.registry import ExecutionRegistry
async def f(registry: ExecutionRegistry, id: str) -> None:
    await registry.update_execution_state(id, ExecutionState.COMPLETED)
    await registry.update_execution_state(id, ExecutionState.CANCELLED)
    await registry.update_execution_state(id, ExecutionState.STARTING)
    await registry.update_execution_state(id, ExecutionState.RUNNING)
    record = await registry.get_execution(id)
    assert record is not None
    print(record.state is ExecutionState.COMPLETED, record.state in (ExecutionState.CANCELLED, ExecutionState.FAILED), record.state is ExecutionState.RUNNING)
""",
    ),
    "each from its module": (
        f"""\
{_C} import ExecutionTracker
{_C}.tracker import AgentExecutionContext, AgentExecutionResult, ExecutionProgress
{_C}.registry import ExecutionProgress as Share
{_C}.heartbeat import HeartbeatMonitor
{_C} import timeout
async def f(tracker: ExecutionTracker, id: str, limits: timeout.TimeoutManager, monitor: HeartbeatMonitor) -> Share:
    await tracker.update_execution_progress(id, ExecutionProgress(stage="sql", percentage=20, message=""))
    await tracker.complete_execution(id, AgentExecutionResult(success=True, execution_id=id, duration_seconds=1.5))
    await tracker.start_execution("r", "a", AgentExecutionContext(run_id="r", agent_name="a", thread_id="t", user_id="u"))
    print(await limits.get_timeout_info(id), await monitor.is_alive(id))
    return Share(percentage=0.2)
""",
        f"""\
{_NEW_C} import ExecutionTracker
{_NEW_C}.tracker import AgentExecutionContext, AgentExecutionResult, ExecutionProgress
{_NEW_C}.registry import ExecutionProgress as Share
{_NEW_C}.heartbeat import HeartbeatMonitor
{_NEW_C} import timeout
async def f(tracker: ExecutionTracker, id: str, limits: timeout.TimeoutManager, monitor: HeartbeatMonitor) -> Share:
    await tracker.update_execution_progress(id, ExecutionProgress(stage="sql", percentage=20, message=""))
    await tracker.complete_execution(id, AgentExecutionResult(success=True, execution_id=id, duration_seconds=1.5))
    await tracker.start_execution("r", "a", AgentExecutionContext(run_id="r", agent_name="a", thread_id="t", user_id="u"))
    print(await limits.get_timeout_info(id), await monitor.is_alive(id))
    return Share(percentage=0.2)
""",
    ),
}  # fmt: skip
