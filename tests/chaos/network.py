"""A network that fails where it is told to: TCP links that can be frozen, slowed down, reset and closed on one side only."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

RESET = struct.pack("ii", 1, 0)
"""Of SO_LINGER: closing forgets what was not sent, and the other side is told by a reset."""


class Network:
    """Links to one server, all carried by one thread.

    Args:
        host: The server's address.
        port: Its port.
    """

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()
        self._links: list[Link] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for link in self._links:
            self.do(link.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Have the network's thread do something, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def link(self) -> Link:
        """Make a link; its `port` on this machine leads to the server."""
        link = Link(self)
        self.do(link.open())
        self._links.append(link)
        return link


class Link:
    """One client's way to the server, for any number of connections. Made by `Network.link`."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._passable = asyncio.Event()
        self._passable.set()
        self._delay = 0.0
        self._ends: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    async def open(self) -> None:
        """Take connections from now on."""
        self._server = await asyncio.start_server(self._carry, sock=self._listener)

    async def close(self) -> None:
        """Take no more, and end those that there are."""
        self._server.close()
        await self._break()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def freeze(self) -> None:
        """Let nothing pass, not even an end: as if the cable were cut. New connections are not answered either."""
        self._do(self._passable.clear)

    def thaw(self) -> None:
        """Let everything pass again, what was held back first."""
        self._do(self._passable.set)

    def slow_down(self, seconds: float) -> None:
        """Let everything that is sent take so much longer, each way; 0 ends that."""
        self._do(lambda: setattr(self, "_delay", seconds))

    def reset(self) -> None:
        """Reset all connections, for both sides."""
        self._network.do(self._break())

    def close_half(self, *, towards_client: bool) -> None:
        """Tell one side of every connection that the other has closed it; the other knows nothing of that."""

        def close() -> None:
            for client, server in self._ends:
                with suppress(OSError):
                    (client if towards_client else server).write_eof()

        self._do(close)

    def _do(self, work: Callable[[], object]) -> None:
        async def done() -> None:
            work()

        self._network.do(done())

    async def _break(self) -> None:
        for ends in self._ends:
            for one in ends:
                with suppress(OSError):  # it is closed already
                    one.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                one.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._passable.wait()
            try:
                from_server, server = await asyncio.open_connection(*self._network.target)
            except OSError:  # the server is down
                client.transport.abort()
                return
            self._ends.add((client, server))
            await asyncio.gather(self._pump(reader, server), self._pump(from_server, client))
            self._ends.discard((client, server))
            for one in (client, server):
                one.close()
        except asyncio.CancelledError:
            client.transport.abort()
        finally:
            self._tasks.discard(task)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._passable.wait()
                target.write(data)
                await target.drain()
            await self._passable.wait()
            target.write_eof()
        except (
            OSError,
            RuntimeError,
        ):  # one of the two sides is gone, or was told so (it takes nothing more): so is the other
            target.transport.abort()
