"""What a request asks for, checked strictly: an unknown or repeated parameter is refused, because a misspelt filter would be none."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any, cast

from pydantic_core import from_json
from starlette.requests import HTTPConnection, Request

from ._refusals import RefusedError

_TRUTH = {"true": True, "false": False}


def parameters(connection: HTTPConnection, known: AbstractSet[str]) -> dict[str, str]:
    """Return the query's parameters.

    Raises:
        RefusedError: One is unknown, or is given twice.
    """
    said: dict[str, str] = {}
    for name, value in connection.query_params.multi_items():
        if name not in known:
            raise invalid(f"{name} is no parameter here; known are {', '.join(sorted(known)) or 'none'}")
        if name in said:
            raise invalid(f"{name} is given twice")
        said[name] = value
    return said


def truth(name: str, value: str | None) -> bool | None:
    """Read `true` or `false`; None if nothing was said.

    Raises:
        RefusedError: It is something else.
    """
    if value is None:
        return None
    if value not in _TRUTH:
        raise invalid(f"{name} must be true or false")
    return _TRUTH[value]


def number(name: str, value: str | None, usual: int, highest: int) -> int:
    """Read a whole number from 1 up.

    Raises:
        RefusedError: It is something else, or too high.
    """
    if value is None:
        return usual
    if not (value.isascii() and value.isdigit() and len(value) < 10 and 1 <= int(value) <= highest):
        raise invalid(f"{name} must be a whole number from 1 to {highest}")
    return int(value)


async def body_of(request: Request, limit: int) -> dict[str, Any]:
    """Read a body that is a JSON object; an empty one is an empty object.

    Raises:
        RefusedError: It is too large, or something else.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise RefusedError(413, "too_large", f"a body may have {limit} bytes")
        chunks.append(chunk)
    if not size:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RefusedError(415, "not_json", "a body must be JSON: Content-Type: application/json")
    try:
        body = from_json(b"".join(chunks), allow_inf_nan=False)
    except ValueError as error:
        raise invalid(f"the body is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise invalid("the body must be a JSON object")
    return cast("dict[str, Any]", body)


def invalid(message: str) -> RefusedError:
    """Refuse something that is wrong in itself."""
    return RefusedError(400, "invalid_value", message)
