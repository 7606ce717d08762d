"""Generated programs behave after the migration as they were meant to, or the call is on the list."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

from hypothesis import given, settings

import runstate.legacy
from runstate import ExecutionTracker
from runstate.journal.memory import MemoryJournal
from runstate.migrate import migrate

from ..clock import FakeClock
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
            held = sorted((one.user_id, one.state.name, one.error, one.result_json) for one in core.find())
        finally:
            runstate.legacy.use(None)
    return names["log"], held


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
