"""`app`: one ASGI application over a tracker, to mount in any other or to run by itself."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Mount, Route, Router, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runstate import ExecutionTracker, StateTypeError

from ._access import Gate
from ._fanout import Fanout
from ._pages import Pages
from ._presence import Presence
from ._rates import Places
from ._reads import Reads
from ._receipts import Receipts
from ._refusals import RefusedError
from ._rest import Rest
from ._settings import Authorize, WebLimits
from ._stream import Sources
from ._streams import Streams

_logger = logging.getLogger("runstate.web")
_MISTAKE: Final = RefusedError(500, "internal", "the server has made a mistake, which is in its log")
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
"""What every response says to browsers."""


class WebApp:
    """The application. Make it with `app`; `await aclose()` before the server stops waiting for its streams."""

    presence: Presence
    """Which conversations have clients here, and what they were handed."""

    def __init__(
        self,
        tracker: ExecutionTracker,
        token: str | None,
        authorize: Authorize | None,
        limits: WebLimits,
        origins: Iterable[str],
        outbox: str | None,
    ) -> None:
        self._gate = Gate(
            limits, token, authorize, origins
        )  # first: it may refuse, and what is below begins a delivery
        self.presence = Presence()
        self._receipts = (
            None if outbox is None else Receipts(tracker, self.presence, outbox, operators=authorize is None)
        )
        self._reads = Reads(limits.readers, limits.waiting_reads)
        self._fanout = Fanout(tracker, self._reads, limits)
        sources = Sources(tracker, self._fanout, self._reads, self.presence, limits)
        rest = Rest(sources, self._gate)
        streams = Streams(sources, self._gate, Places(limits))
        self._router = Router(self._routes(rest, streams, Pages(self._gate)), redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI application."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        started = False
        scope = {**scope, "app": self}
        scope.pop("starlette.exception_handlers", None)  # what is wrong here is told here, whatever it is mounted in

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] in {"http.response.start", "websocket.http.response.start", "websocket.accept"}:
                started = True
                headers = MutableHeaders(raw=list(message.get("headers", [])))
                if message["type"] != "websocket.accept":
                    headers.update(_HEADERS)
                message["headers"] = headers.raw
            await send(message)

        try:
            self._gate.check_way(HTTPConnection(scope))
            await self._router(scope, receive, send_guarded)
        except RefusedError as refused:
            if started:
                raise
            await _deny(refused, scope, receive, send_guarded)
        except HTTPException as error:
            if started:
                raise
            no_such = RefusedError(error.status_code, _kind(error.status_code), error.detail, error.headers)
            await _deny(no_such, scope, receive, send_guarded)
        except Exception:
            if started:
                raise
            _logger.exception("a request has failed")
            await _deny(_MISTAKE, scope, receive, send_guarded)

    @property
    def is_local(self) -> bool:
        """Whether only this machine may come in."""
        return self._gate.is_local

    async def aclose(self) -> None:
        """End every stream, so that its client connects elsewhere or later, and let go of the journal. Safe to call again.

        To be awaited in the loop that the app runs in, before the server waits for its connections; `lifespan` comes after that.
        """
        await self._fanout.close()
        if self._receipts is not None:
            await self._reads.run(self._receipts.close)
        self._reads.close()

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._fanout.reopen()
                if self._receipts is not None:
                    await self._reads.run(self._receipts.reopen)
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _routes(self, rest: Rest, streams: Streams, pages: Pages) -> list[BaseRoute]:
        get, post = ["GET"], ["POST"]
        threads = Route("/threads/{thread_id:path}/events", _Endpoint(streams.events), methods=get)
        threads_sockets = WebSocketRoute("/ws/threads/{thread_id:path}", _Endpoint(streams.socket))
        for route in (threads, threads_sockets):  # a conversation may have any name, with line breaks too
            route.path_regex = re.compile(route.path_regex.pattern.removesuffix("$") + r"\Z", re.DOTALL)
        execution = "/api/executions/{execution_id}"
        return [
            Route("/api/executions", rest.executions, methods=get),
            Route(execution, rest.execution, methods=get),
            Route(f"{execution}/timeline", rest.timeline, methods=get),
            Route(f"{execution}/cancel", rest.cancel, methods=post),
            Route("/api/workers", rest.workers, methods=get),
            Route("/api/statistics", rest.statistics, methods=get),
            Route("/api/session", rest.session, methods=["POST", "DELETE"]),
            Route("/api/openapi.json", rest.openapi, methods=get),
            Route("/api/schema.json", rest.schema, methods=get),
            Route("/events", _Endpoint(streams.events), methods=get),
            threads,
            Route("/executions/{execution_id}/events", _Endpoint(streams.events), methods=get),
            WebSocketRoute("/ws/events", _Endpoint(streams.socket)),
            threads_sockets,
            WebSocketRoute("/ws/executions/{execution_id}", _Endpoint(streams.socket)),
            Route("/", pages.page, methods=get),
            Mount("/static", Router([Route("/{name}", pages.static, methods=get)], redirect_slashes=False)),
        ]


class _Endpoint:
    """An ASGI application as a route's endpoint: a plain function would be called with a request."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._application(scope, receive, send)


def app(
    tracker: ExecutionTracker,
    *,
    token: str | None = None,
    authorize: Authorize | None = None,
    limits: WebLimits | None = None,
    origins: Iterable[str] = (),
    outbox: str | None = None,
) -> WebApp:
    """Make the ASGI application for a tracker. It closes nothing of the tracker's; see `WebApp.aclose`.

    Without *token* and *authorize* only this machine may use it.

    Args:
        tracker: Whose executions it shows.
        token: What everybody must show; who does is an operator. At least 16 printable ASCII characters.
        authorize: The host application's own check, instead: a request's `Principal`, or None to refuse. One that is not async is
            called in a thread.
        limits: Budgets; None takes the defaults of `WebLimits`.
        origins: Of foreign pages that may use it all the same, such as `https://chat.example.com`.
        outbox: The name of an outbox whose notices are settled by what clients were handed, see docs/web.md; it is opened now. Every
            process that serves these clients gives the same name. None: none.

    Raises:
        StateTypeError: An argument has the wrong type.
        InvalidValueError: The token is too short, both *token* and *authorize* are given, an origin is none, or the tracker delivers
            the outbox already.
        JournalUnavailableError: There is to be an outbox, and the journal keeps no notices, or was opened read-only.
        JournalError: The outbox cannot be opened.
    """
    if not isinstance(tracker, ExecutionTracker):
        raise StateTypeError(f"tracker must be an ExecutionTracker, not {type(tracker).__qualname__}")
    if token is not None and not isinstance(token, str):
        raise StateTypeError(f"token must be a str, not {type(token).__qualname__}")
    if authorize is not None and not callable(authorize):
        raise StateTypeError(f"authorize must be a function, not {type(authorize).__qualname__}")
    if limits is not None and not isinstance(limits, WebLimits):
        raise StateTypeError(f"limits must be WebLimits, not {type(limits).__qualname__}")
    if isinstance(origins, str) or not isinstance(origins, Iterable):
        raise StateTypeError(f"origins must be a list of str, not {origins!r:.80}")
    return WebApp(tracker, token, authorize, limits if limits is not None else WebLimits(), origins, outbox)


async def _deny(refused: RefusedError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await receive()  # its wish to connect
        await send({"type": "websocket.close", "code": 1008, "reason": refused.kind})
        return
    await refused.response()(scope, receive, send)


def _kind(status: int) -> str:
    return {404: "not_found", 405: "method_not_allowed"}.get(status, "refused")
