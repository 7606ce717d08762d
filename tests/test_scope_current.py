"""`current()`: the execution of the innermost block that has not been left, in whatever order blocks are left."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
import weakref
from collections.abc import AsyncIterator, Iterator

import pytest

from runstate import ExecutionScope, ExecutionState, ExecutionTracker, NoExecutionError, current

from .gated import WHO


def name_of_current() -> str | None:
    """The agent of the current execution, or None outside of any."""
    try:
        run = current()
    except NoExecutionError:
        return None
    assert run.state is ExecutionState.RUNNING
    return run.agent


@pytest.mark.parametrize("left", list(itertools.permutations("abc")), ids="".join)
def test_blocks_of_interleaved_generators(tracker: ExecutionTracker, left: tuple[str, ...]) -> None:
    """Generators of one context are in blocks at once: in whatever order they leave, the last entered of the rest counts."""

    def work(name: str) -> Iterator[None]:
        with tracker.execution(**{**WHO, "agent": name}) as run:
            yield
            run.complete()

    generators = {name: work(name) for name in "abc"}
    for name, generator in generators.items():
        next(generator)
        assert name_of_current() == name
    inside = list(generators)
    for name in left:
        assert next(generators[name], "left") == "left"
        inside.remove(name)
        assert name_of_current() == (inside[-1] if inside else None)


def test_interleaved_generators_inside_a_block(tracker: ExecutionTracker) -> None:
    """Around interleaved generators their caller's own block is current again after all of them have left."""

    def work(name: str) -> Iterator[None]:
        with tracker.execution(**{**WHO, "agent": name}) as run:
            yield
            run.complete()

    with tracker.execution(**WHO) as outer:
        first, second = work("first"), work("second")
        next(first)
        next(second)
        assert next(first, None) is None
        assert name_of_current() == "second"
        assert next(second, None) is None
        assert current() is outer
        outer.complete()
    assert name_of_current() is None


def test_a_task_that_outlives_the_block_it_was_started_in(tracker: ExecutionTracker) -> None:
    """A task sees the next block around that is still open when its own was left, then none, and never a finished one."""

    async def main() -> list[str | None]:
        seen: list[str | None] = []
        steps = [asyncio.Event() for _ in range(3)]

        async def look() -> None:
            for step in steps:
                await step.wait()
                seen.append(name_of_current())
                looked.set()

        looked = asyncio.Event()
        async with tracker.execution(**WHO) as outer:
            async with tracker.execution(**{**WHO, "agent": "tool"}) as inner:
                task = asyncio.create_task(look())
                steps[0].set()
                await looked.wait()
                looked.clear()
                inner.complete()
            steps[1].set()
            await looked.wait()
            outer.complete()
        steps[2].set()
        await task
        return seen

    assert asyncio.run(main()) == ["tool", "airline", None]


def test_a_thread_that_outlives_the_block_it_was_started_in(tracker: ExecutionTracker) -> None:
    """Code in `asyncio.to_thread` that runs on after the block was left is in no execution any more."""

    async def main() -> str | None:
        left = threading.Event()

        def look() -> str | None:
            assert left.wait(30)
            return name_of_current()

        async with tracker.execution(**WHO) as run:
            task = asyncio.create_task(asyncio.to_thread(look))
            await asyncio.sleep(0)
            run.complete()
        left.set()
        return await task

    assert asyncio.run(main()) is None


def test_a_block_left_in_another_context(tracker: ExecutionTracker) -> None:
    """An async generator that another task closes leaves nothing behind, neither in its context nor in the other."""

    async def stream() -> AsyncIterator[str]:
        async with tracker.execution(**{**WHO, "agent": "stream"}) as run:
            yield run.execution_id

    async def close(words: AsyncIterator[str]) -> str | None:
        async with tracker.execution(**{**WHO, "agent": "closer"}) as run:
            await words.aclose()
            seen = name_of_current()
            run.complete()
        return seen

    async def main() -> tuple[str | None, ...]:
        words = stream()
        await anext(words)
        inside = name_of_current()
        return inside, await asyncio.create_task(close(words)), name_of_current()

    assert asyncio.run(main()) == ("stream", "closer", None)


def test_an_execution_that_has_ended_is_current_until_its_block_is_left(tracker: ExecutionTracker) -> None:
    """Inside the block `current` goes on giving the block's own handle, so that a second end is refused by it."""
    with tracker.execution(**WHO) as run:
        run.complete()
        assert current() is run
    assert name_of_current() is None


def test_blocks_that_were_left_do_not_pile_up(tracker: ExecutionTracker) -> None:
    """However many blocks overlap one after the other, those that were left can be forgotten."""

    def work() -> Iterator[weakref.ref[ExecutionScope]]:
        scope = tracker.execution(**WHO)
        with scope as run:
            yield weakref.ref(scope)
            run.complete()

    previous = work()
    scopes = [next(previous)]
    for _ in range(20):
        following = work()
        scopes.append(next(following))
        assert next(previous, None) is None
        previous = following
    gc.collect()
    assert sum(scope() is not None for scope in scopes) <= 2
    assert next(previous, None) is None
    del previous, following
    gc.collect()
    assert [scope() for scope in scopes if scope() is not None] == []
