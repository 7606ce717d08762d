"""What every public call of a facade has in common: it names its replacement, and it answers as loosely as it used to.

Inside, everything raises, as in runstate. `legacy_call` turns a refusal into the answer that the old call gave: it is logged at
ERROR and counted, and with `strict` it is raised. A value of the wrong type is raised always, in the name of the call that got
it: that was the bug of issue #305.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final, ParamSpec, TypeVar, cast

from .. import RunstateError, StateTypeError
from ._shared import shared

P = ParamSpec("P")
R = TypeVar("R")


class Raised:
    """Stands for "there is no loose answer: raise the refusal"."""


RAISED: Final = Raised()


def legacy_call(
    instead: str,
    *,
    refused: object = RAISED,
    answer: Callable[..., object] | None = None,
    value_errors: tuple[type[RunstateError], ...] = (),
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a public call of a facade.

    Args:
        instead: What to call now; named by the `DeprecationWarning`, which Python shows once for each calling line.
        refused: What the old call returned where runstate refuses. Left out, the refusal is raised, unless there is *answer*.
        answer: Makes what is returned where runstate refuses, of the refusal and the arguments of the call.
        value_errors: Refusals for which the old call raised `ValueError`, and this one does.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        short = getattr(function, "__name__", repr(function))
        method = "." in getattr(function, "__qualname__", short)

        def named(args: tuple[object, ...]) -> str:
            return f"{type(args[0]).__qualname__}.{short}" if method and args else short

        def warn(args: tuple[object, ...]) -> None:
            warnings.warn(f"{named(args)} is a legacy name; use {instead}", DeprecationWarning, stacklevel=3)

        def loosely(error: RunstateError, args: tuple[object, ...], kwargs: Mapping[str, object]) -> object:
            core = shared()
            core.refusals.note(named(args), error)
            if isinstance(error, StateTypeError):
                error.args = (f"{named(args)}(): {error}",)
                raise error
            strict = core.strict or bool(args and getattr(args[0], "strict", False))
            if strict or (refused is RAISED and answer is None):
                raise error
            if isinstance(error, value_errors):
                raise ValueError(str(error)) from error  # noqa: TRY004 - it is what the old call raised
            return refused if answer is None else answer(error, *args, **kwargs)

        if inspect.iscoroutinefunction(function):
            awaited = cast("Callable[P, Any]", function)

            @functools.wraps(function)
            async def call_async(*args: P.args, **kwargs: P.kwargs) -> object:
                warn(args)
                try:
                    return await awaited(*args, **kwargs)
                except RunstateError as error:
                    return loosely(error, args, kwargs)

            return cast("Callable[P, R]", call_async)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> object:
            warn(args)
            try:
                return function(*args, **kwargs)
            except RunstateError as error:
                return loosely(error, args, kwargs)

        return cast("Callable[P, R]", call)

    return decorate
