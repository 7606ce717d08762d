"""Issue #305's line, shown twice: what a type checker says of it, and what production says.

The line is `tracker.update_execution_state(execution_id, {"success": False})`. Three trackers ago it was accepted, broke later
with `'dict' object has no attribute 'value'`, silently, and the user got no answer.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import runstate
from runstate import StateTypeError

LINE: Final = 'tracker.update_execution_state(execution_id, {"success": False})'
MYPY_MISSING: Final = "mypy is not installed here; to see what it says: pip install mypy"
_PATIENCE: Final = 120.0
"""Seconds for mypy, which first reads all of runstate."""

_PROGRAM: Final = f"""\
import runstate

with runstate.open("memory:") as tracker:
    execution_id = tracker.create(agent="airline", thread_id="t-1", user_id="u-1").execution_id
    {LINE}
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was said of the line."""

    mypy: str | None
    """mypy's error, without the place; None where mypy is not installed."""
    production: str | None
    """The error that the call raises; None if it were accepted."""
    unchanged: bool
    """Whether the execution was still in the state that it had before."""


def reproduce() -> Verdict:
    """Have the line checked by mypy, if that is installed, and run it."""
    mypy = _ask_mypy() if find_spec("mypy") is not None else None
    with runstate.open("memory:") as tracker:
        run = tracker.create(agent="airline", thread_id="t-1", user_id="u-1").run()
        before = tracker.get(run.execution_id)
        said: str | None = None
        try:
            tracker.update_execution_state(run.execution_id, {"success": False})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # runstate: ignore[dict-state]
        except StateTypeError as error:
            said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        unchanged = tracker.get(run.execution_id) == before
        run.complete()
    return Verdict(mypy, said, unchanged)


def _ask_mypy() -> str:
    with TemporaryDirectory(prefix="runstate-demo-") as directory:
        program = Path(directory) / "issue_305.py"
        program.write_text(_PROGRAM, encoding="utf-8")
        # Without this directory's settings and with a cache of its own, so that the answer depends on nothing around it.
        options = ["--config-file=", "--no-error-summary", "--hide-error-context", "--no-pretty", "--no-color-output"]
        done = subprocess.run(  # noqa: S603 - our own interpreter and program
            [sys.executable, "-m", "mypy", *options, f"--cache-dir={directory}/cache", program.name],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    said = (done.stdout.strip() or done.stderr.strip() or f"nothing; its exit code is {done.returncode}").splitlines()
    return said[0].partition(": ")[2] or said[0]
