"""The streams' addresses: `/events`, `/threads/{thread_id}/events`, `/executions/{execution_id}/events`, and the same below `/ws`."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from runstate import ExecutionRecord, RunstateError

from ._access import Gate
from ._asking import invalid, parameters
from ._fanout import Wanted
from ._frames import Ending, Vocabulary
from ._place import BEGINNING, PRESENT, Place, parse_place
from ._rates import Places
from ._refusals import RefusedError, refusal_of, unknown_execution
from ._settings import Principal
from ._stream import Sources, Stream
from ._transport import SSE_HEADERS, close_message, send_events, send_messages

_KNOWN: Final = frozenset({"events", "after"})
_REASON_BYTES: Final = 123
"""What a close frame has room for."""


class Streams:
    """Both kinds of stream, as ASGI applications for routes that set `thread_id` or `execution_id`, or neither.

    Args:
        sources: Where events come from.
        gate: Who may read.
        places: How many streams may be open.
    """

    def __init__(self, sources: Sources, gate: Gate, places: Places) -> None:
        self._sources = sources
        self._gate = gate
        self._places = places

    async def events(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with Server-Sent Events."""
        connection = HTTPConnection(scope, receive)
        principal = await self._gate.admit(connection)
        if scope["method"] == "HEAD":
            await send({"type": "http.response.start", "status": 200, "headers": SSE_HEADERS})
            await send({"type": "http.response.body"})
            return
        self._places.take(principal)
        try:
            stream = await self._stream(connection, principal)
            try:
                await stream.open()
                if stream.is_spent:
                    await Response(status_code=204)(scope, receive, send)  # an EventSource stops asking
                else:
                    await send_events(stream, self._sources.limits, receive, send)
            finally:
                stream.close()
        finally:
            self._places.give_back(principal)

    async def socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send over a WebSocket. Who may not read is refused before it is accepted; what else is wrong is the reason of its close."""
        connection = HTTPConnection(scope, receive)
        principal = await self._gate.admit(connection)
        self._places.take(principal)
        try:
            await receive()  # its wish to connect
            stream: Stream | None = None
            try:
                stream = await self._stream(connection, principal)
                await stream.open()  # so that a client that is accepted misses nothing from then on
            except RefusedError as refused:
                await send({"type": "websocket.accept"})
                await send(close_message(_ending(refused)))
            else:
                await send({"type": "websocket.accept"})
                await send_messages(stream, self._sources.limits, receive, send)
            finally:
                if stream is not None:
                    stream.close()
        finally:
            self._places.give_back(principal)

    async def _stream(self, connection: HTTPConnection, principal: Principal) -> Stream:
        thread_id: str | None = connection.path_params.get("thread_id")
        execution_id: str | None = connection.path_params.get("execution_id")
        said = parameters(connection, _KNOWN)
        usual = Vocabulary.JOURNAL if thread_id is None and execution_id is None else Vocabulary.CLIENT
        words = said.get("events", usual.value)
        if words not in {one.value for one in Vocabulary}:
            raise invalid(f"events must be {' or '.join(one.value for one in Vocabulary)}")
        vocabulary = Vocabulary(words)
        place = _place(connection.headers, said.get("after"), vocabulary)
        if place is None:
            place = PRESENT if thread_id is None and execution_id is None else BEGINNING
        record = None if execution_id is None else await self._record(execution_id, principal)
        wanted = Wanted(execution_id, thread_id, principal.user_id)
        return Stream(self._sources, principal, wanted, vocabulary, place, record)

    async def _record(self, execution_id: str, principal: Principal) -> ExecutionRecord:
        try:
            record = await self._sources.reads.run(self._sources.tracker.get, execution_id)
        except RunstateError as error:
            raise refusal_of(error) from error
        if not principal.may_see(record.user_id):
            raise unknown_execution(execution_id)
        return record


def _place(headers: Headers, after: str | None, vocabulary: Vocabulary) -> Place | None:
    """Where to resume: what the browser says by itself when it connects again goes before what stands in the address."""
    last = headers.get("last-event-id") or after
    return None if last is None else parse_place(last, vocabulary)


def _ending(refused: RefusedError) -> Ending:
    code = 1013 if refused.status >= 500 else 4000 + refused.status
    message = refused.message.encode()[:_REASON_BYTES].decode(errors="ignore")
    return Ending(refused.kind, code, message)
