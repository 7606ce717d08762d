"""What a worker was promised, in a file of its own: one line of JSON for each promise, written in one call after it was made.

| kind | what it says |
|---|---|
| `live` | the execution exists, durably |
| `phases` | so many of its phases are durable |
| `ended` | its end is durable: the state, and the result where there is one |
| `fenced` | `FencedError` came out: the state that it named, what caused it, the result that was tried, and whether that is known |
| `asked` | a cancel was requested, and when the request had been recorded |
| `seen` | somebody who waited for it was told this state |
| `heard` | a cancelled execution of somebody else's had ended so many seconds after the request |
| `unsure` | the journal could not say: nothing is promised |
| `silent` | for so many seconds, a lease at least, no thread of the process was let run for more than a moment; its pid |
| `broken` | something was raised that nobody may raise |
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

LIVE, PHASES, ENDED, FENCED, ASKED, SEEN, HEARD, UNSURE, SILENT, BROKEN = (
    "live", "phases", "ended", "fenced", "asked", "seen", "heard", "unsure", "silent", "broken",
)  # fmt: skip


class Said(NamedTuple):
    """One line."""

    kind: str
    execution_id: str
    details: tuple[Any, ...]


class SideLog:
    """Writes one.

    Args:
        path: Where; what is there already is kept.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def say(self, kind: str, execution_id: str, *details: object) -> None:
        """Write a line; the kernel has it when this returns."""
        os.write(self._file, json.dumps([kind, execution_id, *details]).encode() + b"\n")


def read(path: Path) -> Iterator[Said]:
    """Read one; a line that a kill has cut is no promise."""
    if path.exists():
        for line in path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                kind, execution_id, *details = json.loads(line)
                yield Said(kind, execution_id, tuple(details))
