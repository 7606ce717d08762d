"""What the liveness thread costs the agents beside it: sustained moves of 64 tasks on SQLite, with the thread and without.

The lease is 0.2 s, so that the thread renews it and looks at its peers every 0.05 s: sixteen times as often as with the lease of
10 s that trackers have by default. Each timed piece of work has a tracker of its own, as only one of two may have the thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path
from unittest.mock import patch

import runstate
from bench.pairs import Row, Work, paired
from bench.rivals import runstate_tracker
from runstate._liveness import Liveness

LEASE = 0.2
LIVES = 64 * 48


def measure(folder: Path) -> list[Row]:
    """Measure the row."""
    with ExitStack() as open_now, asyncio.Runner() as runner:

        def opened(name: str, *, threaded: bool) -> Callable[[], Work]:
            def prepare() -> Work:
                open_now.close()
                with nullcontext() if threaded else patch.object(Liveness, "start"):
                    tracker = open_now.enter_context(runstate.open(folder / name, lease=LEASE))
                return lambda: runner.run(runstate_tracker.moves(tracker, LIVES))

            return prepare

        ratio = paired(
            opened("with.db", threaded=True),
            opened("without.db", threaded=False),
            operations=LIVES * runstate_tracker.ENTRIES,
            pairs=21,
        )
    return [Row.cost("liveness", ratio)]
