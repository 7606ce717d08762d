"""Programs that ran on the legacy trackers, generated: in each step one execution is moved on, and looked at.

They keep clear of what the facades mend (moves out of an end, lost answers, jumps that C refused), since that must differ.
"""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st

HEAD = """\
import asyncio, json
from netra_backend.app.core.agent_execution_tracker import AgentExecutionTracker, ExecutionState
from netra_backend.app.core.execution_tracker import ExecutionState as OfA, ExecutionTracker
from netra_backend.app.agents.execution_tracking.registry import ExecutionRegistry, ExecutionState as OfC
a = ExecutionTracker()
b = AgentExecutionTracker()
c = ExecutionRegistry()
logs: list[list[object]] = []
log: list[object] = []
"""


class OldStep(NamedTuple):
    """One step, as it is found, and without the mistakes that the old tracker did not see."""

    found: str
    mended: str
    is_certain: bool
    """Whether the migration must prove it."""


_LIVE_B = ["STARTING", "RUNNING", "COMPLETING"]
_ENDS_B = ["COMPLETED", "FAILED", "TIMEOUT", "DEAD", "CANCELLED"]
_PATHS_C = [["INITIALIZING", "RUNNING", end] for end in ("SUCCESS", "FAILED", "TIMEOUT")] + [
    ["ABORTED"],
    ["INITIALIZING", "ABORTED"],
]


@st.composite
def _of_b(draw: st.DrawFn) -> OldStep:
    live = [state for state in _LIVE_B if draw(st.booleans())]
    begun = draw(st.sampled_from(["", "log.append(b.start_execution(id))\n", "log.append(b.heartbeat(id))\n"]))
    step = f"id = b.create_execution('a', 't', 'u')\n{begun}"
    found = mended = step
    for state in [*live, *draw(st.lists(st.sampled_from(_ENDS_B), max_size=2))]:
        member = f"ExecutionState.{state}"
        dicts = {"COMPLETED": '{"success": True}', "FAILED": '{"success": False, "completed": True}'}
        spelled = draw(st.sampled_from([member, f'"{state.lower()}"', f"{member}.value", dicts.get(state, member)]))
        call = "log.append(b.update_execution_state(id, {}, error='e'))\n"
        found, mended = found + call.format(spelled), mended + call.format(member)
    ended = draw(
        st.sampled_from(["", "log.append(b.complete_execution(id, 1))\n", "log.append(b.fail_execution(id, 'e'))\n"])
    )
    seen = draw(st.sampled_from([*_LIVE_B, *_ENDS_B]))
    texts = draw(
        st.sampled_from(
            [
                (f'.state == "{seen.lower()}"', f".state is ExecutionState.{seen}"),
                (f'.state.value in ("{seen.lower()}", "dead")', f'.state.value in ("{seen.lower()}", "dead")'),
                (f".state in [ExecutionState.{seen}]", f".state in [ExecutionState.{seen}]"),
                (".state.value", ".state.value"),
                (".state", ".state"),
            ]
        )
    )
    look = ended + "record = b.get_execution(id)\nassert record is not None\nlog.append(record{})\n"
    return OldStep(found + look.format(texts[0]), mended + look.format(texts[1]), is_certain=True)


@st.composite
def _of_a(draw: st.DrawFn) -> OldStep:
    end = draw(
        st.sampled_from(["complete_execution(key)", "complete_execution(key, error='e')", "kill_execution(key)"])
    )
    calls = ["start_execution(key)", "heartbeat(key)", end][: draw(st.integers(0, 3))]
    step = "key = asyncio.run(a.register_execution('agent'))\n"
    step += "".join(f"log.append(asyncio.run(a.{call}))\n" for call in calls)
    step += "seen = a.get_execution(key)\nassert seen is not None\n"
    look = draw(st.sampled_from(["seen.state is OfA.{}", "seen.state in (OfA.{}, OfA.DEAD)", "seen.state.name"]))
    step += f"log.append({look.format(draw(st.sampled_from(['RUNNING', 'COMPLETED', 'FAILED'])))})\n"
    return OldStep(step, step, is_certain=True)


_CERTAIN_C = [
    "of.state is OfC.{}",
    "of.state == '{}'",
    "of.state in ('{}', 'FAILED')",
    "of.state != OfC.{}",
    "1 if of.state else 2",
    "of.state is not None and of.state is OfC.{}",
]
_UNCLEAR_C = [
    "json.dumps({{'state': of.state}})",
    "of.state.lower()",
    "'state: ' + of.state",
    "{{'INITIALIZING': 1, '{}': 2}}.get(of.state)",
    "f'{{of.state}}'",
    "of.state",
    "sorted([of.state, 'Q'])",
    "of.state.value",
    "isinstance(of.state, str)",
    "(lambda one: one.upper())(of.state)",
    "of.state is OfC.INITIALIZING",
    "of.state is OfC.RECOVERING",
    "of.state in ('RECOVERING', '{}')",
    "of.state < 'Q'",
    "{{OfC.{}: 1}}.get('{}')",
]


@st.composite
def _of_c(draw: st.DrawFn) -> OldStep:
    path = draw(st.sampled_from(_PATHS_C))
    step = "of = asyncio.run(c.register_execution('run', 'agent'))\n"
    for state in path[: draw(st.integers(0, 3))]:
        spelled = draw(st.sampled_from([f"OfC.{state}", f'OfC["{state}"]', f'"{state}"']))
        step += f"log.append(asyncio.run(c.update_execution_state(of.execution_id, {spelled})))\n"
    look, is_certain = draw(
        st.sampled_from([*((one, True) for one in _CERTAIN_C), *((one, False) for one in _UNCLEAR_C)])
    )
    name = draw(st.sampled_from(["RUNNING", "SUCCESS", "ABORTED", "FAILED"]))
    step += f"log.append({look.format(name, name)})\n"
    return OldStep(step, step, is_certain)


def old_programs() -> st.SearchStrategy[list[OldStep]]:
    """Programs of a few steps on all three trackers."""
    return st.lists(st.one_of(_of_a(), _of_b(), _of_c(), _of_c()), min_size=1, max_size=6)
