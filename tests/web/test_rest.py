"""Requests and their answers, each as the OpenAPI document says."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from websockets.sync.client import connect

import runstate
from runstate import CAUSES, ExecutionState, ExecutionTracker, Phase
from runstate.web import WebApp, _schema, app
from runstate.web._openapi import document

from .lives import ENDS, Traffic, begin, end, live, stored
from .servers import PATIENCE, Served, serve, take

SCHEMAS = {"components": {"schemas": _schema.components()}}


def check(name: str, data: Any) -> None:
    """Hold data against one of the published schemas."""
    jsonschema.Draft202012Validator({**SCHEMAS, "$ref": f"#/components/schemas/{name}"}).validate(data)


def check_answer(method: str, path: str, status: int, data: Any) -> None:
    """Hold an answer against what the OpenAPI document says of it."""
    schema = document()["paths"][path][method]["responses"][str(status)]["content"]["application/json"]["schema"]
    jsonschema.Draft202012Validator({**SCHEMAS, **schema}).validate(data)


def plant(tracker: ExecutionTracker) -> dict[ExecutionState, str]:
    """One execution in each state."""
    ids = {}
    for state in ExecutionState:
        run = tracker.create(
            agent="air", thread_id=f"t-{state.value}", user_id="ann", timeout=3_600.0, metadata={"n": 1}
        )
        ids[state] = run.execution_id
        if state is ExecutionState.STARTING:
            run.start()
        elif state is not ExecutionState.PENDING:
            running = run.run()
            running.phase(Phase.TOOL_EXECUTION, "look_up")
            if state is not ExecutionState.RUNNING:
                detail: dict[str, Any] = {"result": [1]} if state is ExecutionState.COMPLETED else {}
                tracker.update_execution_state(run.execution_id, state, **detail)
    tracker.flush()
    return ids


def listed(served: Served, query: str) -> list[str]:
    """The ids that a query lists."""
    answer = served.http.get(f"/api/executions?{query}")
    assert answer.status_code == 200
    check_answer("get", "/api/executions", 200, answer.json())
    return [one["execution_id"] for one in answer.json()["executions"]]


def test_executions_are_found_by_every_filter(tracker: ExecutionTracker, served: Served) -> None:
    """State, life, agent, thread, user and number filter, together, the newest first."""
    ids = plant(tracker)
    newest_first = list(reversed(ids.values()))
    assert listed(served, "") == newest_first
    assert listed(served, "limit=2") == newest_first[:2]
    for state, execution_id in ids.items():
        assert listed(served, f"state={state.value}") == [execution_id]
        assert listed(served, f"thread_id=t-{state.value}") == [execution_id]
    living = [one for one in newest_first if one not in [ids[state] for state in ENDS]]
    assert listed(served, "live=true") == living
    assert listed(served, "live=false") == [one for one in newest_first if one not in living]
    assert listed(served, "live=true&limit=3") == living[:3]
    assert listed(served, "live=true&state=completed") == []
    assert listed(served, "live=true&state=running") == [ids[ExecutionState.RUNNING]]
    assert listed(served, "agent=air&user_id=ann") == newest_first
    assert listed(served, "agent=sea") == listed(served, "user_id=bob") == []


@pytest.mark.parametrize(
    "query",
    ["state=RUNNING", "state=", "live=yes", "live=", "limit=0", "limit=-1", "limit=10001", "limit=1.5", "limit=%C2%B2", "limit=",
     "limit=1&limit=2", "stat=running", "agent=", "thread_id=%00", "user_id=" + "x" * 2_000, "agent[]=air"],
)  # fmt: skip
def test_a_filter_that_is_none_is_refused(served: Served, query: str) -> None:
    """A value that cannot be, a misspelt name and a filter given twice are refused, because each would list something else."""
    answer = served.http.get(f"/api/executions?{query}")
    assert answer.status_code == 400
    check("Error", answer.json())


def test_one_execution_is_shown_whole(tracker: ExecutionTracker, served: Served) -> None:
    """An execution's answer and timeline are what the tracker has, in the published form, in every state."""
    for execution_id in plant(tracker).values():
        record = tracker.get(execution_id)
        answer = served.http.get(f"/api/executions/{execution_id}").json()
        check_answer("get", "/api/executions/{execution_id}", 200, answer)
        shown = answer["execution"]
        assert (shown["state"], shown["seq"], shown["created_at_ns"]) == (
            record.state.value,
            record.seq,
            record.created_at_ns,
        )
        assert (shown["metadata"], shown["result"]) == (record.metadata, record.result)
        timeline = served.http.get(f"/api/executions/{execution_id}/timeline").json()
        check_answer("get", "/api/executions/{execution_id}/timeline", 200, timeline)
        entries = tracker.timeline(execution_id)
        assert [(one["seq"], one["at_ns"]) for one in timeline["entries"]] == [(one.seq, one.at_ns) for one in entries]


def test_cancelling_ends_it(tracker: ExecutionTracker, served: Served) -> None:
    """POST cancel ends an execution with the reason given, and one that has ended is refused as such."""
    run = begin(tracker)
    answer = served.http.post(f"/api/executions/{run.execution_id}/cancel", json={"reason": "enough"})
    check_answer("post", "/api/executions/{execution_id}/cancel", 202, answer.json())
    assert answer.status_code == 202
    record = tracker.get(run.execution_id)
    assert (record.state, record.evidence and record.evidence.reason) == (ExecutionState.CANCELLED, "enough")
    again = served.http.post(f"/api/executions/{run.execution_id}/cancel")
    assert (again.status_code, again.json()["error"]["kind"]) == (409, "already_ended")


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'"x"', "application/json", 400),
        (b'{"reason": 5}', "application/json", 400),
        (b'{"reason": "x", "force": true}', "application/json", 400),
        (b'{"reason": "\xff"}', "application/json", 400),
        (b'{"reason": NaN}', "application/json", 400),
        (b"[" * 60_000, "application/json", 400),
        (b'{"reason": "x"}', "text/plain", 415),
        (b'{"reason": "x"}', "application/x-www-form-urlencoded", 415),
        (b'{"reason": "' + b"x" * 70_000 + b'"}', "application/json", 413),
    ],
)
def test_a_body_that_is_none_is_refused(
    tracker: ExecutionTracker, served: Served, content: bytes, kind: str, status: int
) -> None:
    """What is no JSON object with a reason, or is too large, or comes as a form of another page may, cancels nothing."""
    run = begin(tracker)
    path = f"/api/executions/{run.execution_id}/cancel"
    answer = served.http.post(path, content=content, headers={"Content-Type": kind})
    assert answer.status_code == status
    check("Error", answer.json())
    assert run.state is ExecutionState.RUNNING


def test_statistics_are_what_is_there(tracker: ExecutionTracker, served: Served) -> None:
    """Counts by state, ends by minute, rates, and the oldest live execution are those of the journal."""
    ids = plant(tracker)
    answer = served.http.get("/api/statistics").json()
    check("Statistics", answer)
    assert answer["live"] == {"pending": 1, "starting": 1, "running": 1, "completing": 1}
    assert answer["oldest_live"]["execution_id"] == ids[ExecutionState.PENDING]
    assert answer["lately"]["ended"] == {state.value: 1 for state in ENDS}
    assert (answer["lately"]["completion"], answer["lately"]["reliability"]) == (0.25, 0.8)
    assert len(answer["spans"]) == 60
    counted = [sum(span["ended"].values()) for span in answer["spans"]]
    assert sum(counted) == 5
    assert counted[:50] == [0] * 50
    assert {span["completion"] for span in answer["spans"] if not span["ended"]["completed"]} <= {None, 0.0}


def test_an_empty_journal_has_statistics(served: Served) -> None:
    """Nothing counted is zero, and rates of nothing are null."""
    answer = served.http.get("/api/statistics").json()
    check("Statistics", answer)
    assert answer["oldest_live"] is None
    assert answer["lately"]["completion"] is answer["lately"]["reliability"] is None


def test_workers_are_listed(tracker: ExecutionTracker, served: Served) -> None:
    """The processes that share the journal are listed as the tracker knows them."""
    live(tracker)
    answer = served.http.get("/api/workers?departed=5").json()
    check_answer("get", "/api/workers", 200, answer)
    assert [one["incarnation"] for one in answer["workers"]] == [one.incarnation for one in tracker.workers(departed=5)]


@pytest.mark.parametrize("words", ["journal", "client"])
def test_every_event_is_as_published(tracker: ExecutionTracker, served: Served, words: str) -> None:
    """All that streams tell of random lives has the form of the published schema, which allows no other field."""
    traffic = Traffic(tracker, 7)
    for _ in range(300):
        traffic.step()
    traffic.finish()
    number = len(stored(tracker))
    name = {"journal": "JournalEvent", "client": "ClientEvent"}[words]
    validator = jsonschema.Draft202012Validator({**SCHEMAS, "$ref": f"#/components/schemas/{name}"})
    with served.events(f"/events?after=0&events={words}") as stream:
        got = take(stream, number if words == "journal" else number // 3)
    for message in got:
        validator.validate(message.data)
        assert message.data["id"] == message.id
        assert message.name == message.data.get("event", message.data.get("kind"))


def test_every_cause_is_as_published(tracker: ExecutionTracker, served: Served) -> None:
    """Each end with each cause that it may have is told in the published form."""
    for state, causes in CAUSES.items():
        for cause in causes:
            run = begin(tracker)
            detail: dict[str, Any] = {"result": 1} if state is ExecutionState.COMPLETED else {"error": "x"}
            tracker.update_execution_state(run.execution_id, state, cause=cause, **detail)
            tracker.flush()
            with served.events(f"/executions/{run.execution_id}/events") as stream:
                got = list(stream)
            check("ClientEvent", got[-2].data)
            check("ControlEvent", got[-1].data)
            assert (got[-2].data["state"], got[-2].data["cause"]) == (state.value, cause.value)


def test_the_schema_file_is_what_is_served(served: Served) -> None:
    """The file in the package, the answer, and what the types say are one, and are a valid JSON Schema."""
    file = Path(_schema.__file__).with_name("schema.json")
    assert (
        json.loads(file.read_text(encoding="utf-8")) == served.http.get("/api/schema.json").json() == _schema.document()
    )
    jsonschema.Draft202012Validator.check_schema(_schema.document())


def test_the_document_names_every_route(served: Served) -> None:
    """Each route over HTTP is in the OpenAPI document, with its methods, and nothing else is."""
    application: WebApp = served.app
    routes: dict[str, set[str]] = {}
    for route in application._router.routes:
        path = getattr(route, "path", "").replace(":path}", "}")
        methods = getattr(route, "methods", None)
        if methods and path != "/":
            routes.setdefault(path, set()).update({one.lower() for one in methods} - {"head"})
    assert routes == {path: set(methods) for path, methods in document()["paths"].items()}
    assert served.http.get("/api/openapi.json").json() == document()


@pytest.mark.parametrize("path", ["/", "/api/executions", "/nothing", "/static/x", "/events"])
def test_every_answer_tells_browsers_to_be_strict(served: Served, path: str) -> None:
    """Answers, errors and streams carry the headers that keep pages from running, framing, sniffing and storing them."""
    with served.http.stream("GET", path) as answer:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/api", 404, "not_found"),
        ("GET", "/api/executions/", 404, "not_found"),
        ("GET", "/events/", 404, "not_found"),
        ("POST", "/events", 405, "method_not_allowed"),
        ("DELETE", "/api/executions", 405, "method_not_allowed"),
        ("GET", "/api/session", 405, "method_not_allowed"),
        ("POST", "/api/session", 404, "no_sessions"),
        ("GET", "/static/../../../_app.py", 404, "not_found"),
        ("GET", "/static/%2e%2e/_app.py", 404, "not_found"),
        ("GET", "/static/..%2f..%2f_app.py", 404, "not_found"),
        ("GET", "/static//etc/passwd", 404, "not_found"),
        ("GET", "/threads/t/events?after=-1", 400, "invalid_value"),
        ("GET", "/threads/t/events?after=1.2.3", 400, "invalid_value"),
        ("GET", "/threads/t/events?after=99999999999999999999", 400, "invalid_value"),
        ("GET", "/threads/t/events?events=all", 400, "invalid_value"),
        ("GET", "/threads/t/events?events=journal&after=1.0", 400, "invalid_value"),
        ("GET", "/threads/%00/events", 400, "invalid_value"),
        ("GET", "/executions/%00/events", 400, "invalid_value"),
        ("GET", "/executions/unknown/events", 404, "unknown_execution"),
    ],
)
def test_wrong_addresses_are_errors_of_the_one_form(
    served: Served, method: str, path: str, status: int, kind: str
) -> None:
    """Whatever is wrong is told as JSON with a kind and a message, and with the right status."""
    answer = served.http.request(method, path)
    check("Error", answer.json())
    assert (answer.status_code, answer.json()["error"]["kind"]) == (status, kind)


def test_a_head_request_ends(served: Served) -> None:
    """HEAD of a stream is answered with its head, and nothing waits."""
    assert served.http.head("/events").headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize(
    "thread_id", ["a/b", "a/events", "ä ö", "a%b", "<b>&\"'", "a?b#c", "x" * 1_000, "\u202e", "a\nb"]
)
def test_threads_have_any_name(tracker: ExecutionTracker, served: Served, thread_id: str) -> None:
    """A conversation whose id means something in an address, in HTML or in an event stream is streamed like any other."""
    from urllib.parse import quote

    run = tracker.create(agent=thread_id, thread_id=thread_id, user_id=thread_id).run()
    run.phase(Phase.TOOL_EXECUTION, thread_id)
    end(tracker, run)
    tracker.flush()
    with served.events(f"/threads/{quote(thread_id, safe='')}/events") as stream:
        got = take(stream, 4)
    assert {one.data["thread_id"] for one in got} == {one.data["agent"] for one in got} == {thread_id}
    raw = served.http.get(f"/api/executions?thread_id={quote(thread_id, safe='')}")
    assert raw.json()["executions"][0]["thread_id"] == thread_id
    assert "<" not in raw.text


def test_a_mounted_app_is_the_same(tracker: ExecutionTracker) -> None:
    """Below a path of another application, with handlers of its own, everything answers as it does by itself."""
    live(tracker)

    def handler(request: Request, error: Exception) -> PlainTextResponse:
        return PlainTextResponse("the host's own error page", 418)

    host = Starlette(routes=[Mount("/runs", app(tracker))], exception_handlers={404: handler, Exception: handler})
    with hosted(host) as url, httpx.Client(base_url=url) as client:
        assert len(client.get("/runs/api/executions").json()["executions"]) == 1
        assert client.get("/runs/nothing").json()["error"]["kind"] == "not_found"
        assert client.get("/runs/api/executions/x").json()["error"]["kind"] == "unknown_execution"
        assert client.get("/nothing").status_code == 418
        with connect(f"ws{url.removeprefix('http')}/runs/ws/threads/t-1") as connection:
            assert json.loads(connection.recv(PATIENCE))["event"] == "agent_started"


@contextmanager
def hosted(host: Starlette) -> Iterator[str]:
    """Run an application of somebody else's on a server; give its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(host, log_level="warning", ws="websockets-sansio", timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE)


def test_a_read_only_tracker_shows_and_cancels_nothing(tmp_path: Path) -> None:
    """On a journal that is opened to be read only, everything is shown, and cancelling is refused."""
    path = tmp_path / "runs.db"
    with runstate.open(path) as owner:
        run = begin(owner)
        owner.flush()
        with runstate.open(path, read_only=True) as tracker, serve(tracker) as served:
            assert listed(served, "live=true") == [run.execution_id]
            with served.events("/threads/t-1/events") as stream:
                assert next(stream).name == "agent_started"
                end(owner, run)
                assert next(stream).name == "agent_completed"
            run = begin(owner)
            owner.flush()
            refused = served.http.post(f"/api/executions/{run.execution_id}/cancel")
            assert (refused.status_code, refused.json()["error"]["kind"]) == (503, "journal_unavailable")
            assert run.state is ExecutionState.RUNNING
