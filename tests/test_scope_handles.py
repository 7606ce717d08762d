"""Async blocks whose execution is ended through a handle: by the body itself, or by somebody else, who stops the body."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from runstate import (
    Cancelled,
    Cause,
    Completed,
    Execution,
    ExecutionState,
    ExecutionTimeoutError,
    ExecutionTracker,
    FencedError,
    current,
)

from .gated import WHO, GatedJournal, stored, until_reached
from .stores import Store

WHOSE = {"thread_id": "t-1", "user_id": "u-1"}

ENDS: dict[str, tuple[Callable[[Execution[Any]], object], ExecutionState, Cause]] = {
    "cancel": (lambda run: run.cancel("stop"), ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER),
    "fail": (lambda run: run.fail("stop"), ExecutionState.FAILED, Cause.REPORTED),
    "time_out": (lambda run: run.time_out("stop"), ExecutionState.TIMEOUT, Cause.REPORTED),
    "die": (lambda run: run.die(), ExecutionState.DEAD, Cause.REPORTED),
    "complete": (lambda run: run.complete("done elsewhere"), ExecutionState.COMPLETED, Cause.RETURNED),
}

Elsewhere = Callable[[Callable[[], object]], Awaitable[object]]


async def in_this_task(end: Callable[[], object]) -> None:
    """Make the end in the task that started the body's."""
    end()


async def in_a_thread(end: Callable[[], object]) -> None:
    """Make the end in a thread of its own, which inherits nothing."""
    thread = threading.Thread(target=end)
    thread.start()
    await asyncio.to_thread(thread.join)


ELSEWHERE: tuple[Elsewhere, ...] = (in_this_task, in_a_thread, asyncio.to_thread)


async def for_ever() -> None:
    """Wait for what never comes; returns only by cancellation."""
    await asyncio.Event().wait()


class Body:
    """A task in a tracked block that waits for ever, and what became of it."""

    def __init__(self, tracker: ExecutionTracker) -> None:
        self._tracker = tracker
        self._inside: asyncio.Future[Execution[Any]] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._work())
        self.was_cancelled = False
        self.cancellations_left = -1

    async def _work(self) -> None:
        try:
            async with self._tracker.execution(**WHO) as run:
                self._inside.set_result(run)
                try:
                    await for_ever()
                except asyncio.CancelledError:
                    self.was_cancelled = True
                    raise
        finally:
            task = asyncio.current_task()
            assert task is not None
            self.cancellations_left = task.cancelling()

    async def inside(self) -> Execution[Any]:
        """Wait until the body runs; gives its own handle."""
        return await self._inside

    async def left_by(self) -> BaseException | None:
        """Wait until the task is over; gives what left it."""
        await asyncio.wait([self.task])
        return self.task.exception()


@pytest.mark.parametrize("elsewhere", ELSEWHERE, ids=lambda elsewhere: elsewhere.__name__)
@pytest.mark.parametrize("end", ENDS)
def test_an_end_by_somebody_else_stops_the_body(
    store: Store, tracker: ExecutionTracker, end: str, elsewhere: Elsewhere
) -> None:
    """A handle that another task or thread got by id stops the body, and the block says who, when and why."""
    declare, state, cause = ENDS[end]

    async def main() -> None:
        body = Body(tracker)
        run = await body.inside()
        handle = tracker.handle(run.execution_id)
        await elsewhere(lambda: declare(handle))
        left_by = await body.left_by()
        assert type(left_by) is (ExecutionTimeoutError if end == "time_out" else FencedError)
        assert isinstance(left_by, FencedError)
        assert (left_by.execution_id, left_by.state, left_by.cause) == (run.execution_id, state, cause)
        assert left_by.observer == "owner"
        assert body.was_cancelled
        assert body.cancellations_left == 0
        record = stored(store, run.execution_id)
        assert (record.state, record.updated_at_ns) == (state, left_by.ended_at_ns)

    asyncio.run(main())


def test_the_bodys_own_handle_in_other_hands_stops_it_too(tracker: ExecutionTracker) -> None:
    """What counts is who makes the end, not which handle: the body's own one, used by another task, stops the body."""

    async def main() -> None:
        body = Body(tracker)
        (await body.inside()).cancel("the user left")
        assert isinstance(await body.left_by(), FencedError)
        assert body.was_cancelled

    asyncio.run(main())


def test_an_agent_that_is_stopped_by_a_handle(tracker: ExecutionTracker) -> None:
    """The outcome of an agent that somebody else cancels through a handle is `Cancelled`, and the agent stops."""
    went_on: list[str] = []

    @tracker.agent("airline")
    async def agent(inside: asyncio.Future[str]) -> str:
        inside.set_result(current().execution_id)
        await for_ever()
        went_on.append("past the end")
        return "too late"

    async def main() -> None:
        inside: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(agent.bind(**WHOSE)(inside))
        tracker.handle(await inside).cancel("the user left")
        outcome = await task
        assert isinstance(outcome, Cancelled)
        assert (outcome.error, outcome.cause) == ("the user left", Cause.CANCELLED_BY_CALLER)
        assert isinstance(outcome.exception, FencedError)

    asyncio.run(main())
    assert went_on == []


async def at_once(end: Callable[[], object]) -> None:
    """Make the end in the body itself."""
    end()


async def in_a_child(end: Callable[[], object]) -> None:
    """Make the end in a task that the body has started."""
    await asyncio.create_task(at_once(end))


async def in_an_inner_block(end: Callable[[], object]) -> None:
    """Make the end in a block inside the body."""
    async with inner_trackers[-1].execution(**{**WHO, "agent": "tool"}) as tool:
        end()
        tool.complete()


inner_trackers: list[ExecutionTracker] = []
WITHIN: tuple[Elsewhere, ...] = (at_once, in_a_child, asyncio.to_thread, in_an_inner_block)


@pytest.mark.parametrize("by", ["its own handle", "a handle by id"])
@pytest.mark.parametrize("within", WITHIN, ids=lambda within: within.__name__)
@pytest.mark.parametrize("end", ENDS)
def test_an_end_by_the_body_does_not_stop_it(
    store: Store, tracker: ExecutionTracker, end: str, within: Elsewhere, by: str
) -> None:
    """What runs in the block may end it, through any handle: the body goes on to its last line, and nothing is raised."""
    declare, state, _ = ENDS[end]
    inner_trackers[:] = [tracker]

    async def main() -> str:
        task = asyncio.current_task()
        assert task is not None
        async with tracker.execution(**WHO) as run:
            handle = run if by == "its own handle" else tracker.handle(run.execution_id).expect(ExecutionState.RUNNING)
            await within(lambda: declare(handle))
            for _ in range(3):
                await asyncio.sleep(0)
            went_on.append(run.execution_id)
        assert task.cancelling() == 0
        return run.execution_id

    went_on: list[str] = []
    execution_id = asyncio.run(main())
    assert went_on == [execution_id]
    assert stored(store, execution_id).state is state


def test_ends_meet_only_their_own_block(tracker: ExecutionTracker) -> None:
    """Ending an outer block from an inner one stops neither; ending a neighbour's from a block stops the neighbour."""

    async def main() -> None:
        neighbour = Body(tracker)
        other = await neighbour.inside()
        async with tracker.execution(**WHO) as outer, tracker.execution(**WHO) as inner:
            outer.complete("early")
            other.cancel()
            await asyncio.sleep(0)
            inner.complete("as well")
        assert isinstance(await neighbour.left_by(), FencedError)

    asyncio.run(main())


def test_ended_while_the_block_is_being_entered(store: Store) -> None:
    """An execution that somebody cancels before its body begins stops that body at its first await."""
    journal = GatedJournal(store.journal())
    with ExecutionTracker(journal) as tracker:

        async def main() -> None:
            journal.shut()
            body = Body(tracker)
            await until_reached(journal)
            (execution_id,) = tracker._decider.live
            tracker.handle(execution_id).cancel("too soon")
            journal.open()
            assert isinstance(await body.left_by(), FencedError)
            assert body.was_cancelled

        asyncio.run(main())


@pytest.mark.parametrize("end", ["complete", "fail"])
def test_a_stream_that_is_read_by_many_tasks(tracker: ExecutionTracker, end: str) -> None:
    """An async generator whose every step runs in another task, in a context of its own, may still end its own block."""

    async def stream() -> AsyncIterator[str]:
        async with tracker.execution(**WHO) as run:
            yield run.execution_id
            yield "more"
            ENDS[end][0](run)
            yield "the last"

    async def main() -> list[str]:
        words = stream()
        read: list[str] = []
        while True:
            try:
                read.append(await asyncio.create_task(anext(words)))
            except StopAsyncIteration:
                return read

    execution_id, *rest = asyncio.run(main())
    assert rest == ["more", "the last"]
    assert tracker.get(execution_id).state is ENDS[end][1]


def test_a_loop_that_is_closed_hears_of_no_end(tracker: ExecutionTracker) -> None:
    """Ending an execution whose block was abandoned with its loop does not fail for whoever ends it."""
    loop = asyncio.new_event_loop()
    scope = tracker.execution(**WHO)
    run = loop.run_until_complete(scope.__aenter__())
    loop.close()
    tracker.update_execution_state(run.execution_id, ExecutionState.CANCELLED)
    assert run.state is ExecutionState.CANCELLED


def test_a_completion_elsewhere_is_no_answer_of_the_agents(tracker: ExecutionTracker) -> None:
    """An agent that somebody else completes is stopped and the call raises: its outcome cannot hold a stranger's result."""

    @tracker.agent("airline")
    async def agent(inside: asyncio.Future[str]) -> str:
        inside.set_result(current().execution_id)
        await for_ever()
        return "too late"

    async def main() -> None:
        inside: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(agent.bind(**WHOSE)(inside))
        tracker.handle(await inside).expect(ExecutionState.RUNNING).complete("a stranger's")
        with pytest.raises(FencedError) as left_by:
            await task
        assert left_by.value.state is ExecutionState.COMPLETED

    asyncio.run(main())


def test_an_agent_completed_by_its_own_thread(tracker: ExecutionTracker) -> None:
    """Work that an agent sends to a thread may complete the execution there, and the agent goes on."""

    @tracker.agent("airline")
    async def agent() -> None:
        await asyncio.to_thread(lambda: current().complete("from a thread"))
        await asyncio.sleep(0)

    outcome = asyncio.run(agent.bind(**WHOSE)())
    assert isinstance(outcome, Completed)
    assert outcome.result == "from a thread"
