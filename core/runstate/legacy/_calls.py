"""What every public call of a facade has in common: it names its replacement, and it answers as loosely as it used to.

Inside, everything raises, as in runstate. `legacy_call` turns a refusal into the answer that the old call gave: it is logged at
ERROR and counted, and with `strict` it is raised. A value that is no state is raised always: that was the bug of issue #305.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar, cast

from .. import RunstateError, StateTypeError
from ._shared import shared

P = ParamSpec("P")
R = TypeVar("R")


class Raised:
    """Stands for "there is no loose answer: raise the refusal"."""


RAISED: Final = Raised()


def legacy_call(
    instead: str, *, refused: object = RAISED, value_errors: tuple[type[RunstateError], ...] = ()
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a public call of a facade.

    Args:
        instead: What to call now; named by the `DeprecationWarning`, which Python shows once for each calling line.
        refused: What the old call returned where runstate refuses. Left out, the refusal is raised.
        value_errors: Refusals for which the old call raised `ValueError`, and this one does.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        short = getattr(function, "__name__", repr(function))
        method = "." in getattr(function, "__qualname__", short)

        def named(args: tuple[object, ...]) -> str:
            return f"{type(args[0]).__qualname__}.{short}" if method and args else short

        def warn(args: tuple[object, ...]) -> None:
            warnings.warn(f"{named(args)} is a legacy name; use {instead}", DeprecationWarning, stacklevel=3)

        def loosely(args: tuple[object, ...], error: RunstateError) -> object:
            core = shared()
            core.refusals.note(named(args), error)
            strict = core.strict or bool(args and getattr(args[0], "strict", False))
            if strict or refused is RAISED or isinstance(error, StateTypeError):
                raise error
            if isinstance(error, value_errors):
                raise ValueError(str(error)) from error  # noqa: TRY004 - it is what the old call raised
            return refused

        if inspect.iscoroutinefunction(function):
            awaited = cast("Callable[P, Any]", function)

            @functools.wraps(function)
            async def call_async(*args: P.args, **kwargs: P.kwargs) -> object:
                warn(args)
                try:
                    return await awaited(*args, **kwargs)
                except RunstateError as error:
                    return loosely(args, error)

            return cast("Callable[P, R]", call_async)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> object:
            warn(args)
            try:
                return function(*args, **kwargs)
            except RunstateError as error:
                return loosely(args, error)

        return cast("Callable[P, R]", call)

    return decorate
