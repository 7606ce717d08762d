"""Silences: for how long a process was really not let run, measured by itself, as a machine that is busy adds to what is done to it.

A thread takes a few turns again and again, as the renewal of a lease does, and a lease in which it could not was a silence. A lease
may run out as often as its process was silent for one, and not once more. Nothing else is excused.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from runstate import Cause
from runstate._fleet import Worker

from . import sidelog
from .sidelog import Said, SideLog

TURNS: Final = 8
"""Turns of a thread that are a sign of life: a renewal takes about as many, as each call into the store gives the GIL away."""
TURN: Final = 0.005
"""Seconds between two of them."""


def tell_silences(log: SideLog, lease: float) -> None:
    """Say of each lease in which no `TURNS` turns could be taken how long it became, for ever."""
    began = time.monotonic()
    while True:
        for _ in range(TURNS):
            time.sleep(TURN)
        ended = time.monotonic()
        if ended - began >= lease:
            log.say(sidelog.SILENT, "", ended - began, os.getpid())
        began = ended


def silences(said: Iterable[Said]) -> Counter[int]:
    """How often each process was silent for a lease, by pid."""
    return Counter(line.details[1] for line in said if line.kind == sidelog.SILENT)


def expired(workers: Iterable[Worker], silent: Mapping[int, int]) -> set[str]:
    """Whose lease has run out by right: workers of processes that were silent for a lease, as often as they were at least."""
    fences: dict[int, list[str]] = {pid: [] for pid in silent}
    for worker in workers:
        if worker.fence is not None and worker.fence.cause is Cause.LEASE_EXPIRED and worker.pid in fences:
            fences[worker.pid].append(worker.incarnation)
    return {name for pid, names in fences.items() if len(names) <= silent[pid] for name in names}
