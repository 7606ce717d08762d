"""The public surface, found by inspection: every callable that a user can reach, and every parameter of each.

Nothing here names a method. A new function, method or parameter is found by itself; what cannot be called with arguments
made from its annotations (see `arguments`) is an error, as is a public class that is in none of the categories.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, get_type_hints

import runstate
from runstate import ExecutionState, ExecutionTracker, Limits, Notice, Phase

from .bad_values import Parameter

CONSTRUCTED: tuple[type, ...] = (runstate.Breaker, ExecutionTracker, Limits, runstate.Retry)
"""Classes that users construct: their constructors' parameters are checked."""
HANDED_OUT: tuple[type, ...] = (
    runstate.AsyncAgent,
    runstate.Delivery,
    runstate.Execution,
    runstate.ExecutionScope,
    runstate.Subscription,
    runstate.SyncAgent,
)
"""Classes that only runstate constructs: their public methods are checked."""
FACTS: tuple[type, ...] = (
    runstate.CancelRequest,
    runstate.Cancelled,
    runstate.Census,
    runstate.Completed,
    runstate.Created,
    runstate.Diagnosis,
    runstate.Died,
    runstate.Ends,
    runstate.Event,
    runstate.Evidence,
    runstate.ExecutionRecord,
    runstate.Failed,
    runstate.Fence,
    runstate.Finding,
    runstate.Notice,
    runstate.NoticeRecord,
    runstate.OutboxRecord,
    runstate.PhaseChange,
    runstate.RejectedMove,
    runstate.Statistics,
    runstate.TimedOut,
    runstate.Transition,
    runstate.Warned,
    runstate.Worker,
)
"""Values that runstate hands out, or that are checked where they are handed in (`Evidence`); they decide nothing."""
PROTOCOLS: tuple[type, ...] = (runstate.Clock,)


def public_values() -> dict[str, Any]:
    """Everything that the package says is public, by name."""
    return {name: getattr(runstate, name) for name in runstate.__all__ if not name.startswith("_")}


def public_classes() -> Iterator[type]:
    """Yield the public classes that are neither errors nor enumerations."""
    for value in public_values().values():
        if inspect.isclass(value) and not issubclass(value, BaseException | Enum):
            yield value


def public_callables() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield every public callable with its dotted name."""
    for name, value in public_values().items():
        if inspect.isfunction(value):
            yield name, value
    for one in CONSTRUCTED:
        yield one.__name__, one
    for one in (*CONSTRUCTED, *HANDED_OUT):
        for name, member in inspect.getmembers(one, inspect.isfunction):
            if not name.startswith("_"):
                yield f"{one.__name__}.{name}", member


def parameters(name: str, function: Callable[..., Any]) -> list[Parameter]:
    """List a callable's parameters with their annotations; `self` is none."""
    target = inspect.unwrap(function.__init__ if inspect.isclass(function) else function)
    hints = get_type_hints(target)
    return [
        Parameter(name, one.name, hints[one.name])
        for one in inspect.signature(target).parameters.values()
        if one.name != "self"
    ]


def is_required(function: Callable[..., Any], name: str) -> bool:
    """Whether a callable cannot be called without this parameter."""
    return inspect.signature(function).parameters[name].default is inspect.Parameter.empty


GOOD: dict[Any, object] = {
    str: "given",
    float: 5.0,
    int: 5,
    bool: False,
    object: {"text": "done"},
    ExecutionState: ExecutionState.FAILED,
    Phase: Phase.THINKING,
    str | BaseException: "broken",
    Callable[[], Mapping[str, object]]: dict,
    Callable[[Notice], object]: id,
}
"""A good value for each annotation that a required parameter may have; ids, journals and urls come from the trial."""

ALONGSIDE: dict[tuple[str, str], dict[str, object]] = {
    ("ExecutionTracker.update_execution_state", "result"): {"state": ExecutionState.COMPLETED},
}
"""What else to pass when a certain parameter is tried, because the two only go together."""
