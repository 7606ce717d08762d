"""Blocks in trouble: cancelled while entering or leaving, outlived by tasks, left by generators."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Literal

import pytest

from runstate import (
    Cause,
    Execution,
    ExecutionState,
    ExecutionTracker,
    RunstateError,
)

from .gated import WHO, GatedJournal, stored, until_reached
from .stores import Store


@pytest.fixture
def journal(store: Store) -> GatedJournal:
    """The journal of `gated`, whose gate the test moves."""
    return GatedJournal(store.journal())


@pytest.fixture
def gated(journal: GatedJournal) -> Iterator[ExecutionTracker]:
    """A tracker on a gated journal."""
    with ExecutionTracker(journal) as tracker:
        yield tracker
        journal.failure = None
        journal.open()


def test_a_cancelled_task_ends_cancelled(store: Store, tracker: ExecutionTracker) -> None:
    """A cancelled task stays a cancelled task, and its execution says why it ended."""

    async def main() -> str:
        inside = asyncio.Event()
        runs: list[Execution] = []

        async def work() -> None:
            async with tracker.execution(**WHO) as run:
                runs.append(run)
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await inside.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        return runs[0].execution_id

    record = stored(store, asyncio.run(main()))
    assert (record.state, record.cause) == (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER)
    assert record.evidence is not None
    assert record.evidence.reason == "CancelledError"


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ("completes", ExecutionState.COMPLETED),
        ("raises", ExecutionState.FAILED),
        ("is cancelled", ExecutionState.CANCELLED),
        ("says nothing", ExecutionState.FAILED),
    ],
)
def test_cancelled_again_while_leaving(
    store: Store, gated: ExecutionTracker, journal: GatedJournal, body: str, state: ExecutionState
) -> None:
    """Cancellations during the exit cannot change the end or outrun its durability; they are delivered afterwards."""

    async def work(runs: list[Execution]) -> None:
        async with gated.execution(**WHO) as run:
            runs.append(run)
            journal.shut()
            if body == "completes":
                run.complete("the answer")
            elif body == "raises":
                raise ValueError("boom")
            elif body == "is cancelled":
                await asyncio.Event().wait()

    async def main() -> str:
        runs: list[Execution] = []
        task = asyncio.create_task(work(runs))
        while not runs:
            await asyncio.wait([task], timeout=0.001)
        if body == "is cancelled":
            task.cancel()
        await until_reached(journal)
        for _ in range(3):
            task.cancel()
            await asyncio.wait([task], timeout=0.001)
            assert not task.done()
        journal.open()
        await asyncio.wait([task])
        assert task.cancelled()
        return runs[0].execution_id

    record = stored(store, asyncio.run(main()))
    assert record.state is state
    assert record.result == ("the answer" if body == "completes" else None)


def test_cancelled_while_entering(store: Store, gated: ExecutionTracker, journal: GatedJournal) -> None:
    """A task that is cancelled before its block begins runs no body, and its execution ends CANCELLED."""

    async def work() -> None:
        async with gated.execution(**WHO):
            pytest.fail("the body must not run")

    async def main() -> None:
        journal.shut()
        task = asyncio.create_task(work())
        await until_reached(journal)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        journal.open()
        await gated.aflush()

    asyncio.run(main())
    (record,) = gated.find()
    assert stored(store, record.execution_id).state is ExecutionState.CANCELLED


def test_a_task_that_outlives_its_loop(store: Store, tracker: ExecutionTracker) -> None:
    """A task still in its block when `asyncio.run` ends is cancelled by it, and its execution is CANCELLED."""

    async def main() -> str:
        ids: list[str] = []
        inside = asyncio.Event()

        async def work() -> None:
            async with tracker.execution(**WHO) as run:
                ids.append(run.execution_id)
                inside.set()
                await asyncio.Event().wait()

        tasks.append(asyncio.create_task(work()))
        await inside.wait()
        return ids[0]

    tasks: list[asyncio.Task[None]] = []
    assert stored(store, asyncio.run(main())).state is ExecutionState.CANCELLED
    assert tasks[0].cancelled()


def test_a_caller_who_waits_no_longer(store: Store, tracker: ExecutionTracker) -> None:
    """`asyncio.wait_for` around a block gives up on it as on any coroutine, and the execution is CANCELLED."""

    async def work(ids: list[str]) -> None:
        async with tracker.execution(**WHO) as run:
            ids.append(run.execution_id)
            await asyncio.Event().wait()

    async def main() -> str:
        ids: list[str] = []
        waiting = asyncio.create_task(work(ids))
        while not ids:
            await asyncio.wait([waiting], timeout=0.001)
        with pytest.raises(TimeoutError) as left_by:
            await asyncio.wait_for(waiting, 0.001)
        assert not isinstance(left_by.value, RunstateError)
        return ids[0]

    assert stored(store, asyncio.run(main())).state is ExecutionState.CANCELLED


def test_a_closed_generator_is_cancelled(store: Store, tracker: ExecutionTracker) -> None:
    """Closing a generator in its block, or dropping the last reference to it, ends the execution as CANCELLED."""

    def stream() -> Iterator[str]:
        with tracker.execution(**WHO) as run:
            yield run.execution_id
            yield run.execution_id

    closed = stream()
    ids = [next(closed)]
    closed.close()
    dropped = stream()
    ids.append(next(dropped))
    del dropped
    gc.collect()
    for execution_id in ids:
        record = stored(store, execution_id)
        assert (record.state, record.cause) == (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER)
        assert record.evidence is not None
        assert record.evidence.reason == "GeneratorExit"


@pytest.mark.parametrize("closed_by", ["aclose", "another task", "the loop"])
def test_a_closed_async_generator_is_cancelled(store: Store, tracker: ExecutionTracker, closed_by: str) -> None:
    """An async generator closed by its reader, by another task or at the loop's end leaves a CANCELLED execution."""

    async def stream() -> AsyncIterator[str]:
        async with tracker.execution(**WHO) as run:
            yield run.execution_id
            yield run.execution_id

    kept: list[AsyncIterator[str]] = []

    async def main() -> str:
        words = stream()
        kept.append(words)
        execution_id = await anext(words)
        if closed_by == "aclose":
            await words.aclose()
        elif closed_by == "another task":
            await asyncio.create_task(words.aclose())
        return execution_id

    record = stored(store, asyncio.run(main()))
    assert (record.state, record.cause) == (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER)


def test_a_generator_run_to_its_end_completes(store: Store, tracker: ExecutionTracker) -> None:
    """A generator that is read to its end completes like any other block."""

    def stream() -> Iterator[str]:
        with tracker.execution(**WHO) as run:
            yield run.execution_id
            run.complete("all of it")

    (execution_id,) = stream()
    assert stored(store, execution_id).result == "all of it"


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_body_that_fails_after_its_end_is_told_of_it(tracker: ExecutionTracker, kind: str) -> None:
    """What the body raises goes on, and says that the execution had been cancelled by then, as it is recorded."""

    def body(run: Execution[Literal[ExecutionState.RUNNING]]) -> None:
        tracker.update_execution_state(run.execution_id, ExecutionState.CANCELLED)
        raise ValueError("too late")

    async def within() -> None:
        async with tracker.execution(**WHO) as run:
            body(run)

    with pytest.raises(ValueError, match="too late") as told:  # noqa: PT012 - what is proven is what leaves a whole block
        if kind == "async":
            asyncio.run(within())
        with tracker.execution(**WHO) as run:
            body(run)
    assert any("CANCELLED" in note for note in told.value.__notes__)
