"""What looking costs: `python -m bench.watching` prints how long `runstate top` and `runstate tail` work on a long journal.

By default 100,000 executions that have ended and 10,000 that live, in an SQLite file. Each figure is the processor time of the looking
process, the least of three, so that other work on the machine counts little. docs/cli.md shows them.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import runstate
from runstate import ExecutionTracker, Phase
from runstate.cli._following import EVERYTHING, last_events
from runstate.cli._top_frame import Look, frame
from runstate.cli._top_watch import Watch

T = TypeVar("T")


@contextmanager
def _journal(ended: int, live: int) -> Iterator[tuple[str, ExecutionTracker]]:
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "runs.db")
        with runstate.open(place) as tracker:
            for number in range(ended + live):
                who = {"agent": f"agent-{number % 5}", "thread_id": f"t-{number}", "user_id": f"u-{number % 100}"}
                run = tracker.create(**who).run()
                run.phase(Phase.TOOL_EXECUTION, "get_user_details")
                if number < ended:
                    run.complete("booked") if number % 50 else run.fail("KeyError: 'the moon'")
                if number % 1_000 == 0:
                    tracker.flush()
            tracker.flush()
            yield place, tracker


def _print_least(what: str, work: Callable[[], T]) -> T:
    taken: list[float] = []
    for _ in range(3):
        began = time.process_time()
        done = work()
        taken.append(time.process_time() - began)
    print(f"{what:<58} {min(taken) * 1e3:8.1f} ms", flush=True)
    return done


def _look(place: str) -> None:
    with closing(Watch(place)) as watch:
        watch.picture()


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--ended", type=int, default=100_000)
    arguments.add_argument("--live", type=int, default=10_000)
    asked = arguments.parse_args()
    chance = random.Random(305)
    with _journal(asked.ended, asked.live) as (place, tracker):
        with runstate.open(place, read_only=True) as reader:
            _print_least("tail: find the end and the last 10 events", lambda: last_events(reader, 10, EVERYTHING))
        _print_least("top: the first picture", lambda: _look(place))
        with closing(Watch(place)) as watch:
            picture = watch.picture()
            picture = _print_least("top: a picture when nothing has happened", watch.picture)
            rows = sorted(picture.live, key=lambda row: row.created_at_ns)
            for width, height in ((80, 23), (160, 49)):
                look = Look(rows, "oldest first", "", chance.randrange(max(1, len(rows))) if rows else None)
                _print_least(f"top: a frame of {width}x{height}", lambda: frame(picture, place, look, width, height))  # noqa: B023

            def happen() -> None:
                for number in range(250):
                    run = tracker.create(agent="agent", thread_id=f"new-{number}", user_id="u").run()
                    run.phase(Phase.THINKING)
                    run.complete()
                tracker.flush()

            taken: list[float] = []
            for _ in range(3):
                happen()
                began = time.process_time()
                watch.picture()
                taken.append(time.process_time() - began)
            print(f"{'top: a picture when 1,000 events have happened':<58} {min(taken) * 1e3:8.1f} ms")


if __name__ == "__main__":
    main()
