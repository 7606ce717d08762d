"""The OpenAPI document: every address of the app, what it takes and what it answers."""

from __future__ import annotations

from typing import Any, Final

from runstate import ExecutionState, __version__

from ._frames import Vocabulary
from ._schema import DIALECT, PLACE, Schema, closed, components, ref

_ERRORS: Final = {
    400: "Something in the request is wrong; the message says what.",
    401: "Nobody who may come in has asked.",
    403: "From there nobody may come in.",
    404: "There is no such execution, or it is somebody else's.",
    409: "It has ended already.",
    410: "What comes next has been removed by retention.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    429: "Too many requests, wrong tokens or streams of one client.",
    503: "The journal cannot be read now, or all streams are taken.",
}
_COMMON: Final = (400, 401, 403, 429, 503)
_EXECUTION: Final = {
    "name": "execution_id",
    "in": "path",
    "required": True,
    "description": "The execution's id.",
    "schema": {"type": "string", "minLength": 1},
}
_THREAD: Final = {
    "name": "thread_id",
    "in": "path",
    "required": True,
    "description": "The conversation's id; slashes may stand in it as they are.",
    "schema": {"type": "string", "minLength": 1},
}


def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": DIALECT,
        "info": {
            "title": "runstate",
            "version": __version__,
            "description": "What AI agents' executions are doing, as questions and as live streams. WebSockets, which OpenAPI does not"
            " know, have the same streams below /ws; see docs/web.md.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "security": [{}, {"bearer": []}, {"session": []}],
        "paths": {
            "/api/executions": {"get": _executions()},
            "/api/executions/{execution_id}": {"get": _execution()},
            "/api/executions/{execution_id}/timeline": {"get": _timeline()},
            "/api/executions/{execution_id}/cancel": {"post": _cancel()},
            "/api/workers": {"get": _workers()},
            "/api/statistics": {
                "get": _operation("statistics", "Count executions by state, and ends by minute", ref("Statistics"))
            },
            "/api/session": {"post": _begin_session(), "delete": _end_session()},
            "/api/openapi.json": {"get": _operation("openapi", "This document", {"type": "object"})},
            "/api/schema.json": {
                "get": _operation("schema", "The JSON Schema of all events and records", {"type": "object"})
            },
            "/events": {"get": _stream("events", "All executions' events", [], Vocabulary.JOURNAL)},
            "/threads/{thread_id}/events": {
                "get": _stream("threadEvents", "A conversation's events", [_THREAD], Vocabulary.CLIENT)
            },
            "/executions/{execution_id}/events": {
                "get": _stream("executionEvents", "An execution's events", [_EXECUTION], Vocabulary.CLIENT, 204, 404)
            },
        },
        "components": {
            "schemas": components(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "runstate_session"},
            },
        },
    }


def _query(name: str, description: str, schema: Schema) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _answer(description: str, schema: Schema, media: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": {media: {"schema": schema}}}


def _operation(
    name: str,
    summary: str,
    schema: Schema,
    *refusals: int,
    parameters: list[dict[str, Any]] | None = None,
    status: int = 200,
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "parameters": parameters or [],
        "responses": {
            str(status): _answer(summary, schema),
            **{str(one): _answer(_ERRORS[one], ref("Error")) for one in sorted({*_COMMON, *refusals})},
        },
    }
    return operation


def _executions() -> dict[str, Any]:
    text = {"type": "string", "minLength": 1}
    listed = closed(
        {
            "executions": {"type": "array", "items": ref("ExecutionSummary")},
            "position": {
                "type": "integer",
                "minimum": 0,
                "description": "A stream of events after it tells all that has happened since.",
            },
        }
    )
    states = [state.value for state in ExecutionState]
    return _operation(
        "findExecutions",
        "Executions, the newest first; every filter given must match",
        listed,
        parameters=[
            _query("state", "In this state.", {"type": "string", "enum": states}),
            _query(
                "live", "Only those that have not ended, or that have.", {"type": "string", "enum": ["true", "false"]}
            ),
            _query("agent", "Of this agent.", text),
            _query("thread_id", "Of this conversation.", text),
            _query("user_id", "Of this user.", text),
            _query(
                "limit",
                "At most this many; 100 if it is left out.",
                {"type": "integer", "minimum": 1, "maximum": 10_000},
            ),
        ],
    )


def _execution() -> dict[str, Any]:
    nullable = {name: {"anyOf": [ref(name), {"type": "null"}]} for name in ("CancelRequest", "RejectedMove", "Worker")}
    found = closed(
        {
            "execution": ref("Execution"),
            "cancel_request": nullable["CancelRequest"],
            "rejected": nullable["RejectedMove"],
            "owner": nullable["Worker"],
        },
        optional=frozenset({"rejected", "owner"}),  # for operators
    )
    return _operation("getExecution", "One execution, and what others want of it", found, 404, parameters=[_EXECUTION])


def _timeline() -> dict[str, Any]:
    log = closed({"execution_id": {"type": "string"}, "entries": {"type": "array", "items": ref("Entry")}})
    return _operation("getTimeline", "The whole log of an execution", log, 404, parameters=[_EXECUTION])


def _cancel() -> dict[str, Any]:
    wish = closed({"cancel_request": ref("CancelRequest")})
    operation = _operation(
        *("cancelExecution", "Have an execution cancelled, whichever process owns it", wish),
        *(404, 409, 413, 415),
        parameters=[_EXECUTION],
        status=202,
    )
    reason = {"type": ["string", "null"], "description": "Why; kept in the history."}
    body = closed({"reason": reason}, optional=frozenset({"reason"}))
    return {**operation, "requestBody": {"required": False, "content": {"application/json": {"schema": body}}}}


def _workers() -> dict[str, Any]:
    departed = _query(
        "departed",
        "Also at most this many that have gone, the newest.",
        {"type": "integer", "minimum": 0, "maximum": 1_000},
    )
    found = closed({"workers": {"type": "array", "items": ref("Worker")}})
    return _operation(
        "listWorkers", "The processes that share the journal; for operators", found, parameters=[departed]
    )


def _begin_session() -> dict[str, Any]:
    return _session("beginSession", "Get the cookie that stands for the token, for browsers", {"bearer": []})


def _end_session() -> dict[str, Any]:
    return _session("endSession", "Forget the cookie", {})


def _session(name: str, summary: str, security: dict[str, list[str]]) -> dict[str, Any]:
    operation = _operation(name, summary, ref("Error"), 404)
    del operation["responses"]["200"]
    operation["responses"]["204"] = {"description": "Done."}
    return {**operation, "security": [security]}


def _stream(name: str, summary: str, path: list[dict[str, Any]], usual: Vocabulary, *statuses: int) -> dict[str, Any]:
    words = {"type": "string", "enum": [one.value for one in Vocabulary], "default": usual.value}
    place = {"type": "string", "pattern": r"^(latest|[0-9]{1,18}(\.[0-9]{1,3})?)$"}
    operation = _operation(
        *(name, summary, ref("Error")),
        *(410, *(status for status in statuses if status >= 400)),
        parameters=[
            *path,
            _query(
                "events", "In which words: each entry of the journal, or the events that chat front ends know.", words
            ),
            _query("after", "After which event to begin: its id, a position, or `latest` for from now on.", place),
            {"name": "Last-Event-ID", "in": "header", "description": "The same; goes before it.", "schema": place},
        ],
    )
    told = {"oneOf": [ref(name) for name in ("JournalEvent", "ClientEvent", "ControlEvent")]}
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": told}
    message = closed({"event": {"type": "string"}, "id": PLACE, "data": data}, optional=frozenset({"id"}))
    said = "Server-Sent Events without an end; each event of the journal has an id to resume after."
    operation["responses"]["200"] = _answer(said, message, "text/event-stream")
    if 204 in statuses:
        operation["responses"]["204"] = {"description": "It has ended, and nothing comes after that position."}
    return operation
