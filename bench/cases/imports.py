"""`import runstate` against `import pydantic`, each in a warm interpreter of its own, from its start to its end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from bench.pairs import Row, duration, paired

NAMES = ("runstate", "pydantic")


def importing(name: str) -> None:
    """Start an interpreter that imports *name* and ends."""
    subprocess.run([sys.executable, "-c", f"import {name}" if name else ""], check=True)


def measure(_: Path) -> list[Row]:
    """Measure the row."""
    wall = paired(lambda: lambda: importing("runstate"), lambda: lambda: importing("pydantic"), operations=1, pairs=41)
    nothing = min(_seconds() for _ in range(5))
    cpu = {name: sorted(_cpu(name) for _ in range(11))[5] for name in NAMES}
    notes = {
        "an empty interpreter": duration(nothing),
        "processor time": " : ".join(duration(cpu[name]) for name in NAMES),
    }
    return [Row.cost("import", wall, **notes)]


def _seconds() -> float:
    begin = time.perf_counter()
    importing("")
    return time.perf_counter() - begin


def _cpu(name: str) -> float:
    before = os.times()
    importing(name)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
