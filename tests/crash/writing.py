"""A program that tracks as hard as it can until it is killed, and says on its standard output what it was promised.

    python writing.py FILE SEED RETAINED

Each line is one fact in JSON, written only after the call that promises durability has returned, in one `write` of its own:
`["live", id]` after a flush, `["ended", id, state, result]` after a block was left. It opens and closes the file again and
again, so that a kill may hit opening, group commits, pruning, checkpoints and closing.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import threading

import runstate
from runstate import ExecutionTracker, Limits, Phase

WHO = {"thread_id": "t-1", "user_id": "u-1"}


def say(*fact: object) -> None:
    """Report a fact: one line, one write, no buffer."""
    os.write(1, json.dumps(fact).encode() + b"\n")


def in_blocks(tracker: ExecutionTracker, randomness: random.Random, rounds: int) -> None:
    """Run blocks one after the other."""
    for number in range(rounds):
        result = "x" * randomness.choice((0, 10, 5_000, 20_000))
        try:
            with tracker.execution(agent="sync", **WHO, metadata={"number": number}) as run:
                say("live", run.execution_id)
                for phase in Phase:
                    run.phase(phase, f"step {number}")
                    run.heartbeat()
                if number % 5 == 4:
                    raise ValueError("this one fails")
                run.complete(result)
        except ValueError:
            say("ended", run.execution_id, "failed", None)
        else:
            say("ended", run.execution_id, "completed", len(result))


def by_handle(tracker: ExecutionTracker, randomness: random.Random, rounds: int) -> None:
    """Move many executions at once and flush in between."""
    for _ in range(rounds):
        pending = [tracker.create(agent="handle", **WHO) for _ in range(randomness.randrange(1, 30))]
        running = [one.start().run() for one in pending]
        tracker.flush()
        for one in running:
            say("live", one.execution_id)
        ended = [one.complete([number]) for number, one in enumerate(running)]
        tracker.flush()
        for number, one in enumerate(ended):
            say("ended", one.execution_id, "completed", number)


async def in_tasks(tracker: ExecutionTracker, rounds: int) -> None:
    """Run blocks in tasks that share their commits."""

    async def one(number: int) -> None:
        async with tracker.execution(agent="async", **WHO) as run:
            say("live", run.execution_id)
            run.phase(Phase.THINKING)
            await asyncio.sleep(0)
            run.cancel("enough") if number % 3 == 0 else run.complete(None)
        say("ended", run.execution_id, "cancelled" if number % 3 == 0 else "completed", None)

    for _ in range(rounds):
        await asyncio.gather(*(one(number) for number in range(8)))


def main(path: str, seed: int, retained: int) -> None:
    """Write until killed."""
    randomness = random.Random(seed)
    while True:
        with runstate.open(path, limits=Limits(retained_executions=retained)) as tracker:
            work = (
                lambda: in_blocks(tracker, random.Random(seed), 6),
                lambda: by_handle(tracker, random.Random(seed + 1), 4),
                lambda: asyncio.run(in_tasks(tracker, 3)),
            )
            threads = [threading.Thread(target=one) for one in randomness.sample(work, randomness.randint(1, 3))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
