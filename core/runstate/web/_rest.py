"""Requests and their answers: find, look at and cancel executions, workers, statistics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from runstate import ExecutionRecord, ExecutionState, RunstateError

from ._access import COOKIE, Gate
from ._asking import body_of, invalid, number, parameters, truth
from ._encoding import encode
from ._openapi import document as openapi_document
from ._plain import entry_data, record_data, rejected_data, request_data, worker_data
from ._reading import find_by_life
from ._refusals import RefusedError, refusal_of, unknown_execution
from ._schema import document as schema_document
from ._settings import Principal
from ._statistics import Statistics
from ._stream import Sources

Answer: TypeAlias = Callable[[Request], Awaitable[Response]]
_FILTERS: Final = frozenset({"state", "agent", "thread_id", "user_id", "live", "limit"})
_MOST: Final = 10_000
"""Executions that one answer may list."""


def json_response(data: object, status: int = 200) -> Response:
    """Answer with plain data."""
    return encoded_response(encode(data), status)


def encoded_response(encoded: bytes, status: int = 200) -> Response:
    """Answer with JSON that is encoded already."""
    return Response(encoded, status, media_type="application/json")


class Rest:
    """The answers, each for a request that has come through the gate's first step.

    Args:
        sources: Where they come from.
        gate: Who may ask.
    """

    def __init__(self, sources: Sources, gate: Gate) -> None:
        self._sources = sources
        self._gate = gate
        self._tracker = sources.tracker
        self._answer = sources.reads.answer
        self._statistics = Statistics(sources)

    async def executions(self, request: Request) -> Response:
        """List executions, the newest first, and the position from which a stream tells what has happened since."""
        principal = await self._gate.admit(request)
        said = parameters(request, _FILTERS)
        state = _state(said.get("state"))
        live = truth("live", said.get("live"))
        limit = number("limit", said.get("limit"), 100, _MOST)
        user_id = said.get("user_id", principal.user_id)
        position = await self._position()
        if user_id is not None and not principal.may_see(user_id):
            return json_response({"executions": [], "position": position})

        def listing() -> bytes:  # describing ten thousand executions would hold up the loop
            found = find_by_life(
                self._tracker,
                state=state,
                live=live,
                agent=said.get("agent"),
                thread_id=said.get("thread_id"),
                user_id=user_id,
                limit=limit,
            )
            full = principal.is_operator
            described = [record_data(record, full=full, bulk=False) for record in found]
            return encode({"executions": described, "position": position})

        return encoded_response(await self._answer(listing))

    async def execution(self, request: Request) -> Response:
        """Show one execution, the wish to have it cancelled, and an end of its that came too late."""
        principal, record = await self._visible(request)
        wish = await self._answer(self._tracker.cancel_request, record.execution_id)
        full = principal.is_operator
        data = {
            "execution": record_data(record, full=full),
            "cancel_request": None if wish is None else request_data(wish, full=full),
        }
        if full:
            rejected = await self._answer(self._tracker.rejected, record.execution_id)
            owner = await self._answer(self._tracker.worker, record.incarnation)
            data["rejected"] = None if rejected is None else rejected_data(rejected)
            data["owner"] = None if owner is None else worker_data(owner)
        return json_response(data)

    async def timeline(self, request: Request) -> Response:
        """Show the whole log of an execution."""
        principal, record = await self._visible(request)

        def log() -> bytes:
            entries = self._tracker.timeline(record.execution_id)
            described = [entry_data(entry, full=principal.is_operator) for entry in entries]
            return encode({"execution_id": record.execution_id, "entries": described})

        return encoded_response(await self._answer(log))

    async def cancel(self, request: Request) -> Response:
        """Have an execution cancelled, whichever process owns it."""
        principal, record = await self._visible(request)
        body = await body_of(request, self._sources.limits.body_bytes)
        reason = body.pop("reason", None)
        if body or not isinstance(reason, str | None):
            raise invalid('the body must be a JSON object with nothing but a "reason", which is text or null')
        wish = await self._answer(self._tracker.cancel, record.execution_id, reason)
        return json_response({"cancel_request": request_data(wish, full=principal.is_operator)}, 202)

    async def workers(self, request: Request) -> Response:
        """List the processes that share the journal. They are no user's business: a user's list is empty."""
        principal = await self._gate.admit(request)
        said = parameters(request, frozenset({"departed"}))
        departed = 0 if said.get("departed") == "0" else number("departed", said.get("departed"), 0, 1_000)
        if principal.is_operator:
            found = await self._answer(self._tracker.workers, departed=departed)
            return json_response({"workers": [worker_data(worker) for worker in found]})
        return json_response({"workers": []})

    async def statistics(self, request: Request) -> Response:
        """Say how many executions there are in each state, how they have ended lately, and which has lived longest."""
        principal = await self._gate.admit(request)
        parameters(request, frozenset())
        return json_response(await self._statistics.of(principal))

    async def openapi(self, request: Request) -> Response:
        """Describe the API."""
        await self._gate.admit(request)
        return json_response(openapi_document())

    async def schema(self, request: Request) -> Response:
        """Describe all events and records."""
        await self._gate.admit(request)
        return json_response(schema_document())

    # -- sessions -----------------------------------------------------------------------------------------------------

    async def session(self, request: Request) -> Response:
        """Give a browser the cookie that stands for the token, or have it forget the cookie."""
        if not self._gate.has_token:
            raise RefusedError(404, "no_sessions", "this app asks for no token, so there are no sessions")
        return self._begin_session(request) if request.method == "POST" else self._end_session(request)

    def _begin_session(self, request: Request) -> Response:
        self._gate.check_token(request)
        response = Response(status_code=204)
        response.set_cookie(
            COOKIE,
            self._gate.session(),
            max_age=int(self._sources.limits.session_seconds),
            path=self._root(request),
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return response

    def _end_session(self, request: Request) -> Response:
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, path=self._root(request), httponly=True, samesite="strict")
        return response

    def _root(self, request: Request) -> str:
        root = str(request.scope.get("root_path", ""))
        return f"{root}/" if root.isascii() and root.isprintable() and ";" not in root else "/"

    # -- within -------------------------------------------------------------------------------------------------------

    async def _visible(self, request: Request) -> tuple[Principal, ExecutionRecord]:
        """Return who asks, and the execution that it asks about.

        Raises:
            RefusedError: There is none that it may see.
        """
        principal = await self._gate.admit(request)
        parameters(request, frozenset())
        execution_id: str = request.path_params["execution_id"]
        record = await self._answer(self._tracker.get, execution_id)
        if not principal.may_see(record.user_id):
            raise unknown_execution(execution_id)
        return principal, record

    async def _position(self) -> int:
        try:
            return await self._sources.fanout.position()
        except RunstateError as error:
            raise refusal_of(error) from error


def _state(value: str | None) -> ExecutionState | None:
    if value is None:
        return None
    states = {state.value: state for state in ExecutionState}
    if value not in states:
        raise invalid(f"state must be one of {', '.join(states)}")
    return states[value]
