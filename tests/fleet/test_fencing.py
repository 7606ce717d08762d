"""A worker that was held for dead is told so wherever it still tries to record something, and then goes on as another worker."""

# ruff: noqa: PT012 - what is proven here is what leaves a whole block

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from typing import NamedTuple

import pytest

import runstate
from runstate import (
    Cause,
    Completed,
    Died,
    ExecutionState,
    ExecutionTracker,
    FencedError,
    Phase,
    WorkerState,
)
from runstate._burial import bury
from runstate._clock import SystemClock
from runstate._ids import new_incarnation
from runstate.journal import Fleet

from ..clock import FakeClock
from ..journal.fleets import LEASE, SharedStore
from .processes import WHO, Other

PATIENCE = 60.0


class Zombie(NamedTuple):
    """A tracker that others hold for dead, and those others."""

    tracker: ExecutionTracker
    journal: Fleet

    def bury(self) -> None:
        """Fence the tracker's worker, and end what it has left."""
        bury(
            self.journal,
            self.tracker._decider.incarnation,
            "other",
            Cause.LEASE_EXPIRED,
            "it stood still",
            SystemClock(),
        )


@pytest.fixture
def zombie(shared: SharedStore) -> Iterator[Zombie]:
    """A tracker that nothing watches over but the test, and a journal that another worker has opened."""
    journal = shared.journal()
    journal.join("other", LEASE)
    with ExecutionTracker(shared.journal(), clock=FakeClock()) as tracker:
        yield Zombie(tracker, journal)
    journal.close()


def test_what_is_decided_while_its_worker_takes_another_name_is_fenced_too(zombie: Zombie) -> None:
    """A move carries the name that its execution was created under, so it is refused as that worker's, and said to be."""
    tracker = zombie.tracker
    tracker.create(**WHO)
    tracker.flush()
    zombie.bury()
    run = tracker.create(**WHO).run()
    tracker._decider.incarnation = new_incarnation()  # the first half of what is done about a fence
    run.complete("in between")
    with pytest.raises(FencedError) as told:
        tracker.flush()
    assert (told.value.execution_id, told.value.cause) == (run.execution_id, Cause.LEASE_EXPIRED)


def test_moves_handles_and_durable_ends(zombie: Zombie) -> None:
    """After its burial an execution takes no more moves: they, its durable end and every later call are a FencedError."""
    tracker = zombie.tracker
    run, bystander = tracker.create(**WHO).run(), tracker.create(**WHO).run()
    tracker.flush()
    zombie.bury()
    run.phase(Phase.THINKING)
    run.finish().complete("a zombie's answer")
    with pytest.raises(FencedError) as told:
        tracker.flush()
    assert (told.value.state, told.value.cause) == (ExecutionState.DEAD, Cause.LEASE_EXPIRED)
    assert told.value.observer == "other"
    record = tracker.get(run.execution_id)
    assert (record.state, record.result) == (ExecutionState.DEAD, None)
    rejected = tracker.rejected(run.execution_id)
    assert rejected is not None
    assert (rejected.move.target, rejected.move.result) == (ExecutionState.COMPLETED, "a zombie's answer")
    assert tracker.rejected(bystander.execution_id) is None
    assert tracker._member.liveness is not None
    tracker._member.liveness.turn(0.0)
    for call in (bystander.heartbeat, lambda: bystander.phase(Phase.THINKING), bystander.finish, bystander.cancel):
        with pytest.raises(FencedError):
            call()


@pytest.mark.parametrize("way", ["handle", "by id", "block", "agent", "failing agent"])
def test_what_ends_long_after_its_fence_is_kept(zombie: Zombie, way: str) -> None:
    """A worker that knows that it was fenced still records what its work came to: once, as the rejected end, in whatever way it ends."""
    tracker = zombie.tracker

    def fenced() -> str:
        zombie.bury()
        _renewal_is_due(tracker)
        (execution_id,) = [one.execution_id for one in tracker.find(limit=1)]
        assert execution_id not in tracker._decider.live
        return execution_id

    if way in {"handle", "by id"}:
        run = tracker.create(**WHO).run()
        tracker.flush()
        execution_id = fenced()
        for answer in ("the result", "again"):
            with pytest.raises(FencedError):
                if way == "handle":
                    run.complete(answer)
                else:
                    tracker.update_execution_state(execution_id, ExecutionState.COMPLETED, result=answer)
    elif way == "block":
        with pytest.raises(FencedError), tracker.execution(**WHO) as block:
            execution_id = fenced()
            block.complete("the result")
    else:

        @tracker.agent("late")
        def agent() -> str:
            fenced()
            if way == "agent":
                return "the result"
            raise ZeroDivisionError

        outcome = agent.bind(thread_id="t-1", user_id="u-1")()
        assert isinstance(outcome, Died)
        execution_id = outcome.execution_id
    tracker.flush()
    assert tracker.get(execution_id).state is ExecutionState.DEAD
    rejected = tracker.rejected(execution_id)
    assert rejected is not None
    if way == "failing agent":
        assert (rejected.move.target, rejected.move.error) == (ExecutionState.FAILED, "ZeroDivisionError: ")
    else:
        assert (rejected.move.target, rejected.move.result) == (ExecutionState.COMPLETED, "the result")
    assert tracker.statistics().rejected == 0  # it was known to be lost before anything was refused


@pytest.mark.parametrize("body", ["completes", "does nothing", "raises", "is still in it"])
def test_a_block(zombie: Zombie, body: str) -> None:
    """FencedError leaves a block whose execution was buried, however the block is left; an exception of its own goes on."""
    expected: type[Exception] = ZeroDivisionError if body == "raises" else FencedError
    with pytest.raises(expected) as left, zombie.tracker.execution(**WHO) as run:
        zombie.bury()
        if body == "completes":
            run.complete("a zombie's answer")
        elif body == "raises":
            raise ZeroDivisionError
        elif body == "is still in it":
            run.phase(Phase.THINKING)
            zombie.tracker.flush()
    assert isinstance(left.value, FencedError) or "LEASE_EXPIRED" in str(left.value.__notes__)
    assert zombie.tracker.get(run.execution_id).cause is Cause.LEASE_EXPIRED


def test_an_async_block_is_interrupted(zombie: Zombie) -> None:
    """An async body is interrupted as soon as its worker learns that it was fenced, and FencedError leaves the block."""

    async def main() -> str:
        tracker = zombie.tracker
        with pytest.raises(FencedError) as left:
            async with tracker.execution(**WHO) as run:
                zombie.bury()
                assert tracker._member.liveness is not None
                await asyncio.to_thread(_renewal_is_due, tracker)
                await asyncio.sleep(PATIENCE)
        assert left.value.cause is Cause.LEASE_EXPIRED
        return run.execution_id

    execution_id = asyncio.run(main())
    assert zombie.tracker.get(execution_id).state is ExecutionState.DEAD


def _renewal_is_due(tracker: ExecutionTracker) -> None:
    assert tracker._member.liveness is not None
    tracker._member.liveness.look_again()
    tracker._member.liveness.turn(0.0)


def test_an_end_that_was_refused_before_the_block_was_left(zombie: Zombie) -> None:
    """What leaves a block is what stands, also when its own end was refused while nobody waited for it."""
    with pytest.raises(FencedError) as left, zombie.tracker.execution(**WHO) as run:
        zombie.bury()
        run.time_out("too slow")
        with pytest.raises(FencedError):
            zombie.tracker.flush()
    assert (left.value.state, left.value.cause) == (ExecutionState.DEAD, Cause.LEASE_EXPIRED)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_agent_tells_its_caller(zombie: Zombie, kind: str) -> None:
    """A fenced agent's call gives Died, never its result; the result is kept as the rejected end."""
    tracker = zombie.tracker
    seen: list[str] = []

    @tracker.agent("sync")
    def agent() -> str:
        seen.append(runstate.current().execution_id)
        zombie.bury()
        return "a zombie's answer"

    @tracker.agent("async")
    async def async_agent() -> str:
        seen.append(runstate.current().execution_id)
        zombie.bury()
        return "a zombie's answer"

    if kind == "sync":
        outcome = agent.bind(thread_id="t-1", user_id="u-1")()
    else:
        outcome = asyncio.run(async_agent.bind(thread_id="t-1", user_id="u-1")())
    assert isinstance(outcome, Died)
    assert (outcome.cause, outcome.execution_id) == (Cause.LEASE_EXPIRED, seen[0])
    assert isinstance(outcome.exception, FencedError)
    rejected = tracker.rejected(seen[0])
    assert rejected is not None
    assert rejected.move.result == "a zombie's answer"


def test_it_goes_on_as_another_worker(zombie: Zombie) -> None:
    """A fenced tracker takes a new incarnation before it tells of a refusal: what is begun from then on is recorded as ever."""
    tracker = zombie.tracker
    run = tracker.create(**WHO).run()
    other = tracker.create(**WHO).run()
    tracker.flush()
    fenced = tracker._decider.incarnation
    zombie.bury()
    run.finish()
    with pytest.raises(FencedError):
        tracker.flush()
    assert tracker._decider.incarnation != fenced
    with pytest.raises(FencedError):
        other.heartbeat()

    @tracker.agent("next")
    def agent() -> int:
        return 305

    assert isinstance(agent.bind(thread_id="t-1", user_id="u-1")(), Completed)
    states = {worker.incarnation: worker.state for worker in tracker.workers(departed=10)}
    assert states[fenced] is WorkerState.FENCED
    assert states[tracker._decider.incarnation] is WorkerState.ALIVE


def test_a_process_that_stood_still(place: str) -> None:
    """Stopped past its lease, buried, and continued: its durable end is a FencedError, its result a rejected end."""
    other = Other(place, lease=2.0)
    try:
        with runstate.open(place, lease=2.0) as tracker:
            (execution_id,) = other.ask("begin", 1)
            other.send(signal.SIGSTOP)
            outcome = tracker.wait(execution_id, timeout=PATIENCE)
            assert isinstance(outcome, Died)
            assert outcome.cause is Cause.LEASE_EXPIRED
            other.tell("complete", execution_id, "too late")
            other.send(signal.SIGCONT)
            assert other._answer() == "FencedError DEAD"
            assert other.ask("complete", other.ask("begin", 1)[0], "as another worker") == "done"
            assert tracker.get(execution_id).state is ExecutionState.DEAD
    finally:
        other.end()
