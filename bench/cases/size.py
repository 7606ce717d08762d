"""What an execution takes: in memory while it lives, and in the file when it has ended."""

from __future__ import annotations

import gc
import os
import tracemalloc
from pathlib import Path

import runstate
from bench.pairs import Row
from runstate import ExecutionTracker, Phase

LIVE = 100_000
TRACED = 10_000
ENDED = 2_000
PHASES = list(Phase)


def _run_one(tracker: ExecutionTracker, number: int) -> object:
    running = tracker.create(
        agent="airline",
        thread_id=f"t-{number}",
        user_id=f"u-{number}",
        timeout=3_600.0,
        heartbeat_timeout=600.0,
        metadata={"tier": "free"},
    ).run()
    running.heartbeat()
    return running


def _resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _run_many(tracker: ExecutionTracker, count: int) -> list[object]:
    handles = []
    for number in range(count):
        handles.append(_run_one(tracker, number))
        if not number % 1_000:
            tracker.flush()
    tracker.flush()
    tracker.sweep()
    gc.collect()
    return handles


def resident(url: str) -> float:
    """Bytes by which this process grows for each running execution, its handle and its names included."""
    with runstate.open(url) as tracker:
        handles = _run_many(tracker, 1_000)  # what grows once and for all
        before = _resident()
        handles += _run_many(tracker, LIVE)
        return (_resident() - before) / LIVE


def traced(url: str, count: int) -> float:
    """The same by Python's own account of its allocations, which leaves out what lies between them."""
    with runstate.open(url) as tracker:
        handles = _run_many(tracker, 1_000)
        tracemalloc.start()
        try:
            handles += _run_many(tracker, count)
            size, _ = tracemalloc.get_traced_memory()
            return size / count
        finally:
            tracemalloc.stop()


def disk(path: Path) -> float:
    """Bytes in the file, after the last checkpoint, for each of 2,000 ended executions of ten phases."""
    with runstate.open(path) as tracker:
        for number in range(ENDED):
            running = tracker.create(
                agent="airline", thread_id=f"t-{number}", user_id=f"u-{number}", timeout=25.0
            ).run()
            for step in range(10):
                running.phase(PHASES[step % len(PHASES)], "get_user_details")
            running.complete({"text": "Your seat is booked."})
    return path.stat().st_size / ENDED


def measure(folder: Path) -> list[Row]:
    """Measure both rows."""
    ended = disk(folder / "ended.db")
    size = resident(str(folder / "live.db"))
    notes = {
        "by Python's own account": round(traced(str(folder / "traced.db"), TRACED)),
        "in a memory journal, with its entries": round(traced("memory:", TRACED)),
    }
    return [Row("memory", size, notes=notes), Row("disk", ended)]
