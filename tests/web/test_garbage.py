"""Garbage: WebSocket frames that are none, requests that are none, and texts that mean something elsewhere."""

from __future__ import annotations

import logging
import os
import random
import socket
import struct
from collections.abc import Iterator

import pytest

import runstate
from runstate import ExecutionState, ExecutionTracker, Phase

from .lives import live
from .servers import PATIENCE, Served, messages, serve, take
from .test_slow import wait_for, ws_request

PATHS = ["/ws/events", "/ws/threads/t-1", "/ws/threads/none"]
MARKUP = "</script><img src=x onerror=alert(1)>\"'&\u0085\u2028\u2029\x00\r\n\r\nevent: agent_completed\r\ndata: {}\r\n\r\n../../etc/passwd%00"


@pytest.fixture
def tracker() -> Iterator[ExecutionTracker]:
    """A tracker in memory: what a frame holds is not the store's business."""
    with runstate.open("memory:") as tracker:
        yield tracker


def opened(served: Served, path: str) -> socket.socket:
    """A raw WebSocket whose handshake is done."""
    client = socket.create_connection(served.address, PATIENCE)
    client.sendall(ws_request(path))
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(1)
    assert head.startswith(b"HTTP/1.1 101")
    return client


def frame(opcode: int, payload: bytes, *, fin: bool = True, masked: bool = True, reserved: int = 0) -> bytes:
    """A WebSocket frame, whole or wrong."""
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    mask = 0x80 if masked else 0
    if len(payload) < 126:
        head = struct.pack("!BB", first, mask | len(payload))
    elif len(payload) < 1 << 16:
        head = struct.pack("!BBH", first, mask | 126, len(payload))
    else:
        head = struct.pack("!BBQ", first, mask | 127, len(payload))
    return head + (b"\0\0\0\0" if masked else b"") + payload


def left(client: socket.socket) -> bytes:
    """Everything that comes until the server closes."""
    found = b""
    try:
        while piece := client.recv(65_536):
            found += piece
    except ConnectionResetError:
        pass
    return found


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(1, b"hello"), 1003),
        (frame(1, b'{"type": "subscribe", "thread_id": "t-2"}'), 1003),
        (frame(2, os.urandom(100)), 1003),
        (frame(1, b""), 1003),
        (frame(1, b"x" * 2_000), 1009),
        (frame(1, b"x" * 5_000), 1009),
        (frame(1, b"\xff\xfe"), 1007),
        (frame(1, b"x", masked=False), 1002),
        (frame(1, b"x", reserved=4), 1002),
        (frame(3, b"x"), 1002),
        (frame(9, b"x" * 126), 1002),
        (frame(0, b"x"), 1002),
        (frame(1, b"a", fin=False) + frame(1, b"b"), 1002),
        (frame(8, b"\x00"), 1002),
        (frame(8, struct.pack("!H", 999)), 1002),
        (struct.pack("!BBQ", 0x81, 0xFF, 1 << 62), 1009),
    ],
)
def test_frames_that_a_stream_has_no_use_for_close_it(served: Served, path: str, sent: bytes, code: int) -> None:
    """Each kind of frame that is wrong, too large or not asked for closes its own connection with the code for it."""
    with opened(served, path) as client:
        client.sendall(sent)
        said = client.recv(65_536)
        while b"\x88" not in said and (piece := client.recv(65_536)):
            said += piece
        client.sendall(frame(8, struct.pack("!H", 1000)))  # an answer to its close, which it waits for
        said += left(client)
    closes = [said[index + 2 : index + 4] for index in range(len(said)) if said[index : index + 1] == b"\x88"]
    assert struct.pack("!H", code) in closes
    wait_for(lambda: served.app._fanout.clients == 0)


@pytest.mark.parametrize("seed", range(6))
def test_random_bytes_harm_nobody(
    tracker: ExecutionTracker, served: Served, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    """After thousands of random bytes in random frames the server has logged no error, counts nobody, and serves on."""
    choose = random.Random(seed)
    with caplog.at_level(logging.WARNING):
        for _ in range(25):
            with opened(served, choose.choice(PATHS)) as client:
                for _ in range(choose.randint(1, 5)):
                    content = choose.randbytes(choose.choice([0, 1, 10, 125, 126, 1_000, 70_000]))
                    wrong = choose.random() < 0.3
                    sent = (
                        choose.randbytes(200)
                        if wrong
                        else frame(choose.randrange(16), content, fin=choose.random() < 0.8)
                    )
                    try:
                        client.sendall(sent)
                    except OSError:
                        break
        wait_for(lambda: served.app._fanout.clients == 0)
        live(tracker)
        with served.socket("/ws/threads/t-1") as connection:
            assert len(take(messages(connection), 6)) == 6
    wrong = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert [said for said in wrong if said != "Invalid UTF-8 sequence received from client."] == []  # so says uvicorn


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /api/executions?limit=%ff%fe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /api/executions/%ff%fe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /threads/%ff/events?after=%00 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: \xff\xfe\r\nConnection: close\r\n\r\n",
        b"GET //evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ],
)
def test_requests_that_are_none_are_refused(served: Served, request_line: bytes) -> None:
    """What is no request, or asks in no encoding, is answered with a status of the client's, never of the server's."""
    assert served.raw(request_line)[9:10] == b"4"


def test_no_text_leaves_its_place(tracker: ExecutionTracker, served: Served) -> None:
    """Markup, line breaks and paths in every field that a program can set stay text: in answers, and in streams."""
    text = MARKUP.replace("\x00", "")
    run = tracker.create(agent=text, thread_id=text, user_id=text, metadata={text: text}).run()
    run.phase(Phase.TOOL_EXECUTION, text)
    tracker.update_execution_state(run.execution_id, ExecutionState.FAILED, error=MARKUP)
    tracker.flush()
    for path in (
        "/api/executions",
        f"/api/executions/{run.execution_id}",
        f"/api/executions/{run.execution_id}/timeline",
    ):
        answer = served.http.get(path)
        assert answer.headers["content-type"] == "application/json"
        assert not set(answer.text) & set("<>&\n\r\u0085\u2028\u2029")
    for words, number in (("journal", 4), ("client", 3)):
        with served.events(f"/events?after=0&events={words}") as stream:
            got = take(stream, number)
        assert {one.data["thread_id"] for one in got} == {text}
        assert "agent_completed" not in [one.name for one in got]


def test_a_tracker_that_is_open_to_all_has_no_cross_origin_headers(tracker: ExecutionTracker) -> None:
    """No answer lets a page of another origin read it, whatever is asked."""
    with serve(tracker) as served:
        asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        answer = served.http.options("/api/executions", headers=asked)
        assert answer.status_code == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]
