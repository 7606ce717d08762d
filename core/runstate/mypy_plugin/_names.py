"""Every name that the plugin looks for. What is ours is read from runstate itself, so nothing here can drift from it."""

from __future__ import annotations

import inspect
from enum import Enum
from types import FunctionType
from typing import Final

import runstate as package
from runstate import (
    Execution,
    ExecutionRecord,
    ExecutionState,
    ExecutionTracker,
    InvalidValueError,
    NotBoundError,
    RecordDecodeError,
    StateTypeError,
)


def fullname(value: type[object] | FunctionType) -> str:
    """Where mypy finds the definition of a class or function."""
    return f"{value.__module__}.{value.__qualname__}"


_PUBLIC: Final[list[object]] = [getattr(package, name) for name in package.__all__]
_CLASSES: Final[list[type[object]]] = [
    value for value in _PUBLIC if isinstance(value, type) and not issubclass(value, Enum)
]

CLASSES: Final = frozenset(fullname(kind) for kind in _CLASSES)
"""The public classes but the enums, whose lookup by value is meant for what comes from outside."""
BASES: Final = frozenset(
    fullname(base)
    for kind in _CLASSES
    for base in kind.__mro__
    if base.__module__.partition(".")[0] == package.__name__
)
"""The public classes and their bases: where their methods are defined."""
FUNCTIONS: Final = frozenset(fullname(value) for value in _PUBLIC if isinstance(value, FunctionType))
"""The public functions."""
METHODS: Final = frozenset(
    name
    for kind in _CLASSES
    for name, member in inspect.getmembers_static(kind)
    if not name.startswith("_") and inspect.isfunction(inspect.unwrap(member))
)
"""The names of the public classes' methods."""

HANDLE: Final = fullname(Execution)
TRACKER: Final = fullname(ExecutionTracker)
STATE: Final = fullname(ExecutionState)
NAMING: Final = frozenset({HANDLE, fullname(ExecutionRecord), fullname(str)})
"""What names an execution, and always the same one: its handle, its record, its id."""

CREATE: Final = ExecutionTracker.create.__name__
BLOCK: Final = "execution"
UPDATE: Final = "update_execution_state"
OF_ONE: Final = frozenset(
    {CREATE, BLOCK, UPDATE, "aflush", "agent", "await_outcome", "flush", "get", "handle", "statistics", "wait"}
)
"""The tracker's methods that concern one execution, or none."""
ID: Final = "execution_id"
STATE_ARGUMENT: Final = "state"

FACTS: Final = frozenset({"agent", "thread_id", "user_id", "known_state"})
"""The attributes of a handle that say nothing of how its execution stands now."""

_OF_VALUES: Final = (InvalidValueError, NotBoundError, RecordDecodeError, StateTypeError)
SAYING_ENDED: Final = frozenset(
    fullname(base)
    for kind in _CLASSES
    if issubclass(kind, Exception) and not issubclass(kind, _OF_VALUES)
    for base in kind.__mro__
) - {fullname(Exception), fullname(BaseException), fullname(object)}
"""runstate's errors and what else takes them: a handler for one of these may be there for an execution that has ended.

Not those of wrong values: after one of them everything is as it was.
"""

LEGACY: Final = (
    "netra_backend.app.core.execution_tracker.",
    "netra_backend.app.core.agent_execution_tracker.",
    "netra_backend.app.agents.execution_tracking.",
    "runstate.legacy.",
)
"""The modules of the trackers that runstate replaces, and those that take their place."""


def is_legacy(name: str) -> bool:
    """Whether a full name belongs to a legacy tracker's module, or to a facade; what is private to these does not count."""
    return name.startswith(LEGACY) and not name.rpartition(".")[2].startswith("_")


EXPECTING: Final = frozenset({"assertRaises", "assertRaisesRegex", "raises"})
"""What begins a block in which a test makes a mistake on purpose: those of `unittest` and `pytest`."""

FORWARDING: Final = frozenset({"asyncio.threads.to_thread"})
"""Functions that call what they are given, with the arguments that stand behind it."""
FORWARDING_METHODS: Final = {
    "call_at": "asyncio.events.AbstractEventLoop",
    "call_later": "asyncio.events.AbstractEventLoop",
    "call_soon": "asyncio.events.AbstractEventLoop",
    "call_soon_threadsafe": "asyncio.events.AbstractEventLoop",
    "run_in_executor": "asyncio.events.AbstractEventLoop",
    "submit": "concurrent.futures._base.Executor",
}
"""Methods that do so, and the classes that have them."""
PARTIAL_CALL: Final = "functools.partial.__call__"


MAYBE_NONE: Final = "_typeshed.MaybeNone"
"""Typeshed's alias of `Any` in results that are None in cases which the caller rules out, such as `match[1]`."""

HARMLESS: Final = frozenset({"builtins.id", "builtins.isinstance", "builtins.print"})
"""Functions that show a value or look at it, and keep nothing of it: what is only given to these has not been passed on."""
TEXTS: Final = frozenset({"builtins.format", "builtins.repr", "builtins.str"})
"""Functions that make a text of a value: it goes where the text goes."""
LOGGERS: Final = frozenset({"logging", "logging.Logger", "logging.LoggerAdapter"})
"""What has the methods, or functions, below."""
LOGGING: Final = frozenset({"critical", "debug", "error", "exception", "info", "log", "warning"})
"""They show a value and keep nothing of it."""
