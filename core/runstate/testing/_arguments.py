"""What the laboratory accepts: checked before anything runs, as what is wrong would show only in another process."""

from __future__ import annotations

import math
from typing import Any, cast

from runstate import InvalidValueError, StateTypeError


def expect(name: str, value: object, kind: type[Any] | tuple[type[Any], ...], expected: str) -> None:
    """Refuse a value of another type; a bool is no number.

    Raises:
        StateTypeError: It is of another type.
    """
    if isinstance(value, bool) or not isinstance(value, kind):
        raise StateTypeError(f"{name} must be {expected}, not {type(value).__qualname__}: {_shown(value)}")


def whole(name: str, value: object) -> None:
    """Refuse what is no whole number.

    Raises:
        StateTypeError: It is none.
    """
    expect(name, value, int, "an int")


def count(name: str, value: object) -> None:
    """Refuse what is no number of things, 0 or more.

    Raises:
        StateTypeError: It is not an int.
        InvalidValueError: It is negative.
    """
    whole(name, value)
    if cast("int", value) < 0:
        raise InvalidValueError(name, value, "0 or more")


def seconds(name: str, value: object, least: float = 0.0) -> None:
    """Refuse what is no time that one can wait for.

    Raises:
        StateTypeError: It is not a number.
        InvalidValueError: It is NaN, infinite, not positive or below *least*.
    """
    expect(name, value, (int, float), "a number of seconds")
    number = cast("float", value)
    if not (number > 0 and math.isfinite(number)):
        raise InvalidValueError(name, value, "a positive, finite number of seconds")
    if number < least:
        raise InvalidValueError(name, value, f"at least {least:g} seconds")


def function(name: str, value: object) -> None:
    """Refuse what cannot be called.

    Raises:
        StateTypeError: It cannot.
    """
    if not callable(value):
        expected = "a function, or a coroutine function, that takes a tracker"
        raise StateTypeError(f"{name} must be {expected}, not {type(value).__qualname__}: {_shown(value)}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
