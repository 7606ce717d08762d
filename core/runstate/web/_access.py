"""Who may come in, in two steps: from where a request comes, and whose it is.

Where from (`Gate.check_way`), for every request. A server on one's own machine is open to every web page that one has open, so:

- `Host` must be one that this app is meant to be reached under. Without a token and without the host's own check these are the names of
  the loopback, which keeps out pages that have their own name resolved to 127.0.0.1 (DNS rebinding).
- What a browser sends from a foreign page is refused: by `Origin`, which browsers send with every WebSocket and every unsafe request, and
  by `Sec-Fetch-Site`. A program that is no browser sends neither.
- Without a token and without the host's own check the peer of the connection must be this machine, and nothing may say that the request
  was passed on by a proxy: a header that a proxy sets is never believed, but it is reason to refuse.

Whose (`Gate.admit`): the host's own `authorize`; or the token, as `Authorization: Bearer`, or as the cookie that a browser gets for it,
because neither EventSource nor WebSocket can send a header. The cookie holds the time until which it is good and a keyed hash over it. It is
HttpOnly and SameSite=Strict, and all that is in an address stays out of it: addresses end up in logs.
"""

from __future__ import annotations

import asyncio
import hmac
import inspect
import ipaddress
import re
import secrets
import time
from collections.abc import Iterable
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from runstate import InvalidValueError, StateTypeError

from ._rates import Allowance
from ._refusals import RefusedError
from ._settings import Authorize, Principal, WebLimits

COOKIE: Final = "runstate_session"
OPERATOR: Final = Principal(None)
_SHORTEST: Final = 16
_PASSED_ON: Final = (
    *(
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-forwarded-server",
    ),
    *("x-real-ip", "via", "cf-connecting-ip", "true-client-ip"),
)
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:@/\[\]]+)(?::\d{1,5})?", re.IGNORECASE | re.ASCII)
_OPERATORS: Final = 20
"""How many times as often as a user an operator may ask: many tools, or a whole application, may stand behind one address."""
_EVERYBODY: Final = "everybody"


class Gate:
    """Decides who may come in.

    Args:
        limits: How often one may ask, and guess.
        token: What an operator must show; None where it is not asked for.
        authorize: The host's own check, instead.
        origins: Of foreign pages that may use the app all the same, such as `https://chat.example.com`.

    Raises:
        InvalidValueError: The token is too short to be one, both ways were given, or an origin is none.
        StateTypeError: An origin is no str.
    """

    def __init__(
        self, limits: WebLimits, token: str | None, authorize: Authorize | None, origins: Iterable[str] = ()
    ) -> None:
        if token is not None and authorize is not None:
            raise InvalidValueError("authorize", authorize, "None where a token is given: one of the two decides")
        if token is not None and (len(token) < _SHORTEST or not token.isascii() or not token.isprintable()):
            raise InvalidValueError("token", "…", f"at least {_SHORTEST} printable ASCII characters")
        self._limits = limits
        self._authorize = authorize
        self._digest = None if token is None else sha256(token.encode()).digest()
        self._key = None if token is None else hmac.digest(token.encode(), b"runstate session cookie", "sha256")
        self._origins = frozenset(_origin(origin) for origin in origins)
        self._requests = Allowance(limits.requests_per_second, limits.request_burst)
        self._operators = Allowance(_OPERATORS * limits.requests_per_second, int(_OPERATORS * limits.request_burst))
        self._guesses = Allowance(0.1, limits.wrong_tokens)
        self._all_guesses = Allowance(1.0, 10 * limits.wrong_tokens)

    @property
    def has_token(self) -> bool:
        """Whether a token is asked for."""
        return self._digest is not None

    @property
    def is_local(self) -> bool:
        """Whether nothing but the way decides, so that nobody but this machine comes in."""
        return self._digest is None and self._authorize is None

    # -- where from ---------------------------------------------------------------------------------------------------

    def check_way(self, connection: HTTPConnection) -> None:
        """Refuse what does not come from where requests may come from.

        Raises:
            RefusedError: It does not.
        """
        hosts = connection.headers.getlist("host")
        if len(hosts) != 1:
            raise RefusedError(400, "bad_host", "a request must have one Host header")
        if self.is_local:
            if connection.client is None or not is_loopback(connection.client.host):
                message = "only this machine may come in here; give runstate.web.app a token or authorize for others"
                raise RefusedError(403, "not_local", message)
            passed_on = [name for name in _PASSED_ON if name in connection.headers]
            if passed_on:
                message = (
                    f"the request was passed on ({', '.join(passed_on)}); behind a proxy a token or authorize is needed"
                )
                raise RefusedError(403, "not_local", message)
            if not is_loopback(_host_name(hosts[0])):
                raise RefusedError(
                    403, "bad_host", "the Host header must name this machine's loopback, such as localhost"
                )
        self._check_origin(connection, hosts[0])

    def _check_origin(self, connection: HTTPConnection, host: str) -> None:
        origins = connection.headers.getlist("origin")
        method = connection.scope.get("method", "GET")
        if origins:
            if len(origins) == 1 and (origins[0].lower() in self._origins or _is_same(origins[0], host)):
                return
            raise RefusedError(403, "bad_origin", "pages of another origin may not use this app")
        site = connection.headers.get("sec-fetch-site", "none")
        is_visit = connection.headers.get("sec-fetch-mode") == "navigate" and method in _SAFE
        if site not in {"none", "same-origin"} and not is_visit:
            raise RefusedError(403, "bad_origin", "pages of another origin may not use this app")

    # -- whose --------------------------------------------------------------------------------------------------------

    async def admit(self, connection: HTTPConnection) -> Principal:
        """Return whose request it is, and count it.

        Raises:
            RefusedError: Nobody's who may come in, or there were too many.
        """
        peer = "" if connection.client is None else connection.client.host
        if self._authorize is not None:
            principal = await self._ask_host(self._authorize, connection)
        elif self._digest is not None:
            self._check_token(connection, peer)
            principal = OPERATOR
        else:
            principal = OPERATOR
        user = principal.user_id
        pause = self._operators.spend(peer) if user is None else self._requests.spend(user)
        if pause:
            raise RefusedError(
                429, "too_many_requests", "too many requests; slow down", {"Retry-After": str(int(pause) + 1)}
            )
        return principal

    def check_token(self, connection: HTTPConnection) -> None:
        """Accept the token itself and nothing in its place.

        Raises:
            RefusedError: It is wrong, missing, or was guessed at too often.
        """
        peer = "" if connection.client is None else connection.client.host
        self._judge(self._is_token(connection.headers.get("authorization")), peer)

    def _check_token(self, connection: HTTPConnection, peer: str) -> None:
        authorization = connection.headers.get("authorization")
        cookie = connection.cookies.get(COOKIE)
        if authorization is None and cookie is None:
            raise _unauthorized(
                "a token is needed: Authorization: Bearer …, or the cookie that POST api/session gives for it"
            )
        self._judge(
            self._is_token(authorization) if authorization is not None else self._is_session(cookie or ""), peer
        )

    def _judge(self, is_right: bool, peer: str) -> None:  # noqa: FBT001 - private
        """Let through what is right; count what is wrong. Who has guessed too often is refused whatever it sends, so guesses tell nothing."""
        if self._guesses.left(peer) < 1 or (not is_right and self._all_guesses.left(_EVERYBODY) < 1):
            raise RefusedError(429, "too_many_guesses", "too many wrong tokens; wait", {"Retry-After": "10"})
        if not is_right:
            self._guesses.spend(peer)
            self._all_guesses.spend(_EVERYBODY)
            raise _unauthorized("the token is wrong, or the session has run out")

    def _is_token(self, authorization: str | None) -> bool:
        scheme, _, said = (authorization or "").partition(" ")
        digest = sha256(said.strip().encode("utf-8", "surrogateescape")).digest()
        return hmac.compare_digest(digest, self._digest or b"") and scheme.lower() == "bearer"

    async def _ask_host(self, authorize: Authorize, connection: HTTPConnection) -> Principal:
        if inspect.iscoroutinefunction(authorize):
            principal = await authorize(connection)
        else:
            said = await asyncio.to_thread(authorize, connection)
            principal = await said if inspect.isawaitable(said) else said
        if principal is None:
            raise _unauthorized("the application that this is part of does not let this request in")
        if not isinstance(principal, Principal):
            raise StateTypeError(f"authorize must return a Principal or None, not {type(principal).__qualname__}")
        user_id: object = principal.user_id
        if not isinstance(user_id, str | None):
            expected = "a Principal whose user_id is a str, as executions have it, or None for an operator"
            raise StateTypeError(f"authorize must return {expected}, not one with {user_id!r:.80}")
        return principal

    # -- sessions -----------------------------------------------------------------------------------------------------

    def session(self) -> str:
        """Make the value of a cookie that stands for the token for a while."""
        good_until = f"{int(time.time() + self._limits.session_seconds)}.{secrets.token_hex(8)}"
        return f"{good_until}.{self._sign(good_until)}"

    def _is_session(self, cookie: str) -> bool:
        good_until, _, signature = cookie.rpartition(".")
        is_signed = hmac.compare_digest(self._sign(good_until).encode(), signature.encode("utf-8", "replace"))
        return is_signed and int(good_until.partition(".")[0]) > time.time()

    def _sign(self, text: str) -> str:
        return hmac.digest(self._key or b"", text.encode("utf-8", "replace"), "sha256").hex()


def _unauthorized(message: str) -> RefusedError:
    return RefusedError(401, "unauthorized", message, {"WWW-Authenticate": 'Bearer realm="runstate"'})


def is_loopback(host: str) -> bool:
    """Say whether an address, or `localhost`, is this machine's own and nobody else's."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback if mapped is None else bool(mapped.is_loopback)


def _host_name(host: str) -> str:
    """The name in a Host header, without the port; an empty text for what is none."""
    found = _HOST.fullmatch(host)
    return "" if found is None else found[1].removeprefix("[").removesuffix("]")


def _origin(origin: str) -> str:
    if not isinstance(origin, str):
        raise StateTypeError(f"origins must be a list of str, not one with {origin!r:.80}")
    parts = urlsplit(origin)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path or parts.query:
        raise InvalidValueError("origins", origin, "origins such as https://chat.example.com, without a path")
    return origin.lower()


def _is_same(origin: str, host: str) -> bool:
    """Whether an origin is the host that was asked; a port that goes without saying may be said or not."""
    scheme, separator, netloc = origin.lower().partition("://")
    usual = {"http": ":80", "https": ":443"}.get(scheme)
    if not separator or usual is None or not netloc:
        return False
    return netloc.removesuffix(usual) == host.lower().removesuffix(usual)
