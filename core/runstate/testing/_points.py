"""Points: the places of a run at which something can be made to happen, each with a name that another run has too.

| name | it is reached |
|---|---|
| `await 2.7` | when the second task of the loop is about to go on for the seventh time: before each piece between two awaits |
| `before commit 3.4` | when the fourth entry of the third execution is decided, and about to be stored |
| `after commit 3.4` | when it is stored, and nobody has been told |
| `before join`, `after join` | around the moment at which the journal first hears of the process |
| `before leave`, `after leave` | around the moment at which it hears that all has ended well |

Tasks and executions are numbered as they begin. A commit is named by an entry and not counted, because it depends on the moment how
many entries share one.
"""

from __future__ import annotations

import asyncio
import functools
import sysconfig
import types
from pathlib import Path
from typing import Any, Final, NamedTuple


class Point(NamedTuple):
    """A place of a run."""

    name: str
    """What `CrashLab.replay` takes: `await 2.7`."""
    where: str
    """What it is, for people: the line that a task waits in, or the entry."""


_NOT_THEIRS: Final = (
    sysconfig.get_path("stdlib"),
    str(Path(asyncio.__file__).parent),
    str(Path(__file__).parents[1]),
)


def where(coroutine: object) -> str:
    """Say which line of the agent's own code a coroutine stands in: the innermost one that is neither Python's nor ours."""
    found = ""
    while coroutine is not None:
        frame = _first(coroutine, "cr_frame", "gi_frame", "ag_frame")
        if isinstance(frame, types.FrameType) and not (found and _is_ours(frame.f_code.co_filename)):
            code = frame.f_code
            found = f"{Path(code.co_filename).name}:{frame.f_lineno} in {code.co_qualname}"
        coroutine = _first(coroutine, "cr_await", "gi_yieldfrom", "ag_await")
    return found


def _first(value: object, *names: str) -> Any:
    return next((found for name in names if (found := getattr(value, name, None)) is not None), None)


@functools.cache
def _is_ours(filename: str) -> bool:
    return "site-packages" in filename or filename.startswith(_NOT_THEIRS)
