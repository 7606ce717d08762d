"""Times a framework's own loop against itself with tracking: one run after the other, and many at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import ModuleType

import runstate
from bench.pairs import Row, duration, paired

AT_ONCE = 16


def measure_loop(
    gate: str, loop: ModuleType, folder: Path, *, runs: int, pairs: int, latency: float = 0.0, url: str = ""
) -> list[Row]:
    """Measure a loop of `bench.rivals`.

    Args:
        gate: The gate of the row.
        loop: Has `tracked(tracker)` and `untracked()`.
        folder: Where the journal goes.
        runs: How many runs are timed together.
        pairs: How many pairs; a third of it where runs are concurrent.
        latency: Seconds that a model's step takes.
        url: The journal, if it is not a file in the folder.
    """
    folder.mkdir(exist_ok=True)
    with asyncio.Runner() as runner, runstate.open(url or folder / "runstate.db") as tracker:
        ours, theirs = loop.tracked(tracker, latency), loop.untracked(latency)
        if runner.run(ours()) != runner.run(theirs()):
            raise AssertionError("the tracked loop gives another answer")

        async def one_after_the_other(run: object) -> None:
            for _ in range(runs):
                await run()

        async def at_once(run: object) -> None:
            await asyncio.gather(*(run() for _ in range(AT_ONCE)))

        alone = paired(
            lambda: lambda: runner.run(one_after_the_other(ours)),
            lambda: lambda: runner.run(one_after_the_other(theirs)),
            operations=runs,
            pairs=pairs,
        )
        together = paired(
            lambda: lambda: runner.run(at_once(ours)),
            lambda: lambda: runner.run(at_once(theirs)),
            operations=AT_ONCE,
            pairs=pairs // 3 | 1,
        )
    added = max(0.0, alone.ours - alone.theirs)
    notes = {
        "added to a run": duration(added),
        "at most 1.02 for runs from": duration(added / 0.02),
        f"ratio with {AT_ONCE} runs at once": round(together.median, 3),
    }
    return [Row.cost(gate, alone, **notes)]
