"""The chat server: takes users' messages, hands them to worker processes, and lets users follow their conversations.

    python -m tests.golden.server URL SECRET LEASE TCP-FD UNIX-FD

It runs and tracks nothing itself. A message is accepted when a worker has said that its execution is durable, or that it was begun before.
If the worker dies before it has said so, the message goes to another one; its `message_id` makes that safe. Where the answer goes is not
the server's business: the final event comes by the stream of the conversation, `runstate.web`, whoever has run the agent.

Both sockets are made by who starts it, so connections wait while it is being started again.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from runstate import web

from .worker import LIMIT, opened

OUTBOX: Final = "chat"
GRACE: Final = 5


def token_of(user_id: str, secret: str) -> str:
    """What a user shows: the own name, signed."""
    return f"{user_id}.{hmac.digest(secret.encode(), user_id.encode(), hashlib.sha256).hex()}"


def user_of(connection: HTTPConnection, secret: str) -> str | None:
    """Whose token a request shows, or None."""
    token = connection.headers.get("authorization", "").removeprefix("Bearer ")
    user_id = token.rpartition(".")[0]
    return user_id if user_id and hmac.compare_digest(token, token_of(user_id, secret)) else None


class Crew:
    """The workers that are connected, and the messages that they have not yet said anything about."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._load: dict[asyncio.StreamWriter, set[int]] = {}
        self._waiting: dict[int, asyncio.Future[str | None]] = {}
        self._changed = asyncio.Event()
        self.handed_on = 0
        """Messages that were handed to another worker."""

    async def accept(self, message: dict[str, Any]) -> str:
        """Have a message answered; return the id of an execution of it, once that is durable."""
        for is_again in itertools.chain((False,), itertools.repeat(True)):
            self.handed_on += is_again
            if (execution_id := await self._hand(message)) is not None:
                return execution_id
            await asyncio.sleep(0.05)
        raise AssertionError("it is tried for ever")

    async def _hand(self, message: dict[str, Any]) -> str | None:
        while not self._load:
            self._changed.clear()
            await self._changed.wait()
        worker = min(self._load, key=lambda one: len(self._load[one]))
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._load[worker].add(number)
        worker.write(json.dumps({**message, "number": number}).encode() + b"\n")
        return await future

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Listen to one worker until it is gone."""
        try:
            while line := await reader.readline():
                self._hear(writer, json.loads(line))
        except ConnectionError:
            pass  # it was killed
        finally:
            for number in self._load.pop(writer, ()):
                self._settle(number, None)
            writer.close()

    def _hear(self, worker: asyncio.StreamWriter, said: dict[str, Any]) -> None:
        if said["word"] == "there":
            self._load[worker] = set()
            self._changed.set()
            return
        self._settle(said["number"], said.get("execution_id"))
        if said["word"] != "begun":
            self._load[worker].discard(said["number"])

    def _settle(self, number: int, execution_id: str | None) -> None:
        future = self._waiting.pop(number, None)
        if future is not None and not future.done():
            future.set_result(execution_id)


def application(runs: web.WebApp, crew: Crew, workers: socket.socket, secret: str) -> Starlette:
    """Make the chat application."""

    async def messages(request: Request) -> JSONResponse:
        user_id = user_of(request, secret)
        if user_id is None:
            return JSONResponse({"error": "show your token"}, 401)
        message = await request.json()
        execution_id = await crew.accept({**message, "user_id": user_id})
        return JSONResponse({"execution_id": execution_id}, 202)

    async def figures(request: Request) -> JSONResponse:
        return JSONResponse({"handed_on": crew.handed_on})

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with await asyncio.start_unix_server(crew.serve, sock=workers, limit=LIMIT):
            yield

    routes = [Route("/messages", messages, methods=["POST"]), Route("/figures", figures), Mount("/runs", runs)]
    return Starlette(routes=routes, lifespan=lifespan)


class Server(uvicorn.Server):
    """Ends the streams before it waits for its connections."""

    def __init__(self, config: uvicorn.Config, runs: web.WebApp) -> None:
        super().__init__(config)
        self._runs = runs

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop."""
        await self._runs.aclose()
        await super().shutdown(sockets)


async def main(url: str, secret: str, lease: float, tcp: int, unix: int) -> None:
    """Serve until SIGTERM."""
    tracker = await opened(url, lease)
    limits = web.WebLimits(streams_per_user=1_024, requests_per_second=1_000.0, request_burst=5_000)

    def who(connection: HTTPConnection) -> web.Principal | None:
        user_id = user_of(connection, secret)
        return None if user_id is None else web.Principal(user_id=user_id)

    async def authorize(connection: HTTPConnection) -> web.Principal | None:
        return who(connection)

    runs = web.app(tracker, authorize=authorize, outbox=OUTBOX, limits=limits)
    config = uvicorn.Config(
        application(runs, Crew(), socket.socket(fileno=unix), secret),
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=GRACE,
    )
    server = Server(config, runs)
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    await server.serve([socket.socket(fileno=tcp)])
    await asyncio.to_thread(tracker.close)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])))
