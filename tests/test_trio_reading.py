"""Waiting, following, flushing and closing on trio, and on anyio over both libraries, as on asyncio."""

# ruff: noqa: ASYNC110, PERF401 - an event of a thread cannot be awaited, and what was seen is looked at meanwhile
from __future__ import annotations

import threading
from collections.abc import Callable

import anyio
import anyio.lowlevel
import pytest

from runstate import Event, ExecutionState, ExecutionTracker, JournalUnavailableError, WaitTimeoutError
from runstate.journal.memory import MemoryJournal

from .gated import WHO, GatedJournal, stored
from .libraries import RUN, Main
from .stores import Store


@pytest.fixture(params=RUN)
def run(request: pytest.FixtureRequest) -> Callable[[Main], object]:
    """Run a main function under each library in turn."""
    return RUN[request.param]


@pytest.mark.parametrize("by", ["a task", "a thread"])
def test_an_outcome_is_awaited(store: Store, run: Callable[[Main], object], by: str) -> None:
    """Who awaits an outcome lets the loop turn, and is told when somebody has ended the execution."""

    async def main() -> str:
        running = tracker.create(**WHO).run()

        async def end() -> None:
            running.complete("done")

        async with anyio.create_task_group() as group:
            if by == "a task":
                group.start_soon(end)
            else:
                threading.Thread(target=running.complete, args=("done",)).start()
            outcome = await tracker.await_outcome(running.execution_id, timeout=60.0)
        assert type(outcome).__name__ == "Completed"
        again = await tracker.await_outcome(running.execution_id, timeout=60.0)
        return type(again).__name__

    with ExecutionTracker(store.journal()) as tracker:
        assert run(main) == "Completed"


def test_waiting_ends_in_its_time(tracker: ExecutionTracker, run: Callable[[Main], object]) -> None:
    """What does not end in time is a WaitTimeoutError; the execution goes on, and nobody is left waiting for it."""

    async def main() -> None:
        running = tracker.create(**WHO).run()
        with pytest.raises(WaitTimeoutError):
            await tracker.await_outcome(running.execution_id, timeout=0.01)
        assert running.state is ExecutionState.RUNNING
        assert running._live.watchers == []
        running.complete()

    run(main)


def test_a_cancelled_wait_is_taken_back(tracker: ExecutionTracker, run: Callable[[Main], object]) -> None:
    """Who is cancelled while waiting leaves at once and leaves nothing behind."""

    async def main() -> None:
        running = tracker.create(**WHO).run()
        with anyio.move_on_after(0.01) as scope:
            await tracker.await_outcome(running.execution_id, timeout=60.0)
        assert scope.cancelled_caught
        assert running._live.watchers == []
        running.complete()

    run(main)


def test_events_are_followed(store: Store, run: Callable[[Main], object]) -> None:
    """`async for` replays what is there, follows what comes while the loop turns, and ends when the tracker is closed."""

    async def main() -> list[Event]:
        seen: list[Event] = []
        async with ExecutionTracker(store.journal()) as tracker, anyio.create_task_group() as group:
            tracker.create(**WHO).run().complete()
            await tracker.aflush()

            async def follow() -> None:
                async for event in tracker.subscribe():
                    seen.append(event)

            group.start_soon(follow)
            while len(seen) < 3:
                await anyio.sleep(0.001)
            tracker.create(**WHO).run().complete()
            while len(seen) < 6:
                await anyio.sleep(0.001)
            await anyio.to_thread.run_sync(tracker.close)
        return seen

    seen = run(main)
    assert isinstance(seen, list)
    assert [event.entry.seq for event in seen] == [1, 2, 3, 1, 2, 3]


def test_flushing_lets_the_loop_turn(store: Store, run: Callable[[Main], object]) -> None:
    """`aflush` returns when all is durable; only another task of the loop opens the gate that it waits for."""
    journal = GatedJournal(store.journal())

    async def main() -> str:
        async def open_gate() -> None:
            while not journal.reached.is_set():
                await anyio.sleep(0.001)
            journal.open()

        journal.shut()
        running = tracker.create(**WHO).run()
        async with anyio.create_task_group() as group:
            group.start_soon(open_gate)
            await tracker.aflush()
        return running.execution_id

    with ExecutionTracker(journal) as tracker:
        assert stored(store, str(run(main))).state is ExecutionState.RUNNING


def test_a_flush_that_fails_says_so(run: Callable[[Main], object]) -> None:
    """`aflush` raises what the journal says."""
    journal = GatedJournal(MemoryJournal())

    async def main() -> None:
        tracker.create(**WHO)
        with pytest.raises(JournalUnavailableError):
            await tracker.aflush()

    with ExecutionTracker(journal) as tracker:
        journal.failure = JournalUnavailableError("database is locked")
        run(main)
        journal.failure = None


def test_a_cancelled_tracker_block_closes_all_the_same(store: Store, run: Callable[[Main], object]) -> None:
    """`async with tracker` that is left by a cancellation has closed the tracker, and delivers the cancellation."""

    async def main() -> None:
        with anyio.CancelScope() as scope:
            async with ExecutionTracker(store.journal()) as tracker:
                running = tracker.create(**WHO).run()
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert stored(store, running.execution_id).state is ExecutionState.CANCELLED

    run(main)
