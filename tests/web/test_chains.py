"""Chains of attempts on the wire: their user is told one end, whoever follows one attempt is told its own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from runstate import ExecutionTracker
from runstate.web import Handed

from ..calling import AT_ONCE, Agent
from .lives import expected, stored
from .servers import PATIENCE, Message, Served, messages, serve, take, until
from .test_slow import wait_for


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


@pytest.mark.parametrize("is_live", [True, False], ids=["live", "read back"])
def test_who_follows_one_attempt_is_told_its_end(tracker: ExecutionTracker, served: Served, is_live: bool) -> None:
    """The stream of an execution ends with its own end, which says whether another attempt follows."""
    running, go_on = threading.Event(), threading.Event()

    def fails() -> str:
        running.set()
        go_on.wait(PATIENCE)
        raise ConnectionError("one")

    agent = Agent(tracker, "sync", fails, ValueError("two"), retry=AT_ONCE)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(agent)
        running.wait(PATIENCE)
        tracker.flush()
        first = tracker.find()[0].execution_id
        if not is_live:
            go_on.set()
            call.result()
        with served.events(f"/executions/{first}/events") as stream:
            take(stream, 1)
            go_on.set()
            got = list(stream)
        outcome = call.result()
    assert ends(got) == [("agent_error", 1, False)]
    assert got[-1].data["reason"] == "ended"
    with served.events(f"/executions/{outcome.execution_id}/events") as stream:
        assert ends(list(stream)) == [("agent_error", 2, True)]


def test_who_comes_in_the_middle_is_told_the_same(tracker: ExecutionTracker) -> None:
    """A client that resumes anywhere, at a server that has seen nothing before, gets of what is left what all others get."""
    Agent(tracker, "sync", ConnectionError("one"), ConnectionError("two"), ValueError("three"), retry=AT_ONCE)()
    tracker.flush()
    events = stored(tracker)
    wanted = expected(events, "client")
    assert [name for name, _ in wanted] == ["agent_started"] * 3 + ["agent_error"]
    for event in events[:-1]:
        with serve(tracker) as fresh, fresh.events(f"/threads/t-1/events?after={event.position}") as stream:
            got = until(stream, "agent_error")
        assert [(one.name, one.id) for one in got] == [one for one in wanted if int(one[1]) > event.position]
        assert ends(got) == [("agent_error", 3, True)]


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
