"""Blocks on a journal that fails, fills up or is written by somebody else meanwhile: nothing is lost, and nothing hidden."""

# ruff: noqa: PT012 - what is proven here is what leaves a whole block
from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from runstate import (
    Cause,
    Execution,
    ExecutionState,
    ExecutionTracker,
    FencedError,
    JournalFullError,
    JournalUnavailableError,
    Limits,
)

from .gated import WHO, GatedJournal, break_down, broken, bury, stored, until_reached
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


def test_a_journal_that_fails_at_the_entry_runs_no_body(
    store: Store, gated: ExecutionTracker, journal: GatedJournal
) -> None:
    """When the creation cannot be made durable the body does not run; once the journal works the execution has ended."""
    journal.failure = broken()
    with pytest.raises(JournalUnavailableError), gated.execution(**WHO):
        pytest.fail("the body must not run")

    async def main() -> None:
        async with gated.execution(**WHO):
            pytest.fail("the body must not run")

    with pytest.raises(JournalUnavailableError):
        asyncio.run(main())
    journal.failure = None
    gated.flush()
    assert gated.statistics().live == 0
    (record,) = gated.find()
    assert stored(store, record.execution_id).is_terminal


def test_a_buffer_that_is_full_at_the_entry_leaves_nothing_live(store: Store) -> None:
    """When the buffer takes the creation but not the first move, no execution stays PENDING for ever."""
    journal = GatedJournal(store.journal())
    with ExecutionTracker(journal, limits=Limits(pending_entries=2)) as tracker:
        first = tracker.create(**WHO)
        tracker.flush()
        journal.shut()
        first.start()
        assert journal.reached.wait(30)
        tracker.create(**WHO)
        with pytest.raises(JournalFullError), tracker.execution(**WHO):
            pytest.fail("the body must not run")
        journal.open()
        tracker.flush()
        assert tracker.statistics().live == 2


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_an_answer_that_cannot_be_recorded_is_still_the_callers(
    gated: ExecutionTracker, journal: GatedJournal, colour: str
) -> None:
    """When the journal breaks under a block, the body's `complete` refuses loudly and the answer stays in its hands."""
    answers: list[str] = []

    def work(run: Execution) -> None:
        answers.append("the answer")
        break_down(gated, journal)
        run.complete(answers[0])

    async def main() -> None:
        async with gated.execution(**WHO) as run:
            work(run)

    with pytest.raises(JournalUnavailableError):
        if colour == "async":
            asyncio.run(main())
        else:
            with gated.execution(**WHO) as run:
                work(run)
    assert answers == ["the answer"]


def test_an_end_that_the_journal_refused_is_not_lost(
    store: Store, gated: ExecutionTracker, journal: GatedJournal
) -> None:
    """The body's own exception leaves with a note on the journal, and FAILED is recorded once the journal works."""
    error = ValueError("boom")
    with pytest.raises(ValueError, match="boom") as left_by, gated.execution(**WHO) as run:
        break_down(gated, journal)
        raise error
    assert left_by.value is error
    assert any(run.execution_id in note and "disk is full" in note for note in error.__notes__)
    journal.failure = None
    gated.flush()
    record = stored(store, run.execution_id)
    assert (record.state, record.cause, record.error) == (ExecutionState.FAILED, Cause.RAISED, "ValueError: boom")


def test_an_end_that_could_not_be_made_durable_says_so(
    store: Store, gated: ExecutionTracker, journal: GatedJournal
) -> None:
    """When only the last write fails the block raises the journal's error; the end is kept and written later."""
    with pytest.raises(JournalUnavailableError), gated.execution(**WHO) as run:
        journal.failure = broken()
        run.complete("the answer")
    assert stored(store, run.execution_id).state is ExecutionState.RUNNING
    journal.failure = None
    gated.flush()
    assert stored(store, run.execution_id).result == "the answer"


def test_a_cancellation_while_leaving_does_not_hide_the_journals_failure(
    gated: ExecutionTracker, journal: GatedJournal
) -> None:
    """A task cancelled while its end fails to be written is cancelled, and the failure goes along as a note."""
    left_by: list[BaseException] = []

    async def work() -> None:
        try:
            async with gated.execution(**WHO) as run:
                journal.shut()
                run.complete("the answer")
        except BaseException as error:
            left_by.append(error)
            raise

    async def main() -> None:
        task = asyncio.create_task(work())
        await until_reached(journal)
        task.cancel()
        await asyncio.wait([task], timeout=0.01)
        journal.failure = broken()
        journal.open()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())
    assert isinstance(left_by[0], asyncio.CancelledError)
    told = [*getattr(left_by[0], "__notes__", ()), repr(left_by[0].__cause__), repr(left_by[0].__context__)]
    assert any("disk is full" in text for text in told)


def test_one_executions_conflict_is_not_anothers(store: Store, gated: ExecutionTracker, journal: GatedJournal) -> None:
    """A conflict about one execution is not raised from the block of another whose end shared its batch."""

    async def main() -> str:
        taken = gated.create(**WHO).run()
        async with gated.execution(**WHO) as run:
            bury(store, taken.record)
            journal.shut()
            gated.create(**WHO)
            await until_reached(journal)
            taken.finish()
            run.complete("the answer")
            asyncio.get_running_loop().call_soon(journal.open)  # runs when the exit waits for its barrier
        with pytest.raises(FencedError) as refused:
            taken.heartbeat()
        assert refused.value.execution_id == taken.execution_id
        return run.execution_id

    assert stored(store, asyncio.run(main())).result == "the answer"
