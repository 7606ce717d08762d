"""`kill -9` at random moments: every promise is kept, the file is sound, and the next process goes on with it."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

import runstate
from runstate import ExecutionState, UnknownExecutionError

from ..soundness import findings

WRITING: Final = Path(__file__).with_name("writing.py")
CHAINS: Final = 12
"""Files, each written and killed again and again."""
KILLS: Final = 6
"""Kills of each file's writers: 72 in all."""
KEEP_ALL: Final = 1_000_000


class Promise(NamedTuple):
    """What a killed writer was told about one execution."""

    execution_id: str
    state: str | None
    """How it ended, or None when it was only said to exist."""
    result: int | None
    """Length of its result, or the number that is its result."""


def promises(printed: bytes) -> list[Promise]:
    """Read what a writer has said; a line that the kill has cut is no promise."""
    facts: list[Any] = [json.loads(line) for line in printed.splitlines(keepends=True) if line.endswith(b"\n")]
    return [Promise(fact[1], None, None) if fact[0] == "live" else Promise(fact[1], fact[2], fact[3]) for fact in facts]


def write_and_kill(path: Path, seed: int, retained: int, after: float, wait_for_promise: bool) -> list[Promise]:
    """Let a writer write, kill it, and return what it had been promised."""
    command = [sys.executable, str(WRITING), str(path), str(seed), str(retained)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        first = process.stdout.readline() if wait_for_promise else b""
        time.sleep(after)  # the random moment
        process.kill()
        rest, complaints = process.communicate(timeout=60)
    assert complaints.decode() == ""
    assert process.returncode == -signal.SIGKILL
    return promises(first + rest)


def check(path: Path, promised: list[Promise], retained: int) -> None:
    """Hold the file against the promises, and take it over as the next process would."""
    assert findings(path) == []
    with runstate.open(path) as tracker:
        records = {record.execution_id: record for record in tracker.find(limit=1_000_000)}
        if retained == KEEP_ALL:
            assert {promise.execution_id for promise in promised} <= set(records)
        for promise in promised:
            record = records.get(promise.execution_id)
            if record is None or promise.state is None:
                continue
            assert record.state.value == promise.state
            if record.state is ExecutionState.COMPLETED:
                size = len(record.result) if isinstance(record.result, str) else record.result
                assert (size[0] if isinstance(size, list) else size) == promise.result
        for record in records.values():
            assert record.is_terminal, "what the dead process left live was ended when the journal was opened"
        with tracker.execution(agent="next", thread_id="t-2", user_id="u-2") as run:
            run.complete("the next process works")
        assert tracker.get(run.execution_id).result == "the next process works"
        with pytest.raises(UnknownExecutionError):
            tracker.get("nobody")
    assert findings(path) == []


def chain(directory: Path, number: int) -> int:
    """Write and kill one file several times; return how many promises were held."""
    randomness = random.Random(number)
    path = directory / f"runs-{number}.db"
    retained = 40 if number % 4 == 3 else KEEP_ALL
    promised: list[Promise] = []
    for kill in range(KILLS):
        waiting = kill % 3 != 2
        after = randomness.expovariate(15.0) if waiting else randomness.uniform(0.0, 0.4)
        promised += write_and_kill(path, number * 100 + kill, retained, after, waiting)
        if path.exists() and path.stat().st_size:
            check(path, promised, retained)
        else:
            assert promised == []
    return len(promised)


def test_kill_9(tmp_path: Path) -> None:
    """After each of 72 kills everything that was promised is there, the file is sound and the next process works."""
    with ThreadPoolExecutor(max_workers=3) as pool:
        held = list(pool.map(lambda number: chain(tmp_path, number), range(CHAINS)))
    assert len(held) * KILLS >= 60
    assert all(held), f"a writer was never promised anything, so nothing was proven: {held}"
