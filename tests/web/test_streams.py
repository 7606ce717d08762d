"""Streams: what they tell, that each event comes once and in order, and that they resume exactly."""

from __future__ import annotations

import random
import threading

import pytest

from runstate import ExecutionState, ExecutionTracker, Limits, Phase
from runstate.web import WebLimits

from ..clock import FakeClock
from ..stores import Store
from .lives import ENDS, Traffic, begin, end, expected, live, stored
from .servers import Message, Served, messages, serve, take, until

both_vocabularies = pytest.mark.parametrize("vocabulary", ["journal", "client"])
both_transports = pytest.mark.parametrize("transport", ["sse", "ws"])


def read(served: Served, transport: str, path: str, query: str, number: int) -> list[Message]:
    """Read so many messages of a stream, then cut the connection; `number` 0 reads to its end."""
    if transport == "sse":
        with served.events(f"{path}/events?{query}") as stream:
            return take(stream, number) if number else list(stream)
    with served.socket(f"/ws{path}?{query}") as connection:
        stream = messages(connection)
        return take(stream, number) if number else list(stream)


@both_transports
@both_vocabularies
@pytest.mark.parametrize("seed", range(3))
def test_a_stream_that_is_cut_at_random_tells_each_event_once(
    tracker: ExecutionTracker, served: Served, transport: str, vocabulary: str, seed: int
) -> None:
    """What a client reads in pieces, resuming each time after the last id, is the journal, while that grows."""
    traffic = Traffic(tracker, seed)
    steps = threading.Thread(target=lambda: [traffic.step() for _ in range(250)])
    steps.start()
    cuts, got, place = random.Random(seed), [], "0"
    while True:
        wanted = expected(stored(tracker, thread_id="t-1"), vocabulary)
        left = len(wanted) - len(got)
        if not left and not steps.is_alive():
            break
        if left:
            piece = read(
                served, transport, "/threads/t-1", f"events={vocabulary}&after={place}", cuts.randint(1, min(left, 9))
            )
            got += piece
            place = piece[-1].id or ""
    steps.join()
    traffic.finish()
    wanted = expected(stored(tracker, thread_id="t-1"), vocabulary)
    if len(wanted) > len(got):
        got += read(served, transport, "/threads/t-1", f"events={vocabulary}&after={place}", len(wanted) - len(got))
    assert [(one.name, one.id) for one in got] == wanted


@both_vocabularies
def test_the_past_and_the_present_are_joined_without_a_seam(
    tracker: ExecutionTracker, served: Served, vocabulary: str
) -> None:
    """Clients that come while events are written get all of them, once and in order, whenever they come."""
    traffic = Traffic(tracker, 305)
    got: dict[int, list[Message]] = {}

    def follow(number: int) -> None:
        with served.events(f"/events?events={vocabulary}&after=0") as stream:
            for message in stream:
                got[number].append(message)
                if message.data.get("agent") == "last" and message.name in {"created", "agent_completed"}:
                    return

    clients = [threading.Thread(target=follow, args=(number,)) for number in range(8)]
    for number, client in enumerate(clients):
        got[number] = []
        client.start()
        for _ in range(40):
            traffic.step()
    traffic.finish()
    end(tracker, begin(tracker, agent="last"))
    tracker.flush()
    for client in clients:
        client.join()
    wanted = expected(stored(tracker), vocabulary)
    if vocabulary == "journal":
        wanted = wanted[: len(wanted) - 3]
    for received in got.values():
        assert [(one.name, one.id) for one in received] == wanted


@both_transports
@pytest.mark.parametrize("state", ENDS)
def test_every_end_is_one_final_event(
    tracker: ExecutionTracker, served: Served, transport: str, state: ExecutionState
) -> None:
    """The seven client events come in order with ids and names, and each end is exactly one final event."""
    run = begin(tracker)
    run.phase(Phase.THINKING)
    run.phase(Phase.TOOL_EXECUTION, "look_up")
    run.phase(Phase.TOOL_EXECUTION, "book")
    end(tracker, run, state)
    tracker.flush()
    got = read(served, transport, f"/executions/{run.execution_id}", "", 0)
    final = {ExecutionState.COMPLETED: "agent_completed", ExecutionState.DEAD: "agent_death"}.get(state, "agent_error")
    names = ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "tool_executing"]
    names += ["tool_completed"] if state is ExecutionState.COMPLETED else []
    got = [one for one in got if one.name != "closed"]
    assert [one.name for one in got] == [*names, final]
    assert [one.data["tool_name"] for one in got if one.name.startswith("tool")][:3] == ["look_up", "look_up", "book"]
    assert {one.data["execution_id"] for one in got} == {run.execution_id}
    assert {one.data["thread_id"] for one in got} == {"t-1"}
    assert got[-1].data["state"] == state.value
    assert got[-1].data["cause"] == tracker.get(run.execution_id).cause.value
    if state is ExecutionState.COMPLETED:
        assert got[-1].data["result"] == {"text": "done"}
    else:
        assert (got[-1].data["error"], got[-1].data["tool_name"]) == ("went wrong", "book")


def test_who_resumes_in_the_middle_knows_the_phase(tracker: ExecutionTracker, served: Served) -> None:
    """A client that resumes after `tool_executing` is told `tool_completed` with the tool's name, also by a new server."""
    run = begin(tracker)
    run.phase(Phase.TOOL_EXECUTION, "look_up")
    tracker.flush()
    with served.events("/threads/t-1/events") as stream:
        last = until(stream, "tool_executing")[-1]
    with served.events("/threads/t-1/events", last_event_id=last.id or "") as stream:
        run.phase(Phase.RESULT_PROCESSING)
        first, second = take(stream, 2)
    with serve(tracker) as another, another.events("/threads/t-1/events", last_event_id=last.id or "") as stream:
        assert take(stream, 2) == [first, second]
    assert (first.name, first.data["tool_name"]) == ("tool_completed", "look_up")
    assert (second.name, second.data["phase"]) == ("agent_thinking", "result_processing")
    assert first.id == f"{second.id}.0"


@both_transports
def test_who_resumes_within_one_entry_gets_its_second_event(
    tracker: ExecutionTracker, served: Served, transport: str
) -> None:
    """Between the two events of one entry a stream resumes with the second one."""
    run = begin(tracker)
    run.phase(Phase.TOOL_EXECUTION, "look_up")
    run.phase(Phase.TOOL_EXECUTION, "book")
    tracker.flush()
    whole = read(served, transport, "/threads/t-1", "", 4)
    assert read(served, transport, "/threads/t-1", f"after={whole[2].id}", 1) == [whole[3]]


def test_the_browsers_own_place_goes_before_the_address(tracker: ExecutionTracker, served: Served) -> None:
    """`Last-Event-ID` is what a browser sends when it connects again to the same address, and is where it resumes."""
    live(tracker)
    with served.events("/threads/t-1/events?after=0") as stream:
        whole = take(stream, 5)
    with served.events("/threads/t-1/events?after=0", last_event_id=whole[1].id or "") as stream:
        assert take(stream, 3) == whole[2:]


@both_transports
def test_a_stream_of_an_execution_ends_with_it(tracker: ExecutionTracker, served: Served, transport: str) -> None:
    """After the final event nothing comes but the end of the stream, with its reason."""
    run = begin(tracker)
    tracker.flush()
    timer = threading.Timer(0.05, end, (tracker, run))
    timer.start()
    path = f"/executions/{run.execution_id}"
    if transport == "sse":
        got = read(served, transport, path, "", 0)
        assert (got[-1].name, got[-1].data["reason"]) == ("closed", "ended")
        assert [one.name for one in got[:-1]] == ["agent_started", "agent_completed"]
    else:
        with served.socket(f"/ws{path}") as connection:
            assert [one.name for one in messages(connection)] == ["agent_started", "agent_completed"]
            assert (connection.close_code, connection.close_reason) == (
                1000,
                "the execution has ended; nothing comes after its end",
            )
    timer.join()


def test_a_browser_that_has_seen_the_end_stops_asking(tracker: ExecutionTracker, served: Served) -> None:
    """Resuming after the final event of an execution is answered with 204, which ends an EventSource."""
    execution_id = live(tracker)
    last = str(stored(tracker)[-1].position)
    answer = served.http.get(f"/executions/{execution_id}/events", headers={"Last-Event-ID": last})
    assert answer.status_code == 204


def test_events_of_all_begin_with_the_present(tracker: ExecutionTracker, served: Served) -> None:
    """`/events` without a place leaves out what was, and tells each entry of the journal as it is."""
    live(tracker)
    with served.events("/events") as stream:
        run = begin(tracker, "t-2")
        got = take(stream, 3)
    assert [one.data["seq"] for one in got] == [1, 2, 3]
    assert {one.data["execution_id"] for one in got} == {run.execution_id}
    assert [one.data["kind"] for one in got] == ["created", "transition", "transition"]


def test_the_position_of_a_listing_is_where_to_go_on(tracker: ExecutionTracker, served: Served) -> None:
    """A stream after a listing's position tells what the listing does not show."""
    live(tracker)
    listed = served.http.get("/api/executions").json()
    run = begin(tracker)
    with served.events(f"/events?after={listed['position']}") as stream:
        got = take(stream, 3)
    assert {one.data["execution_id"] for one in got} == {run.execution_id}


@pytest.mark.parametrize("transport", ["sse", "ws"])
def test_a_place_that_is_gone_is_said(store: Store, transport: str) -> None:
    """Whoever resumes where retention has removed what comes next is told so, and not given what is left."""
    limits, clock = Limits(retained_executions=1), FakeClock()
    with ExecutionTracker(store.journal(limits), limits=limits, clock=clock) as tracker:
        for _ in range(4):
            live(tracker)
            clock.advance(61.0)  # stores look for what is past its retention once a minute
        assert stored(tracker)[0].position > 2
        with serve(tracker) as served:
            if transport == "sse":
                answer = served.http.get("/threads/t-1/events?after=1")
                assert (answer.status_code, answer.json()["error"]["kind"]) == (410, "lagged")
            else:
                with served.socket("/ws/threads/t-1?after=1") as connection:
                    assert list(messages(connection)) == []
                    assert connection.close_code == 4410


def test_a_place_of_another_journal_is_refused(tracker: ExecutionTracker, served: Served) -> None:
    """A position that the journal has not come to is not waited for: what happens until then would be left out."""
    live(tracker)
    answer = served.http.get("/threads/t-1/events?after=1000000")
    assert (answer.status_code, answer.json()["error"]["kind"]) == (410, "lagged")


@pytest.mark.parametrize("transport", ["sse", "ws"])
def test_stopping_the_server_ends_streams_with_a_reason(tracker: ExecutionTracker, transport: str) -> None:
    """A client is told that the server goes away, and resumes at the next one."""
    with serve(tracker) as served:
        live(tracker)
        if transport == "sse":
            with served.events("/threads/t-1/events") as stream:
                take(stream, 6)
                served.server.should_exit = True
                rest = list(stream)
            assert [(one.name, one.data["reason"]) for one in rest] == [("closed", "shutdown")]
        else:
            with served.socket("/ws/threads/t-1") as connection:
                take(messages(connection), 6)
                served.server.should_exit = True
                assert list(messages(connection)) == []
                assert connection.close_code == 1001


@both_transports
def test_a_stream_is_renewed(tracker: ExecutionTracker, transport: str) -> None:
    """A stream that has reached its age ends with that as its reason, and so whoever may no longer read it is found out."""
    with serve(tracker, WebLimits(stream_seconds=0.05)) as served:
        if transport == "sse":
            with served.events("/threads/t-1/events") as stream:
                (last,) = list(stream)
            assert (last.name, last.data["reason"]) == ("closed", "renew")
        else:
            with served.socket("/ws/threads/t-1") as connection:
                assert list(messages(connection)) == []
                assert connection.close_code == 4401


def test_a_silent_stream_gives_signs_of_life(tracker: ExecutionTracker) -> None:
    """Between events an event stream carries comments, which no client sees as events."""
    with (
        serve(tracker, WebLimits(ping_seconds=0.01)) as served,
        served.http.stream("GET", "/threads/t-1/events") as answer,
    ):
        lines = [line for line, _ in zip(answer.iter_lines(), range(9), strict=False) if line]
    assert lines == [": nothing new"] * 5
