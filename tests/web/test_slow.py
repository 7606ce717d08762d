"""Slow clients: cut off with a reason, or given up, while everybody else gets everything."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest

from runstate import ExecutionTracker, Subscription
from runstate.web import WebLimits, _reading, _stream
from runstate.web._frames import SLOW
from runstate.web._reading import Page

from .lives import begin, end, live, stored
from .servers import PATIENCE, Message, Served, messages, serve, take

QUEUED = 20
LIMITS = WebLimits(queued_events=QUEUED, cut_seconds=0.2, send_seconds=60.0)
BULK = "x" * 900_000
"""A result of this size fills what the kernel keeps for a client that reads nothing."""


def burst(tracker: ExecutionTracker, number: int) -> None:
    """Executions with large results, one after the other."""
    for _ in range(number):
        run = begin(tracker)
        run.complete(BULK)
        tracker.flush()


def narrow(served: Served, request: bytes) -> socket.socket:
    """A client with room for little, which has asked and reads nothing."""
    client = socket.socket()
    client.settimeout(PATIENCE)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.connect(served.address)
    client.sendall(request)
    return client


def sse_request(path: str) -> bytes:
    """A request for an event stream."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def ws_request(path: str) -> bytes:
    """A request for a WebSocket."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


def counted(served: Served) -> int:
    """How many clients the app counts."""
    return served.app._fanout.clients


def is_cut(served: Served) -> bool:
    """Whether a client is being cut off: it must not read before that, or it may be quick enough."""
    return any(queue.ending is SLOW for queue in list(served.app._fanout._all))


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    again = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        if condition():
            return
        again.wait(0.01)
    raise AssertionError("it has not come about")


@pytest.mark.parametrize("request_of", [sse_request, ws_request])
def test_who_reads_nothing_is_cut_off_and_delays_nobody(
    tracker: ExecutionTracker, request_of: Callable[[str], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """A client that reads nothing is given up with a line in the log, and all others get every event."""
    path = "/events" if request_of is sse_request else "/ws/events"
    with serve(tracker, LIMITS) as served, served.socket("/ws/events") as quick:
        silent = narrow(served, request_of(path))
        wait_for(lambda: counted(served) == 2)
        stream, got = messages(quick), list[Message]()
        for _ in range(60):
            burst(tracker, 1)
            got += take(stream, 4)
        wait_for(lambda: counted(served) == 1)
        assert [one.data["seq"] for one in got] == [1, 2, 3, 4] * 60
        wait_for(lambda: "a client that takes nothing is given up (slow)" in caplog.text)
        silent.close()


@pytest.mark.parametrize("transport", ["sse", "ws"])
def test_who_reads_too_slowly_is_told_why_and_resumes(tracker: ExecutionTracker, transport: str) -> None:
    """A client that is behind by more than its queue is told that it is slow, and gets the rest when it comes again."""
    limits = WebLimits(queued_events=QUEUED, cut_seconds=60.0)
    with serve(tracker, limits) as served:
        got: list[Message] = []
        if transport == "sse":
            with served.events("/events") as stream:
                burst(tracker, 60)
                wait_for(lambda: is_cut(served))
                got += list(stream)
            last = got.pop()
            assert (last.name, last.data["reason"]) == ("closed", "slow")
            assert last.id is None
        else:
            with served.socket("/ws/events", max_queue=1) as connection:
                burst(tracker, 60)
                wait_for(lambda: is_cut(served))
                got += list(messages(connection))
                assert connection.close_code == 1013
                assert (connection.close_reason or "").startswith("too many events wait")
        assert 0 < len(got) < 4 * 60
        with served.events("/events", last_event_id=got[-1].id or "") as stream:
            got += take(stream, 4 * 60 - len(got))
        assert [one.data["seq"] for one in got] == [1, 2, 3, 4] * 60


def test_a_long_past_cuts_nobody_off(tracker: ExecutionTracker) -> None:
    """Reading a past that is longer than the queue, while more happens than the queue holds, is not being slow."""
    for _ in range(300):
        end(tracker, begin(tracker))
    tracker.flush()
    with serve(tracker, LIMITS) as served, served.events("/events?after=0") as stream:
        got = take(stream, 10)
        for _ in range(200):
            end(tracker, begin(tracker))
        tracker.flush()
        got += take(stream, 500 * 4 - 10)
    positions = [one.data["position"] for one in got]
    assert positions == sorted(set(positions))
    assert len(positions) == 2_000


def test_who_reads_the_past_while_much_happens_joins_again(
    tracker: ExecutionTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client whose queue overflows while it reads its past gets all of it, and what happens afterwards, once."""
    pages = 0

    def read_page(subscription: Subscription) -> Page:
        nonlocal pages
        page, pages = _reading.read_page(subscription), pages + 1
        if pages <= 2:
            for _ in range(QUEUED):
                end(tracker, begin(tracker))
            tracker.flush()
            newest = stored(tracker)[-1].position
            wait_for(lambda: served.app._fanout._position >= newest)
        return page

    monkeypatch.setattr(_stream, "read_page", read_page)
    live(tracker)
    with serve(tracker, LIMITS) as served, served.events("/events?after=0") as stream:
        got = take(stream, 7 + 2 * QUEUED * 4)
        end(tracker, begin(tracker))
        got += take(stream, 4)
    assert [one.data["position"] for one in got] == [one.position for one in stored(tracker)]


def test_queues_are_bounded_in_bytes(tracker: ExecutionTracker) -> None:
    """A few large results are as much as many small events."""
    limits = WebLimits(queued_bytes=1_000_000, cut_seconds=60.0)
    with serve(tracker, limits) as served, served.socket("/ws/events", max_queue=1) as connection:
        burst(tracker, 60)
        wait_for(lambda: is_cut(served))
        assert 0 < len(list(messages(connection))) < 4 * 60
        assert connection.close_code == 1013


@pytest.mark.parametrize("limit", ["streams", "streams_per_user"])
def test_streams_are_counted(tracker: ExecutionTracker, limit: str) -> None:
    """One stream more than there may be is refused with what to do, and there is room again when one has gone."""
    from runstate.web import Principal

    limits = WebLimits(**{limit: 2})
    with serve(tracker, limits, authorize=lambda connection: Principal("ann")) as served:
        with served.events("/events") as one, served.socket("/ws/events"):
            refused = served.http.get("/events")
            assert refused.status_code == (503 if limit == "streams" else 429)
            assert refused.json()["error"]["kind"] == "too_many_streams"
            assert int(refused.headers["retry-after"]) > 0
            del one
        wait_for(lambda: served.app._fanout.clients == 0)
        run = begin(tracker, user_id="ann")
        with served.events("/events?after=0") as stream:
            assert next(stream).data["execution_id"] == run.execution_id
