"""How a stream goes to its client: as Server-Sent Events or over a WebSocket.

Both send with a limit on time. A client that is cut off while a write of its is under way gets a moment to finish it and is then told why
it is cut off; one that takes nothing at all is given up. Either way its queue was emptied when it was cut off: it holds no more memory than
one chunk, and nobody has waited for it.

Event streams are written here and not by sse-starlette: its responses look for the server behind the process's signal handlers and poll it,
and they cannot be cut off in the middle of a write. The format itself is three lines (`Frame.as_sse`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Final

from starlette.types import Message, Receive, Send

from ._frames import GONE, TALKS, TOO_LONG, Ending
from ._settings import WebLimits
from ._stream import Stream

_logger = logging.getLogger("runstate.web")
SSE_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),  # or nginx holds events back
]
_PING: Final = b": nothing new\n\n"


class _SilentClientError(Exception):
    """The client takes nothing any more."""


class _Writer:
    """Sends within the limits on time.

    Args:
        stream: Whose client it is.
        limits: How long a write may take.
        send: Writes one message of ASGI.
    """

    def __init__(self, stream: Stream, limits: WebLimits, send: Callable[[Message], Awaitable[None]]) -> None:
        self._stream = stream
        self._limits = limits
        self._send = send
        self._under_way: asyncio.Timeout | None = None
        stream.queue.when_ended = self._hurry

    async def __call__(self, message: Message) -> None:
        """Send one message.

        Raises:
            _SilentClientError: It took too long.
        """
        limit = self._limits.send_seconds if self._stream.queue.ending is None else self._limits.cut_seconds
        try:
            async with asyncio.timeout(limit) as self._under_way:
                await self._send(message)
        except TimeoutError:
            raise _SilentClientError from None
        finally:
            self._under_way = None

    def _hurry(self) -> None:
        """The stream ends: a write under way gets a moment to finish."""
        if self._under_way is not None and not self._under_way.expired():
            soon = asyncio.get_running_loop().time() + self._limits.cut_seconds
            self._under_way.reschedule(min(soon, self._under_way.when() or soon))


async def _watched(stream: Stream, incoming: Awaitable[None], outgoing: Awaitable[None]) -> None:
    """Send until the stream ends, and listen meanwhile."""
    listening = asyncio.ensure_future(incoming)
    try:
        await outgoing
    except _SilentClientError:
        ending = stream.queue.ending
        _logger.warning(
            "a client that takes nothing is given up (%s)", "a write hangs" if ending is None else ending.reason
        )
    except OSError:
        stream.queue.end(GONE)  # so says the server when a client has gone
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening


async def send_events(stream: Stream, limits: WebLimits, receive: Receive, send: Send) -> None:
    """Answer a request with an event stream. The stream is open; the caller closes it."""
    writer = _Writer(stream, limits, send)

    async def outgoing() -> None:
        await writer({"type": "http.response.start", "status": 200, "headers": SSE_HEADERS})
        await writer(_body(_PING))  # what lies between sends the head on only with the first byte of a body
        async with aclosing(stream.batches()) as batches:
            async for batch in batches:
                await writer(_body(b"".join(frame.as_sse() for frame in batch.frames) or _PING))
                stream.handed(batch)
        ending = stream.queue.ending
        if ending is not None and ending is not GONE:
            await writer(_body(ending.frame().as_sse(), more=False))

    async def incoming() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass  # the body of a GET
        stream.queue.end(GONE)

    await _watched(stream, incoming(), outgoing())


async def send_messages(stream: Stream, limits: WebLimits, receive: Receive, send: Send) -> None:
    """Send a stream over a WebSocket that was accepted, and close that. The stream is open; the caller closes it."""
    writer = _Writer(stream, limits, send)

    async def outgoing() -> None:
        async with aclosing(stream.batches()) as batches:
            async for batch in batches:
                for frame in batch.frames:
                    await writer({"type": "websocket.send", "text": frame.data.decode()})
                stream.handed(batch)
        ending = stream.queue.ending
        if ending is not None and ending is not GONE:
            await writer(close_message(ending))

    async def incoming() -> None:
        while (message := await receive())["type"] != "websocket.disconnect":
            said: str | bytes = message.get("text") or message.get("bytes") or b""
            stream.queue.end(TOO_LONG if len(said) > limits.message_bytes else TALKS)
        stream.queue.end(GONE)

    await _watched(stream, incoming(), outgoing())


def close_message(ending: Ending) -> Message:
    """The message of ASGI that closes a WebSocket."""
    return {"type": "websocket.close", "code": ending.code, "reason": ending.message}


def _body(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}
