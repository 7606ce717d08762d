"""A storm: workers under load, faults by a seeded schedule, and afterwards the guarantee."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import runstate

from . import sidelog
from .faults import PATIENCE, Team
from .guarantee import Check, stories
from .places import MEGABYTE, Place, place
from .schedule import Fault, schedule

WORKERS: Final = 4
AGENTS: Final = 6
MEMORY: Final = 300 * MEGABYTE
"""Resident bytes that one worker may have, however long it runs."""
TICK: Final = 0.02
"""Seconds between two looks at the workers."""
SAMPLE: Final = 1.0
"""Seconds between two samples of what must stay bounded."""
DEPARTED: Final = 1_000_000


@dataclass(slots=True)
class Outcome:
    """What became of a storm."""

    seed: int
    store: str
    findings: list[str] = field(default_factory=list[str])
    faults: dict[str, int] = field(default_factory=dict[str, int])
    counts: dict[str, int] = field(default_factory=dict[str, int])
    resident: int = 0
    """Most memory that a worker has had, in bytes."""
    wal: int = 0
    """Most that the log of changes has taken, in bytes."""
    settled: float = 0.0
    """Seconds from the moment when another process begins to open the journal until nothing of anybody's is live."""
    heard: list[float] = field(default_factory=list[float])
    """Seconds from requests to cancel to the ends that were heard of."""

    def lines(self) -> list[str]:
        """Say it to people."""
        found = [
            f"storm on {self.store}, seed {self.seed}",
            "  faults: " + ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items())),
            "  found:  " + ", ".join(f"{what} {count}" for what, count in sorted(self.counts.items())),
            f"  most memory of a worker {self.resident / MEGABYTE:.0f} MB, most WAL {self.wal / MEGABYTE:.1f} MB",
        ]
        found.append(f"  whoever opened the journal next found everything settled after {self.settled * 1e3:.0f} ms")
        if self.heard:
            found.append(
                f"  cancel between processes, from the request to the end heard of: median "
                f"{statistics.median(self.heard) * 1e3:.1f} ms of {len(self.heard)}, longest {max(self.heard):.2f} s"
            )
        return [*found, *(f"  WRONG: {finding}" for finding in self.findings[:50]), f"  {len(self.findings)} findings"]


def storm(
    store: str,
    seed: int,
    seconds: float,
    lease: float,
    *,
    pace: float = 1.0,
    agents: int = AGENTS,
    say: Callable[[str], None] = lambda _: None,
    keep: Path | None = None,
) -> Outcome:
    """Let one rage.

    Args:
        store: `sqlite` or `postgres`.
        seed: What decides; the same one gives the same schedule, and workers that want the same.
        seconds: How long.
        lease: The workers', in seconds.
        pace: Faults a second, at most.
        agents: Agents of each worker.
        say: Is told what happens.
        keep: Where to leave the side logs; None removes them.
    """
    outcome = Outcome(seed, store)
    with place(store, WORKERS) as here, tempfile.TemporaryDirectory(prefix="runstate-said-") as temporary:
        folder = Path(temporary) if keep is None else keep
        team = Team(here, folder, seed, lease, WORKERS, agents)
        began = time.monotonic()
        sample_at = 0.0
        ahead = schedule(seed, seconds, store, lease, WORKERS, pace)[::-1]
        try:
            while (at := time.monotonic() - began) < seconds:
                while ahead and ahead[-1].at <= at:
                    say(_described(at, ahead[-1]))
                    team.befall(ahead.pop())
                team.tend()
                if at >= sample_at:
                    sample_at = at + SAMPLE
                    outcome.resident = max(outcome.resident, team.resident())
                    outcome.wal = max(outcome.wal, here.wal_bytes())
                time.sleep(TICK)
            if seed % 2:
                say("the storm is over; everybody is killed at once, and somebody opens the journal")
                team.kill()
            else:
                say("the storm is over; everybody ends in good order")
                team.end()
        finally:
            team.kill()
        outcome.faults = team.applied
        outcome.findings += [*team.complaints, *team.outcries()]
        outcome.settled = _settled(here, lease)
        journal = here.journal()
        said = [line for log in team.logs() for line in sidelog.read(log)]
        check = Check(stories(journal), journal.workers(DEPARTED), team.harms)
        check.rejected(journal, said)
        outcome.findings += check.all(said)
        journal.close()
        outcome.findings += [f"verify: {finding}" for finding in here.findings()]
        outcome.counts, outcome.heard = dict(check.counts), check.heard
        if outcome.resident > MEMORY:
            outcome.findings.append(f"a worker has had {outcome.resident / MEGABYTE:.0f} MB")
        if outcome.wal > here.wal_limit:
            outcome.findings.append(f"the log of changes has taken {outcome.wal / MEGABYTE:.0f} MB")
        if keep is not None:
            (keep / "findings").write_text("\n".join(outcome.findings))
    return outcome


def _settled(here: Place, lease: float) -> float:
    """Open the journal when nobody is left; wait until all that the dead have left is ended."""
    began = time.monotonic()
    with runstate.open(here.url, lease=lease) as tracker:
        while any(worker.live for worker in tracker.workers()):
            if time.monotonic() - began > PATIENCE:
                break  # what is live still is found by the check
            time.sleep(0.001)
        settled = time.monotonic() - began
        with tracker.execution(agent="last", thread_id="t", user_id="u") as last:
            last.complete(None)
    return settled


def _described(at: float, fault: Fault) -> str:
    whom = f" worker {', '.join(map(str, fault.slots))}" if fault.slots else ""
    return f"{at:7.1f} s  {fault.kind}{whom}{f' for {fault.seconds:.1f} s' if fault.seconds else ''}"
