"""The app on a server of its own: uvicorn, set up for streams that may last for hours.

- It is stopped in order: the streams end first, each told why, and then the server; one more signal ends it at once.
- What a client has not taken for 30 seconds is dropped by the kernel (TCP_USER_TIMEOUT), so that a connection whose client sleeps holds
  nothing for ever.
- WebSocket messages are not compressed: for each of thousands of streams that would take more memory than all else.
- Whatever a proxy says about who asks is not believed.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import uvicorn

from runstate import InvalidValueError, RunstateError

from ._access import is_loopback
from ._app import WebApp
from ._settings import WebLimits

PORT: Final = 8305
_BACKLOG: Final = 4_096
_UNTAKEN_MS: Final = 30_000
_GRACE: Final = 5
"""Seconds that requests under way have to finish when the server stops."""


class AddressError(RunstateError):
    """The server cannot listen where it should.

    Attributes:
        host: The address.
        port: The port.
    """

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host}, port {port}: {reason}; choose another port, or stop who has it")
        self.host = host
        self.port = port


class WebServer(uvicorn.Server):
    """A server that ends the app's streams before it waits for its connections.

    Args:
        app: What it serves.
        host: The address to listen on. Others than the loopback's need an app with a token or with the host's own check.
        port: The port; 0 takes a free one.
        limits: Those of the app.

    Raises:
        InvalidValueError: Nobody could come in, or the address is none.
        AddressError: The address is taken, or not this machine's.
    """

    def __init__(
        self, app: WebApp, *, host: str = "127.0.0.1", port: int = PORT, limits: WebLimits | None = None
    ) -> None:
        limits = limits if limits is not None else WebLimits()
        if app.is_local and not is_loopback(host):
            expected = (
                "the loopback's, such as 127.0.0.1, for an app without a token: from elsewhere nobody may come in"
            )
            raise InvalidValueError("host", host, expected)
        self.app = app
        self.listening: socket.socket = _listen(host, port)
        """The socket that it listens on; who has made the server and never runs it closes that."""
        self.port: int = self.listening.getsockname()[1]
        self.host = host
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=_BACKLOG,
                ws="websockets-sansio",
                ws_max_size=4 * limits.message_bytes,
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=_GRACE,
            )
        )

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal comes, or `should_exit` is set."""
        asyncio.run(self.serve(sockets))

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Do what `run` does, in the running loop."""
        await super().serve(sockets if sockets is not None else [self.listening])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: streams first."""
        await self.app.aclose()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stop in order at the first signal and at once at the second, and come back to the caller, who has a journal to close."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        self.force_exit: bool = self.should_exit
        self.should_exit: bool = True


def serve(
    app: WebApp,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    limits: WebLimits | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the app until the process gets SIGINT or SIGTERM. Blocks.

    Args:
        app: What `app` has made.
        host: The address to listen on. Others than the loopback's need an app with a token or with the host's own check.
        port: The port; 0 takes a free one.
        limits: Those of the app.
        ready: Called with the address once it is listened on.

    Raises:
        InvalidValueError: Nobody could come in, or the address is none.
        AddressError: The address is taken, or not this machine's.
    """
    server = WebServer(app, host=host, port=port, limits=limits)
    try:
        if ready is not None:
            ready(server.url)
        server.run()
    finally:
        server.listening.close()


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port < 1 << 16:
        raise InvalidValueError("port", port, "0 to 65,535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise InvalidValueError("host", host, f"an address of this machine ({error})") from error
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNTAKEN_MS)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise AddressError(host, port, error.strerror or str(error)) from error
    listening.setblocking(False)
    return listening
