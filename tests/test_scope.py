"""However a tracked block is left, its execution has exactly one end, it is the right one, and it is durable."""

# ruff: noqa: PT012 - what is proven here is what leaves a whole block
from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from runstate import (
    Cause,
    Execution,
    ExecutionState,
    ExecutionTracker,
    FencedError,
    NoExecutionError,
    NoOutcomeError,
    Phase,
    current,
)

from .gated import WHO, stored
from .stores import Store


class _HomemadeExit(BaseException):
    """Neither an error nor anything that Python knows."""


class Row(NamedTuple):
    """One way to leave a block, and what the table in `_scope` says of it."""

    name: str
    body: Callable[[Execution[Any]], object]
    state: ExecutionState
    cause: Cause
    leaves: type[BaseException] | None
    error: str | None


def _raise(error: BaseException) -> Callable[[Execution[Any]], object]:
    def body(run: Execution[Any]) -> None:
        raise error

    return body


ROWS = (
    Row("complete", lambda run: run.complete([0]), ExecutionState.COMPLETED, Cause.RETURNED, None, None),
    Row(
        "finish, then complete",
        lambda run: run.finish().complete([0]),
        ExecutionState.COMPLETED,
        Cause.RETURNED,
        None,
        None,
    ),
    Row("fail", lambda run: run.fail("said so"), ExecutionState.FAILED, Cause.REPORTED, None, "said so"),
    Row("time_out", lambda run: run.time_out("said so"), ExecutionState.TIMEOUT, Cause.REPORTED, None, "said so"),
    Row(
        "cancel",
        lambda run: run.cancel("said so"),
        ExecutionState.CANCELLED,
        Cause.CANCELLED_BY_CALLER,
        None,
        "said so",
    ),
    Row("die", lambda run: run.die(), ExecutionState.DEAD, Cause.REPORTED, None, None),
    Row(
        "an exception",
        _raise(ValueError("boom")),
        ExecutionState.FAILED,
        Cause.RAISED,
        ValueError,
        "ValueError: boom",
    ),
    Row(
        "a TimeoutError of its own",
        _raise(TimeoutError("the tool")),
        ExecutionState.FAILED,
        Cause.RAISED,
        TimeoutError,
        "TimeoutError: the tool",
    ),
    Row(
        "StopIteration",
        _raise(StopIteration(3)),
        ExecutionState.FAILED,
        Cause.RAISED,
        StopIteration,
        "StopIteration: 3",
    ),
    Row(
        "CancelledError",
        _raise(asyncio.CancelledError()),
        ExecutionState.CANCELLED,
        Cause.CANCELLED_BY_CALLER,
        asyncio.CancelledError,
        "CancelledError: ",
    ),
    Row(
        "KeyboardInterrupt",
        _raise(KeyboardInterrupt()),
        ExecutionState.CANCELLED,
        Cause.CANCELLED_BY_CALLER,
        KeyboardInterrupt,
        "KeyboardInterrupt: ",
    ),
    Row(
        "GeneratorExit",
        _raise(GeneratorExit()),
        ExecutionState.CANCELLED,
        Cause.CANCELLED_BY_CALLER,
        GeneratorExit,
        "GeneratorExit: ",
    ),
    Row(
        "another BaseException",
        _raise(_HomemadeExit("out")),
        ExecutionState.CANCELLED,
        Cause.CANCELLED_BY_CALLER,
        _HomemadeExit,
        "_HomemadeExit: out",
    ),
    Row("SystemExit", _raise(SystemExit(3)), ExecutionState.CANCELLED, Cause.SHUTDOWN, SystemExit, "SystemExit: 3"),
    Row(
        "nothing",
        lambda run: None,
        ExecutionState.FAILED,
        Cause.NO_OUTCOME,
        NoOutcomeError,
        "the block ended without an outcome",
    ),
    Row(
        "only finish",
        lambda run: run.finish(),
        ExecutionState.FAILED,
        Cause.NO_OUTCOME,
        NoOutcomeError,
        "the block ended without an outcome",
    ),
)


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> str:
    """Whether the block is `with` or `async with`."""
    return str(request.param)


def run_block(
    colour: str, tracker: ExecutionTracker, body: Callable[[Execution[Any]], object], after: Callable[[], None]
) -> BaseException | None:
    """Run *body* in a tracked block, call *after* right behind it, and return what left the block."""
    if colour == "sync":
        try:
            with tracker.execution(**WHO) as run:
                body(run)
        except BaseException as error:
            after()
            return error
        after()
        return None

    async def main() -> BaseException | None:
        try:
            async with tracker.execution(**WHO) as run:
                await asyncio.sleep(0)
                body(run)
        except BaseException as error:
            after()
            return error
        after()
        return None

    return asyncio.run(main())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_table(store: Store, tracker: ExecutionTracker, colour: str, row: Row) -> None:
    """Each way to leave a block ends the execution as the table says, stored before the next statement runs."""
    runs: list[Execution[Any]] = []
    after: list[Any] = []

    def body(run: Execution[Any]) -> None:
        runs.append(run)
        row.body(run)

    left_by = run_block(colour, tracker, body, lambda: after.append(stored(store, runs[0].execution_id)))
    (record,) = after
    assert (record.state, record.cause, record.error) == (row.state, row.cause, row.error)
    assert record.evidence.observer == "owner"
    assert record.result == ([0] if row.state is ExecutionState.COMPLETED else None)
    assert type(left_by) is row.leaves if row.leaves is not None else left_by is None
    assert tracker.get(record.execution_id) == record
    assert tracker.statistics().live == 0


@pytest.mark.parametrize("row", [row for row in ROWS if row.cause is Cause.RAISED], ids=lambda row: row.name)
def test_exceptions_leave_unchanged(tracker: ExecutionTracker, colour: str, row: Row) -> None:
    """The exception that leaves the block is the object that was raised, with no note, cause or context added."""
    raised: list[BaseException] = []

    def body(run: Execution[Any]) -> None:
        try:
            row.body(run)
        except BaseException as error:
            raised.append(error)
            raise

    left_by = run_block(colour, tracker, body, lambda: None)
    assert left_by is raised[0]
    assert not hasattr(left_by, "__notes__")
    assert (left_by.__cause__, left_by.__context__, left_by.__suppress_context__) == (None, None, False)


def test_no_outcome_says_which_execution(tracker: ExecutionTracker, colour: str) -> None:
    """`NoOutcomeError` names the execution that was left without an outcome."""
    ids: list[str] = []
    left_by = run_block(colour, tracker, lambda run: ids.append(run.execution_id), lambda: None)
    assert isinstance(left_by, NoOutcomeError)
    assert left_by.execution_id == ids[0]


def test_creation_is_durable_inside(store: Store, tracker: ExecutionTracker, colour: str) -> None:
    """Inside the block the store already holds the execution, RUNNING, with everything it was created with."""
    seen: list[Any] = []

    def body(run: Execution[Any]) -> None:
        seen.append(stored(store, run.execution_id))
        run.complete()

    assert run_block(colour, tracker, body, lambda: None) is None
    (record,) = seen
    assert record.state is ExecutionState.RUNNING
    assert (record.agent, record.thread_id, record.user_id) == ("airline", "t-1", "u-1")


def test_an_end_inside_is_kept_when_the_body_raises(store: Store, tracker: ExecutionTracker, colour: str) -> None:
    """A body that completes and then raises stays COMPLETED, and its exception still leaves the block."""
    ids: list[str] = []

    def body(run: Execution[Any]) -> None:
        ids.append(run.execution_id)
        run.complete("the answer")
        raise ValueError("afterwards")

    left_by = run_block(colour, tracker, body, lambda: None)
    assert isinstance(left_by, ValueError)
    record = stored(store, ids[0])
    assert (record.state, record.result) == (ExecutionState.COMPLETED, "the answer")


def test_late_calls_change_nothing(store: Store, tracker: ExecutionTracker, colour: str) -> None:
    """After the end a phase and a beat raise `FencedError` and leave record and log as they were."""
    runs: list[Execution[Any]] = []

    def body(run: Execution[Any]) -> None:
        runs.append(run)
        run.phase(Phase.THINKING)
        run.heartbeat()
        run.complete()

    assert run_block(colour, tracker, body, lambda: None) is None
    run = runs[0]
    before = (run.record, tracker.timeline(run.execution_id), tracker.statistics().written)
    with pytest.raises(FencedError) as refused:
        run.phase(Phase.TOOL_EXECUTION, "too late")
    assert (refused.value.state, refused.value.cause) == (ExecutionState.COMPLETED, Cause.RETURNED)
    with pytest.raises(FencedError):
        run.heartbeat()
    tracker.flush()
    assert (run.record, tracker.timeline(run.execution_id), tracker.statistics().written) == before
    assert stored(store, run.execution_id) == run.record


def test_a_block_enters_once(tracker: ExecutionTracker) -> None:
    """Entering the same block again raises and creates nothing."""
    block = tracker.execution(**WHO)
    with block as run:
        run.complete()
    with pytest.raises(RuntimeError, match="entered before"), block:
        pytest.fail("the body must not run")

    async def again() -> None:
        with pytest.raises(RuntimeError, match="entered before"):
            await block.__aenter__()

    asyncio.run(again())
    assert tracker.statistics().created == 1


def test_a_block_that_was_not_entered_cannot_be_left(tracker: ExecutionTracker) -> None:
    """Leaving a block that was never entered raises and creates nothing."""
    with pytest.raises(RuntimeError, match="never entered"):
        tracker.execution(**WHO).__exit__(None, None, None)
    assert tracker.statistics().created == 0


def test_a_block_that_is_not_entered_creates_nothing(tracker: ExecutionTracker) -> None:
    """Asking for a block registers nothing until it is entered."""
    tracker.execution(**WHO)
    assert tracker.statistics().created == 0


def test_nested_blocks_are_two_executions(store: Store, tracker: ExecutionTracker) -> None:
    """A block inside a block is an execution of its own, and `current` follows in and out."""
    with pytest.raises(NoExecutionError):
        current()
    with tracker.execution(**WHO) as outer:
        assert current() is outer
        with pytest.raises(ValueError, match="inner"), tracker.execution(**{**WHO, "agent": "tool"}) as inner:
            assert current() is inner
            raise ValueError("inner")
        assert current() is outer
        outer.complete()
    with pytest.raises(NoExecutionError):
        current()
    assert stored(store, inner.execution_id).state is ExecutionState.FAILED
    assert stored(store, outer.execution_id).state is ExecutionState.COMPLETED


def test_current_is_inherited_by_tasks_and_to_thread(tracker: ExecutionTracker) -> None:
    """Tasks and `asyncio.to_thread` see the execution they were started in; two tasks' own blocks do not mix."""

    async def child(name: str, ready: asyncio.Event, go: asyncio.Event) -> tuple[str, str]:
        async with tracker.execution(**{**WHO, "agent": name}) as run:
            ready.set()
            await go.wait()
            seen = current().agent
            run.complete()
        return seen, current().agent

    async def main() -> None:
        async with tracker.execution(**WHO) as run:
            assert await asyncio.to_thread(current) is run
            ready, go = [asyncio.Event(), asyncio.Event()], asyncio.Event()
            tasks = [asyncio.create_task(child(f"child-{n}", ready[n], go)) for n in range(2)]
            for event in ready:
                await event.wait()
            assert current() is run
            go.set()
            assert await asyncio.gather(*tasks) == [("child-0", "airline"), ("child-1", "airline")]
            run.complete()

    asyncio.run(main())


def test_current_is_not_inherited_by_a_bare_thread(tracker: ExecutionTracker) -> None:
    """A thread that copies no context runs outside of any execution."""
    seen: list[BaseException] = []

    def look() -> None:
        try:
            current()
        except NoExecutionError as error:
            seen.append(error)

    with tracker.execution(**WHO) as run:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        run.complete()
    assert len(seen) == 1


def test_an_async_block_needs_no_asyncio(store: Store, tracker: ExecutionTracker) -> None:
    """Driven by hand, without an event loop, an async block tracks and is durable all the same."""

    async def main() -> str:
        async with tracker.execution(**WHO) as run:
            run.complete("by hand")
        return run.execution_id

    with pytest.raises(StopIteration) as finished:
        main().send(None)
    assert stored(store, finished.value.value).result == "by hand"
