"""A program that tracks until its disk is full, keeps its answer, gets room again, and goes on.

    python filling.py FILE WAY

WAY is `ballast` (there is a file `ballast` beside FILE, whose removal makes room) or `limit` (this process may not write
files beyond a size, until it lifts that limit). Prints what it was promised and what it saw, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
from pathlib import Path

import runstate
from runstate import ExecutionTracker, JournalError, JournalUnavailableError

WHO = {"agent": "airline", "thread_id": "t-1", "user_id": "u-1"}
ENOUGH = 400_000


def answer(number: int) -> str:
    """What the agent has worked out, about 20 KB of it."""
    return f"{number} " + "x" * 20_000


def fill(tracker: ExecutionTracker, promised: dict[str, int]) -> tuple[str, int, str]:
    """Track until the disk is full; return the execution that was not promised, its answer's number, and the error."""
    for number in range(10_000):
        run = None
        try:
            with tracker.execution(**WHO) as run:
                run.complete(answer(number))
        except JournalUnavailableError as error:
            return ("" if run is None else run.execution_id, number, str(error))
        promised[run.execution_id] = number
    raise SystemExit("the disk never filled up")


def main(path: Path, way: str) -> None:
    """Fill, look, make room, go on."""
    promised: dict[str, int] = {}
    tracker = runstate.open(path)
    if way == "limit":
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (ENOUGH, hard))
    refused, number, error = fill(tracker, promised)
    with runstate.open(path, read_only=True) as reader:
        readable = sum(reader.get(one).result == answer(what) for one, what in promised.items())
    failure = tracker.statistics().journal_failure
    with contextlib.suppress(JournalError):
        tracker.flush()  # it fails again, and nothing gets worse
    if way == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    else:
        path.with_name("ballast").unlink()
    tracker.flush()
    late = tracker.get(refused).result == answer(number) if refused else None
    with tracker.execution(**WHO) as run:
        run.complete(answer(number))
    promised[run.execution_id] = number
    healthy = tracker.statistics().journal_failure
    tracker.close()
    print(
        json.dumps(
            {
                "promised": promised,
                "readable": readable,
                "error": error,
                "failure": failure,
                "late": late,
                "healthy": healthy,
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
