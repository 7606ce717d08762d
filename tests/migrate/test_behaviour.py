"""Generated programs behave after the migration as before, or as they were meant to, or the call is on the list."""

from __future__ import annotations

import tempfile
import warnings
from enum import Enum
from pathlib import Path
from typing import cast

from hypothesis import given, settings

import runstate.legacy
from runstate import ExecutionTracker
from runstate._codebase import LEGACY
from runstate.journal.memory import MemoryJournal
from runstate.migrate import migrate

from ..clock import FakeClock
from .old_programs import HEAD, OldStep, old_programs
from .old_trackers import old_trackers
from .programs import Program, programs


def behaviour(source: str) -> tuple[object, object]:
    """What a program logs, and what the core holds when it is through."""
    clock = FakeClock()
    with warnings.catch_warnings(), ExecutionTracker(MemoryJournal(), clock=clock) as core:
        warnings.simplefilter("ignore", DeprecationWarning)
        runstate.legacy.use(core, clock=clock)
        names: dict[str, object] = {"__name__": "program"}
        try:
            exec(compile(source, "program", "exec", dont_inherit=True), names)
            rows = [(one.user_id, one.state.name, one.error, one.result_json) for one in core.find()]
            held = sorted(rows, key=repr)
        finally:
            runstate.legacy.use(None)
    return names.get("logs", names["log"]), held


@settings(max_examples=80, deadline=None)
@given(programs())
def test_the_rewritten_program_does_what_was_meant(program: Program) -> None:
    """It logs the same, and leaves the same in the core; what it could not prove is listed, line by line, and nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "module.py")
        path.write_text(program.found, encoding="utf-8")
        first = migrate([path])
        (change,) = first.changes
        assert {one.line for one in first.unproven} == program.unproven
        path.write_bytes(change.after)
        assert migrate([path]).changes == ()
    assert behaviour(change.after.decode()) == behaviour(program.meant)


def written(steps: list[str]) -> tuple[str, list[range]]:
    """A program of steps that each log for themselves, and the lines of each, 1-based."""
    text, lines = HEAD, list[range]()
    for step in steps:
        first = text.count("\n") + 1
        inside = "".join(f"    {line}\n" for line in step.splitlines())
        text += f"log = []\nlogs.append(log)\ntry:\n{inside}except Exception as error:\n    log.append('refused')\n"
        lines.append(range(first, text.count("\n") + 1))
    return text, lines


def same(logs: object) -> object:
    """What was logged, with the states of every enum as those of the one."""
    if isinstance(logs, list):
        return [same(one) for one in cast("list[object]", logs)]
    if isinstance(logs, Enum):
        return LEGACY[logs.name]
    return logs


@settings(max_examples=80, deadline=None)
@given(old_programs())
def test_the_rewritten_program_does_what_it_did_on_the_old_trackers(steps: list[OldStep]) -> None:
    """Each step logs what it logged on the old trackers, or a line of it is listed; what must be provable is not."""
    found, lines = written([step.found for step in steps])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "module.py")
        path.write_text(found, encoding="utf-8")
        first = migrate([path])
        (change,) = first.changes
        path.write_bytes(change.after)
        assert migrate([path]).changes == ()
    listed = [any(one.line in its for one in first.unproven) for its in lines]
    assert listed == [not step.is_certain for step in steps]
    with old_trackers():
        old: dict[str, object] = {"__name__": "program"}
        exec(compile(written([step.mended for step in steps])[0], "program", "exec", dont_inherit=True), old)
    logs, _ = behaviour(change.after.decode())
    before, now = same(old["logs"]), same(logs)
    assert isinstance(before, list)
    assert isinstance(now, list)
    pairs = zip(cast("list[object]", now), cast("list[object]", before), listed, strict=True)
    assert [its for its, other, is_left in pairs if not is_left and its != other] == []
