"""Blocks and agents on trio, and on anyio over trio and over asyncio: as on asyncio, they neither block the loop nor outlive an end.

Time moves by hand and `sweep` is called where the watching thread would wake, so nothing here sleeps. Most of it runs three times, in
the words of each library: `test_scope_limits` and its neighbours say the rest for asyncio.
"""

# ruff: noqa: PT012 - what is proven here is what leaves a whole block; an event of a thread cannot be awaited
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio

from runstate import (
    Cause,
    Execution,
    ExecutionState,
    ExecutionTimeoutError,
    ExecutionTracker,
    FencedError,
    NoOutcomeError,
    current,
)

from .clock import FakeClock
from .gated import WHO, stored
from .libraries import RUN, Main
from .stores import Store


@pytest.fixture(params=RUN)
def run(request: pytest.FixtureRequest) -> Callable[[Main], object]:
    """Run a main function under each library in turn."""
    return RUN[request.param]


async def for_ever() -> None:
    """Wait for what never comes; returns only by cancellation."""
    await anyio.sleep_forever()


def pass_limit(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """Let 26 seconds pass and have the watch look once; exactly one execution ends of it."""
    clock.advance(26.0)
    assert tracker.sweep() == 1


def test_a_block_completes(store: Store, tracker: ExecutionTracker, run: Callable[[Main], object]) -> None:
    """A block that says its result ends as COMPLETED, durably, and its handle is the current one inside."""

    async def main() -> str:
        async with tracker.execution(**WHO) as inside:
            assert current() is inside
            assert stored(store, inside.execution_id).state is ExecutionState.RUNNING
            await anyio.lowlevel.checkpoint()
            inside.complete("done")
        return inside.execution_id

    record = stored(store, str(run(main)))
    assert (record.state, record.result) == (ExecutionState.COMPLETED, "done")


def test_ways_to_leave(store: Store, tracker: ExecutionTracker, run: Callable[[Main], object]) -> None:
    """An exception goes on and means FAILED; a block left without an outcome raises NoOutcomeError."""

    async def main() -> tuple[str, str]:
        with pytest.raises(KeyError):
            async with tracker.execution(**WHO) as failing:
                raise KeyError("seat")
        with pytest.raises(NoOutcomeError):
            async with tracker.execution(**WHO) as forgetful:
                pass
        return failing.execution_id, forgetful.execution_id

    ids = run(main)
    assert isinstance(ids, tuple)
    assert [stored(store, one).cause for one in ids] == [Cause.RAISED, Cause.NO_OUTCOME]


def test_a_deadline_cancels_the_body(
    store: Store, tracker: ExecutionTracker, clock: FakeClock, run: Callable[[Main], object]
) -> None:
    """At its deadline the body is cancelled, ExecutionTimeoutError leaves, and the task goes on as if nothing had been."""

    async def main() -> str:
        with pytest.raises(ExecutionTimeoutError) as left_by:
            async with tracker.execution(**WHO, timeout=25.0) as inside:
                pass_limit(tracker, clock)
                await for_ever()
        assert left_by.value.execution_id == inside.execution_id
        await anyio.lowlevel.checkpoint()
        return inside.execution_id

    record = stored(store, str(run(main)))
    assert (record.state, record.cause) == (ExecutionState.TIMEOUT, Cause.DEADLINE)


@pytest.mark.parametrize("by", ["a task", "a thread", "itself, by id"])
def test_an_end_by_somebody_else_cancels_the_body(
    tracker: ExecutionTracker, run: Callable[[Main], object], by: str
) -> None:
    """Whoever ends it from elsewhere, FencedError leaves the block and says who did it."""

    async def main() -> None:
        with pytest.raises(FencedError) as left_by:
            async with anyio.create_task_group() as group:

                async def end() -> None:
                    tracker.update_execution_state(inside.execution_id, ExecutionState.DEAD, error="user left")

                try:
                    async with tracker.execution(**WHO) as inside:
                        if by == "a task":
                            group.start_soon(end)
                        elif by == "a thread":
                            threading.Thread(target=trio.run, args=(end,)).start()
                        else:
                            await end()
                        await for_ever()
                except FencedError as error:
                    raised = error
            raise raised
        assert (left_by.value.state, left_by.value.observer) == (ExecutionState.DEAD, "caller")

    run(main)


def test_an_own_end_does_not_cancel_the_body(tracker: ExecutionTracker, run: Callable[[Main], object]) -> None:
    """Who ends it through the handle inside goes on undisturbed."""

    async def main() -> None:
        async with tracker.execution(**WHO) as inside:
            inside.complete("early")
            for _ in range(3):
                await anyio.lowlevel.checkpoint()

    run(main)


def test_an_end_through_the_handle_elsewhere_cancels_the_body(
    tracker: ExecutionTracker, run: Callable[[Main], object]
) -> None:
    """An end through the handle, by a task outside of the block, is somebody else's."""

    async def main() -> None:
        handle: list[Execution[Any]] = []
        raised: FencedError | None = None

        async def cancel() -> None:
            while not handle:
                await anyio.lowlevel.checkpoint()
            handle[0].cancel("enough")

        async with anyio.create_task_group() as group:
            group.start_soon(cancel)
            try:
                async with tracker.execution(**WHO) as inside:
                    handle.append(inside)
                    await for_ever()
            except FencedError as error:
                raised = error
        assert raised is not None
        assert raised.state is ExecutionState.CANCELLED

    run(main)


def test_other_cancellations_pass_through(
    store: Store, tracker: ExecutionTracker, run: Callable[[Main], object]
) -> None:
    """A cancel scope around the block is the caller's: the execution is CANCELLED, and the scope catches its own."""

    async def main() -> str:
        with anyio.CancelScope() as scope:
            async with tracker.execution(**WHO) as inside:
                scope.cancel()
                await for_ever()
        assert scope.cancelled_caught
        return inside.execution_id

    record = stored(store, str(run(main)))
    assert (record.state, record.cause) == (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER)


def test_a_timeout_around_the_block_is_its_own(
    store: Store, tracker: ExecutionTracker, run: Callable[[Main], object]
) -> None:
    """A timeout of the caller's raises the library's own TimeoutError, not one of ours."""

    async def main() -> str:
        with pytest.raises(TimeoutError) as left_by:
            with anyio.fail_after(60.0) as scope:
                async with tracker.execution(**WHO) as inside:
                    scope.deadline = anyio.current_time()
                    await for_ever()
        assert not isinstance(left_by.value, FencedError)
        return inside.execution_id

    assert stored(store, str(run(main))).state is ExecutionState.CANCELLED


def test_when_both_cancel_the_callers_cancellation_is_delivered(
    store: Store, tracker: ExecutionTracker, clock: FakeClock, run: Callable[[Main], object]
) -> None:
    """When a limit passes and the caller cancels at once, the caller's cancellation is what leaves the block."""

    async def main() -> str:
        with anyio.CancelScope() as scope:
            async with tracker.execution(**WHO, timeout=25.0) as inside:
                pass_limit(tracker, clock)
                scope.cancel()
                await for_ever()
        assert scope.cancelled_caught
        return inside.execution_id

    assert stored(store, str(run(main))).state is ExecutionState.TIMEOUT


def test_a_scope_inside_stays_the_bodys(tracker: ExecutionTracker, run: Callable[[Main], object]) -> None:
    """A cancel scope of the body cancels what is in it and nothing else."""

    async def main() -> None:
        async with tracker.execution(**WHO) as inside:
            with anyio.move_on_after(0.01) as scope:
                await for_ever()
            assert scope.cancelled_caught
            inside.complete()

    run(main)


def test_a_body_with_tasks_is_cancelled_with_them(
    tracker: ExecutionTracker, clock: FakeClock, run: Callable[[Main], object]
) -> None:
    """A limit cancels the tasks of the body too, and FencedError leaves alone, not in a group."""

    async def main() -> int:
        ended = 0

        async def child() -> None:
            nonlocal ended
            try:
                await for_ever()
            finally:
                ended += 1

        with pytest.raises(ExecutionTimeoutError):
            async with tracker.execution(**WHO, timeout=25.0), anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(child)
                await anyio.wait_all_tasks_blocked()
                pass_limit(tracker, clock)
        return ended

    assert run(main) == 3


def test_what_a_body_raises_while_cancelled_leaves_it(
    tracker: ExecutionTracker, clock: FakeClock, run: Callable[[Main], object]
) -> None:
    """An error that cleaning up raises, while a limit cancels the body, is not swallowed; alone or in a group, it leaves the block."""

    async def main() -> None:
        async def child() -> None:
            try:
                await for_ever()
            finally:
                raise KeyError("clean-up")

        with pytest.raises(KeyError):
            async with tracker.execution(**WHO, timeout=25.0):
                pass_limit(tracker, clock)
                await child()
        with pytest.raises(ExceptionGroup) as left_by:
            async with tracker.execution(**WHO, timeout=25.0), anyio.create_task_group() as group:
                group.start_soon(child)
                await anyio.wait_all_tasks_blocked()
                pass_limit(tracker, clock)
                await for_ever()
        assert [type(error) for error in left_by.value.exceptions] == [KeyError]

    run(main)


def test_agents(tracker: ExecutionTracker, clock: FakeClock, run: Callable[[Main], object]) -> None:
    """Async agents give their outcome under any library: the result, the exception, or the limit that stopped them."""

    @tracker.agent("airline", timeout=25.0)
    async def airline(message: str) -> str:
        await anyio.lowlevel.checkpoint()
        if message == "fail":
            raise KeyError(message)
        if message == "hang":
            pass_limit(tracker, clock)
            await for_ever()
        return message.upper()

    async def main() -> list[str]:
        ask = airline.bind(thread_id="t-1", user_id="u-1")
        return [type(await ask(message)).__name__ for message in ("hello", "fail", "hang")]

    assert run(main) == ["Completed", "Failed", "TimedOut"]


def test_trio_as_a_guest_of_asyncio(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """In a trio run inside an asyncio loop a block is trio's: its limit cancels the body through a cancel scope."""
    import asyncio

    async def main() -> str:
        with pytest.raises(ExecutionTimeoutError):
            async with tracker.execution(**WHO, timeout=25.0):
                pass_limit(tracker, clock)
                await trio.sleep_forever()
        return "guest"

    async def host() -> str:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        trio.lowlevel.start_guest_run(
            main,
            run_sync_soon_threadsafe=asyncio.get_running_loop().call_soon_threadsafe,
            done_callback=done.set_result,
        )
        return str((await done).unwrap())

    assert asyncio.run(host()) == "guest"
