"""A TCP relay between a client and a server, which can lose what passes through it: a network that fails where a test says so."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Relay:
    """Passes bytes on between clients and one server, until told otherwise.

    Args:
        port: The server's, on this machine.
    """

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)
        self._sockets = [socket.create_server(("127.0.0.1", 0))]
        self._threads: list[threading.Thread] = []
        self.port: int = self._sockets[0].getsockname()[1]
        self.loses_the_next_answer = False
        """Whether the next thing that the server says is swallowed, and the connection cut."""
        self.cut = threading.Event()
        """Set when a connection was cut for that."""
        self._begin(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for one in self._sockets:
            _cut(one)
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()

    def _begin(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the end, or a server that is down: then the client is told by a cut
            while True:
                client, _ = self._sockets[0].accept()
                self._sockets.append(client)
                server = socket.create_connection(self._server)
                self._sockets.append(server)
                self._begin(self._pass_on, client, server, False)
                self._begin(self._pass_on, server, client, True)

    def _pass_on(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError):  # the other direction was cut
            while data := source.recv(65_536):
                if is_answer and self.loses_the_next_answer:
                    self.loses_the_next_answer = False
                    self.cut.set()
                    break
                target.sendall(data)
        _cut(source)
        _cut(target)


def _cut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is cut already
        one.shutdown(socket.SHUT_RDWR)
