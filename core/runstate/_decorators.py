"""What `tracker.agent` returns: a decorator that keeps a function's parameters and result for type checkers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, ParamSpec, TypeVar, overload

from ._agents import AsyncAgent, SyncAgent, tracked_agent
from ._attempts import Means
from ._json import Json
from ._scope import ExecutionScope

P = ParamSpec("P")
R = TypeVar("R")


class _Decorator:
    """What both decorators have in common."""

    def __init__(self, name: str, open_scope: Callable[..., ExecutionScope], means: Means) -> None:
        self._name = name
        self._open_scope = open_scope
        self._means = means

    def _tracked(self, function: object) -> SyncAgent[..., Any] | AsyncAgent[..., Any]:
        return tracked_agent(function, self._name, self._open_scope, self._means)


class AgentDecorator(_Decorator):
    """Turns a function into a tracked agent. Made by `tracker.agent`."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, None]]) -> AsyncAgent[P, Json]: ...  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]  # a coroutine function is also a function
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]]) -> AsyncAgent[P, R]: ...  # type: ignore[overload-overlap]  # a coroutine function is also a function
    @overload
    def __call__(self, function: Callable[P, None]) -> SyncAgent[P, Json]: ...
    @overload
    def __call__(self, function: Callable[P, R]) -> SyncAgent[P, R]: ...
    def __call__(self, function: Callable[..., Any]) -> SyncAgent[..., Any] | AsyncAgent[..., Any]:
        """Wrap *function*; raises `StateTypeError` for what is no plain function."""
        return self._tracked(function)


class FallbackDecorator(_Decorator, Generic[P, R]):
    """Turns a function into a tracked agent with a fallback, which has its parameters and its result. Made by `tracker.agent`."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]]) -> AsyncAgent[P, R]: ...  # type: ignore[overload-overlap]  # a coroutine function is also a function
    @overload
    def __call__(self, function: Callable[P, R]) -> SyncAgent[P, R]: ...
    def __call__(self, function: Callable[..., Any]) -> SyncAgent[..., Any] | AsyncAgent[..., Any]:
        """Wrap *function*; raises `StateTypeError` for what is no plain function, or no function that the fallback fits."""
        return self._tracked(function)
