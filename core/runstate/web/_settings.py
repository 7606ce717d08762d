"""What whoever mounts the app decides: whose request it is, and how much one client may take."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from typing import NamedTuple, TypeAlias

from starlette.requests import HTTPConnection

from runstate import InvalidValueError, StateTypeError


class Principal(NamedTuple):
    """Whose request it is."""

    user_id: str | None
    """None is an operator, who sees everything; a user sees only the executions with this `user_id`."""

    @property
    def is_operator(self) -> bool:
        """Whether it sees everything."""
        return self.user_id is None

    def may_see(self, user_id: str) -> bool:
        """Whether it may see what belongs to a user."""
        return self.user_id is None or self.user_id == user_id


Authorize: TypeAlias = Callable[[HTTPConnection], Principal | Awaitable[Principal | None] | None]
"""The host application's own answer to who asks; None refuses. One that is not async is called in a thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebLimits:
    """Budgets that keep the app, and what stands behind it, bounded whatever clients do."""

    streams: int = 4_096
    """Streams open at once, of all clients."""
    streams_per_user: int = 64
    """Streams open at once of one user; operators have those of all."""
    requests_per_second: float = 50.0
    """Requests of one user that are answered on average. Operators have twenty times as much, by address."""
    request_burst: int = 500
    """Requests of one user that are answered at once; of operators twenty times as many."""
    wrong_tokens: int = 10
    """Wrong tokens of one address, after which it gets another try only every ten seconds."""
    body_bytes: int = 65_536
    """Of one request."""
    message_bytes: int = 1_024
    """Of one WebSocket message of a client, which a stream has no use for."""
    queued_events: int = 1_000
    """Events that wait for one client; one that is further behind is cut off."""
    queued_bytes: int = 4_194_304
    """The same in bytes, which one event alone may exceed."""
    send_seconds: float = 30.0
    """How long a client may take for one write until it is given up."""
    cut_seconds: float = 2.0
    """How long one that is cut off may take for the write that it is at, before it is given up without being told why."""
    ping_seconds: float = 15.0
    """Silence after which an event stream carries a comment, so that what lies between does not take it for dead."""
    stream_seconds: float = 3_600.0
    """How long a stream lives until its client has to show anew that it may read it."""
    session_seconds: float = 43_200.0
    """How long the cookie of a browser that has shown the token is good."""
    linger_seconds: float = 30.0
    """How long the journal is followed after the last client has gone."""
    readers: int = 4
    """Threads that read the journal."""
    waiting_reads: int = 256
    """Reads that may wait for a thread; past it requests are refused."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value: object = getattr(self, field.name)
            wanted = (int, float) if field.type == "float" else (int,)
            if isinstance(value, bool) or not isinstance(value, wanted):
                raise StateTypeError(f"{field.name} must be a number, not {type(value).__qualname__}: {value!r}")
            if not 0 < value < 1 << 40 or not math.isfinite(value):
                raise InvalidValueError(field.name, value, "a positive, finite number")
