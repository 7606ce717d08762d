"""A relay in front of a PostgreSQL server, which can lose all connections and take no new ones: a partition, on demand."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeAlias
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

_SOCKETS: Final = ("/var/run/postgresql", "/tmp")  # noqa: S108 - where libpq looks for a server that is not named
_CHUNK: Final = 65_536
_Stream: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Relay:
    """Passes bytes on between clients and one server, until told otherwise. It has a thread with a loop of its own.

    Args:
        url: `postgresql://…`, where the server is.
    """

    def __init__(self, url: str) -> None:
        self._host, self._port = _address(url)
        self._writers: set[asyncio.StreamWriter] = set()
        self._is_down = False
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.url: str = _through(url, self._host, self._server.sockets[0].getsockname()[1])
        """The same database, through the relay."""
        self._thread = threading.Thread(target=self._loop.run_forever, name="runstate-relay", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self, duration: float) -> None:
        """Lose every connection now, and take no new one for so many seconds."""
        asyncio.run_coroutine_threadsafe(self._cut(duration), self._loop).result()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError):  # cut, or the server is not there: the client is told by a cut
            if not self._is_down:
                server = await self._connect()
                self._writers.add(server[1])
                await asyncio.gather(_pass_on(reader, server[1]), _pass_on(server[0], writer))
                self._lose(server[1])
        self._lose(writer)

    async def _connect(self) -> _Stream:
        if self._host.startswith("/"):
            return await asyncio.open_unix_connection(f"{self._host}/.s.PGSQL.{self._port}")
        return await asyncio.open_connection(self._host, self._port)

    async def _cut(self, duration: float) -> None:
        self._is_down = True
        for writer in list(self._writers):
            self._lose(writer)
        self._loop.call_later(duration, self._restore)

    def _restore(self) -> None:
        self._is_down = False

    def _lose(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.transport.abort()

    async def _end(self) -> None:
        self._server.close()
        await self._cut(0.0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # one side was cut
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


def _address(url: str) -> tuple[str, int]:
    """Where a URL leads: a host or the directory of a socket, and a port."""
    parts = urlsplit(url)
    asked = dict(parse_qsl(parts.query))
    host = asked.get("hostaddr") or asked.get("host") or unquote(parts.hostname or "") or os.environ.get("PGHOST", "")
    if not host:
        host = next((one for one in _SOCKETS if Path(one, ".s.PGSQL.5432").exists()), "localhost")
    return host, int(asked.get("port") or parts.port or os.environ.get("PGPORT", "5432"))


def _through(url: str, host: str, port: int) -> str:
    """The same URL, but by way of a port of this machine. A certificate is still held against the server's own name."""
    parts = urlsplit(url)
    login, at, _ = parts.netloc.rpartition("@")
    asked = {name: value for name, value in parse_qsl(parts.query) if name not in {"host", "hostaddr", "port"}}
    name = dict(parse_qsl(parts.query)).get("host") or unquote(parts.hostname or "") or host
    asked |= {"host": "127.0.0.1" if name.startswith("/") else name, "hostaddr": "127.0.0.1", "port": str(port)}
    return parts._replace(netloc=login + at, query=urlencode(asked)).geturl()
