"""runstate itself, by its public names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import runstate
from runstate import ExecutionTracker, JournalFullError, Phase
from runstate._checks import checked

BEATS = 10
ENTRIES = 5
"""Log entries of one life: its creation and four moves."""
TASKS = 64
RESULT = {"text": "Your seat is booked."}


@contextmanager
def lives(_: Path) -> Iterator[Callable[[int], None]]:
    """Create, four moves and ten heartbeats. All that the writer's thread has to do for it is paid for too."""
    with runstate.open("memory:") as tracker:

        def batch(count: int) -> None:
            for _ in range(count):
                running = tracker.create(agent="airline", thread_id="t-1", user_id="u-1").start().run()
                for _ in range(BEATS):
                    running.heartbeat()
                running.finish().complete(None)
            tracker.flush()

        yield batch


@contextmanager
def durable_lives(folder: Path) -> Iterator[Callable[[int], None]]:
    """Blocks one after the other, each durable at its beginning and at its end."""
    with runstate.open(folder / "runstate.db") as tracker:

        def batch(count: int) -> None:
            for _ in range(count):
                with tracker.execution(agent="airline", thread_id="t-1", user_id="u-1", timeout=25.0) as run:
                    run.complete(RESULT)

        yield batch


async def _task(tracker: ExecutionTracker, count: int) -> None:
    for _ in range(count):
        try:
            pending = tracker.create(agent="airline", thread_id="t-1", user_id="u-1", timeout=25.0)
        except JournalFullError:
            await tracker.aflush()
            pending = tracker.create(agent="airline", thread_id="t-1", user_id="u-1", timeout=25.0)
        await asyncio.sleep(0)
        starting = pending.start()
        await asyncio.sleep(0)
        running = starting.run()
        await asyncio.sleep(0)
        completing = running.finish()
        await asyncio.sleep(0)
        completing.complete(RESULT)
        await asyncio.sleep(0)


async def moves(tracker: ExecutionTracker, count: int) -> None:
    """64 tasks on one event loop, each of which moves one execution after the other, until all of it is durable."""
    await asyncio.gather(*(_task(tracker, count // TASKS) for _ in range(TASKS)))
    await tracker.aflush()


async def durable_tasks(tracker: ExecutionTracker, tasks: int, count: int) -> None:
    """Tasks on one event loop, each of which goes through one durable block after the other."""

    async def task() -> None:
        for _ in range(count // tasks):
            async with tracker.execution(agent="airline", thread_id="t-1", user_id="u-1", timeout=25.0) as run:
                run.complete(RESULT)

    await asyncio.gather(*(task() for _ in range(tasks)))


@contextmanager
def sustained_moves(folder: Path) -> Iterator[Callable[[int], None]]:
    """Many moves, one batch after the other."""
    with runstate.open(folder / "runstate.db") as tracker, asyncio.Runner() as runner:
        yield lambda count: runner.run(moves(tracker, count))


class _Handle:
    @checked
    def phase(self, phase: Phase, detail: str | None = None) -> None:
        return None


@contextmanager
def checked_calls(_: Path) -> Iterator[Callable[[int], None]]:
    """Calls of an empty method with the signature of `Execution.phase`."""
    call = _Handle().phase

    def batch(count: int) -> None:
        for _ in range(count):
            call(Phase.TOOL_EXECUTION, "get_user_details")

    yield batch
