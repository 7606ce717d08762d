"""`wait` and `await_outcome`: they always end, with the outcome, or with an error that says why there is none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runstate import (
    Cancelled,
    Cause,
    Completed,
    Died,
    Execution,
    ExecutionState,
    ExecutionTracker,
    Failed,
    FencedError,
    InvalidValueError,
    JournalUnavailableError,
    NotOwnerError,
    Outcome,
    StateTypeError,
    TimedOut,
    UnknownExecutionError,
    WaitTimeoutError,
)

from .clock import FakeClock
from .gated import WHO, GatedJournal, bury, stored
from .stores import Store

ENDS: dict[str, tuple[Callable[[Execution[Any]], object], type, Cause]] = {
    "complete": (lambda run: run.complete([0]), Completed, Cause.RETURNED),
    "fail": (lambda run: run.fail(ValueError("boom")), Failed, Cause.RAISED),
    "time_out": (lambda run: run.time_out("slow"), TimedOut, Cause.REPORTED),
    "die": (lambda run: run.die(Cause.PROCESS_EXITED), Died, Cause.PROCESS_EXITED),
    "cancel": (lambda run: run.cancel("left"), Cancelled, Cause.CANCELLED_BY_CALLER),
}


@pytest.fixture(params=["wait", "await_outcome"])
def wait(request: pytest.FixtureRequest) -> Callable[..., Outcome[Any]]:
    """Both ways to wait, each as a plain function of tracker, id and timeout."""

    def blocking(tracker: ExecutionTracker, execution_id: str, timeout: float) -> Outcome[Any]:
        return tracker.wait(execution_id, timeout=timeout)

    def awaiting(tracker: ExecutionTracker, execution_id: str, timeout: float) -> Outcome[Any]:
        return asyncio.run(tracker.await_outcome(execution_id, timeout=timeout))

    return blocking if request.param == "wait" else awaiting


@pytest.fixture
def others(store: Store) -> Iterator[ExecutionTracker]:
    """Another tracker on the same store, as another process has it."""
    with ExecutionTracker(store.journal()) as tracker:
        yield tracker


def check(outcome: Outcome[Any], kind: type, cause: Cause, execution_id: str) -> None:
    """Compare an outcome with how the execution was ended."""
    assert type(outcome) is kind
    assert outcome.execution_id == execution_id
    if isinstance(outcome, Completed):
        assert outcome.result == [0]
    else:
        assert outcome.cause is cause
        assert outcome.evidence.observer == "owner"
        assert outcome.error == {Failed: "ValueError: boom", TimedOut: "slow", Died: "", Cancelled: "left"}[kind]


@pytest.mark.parametrize("end", ENDS)
def test_an_end_that_is_there(tracker: ExecutionTracker, wait: Callable[..., Outcome[Any]], end: str) -> None:
    """Waiting for an execution that has ended returns at once with its outcome, of each kind."""
    finish, kind, cause = ENDS[end]
    run = tracker.create(**WHO).run()
    finish(run)
    check(wait(tracker, run.execution_id, 30.0), kind, cause, run.execution_id)


@pytest.mark.parametrize("end", ENDS)
def test_an_end_that_comes(
    store: Store, tracker: ExecutionTracker, wait: Callable[..., Outcome[Any]], end: str
) -> None:
    """Waiting for a live execution returns when another thread ends it, and what it returns is durable."""
    finish, kind, cause = ENDS[end]
    run = tracker.create(**WHO).run()
    timer = threading.Timer(0.01, finish, [run])
    timer.start()
    check(wait(tracker, run.execution_id, 30.0), kind, cause, run.execution_id)
    assert stored(store, run.execution_id).is_terminal
    timer.join()


@pytest.mark.parametrize("end", ENDS)
def test_a_foreign_execution(
    tracker: ExecutionTracker, others: ExecutionTracker, wait: Callable[..., Outcome[Any]], end: str
) -> None:
    """The end of an execution that another process owns is seen through the store."""
    finish, kind, cause = ENDS[end]
    run = others.create(**WHO).run()
    others.flush()
    assert tracker.get(run.execution_id).state is ExecutionState.RUNNING
    timer = threading.Timer(0.01, lambda: (finish(run), others.flush()))
    timer.start()
    check(wait(tracker, run.execution_id, 30.0), kind, cause, run.execution_id)
    timer.join()


def test_a_foreign_execution_cannot_be_moved(tracker: ExecutionTracker, others: ExecutionTracker) -> None:
    """Moves and handles of a live execution that another process owns are `NotOwnerError`, and nothing changes."""
    run = others.create(**WHO).run()
    others.flush()
    for state in (ExecutionState.COMPLETING, ExecutionState.COMPLETED, ExecutionState.CANCELLED):
        with pytest.raises(NotOwnerError) as refused:
            tracker.update_execution_state(run.execution_id, state)
        assert refused.value.owner == run.record.incarnation
    with pytest.raises(NotOwnerError):
        tracker.handle(run.execution_id)
    assert tracker.get(run.execution_id) == run.record
    run.complete()


def test_waiting_ends_at_its_own_limit(
    tracker: ExecutionTracker, others: ExecutionTracker, wait: Callable[..., Outcome[Any]]
) -> None:
    """Without an end in time, own execution or foreign, waiting raises `WaitTimeoutError`, and the execution goes on."""
    foreign = others.create(**WHO).run()
    others.flush()
    for run in (tracker.create(**WHO).run(), foreign):
        with pytest.raises(WaitTimeoutError) as ended:
            wait(tracker, run.execution_id, 0.01)
        assert isinstance(ended.value, TimeoutError)
        assert ended.value.timeout == 0.01
        assert run.state is ExecutionState.RUNNING
        run.complete()


def test_an_unknown_id(tracker: ExecutionTracker, wait: Callable[..., Outcome[Any]]) -> None:
    """Waiting for an id that no execution has raises at once."""
    with pytest.raises(UnknownExecutionError) as refused:
        wait(tracker, "no-such-execution", 30.0)
    assert refused.value.execution_id == "no-such-execution"


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), float("inf")])
def test_a_limit_that_cannot_be(tracker: ExecutionTracker, wait: Callable[..., Outcome[Any]], timeout: float) -> None:
    """A wait without a proper limit is refused: every wait ends."""
    run = tracker.create(**WHO)
    with pytest.raises(InvalidValueError):
        wait(tracker, run.execution_id, timeout)
    with pytest.raises(StateTypeError):
        wait(tracker, run.execution_id, None)


def test_a_limit_passing_is_an_end(
    tracker: ExecutionTracker, clock: FakeClock, wait: Callable[..., Outcome[Any]]
) -> None:
    """A deadline that passes while somebody waits wakes the waiter with `TimedOut`."""
    run = tracker.create(**WHO, timeout=25.0).run()

    def pass_limit() -> None:
        clock.advance(26.0)
        tracker.sweep()

    timer = threading.Timer(0.01, pass_limit)
    timer.start()
    outcome = wait(tracker, run.execution_id, 30.0)
    assert isinstance(outcome, TimedOut)
    assert outcome.cause is Cause.DEADLINE
    timer.join()


def test_closing_the_tracker_wakes_waiters(store: Store, wait: Callable[..., Outcome[Any]]) -> None:
    """`close` ends what is waited for as CANCELLED (SHUTDOWN), and the waiter gets that outcome."""
    tracker = ExecutionTracker(store.journal())
    run = tracker.create(**WHO).run()
    timer = threading.Timer(0.01, tracker.close)
    timer.start()
    outcome = wait(tracker, run.execution_id, 30.0)
    assert isinstance(outcome, Cancelled)
    assert outcome.cause is Cause.SHUTDOWN
    timer.join()


def test_an_execution_lost_to_another_writer(
    store: Store, tracker: ExecutionTracker, wait: Callable[..., Outcome[Any]]
) -> None:
    """When another writer has ended the execution, whoever waits for it gets the end that is stored."""
    run = tracker.create(**WHO).run()
    tracker.flush()
    bury(store, run.record)

    def move() -> None:
        run.finish()
        with pytest.raises(FencedError) as told:
            tracker.flush()
        assert told.value.execution_id == run.execution_id

    timer = threading.Timer(0.01, move)
    timer.start()
    for _ in range(2):
        outcome = wait(tracker, run.execution_id, 30.0)
        assert isinstance(outcome, Died)
        assert (outcome.cause, outcome.evidence.observer) == (Cause.LEASE_EXPIRED, "another worker")
    timer.join()


def test_a_failing_journal_is_told_to_the_waiter(store: Store, wait: Callable[..., Outcome[Any]]) -> None:
    """An end that cannot be written is no outcome yet: the waiter gets the journal's error, and the outcome later."""
    journal = GatedJournal(store.journal())
    with ExecutionTracker(journal) as tracker:
        run = tracker.create(**WHO).run()
        tracker.flush()
        journal.failure = JournalUnavailableError("database is locked")
        run.complete([0])
        with pytest.raises(JournalUnavailableError):
            wait(tracker, run.execution_id, 30.0)
        journal.failure = None
        assert isinstance(wait(tracker, run.execution_id, 30.0), Completed)


def test_many_wait_for_many(tracker: ExecutionTracker) -> None:
    """A hundred coroutines that wait for a hundred executions each get their own outcome."""

    async def main() -> list[Outcome[Any]]:
        runs = [tracker.create(**WHO).run() for _ in range(100)]
        waiting = [asyncio.create_task(tracker.await_outcome(run.execution_id, timeout=60.0)) for run in runs]
        await asyncio.sleep(0)
        for number, run in enumerate(runs):
            run.complete(number)
        return await asyncio.gather(*waiting)

    assert [outcome.result for outcome in asyncio.run(main())] == list(range(100))


def test_a_cancelled_waiter_is_cancelled(tracker: ExecutionTracker) -> None:
    """Cancelling a task that waits cancels the task and nothing else."""

    async def main() -> None:
        run = tracker.create(**WHO).run()
        waiting = asyncio.create_task(tracker.await_outcome(run.execution_id, timeout=60.0))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        assert run.state is ExecutionState.RUNNING
        run.complete()

    asyncio.run(main())


def test_waiting_ends_at_its_limit_while_the_journal_hangs(store: Store, wait: Callable[..., Outcome[Any]]) -> None:
    """Where an end cannot become durable, waiting for it ends at its own limit and says what is missing."""
    journal = GatedJournal(store.journal())
    with ExecutionTracker(journal) as tracker:
        run = tracker.create(**WHO).run()
        tracker.flush()
        journal.shut()
        try:
            run.complete("done")
            with pytest.raises(WaitTimeoutError, match=f"the end of execution {run.execution_id} is not durable"):
                wait(tracker, run.execution_id, 0.05)
        finally:
            journal.open()
        assert isinstance(wait(tracker, run.execution_id, 30.0), Completed)
