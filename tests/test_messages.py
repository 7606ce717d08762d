"""One answer for a message, chains by hand, and what is kept with every execution."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import string
from collections.abc import Callable
from typing import Any

import pytest

from runstate import (
    Completed,
    DuplicateMessageError,
    ExecutionState,
    ExecutionTracker,
    InvalidValueError,
    JournalUnavailableError,
    Limits,
    Outcome,
    ResultTooLargeError,
    UnknownExecutionError,
)

from .calling import AT_ONCE, WHOSE, Agent, run
from .clock import FakeClock
from .gated import WHO, GatedJournal
from .stores import Store

COMPLETED, FAILED, TIMEOUT = ExecutionState.COMPLETED, ExecutionState.FAILED, ExecutionState.TIMEOUT
CANCELLED, PENDING = ExecutionState.CANCELLED, ExecutionState.PENDING


@pytest.fixture(params=["sync", "async", "trio"])
def colour(request: pytest.FixtureRequest) -> str:
    """Whether the agent is a `def`, or an `async def` under asyncio or trio."""
    return str(request.param)


# -- one answer for a message -----------------------------------------------------------------------------------------


def test_a_message_is_answered_once(store: Store, clock: FakeClock, colour: str) -> None:
    """Who sends a message again gets what was recorded: an answer, a failure, in this tracker or a later one."""
    with ExecutionTracker(store.journal(), clock=clock) as tracker:
        agent = Agent(tracker, colour, {"a": 1}, ValueError("no"))
        answer, failure = agent(message_id="m-1"), agent(message_id="m-2")
        assert agent(message_id="m-1") == answer
        assert agent(message_id="m-2") == failure
        assert tracker.statistics().live == 0
        tracker.flush()
    with ExecutionTracker(store.journal(), clock=clock) as tracker:
        agent = Agent(tracker, colour, "another")
        assert agent(message_id="m-1") == answer
        assert agent(message_id="m-2") == failure
        assert agent.calls == 0
        assert len(tracker.find()) == 2
        other = agent(thread_id="t-2", message_id="m-1")
        assert (isinstance(other, Completed), agent.calls) == (True, 1)


def test_a_message_of_another_user(store: Store, clock: FakeClock, colour: str) -> None:
    """Who sends a message with the id of another user's in the same thread gets an answer of their own, now and when they send it again."""
    with ExecutionTracker(store.journal(), clock=clock) as tracker:
        agent = Agent(tracker, colour, "eve's", "u-1's")
        answers = [agent(user_id=user, message_id="m-1") for user in ("eve", "u-1")]
        assert [one.result for one in answers if isinstance(one, Completed)] == ["eve's", "u-1's"]
        tracker.flush()
    with ExecutionTracker(store.journal(), clock=clock) as tracker:
        agent = Agent(tracker, colour)
        assert [agent(user_id=user, message_id="m-1") for user in ("eve", "u-1")] == answers
        assert agent.calls == 0
        assert sorted(one.user_id for one in tracker.find(thread_id="t-1", message_id="m-1")) == ["eve", "u-1"]


def test_a_message_that_another_agent_answers(store: Store, clock: FakeClock, colour: str) -> None:
    """Another agent that is sent a message is refused, told which agent answers it and where, and is not called."""
    with ExecutionTracker(store.journal(), clock=clock) as tracker:
        agent = Agent(tracker, colour, ConnectionError("once"), "answer", retry=AT_ONCE)
        other = Agent(tracker, colour, "another", name="hotel", retry=AT_ONCE)
        answer = agent(message_id="m-1")
        first = tracker.attempts(answer.execution_id)[0]
        for _ in range(2):
            with pytest.raises(DuplicateMessageError, match=r"is answered by agent 'airline' in execution") as refused:
                other(message_id="m-1")
            assert (refused.value.agent, refused.value.execution_id) == ("airline", first.execution_id)
        assert other.calls == 0
        assert agent(message_id="m-1") == answer
        assert tracker.statistics().live == 0
        assert len(tracker.find()) == 2
        assert isinstance(other(message_id="m-2"), Completed)
        tracker.flush()


def test_a_message_that_another_agent_was_given(store: Store, clock: FakeClock) -> None:
    """Where a chain was continued by hand as another agent's, its message is still that agent's which began it."""
    with ExecutionTracker(store.journal(), clock=clock) as tracker:
        first = Agent(tracker, "sync", ValueError("no"))(message_id="m-1")
        with tracker.execution(**{**WHO, "agent": "hotel"}, retry_of=first.execution_id) as run_by_hand:
            run_by_hand.complete("by hand")
        again = Agent(tracker, "sync")(message_id="m-1")
        assert isinstance(again, Completed)
        assert (again.result, again.execution_id) == ("by hand", run_by_hand.execution_id)
        with pytest.raises(DuplicateMessageError) as refused:
            Agent(tracker, "sync", name="hotel")(message_id="m-1")
        assert (refused.value.agent, refused.value.execution_id) == ("airline", first.execution_id)


def test_who_asks_meanwhile_waits(store: Store) -> None:
    """While a message is being answered, all who send it wait for the end of its chain, not of one attempt, and get the same."""
    with ExecutionTracker(store.journal()) as tracker:

        async def main() -> list[Outcome[Any]]:
            begun, going = asyncio.Event(), asyncio.Event()
            calls: list[int] = []

            @tracker.agent("airline", retry=AT_ONCE)
            async def agent() -> str:
                calls.append(len(calls))
                begun.set()
                await going.wait()
                if len(calls) < 3:
                    raise ConnectionError("again")
                return "answer"

            call = agent.bind(**WHOSE, message_id="m-1")
            first = asyncio.create_task(call())
            await begun.wait()
            others = [asyncio.create_task(call()) for _ in range(5)]
            for _ in range(10):
                await asyncio.sleep(0)
            assert not any(task.done() for task in others)
            going.set()
            outcomes = await asyncio.gather(first, *others)
            assert calls == [0, 1, 2]
            return list(outcomes)

        outcomes = asyncio.run(main())
        assert isinstance(outcomes[0], Completed)
        assert outcomes == [outcomes[0]] * 6
        assert len(tracker.find()) == 3
        tracker.flush()


def test_a_handle_for_a_message_that_is_answered(tracker: ExecutionTracker) -> None:
    """`create` refuses a second execution for a message at once, and says which one answers it."""
    first = tracker.create(**WHO, message_id="m-1")
    for _ in range(2):
        with pytest.raises(DuplicateMessageError) as refused:
            tracker.create(**WHO, message_id="m-1")
        error = refused.value
        assert (error.thread_id, error.user_id, error.message_id) == ("t-1", "u-1", "m-1")
        assert (error.execution_id, error.agent) == (first.execution_id, "airline")
        if not first.record.is_terminal:
            first.fail("no")
    assert tracker.statistics().live == 0
    assert len(tracker.find()) == 1
    tracker.create(**{**WHO, "user_id": "u-2"}, message_id="m-1").cancel()


def test_a_block_for_a_message_that_is_answered(tracker: ExecutionTracker, colour: str) -> None:
    """A block's beginning says it, whatever its colour; nobody else is told of what it was told, and nothing is left live."""
    first = tracker.create(**WHO, message_id="m-1").run()

    async def enter() -> None:
        async with tracker.execution(**WHO, message_id="m-1"):
            raise AssertionError("entered")

    def enter_blocking() -> None:
        with tracker.execution(**WHO, message_id="m-1"):
            raise AssertionError("entered")

    with pytest.raises(DuplicateMessageError) as refused:
        run(colour, enter_blocking if colour == "sync" else enter)
    assert refused.value.execution_id == first.execution_id
    tracker.flush()
    assert tracker.statistics().live == 1


def test_two_handles_at_one_moment(store: Store, clock: FakeClock) -> None:
    """Of two trackers that begin a message before either could see the other, one is told by its handle; the rest is stored."""
    if store.name == "memory":
        return
    gated = GatedJournal(store.journal())
    with ExecutionTracker(gated, clock=clock) as late, ExecutionTracker(store.journal(), clock=clock) as early:
        gated.shut()
        loser = late.create(**WHO, message_id="m-1")
        later = late.create(**WHO)
        winner = early.create(**WHO, message_id="m-1")
        early.flush()
        gated.open()
        with contextlib.suppress(DuplicateMessageError):  # if it has waited for that batch
            late.flush()
        with pytest.raises(DuplicateMessageError) as refused:
            loser.run()
        assert refused.value.execution_id == winner.execution_id
        later.cancel()
        late.flush()
        winner.cancel()
        assert {one.execution_id for one in early.find()} == {winner.execution_id, later.execution_id}


def test_a_chain_by_hand(tracker: ExecutionTracker) -> None:
    """`retry_of` continues a chain of handles or blocks, named by any of its executions, once the newest has ended."""
    first = tracker.create(**WHO, message_id="m-1")
    with pytest.raises(InvalidValueError, match="a chain that has ended"):
        tracker.create(**WHO, retry_of=first.execution_id)
    first.fail("no")
    with tracker.execution(**WHO, retry_of=first.execution_id) as second:
        second.fail("again")
    third = tracker.create(**WHO, retry_of=second.execution_id, message_id="m-1").cancel()
    chain = tracker.attempts(third.execution_id)
    assert [(one.execution_id, one.attempt, one.retry_of, one.message_id) for one in chain] == [
        (first.execution_id, 1, None, "m-1"),
        (second.execution_id, 2, first.execution_id, "m-1"),
        (third.execution_id, 3, first.execution_id, "m-1"),
    ]
    for wrong in ({"thread_id": "t-2"}, {"user_id": "u-2"}, {"message_id": "m-2"}):
        with pytest.raises(InvalidValueError, match="of the chain it continues"):
            tracker.create(**{**WHO, **wrong, "retry_of": first.execution_id})
    with pytest.raises(UnknownExecutionError):
        tracker.create(**WHO, retry_of="nothing")


def test_ids_that_cannot_be_indexed(store: Store, clock: FakeClock) -> None:
    """A message's id has 512 bytes, and with its thread's and user's 2,560, so that any store can look it up, however they look."""
    noise = "".join(random.Random(305).choices(string.ascii_letters + string.digits, k=2_560))
    with ExecutionTracker(store.journal(), clock=clock, limits=Limits(name_bytes=4_096)) as tracker:
        for thread, user, message in (("t", "u", "m" * 513), (noise[:1_025], noise[:1_024], noise[:512])):
            with pytest.raises(ResultTooLargeError):
                tracker.create(agent="airline", thread_id=thread, user_id=user, message_id=message)
        for cuts in ((1_024, 2_048), (1, 2_048), (2_047, 2_048)):
            thread, user, message = noise[: cuts[0]], noise[cuts[0] : cuts[1]], noise[cuts[1] :]
            tracker.create(agent="airline", thread_id=thread, user_id=user, message_id=message).cancel()
            tracker.flush()


def test_what_could_not_be_recorded_is_no_duplicate(store: Store, clock: FakeClock) -> None:
    """A journal that cannot be written is a `JournalError` for a call with a message as for any other."""
    gated = GatedJournal(store.journal())
    with ExecutionTracker(gated, clock=clock) as tracker:
        gated.failure = JournalUnavailableError("full")
        agent = Agent(tracker, "sync", "answer", retry=AT_ONCE)
        with pytest.raises(JournalUnavailableError):
            agent(message_id="m-1")
        assert agent.calls == 0
        gated.failure = None
        tracker.flush()


# -- annotations ------------------------------------------------------------------------------------------------------


def test_annotations_are_kept(tracker: ExecutionTracker, colour: str) -> None:
    """What annotating functions say is in each execution's metadata, the caller's own first, until they are taken back."""
    traces = iter("abcdef")
    take_back = tracker.annotate(lambda: {"trace": next(traces), "tier": "none"})
    outcome = Agent(tracker, colour, ConnectionError("one"), "answer", retry=AT_ONCE)(metadata={"tier": "free"})
    assert [one.metadata for one in tracker.attempts(outcome.execution_id)] == [{"trace": "a", "tier": "free"}] * 2
    assert tracker.create(**WHO).cancel().record.metadata == {"trace": "b", "tier": "none"}
    take_back()
    assert tracker.create(**WHO).cancel().record.metadata is None


def raises() -> dict[str, object]:
    """Fail."""
    raise RuntimeError("no trace")


@pytest.mark.parametrize("wrong", [raises, lambda: {"trace": object()}, lambda: 5, lambda: {"trace": "x" * 70_000}])
def test_an_annotation_costs_no_answer(
    tracker: ExecutionTracker, caplog: pytest.LogCaptureFixture, wrong: Callable[[], Any]
) -> None:
    """One that fails, or says what cannot be kept, is left out and logged as an error; the others stay."""
    tracker.annotate(wrong)
    tracker.annotate(lambda: {"trace": "a"})
    assert tracker.create(**WHO, metadata={"tier": "free"}).cancel().record.metadata == {"trace": "a", "tier": "free"}
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_annotations_leave_room_for_metadata(tracker: ExecutionTracker, caplog: pytest.LogCaptureFixture) -> None:
    """When both together are over the budget, the caller's own metadata is kept alone."""
    tracker.annotate(lambda: {"trace": "x" * 40_000})
    record = tracker.create(**WHO, metadata={"own": "y" * 40_000}).cancel().record
    assert record.metadata == {"own": "y" * 40_000}
    assert "no room" in caplog.text
