"""JSON that comes back unchanged.

A value counts as JSON here when encoding and decoding it gives an equal value. That is stricter than what encoders accept
(they turn tuples and sets into arrays, integer keys into strings, NaN into null, all silently), it needs no list of
accepted types, and it runs in pydantic-core's Rust code: about a third of a microsecond for a short answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias, cast

from ._errors import NotJsonError, RecordDecodeError, ResultTooLargeError

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
"""What JSON can carry, as decoded."""

_RUST: list[Callable[..., object]] = []
"""`to_json` and `from_json`, once they were needed: importing pydantic-core takes as long as importing runstate."""


def _load() -> list[Callable[..., object]]:
    from pydantic_core import from_json, to_json

    _RUST[:] = [to_json, from_json]
    return _RUST


def warm_up() -> None:
    """Do what the first use would do: a fork in the middle of that would leave the child with locks nobody releases."""
    to_json, from_json = _RUST or _load()
    from_json(cast("bytes", to_json(None)))


_SCALARS: Final = (bool, int, float, str, type(None))


def encode_json(name: str, value: object, limit: int) -> bytes:
    """Encode a value that must come back equal.

    Args:
        name: The parameter, for the error.
        value: Anything.
        limit: Budget in bytes.

    Raises:
        NotJsonError: It would not come back equal; says where and why.
        ResultTooLargeError: Its encoding is over the budget.
    """
    to_json, from_json = _RUST or _load()
    try:
        encoded = cast("bytes", to_json(value, inf_nan_mode="constants"))
        unchanged = bool(from_json(encoded, allow_inf_nan=False) == value)
    except (ValueError, RecursionError, OverflowError) as error:
        raise _explain(name, value, str(error).partition("\n")[0]) from error
    except Exception as error:  # a foreign __eq__ or __repr__ may raise anything
        raise _explain(name, value, f"{type(error).__name__}: {error}") from error
    if not unchanged:
        raise _explain(name, value, "it would read back changed")
    if len(encoded) > limit:
        raise ResultTooLargeError(name, len(encoded), limit)
    return encoded


def decode_json(encoded: bytes | str) -> Json:
    """Decode what `encode_json` made.

    Raises:
        RecordDecodeError: It is not JSON.
    """
    _, from_json = _RUST or _load()
    try:
        return cast("Json", from_json(encoded, allow_inf_nan=False))
    except (ValueError, TypeError) as error:
        raise RecordDecodeError("$", f"JSON ({error})", encoded) from error


def _explain(name: str, value: object, reason: str) -> NotJsonError:
    path, culprit, found = _find("$", value, frozenset())
    return NotJsonError(name, culprit, path, found or reason)


def _find(path: str, value: object, seen: frozenset[int]) -> tuple[str, object, str]:
    """Find the first place in *value* that JSON cannot carry; an empty reason when none is found."""
    if id(value) in seen:
        return path, type(value).__name__, "it contains itself"
    if len(seen) > 150:
        return path, type(value).__name__, "it is nested too deeply"
    inside = seen | {id(value)}
    children: list[tuple[str, object]] = []
    if type(value) is dict:
        mapping = cast("Mapping[object, object]", value)
        for key, child in mapping.items():
            if not isinstance(key, str):
                return path, key, "object keys must be str"
            if _has_surrogate(key):
                return path, key, "text must be valid Unicode"
            children.append((f"{path}.{key}", child))
    elif type(value) is list:
        children = [(f"{path}[{index}]", child) for index, child in enumerate(cast("Sequence[object]", value))]
    elif isinstance(value, float) and not math.isfinite(value):
        return path, value, "numbers must be finite"
    elif isinstance(value, str) and _has_surrogate(value):
        return path, value, "text must be valid Unicode"
    elif not isinstance(value, _SCALARS):
        return path, value, f"{type(value).__qualname__} is not a JSON type"
    for child_path, child in children:
        found = _find(child_path, child, inside)
        if found[2]:
            return found
    return path, cast("object", value), ""


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)
