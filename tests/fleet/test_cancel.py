"""Cancelling from anywhere: the wish is durable, its owner carries it out, and who buries the owner does if it is dead."""

# ruff: noqa: PT012 - what is proven here is what leaves a whole block

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

import runstate
from runstate import (
    Cancelled,
    Cause,
    ExecutionState,
    ExecutionTracker,
    FencedError,
    InvalidTransitionError,
    JournalUnavailableError,
    StateTypeError,
    TrackerClosedError,
    UnknownExecutionError,
    current,
)

from .processes import WHO, Other

PATIENCE = 60.0


def test_another_process_cancels_a_block(tracker: ExecutionTracker, other: Other) -> None:
    """An async block that another process wants cancelled is interrupted, and its end says who wanted it and why."""
    execution_id = other.ask("work")
    request = tracker.cancel(execution_id, "the user left")
    assert (request.execution_id, request.owner, request.reason) == (execution_id, other.incarnation, "the user left")
    outcome = tracker.wait(execution_id, timeout=PATIENCE)
    assert isinstance(outcome, Cancelled)
    assert (outcome.cause, outcome.evidence.reason) == (Cause.CANCELLED_BY_CALLER, "the user left")
    assert (outcome.error, outcome.evidence.observer) == ("it was asked for: the user left", request.by)
    assert other._answer() == f"CANCELLED {request.by}"


def test_an_agent_tells_its_caller(place: str) -> None:
    """An agent whose execution another process has cancelled returns Cancelled, also to whoever waits elsewhere."""

    async def main(here: ExecutionTracker, there: ExecutionTracker) -> None:
        begun = asyncio.Event()
        seen: list[str] = []

        @here.agent("slow")
        async def slow() -> str:
            seen.append(current().execution_id)
            begun.set()
            await asyncio.sleep(PATIENCE)
            return "too late"

        call = asyncio.create_task(slow.bind(thread_id="t-1", user_id="u-1")())
        await begun.wait()
        there.cancel(seen[0])
        waited = await there.await_outcome(seen[0], timeout=PATIENCE)
        assert isinstance(waited, Cancelled)
        assert isinstance(await call, Cancelled)

    with runstate.open(place) as here, runstate.open(place) as there:
        asyncio.run(main(here, there))


def test_a_block_in_a_thread_learns_of_it(place: str) -> None:
    """A sync body cannot be stopped: its next call on the handle is refused, and so is the end of its block."""
    with runstate.open(place) as here, runstate.open(place) as there:
        with pytest.raises(FencedError) as left, here.execution(**WHO) as run:
            there.cancel(run.execution_id)
            there.wait(run.execution_id, timeout=PATIENCE)
            with pytest.raises(FencedError):
                run.heartbeat()
        assert (left.value.state, left.value.observer) == (ExecutionState.CANCELLED, there.incarnation)


def test_a_dead_owner_is_cancelled_by_who_buries_it(tracker: ExecutionTracker, other: Other) -> None:
    """An owner that died over a request is buried as CANCELLED; its other executions are DEAD."""
    wanted, unwanted = other.ask("begin", 2)
    other.send(signal.SIGSTOP)
    tracker.cancel(wanted, "enough")
    other.kill()
    cancelled, died = (tracker.wait(one, timeout=PATIENCE) for one in (wanted, unwanted))
    assert (cancelled.cause, died.cause) == (Cause.CANCELLED_BY_CALLER, Cause.PROCESS_EXITED)  # type: ignore[union-attr]


def test_the_first_request_stands(tracker: ExecutionTracker, other: Other) -> None:
    """Asking again changes nothing: everybody gets the request that stands."""
    (execution_id,) = other.ask("begin", 1)
    other.send(signal.SIGSTOP)
    first = tracker.cancel(execution_id, "first")
    assert tracker.cancel(execution_id, "second") == first
    assert tracker.cancel_request(execution_id) == first
    other.send(signal.SIGCONT)
    tracker.wait(execution_id, timeout=PATIENCE)
    assert tracker.cancel_request(execution_id) is None


def test_ones_own_execution_ends_at_once(tracker: ExecutionTracker) -> None:
    """An execution of this process is CANCELLED when the call returns."""
    run = tracker.create(**WHO).run()
    request = tracker.cancel(run.execution_id, "enough")
    record = tracker.get(run.execution_id)
    assert (record.state, record.cause) == (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER)
    assert (request.reason, request.by, request.owner) == ("enough", record.incarnation, record.incarnation)
    with pytest.raises(InvalidTransitionError):
        tracker.cancel(run.execution_id)


def test_what_cannot_be_cancelled(place: str, other: Other) -> None:
    """What has ended, is unknown or is no id is refused; so is every cancel of a tracker that only looks on."""
    (running, ended) = other.ask("begin", 2)
    other.ask("complete", ended, "done")
    with runstate.open(place, read_only=True) as reader:
        with pytest.raises(JournalUnavailableError, match="read_only"):
            reader.cancel(running)
        assert reader.cancel_request(running) is None
    tracker = runstate.open(place)
    with pytest.raises(InvalidTransitionError):
        tracker.cancel(ended)
    with pytest.raises(UnknownExecutionError):
        tracker.cancel("no-such-id")
    with pytest.raises(StateTypeError):
        tracker.cancel({"id": running})  # type: ignore[arg-type]
    with pytest.raises(StateTypeError):
        tracker.cancel(running, {"reason": "none"})  # type: ignore[arg-type]
    own = tracker.create(**WHO)
    tracker.close()
    with pytest.raises((TrackerClosedError, InvalidTransitionError, FencedError)):
        tracker.cancel(own.execution_id)


def test_a_journal_that_nobody_shares() -> None:
    """In a journal in memory there are no workers and no requests; what is unknown there is unknown."""
    with runstate.open("memory:") as tracker:
        run = tracker.create(**WHO)
        assert tracker.workers() == ()
        assert tracker.worker("nobody") is None
        assert tracker.cancel_request(run.execution_id) is None
        assert tracker.rejected(run.execution_id) is None
        tracker.cancel(run.execution_id)
        for call in (tracker.cancel, tracker.cancel_request, tracker.rejected):
            with pytest.raises(UnknownExecutionError):
                call("no-such-id")


def test_a_sleeping_bell_is_no_matter(tmp_path: Path) -> None:
    """A request whose ring was lost is found with the next renewal."""
    place = str(tmp_path / "runs.db")
    with runstate.open(place) as here, runstate.open(place) as there:
        run = here.create(**WHO).run()
        here.flush()
        assert there._member.fleet is not None
        there._member.fleet.request_cancel(run.execution_id, "somebody", None)
        assert isinstance(there.wait(run.execution_id, timeout=PATIENCE), Cancelled)
