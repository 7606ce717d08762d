"""The time of death: from `kill -9` of a worker with a hundred live executions until the journal says of all of them that they are DEAD.

Beside it stands what the kernel takes to tell of the same ends, to who waits for nothing else: the rest is ours.
"""

from __future__ import annotations

import statistics
from pathlib import Path

from tests.chaos import deaths
from tests.chaos.places import place

from bench.pairs import Row, duration

KILLS = 24
LEASE = 10.0


def measure(folder: Path) -> list[Row]:
    """Measure both stores, in milliseconds: the median, and the longest."""
    return [row for store in ("sqlite", "postgres") for row in _measure(store)]


def _measure(store: str) -> list[Row]:
    with place(store, 0) as here, deaths.watched(here, LEASE):
        found = deaths.kills(here, KILLS, LEASE)
    times = [one.journal for one in found]
    kernel = statistics.median(one.kernel for one in found if one.kernel is not None)
    low, middle, high = statistics.quantiles(times, n=4)
    notes = {"kills": len(found), "the kernel's own notice, longest": duration(max(one.kernel or 0.0 for one in found))}
    if servers := [one.server for one in found if one.server is not None and store == "postgres"]:
        notes["the server's own notice, median"] = duration(statistics.median(servers))
    return [
        Row(f"deaths.{store}", middle * 1e3, low * 1e3, high * 1e3, middle, kernel, notes),
        Row(f"deaths.{store}_longest", max(times) * 1e3, low * 1e3, high * 1e3, max(times), kernel),
    ]
