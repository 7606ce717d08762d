"""Durability on trio, and on anyio over trio and over asyncio: waiting for it blocks no loop, and no cancellation cuts it short."""

# ruff: noqa: PT012, ASYNC110 - what is proven here is what leaves a whole block; an event of a thread cannot be awaited
from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from runstate import ExecutionState, ExecutionTracker, JournalUnavailableError
from runstate.journal.memory import MemoryJournal

from .clock import FakeClock
from .gated import WHO, GatedJournal, stored
from .libraries import RUN, Main
from .stores import Store


@pytest.fixture(params=RUN)
def run(request: pytest.FixtureRequest) -> Callable[[Main], object]:
    """Run a main function under each library in turn."""
    return RUN[request.param]


@pytest.fixture
def journal(store: Store) -> GatedJournal:
    """The store's journal behind a gate."""
    return GatedJournal(store.journal())


@pytest.mark.parametrize("at", ["the beginning", "the end"])
def test_durable_waits_let_the_loop_turn(
    store: Store, journal: GatedJournal, run: Callable[[Main], object], at: str
) -> None:
    """While creation or end waits for the disk, the loop turns: only another task of it opens the gate."""

    async def main() -> str:
        async def open_gate() -> None:
            while not journal.reached.is_set():
                await anyio.sleep(0.001)
            journal.open()

        async with anyio.create_task_group() as group:
            if at == "the beginning":
                journal.shut()
                group.start_soon(open_gate)
            async with tracker.execution(**WHO) as inside:
                if at == "the end":
                    journal.shut()
                    group.start_soon(open_gate)
                inside.complete()
        return inside.execution_id

    with ExecutionTracker(journal) as tracker:
        execution_id = str(run(main))
        assert stored(store, execution_id).state is ExecutionState.COMPLETED


def test_a_cancellation_while_the_end_is_written_is_delivered_afterwards(
    store: Store, journal: GatedJournal, run: Callable[[Main], object]
) -> None:
    """Who is cancelled while the end becomes durable waits for it all the same, and is cancelled then."""

    async def main() -> str:
        async def cancel_then_open() -> None:
            while not journal.reached.is_set():
                await anyio.sleep(0.001)
            scope.cancel()
            await anyio.sleep(0.01)
            waited.append(left == [])
            journal.open()

        waited: list[bool] = []
        left: list[bool] = []
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                try:
                    async with tracker.execution(**WHO) as inside:
                        journal.shut()
                        group.start_soon(cancel_then_open)
                        inside.complete("done")
                finally:
                    left.append(True)
                pytest.fail("the cancellation was swallowed")
            assert scope.cancelled_caught
        assert waited == [True]
        return inside.execution_id

    with ExecutionTracker(journal) as tracker:
        assert stored(store, str(run(main))).state is ExecutionState.COMPLETED


def test_an_end_that_cannot_be_written_is_said(clock: FakeClock, run: Callable[[Main], object]) -> None:
    """A journal that fails at the end raises its error from the block."""
    journal = GatedJournal(MemoryJournal())

    async def main() -> None:
        with pytest.raises(JournalUnavailableError):
            async with tracker.execution(**WHO) as inside:
                inside.complete()
                journal.failure = JournalUnavailableError("database is locked")

    with ExecutionTracker(journal, clock=clock) as tracker:
        run(main)
        journal.failure = None
