"""Programs for the migration, generated: each says the same thing twice, as the migration finds it and as it is meant."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st

from runstate import ExecutionState

MERGED = {"INITIALIZING", "RECOVERING"}
"""Two states that become one: a comparison with either is never certain."""

REFUSED = "refused"
"""What a call comes to that gives no state, before and after."""


class Step(NamedTuple):
    """One statement."""

    found: str
    meant: str
    is_certain: bool = True
    """Whether the migration must understand it; what it cannot prove is refused when it runs."""


class Program(NamedTuple):
    """A whole program."""

    found: str
    meant: str
    unproven: frozenset[int]
    """The lines of it, 1-based, that must be on the list."""


def _texts(state: ExecutionState) -> list[str]:
    old = {"COMPLETED": ["SUCCESS"], "CANCELLED": ["ABORTED"], "STARTING": ["INITIALIZING", "recovering"]}
    spelled = [state.value, state.name, state.value.title(), *old.get(state.name, [])]
    return [*(f'"{text}"' for text in spelled), f"('{state.value}')", f"'{state.value[:3]}' '{state.value[3:]}'"]


def _members(state: ExecutionState) -> list[str]:
    other = "ExecutionState" if state.name in {"STARTING", "COMPLETING", "CANCELLED"} else "Other"
    return [
        f"ExecutionState.{state.name}",
        f"b.ExecutionState.{state.name}",
        f"{other}.{state.name}",
        f"ExecutionState.{state.name}.value",
        f'ExecutionState("{state.value}")',
        f'ExecutionState["{state.name}"]',
    ]


def _dicts(state: ExecutionState) -> list[str]:
    dicts = {
        ExecutionState.COMPLETED: ['{"success": True}', '{"success": True, "completed": True}'],
        ExecutionState.FAILED: ['{"success": False}', '{"completed": True, "success": False}'],
    }
    return dicts.get(state, [f'{{"state": "{state.value}"}}', f'{{"status": "{state.name}"}}'])


_STATES = st.sampled_from(ExecutionState)
_NUMBERS = st.integers(0, 2)
_UNCLEAR = st.sampled_from(['{"completed": True}', '{"success": flag}', "unclear", '"gone"', "{}", 'f"fai{str()}led"'])


@st.composite
def _updates(draw: st.DrawFn) -> Step:
    spellings = draw(st.sampled_from([_dicts, _texts, _members]))
    state = draw(st.one_of(_STATES, st.sampled_from([ExecutionState.COMPLETED, ExecutionState.FAILED])))
    spelling = draw(st.sampled_from(spellings(state)))
    number = draw(_NUMBERS)
    rest = draw(st.sampled_from(["", ", error='e'", ", result={'a': [1]}", ", result=0"]))
    name = draw(st.sampled_from(["", "state="]))
    frame = draw(st.sampled_from(["…", "(…)", "… if flag else ExecutionState.DEAD"]))

    def call(spelled: str) -> str:
        return f"log.append(tracker.update_execution_state(ids[{number}], {name}{frame.replace('…', spelled)}{rest}))"

    return Step(call(spelling), call(f"ExecutionState.{state.name}"))


@st.composite
def _unclear(draw: st.DrawFn) -> Step:
    call = f"log.append(tracker.update_execution_state(ids[{draw(_NUMBERS)}], {draw(_UNCLEAR)}))"
    return Step(call, f'log.append("{REFUSED}")', is_certain=False)


@st.composite
def _ends(draw: st.DrawFn) -> Step:
    call = draw(
        st.sampled_from(
            [
                "tracker.complete_execution(ids[{}])",
                "tracker.complete_execution(ids[{}], 'r')",
                "tracker.complete_execution(ids[{}], result={{}})",
                "tracker.fail_execution(ids[{}], 'e')",
                "tracker.fail_execution(execution_id=ids[{}], error='')",
                "tracker.start_execution(ids[{}])",
                "tracker.heartbeat(ids[{}])",
            ]
        )
    ).format(draw(_NUMBERS))
    return Step(f"log.append({call})", f"log.append({call})")


@st.composite
def _comparisons(draw: st.DrawFn) -> Step:
    state, other = draw(_STATES), draw(_STATES)
    subject = f"record(ids[{draw(_NUMBERS)}]).state"
    spelled = [one for one in _texts(state) if one.startswith('"') and one.strip('"').upper() not in MERGED]
    text = draw(st.sampled_from(spelled))
    odd = f"'{state.value}'"  # without blanks around it
    meant = f"ExecutionState.{state.name}"
    among = f"(ExecutionState.{state.name}, ExecutionState.{other.name})"
    found, said = draw(
        st.sampled_from(
            [
                (f"{subject} == {text}", f"{subject} is {meant}"),
                (f"{text} != {subject}", f"{subject} is not {meant}"),
                (f"{subject}.value == {text}", f"{subject} is {meant}"),
                (f"{subject}.name == '{state.name}'", f"{subject} is {meant}"),
                (f"{subject} in ({text}, '{other.value}')", f"{subject} in {among}"),
                (f"{subject}.value not in [{text}, '{other.name}']", f"{subject} not in {among}"),
                (f"{subject} == {meant}", f"{subject} is {meant}"),
                (f"{subject} is not b.{meant}", f"{subject} is not {meant}"),
                (f"{subject}.value", f"{subject}.value"),
                (f"{subject}=={odd}or flag", f"{subject} is {meant} or flag"),
                (f'f"{{{subject} == {odd}}}"', f'f"{{{subject} is {meant}}}"'),
                (
                    f"[ids.index(one) for one in ids if record(one).state != {text}]",
                    f"[ids.index(one) for one in ids if record(one).state is not {meant}]",
                ),
                (f"(lambda state: state)({subject}).value", f"(lambda state: state)({subject}).value"),
            ]
        )
    )
    return Step(f"log.append({found})", f"log.append({said})")


@st.composite
def _matches(draw: st.DrawFn) -> Step:
    state, other = draw(_STATES), draw(_STATES)
    subject = f"record(ids[{draw(_NUMBERS)}]).state"
    value = draw(st.sampled_from(["", ".value"]))
    step = "match {}:\n        case {} | {}:\n            log.append(1)\n        case _:\n            log.append(2)"
    found = step.format(subject + value, f'"{state.value}"', f"'{other.name}'")
    return Step(found, step.format(subject, f"ExecutionState.{state.name}", f"ExecutionState.{other.name}"))


@st.composite
def _declared(draw: st.DrawFn) -> Step:
    """Where a state is declared, but no tracker is called."""
    state = draw(_STATES)
    frame = draw(
        st.sampled_from(
            [
                "record(ids[{number}]).state = {state}",
                "kept_N: ExecutionState = {state}\n    log.append(kept_N.name)",
                "log.append(Kept({state}).state.name)",
                "log.append(Kept(state={state}).state.name)",
                "def one_N(state: ExecutionState = {state}) -> str:\n        return state.name\n    log.append(one_N())",
                "def one_N() -> ExecutionState:\n        return {state}\n    log.append(one_N().name)",
                "log.append(named({state}))",
            ]
        )
    )
    number = draw(_NUMBERS)
    spelled = draw(st.sampled_from([*_texts(state), *_dicts(state)]))
    return Step(
        frame.format(number=number, state=spelled), frame.format(number=number, state=f"ExecutionState.{state.name}")
    )


@st.composite
def _of_c(draw: st.DrawFn) -> Step:
    """The tracker whose states have names of their own."""
    old, state = draw(st.sampled_from(list(_OF_C.items())))
    spelled = draw(st.sampled_from([f"OfC.{old}", f'OfC["{old}"]', f'OfC("{old}")', f'"{old}"']))
    meant = f"ExecutionState.{state.name}"
    frame = draw(
        st.sampled_from(
            [
                "log.append(asyncio.run(registry.update_execution_state(cid, {state})))",
                "log.append(followed().state is {state})",
                "log.append(followed().state in ({state}, ExecutionState.FAILED))",
            ]
        )
    )
    if "followed" in frame and spelled.startswith('"'):
        frame = frame.replace(" is ", " == ")
    if old in MERGED:
        frame = "log.append(asyncio.run(registry.update_execution_state(cid, {state})))"
    return Step(frame.format(state=spelled), frame.format(state=meant))


_OF_C = {
    "INITIALIZING": ExecutionState.STARTING,
    "RUNNING": ExecutionState.RUNNING,
    "SUCCESS": ExecutionState.COMPLETED,
    "ABORTED": ExecutionState.CANCELLED,
    "TIMEOUT": ExecutionState.TIMEOUT,
}

_HEAD = """\
import asyncio
from dataclasses import dataclass
{imports}
@dataclass
class Kept:
    state: ExecutionState
def named(state: ExecutionState) -> str:
    return state.name
tracker = AgentExecutionTracker()
ids = [tracker.create_execution("a", "t", str(number)) for number in range(3)]
log: list[object] = []
flag = True
unclear = "failed" if flag else "dead"
def record(id: str) -> ExecutionRecord:
    found = tracker.get_execution(id)
    assert found is not None
    return found
registry = ExecutionRegistry()
cid = asyncio.run(registry.register_execution("run", "agent")).execution_id
def followed() -> RecordOfC:
    found = asyncio.run(registry.get_execution(cid))
    assert found is not None
    return found
"""
_FOUND = """\
from netra_backend.app.core.agent_execution_tracker import AgentExecutionTracker, ExecutionRecord, ExecutionState
from netra_backend.app.core.execution_tracker import ExecutionState as Other
from netra_backend.app.core import agent_execution_tracker as b
from netra_backend.app.agents.execution_tracking.registry import ExecutionRecord as RecordOfC, ExecutionRegistry
from netra_backend.app.agents.execution_tracking.registry import ExecutionState as OfC"""
_MEANT = """\
from runstate import ExecutionState
from runstate.legacy.agent_execution_tracker import AgentExecutionTracker, ExecutionRecord
from runstate.legacy import agent_execution_tracker as b
from runstate.legacy.execution_tracking.registry import ExecutionRecord as RecordOfC, ExecutionRegistry"""


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Programs of a few executions that are moved and looked at in every way that the legacy callers have."""
    steps = draw(
        st.lists(
            st.one_of(_updates(), _updates(), _comparisons(), _matches(), _declared(), _ends(), _of_c(), _unclear()),
            min_size=1,
            max_size=8,
        )
    )
    found, meant = [_HEAD.format(imports=one) for one in (_FOUND, _MEANT)]
    unproven: set[int] = set()
    for number, step in enumerate(steps):
        step = Step(step.found.replace("_N", f"_{number}"), step.meant.replace("_N", f"_{number}"), step.is_certain)
        found += f"try:\n    {step.found}\nexcept Exception:\n    log.append('{REFUSED}')\n"
        meant += f"try:\n    {step.meant}\nexcept Exception:\n    log.append('{REFUSED}')\n"
        if not step.is_certain:
            unproven.add(found.count("\n") - 2)
    return Program(found, meant, frozenset(unproven))
