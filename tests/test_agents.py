"""`@tracker.agent`: each call of a function is one execution, and whatever it does comes back as an outcome."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runstate import (
    Cancelled,
    Cause,
    Completed,
    Died,
    ExecutionState,
    ExecutionTimeoutError,
    ExecutionTracker,
    Failed,
    FencedError,
    JournalUnavailableError,
    NotBoundError,
    NotJsonError,
    Outcome,
    StateTypeError,
    TimedOut,
    current,
)

from .clock import FakeClock
from .gated import GatedJournal, stored
from .stores import Store

WHOSE = {"thread_id": "t-1", "user_id": "u-1"}


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> str:
    """Whether the agent is a `def` or an `async def`."""
    return str(request.param)


def call(tracker: ExecutionTracker, colour: str, body: Callable[..., Any], *args: Any, **kwargs: Any) -> Outcome[Any]:
    """Track *body* as an agent of this colour, call it once, and return the outcome."""
    if colour == "sync":
        return tracker.agent("airline", timeout=25.0)(body).bind(**WHOSE)(*args, **kwargs)

    @tracker.agent("airline", timeout=25.0)
    async def agent(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        result = body(*args, **kwargs)
        await asyncio.sleep(0)
        return result

    return asyncio.run(agent.bind(**WHOSE)(*args, **kwargs))


RESULTS = ({"text": "hello"}, "hello", 1.5, [1, [2]], 0, "", [], {}, False, None, True)


@pytest.mark.parametrize("result", RESULTS, ids=repr)
def test_results_survive(store: Store, tracker: ExecutionTracker, colour: str, result: object) -> None:
    """A result, falsy ones too, comes back as the very object from the call, and equal with its type from the store."""
    outcome = call(tracker, colour, lambda: result)
    assert isinstance(outcome, Completed)
    assert outcome.result is result
    record = stored(store, outcome.execution_id)
    assert (record.state, record.cause) == (ExecutionState.COMPLETED, Cause.RETURNED)
    assert record.result == result
    assert type(record.result) is type(result)


def test_call_styles(tracker: ExecutionTracker) -> None:
    """Positional, keyword, default, variadic and keyword-only arguments reach the function as they were given."""

    @tracker.agent("styles")
    def sync_agent(a: int, /, b: int, *rest: int, c: int = 3, **more: int) -> list[Any]:
        """Its own words."""
        return [a, b, list(rest), c, more]

    @tracker.agent("styles")
    async def async_agent(a: int, /, b: int, *rest: int, c: int = 3, **more: int) -> list[Any]:
        return [a, b, list(rest), c, more]

    calls: tuple[tuple[tuple[int, ...], dict[str, int], list[Any]], ...] = (
        ((1, 2), {}, [1, 2, [], 3, {}]),
        ((1,), {"b": 2}, [1, 2, [], 3, {}]),
        ((1, 2, 4, 5), {"c": 6}, [1, 2, [4, 5], 6, {}]),
        (
            (1, 2),
            {"thread_id": 9, "user_id": 8, "timeout": 7},
            [1, 2, [], 3, {"thread_id": 9, "user_id": 8, "timeout": 7}],
        ),
    )
    for args, kwargs, expected in calls:
        for outcome in (
            sync_agent.bind(**WHOSE)(*args, **kwargs),
            asyncio.run(async_agent.bind(**WHOSE)(*args, **kwargs)),
        ):
            assert isinstance(outcome, Completed)
            assert outcome.result == expected
    assert (sync_agent.__name__, sync_agent.__doc__) == ("sync_agent", "Its own words.")


def test_what_bind_says_is_recorded(store: Store, tracker: ExecutionTracker, clock: FakeClock) -> None:
    """Thread, user, metadata and a limit of this one call are in the record; one binding serves many calls."""

    @tracker.agent("airline", timeout=25.0, heartbeat_timeout=5.0)
    def agent(message: str) -> str:
        return message.upper()

    bound = agent.bind(thread_id="t-9", user_id="u-9", timeout=3.0, metadata={"tier": "free"})
    first, second = bound("one"), bound("two")
    assert (first.result, second.result) == ("ONE", "TWO")
    assert first.execution_id != second.execution_id
    record = stored(store, first.execution_id)
    assert (record.agent, record.thread_id, record.user_id) == ("airline", "t-9", "u-9")
    assert (record.timeout, record.heartbeat_timeout, record.metadata) == (3.0, 5.0, {"tier": "free"})
    other = agent.bind(**WHOSE)("three")
    assert stored(store, other.execution_id).timeout == 25.0


def test_an_exception_becomes_the_outcome(store: Store, tracker: ExecutionTracker, colour: str) -> None:
    """What the function raises is `Failed`, with the exception object itself and its text."""
    error = ValueError("no such flight")

    def body() -> None:
        raise error

    outcome = call(tracker, colour, body)
    assert isinstance(outcome, Failed)
    assert (outcome.error, outcome.cause) == ("ValueError: no such flight", Cause.RAISED)
    assert outcome.exception is error
    record = stored(store, outcome.execution_id)
    assert (record.state, record.error) == (ExecutionState.FAILED, "ValueError: no such flight")


ENDS: dict[str, tuple[Callable[[], object], type, Cause]] = {
    "fails": (lambda: current().fail("said so"), Failed, Cause.REPORTED),
    "times out": (lambda: current().time_out("said so"), TimedOut, Cause.REPORTED),
    "cancels": (lambda: current().cancel("said so"), Cancelled, Cause.CANCELLED_BY_CALLER),
    "dies": (lambda: current().die(), Died, Cause.REPORTED),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_function_that_ends_itself(tracker: ExecutionTracker, colour: str, end: str) -> None:
    """An end that the function declares by `current()` is its outcome, whatever it returns afterwards."""
    declare, kind, cause = ENDS[end]

    def body() -> str:
        declare()
        return "ignored"

    outcome = call(tracker, colour, body)
    assert type(outcome) is kind
    assert outcome.cause is cause
    assert outcome.error == ("" if end == "dies" else "said so")
    assert outcome.exception is None


def test_a_passed_deadline_is_the_outcome(tracker: ExecutionTracker, clock: FakeClock, colour: str) -> None:
    """When the time limit passes during the call the outcome is `TimedOut`, with cause DEADLINE and the exception."""

    def body() -> str:
        clock.advance(26.0)
        assert tracker.sweep() == 1
        return "too late"

    outcome = call(tracker, colour, body)
    assert isinstance(outcome, TimedOut)
    assert (outcome.cause, outcome.error) == (Cause.DEADLINE, "the time limit of 25.0 s passed")
    assert isinstance(outcome.exception, ExecutionTimeoutError)
    assert outcome.evidence.observer == "deadline watch"


def test_a_death_is_the_outcome(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """When no beat comes for longer than the limit the outcome is `Died`, cause NO_HEARTBEAT."""

    @tracker.agent("airline", heartbeat_timeout=5.0)
    async def agent() -> None:
        clock.advance(6.0)
        assert tracker.sweep() == 1
        await asyncio.Event().wait()

    outcome = asyncio.run(agent.bind(**WHOSE)())
    assert isinstance(outcome, Died)
    assert (outcome.cause, outcome.evidence.last_beat_age) == (Cause.NO_HEARTBEAT, 6.0)
    assert isinstance(outcome.exception, FencedError)


def test_cancelled_by_id_is_the_outcome(tracker: ExecutionTracker, colour: str) -> None:
    """When somebody cancels the execution by id the outcome is `Cancelled`, and nothing is raised."""

    def body() -> str:
        tracker.update_execution_state(current().execution_id, ExecutionState.CANCELLED, error="user left")
        return "too late"

    outcome = call(tracker, colour, body)
    assert isinstance(outcome, Cancelled)
    assert (outcome.cause, outcome.error) == (Cause.CANCELLED_BY_CALLER, "user left")


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(2)], ids=repr)
def test_what_is_not_the_agents_doing_propagates(store: Store, tracker: ExecutionTracker, error: BaseException) -> None:
    """A cancellation, a Ctrl-C and an exit are no outcomes: they leave the call, and the execution is CANCELLED."""
    ids: list[str] = []

    @tracker.agent("airline")
    async def agent() -> None:
        ids.append(current().execution_id)
        raise error

    @tracker.agent("airline")
    def sync_agent() -> None:
        ids.append(current().execution_id)
        raise error

    async def main() -> None:
        with pytest.raises(type(error)) as left_by:
            await agent.bind(**WHOSE)()
        assert left_by.value is error

    asyncio.run(main())
    with pytest.raises(type(error)) as left_by:
        sync_agent.bind(**WHOSE)()
    assert left_by.value is error
    assert [stored(store, one).state for one in ids] == [ExecutionState.CANCELLED] * 2


@pytest.mark.parametrize(
    "result",
    [object(), {1: 2}, {1, 2}, (1, 2), float("nan"), b"x", "\ud800"],
    ids=["object", "key", "set", "tuple", "nan", "bytes", "surrogate"],
)
def test_a_result_that_json_cannot_carry_fails(tracker: ExecutionTracker, colour: str, result: object) -> None:
    """A result that would not come back equal is `Failed` with the `NotJsonError`, never stored changed."""
    outcome = call(tracker, colour, lambda: result)
    assert isinstance(outcome, Failed)
    assert outcome.cause is Cause.RAISED
    assert isinstance(outcome.exception, NotJsonError)
    assert tracker.get(outcome.execution_id).result_json is None


def test_an_unbound_call_is_refused(tracker: ExecutionTracker) -> None:
    """Calling an agent without `bind` raises `NotBoundError` and creates nothing."""

    @tracker.agent("airline")
    async def agent(message: str) -> str:
        return message

    call: Any = agent
    with pytest.raises(NotBoundError, match="bind") as refused:
        call("hello")
    assert refused.value.agent == "airline"
    assert isinstance(refused.value, TypeError)
    assert tracker.statistics().created == 0


def test_generators_are_refused(tracker: ExecutionTracker) -> None:
    """A generator function, async, partial or behind `__call__`, is refused when it is decorated, and so is a value."""

    def generator() -> Iterator[int]:
        yield 1

    async def async_generator() -> Any:
        yield 1

    class Streaming:
        def __call__(self) -> Iterator[int]:
            yield 1

    for refused in (generator, async_generator, functools.partial(generator), Streaming(), "a string", None):
        decorate: Any = tracker.agent("airline")
        with pytest.raises(StateTypeError):
            decorate(refused)


def test_partials_and_callable_objects(tracker: ExecutionTracker) -> None:
    """Partials and objects with `__call__` are agents of the colour of what they call."""

    async def answer(greeting: str, name: str) -> str:
        await asyncio.sleep(0)
        return f"{greeting} {name}"

    class Async:
        async def __call__(self, name: str) -> str:
            return await answer("hello", name)

    class Sync:
        def __call__(self, name: str) -> str:
            return f"hello {name}"

    decorator = tracker.agent("airline")
    for target in (functools.partial(answer, "hello"), Async()):
        outcome = asyncio.run(decorator(target).bind(**WHOSE)("Ann"))
        assert outcome.result == "hello Ann"
    for target in (functools.partial("hello {}".format), Sync()):
        assert decorator(target).bind(**WHOSE)("Ann").result == "hello Ann"


def test_a_bound_method_is_an_agent(tracker: ExecutionTracker) -> None:
    """An instance's own bound method can be decorated, and stays bound."""

    class Desk:
        def __init__(self, tracker: ExecutionTracker) -> None:
            self.answer = tracker.agent("airline")(self._answer)

        async def _answer(self, message: str) -> str:
            return f"desk: {message}"

    assert asyncio.run(Desk(tracker).answer.bind(**WHOSE)("hello")).result == "desk: hello"


def test_an_agent_inside_an_agent(tracker: ExecutionTracker) -> None:
    """An agent called by an agent is an execution of its own; its failure is a value for the caller to handle."""

    @tracker.agent("inner")
    async def inner() -> str:
        raise ValueError("inner")

    @tracker.agent("outer")
    async def outer() -> str:
        outcome = await inner.bind(**WHOSE)()
        assert isinstance(outcome, Failed)
        return f"went on after: {outcome.error}"

    outcome = asyncio.run(outer.bind(**WHOSE)())
    assert isinstance(outcome, Completed)
    assert outcome.result == "went on after: ValueError: inner"
    assert sorted((one.agent, one.state.name) for one in tracker.find()) == [
        ("inner", "FAILED"),
        ("outer", "COMPLETED"),
    ]


@pytest.mark.parametrize("noticed", ["during the call", "at its end"])
def test_a_broken_journal_costs_no_answer(store: Store, colour: str, noticed: str) -> None:
    """When the journal breaks the error is raised with the answer in `result`, and the answer is recorded later."""
    journal = GatedJournal(store.journal())
    with ExecutionTracker(journal) as tracker:

        def body() -> str:
            journal.failure = JournalUnavailableError("database or disk is full")
            if noticed == "during the call":
                tracker.create(agent="other", **WHOSE)
                with pytest.raises(JournalUnavailableError):
                    tracker.flush()
            return "it took a minute to compute"

        with pytest.raises(JournalUnavailableError) as left_by:
            call(tracker, colour, body)
        assert left_by.value.result == "it took a minute to compute"
        journal.failure = None
        tracker.flush()
        (record,) = tracker.find(agent="airline")
    assert record.result == "it took a minute to compute"
