"""Every refusal of the app: a status, a kind for programs and a sentence for people, always as JSON of one form.

Nothing that a client sends ends as a 500: what the tracker refuses is told as what it is (`refusal_of`), and 500 is left for what is
broken on this side, such as a damaged journal.

Users read these sentences too, so none tells of the machines: no worker's name, and no address of a database. What is wrong with the
journal is in the server's log instead.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from runstate import (
    FencedError,
    InvalidTransitionError,
    InvalidValueError,
    JournalFullError,
    JournalUnavailableError,
    NotOwnerError,
    RunstateError,
    StateTypeError,
    SubscriptionLaggedError,
    TrackerClosedError,
    UnknownExecutionError,
    WaitTimeoutError,
)

from ._encoding import encode

_logger = logging.getLogger("runstate.web")


class RefusedError(Exception):
    """A request that is not carried out.

    Attributes:
        status: Of HTTP.
        kind: For programs; stable.
        message: For people: what was wrong, what was expected, what to do.
        headers: To send besides.
    """

    def __init__(self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Make the response that tells of it."""
        body = encode({"error": {"kind": self.kind, "message": self.message}})
        return Response(body, self.status, self.headers, "application/json")


_KINDS: Final[tuple[tuple[tuple[type[RunstateError], ...], int, str], ...]] = (
    ((UnknownExecutionError,), 404, "unknown_execution"),
    ((InvalidValueError, StateTypeError), 400, "invalid_value"),
    ((InvalidTransitionError, FencedError), 409, "already_ended"),
    ((NotOwnerError,), 409, "not_owner"),
    ((SubscriptionLaggedError,), 410, "lagged"),
    ((TrackerClosedError,), 503, "closed"),
    ((JournalUnavailableError, JournalFullError, WaitTimeoutError), 503, "journal_unavailable"),
)


_BROKEN: Final = (500, "journal_error")


def refusal_of(error: RunstateError) -> RefusedError:
    """Say over HTTP what the tracker has refused."""
    status, kind = next(((status, kind) for kinds, status, kind in _KINDS if isinstance(error, kinds)), _BROKEN)
    if status >= 500:
        _logger.warning("a request is answered with %d, %s: %s: %s", status, kind, type(error).__name__, error)
    return RefusedError(status, kind, _message(error, kind), {"Retry-After": "1"} if status == 503 else None)


def _message(error: RunstateError, kind: str) -> str:
    if isinstance(error, FencedError):
        why = "cause unknown" if error.cause is None else error.cause.name
        end = f"{error.state.name} ({why}), at {error.ended_at_ns} ns"
        return f"execution {error.execution_id} has already ended: {end}; nothing was changed"
    if isinstance(error, NotOwnerError):
        return f"execution {error.execution_id} is owned by another process, which alone may move it"
    if kind == "journal_unavailable":
        return "the journal cannot do this now; the server's log says why. Try again later"
    if kind == "journal_error":
        return f"{type(error).__name__}: the journal cannot be read; see `runstate doctor`"
    return str(error)


def unknown_execution(execution_id: str) -> RefusedError:
    """Refuse an id that leads to nothing, or to what somebody else may see: the two are not told apart."""
    return refusal_of(UnknownExecutionError(execution_id))
