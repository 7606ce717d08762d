"""Calls that may be several executions: retries, fallbacks, and one answer for a message."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

import runstate
from runstate import (
    Cause,
    Completed,
    ExecutionState,
    ExecutionTracker,
    Failed,
    Outcome,
    Retry,
    StateTypeError,
    TimedOut,
)
from runstate._records import Selection

from .calling import AT_ONCE, WHOSE, Agent, cancel_it, ends
from .clock import FakeClock
from .gated import stored
from .stores import Store

COMPLETED, FAILED, TIMEOUT = ExecutionState.COMPLETED, ExecutionState.FAILED, ExecutionState.TIMEOUT
CANCELLED, PENDING = ExecutionState.CANCELLED, ExecutionState.PENDING


@pytest.fixture(params=["sync", "async", "trio"])
def colour(request: pytest.FixtureRequest) -> str:
    """Whether the agent is a `def`, or an `async def` under asyncio or trio."""
    return str(request.param)


# -- retries ----------------------------------------------------------------------------------------------------------


def test_attempts_are_a_chain(store: Store, tracker: ExecutionTracker, colour: str) -> None:
    """Each attempt is an execution, linked to the first, with its place, the call's metadata, and what is left of its time."""
    agent = Agent(tracker, colour, ConnectionError("one"), TimeoutError("two"), "answer", retry=AT_ONCE)
    outcome = agent(metadata={"tier": "free"}, message_id="m-1")
    assert isinstance(outcome, Completed)
    assert (outcome.result, outcome.is_fallback, agent.calls) == ("answer", False, 3)
    chain = tracker.attempts(outcome.execution_id)
    assert ends(chain) == [(1, FAILED, Cause.RAISED), (2, FAILED, Cause.RAISED), (3, COMPLETED, Cause.RETURNED)]
    assert [one.retry_of for one in chain] == [None, chain[0].execution_id, chain[0].execution_id]
    assert {(one.thread_id, one.user_id, one.agent, one.message_id, one.timeout) for one in chain} == {
        ("t-1", "u-1", "airline", "m-1", 25.0)
    }
    assert [one.metadata for one in chain] == [{"tier": "free"}] * 3
    assert tracker.attempts(chain[0].execution_id) == tracker.attempts(chain[1].execution_id) == chain
    assert tracker.find(retry_of=chain[0].execution_id) == (chain[2], chain[1])
    assert tracker.find(thread_id="t-1", message_id="m-1") == chain[::-1]
    assert tuple(stored(store, one.execution_id) for one in chain) == chain


def test_the_last_failure_is_the_outcome(tracker: ExecutionTracker, colour: str) -> None:
    """When no attempt is left the call gives the last one's failure, with its exception."""
    agent = Agent(tracker, colour, *map(ConnectionError, "abc"), retry=AT_ONCE)
    outcome = agent()
    assert isinstance(outcome, Failed)
    assert (outcome.error, agent.calls) == ("ConnectionError: c", 3)
    assert isinstance(outcome.exception, ConnectionError)


def fail_it() -> None:
    """Fail by hand, with an exception that would be worth a retry."""
    runstate.current().fail(ConnectionError("by hand"))


FINAL: dict[str, tuple[Any, ExecutionState, Cause]] = {
    "another exception": (ValueError("no"), FAILED, Cause.RAISED),
    "a failure by hand": (fail_it, FAILED, Cause.RAISED),
    "a cancellation": (cancel_it, CANCELLED, Cause.CANCELLED_BY_CALLER),
    "no result": (lambda: object(), FAILED, Cause.RAISED),
}


@pytest.mark.parametrize(("deed", "state", "cause"), FINAL.values(), ids=FINAL)
def test_what_is_not_tried_again(
    tracker: ExecutionTracker, colour: str, deed: Any, state: ExecutionState, cause: Cause
) -> None:
    """Only exceptions that were named, and that have left the function, are worth another attempt."""
    agent = Agent(tracker, colour, deed, "never", retry=AT_ONCE)
    outcome = agent()
    assert ends(tracker.attempts(outcome.execution_id)) == [(1, state, cause)]
    assert agent.calls == 1


def test_who_is_cancelled_tries_no_more(tracker: ExecutionTracker, colour: str) -> None:
    """A `KeyboardInterrupt` leaves the call, and its attempt is CANCELLED and the last."""
    agent = Agent(tracker, colour, ConnectionError("one"), KeyboardInterrupt(), "never", retry=AT_ONCE)
    with pytest.raises(KeyboardInterrupt):
        agent()
    (newest, first) = tracker.find()
    assert ends((first, newest)) == [(1, FAILED, Cause.RAISED), (2, CANCELLED, Cause.CANCELLED_BY_CALLER)]
    assert tracker.statistics().live == 0


def pass_time(tracker: ExecutionTracker, clock: FakeClock, seconds: float) -> Callable[[], str]:
    """Make a deed that takes so long."""

    def deed() -> str:
        clock.advance(seconds)
        tracker.sweep()
        return "late"

    return deed


def test_a_time_limit_for_each_attempt(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """An attempt that runs out of its own time is tried again as long as the call's lasts, if `on` has `TimeoutError`."""
    late = pass_time(tracker, clock, 10.5)
    limited = Retry(attempts=9, wait_initial=1e-9, wait_max=1e-9, attempt_timeout=10.0)
    outcome = Agent(tracker, "sync", late, late, late, "never", retry=limited)()
    assert isinstance(outcome, TimedOut)
    chain = tracker.attempts(outcome.execution_id)
    assert ends(chain) == [(number, TIMEOUT, Cause.DEADLINE) for number in (1, 2, 3)]
    assert [one.timeout for one in chain] == pytest.approx([10.0, 10.0, 4.0])
    only = Retry(on=(ConnectionError,), wait_initial=1e-9, attempt_timeout=10.0)
    outcome = Agent(tracker, "sync", late, "never", retry=only)()
    assert ends(tracker.attempts(outcome.execution_id)) == [(1, TIMEOUT, Cause.DEADLINE)]


def test_no_pause_outlasts_the_call(tracker: ExecutionTracker, colour: str) -> None:
    """An attempt whose pause would take all the time that is left is not begun."""
    agent = Agent(
        tracker, colour, ConnectionError("one"), "never", timeout=5.0, retry=Retry(wait_initial=10.0, wait_max=10.0)
    )
    assert isinstance(agent(), Failed)
    assert agent.calls == 1


def in_a_pause(tracker: ExecutionTracker) -> None:
    """Wait until a call stands in a pause."""
    tick = threading.Event()
    while not len(tracker._watch._pauses):
        tick.wait(0.001)


def test_a_pause_goes_by_the_clock(store: Store, clock: FakeClock, colour: str) -> None:
    """Between two attempts the next one stands PENDING in the journal until half of `wait_initial` to all of it have passed."""
    with ExecutionTracker(store.journal(), clock=clock) as tracker:
        agent = Agent(tracker, colour, ConnectionError("one"), "answer", retry=Retry(wait_initial=4.0))
        outcomes: list[Outcome[Any]] = []
        thread = threading.Thread(target=lambda: outcomes.append(agent()))
        thread.start()
        in_a_pause(tracker)
        assert [(one.attempt, one.state) for one in tracker.find()] == [(2, PENDING), (1, FAILED)]
        for seconds, is_over in ((1.9, False), (2.1, True)):
            clock.advance(seconds)
            assert (agent.calls, bool(outcomes)) == (1, False)
            tracker.sweep()
            if is_over:
                thread.join()
        assert (agent.calls, isinstance(outcomes[0], Completed)) == (2, True)


def test_a_pause_ends_with_its_execution(store: Store, clock: FakeClock, colour: str) -> None:
    """Who cancels the attempt that waits ends the call at once; so does the call's own limit."""
    with ExecutionTracker(store.journal(), clock=clock) as tracker:
        for end, expected in (
            (lambda one: tracker.cancel(one.execution_id, "enough"), (2, CANCELLED, Cause.CANCELLED_BY_CALLER)),
            (lambda one: [clock.advance(26.0), tracker.sweep()], (2, TIMEOUT, Cause.DEADLINE)),
        ):
            agent = Agent(
                tracker, colour, ConnectionError("one"), "never", retry=Retry(wait_initial=20.0, wait_max=20.0)
            )
            outcomes: list[Outcome[Any]] = []
            thread = threading.Thread(target=lambda outcomes=outcomes, agent=agent: outcomes.append(agent()))
            thread.start()
            in_a_pause(tracker)
            (waiting,) = tracker.find(state=PENDING)
            end(waiting)
            thread.join()
            assert ends(tracker.attempts(outcomes[0].execution_id))[1:] == [expected]
            assert agent.calls == 1


def test_who_sees_a_failure_sees_what_follows(store: Store, clock: FakeClock) -> None:
    """In the journal the next attempt is created before the failure of the one before it is stored."""
    with ExecutionTracker(store.journal(), clock=clock) as tracker:
        Agent(tracker, "sync", ConnectionError("one"), "answer", retry=AT_ONCE)()
        with contextlib.closing(store.journal()) as journal:
            log = [(event.entry.seq, event.entry.execution_id) for event in journal.read(0, 100, Selection()).events]
        first, second = (one.execution_id for one in tracker.find()[::-1])
        assert log.index((1, second)) < log.index((3, first))


# -- fallback ---------------------------------------------------------------------------------------------------------


def test_a_fallback_answers(tracker: ExecutionTracker, colour: str) -> None:
    """When the chain has failed, the fallback's answer is an execution of its own, and marked wherever it is read."""
    agent = Agent(tracker, colour, *map(ConnectionError, "abc"), retry=AT_ONCE, fallback=lambda: "sorry")
    outcome = agent(message_id="m-1")
    assert isinstance(outcome, Completed)
    assert (outcome.result, outcome.is_fallback, agent.calls) == ("sorry", True, 3)
    chain = tracker.attempts(outcome.execution_id)
    assert ends(chain)[2:] == [(3, FAILED, Cause.RAISED), (4, COMPLETED, Cause.FALLBACK)]
    assert tracker.wait(outcome.execution_id, timeout=1.0) == outcome
    assert agent(message_id="m-1") == outcome


def test_a_fallback_gets_the_arguments(tracker: ExecutionTracker) -> None:
    """Functions and methods have theirs bound as themselves; an async agent's may be of either colour."""

    def sorry(self: Answering, message: str, *, name: str) -> str:
        return f"sorry {self.title} {name}: {message}"

    async def asorry(message: str) -> str:
        await asyncio.sleep(0)
        return f"sorry: {message}"

    class Answering:
        title = "Dr"

        @tracker.agent("airline", fallback=sorry)
        def answer(self, message: str, *, name: str) -> str:
            raise ValueError(message)

    @tracker.agent("airline", fallback=asorry)
    async def answer(message: str) -> str:
        raise ValueError(message)

    outcome = Answering().answer.bind(**WHOSE)("BER", name="Ada")
    assert isinstance(outcome, Completed)
    assert (outcome.result, outcome.is_fallback) == ("sorry Dr Ada: BER", True)
    other = asyncio.run(answer.bind(**WHOSE)("JFK"))
    assert isinstance(other, Completed)
    assert (other.result, other.is_fallback) == ("sorry: JFK", True)


def test_a_fallback_that_fails_too(tracker: ExecutionTracker, colour: str) -> None:
    """The call has failed then, with both errors in the record, in the outcome and in the exception."""

    def sorry() -> str:
        raise KeyError("no canned answer")

    outcome = Agent(tracker, colour, ConnectionError("no model"), fallback=sorry)()
    assert isinstance(outcome, Failed)
    assert outcome.cause is Cause.FALLBACK
    assert "no canned answer" in outcome.error
    assert "it stood in for FAILED (RAISED): ConnectionError: no model" in outcome.error
    assert isinstance(outcome.exception, KeyError)
    assert isinstance(outcome.exception.__cause__, ConnectionError)
    assert tracker.get(outcome.execution_id).error == outcome.error


def test_a_fallback_has_time_of_its_own(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """A call that has run out of time is answered by its fallback, which has as long once more."""
    agent = Agent(tracker, "sync", pass_time(tracker, clock, 26.0), retry=AT_ONCE, fallback=lambda: "sorry")
    outcome = agent()
    assert isinstance(outcome, Completed)
    chain = tracker.attempts(outcome.execution_id)
    assert ends(chain) == [(1, TIMEOUT, Cause.DEADLINE), (2, COMPLETED, Cause.FALLBACK)]
    assert chain[1].timeout == 25.0


def test_no_fallback_for_who_is_cancelled(tracker: ExecutionTracker, colour: str) -> None:
    """Nobody waits for an answer to what was cancelled."""
    outcome = Agent(tracker, colour, cancel_it, fallback=lambda: "sorry")()
    assert ends(tracker.attempts(outcome.execution_id)) == [(1, CANCELLED, Cause.CANCELLED_BY_CALLER)]


def test_an_async_fallback_of_a_def(tracker: ExecutionTracker) -> None:
    """A `def` cannot wait for an `async def`, so that is refused when the function is decorated."""

    async def sorry() -> str:
        return "sorry"

    with pytest.raises(StateTypeError, match="must be one, not an `async def`"):
        tracker.agent("airline", fallback=sorry)(lambda: "answer")
