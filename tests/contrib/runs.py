"""Looking at what an adapter has recorded, and the tracker that all tests of adapters use."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runstate import ExecutionRecord, ExecutionState, ExecutionTracker, Limits, Phase, PhaseChange
from runstate._records import Selection
from runstate.journal.memory import MemoryJournal
from tests.clock import FakeClock

STEPS = (Phase.LLM_INTERACTION, Phase.TOOL_EXECUTION)


@contextlib.contextmanager
def tracking(clock: FakeClock | None = None, **limits: int) -> Iterator[ExecutionTracker]:
    """A tracker in memory, with budgets of its own."""
    budgets = Limits(**limits)
    with ExecutionTracker(MemoryJournal(budgets), limits=budgets, clock=clock) as tracker:
        yield tracker


def only(tracker: ExecutionTracker) -> ExecutionRecord:
    """The one execution there is."""
    (record,) = tracker.find()
    return record


def stored(tracker: ExecutionTracker) -> list[ExecutionState]:
    """The states that are in the journal by now, whatever waits to be written."""
    return [record.state for record in tracker._journal.executions(Selection(), 10)]


def phases(tracker: ExecutionTracker, record: ExecutionRecord | None = None) -> list[tuple[Phase, str | None]]:
    """What an execution did, in order."""
    execution_id = (record or only(tracker)).execution_id
    return [(entry.phase, entry.detail) for entry in tracker.timeline(execution_id) if isinstance(entry, PhaseChange)]


def steps(tracker: ExecutionTracker, record: ExecutionRecord | None = None) -> list[tuple[Phase, str | None]]:
    """Its model requests, without the model's name, and its tools."""
    found = [one for one in phases(tracker, record) if one[0] in STEPS]
    return [(phase, None if phase is Phase.LLM_INTERACTION else detail) for phase, detail in found]


def ended(record: ExecutionRecord) -> tuple[Any, Any]:
    """The state and the cause of an end."""
    return record.state, record.cause


def shown(name: str) -> tuple[str, str]:
    """An example of the guide, and what the guide says that it prints."""
    guide = (Path(__file__).parents[2] / "docs" / "frameworks.md").read_text(encoding="utf-8")
    pattern = (
        rf"^<!-- file: {re.escape(name)} -->\n```python\n(.*?)^```\n```console\n\$ python {re.escape(name)}\n(.*?)^```$"
    )
    ((code, printed),) = re.findall(pattern, guide, re.MULTILINE | re.DOTALL)
    return code, printed


def printed_by(name: str, folder: Path) -> str:
    """What an example of the guide prints, with warnings as errors."""
    (folder / name).write_text(shown(name)[0], encoding="utf-8")
    command = [sys.executable, "-W", "error", name]
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout
