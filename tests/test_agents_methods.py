"""`@tracker.agent` on what stands in a class: `bind` comes after Python has filled in the instance or the class."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest

from runstate import Completed, ExecutionTracker, Failed, NotBoundError, StateTypeError

from .gated import stored
from .stores import Store

WHOSE = {"thread_id": "t-1", "user_id": "u-1"}


def test_a_method_has_its_instance_filled_in(store: Store, tracker: ExecutionTracker) -> None:
    """`desk.answer.bind(…)(…)` takes the method's other parameters, sync and async; two instances do not mix."""

    class Desk:
        def __init__(self, name: str) -> None:
            self.name = name

        @tracker.agent("airline", timeout=25.0)
        def answer(self, message: str, *, loud: bool = False) -> str:
            """Its own words."""
            return f"{self.name}: {message}{'!' * loud}"

        @tracker.agent("airline")
        async def answer_later(self, message: str) -> str:
            await asyncio.sleep(0)
            return f"{self.name}: {message}"

    first, second = Desk("desk 1"), Desk("desk 2")
    bound = first.answer.bind(**WHOSE)
    assert second.answer.bind(**WHOSE)("hello").result == "desk 2: hello"
    outcome = bound("hello", loud=True)
    assert outcome.result == "desk 1: hello!"
    assert asyncio.run(first.answer_later.bind(**WHOSE)("hello")).result == "desk 1: hello"
    record = stored(store, outcome.execution_id)
    assert (record.agent, record.timeout, record.result) == ("airline", 25.0, "desk 1: hello!")
    assert (first.answer.name, first.answer.__name__, first.answer.__doc__) == ("airline", "answer", "Its own words.")


def test_a_method_looked_up_on_its_class_takes_the_instance(tracker: ExecutionTracker) -> None:
    """As with any function, the class gives the function itself, whose first argument is the instance."""

    class Desk:
        @tracker.agent("airline")
        def answer(self, message: str) -> str:
            return f"{type(self).__name__}: {message}"

    class Counter(Desk):
        """Inherits it."""

    assert Desk.answer is Desk.__dict__["answer"]
    assert Desk.answer.bind(**WHOSE)(Counter(), "hello").result == "Counter: hello"
    assert Counter().answer.bind(**WHOSE)("hello").result == "Counter: hello"


@pytest.mark.parametrize("kind", [staticmethod, classmethod])
@pytest.mark.parametrize("is_async", [False, True])
def test_static_and_class_methods(tracker: ExecutionTracker, kind: Any, is_async: bool) -> None:
    """A decorated `staticmethod` or `classmethod` is bound as Python binds it, and keeps its colour."""

    def sync_method(*args: object) -> int:
        return len(args)

    async def async_method(*args: object) -> int:
        await asyncio.sleep(0)
        return len(args)

    class Desk:
        answer = tracker.agent("airline")(kind(async_method if is_async else sync_method))

    filled_in = 1 if kind is classmethod else 0
    for agent in (Desk.answer, Desk().answer):
        outcome = agent.bind(**WHOSE)("hello")
        outcome = asyncio.run(outcome) if is_async else outcome
        assert isinstance(outcome, Completed)
        assert outcome.result == 1 + filled_in


def test_what_python_does_not_bind_is_not_bound(tracker: ExecutionTracker) -> None:
    """A `staticmethod` around an agent, a callable object and an attribute of the instance take what they are given."""

    class Says:
        def __call__(self, message: str) -> str:
            return f"says {message}"

    class Desk:
        @staticmethod
        @tracker.agent("airline")
        def static(message: str) -> str:
            return f"static {message}"

        says = tracker.agent("airline")(Says())

        def __init__(self) -> None:
            self.own = tracker.agent("airline")("own {}".format)

    desk = Desk()
    given = [agent.bind(**WHOSE)("hello").result for agent in (desk.static, desk.says, desk.own)]
    assert given == ["static hello", "says hello", "own hello"]


def test_a_wrapped_method_is_bound(tracker: ExecutionTracker) -> None:
    """A method behind `functools.wraps` gets its instance, and is async if what it wraps is."""

    def logged(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return function(*args)

        return wrapper

    class Desk:
        name = "desk 7"

        @tracker.agent("airline")
        @logged
        async def answer(self, message: str) -> str:
            return f"{self.name}: {message}"

    assert asyncio.run(Desk().answer.bind(**WHOSE)("hello")).result == "desk 7: hello"


def test_an_unbound_call_of_a_method_is_refused(tracker: ExecutionTracker) -> None:
    """A method that is called without `bind` is refused like any agent; what it raises is its outcome like any other's."""

    class Desk:
        @tracker.agent("airline")
        def answer(self, message: str) -> str:
            raise ValueError(message)

    call: Any = Desk().answer
    with pytest.raises(NotBoundError):
        call("hello")
    outcome = Desk().answer.bind(**WHOSE)("no seat")
    assert isinstance(outcome, Failed)
    assert outcome.error == "ValueError: no seat"


def test_below_classmethod_is_refused(tracker: ExecutionTracker) -> None:
    """`@classmethod` over a tracked agent, which Python 3.13 would call without `cls`, is refused where it is written."""
    with pytest.raises(StateTypeError, match="must stand above @classmethod"):

        class Support:
            @classmethod
            @tracker.agent("support")
            def answer(cls, question: str) -> str:
                return question
