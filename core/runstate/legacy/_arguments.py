"""What a public call of a facade accepts. Each message names the parameter as the caller wrote it, not as runstate calls it."""

from __future__ import annotations

import math

from .. import InvalidValueError, StateTypeError


def positive(name: str, seconds: float) -> None:
    """Accept a limit: a positive, finite number of seconds. Zero is none, and half a second is half a second.

    Raises:
        StateTypeError: It is no number.
        InvalidValueError: It is zero, negative, NaN or infinite.
    """
    given: object = seconds
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise StateTypeError(f"{name} must be a number of seconds, not {type(given).__qualname__}: {given!r:.80}")
    if not 0 < given < math.inf:
        raise InvalidValueError(name, given, "a positive, finite number of seconds")


def require(name: str, value: object, kind: type) -> None:
    """Accept an instance of a class.

    Raises:
        StateTypeError: It is anything else, such as a dict.
    """
    if not isinstance(value, kind):
        wanted = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        raise StateTypeError(f"{name} must be {wanted}, not {type(value).__qualname__}: {value!r:.80}")


def require_name(name: str, value: object) -> None:
    """Accept a text that is not empty.

    Raises:
        StateTypeError: It is no text.
        InvalidValueError: It is empty.
    """
    require(name, value, str)
    if value == "":
        raise InvalidValueError(name, value, "a text that is not empty")
