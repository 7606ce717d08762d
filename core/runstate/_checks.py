"""The second wall: what is checked at run time.

`checked` puts beartype around a public callable, with `StateTypeError` for a violation. beartype is imported when such a
callable is first used, not when runstate is imported: importing it takes longer than importing all of runstate. After
that first use the class or module holds beartype's own function, and a call costs what beartype costs.

`python -O` switches beartype off. So whatever ends up in a journal is checked a second time by the functions below,
which no interpreter option can remove.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ._errors import InvalidValueError, ResultTooLargeError, StateTypeError, wrong_type

F = TypeVar("F", bound=Callable[..., Any])


def _checked(function: Callable[..., Any]) -> Any:
    """Have beartype check what callers pass. `self` and the result are ours, and checking them costs as much again."""
    from beartype import BeartypeConf, beartype

    conf = BeartypeConf(violation_type=StateTypeError, is_pep484_tower=True, is_color=False)
    hints = function.__annotations__
    function.__annotations__ = {name: hint for name, hint in hints.items() if name not in {"self", "return"}}
    try:
        decorate: Callable[..., Any] = beartype
        return decorate(function, conf=conf)
    finally:
        function.__annotations__ = hints


class _CheckedOnFirstUse:
    """A method that becomes beartype's checked version of itself when it is first looked up."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __set_name__(self, owner: type, name: str) -> None:
        self.owner, self.name = owner, name

    def __get__(self, instance: object, owner: type) -> Any:
        function = _checked(self.function)
        setattr(self.owner, self.name, function)
        return function.__get__(instance, owner)


if TYPE_CHECKING:

    def checked(function: F) -> F:
        """Check a method's arguments at run time."""
        return function

    def checked_function(function: F) -> F:
        """Check a module-level function's arguments at run time."""
        return function
else:
    checked = _CheckedOnFirstUse

    def checked_function(function: F) -> F:
        import functools

        @functools.wraps(function)
        def first_call(*args: object, **kwargs: object) -> object:
            nonlocal target
            if target is None:
                target = _checked(function)
            return target(*args, **kwargs)

        target = None
        return first_call


def text(name: str, value: str, limit: int, *, empty: bool = False) -> str:
    """Accept a name that any store can hold: non-empty Unicode without NUL, within its byte budget.

    Raises:
        StateTypeError: It is not a str.
        InvalidValueError: It is empty, holds a NUL or a lone surrogate.
        ResultTooLargeError: It is over the budget.
    """
    if type(value) is not str:
        if not isinstance(value, str):
            raise wrong_type(name, value, "str")
        value = str.__str__(value)
    if value.isascii():
        size = len(value)
    else:
        try:
            size = len(value.encode())
        except UnicodeEncodeError as error:
            raise InvalidValueError(name, value, "valid Unicode, without lone surrogates") from error
    if size > limit:
        raise ResultTooLargeError(name, size, limit)
    if "\0" in value:
        raise InvalidValueError(name, value, "text without NUL characters")
    if not value and not empty:
        raise InvalidValueError(name, value, "a non-empty str")
    return value


def names(agent: str, thread_id: str, user_id: str, limit: int) -> tuple[str, str, str]:
    """Accept the three names of an execution at once; see `text`, which is asked wherever the common case does not hold."""
    if type(agent) is type(thread_id) is type(user_id) is str and agent and thread_id and user_id:
        joined = agent + thread_id + user_id
        if len(joined) <= limit and joined.isascii() and "\0" not in joined:
            return agent, thread_id, user_id
    return text("agent", agent, limit), text("thread_id", thread_id, limit), text("user_id", user_id, limit)


def seconds(name: str, value: float, least: float = 0.0) -> float:
    """Accept a limit: a positive, finite number of seconds, at most a century.

    Args:
        name: What it is called.
        value: What was given.
        least: What it must not be below: a shorter time is shorter than whoever keeps it can look at a clock.

    Raises:
        StateTypeError: It is not a number, or a bool.
        InvalidValueError: It is NaN, infinite, not positive, below *least* or absurdly large.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(name, value, "a number of seconds")
    if not 0 < value <= 3.2e9 or not math.isfinite(value):
        raise InvalidValueError(name, value, "a positive, finite number of seconds (at most 3.2e9)")
    if value < least:
        raise InvalidValueError(name, value, f"at least {least:g} seconds")
    return float(value)


def _lines(error: BaseException, depth: int = 0) -> Iterator[str]:
    """Say what an exception says, with its notes, and what the exceptions of a group say."""
    yield f"{'  ' * depth}{type(error).__name__}: {error}"
    for note in getattr(error, "__notes__", ()):
        yield f"{'  ' * depth}{note}"
    if isinstance(error, BaseExceptionGroup) and depth < 10:
        group = cast("BaseExceptionGroup[BaseException]", error)
        for inner in group.exceptions:
            yield from _lines(inner, depth + 1)


def error_text(name: str, error: str | BaseException, limit: int) -> str:
    """Turn an error into text that any store can hold. Nothing is refused here: an end must be recordable.

    Characters that UTF-8 cannot encode, and NUL, are escaped; a text over the budget is cut and says so at its end.

    Raises:
        StateTypeError: It is neither a str nor an exception.
    """
    if isinstance(error, BaseException):
        try:
            error = "\n".join(_lines(error))
        except Exception as broken:  # noqa: BLE001 - a broken __str__ must not cost the execution its end
            error = f"{type(error).__name__} (its text could not be read: {type(broken).__name__})"
    elif not isinstance(error, str):
        raise wrong_type(name, error, "a str or an exception")
    encoded = error.encode("utf-8", "backslashreplace").replace(b"\0", b"\\x00")
    if len(encoded) > limit:
        note = f"… [cut: {len(encoded)} bytes, limit {limit}]".encode()
        encoded = encoded[: max(0, limit - len(note))] + note
    return encoded.decode("utf-8", "ignore")
