"""What the audit finds, and what it leaves alone: exactly the lines that say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from runstate import ExecutionState
from runstate.audit import RULES, Level, audit

from .code_bases import PROJECTS
from .detours import DETOURS
from .projects import found, marked, write
from .snippets import SNIPPETS


@pytest.mark.parametrize("name", SNIPPETS)
def test_exactly_the_wrong_lines_are_found(tmp_path: Path, name: str) -> None:
    """In a module with right and wrong calls the audit finds each wrong line by its rule, and nothing else."""
    write(tmp_path, {"module.py": SNIPPETS[name]})
    assert found(tmp_path) == marked(tmp_path)


@pytest.mark.parametrize("name", DETOURS)
def test_what_is_wrong_is_found_on_detours(tmp_path: Path, name: str) -> None:
    """Whatever way a tracker, a state or an error takes: each wrong line is found, and nothing else."""
    write(tmp_path, {"module.py": DETOURS[name]})
    assert found(tmp_path) == marked(tmp_path)


@pytest.mark.parametrize("name", PROJECTS)
def test_exactly_the_wrong_lines_of_a_code_base_are_found(tmp_path: Path, name: str) -> None:
    """What takes several modules to know is found across them, whichever way names travel."""
    write(tmp_path, PROJECTS[name])
    assert found(tmp_path) == marked(tmp_path)


@pytest.mark.parametrize("name", [name for name in SNIPPETS if name.startswith(("refusal", "swallowed", "heartbeat"))])
def test_the_facades_are_judged_as_the_legacy_modules(tmp_path: Path, name: str) -> None:
    """With the imports of the facades the same lines are found."""
    facades = {
        "from netra_backend.app.core import": "from runstate.legacy import",
        "netra_backend.app.core.": "runstate.legacy.",
        "netra_backend.app.agents.": "runstate.legacy.",
    }
    text = SNIPPETS[name]
    for old, new in facades.items():
        text = text.replace(old, new)
    write(tmp_path, {"module.py": text})
    assert found(tmp_path) == marked(tmp_path)


def test_every_rule_is_tried() -> None:
    """Each rule that looks at code has a line above that breaks it."""
    tried = " ".join([*SNIPPETS.values(), *(text for files in PROJECTS.values() for text in files.values())])
    assert [rule.id for rule in RULES if f" {rule.id}" not in tried] == ["unreadable-file", "unused-ignore"]


def test_definitions_are_mapped(tmp_path: Path) -> None:
    """Each definition is listed with its module, its form and the state that each member stands for."""
    write(tmp_path, PROJECTS["three truths"])
    report = audit([tmp_path], jobs=1)
    named = {f"{one.module}.{one.name}": one for one in report.definitions}
    assert {name: one.form for name, one in named.items()} == {
        "app.a.ExecutionState": "Enum",
        "app.b.ExecutionStatus": "StrEnum",
        "app.c.ExecutionState": "Literal",
        "app.c.AgentExecutionState": "constants",
        "app.c.JobStatus": "constants",
    }
    assert dict(named["app.b.ExecutionStatus"].members) == {
        "QUEUED": ExecutionState.PENDING,
        "IN_PROGRESS": ExecutionState.RUNNING,
        "ABORTED": ExecutionState.CANCELLED,
    }
    levels = {one.message.split()[0]: one.level for one in report.findings}
    assert levels == {
        "ExecutionState": Level.WARNING,
        "ExecutionStatus": Level.WARNING,
        "AgentExecutionState": Level.WARNING,
        "JobStatus": Level.NOTE,
    }


def test_the_only_definition_is_a_note(tmp_path: Path) -> None:
    """A code base with one truth of its own is told of it, and does not fail."""
    write(tmp_path, {"a.py": PROJECTS["three truths"]["app/a.py"]})
    (one,) = audit([tmp_path], jobs=1).findings
    assert one.level is Level.NOTE


def test_the_source_of_a_legacy_tracker_goes_before_its_stub(tmp_path: Path) -> None:
    """Where the legacy module itself is audited, its own source says what its calls take."""
    module = (
        "from enum import Enum\n"
        "class ExecutionState(Enum):\n    PENDING = 1\n    RUNNING = 2\n    FAILED = 3\n"
        "class AgentExecutionTracker:\n"
        "    def start_execution(self, id): ...\n"
        "    def update_execution_state(self, id, first: dict, state: ExecutionState) -> None: ...\n"
        "def get_execution_tracker() -> AgentExecutionTracker: ...\n"
    )
    caller = (
        "from netra_backend.app.core.agent_execution_tracker import get_execution_tracker\n"
        "get_execution_tracker().update_execution_state('x', {}, 'failed')  # -> str-state\n"
    )
    write(tmp_path, {"netra_backend/app/core/agent_execution_tracker.py": module, "netra_backend/app/x.py": caller})
    report = audit([tmp_path], jobs=1)
    assert [(one.line, one.rule) for one in report.findings if one.path.endswith("x.py")] == [(2, "str-state")]


def test_what_the_source_of_a_legacy_tracker_does_not_say_its_stub_says(tmp_path: Path) -> None:
    """A legacy module without annotations is known all the same, and its enum is the one that its source defines."""
    module = (
        "from enum import Enum\n"
        "class ExecutionState(Enum):\n    PENDING = 1\n    RUNNING = 2\n    FAILED = 3\n"
        "class AgentExecutionTracker:\n"
        "    def __init__(self):\n        self.states = {}\n"
        "    def start_execution(self, execution_id):\n        return execution_id in self.states\n"
        "    def update_execution_state(self, execution_id, state, error=None):\n        return True\n"
        "def get_execution_tracker():\n    return AgentExecutionTracker()\n"
    )
    caller = (
        "from netra_backend.app.core.agent_execution_tracker import ExecutionState, get_execution_tracker\n"
        "tracker = get_execution_tracker()\n"
        "tracker.update_execution_state('x', {})\n"
        "ok = tracker.update_execution_state('x', ExecutionState.FAILED)\n"
        "def make():\n    return get_execution_tracker()\n"
        "class Engine:\n"
        "    def __init__(self):\n        self._tracker = make()\n"
        "    @property\n    def tracker(self):\n        return self._tracker\n"
        "    def end(self):\n        self.tracker.start_execution('x')\n"
    )
    write(tmp_path, {"netra_backend/app/core/agent_execution_tracker.py": module, "netra_backend/app/x.py": caller})
    report = audit([tmp_path], jobs=1)
    assert [(one.line, one.rule) for one in report.findings if one.path.endswith("x.py")] == [
        (3, "ignored-refusal"),
        (3, "dict-state"),
        (14, "ignored-refusal"),
    ]


def test_messages_say_what_was_wrong_and_what_to_do(tmp_path: Path) -> None:
    """A finding names what was given, where, what was declared there, and the remedy; its column is that of the argument."""
    write(tmp_path, {"module.py": SNIPPETS["dict: issue 305"]})
    (one,) = audit([tmp_path], jobs=1).findings
    assert one.message == (
        "a dict is given as parameter state of update_execution_state(), declared agent_execution_tracker.ExecutionState"
    )
    assert one.remedy == "give a member of ExecutionState, and the rest as error= and result="
    assert (tmp_path / "module.py").read_text().splitlines()[one.line - 1][one.column - 1 :].startswith('{"success"')


def test_columns_are_characters(tmp_path: Path) -> None:
    """A column counts characters, not bytes."""
    source = SNIPPETS["dict: issue 305"].replace("(id, {", "('äöü€😀', {")
    write(tmp_path, {"module.py": source})
    (one,) = audit([tmp_path], jobs=1).findings
    assert source.splitlines()[one.line - 1][one.column - 1 :].startswith('{"success"')


def test_the_remedy_names_the_member(tmp_path: Path) -> None:
    """A comparison with a text is mended by the member that the text stands for."""
    write(tmp_path, {"module.py": SNIPPETS["comparison: enum of texts"]})
    remedies = {one.remedy for one in audit([tmp_path], jobs=1).findings}
    assert remedies == {"compare with the member: state is ExecutionState.COMPLETED"}
