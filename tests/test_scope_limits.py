"""A block whose execution somebody else ends: its limits, another task, another thread, the tracker's own end.

Time moves by hand and `sweep` is called where the watching thread would wake, so nothing here sleeps.
"""

# ruff: noqa: PT012 - what is proven here is what leaves a whole block
from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from runstate import (
    Cause,
    Execution,
    ExecutionState,
    ExecutionTimeoutError,
    ExecutionTracker,
    FencedError,
    Phase,
    RunstateError,
)

from .clock import FakeClock
from .gated import WHO, GatedJournal, stored
from .stores import Store


def pass_limit(tracker: ExecutionTracker, clock: FakeClock, seconds: float = 26.0) -> None:
    """Let time pass and have the watch look once; exactly one execution ends of it."""
    clock.advance(seconds)
    assert tracker.sweep() == 1


async def for_ever() -> None:
    """Wait for what never comes; returns only by cancellation."""
    await asyncio.Event().wait()


def test_deadline_cancels_an_async_body(store: Store, tracker: ExecutionTracker, clock: FakeClock) -> None:
    """The body is cancelled, a TimeoutError leaves, the task is not left cancelled, and TIMEOUT is durable."""

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        with pytest.raises(TimeoutError) as left_by:
            async with tracker.execution(**WHO, timeout=25.0) as run:
                run.phase(Phase.TOOL_EXECUTION, "get_user_details")
                pass_limit(tracker, clock)
                await for_ever()
        assert type(left_by.value) is ExecutionTimeoutError
        assert (left_by.value.execution_id, left_by.value.cause) == (run.execution_id, Cause.DEADLINE)
        record = stored(store, run.execution_id)
        assert (record.state, record.cause) == (ExecutionState.TIMEOUT, Cause.DEADLINE)
        assert record.evidence is not None
        assert (record.evidence.observer, record.evidence.last_beat_age) == ("deadline watch", 26.0)
        assert (record.evidence.last_phase, record.evidence.last_phase_detail) == (
            Phase.TOOL_EXECUTION,
            "get_user_details",
        )
        assert task.cancelling() == 0
        await asyncio.sleep(0)

    asyncio.run(main())


def test_an_outer_timeout_still_works(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """An `asyncio.timeout` around a timed-out block is neither triggered nor disarmed by it."""

    async def main() -> None:
        async with asyncio.timeout(60) as outer:
            with pytest.raises(ExecutionTimeoutError):
                async with tracker.execution(**WHO, timeout=25.0):
                    pass_limit(tracker, clock)
                    await for_ever()
        assert not outer.expired()
        with pytest.raises(TimeoutError) as left_by:
            async with asyncio.timeout(None) as outer:
                with pytest.raises(ExecutionTimeoutError):
                    async with tracker.execution(**WHO, timeout=25.0):
                        pass_limit(tracker, clock)
                        await for_ever()
                outer.reschedule(0.0)
                await for_ever()
        assert not isinstance(left_by.value, RunstateError)
        assert outer.expired()

    asyncio.run(main())


def test_an_outer_timeout_inside_its_block_cancels_it(store: Store, tracker: ExecutionTracker) -> None:
    """When an outer `asyncio.timeout` expires it raises its own TimeoutError, and the execution is CANCELLED."""

    async def main() -> str:
        with pytest.raises(TimeoutError) as left_by:
            async with asyncio.timeout(None) as outer, tracker.execution(**WHO) as run:
                outer.reschedule(0.0)
                await for_ever()
        assert not isinstance(left_by.value, RunstateError)
        return run.execution_id

    record = stored(store, asyncio.run(main()))
    assert (record.state, record.cause) == (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER)


def test_a_task_group_gets_the_timeout_as_an_error(store: Store, tracker: ExecutionTracker, clock: FakeClock) -> None:
    """In a task group a timed-out block fails its task and cancels the sibling, whose execution is CANCELLED."""

    async def main() -> list[str]:
        ids: list[str] = []
        inside = asyncio.Event()

        async def sibling() -> None:
            async with tracker.execution(**WHO) as run:
                ids.append(run.execution_id)
                inside.set()
                await for_ever()

        async def slow() -> None:
            async with tracker.execution(**WHO, timeout=25.0) as run:
                ids.append(run.execution_id)
                await inside.wait()
                pass_limit(tracker, clock)
                await for_ever()

        with pytest.raises(ExceptionGroup) as group:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(sibling())
                tasks.create_task(slow())
        assert [type(error) for error in group.value.exceptions] == [ExecutionTimeoutError]
        return ids

    assert sorted(stored(store, one).state.name for one in asyncio.run(main())) == ["CANCELLED", "TIMEOUT"]


@pytest.mark.parametrize("then", ["leaves", "completes", "raises"])
def test_a_body_that_swallows_the_cancellation(
    store: Store, tracker: ExecutionTracker, clock: FakeClock, then: str
) -> None:
    """Swallowing the cancellation brings no answer through: TIMEOUT stays, the block raises, the task is clean."""

    async def main() -> str:
        task = asyncio.current_task()
        assert task is not None
        expected = ValueError if then == "raises" else ExecutionTimeoutError
        with pytest.raises(expected) as left_by:
            async with tracker.execution(**WHO, timeout=25.0) as run:
                pass_limit(tracker, clock)
                try:
                    await for_ever()
                except asyncio.CancelledError:
                    await asyncio.sleep(0)  # it goes on undisturbed: one interruption, not one at every await
                if then == "completes":
                    run.complete("too late")
                if then == "raises":
                    raise ValueError("its own")
        assert type(left_by.value) is expected
        assert task.cancelling() == 0
        await asyncio.sleep(0)
        return run.execution_id

    record = stored(store, asyncio.run(main()))
    assert (record.state, record.result) == (ExecutionState.TIMEOUT, None)


@pytest.mark.parametrize("swallowed", [False, True])
def test_a_cancellation_from_outside_is_not_taken_for_ours(
    store: Store, tracker: ExecutionTracker, clock: FakeClock, swallowed: bool
) -> None:
    """When both the deadline and an outer caller cancel, the outer request is still counted afterwards."""

    async def main() -> str:
        task = asyncio.current_task()
        assert task is not None
        with pytest.raises(ExecutionTimeoutError if swallowed else asyncio.CancelledError):
            async with tracker.execution(**WHO, timeout=25.0) as run:
                pass_limit(tracker, clock)
                try:
                    await for_ever()
                except asyncio.CancelledError:
                    task.cancel()
                    try:
                        await for_ever()
                    except asyncio.CancelledError:
                        if not swallowed:
                            raise
        assert task.cancelling() == 1
        return run.execution_id

    assert stored(store, asyncio.run(main())).state is ExecutionState.TIMEOUT


def test_deadline_before_the_first_await(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """A body that never awaits cannot be cancelled; leaving it raises all the same."""

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        with pytest.raises(ExecutionTimeoutError):
            async with tracker.execution(**WHO, timeout=25.0):
                pass_limit(tracker, clock)
        assert task.cancelling() == 0
        await asyncio.sleep(0)

    asyncio.run(main())


def test_deadline_in_a_sync_body(store: Store, tracker: ExecutionTracker, clock: FakeClock) -> None:
    """A sync body goes on, but every next call on its handle raises, and so does the end of the block."""
    ended: list[RunstateError] = []
    with pytest.raises(ExecutionTimeoutError), tracker.execution(**WHO, timeout=25.0) as run:
        pass_limit(tracker, clock)
        calls: tuple[Callable[[], object], ...] = (
            run.heartbeat,
            lambda: run.phase(Phase.THINKING),
            lambda: run.complete("too late"),
            lambda: run.fail("too late"),
            run.finish,
        )
        for call in calls:
            with pytest.raises(ExecutionTimeoutError) as refused:
                call()
            ended.append(refused.value)
    assert {type(error) for error in ended} == {ExecutionTimeoutError}
    after = stored(store, run.execution_id)
    assert (after.state, after.seq, after.result, after.error) == (
        ExecutionState.TIMEOUT,
        3,
        None,
        "the time limit of 25.0 s passed",
    )


def test_a_sync_body_may_raise_after_its_deadline(store: Store, tracker: ExecutionTracker, clock: FakeClock) -> None:
    """The body's own exception leaves unchanged although the execution is TIMEOUT by then."""
    error = ValueError("its own")
    with pytest.raises(ValueError, match="its own") as left_by, tracker.execution(**WHO, timeout=25.0) as run:
        pass_limit(tracker, clock)
        raise error
    assert left_by.value is error
    assert stored(store, run.execution_id).state is ExecutionState.TIMEOUT


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_heartbeat_limit_keeps_its_evidence(
    store: Store, tracker: ExecutionTracker, clock: FakeClock, colour: str
) -> None:
    """DEAD says how old the last sign of life was, how many beats came and in which phase it stopped."""

    def work(run: object) -> None:
        run.phase(Phase.TOOL_EXECUTION, "search")
        for _ in range(3):
            clock.advance(4.0)
            run.heartbeat()
        assert tracker.sweep() == 0
        pass_limit(tracker, clock, 12.5)

    async def main() -> str:
        with pytest.raises(FencedError) as left_by:
            async with tracker.execution(**WHO, heartbeat_timeout=10.0) as run:
                work(run)
                await for_ever()
        assert not isinstance(left_by.value, TimeoutError)
        return run.execution_id

    if colour == "async":
        execution_id = asyncio.run(main())
    else:
        with pytest.raises(FencedError) as left_by, tracker.execution(**WHO, heartbeat_timeout=10.0) as run:
            work(run)
        assert (left_by.value.state, left_by.value.observer) == (ExecutionState.DEAD, "heartbeat watch")
        execution_id = run.execution_id
    record = stored(store, execution_id)
    assert (record.state, record.cause) == (ExecutionState.DEAD, Cause.NO_HEARTBEAT)
    assert record.evidence is not None
    assert (record.evidence.last_beat_age, record.evidence.beats) == (12.5, 3)
    assert (record.evidence.last_phase, record.evidence.last_phase_detail) == (Phase.TOOL_EXECUTION, "search")


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_journal_that_is_slow_at_the_entry_is_nobodys_silence(store: Store, clock: FakeClock, colour: str) -> None:
    """However long its entry waits for the journal a block lives, and its heartbeat limit counts from where its body begins."""
    journal = GatedJournal(store.journal())
    ended_in_the_entry: list[int] = []

    def let_the_limit_pass() -> None:
        journal.reached.wait(30)
        clock.advance(1_000.0)
        ended_in_the_entry.append(tracker.sweep())
        journal.open()

    def work(run: Execution) -> None:
        clock.advance(10.0 - 1e-9)
        assert (ended_in_the_entry, tracker.sweep(), run.state) == ([0], 0, ExecutionState.RUNNING)
        pass_limit(tracker, clock, 1e-9)

    async def main() -> None:
        async with tracker.execution(**WHO, heartbeat_timeout=10.0) as run:
            work(run)

    with ExecutionTracker(journal, clock=clock) as tracker:
        journal.shut()
        thread = threading.Thread(target=let_the_limit_pass)
        thread.start()
        with pytest.raises(FencedError) as left_by:
            if colour == "async":
                asyncio.run(main())
            else:
                with tracker.execution(**WHO, heartbeat_timeout=10.0) as run:
                    work(run)
        thread.join()
    record = stored(store, left_by.value.execution_id)
    assert (record.state, record.cause) == (ExecutionState.DEAD, Cause.NO_HEARTBEAT)
    assert record.evidence is not None
    assert record.evidence.last_beat_age == 10.0


@pytest.mark.parametrize("by", ["task", "thread"])
def test_ended_by_id_from_elsewhere(store: Store, tracker: ExecutionTracker, by: str) -> None:
    """Another task's or thread's end by id interrupts an async body, which leaves with who, when and why."""

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        with pytest.raises(FencedError) as left_by:
            async with tracker.execution(**WHO) as run:

                def end() -> None:
                    tracker.update_execution_state(run.execution_id, ExecutionState.CANCELLED, error="user left")

                if by == "task":
                    asyncio.get_running_loop().call_soon(end)
                else:
                    threading.Thread(target=end).start()
                await for_ever()
        assert (left_by.value.state, left_by.value.cause) == (
            ExecutionState.CANCELLED,
            Cause.CANCELLED_BY_CALLER,
        )
        assert left_by.value.observer == "caller"
        record = stored(store, run.execution_id)
        assert (record.state, record.error) == (ExecutionState.CANCELLED, "user left")
        assert left_by.value.ended_at_ns == record.updated_at_ns
        assert task.cancelling() == 0

    asyncio.run(main())


def test_ended_by_id_in_a_sync_body(tracker: ExecutionTracker) -> None:
    """A sync block that was ended by id raises `FencedError` at its end, not a missing outcome."""
    with pytest.raises(FencedError) as left_by, tracker.execution(**WHO) as run:
        tracker.update_execution_state(run.execution_id, ExecutionState.DEAD)
    assert left_by.value.state is ExecutionState.DEAD


def test_closing_the_tracker_interrupts_async_blocks(store: Store, tracker: ExecutionTracker) -> None:
    """`close` ends a running block as CANCELLED (SHUTDOWN), and its body is interrupted."""

    async def main() -> str:
        with pytest.raises(FencedError) as left_by:
            async with tracker.execution(**WHO) as run:
                await asyncio.to_thread(tracker.close)
                await for_ever()
        assert (left_by.value.cause, left_by.value.observer) == (Cause.SHUTDOWN, "shutdown")
        return run.execution_id

    record = stored(store, asyncio.run(main()))
    assert (record.state, record.cause) == (ExecutionState.CANCELLED, Cause.SHUTDOWN)


def test_the_outer_of_two_blocks_is_ended(store: Store, tracker: ExecutionTracker, clock: FakeClock) -> None:
    """When the outer block's limit passes, the inner execution is CANCELLED and the outer one TIMEOUT."""

    async def main() -> tuple[str, str]:
        with pytest.raises(ExecutionTimeoutError) as left_by:
            async with tracker.execution(**WHO, timeout=25.0) as outer, tracker.execution(**WHO) as inner:
                pass_limit(tracker, clock)
                await for_ever()
        assert left_by.value.execution_id == outer.execution_id
        return outer.execution_id, inner.execution_id

    outer, inner = asyncio.run(main())
    assert stored(store, outer).state is ExecutionState.TIMEOUT
    assert stored(store, inner).state is ExecutionState.CANCELLED
