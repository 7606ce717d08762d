"""Chains of attempts on the wire: their user is told one end, whoever follows one attempt is told its own."""

from __future__ import annotations

from typing import Any

import pytest

from runstate import Execution, ExecutionState, ExecutionTracker, Phase
from runstate.web import Handed

from ..calling import AT_ONCE, Agent
from .lives import begin, end, expected, stored
from .servers import Message, Served, messages, serve, take, until
from .test_slow import wait_for

FAILED = ExecutionState.FAILED


def follow(tracker: ExecutionTracker, run: Execution[Any]) -> Execution[Any]:
    """Begin the next attempt while the one before it is live, as a call that is tried again does."""
    return tracker.create(agent="air", thread_id="t-1", user_id="ann", timeout=3_600.0, retry_of=run.execution_id)


def ends(got: list[Message]) -> list[tuple[str, int, bool]]:
    """The ends among some messages: their name, their attempt, and whether nothing follows."""
    return [(one.name, one.data["attempt"], one.data["is_final"]) for one in got if "is_final" in one.data]


@pytest.mark.parametrize("transport", ["sse", "ws"])
def test_a_chain_has_one_final_event(tracker: ExecutionTracker, served: Served, transport: str) -> None:
    """A call that is tried again tells its conversation one end, and each event says which attempt at which message it is of."""
    agent = Agent(tracker, "sync", ConnectionError("one"), TimeoutError("two"), "answer", retry=AT_ONCE)
    outcome = agent(message_id="m-1")
    tracker.flush()
    if transport == "sse":
        with served.events("/threads/t-1/events") as stream:
            got = until(stream, "agent_completed")
    else:
        with served.socket("/ws/threads/t-1") as connection:
            got = until(messages(connection), "agent_completed")
    assert [(one.name, one.data["attempt"]) for one in got] == [
        *(("agent_started", 1), ("agent_started", 2), ("agent_started", 3)),
        ("agent_completed", 3),
    ]
    chain = tracker.attempts(outcome.execution_id)
    assert [one.data["execution_id"] for one in got[:3]] == [one.execution_id for one in chain]
    assert [one.data["retry_of"] for one in got[:3]] == [None, chain[0].execution_id, chain[0].execution_id]
    assert {one.data["message_id"] for one in got} == {"m-1"}
    assert ends(got) == [("agent_completed", 3, True)]


def test_who_follows_one_attempt_is_told_its_end(tracker: ExecutionTracker, served: Served) -> None:
    """The stream of an execution ends with its own end, which says whether another attempt follows, live or read back."""
    first = begin(tracker)
    with served.events(f"/executions/{first.execution_id}/events") as stream:
        take(stream, 1)
        second = follow(tracker, first).start().run()
        end(tracker, first, FAILED)
        live = list(stream)
    assert ends(live) == [("agent_error", 1, False)]
    assert live[-1].data["reason"] == "ended"
    with served.events(f"/executions/{first.execution_id}/events") as stream:
        assert list(stream)[1:] == live
    end(tracker, second, FAILED)
    with served.events(f"/executions/{second.execution_id}/events") as stream:
        assert ends(list(stream)) == [("agent_error", 2, True)]


def test_who_comes_in_the_middle_is_told_the_same(tracker: ExecutionTracker, served: Served) -> None:
    """A client that resumes after the next attempt was created, at a server that has seen nothing before, gets what all get."""
    first = begin(tracker)
    first.phase(Phase.THINKING)
    second = follow(tracker, first)
    other = begin(tracker)
    tracker.flush()
    place = stored(tracker)[-1].position
    with serve(tracker) as another, another.events(f"/threads/t-1/events?after={place}") as stream:
        end(tracker, first, FAILED)
        end(tracker, other, FAILED)
        end(tracker, second.start().run())
        got = until(stream, "agent_completed")
    wanted = [one for one in expected(stored(tracker), "client") if int(one[1].split(".")[0]) > place]
    assert [(one.name, one.id) for one in got] == wanted
    assert ends(got) == [("agent_error", 1, True), ("agent_completed", 2, True)]
    assert got[0].data["execution_id"] == other.execution_id
    with served.events(f"/threads/t-1/events?after={place}") as stream:
        assert until(stream, "agent_completed") == got


def test_operators_are_told_every_end(tracker: ExecutionTracker, served: Served) -> None:
    """In the journal's own words the end of each attempt is told."""
    Agent(tracker, "sync", ConnectionError("one"), "answer", retry=AT_ONCE)()
    tracker.flush()
    with served.events("/threads/t-1/events?events=journal") as stream:
        got = take(stream, len(stored(tracker)))
    assert [one.data["target"] for one in got if one.data.get("cause")] == ["failed", "completed"]


def test_only_the_last_end_counts_as_handed(tracker: ExecutionTracker, served: Served) -> None:
    """Presence tells of the end that answers, and not of an attempt's that another follows."""
    handed: list[Handed] = []
    served.app.presence.listen(handed.append)
    with served.events("/threads/t-1/events") as stream:
        outcome = Agent(tracker, "sync", ConnectionError("one"), "answer", retry=AT_ONCE)()
        until(stream, "agent_completed")
        wait_for(lambda: bool(handed))
    assert [one.event.entry.execution_id for one in handed] == [outcome.execution_id]
