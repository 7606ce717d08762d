"""`@tracker.agent(…)`: a function whose every call is one tracked execution and returns an `Outcome`.

PEP 612 has no way to add keyword parameters to a `ParamSpec`, so whose message is being answered is said in a step of its
own: `agent.bind(thread_id=…, user_id=…)` gives a callable with exactly the function's own parameters. The return type is kept
too: an `async def` that returns `str` becomes a callable that returns `Outcome[str]` when awaited.

| the function | the execution ends as | the call gives |
|---|---|---|
| returns a value | COMPLETED with it | `Completed(value)` |
| returns what cannot be stored | FAILED, RAISED | `Failed`, with `NotJsonError` or `ResultTooLargeError` |
| raises | FAILED, RAISED | `Failed`, with the exception |
| completes by hand, and returns that very result, or None | COMPLETED, as recorded | `Completed(recorded)` |
| completes by hand, and returns something else, or raises | COMPLETED, as recorded | `InvalidTransitionError`, or what was raised |
| ends unhappily by hand, whatever it returns | that | that, as `Failed`, `TimedOut`, `Died` or `Cancelled` |
| is stopped by a limit or by somebody else | that | that |
| is completed by somebody else, or by id | COMPLETED, as recorded | `FencedError`: the answer is not the function's own |
| returns work instead of a result: an awaitable, a generator | FAILED, RAISED | `StateTypeError`; a coroutine is closed |
| is cancelled, interrupted (any non-`Exception`) | CANCELLED | that exception |
| cannot be recorded | – | `JournalError`, with the answer in `result` |
| is asked what another agent answers | – | `DuplicateMessageError` |

With `retry`, `breaker` or `fallback` a call may be several executions, one after the other: see `_chain`. So it is with the outcome of a
call that carries a `message_id`, which may be another call's.

So what is recorded is the truth, and an outcome never says anything else. A function of type `None` may record any JSON by
hand, so its outcome is an `Outcome[Json]`.

A function is async if it, or what it wraps (`functools.wraps`, `partial`, a method, `__call__`), is a coroutine function.
Whether a wrapper awaits that itself is only seen from what it returns: then the value is taken as it is.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Mapping
from functools import partial
from types import FunctionType, MethodType
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Final,
    Generic,
    NoReturn,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    cast,
    overload,
)

from ._attempts import Attempt, Means, Plan
from ._chain import Chain
from ._checks import checked
from ._errors import JournalError, NotBoundError, StateTypeError, describe
from ._outcomes import Completed, Outcome, unhappy_outcome
from ._scope import ExecutionScope
from ._states import Cause, ExecutionState

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")

_NO_PLAN: Final = Plan()
_UNDONE: Final = (Awaitable, Generator, AsyncGenerator)
"""What is not a result but work that nobody has done yet."""
_DEPTH: Final = 100
"""How far wrappers are looked through: there are things that wrap themselves, or something new each time they are asked."""


class _Tracked:
    """What sync and async agents have in common: how to open a scope, and how to read its end."""

    def __init__(
        self, function: Callable[..., Any], name: str, open_scope: Callable[..., ExecutionScope], means: Means
    ) -> None:
        self.name = name
        """The agent's name in records."""
        self._open_scope = open_scope
        self._means = means
        self._fallback = means.plan.fallback
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

    def _bound(self, instance: object, owner: type | None) -> Self:
        """Fill in `self` or `cls` where Python does so for the function."""
        bind: Callable[..., Any] | None = getattr(type(self.__wrapped__), "__get__", None)
        function = self.__wrapped__ if bind is None else bind(self.__wrapped__, instance, owner)
        if function is self.__wrapped__:
            return self
        bound = type(self)(function, self.name, self._open_scope, self._means)
        if inspect.ismethod(function) and inspect.isfunction(self._fallback):
            bound._fallback = MethodType(self._fallback, function.__self__)
        return bound

    def _chain(
        self,
        thread_id: str,
        user_id: str,
        timeout: float | None,
        metadata: Mapping[str, object] | None,
        message_id: str | None,
    ) -> Chain | None:
        """The chain that a call may be; None where it is one execution whatever happens."""
        if message_id is None and self._means.plan == _NO_PLAN:
            return None
        return Chain(self._means, thread_id, user_id, timeout, metadata, message_id)

    def _body(self, attempt: Attempt) -> Callable[..., Any]:
        fallback = self._fallback
        return self.__wrapped__ if attempt.before is None or fallback is None else fallback

    def _complete(self, scope: ExecutionScope, result: object) -> None:
        """Record what the function returned; raises `StateTypeError` for what is no result."""
        if isinstance(result, _UNDONE):
            if isinstance(result, Coroutine):
                result.close()
            scope.failure = StateTypeError(
                f"agent {self.name!r} ({self.__qualname__}) must return its result, but returned work that nobody has done: "
                f"{describe(cast('object', result))}; make it `async def` and await that, or run it to its end inside"
            )
            raise scope.failure
        scope.complete(result)

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
        return Completed(
            cast("R", record.result if result is None else result),
            execution_id=record.execution_id,
            is_fallback=record.cause is Cause.FALLBACK,
        )


class _BindsSync(Protocol[P, R_co]):
    """A sync agent by its parameters. Only so do all checkers see that `self` is the first of them."""

    def bind(self, *, thread_id: str, user_id: str) -> Callable[P, Outcome[R_co]]:
        """Say whose message the next call answers."""
        ...


class _BindsAsync(Protocol[P, R_co]):
    """An async agent by its parameters."""

    def bind(self, *, thread_id: str, user_id: str) -> Callable[P, Coroutine[Any, Any, Outcome[R_co]]]:
        """Say whose message the next call answers."""
        ...


class SyncAgent(_Tracked, Generic[P, R]):
    """A tracked function. Made by `tracker.agent`."""

    @overload
    def __get__(self, instance: None, owner: type | None) -> SyncAgent[P, R]: ...
    @overload
    def __get__(self: _BindsSync[Concatenate[T, Q], R], instance: T, owner: type | None = None) -> SyncAgent[Q, R]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> SyncAgent[P, R]: ...
    def __get__(self, instance: object, owner: type | None = None) -> SyncAgent[Any, Any]:
        """Bind a method to its instance, as Python does for a function."""
        return self._bound(instance, owner)

    @checked
    def bind(
        self,
        *,
        thread_id: str,
        user_id: str,
        timeout: float | None = None,
        metadata: Mapping[str, object] | None = None,
        message_id: str | None = None,
    ) -> Callable[P, Outcome[R]]:
        """Say whose message the next call answers.

        Args:
            thread_id: The conversation.
            user_id: The user.
            timeout: Seconds this call may take, with all its attempts; None takes the agent's.
            metadata: Facts to keep with the execution; JSON.
            message_id: The client's own key of the message, at most 512 bytes, unique for its user in its thread. A call for a message
                that is answered already, or just being answered, here or in another process, does not run the function: it waits for
                that answer, for as long as that call may take, whatever its own *timeout*.

        Returns:
            A callable with the function's own parameters. It raises `JournalError` when the execution cannot be recorded, and
            `DuplicateMessageError` when another agent answers this message.
        """
        function: Callable[P, R] = self.__wrapped__

        def once(scope: ExecutionScope, body: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Outcome[R]:
            result: R | None = None
            try:
                with scope:
                    result = body(*args, **kwargs)
                    self._complete(scope, result)
            except Exception as error:  # noqa: BLE001 - it becomes the outcome, or is raised again there
                return self._outcome(scope, result, error)
            return self._outcome(scope, result, None)

        def call(*args: P.args, **kwargs: P.kwargs) -> Outcome[R]:
            chain = self._chain(thread_id, user_id, timeout, metadata, message_id)
            if chain is None:
                return once(self._scope(thread_id, user_id, timeout, metadata), function, *args, **kwargs)
            return chain.run(lambda attempt: once(attempt, self._body(attempt), *args, **kwargs))

        return call


class AsyncAgent(_Tracked, Generic[P, R]):
    """A tracked coroutine function. Made by `tracker.agent`."""

    @overload
    def __get__(self, instance: None, owner: type | None) -> AsyncAgent[P, R]: ...
    @overload
    def __get__(
        self: _BindsAsync[Concatenate[T, Q], R], instance: T, owner: type | None = None
    ) -> AsyncAgent[Q, R]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> AsyncAgent[P, R]: ...
    def __get__(self, instance: object, owner: type | None = None) -> AsyncAgent[Any, Any]:
        """Bind a method to its instance, as Python does for a function."""
        return self._bound(instance, owner)

    @checked
    def bind(
        self,
        *,
        thread_id: str,
        user_id: str,
        timeout: float | None = None,
        metadata: Mapping[str, object] | None = None,
        message_id: str | None = None,
    ) -> Callable[P, Coroutine[Any, Any, Outcome[R]]]:
        """Say whose message the next call answers.

        Args:
            thread_id: The conversation.
            user_id: The user.
            timeout: Seconds this call may take, with all its attempts; None takes the agent's.
            metadata: Facts to keep with the execution; JSON.
            message_id: The client's own key of the message; see `SyncAgent.bind`.

        Returns:
            A coroutine function with the function's own parameters. Awaiting it raises `JournalError` when the execution
            cannot be recorded, and `DuplicateMessageError` when another agent answers this message.
        """
        function: Callable[P, Any] = self.__wrapped__

        async def once(scope: ExecutionScope, body: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> Outcome[R]:
            result: R | None = None
            try:
                async with scope:
                    returned = body(*args, **kwargs)
                    result = await returned if inspect.isawaitable(returned) else returned
                    self._complete(scope, result)
            except Exception as error:  # noqa: BLE001 - it becomes the outcome, or is raised again there
                return self._outcome(scope, result, error)
            return self._outcome(scope, result, None)

        async def call(*args: P.args, **kwargs: P.kwargs) -> Outcome[R]:
            chain = self._chain(thread_id, user_id, timeout, metadata, message_id)
            if chain is None:
                return await once(self._scope(thread_id, user_id, timeout, metadata), function, *args, **kwargs)
            return await chain.arun(lambda attempt: once(attempt, self._body(attempt), *args, **kwargs))

        return call


def _calls(function: Any) -> Any:
    """What a call of this is a call of, as everybody can see; None for a function itself, or where nothing is known."""
    if isinstance(function, partial):
        return function.func
    if isinstance(function, staticmethod | classmethod) or inspect.ismethod(function):
        return cast("Any", function).__func__
    return None if inspect.isroutine(function) or inspect.isclass(function) else type(function).__call__


def _seen_through(function: Any) -> list[Any]:
    """List a callable and what its calls are calls of, down to the function."""
    layers: list[Any] = []
    while function is not None and len(layers) < _DEPTH:
        layers.append(function)
        function = _calls(function)
    return layers


def _is_async(function: Any) -> bool:
    """Whether a callable, or what it wraps, is a coroutine function."""
    for _ in range(_DEPTH):
        layers = _seen_through(function)
        if any(map(inspect.iscoroutinefunction, layers)):
            return True
        function = next((one.__wrapped__ for one in layers if hasattr(one, "__wrapped__")), None)
        if function is None:
            break
    return False


def _expects_class(function: FunctionType) -> bool:
    """Whether a function looks like the inside of a `classmethod`: in a class's body, with `cls` as its first parameter."""
    owner = function.__qualname__.rpartition(".")[0]
    return bool(owner) and not owner.endswith("<locals>") and function.__code__.co_varnames[:1] == ("cls",)


def tracked_agent(
    function: object, name: str, open_scope: Callable[..., ExecutionScope], means: Means
) -> SyncAgent[..., Any] | AsyncAgent[..., Any]:
    """Wrap a function by its colour.

    Raises:
        StateTypeError: It is no plain function: not callable, or a generator, whose end nobody can see from its call.
    """
    if not callable(function) and not isinstance(function, classmethod):
        raise StateTypeError(f"@tracker.agent takes a function, not {type(function).__qualname__}")
    target = cast("Callable[..., Any]", function)
    if any(inspect.isgeneratorfunction(one) or inspect.isasyncgenfunction(one) for one in _seen_through(target)):
        raise StateTypeError(
            f"@tracker.agent takes no generator ({getattr(target, '__qualname__', target)!s}): "
            f"use `with tracker.execution(…)` inside it"
        )
    if inspect.isfunction(target) and _expects_class(target):
        raise StateTypeError(
            f"@tracker.agent must stand above @classmethod, not below it ({target.__qualname__}): from Python 3.13 on a "
            f"classmethod does not bind what it wraps"
        )
    is_async, fallback = _is_async(target), means.plan.fallback
    if fallback is not None and not callable(fallback):
        raise StateTypeError(f"fallback must be a function, not {describe(fallback)}")
    if fallback is not None and not is_async and _is_async(fallback):
        raise StateTypeError(f"agent {name!r} is a `def`, so its fallback must be one, not an `async def`")
    return (AsyncAgent if is_async else SyncAgent)(target, name, open_scope, means)
