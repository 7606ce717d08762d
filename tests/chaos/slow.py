"""Slow is not dead: workers that are blocked, held, paused and starved for as long as one likes, and nobody may be held for dead.

Every worker is slow in its own way (`sluggish`), all of them are stopped at random for less than their lease, one by one and all at
once as by a machine that swaps, and other programs want every core all the time.

What is done to a worker is shorter than its lease, but a machine that has more to do than it can adds to it. So each worker measures its
own silence (`silences`), and a lease may run out as often as the worker was silent for one, and not once more. Nothing else is excused.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from runstate import Cause, ExecutionState, Warned
from runstate._fleet import WorkerState
from runstate._records import Selection

from . import sidelog
from .faults import PATIENCE, ROOT
from .guarantee import PAGE, stories
from .places import Place, place
from .silences import expired, silences
from .sluggish import WAYS

PAUSED: Final = (0.1, 0.9)
"""Leases for which a worker is stopped, at least and at most."""
BREATH: Final = (0.3, 1.0)
"""Leases between two stops."""
SPINNING: Final = "while True: pass"


@contextmanager
def pegged() -> Generator[None]:
    """Keep every core busy."""
    with ExitStack() as running:
        for _ in range(os.cpu_count() or 1):
            process = running.enter_context(subprocess.Popen([sys.executable, "-c", SPINNING]))
            running.callback(process.kill)
        yield


@contextmanager
def started(here: Place, folder: Path, lease: float) -> Generator[dict[str, subprocess.Popen[str]]]:
    """One worker for each way to be slow; at last they end in good order, or the caller is told."""
    processes: dict[str, subprocess.Popen[str]] = {}
    try:
        for way in WAYS:
            command = [
                sys.executable,
                "-m",
                "tests.chaos.sluggish",
                here.url,
                str(folder / f"{way}.said"),
                str(lease),
                way,
            ]
            with (folder / f"{way}.stderr").open("wb") as stderr:
                processes[way] = subprocess.Popen(
                    command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
                )
        for process in processes.values():
            assert process.stdout is not None
            assert process.stdout.readline() == "there\n"
        yield processes
        for process in processes.values():
            assert process.stdin is not None
            process.stdin.close()
        for process in processes.values():
            process.wait(PATIENCE + 5 * lease)
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def disturb(processes: dict[str, subprocess.Popen[str]], seed: int, seconds: float, lease: float) -> int:
    """Stop workers and let them go on, for so many seconds; return how often."""
    randomness = random.Random(seed)
    until, pauses = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        victims = list(processes.values()) if randomness.random() < 0.3 else [processes["paused"]]
        for process in victims:
            process.send_signal(signal.SIGSTOP)
        time.sleep(randomness.uniform(*PAUSED) * lease)
        for process in victims:
            process.send_signal(signal.SIGCONT)
        pauses += len(victims)
        time.sleep(randomness.uniform(*BREATH) * lease)
    return pauses


def wrong_with(here: Place, folder: Path, pids: Mapping[str, int], counts: Counter[str]) -> list[str]:
    """Who was held for dead without having been silent, or was told something else than that it is well."""
    said = {way: list(sidelog.read(folder / f"{way}.said")) for way in WAYS}
    silent = dict.fromkeys(pids.values(), 0) | silences(line for lines in said.values() for line in lines)
    journal = here.journal()
    try:
        workers = journal.workers(1_000_000)
        by_right = expired(workers, silent)
        counts["leases that ran out by right"] = len(by_right)
        found = [
            f"false death: {worker.incarnation} was fenced for {worker.fence.cause.name}: {worker.fence.reason}"
            for worker in workers
            if worker.fence is not None and worker.incarnation not in by_right
        ]
        found += [f"{worker} has not left" for worker in journal.workers(9) if worker.state is WorkerState.ALIVE]
        for execution_id, story in stories(journal).items():
            counts[story.state.name] += 1
            if story.state is not ExecutionState.COMPLETED:
                end = story.ends[0] if story.ends else None
                if end is not None and end.cause is Cause.LEASE_EXPIRED and story.owner in by_right:
                    continue
                found.append(f"false death: {execution_id} is {story.state.name}: {end}")
        after = 0
        while (page := journal.read(after, PAGE, Selection())).events:
            counts["warnings"] += sum(isinstance(event.entry, Warned) for event in page.events)
            after = page.up_to
    finally:
        journal.close()
    expired_pids = {worker.pid for worker in workers if worker.incarnation in by_right}
    for way in WAYS:
        for line in said[way]:
            counts[f"{way}: {line.kind}"] += 1
            is_by_right = pids[way] in expired_pids and Cause.LEASE_EXPIRED.name in str(line.details)
            if line.kind == sidelog.BROKEN and not is_by_right:
                found.append(f"{way}: {line.execution_id} was told {line.details[0]}")
    return found + here.findings()


def slow(store: str, seed: int, seconds: float, lease: float, say: Callable[[str], None] = lambda _: None) -> list[str]:
    """Be as slow as can be, for so long; return who was held for dead, and what else is wrong."""
    counts: Counter[str] = Counter()
    with place(store, 0) as here, tempfile.TemporaryDirectory(prefix="runstate-slow-") as temporary:
        folder = Path(temporary)
        with started(here, folder, lease) as processes, pegged():
            pauses = disturb(processes, seed, seconds, lease)
        found = wrong_with(here, folder, {way: process.pid for way, process in processes.items()}, counts)
        found += [f"{way} ended with {process.returncode}" for way, process in processes.items() if process.returncode]
        if found:
            found += [f"{way} said {text}" for way in WAYS if (text := (folder / f"{way}.stderr").read_text())]
    say(
        f"slow on {store}, seed {seed}: {pauses} pauses; "
        + ", ".join(f"{what} {n}" for what, n in sorted(counts.items()))
    )
    return found
