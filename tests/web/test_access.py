"""Who may come in: from where, under which name, from which page, with which token."""

from __future__ import annotations

import json
import string
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import HTTPConnection
from websockets.exceptions import InvalidStatus

import runstate
from runstate import ExecutionTracker, InvalidValueError, StateTypeError
from runstate.web import Principal, WebLimits, app
from runstate.web._access import Gate
from runstate.web._refusals import RefusedError

from .lives import live
from .servers import Served, serve, take

TOKEN = "correct-horse-battery-staple"
PATHS = ["/", "/api/executions", "/api/statistics", "/events", "/threads/t/events", "/static/app.js"]


@pytest.fixture
def tracker() -> Iterator[ExecutionTracker]:
    """A tracker in memory: who may come in is not the store's business."""
    with runstate.open("memory:") as tracker:
        yield tracker


@pytest.fixture
def guarded(tracker: ExecutionTracker) -> Served:
    """The tracker, served to who has the token."""
    with serve(tracker, token=TOKEN) as served:
        yield served


def arriving(peer: str | None, headers: dict[str, str], method: str = "GET") -> HTTPConnection:
    """A request as a server hands it over."""
    raw = [(name.lower().encode(), said.encode("latin-1")) for name, said in headers.items()]
    client = None if peer is None else (peer, 40_000)
    return HTTPConnection(
        {"type": "http", "method": method, "path": "/", "headers": raw, "client": client, "query_string": b""}
    )


def kind_of(gate: Gate, connection: HTTPConnection) -> str | None:
    """How a gate refuses a way, if it does."""
    try:
        gate.check_way(connection)
    except RefusedError as refused:
        return refused.kind
    return None


LOCAL = Gate(WebLimits(), None, None)
WITH_TOKEN = Gate(WebLimits(), TOKEN, None, ["https://chat.example.com"])


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may_come_in(peer: str) -> None:
    """Every address of the loopback is this machine."""
    assert kind_of(LOCAL, arriving(peer, {"Host": "localhost:8305"})) is None


@pytest.mark.parametrize(
    "peer", ["10.0.0.1", "192.168.1.5", "2001:db8::1", "::ffff:10.0.0.1", "0.0.0.0", "", "testclient", None]
)
def test_nobody_else_may_without_a_token(peer: str | None) -> None:
    """Without token and authorize every other peer is refused, also one that the server cannot name."""
    assert kind_of(LOCAL, arriving(peer, {"Host": "localhost"})) == "not_local"


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Host", "Via"])
def test_what_a_proxy_passed_on_is_not_local(header: str) -> None:
    """A peer on this machine that passes on a request is a proxy, whoever it says that asks."""
    assert kind_of(LOCAL, arriving("127.0.0.1", {"Host": "localhost", header: "127.0.0.1"})) == "not_local"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example:8305", "localhost@evil.example", "",
     "[::1", "localhost/evil", "0x7f.1.evil", "127.0.0.1:80:80"],
)  # fmt: skip
def test_names_that_lead_here_by_rebinding_are_refused(served: Served, host: str) -> None:
    """A page whose own name was resolved to 127.0.0.1 cannot talk to this app: its name is in Host."""
    answer = served.raw(f"GET /api/executions HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400"))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8305", "[::1]:8305", "LOCALHOST", "127.1.2.3"])
def test_names_of_this_machine_are_taken(served: Served, host: str) -> None:
    """The loopback goes by several names."""
    answer = served.raw(f"GET /api/executions HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("hosts", ["", "Host: localhost\r\nHost: evil.example\r\n"])
def test_one_host_header_is_needed(served: Served, hosts: str) -> None:
    """Two Host headers, or none, are refused: two parts of a system could each believe another one."""
    answer = served.raw(f"GET /api/executions HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "file://"},
        {"Origin": "chrome-extension://abc"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
def test_foreign_pages_are_refused(tracker: ExecutionTracker, served: Served, headers: dict[str, str]) -> None:
    """Neither requests, nor streams, nor WebSockets are for pages of another origin, be it another port of this machine."""
    execution_id = live(tracker)
    for path in (*PATHS, f"/executions/{execution_id}/events"):
        answer = served.http.get(path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["kind"]) == (403, "bad_origin")
        assert "access-control-allow-origin" not in answer.headers
    assert served.http.post(f"/api/executions/{execution_id}/cancel", headers=headers).status_code == 403
    with pytest.raises(InvalidStatus) as refused, served.socket("/ws/events", additional_headers=headers):
        pass
    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body)["error"]["kind"] == "bad_origin"


def test_the_apps_own_pages_may_use_it(tracker: ExecutionTracker, served: Served) -> None:
    """A page of the app's own origin may ask, cancel and open WebSockets, and a person may follow a link to it."""
    headers = {"Origin": served.url, "Sec-Fetch-Site": "same-origin"}
    assert served.http.get("/api/executions", headers=headers).status_code == 200
    with served.socket("/ws/events", additional_headers={"Origin": served.url}) as connection:
        assert connection.close_code is None
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert served.http.get("/api/executions", headers=link).status_code == 200


@pytest.mark.parametrize(
    ("origin", "host", "is_let_in"),
    [
        ("https://runs.example.com", "runs.example.com", True),
        ("https://runs.example.com", "runs.example.com:443", True),
        ("https://runs.example.com:8443", "runs.example.com", False),
        ("https://chat.example.com", "runs.example.com", True),
        ("https://chat.example.com.evil.example", "runs.example.com", False),
        ("http://chat.example.com", "runs.example.com", False),
    ],
)
def test_origins_are_compared_whole(origin: str, host: str, is_let_in: bool) -> None:
    """The app's own origin and those that were named may use it; one that only looks like them may not."""
    kind = kind_of(WITH_TOKEN, arriving("10.0.0.1", {"Host": host, "Origin": origin}))
    assert kind == (None if is_let_in else "bad_origin")


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_no_text_breaks_the_reading_of_hosts(text: str) -> None:
    """Whatever stands in Host or Origin is judged, and refused if it is not the loopback's name."""
    encodable = "".join(char for char in text if ord(char) < 256)
    kind = kind_of(LOCAL, arriving("127.0.0.1", {"Host": encodable, "Origin": encodable}))
    assert kind in {"bad_host", "bad_origin"}


# -- tokens ---------------------------------------------------------------------------------------------------------


def test_the_token_opens_everything(tracker: ExecutionTracker, guarded: Served) -> None:
    """Requests, event streams and WebSockets take the token as a header."""
    live(tracker)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert len(guarded.http.get("/api/executions", headers=headers).json()["executions"]) == 1
    with guarded.events("/threads/t-1/events", authorization=f"Bearer {TOKEN}") as stream:
        assert len(take(stream, 6)) == 6
    with guarded.socket("/ws/threads/t-1", additional_headers=headers) as connection:
        assert json.loads(connection.recv(30))["event"] == "agent_started"


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}",
     f"Bearer {TOKEN.upper()}", f"Bearer {TOKEN} {TOKEN}"],
)  # fmt: skip
def test_nothing_else_opens_anything(tracker: ExecutionTracker, authorization: str | None) -> None:
    """Without the token, or with one that is nearly right, everything but the empty page is refused with 401."""
    execution_id = live(tracker)
    with serve(tracker, WebLimits(wrong_tokens=1_000), token=TOKEN) as guarded:
        headers = {} if authorization is None else {"Authorization": authorization}
        for path in (
            *PATHS[1:-1],
            f"/executions/{execution_id}/events",
            f"/api/executions/{execution_id}",
            "/api/openapi.json",
        ):
            answer = guarded.http.get(path, headers=headers)
            assert (answer.status_code, answer.json()["error"]["kind"]) == (401, "unauthorized")
            assert execution_id not in answer.text
        assert guarded.http.post(f"/api/executions/{execution_id}/cancel", headers=headers).status_code == 401
        with pytest.raises(InvalidStatus) as refused, guarded.socket("/ws/events", additional_headers=headers):
            pass
        assert refused.value.response.status_code == 401


def test_guessing_tokens_is_stopped(guarded: Served) -> None:
    """After some wrong tokens an address is refused whatever it sends, the right one included, so that guesses tell nothing."""
    guesses = [guarded.http.get("/api/executions", headers={"Authorization": f"Bearer guess{n}"}) for n in range(40)]
    assert {one.status_code for one in guesses[:10]} == {401}
    assert {one.status_code for one in guesses[11:]} == {429}
    right = guarded.http.get("/api/executions", headers={"Authorization": f"Bearer {TOKEN}"})
    assert (right.status_code, right.json()["error"]["kind"]) == (429, "too_many_guesses")
    assert int(right.headers["retry-after"]) > 0


def test_a_browser_gets_a_cookie_for_the_token(tracker: ExecutionTracker, guarded: Served) -> None:
    """The cookie opens requests, streams and WebSockets, cannot be read by scripts, and goes to no other site."""
    live(tracker)
    assert guarded.http.post("/api/session").status_code == 401
    given = guarded.http.post("/api/session", headers={"Authorization": f"Bearer {TOKEN}"})
    assert given.status_code == 204
    attributes = given.headers["set-cookie"].lower()
    assert "httponly" in attributes
    assert "samesite=strict" in attributes
    assert TOKEN not in given.headers["set-cookie"]
    assert guarded.http.get("/api/executions").status_code == 200  # the client keeps cookies as a browser does
    cookie = f"runstate_session={guarded.http.cookies['runstate_session']}"
    with guarded.socket("/ws/threads/t-1", additional_headers={"Cookie": cookie}) as connection:
        assert json.loads(connection.recv(30))["event"] == "agent_started"
    foreign = {"Cookie": cookie, "Origin": "https://evil.example"}
    with pytest.raises(InvalidStatus), guarded.socket("/ws/threads/t-1", additional_headers=foreign):
        pass
    assert guarded.http.delete("/api/session").status_code == 204
    guarded.http.cookies.clear()
    assert guarded.http.get("/api/executions").status_code == 401


@pytest.mark.parametrize(
    "forged", ["", "x", ".", "99999999999.aa.", "99999999999.aa.00", "é", "-1", "1e9.a.b", "nan.a.b"]
)
def test_cookies_are_not_made_up(guarded: Served, forged: str) -> None:
    """A cookie that this app has not signed opens nothing."""
    request = f"GET /api/executions HTTP/1.1\r\nHost: localhost\r\nCookie: runstate_session={forged}\r\nConnection: close\r\n\r\n"
    assert guarded.raw(request.encode("latin-1")).startswith(b"HTTP/1.1 401")


def test_a_session_runs_out(tracker: ExecutionTracker) -> None:
    """A cookie is good for so long and no longer, and for no other token."""
    gate = Gate(WebLimits(session_seconds=0.01), TOKEN, None)
    assert not gate._is_session(gate.session())
    gate = Gate(WebLimits(), TOKEN, None)
    assert gate._is_session(gate.session())
    assert not Gate(WebLimits(), TOKEN + "2", None)._is_session(gate.session())


@given(st.text(string.printable, max_size=60))
@settings(max_examples=200, deadline=None)
def test_no_text_is_a_token_or_a_session_but_the_right_one(text: str) -> None:
    """Whatever is sent is compared, and is wrong."""
    gate = Gate(WebLimits(), TOKEN, None)
    assert not gate._is_session(text)
    assert gate._is_token(text) == (
        text.partition(" ")[0].lower() == "bearer" and text.partition(" ")[2].strip() == TOKEN
    )


def test_the_page_is_shown_without_a_token(guarded: Served) -> None:
    """Where a token is asked for the dashboard's files are open, for they ask for it and hold nothing."""
    assert guarded.http.get("/").status_code in {200, 404}
    assert guarded.http.get("/static/nothing.js").status_code == 404


# -- the host application's own check -------------------------------------------------------------------------------


def test_who_the_host_does_not_know_stays_out(tracker: ExecutionTracker) -> None:
    """None from authorize refuses everything, the page included."""
    with serve(tracker, authorize=lambda connection: None) as served:
        for path in PATHS:
            assert served.http.get(path).status_code == 401


@pytest.mark.parametrize("form", ["function", "coroutine", "object", "awaiting"])
def test_the_host_may_check_in_any_way(tracker: ExecutionTracker, form: str) -> None:
    """Authorize may be a function, a coroutine function, or an object that is either."""
    live(tracker)
    seen: list[str] = []

    def function(connection: HTTPConnection) -> Principal:
        seen.append(connection.headers["x-user"])
        return Principal(connection.headers["x-user"])

    async def coroutine(connection: HTTPConnection) -> Principal:
        return function(connection)

    class Checks:
        async def __call__(self, connection: HTTPConnection) -> Principal:
            return function(connection)

    ways = {"function": function, "coroutine": coroutine, "object": Checks(), "awaiting": lambda one: coroutine(one)}
    with serve(tracker, authorize=ways[form]) as served:
        assert len(served.http.get("/api/executions", headers={"x-user": "ann"}).json()["executions"]) == 1
        assert len(served.http.get("/api/executions", headers={"x-user": "bob"}).json()["executions"]) == 0
    assert seen == ["ann", "bob"]


def test_a_check_that_fails_lets_nobody_in(tracker: ExecutionTracker, caplog: pytest.LogCaptureFixture) -> None:
    """An exception from authorize, or an answer that is no principal, is an error on this side, and opens nothing."""
    execution_id = live(tracker)
    for authorize in (lambda connection: 1 / 0, lambda connection: "ann", lambda connection: Principal(5)):
        with serve(tracker, authorize=authorize) as served:
            answer = served.http.get(f"/api/executions/{execution_id}")
            assert (answer.status_code, answer.json()["error"]["kind"]) == (500, "internal")
    assert "ZeroDivisionError" in caplog.text


# -- how often ------------------------------------------------------------------------------------------------------


def test_requests_are_counted_by_client(tracker: ExecutionTracker) -> None:
    """A client that asks too often is told to slow down and when to come again, and another one is not."""
    limits = WebLimits(requests_per_second=0.001, request_burst=5)
    with serve(tracker, limits, authorize=lambda connection: Principal(connection.headers["x-user"])) as served:
        answers = [served.http.get("/api/workers", headers={"x-user": "ann"}) for _ in range(8)]
        assert [one.status_code for one in answers] == [200] * 5 + [429] * 3
        assert int(answers[-1].headers["retry-after"]) > 100
        assert served.http.get("/api/workers", headers={"x-user": "bob"}).status_code == 200


# -- what is refused at once ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"token": "short"}, InvalidValueError),
        ({"token": "ü" * 20}, InvalidValueError),
        ({"token": 5}, StateTypeError),
        ({"token": TOKEN, "authorize": lambda connection: None}, InvalidValueError),
        ({"authorize": "ann"}, StateTypeError),
        ({"limits": {}}, StateTypeError),
        ({"origins": ["chat.example.com"]}, InvalidValueError),
        ({"origins": ["https://chat.example.com/path"]}, InvalidValueError),
        ({"origins": "https://chat.example.com"}, StateTypeError),
        ({"origins": [3]}, StateTypeError),
        ({"origins": None}, StateTypeError),
    ],
)
def test_an_app_that_cannot_be_safe_is_not_made(
    tracker: ExecutionTracker, wrong: dict[str, object], error: type[Exception]
) -> None:
    """A token that could be guessed, two ways to decide, and things of the wrong type are refused when the app is made."""
    with pytest.raises(error):
        app(tracker, **wrong)
    with pytest.raises(StateTypeError):
        app(None)


@pytest.mark.parametrize("wrong", [0, -1, float("inf"), float("nan"), True, "5"])
def test_limits_are_positive_numbers(wrong: object) -> None:
    """A limit that limits nothing, or everything, is refused."""
    for name in ("streams", "ping_seconds"):
        with pytest.raises((InvalidValueError, StateTypeError)):
            WebLimits(**{name: wrong})
