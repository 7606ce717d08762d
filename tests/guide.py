"""Follows the migration guide on a code base of its own; `python -m tests.guide` writes anew what the guide quotes as output."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from .documents import DOCS, stubs_folder

GUIDE = (DOCS / "migrating.md").read_text(encoding="utf-8")
PLACEHOLDER = "/path/printed/by/runstate/stubs"

_BLOCK = re.compile(
    r"(?:^<!-- file: (?P<file>\S+) -->\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
_PROMPT = re.compile(r"^\$ (.+)\n", re.MULTILINE)

TRACKER = """\
from enum import Enum


class ExecutionState(Enum):
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class {name}:
    def __init__(self):
        self.states = {{}}

    def create_execution(self, agent_name, thread_id, user_id):
        self.states[agent_name] = ExecutionState.PENDING
        return agent_name

    def start_execution(self, execution_id):
        return execution_id in self.states

    def update_execution_state(self, execution_id, state, error=None, result=None):
        self.states[execution_id] = state
        return True

    def get_execution(self, execution_id):
        return self.states.get(execution_id)


def get_execution_tracker():
    return {name}()
"""
"""A legacy tracker, as far as the guide needs one."""

CODE_BASE = {
    "netra_backend/__init__.py": "",
    "netra_backend/app/__init__.py": "",
    "netra_backend/app/agents/__init__.py": "",
    "netra_backend/app/core/__init__.py": "",
    "netra_backend/app/core/execution_tracker.py": TRACKER.format(name="ExecutionTracker"),
    "netra_backend/app/core/agent_execution_tracker.py": TRACKER.format(name="AgentExecutionTracker"),
}


class Step(NamedTuple):
    """A file that the guide shows, or a command with what it is said to print."""

    file: str | None
    text: str
    """The file's content, or the command."""
    printed: str = ""


def steps(text: str) -> Iterator[Step]:
    """Everything that a guide tells to do, in its order."""
    for block in _BLOCK.finditer(text):
        if block["file"]:
            yield Step(block["file"], block["body"])
        elif block["kind"] == "console":
            prompts = list(_PROMPT.finditer(block["body"]))
            ends = [*(one.start() for one in prompts[1:]), len(block["body"])]
            for prompt, end in zip(prompts, ends, strict=True):
                yield Step(None, prompt[1], block["body"][prompt.end() : end])


STEPS = list(steps(GUIDE))


def follow(folder: Path, chosen: Callable[[str], bool]) -> Iterator[tuple[Step, str]]:
    """Do what the guide says, in a code base as it supposes it; yield each chosen command with what it really printed."""
    stubs = str(stubs_folder())
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "FORCE_COLOR"}}
    environment |= {"PATH": programs, "NO_COLOR": "1"}
    for name, content in CODE_BASE.items():
        write(folder / name, content)
    for step in STEPS:
        if step.file is not None:
            write(folder / step.file, step.text.replace(PLACEHOLDER, stubs))
        elif chosen(step.text):
            done = subprocess.run(
                ["bash", "-c", step.text],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            yield step, done.stdout.replace(stubs, PLACEHOLDER).replace(f"{folder}/", "")


def write(path: Path, text: str) -> None:
    """Write a file, and the folders that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def renewed(folder: Path, chosen: Callable[[str], bool]) -> str:
    """Return the guide with the output of each chosen command as it really is."""
    text, place = GUIDE, 0
    for step, printed in follow(folder, chosen):
        quoted = f"$ {step.text}\n{step.printed}"
        start = text.index(quoted, place)
        place = start + len(step.text)
        text = f"{text[:start]}$ {step.text}\n{printed}{text[start + len(quoted) :]}"
    return text


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        new = renewed(Path(name).resolve(), lambda _: True)
    (DOCS / "migrating.md").write_text(new, encoding="utf-8")
