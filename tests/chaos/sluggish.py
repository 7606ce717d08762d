"""A worker that is as slow as can be, and alive: its loop blocks, a C call holds the GIL, its clock is set.

    python -m tests.chaos.sluggish URL SIDE-LOG LEASE WAY

Its agents beat as often as their loop lets them, with a limit for silence that is shorter than what blocks them, and all of them
have to end COMPLETED. How long it was really silent it measures itself (`silences`). It prints `there` when it has begun, and ends in
good order when its standard input does.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import runstate
from runstate import ExecutionTracker, Phase
from runstate._clock import SystemClock
from runstate.journal.postgres import PostgresJournal
from runstate.journal.sqlite import SqliteJournal

from . import sidelog
from .sidelog import SideLog
from .silences import tell_silences

AGENTS: Final = 5
SILENCE: Final = 0.4
"""Leases without a sign of life after which an execution would be DEAD, if nobody knew that its loop is blocked."""
BLOCKED: Final = 0.8
"""Leases for which a loop is blocked at a time."""
HELD: Final = 0.5
"""Leases for which a C call holds the GIL."""
BETWEEN: Final = 0.1
"""Leases between two of them."""
HOUR: Final = 3_600_000_000_000
"""Nanoseconds."""


def stepped_ns() -> int:
    """The time by a clock that somebody sets by an hour, forth and back, twice a second."""
    return time.time_ns() + (-HOUR, 0, HOUR)[int(time.monotonic() * 2) % 3]


class SteppedClock(SystemClock):
    """The clocks of a machine whose time is set; durations are measured well."""

    time_ns = staticmethod(stepped_ns)


def opened(url: str, lease: float, way: str) -> ExecutionTracker:
    """Open a journal with the clock that goes with a way to be slow."""
    if way != "stepped":
        return runstate.open(url, lease=lease)
    clock = SteppedClock()
    journal = PostgresJournal(url) if url.startswith("postgresql:") else SqliteJournal(url, clock=clock)
    return ExecutionTracker(journal, lease=lease, clock=clock)


async def agent(tracker: ExecutionTracker, log: SideLog, lease: float, stopping: asyncio.Event) -> None:
    """Run one execution after the other; whatever is raised must not be."""
    while not stopping.is_set():
        execution_id = ""
        try:
            async with tracker.execution(
                agent="slow", thread_id="t", user_id="u", heartbeat_timeout=SILENCE * lease
            ) as run:
                execution_id = run.execution_id
                log.say(sidelog.LIVE, execution_id)
                run.phase(Phase.THINKING, "0")
                until = time.monotonic() + 2 * lease
                while time.monotonic() < until and not stopping.is_set():
                    await asyncio.sleep(SILENCE * lease / 8)
                    run.heartbeat()
                run.complete("slow and well")
        except Exception as error:
            log.say(sidelog.BROKEN, execution_id, repr(error))
        else:
            log.say(sidelog.ENDED, execution_id, "completed", "slow and well")


def block(lease: float) -> None:
    """Do in the loop what should have been awaited."""
    time.sleep(BLOCKED * lease)


def hold(lease: float) -> None:
    """Call into C, and keep the GIL there: no thread of this process runs any Python meanwhile."""
    ctypes.PyDLL(None).usleep(int(HELD * lease * 1e6))


def nothing(lease: float) -> None:
    """Be slow only by what others do."""


WAYS: Final[dict[str, Callable[[float], None]]] = {
    "blocked": block,
    "held": hold,
    "stepped": nothing,
    "paused": nothing,
}
"""What slows a worker down: `stepped` is its clock, and `paused` is done to it from outside."""


async def main(url: str, log: Path, lease: float, way: str) -> None:
    """Work until told to end."""
    side_log, stopping, loop = SideLog(log), asyncio.Event(), asyncio.get_running_loop()
    threading.Thread(target=tell_silences, args=(side_log, lease), daemon=True).start()
    with opened(url, lease, way) as tracker:
        tasks = [asyncio.create_task(agent(tracker, side_log, lease, stopping)) for _ in range(AGENTS)]

        def wait_for_the_end() -> None:
            sys.stdin.read()
            loop.call_soon_threadsafe(stopping.set)

        threading.Thread(target=wait_for_the_end, daemon=True).start()
        print("there", flush=True)
        while not stopping.is_set():
            await asyncio.sleep(BETWEEN * lease)
            WAYS[way](lease)
        await asyncio.gather(*tasks)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4]))
