"""`@tracker.agent(…)`: a function whose every call is one tracked execution and returns an `Outcome`.

PEP 612 has no way to add keyword parameters to a `ParamSpec`, so whose message is being answered is said in a step of its
own: `agent.bind(thread_id=…, user_id=…)` gives a callable with exactly the function's own parameters. The return type is kept
too: an `async def` that returns `str` becomes a callable that returns `Outcome[str]` when awaited.

What an agent raises becomes its outcome. What is not the agent's doing still leaves the call as an exception: a cancellation,
a Ctrl-C, and a journal that cannot record the execution.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Generic, NoReturn, ParamSpec, TypeVar, cast, overload

from ._checks import checked
from ._errors import JournalError, NotBoundError, StateTypeError
from ._outcomes import Completed, Outcome, unhappy_outcome
from ._scope import ExecutionScope
from ._states import ExecutionState

P = ParamSpec("P")
R = TypeVar("R")


class _Tracked:
    """What sync and async agents have in common: how to open a scope, and how to read its end."""

    def __init__(self, function: Callable[..., Any], name: str, open_scope: Callable[..., ExecutionScope]) -> None:
        self.name = name
        """The agent's name in records."""
        self._open_scope = open_scope
        self.__wrapped__ = function
        self.__doc__ = function.__doc__
        self.__name__: str = getattr(function, "__name__", name)
        self.__qualname__ = getattr(function, "__qualname__", name)
        self.__module__ = getattr(function, "__module__", __name__)

    def __repr__(self) -> str:
        return f"<tracked agent {self.name!r}: {self.__module__}.{self.__qualname__}>"

    if not TYPE_CHECKING:  # for a type checker a tracked agent is not callable, so forgetting to bind is an error there

        def __call__(self, *args: object, **kwargs: object) -> NoReturn:
            raise NotBoundError(self.name)

    def _scope(
        self, thread_id: str, user_id: str, timeout: float | None, metadata: Mapping[str, object] | None
    ) -> ExecutionScope:
        return self._open_scope(thread_id=thread_id, user_id=user_id, timeout=timeout, metadata=metadata)

    def _outcome(self, scope: ExecutionScope, result: R | None, error: Exception | None) -> Outcome[R]:
        live = scope.live
        if error is not None and (live is None or live.end is None or error is scope.failure):
            if isinstance(error, JournalError):
                error.result = result
            raise error
        if live is None:
            raise RuntimeError("the block was never entered")
        record = live.record()
        if record.state is not ExecutionState.COMPLETED:
            return unhappy_outcome(record, error)
        if error is not None:
            raise error  # the agent had said that it was done, and then failed: its outcome cannot tell that
        return Completed(cast("R", result), execution_id=record.execution_id)


class SyncAgent(_Tracked, Generic[P, R]):
    """A tracked function. Made by `tracker.agent`."""

    @checked
    def bind(
        self,
        *,
        thread_id: str,
        user_id: str,
        timeout: float | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> Callable[P, Outcome[R]]:
        """Say whose message the next call answers.

        Args:
            thread_id: The conversation.
            user_id: The user.
            timeout: Seconds this call may take; None takes the agent's.
            metadata: Facts to keep with the execution; JSON.

        Returns:
            A callable with the function's own parameters. It raises `JournalError` when the execution cannot be recorded.
        """
        function: Callable[P, R] = self.__wrapped__

        def call(*args: P.args, **kwargs: P.kwargs) -> Outcome[R]:
            scope = self._scope(thread_id, user_id, timeout, metadata)
            result: R | None = None
            try:
                with scope:
                    result = function(*args, **kwargs)
                    scope.complete(result)
            except Exception as error:  # noqa: BLE001 - it becomes the outcome, or is raised again there
                return self._outcome(scope, result, error)
            return self._outcome(scope, result, None)

        return call


class AsyncAgent(_Tracked, Generic[P, R]):
    """A tracked coroutine function. Made by `tracker.agent`."""

    @checked
    def bind(
        self,
        *,
        thread_id: str,
        user_id: str,
        timeout: float | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> Callable[P, Coroutine[Any, Any, Outcome[R]]]:
        """Say whose message the next call answers.

        Args:
            thread_id: The conversation.
            user_id: The user.
            timeout: Seconds this call may take; None takes the agent's.
            metadata: Facts to keep with the execution; JSON.

        Returns:
            A coroutine function with the function's own parameters. Awaiting it raises `JournalError` when the execution
            cannot be recorded.
        """
        function: Callable[P, Coroutine[Any, Any, R]] = self.__wrapped__

        async def call(*args: P.args, **kwargs: P.kwargs) -> Outcome[R]:
            scope = self._scope(thread_id, user_id, timeout, metadata)
            result: R | None = None
            try:
                async with scope:
                    result = await function(*args, **kwargs)
                    scope.complete(result)
            except Exception as error:  # noqa: BLE001 - it becomes the outcome, or is raised again there
                return self._outcome(scope, result, error)
            return self._outcome(scope, result, None)

        return call


def tracked_agent(
    function: Callable[..., Any], name: str, open_scope: Callable[..., ExecutionScope]
) -> SyncAgent[..., Any] | AsyncAgent[..., Any]:
    """Wrap a function by its colour.

    Raises:
        StateTypeError: It is no plain function: not callable, or a generator, whose end nobody can see from its call.
    """
    import inspect

    if not callable(function):
        raise StateTypeError(f"@tracker.agent takes a function, not {type(function).__qualname__}")
    called = getattr(function, "__call__", None)  # noqa: B004 - of an object, its method; of a function, a wrapper
    if any(
        is_kind(it)
        for is_kind in (inspect.isgeneratorfunction, inspect.isasyncgenfunction)
        for it in (function, called)
    ):
        raise StateTypeError(
            f"@tracker.agent takes no generator ({getattr(function, '__qualname__', function)!s}): "
            f"use `with tracker.execution(…)` inside it"
        )
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)
    return (AsyncAgent if is_async else SyncAgent)(function, name, open_scope)


class AgentDecorator:
    """Turns a function into a tracked agent. Made by `tracker.agent`."""

    def __init__(self, name: str, open_scope: Callable[..., ExecutionScope]) -> None:
        self._name = name
        self._open_scope = open_scope

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]]) -> AsyncAgent[P, R]: ...  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]  # a coroutine function is also a function
    @overload
    def __call__(self, function: Callable[P, R]) -> SyncAgent[P, R]: ...
    def __call__(self, function: Callable[..., Any]) -> SyncAgent[..., Any] | AsyncAgent[..., Any]:
        """Wrap *function*; raises `StateTypeError` for what is no plain function."""
        return tracked_agent(function, self._name, self._open_scope)
