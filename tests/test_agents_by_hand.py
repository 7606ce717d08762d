"""Agents that complete their execution by hand: what is recorded is what the outcome says, or the call raises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from runstate import (
    Completed,
    ExecutionState,
    ExecutionTracker,
    Failed,
    InvalidTransitionError,
    NotJsonError,
    Outcome,
    current,
)

from .gated import stored
from .stores import Store

WHOSE = {"thread_id": "t-1", "user_id": "u-1"}


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> str:
    """Whether the agent is a `def` or an `async def`."""
    return str(request.param)


def call(tracker: ExecutionTracker, colour: str, body: Callable[[], object]) -> Outcome[Any]:
    """Track *body* as an agent of this colour, and call it."""
    if colour == "sync":
        return tracker.agent("airline")(body).bind(**WHOSE)()

    @tracker.agent("airline")
    async def agent() -> object:
        return body()

    return asyncio.run(agent.bind(**WHOSE)())


def completing(recorded: object, returned: object) -> Callable[[], object]:
    """Make a function that records one thing and returns another."""

    def body() -> object:
        current().complete(recorded)
        return returned

    return body


@pytest.mark.parametrize("recorded", ["a", {"a": [1]}, 0, False, "", None], ids=repr)
def test_a_function_that_returns_nothing(
    store: Store, tracker: ExecutionTracker, colour: str, recorded: object
) -> None:
    """A function that completes by hand and returns None has the recorded result as its outcome."""
    outcome = call(tracker, colour, completing(recorded, None))
    assert isinstance(outcome, Completed)
    assert outcome.result == recorded
    assert type(outcome.result) is type(recorded)
    assert stored(store, outcome.execution_id).result == recorded


@pytest.mark.parametrize("result", ["a", {"a": [1], "b": {"c": None, "d": 1.5}}, 0, [], False], ids=repr)
def test_a_function_that_returns_what_it_recorded(tracker: ExecutionTracker, colour: str, result: Any) -> None:
    """Returning the recorded result too is no mistake, in whatever order its keys come; the outcome has the very object."""
    returned = dict(reversed(result.items())) if isinstance(result, dict) else result
    outcome = call(tracker, colour, completing(result, returned))
    assert isinstance(outcome, Completed)
    assert outcome.result is returned


@pytest.mark.parametrize(
    ("recorded", "returned"),
    [("a", "b"), (None, "b"), (0, False), (1, 1.0), ({"a": 1}, {"a": True}), ("", [])],
    ids=repr,
)
def test_a_function_that_returns_something_else(
    store: Store, tracker: ExecutionTracker, colour: str, recorded: object, returned: object
) -> None:
    """Returning another result than the recorded one raises, says which two there were, and changes nothing."""
    with pytest.raises(InvalidTransitionError) as refused:
        call(tracker, colour, completing(recorded, returned))
    record = stored(store, refused.value.execution_id)
    assert (record.state, record.result) == (ExecutionState.COMPLETED, recorded)
    assert (refused.value.source, refused.value.target) == (ExecutionState.COMPLETED, ExecutionState.COMPLETED)
    (note,) = refused.value.__notes__
    assert f"completed with {recorded!r} and then returned {returned!r}; return the same, or None" in note
    assert tracker.statistics().refused == 1


def test_a_return_value_that_json_cannot_carry(store: Store, tracker: ExecutionTracker, colour: str) -> None:
    """After an end by hand a return value that could never be recorded raises `NotJsonError`; the record stays."""
    with pytest.raises(NotJsonError):
        call(tracker, colour, completing("a", {1, 2}))
    (record,) = tracker.find()
    assert stored(store, record.execution_id).result == "a"


def test_the_result_recorded_by_id_counts_as_well(tracker: ExecutionTracker) -> None:
    """A different result that was recorded by id is not hidden behind the returned one either."""

    def body() -> str:
        tracker.update_execution_state(current().execution_id, ExecutionState.COMPLETED, result="a")
        return "b"

    with pytest.raises(InvalidTransitionError) as refused:
        call(tracker, "sync", body)
    assert "completed with 'a' and then returned 'b'" in refused.value.__notes__[0]


def test_an_unhappy_end_by_hand_is_the_outcome(tracker: ExecutionTracker, colour: str) -> None:
    """After an unhappy end the outcome is that, with any return value: nobody is told that it went well."""

    def body() -> set[int]:
        current().fail("no seat")
        return {1, 2}

    outcome = call(tracker, colour, body)
    assert isinstance(outcome, Failed)
    assert outcome.error == "no seat"
