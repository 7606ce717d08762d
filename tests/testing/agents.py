"""Scenarios for the laboratory: agents as in the demo, and agents that break what they were told not to break."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from pathlib import Path

import anyio
import anyio.lowlevel

from runstate import ExecutionTracker, JournalError, Phase
from runstate.journal.sqlite import SqliteJournal

WHO = {"thread_id": "t-1", "user_id": "u-1"}


async def airline(tracker: ExecutionTracker) -> None:
    """Three conversations at once: one is answered, one fails, one is cancelled by its user."""

    @tracker.agent("airline", timeout=25.0)
    async def answer(message: str) -> str:
        from runstate import current

        run = current()
        run.phase(Phase.THINKING)
        await asyncio.sleep(0)
        run.phase(Phase.TOOL_EXECUTION, "get_user_details")
        await asyncio.sleep(0.001)
        if "broken" in message:
            raise ValueError("the tool is broken")
        return f"{message}: done"

    async def cancelled() -> None:
        task = asyncio.create_task(answer.bind(**WHO)("never mind"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    await asyncio.gather(answer.bind(**WHO)("hello"), answer.bind(**WHO)("broken"), cancelled())


async def with_anyio(tracker: ExecutionTracker) -> None:
    """Two conversations in a task group of anyio."""

    async def answer(thread_id: str) -> None:
        async with tracker.execution(agent="anyio", thread_id=thread_id, user_id="u-1") as run:
            await anyio.lowlevel.checkpoint()
            run.complete(thread_id)

    async with anyio.create_task_group() as group:
        group.start_soon(answer, "t-1")
        group.start_soon(answer, "t-2")


async def one_message(tracker: ExecutionTracker) -> None:
    """A message that is known by its id, the same in each run."""

    @tracker.agent("airline")
    async def answer(message: str) -> str:
        await asyncio.sleep(0)
        return message

    await answer.bind(**WHO, message_id="m-1")("hello")


def once_only(tracker: ExecutionTracker, marker: str) -> None:
    """An agent that has much to do the first time, and little from then on."""
    is_first = not Path(marker).exists()
    Path(marker).touch()
    for _ in range(5 if is_first else 1):
        tracker.create(agent="once", **WHO).run().complete()
        tracker.flush()


def by_hand(tracker: ExecutionTracker, answers: int = 2) -> None:
    """A synchronous agent that moves handles by itself."""
    for number in range(answers):
        running = tracker.create(agent="by hand", **WHO).start().run()
        tracker.flush()
        running.phase(Phase.LLM_INTERACTION, f"answer {number}")
        running.finish().complete({"number": number, "drawn": random.random()})
    tracker.flush()


def stubborn(tracker: ExecutionTracker) -> None:
    """An agent that tries until it is done, however long that takes."""
    running = tracker.create(agent="stubborn", **WHO).run()
    running.complete(None)
    while True:
        with contextlib.suppress(JournalError):
            tracker.flush()
            break


def vanishing(tracker: ExecutionTracker) -> None:
    """An agent that ends its process behind everybody's back, but only when something has happened to it."""
    try:
        by_hand(tracker)
    except JournalError:
        os._exit(3)


def forgetting(tracker: ExecutionTracker) -> None:
    """A journal that says that all is durable, and stores nothing."""
    SqliteJournal._store = lambda self, connection, batch: []  # type: ignore[method-assign]
    by_hand(tracker)


def raising(tracker: ExecutionTracker) -> None:
    """A scenario that fails by itself."""
    raise ValueError("it never worked")


def idle(tracker: ExecutionTracker) -> None:
    """A scenario that uses no tracker."""
