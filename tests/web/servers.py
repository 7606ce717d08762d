"""A real server in a thread of this process, and clients that read its streams over real connections."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from runstate import ExecutionTracker
from runstate.web import WebApp, WebLimits, WebServer, app

PATIENCE = 30.0
"""Seconds after which a test gives up; none passes or fails by how long something took."""
ENDLESS = httpx.Timeout(PATIENCE)


class Message(NamedTuple):
    """One message of a stream."""

    name: str
    id: str | None
    data: dict[str, Any]


class Served:
    """An app on a server in a thread.

    Args:
        application: The app.
        limits: Its limits.
    """

    def __init__(self, application: WebApp, limits: WebLimits | None = None) -> None:
        self.app = application
        self.server = WebServer(application, port=0, limits=limits)
        self.url = self.server.url.rstrip("/")
        self.address = ("127.0.0.1", self.server.port)
        self.http = httpx.Client(base_url=self.url, timeout=ENDLESS)
        self._thread = threading.Thread(target=self.server.run, name="server")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.http.close()
        self.stop()

    def stop(self) -> None:
        """Stop it, and wait until it has stopped."""
        self.server.should_exit = True
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    @contextmanager
    def events(self, path: str, **headers: str) -> Iterator[Iterator[Message]]:
        """Read an event stream."""
        with self.http.stream(
            "GET", path, headers={name.replace("_", "-"): said for name, said in headers.items()}
        ) as answer:
            assert answer.status_code == 200, (answer.status_code, answer.read())
            yield parsed(answer)

    def socket(self, path: str, **more: Any) -> ClientConnection:
        """Open a WebSocket. Its client reads on by itself: one that stops cannot read the server's close either."""
        more = {"max_queue": None, "max_size": None, "compression": None, **more}
        return connect(f"ws{self.url.removeprefix('http')}{path}", open_timeout=PATIENCE, **more)

    def raw(self, request: bytes) -> bytes:
        """Send bytes, and return everything that comes until the server closes."""
        with socket.create_connection(self.address, PATIENCE) as connection:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(65_536), b""))


def serve(tracker: ExecutionTracker, limits: WebLimits | None = None, **more: Any) -> Served:
    """Serve a tracker."""
    return Served(app(tracker, limits=limits, **more), limits)


def parsed(answer: httpx.Response) -> Iterator[Message]:
    """Read the messages of an event stream, as a browser does."""
    name, place, data = "message", None, ""
    for line in answer.iter_lines():
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Message(name, place, json.loads(data))
            name, place, data = "message", None, ""
        elif field == "event":
            name = value
        elif field == "id":
            place = value
        elif field == "data":
            data += value


def messages(connection: ClientConnection) -> Iterator[Message]:
    """Read the messages of a WebSocket until it is closed."""
    while True:
        try:
            data = json.loads(connection.recv(PATIENCE))
        except ConnectionClosed:
            return
        yield Message(data.get("event") or data["kind"], data.get("id"), data)


def take(stream: Iterator[Message], number: int) -> list[Message]:
    """Read so many messages."""
    return [next(stream) for _ in range(number)]


def until(stream: Iterator[Message], name: str) -> list[Message]:
    """Read up to and with the first message of a name."""
    found: list[Message] = []
    for message in stream:
        found.append(message)
        if message.name == name:
            break
    return found
