"""`flush` and `aflush`: the barrier between decided and durable."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from runstate import ExecutionState, ExecutionTracker, WaitTimeoutError

from .gated import WHO, GatedJournal, stored
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
        journal.open()


def test_a_bare_move_is_durable_after_flush(store: Store, gated: ExecutionTracker, journal: GatedJournal) -> None:
    """A bare handle's move is decided at once and in the store after `flush`, not before the store has it."""
    run = gated.create(**WHO).run()
    gated.flush()
    journal.shut()
    run.complete("the answer")
    assert run.state is ExecutionState.COMPLETED
    assert stored(store, run.execution_id).state is ExecutionState.RUNNING
    with pytest.raises(WaitTimeoutError):
        gated.flush(timeout=0.01)
    journal.open()
    gated.flush()
    assert stored(store, run.execution_id).result == "the answer"


@pytest.mark.parametrize("idle", [True, False], ids=["idle writer", "busy writer"])
def test_flush_ends_at_its_limit(gated: ExecutionTracker, journal: GatedJournal, idle: bool) -> None:
    """`flush(timeout=…)` ends by itself while the journal hangs, whoever of writer and caller does the writing."""
    gated.create(**WHO)
    gated.flush()
    ended: list[BaseException] = []
    journal.shut()
    run = gated.create(**WHO)
    if idle:
        run.cancel()
    else:
        assert journal.reached.wait(30)

    def flush() -> None:
        try:
            gated.flush(timeout=0.01)
        except WaitTimeoutError as error:
            ended.append(error)

    thread = threading.Thread(target=flush)
    thread.start()
    thread.join(10)
    stuck = thread.is_alive()
    journal.open()
    thread.join(30)
    assert not stuck
    assert len(ended) == 1


def test_aflush_does_not_block_the_loop(store: Store, gated: ExecutionTracker, journal: GatedJournal) -> None:
    """While `aflush` waits the event loop turns; when it returns everything decided before is stored."""

    async def main() -> str:
        run = gated.create(**WHO).run()
        journal.shut()
        run.complete("the answer")
        asyncio.get_running_loop().call_later(0.01, journal.open)  # runs only if the loop turns
        await gated.aflush()
        return run.execution_id

    assert stored(store, asyncio.run(main())).result == "the answer"


def test_a_cancelled_aflush_cancels_no_write(store: Store, gated: ExecutionTracker, journal: GatedJournal) -> None:
    """Cancelling who waits for durability does not keep anything from becoming durable."""

    async def main() -> str:
        run = gated.create(**WHO).run()
        journal.shut()
        run.complete("the answer")
        flushing = asyncio.create_task(gated.aflush())
        await asyncio.to_thread(journal.reached.wait, 30)
        flushing.cancel()
        await asyncio.wait([flushing])
        assert flushing.cancelled()
        journal.open()
        await gated.aflush()
        return run.execution_id

    assert stored(store, asyncio.run(main())).result == "the answer"
