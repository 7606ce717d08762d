"""`@tracker.agent` on wrappers: the colour of what they wrap, and work that a call leaves undone is refused."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from runstate import (
    AsyncAgent,
    Cause,
    Completed,
    ExecutionState,
    ExecutionTracker,
    StateTypeError,
    SyncAgent,
    current,
)

from .gated import stored
from .stores import Store

WHOSE = {"thread_id": "t-1", "user_id": "u-1"}


async def answer(message: str, said: str = "answer") -> str:
    """An agent that awaits."""
    await asyncio.sleep(0)
    return f"{said} to {message} in {current().agent}"


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap as most decorators in the wild do: a plain `def` that hands on what it was given."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Calls:
    """A callable object whose `__call__` is a coroutine function."""

    async def __call__(self, message: str, said: str = "answer") -> str:
        return await answer(message, said)


class CallsLogged:
    """A callable object whose `__call__` is wrapped."""

    __call__ = logged(Calls.__call__)


class Decorated:
    """A decorator that is a class."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)


ASYNC: dict[str, Callable[..., Any]] = {
    "wraps": logged(answer),
    "wraps of wraps": logged(logged(answer)),
    "partial": functools.partial(answer, said="answer"),
    "wraps of partial": logged(functools.partial(answer, said="answer")),
    "partial of wraps": functools.partial(logged(answer), said="answer"),
    "partial of a callable object": functools.partial(Calls(), said="answer"),
    "callable object": Calls(),
    "callable object, wrapped inside": CallsLogged(),
    "class as decorator": Decorated(answer),
    "wraps of a callable object": logged(Calls()),
    "bound method": Calls().__call__,
    "bound wrapper": CallsLogged().__call__,
    "staticmethod": staticmethod(answer),
    "staticmethod of wraps": staticmethod(logged(answer)),
    "cache": functools.lru_cache(maxsize=0)(answer),
}


@pytest.mark.parametrize("function", ASYNC.values(), ids=ASYNC.keys())
def test_what_wraps_a_coroutine_function_is_async(tracker: ExecutionTracker, function: Callable[..., Any]) -> None:
    """Whatever a coroutine function is wrapped in, its agent is async, and is awaited inside the execution."""
    agent = tracker.agent("airline")(function)
    assert type(agent) is AsyncAgent
    outcome = asyncio.run(agent.bind(**WHOSE)("hello"))
    assert isinstance(outcome, Completed)
    assert outcome.result == "answer to hello in airline"


def test_what_wraps_a_plain_function_is_sync(tracker: ExecutionTracker) -> None:
    """Wrapping does not make a plain function async, and a class is called for its instance, not for its `__call__`."""

    def plain(message: str) -> str:
        return message.upper()

    class Odd:
        def __init__(self, message: str) -> None:
            current().complete(message.upper())

        async def __call__(self) -> None: ...

    for function in (logged(plain), functools.partial(plain), Decorated(plain), staticmethod(plain)):
        outcome = tracker.agent("airline")(function).bind(**WHOSE)("hello")
        assert isinstance(outcome, Completed)
        assert outcome.result == "HELLO"
    assert type(tracker.agent("airline")(Odd)) is SyncAgent


def test_an_async_wrapper_is_async(tracker: ExecutionTracker) -> None:
    """What counts is the outermost function that is async, whatever it wraps: a plain function, or a generator."""

    def plain(message: str) -> str:
        return message

    async def stream(message: str) -> AsyncIterator[str]:
        yield message

    @functools.wraps(plain)
    async def wrapper(message: str) -> str:
        return await answer(plain(message))

    @functools.wraps(stream)
    async def collector(message: str) -> str:
        return "".join([part async for part in stream(message)])

    for function, said in ((wrapper, "answer to hello in airline"), (collector, "hello")):
        outcome = asyncio.run(tracker.agent("airline")(function).bind(**WHOSE)("hello"))
        assert outcome.result == said


def test_a_wrapper_that_runs_its_coroutine_itself(store: Store, tracker: ExecutionTracker) -> None:
    """A plain wrapper that has run the coroutine when it returns gives an async agent with the right answer."""

    async def doubled(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    @functools.wraps(doubled)
    def wrapper(number: int) -> int:
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(asyncio.run, doubled(number)).result()

    outcome = asyncio.run(tracker.agent("airline")(wrapper).bind(**WHOSE)(21))
    assert isinstance(outcome, Completed)
    assert outcome.result == 42
    assert stored(store, outcome.execution_id).result == 42


@pytest.mark.parametrize("depth", ["itself", "something new each time"])
def test_things_that_wrap_without_end(tracker: ExecutionTracker, depth: str) -> None:
    """What claims to wrap itself, or something new each time it is asked, is taken for what its call is."""

    class Endless:
        def __call__(self) -> str:
            return "done"

        @property
        def __wrapped__(self) -> Endless:
            return self if depth == "itself" else Endless()

    assert tracker.agent("airline")(Endless()).bind(**WHOSE)().result == "done"


# -- work instead of a result -----------------------------------------------------------------------------------------


class Promise:
    """Something to await that is neither a coroutine nor a future."""

    def __await__(self) -> Generator[Any, None, str]:
        yield from ()
        return "later"


def number_stream() -> Iterator[int]:
    """A generator."""
    yield 1


async def async_number_stream() -> AsyncIterator[int]:
    """An async generator."""
    yield 1


def a_future() -> Awaitable[str]:
    """A future, whose loop runs no more."""
    loop = asyncio.new_event_loop()
    try:
        return loop.create_future()
    finally:
        loop.close()


UNDONE: dict[str, Callable[[], Any]] = {
    "coroutine": lambda: answer("hello"),
    "future": a_future,
    "object with __await__": Promise,
    "generator": lambda: number_stream(),
    "generator, wrapped": logged(number_stream),
    "async generator, wrapped": logged(async_number_stream),
}


@pytest.mark.parametrize("work", UNDONE)
def test_work_instead_of_a_result_is_refused(store: Store, tracker: ExecutionTracker, work: str) -> None:
    """A plain function that returns an awaitable or a generator raises StateTypeError, and its execution is FAILED."""
    agent = tracker.agent("airline")(UNDONE[work])
    assert type(agent) is SyncAgent
    with pytest.raises(StateTypeError, match=r"'airline' .* returned work .*; make it `async def`") as refused:
        agent.bind(**WHOSE)()
    (record,) = tracker.find()
    record = stored(store, record.execution_id)
    assert (record.state, record.cause) == (ExecutionState.FAILED, Cause.RAISED)
    assert record.error == f"StateTypeError: {refused.value}"


def test_a_coroutine_that_was_refused_is_closed(tracker: ExecutionTracker) -> None:
    """The refused coroutine is closed, so that it can never run outside of the execution, nor warn that it has not."""
    returned = answer("hello")
    with pytest.raises(StateTypeError):
        tracker.agent("airline")(lambda: returned).bind(**WHOSE)()
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        returned.send(None)


def test_an_await_that_was_forgotten_is_refused(tracker: ExecutionTracker) -> None:
    """An async function that returns a coroutine instead of awaiting it is refused in the same way."""

    @tracker.agent("airline")
    async def agent(message: str) -> Any:
        return answer(message)

    async def main() -> None:
        with pytest.raises(StateTypeError, match="returned work that nobody has done"):
            await agent.bind(**WHOSE)("hello")

    asyncio.run(main())
    (record,) = tracker.find()
    assert record.state is ExecutionState.FAILED


def test_work_returned_after_an_end_by_hand_is_refused_too(store: Store, tracker: ExecutionTracker) -> None:
    """A function that has ended its execution by hand keeps that end, and its undone work is still refused."""

    def body() -> Any:
        current().fail("no seat")
        return answer("hello")

    with pytest.raises(StateTypeError):
        tracker.agent("airline")(body).bind(**WHOSE)()
    (record,) = tracker.find()
    assert (stored(store, record.execution_id).error, record.cause) == ("no seat", Cause.REPORTED)


def test_a_wrapper_that_reads_a_generator_to_its_end_is_an_agent(tracker: ExecutionTracker) -> None:
    """A plain function that wraps a generator and returns what it gave is not taken for a generator."""

    @functools.wraps(number_stream)
    def collector() -> list[int]:
        return list(number_stream())

    assert tracker.agent("airline")(collector).bind(**WHOSE)().result == [1]


def test_methods_that_are_generators_are_refused(tracker: ExecutionTracker) -> None:
    """A generator in a `staticmethod`, a `classmethod` or a bound method is refused when it is decorated."""

    class Streaming:
        def numbers(self) -> Iterator[int]:
            yield 1

    wrapped: list[Any] = [staticmethod(number_stream), classmethod(Streaming.numbers), Streaming().numbers]
    for function in wrapped:
        with pytest.raises(StateTypeError, match="no generator"):
            tracker.agent("airline")(function)
