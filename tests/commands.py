"""A journal to look into with `runstate`, and ways to run the command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from runstate import Cause, Execution, ExecutionState, ExecutionTracker, Phase
from runstate.cli import main

HOSTILE = "\x1b[31mred\x1b[0m [bold]loud[/bold] :smile: \x07\u202e\r\nsecond line"
"""Escape sequences, markup, a bell, a bidirectional override, a carriage return."""
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Output(str):
    """What a command printed, with blanks squeezed for comparing."""

    @property
    def squeezed(self) -> str:
        return " ".join(self.split())


def fill(tracker: ExecutionTracker) -> None:
    """Record executions in several states; one of them is full of hostile text."""
    done = tracker.create(
        agent="airline", thread_id="t-1", user_id="mia", timeout=25.0, heartbeat_timeout=10.0, metadata={"tier": "free"}
    ).start().run()  # fmt: skip
    done.phase(Phase.TOOL_EXECUTION, "get_user_details")
    done.heartbeat()
    done.finish().complete({"text": "booked", "seats": [1, None, 2.5]})
    failed = tracker.create(agent="airline", thread_id="t-2", user_id=HOSTILE, metadata={HOSTILE: HOSTILE}).run()
    failed.phase(Phase.THINKING, HOSTILE)
    failed.fail(HOSTILE)
    tracker.create(agent="hotel", thread_id="t-2", user_id="mia").run().cancel("the client left")
    tracker.create(agent="hotel", thread_id="t-3", user_id="omar").die(Cause.PROCESS_EXITED)
    live = tracker.create(agent="hotel", thread_id="t-3", user_id="omar").run()
    live.phase(Phase.LLM_INTERACTION, "gpt-4o")
    tracker.create(agent="rail", thread_id="t-4", user_id="omar")
    tracker.flush()


def running(tracker: ExecutionTracker, count: int, agent: str = "airline") -> list[Execution[ExecutionState]]:
    """Have executions RUNNING, durably."""
    runs = [tracker.create(agent=agent, thread_id=f"t-{number}", user_id="mia").run() for number in range(count)]
    tracker.flush()
    return [tracker.handle(run.execution_id) for run in runs]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Output:
    """Run a command that must succeed, in this process; return what it printed."""
    code = main(arguments)
    printed = capsys.readouterr()
    assert (code, printed.err) == (0, ""), printed
    return Output(printed.out)


def command(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the real command."""
    return subprocess.run(
        [sys.executable, "-m", "runstate", *arguments], capture_output=True, text=True, check=False, **options
    )


def ids(listing: str) -> list[str]:
    """The ids in a JSON listing."""
    return [record["execution_id"] for record in json.loads(listing)]
