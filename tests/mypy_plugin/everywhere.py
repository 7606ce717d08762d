"""A plugin for mypy that follows calls as if they made an execution: whatever code there is, that must come to an end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from mypy.checker import TypeChecker
from mypy.nodes import CallExpr, FuncDef
from mypy.plugin import FunctionContext, MethodContext, Plugin
from mypy.types import Type

from runstate import ExecutionState
from runstate.mypy_plugin import RunstatePlugin
from runstate.mypy_plugin._events import Vocabulary
from runstate.mypy_plugin._graph import Graph
from runstate.mypy_plugin._handles import checker_of
from runstate.mypy_plugin._known import Following
from runstate.mypy_plugin._names import FACTS
from runstate.mypy_plugin._unfinished import Search

Context = TypeVar("Context", FunctionContext, MethodContext)

MOVES = {"start": ExecutionState.STARTING, "run": ExecutionState.RUNNING, "close": ExecutionState.COMPLETED}

SHARE = 7
"""Of so many lines the calls in one are followed: all would take minutes."""


def follow(found: Callable[[Context], Type] | None, ctx: Context) -> Type:
    """Look for the ends of what a call has made, and for its states, in the function around it."""
    if isinstance(ctx.context, CallExpr) and ctx.context.line % SHARE == 0:
        look(ctx.context, checker_of(ctx.api))
    return ctx.default_return_type if found is None else found(ctx)


def look(call: CallExpr, checker: TypeChecker) -> None:
    """Follow a call in the function around it."""
    function = checker.scope.stack[-1]
    if isinstance(function, FuncDef):
        words = Vocabulary(MOVES, frozenset({"expect"}), frozenset({"read", "get"}), FACTS, lambda other: other is call)
        graph = Graph(function, words)
        assert Search(graph, call).forgotten() in {None, *(point.line for point in graph.points)}
        assert isinstance(Following(graph, checker, call).states_before(), frozenset)


class Everywhere(RunstatePlugin):
    """Follows calls, and does what the plugin does."""

    def get_function_hook(self, fullname: str) -> Callable[[FunctionContext], Type] | None:
        """Follow the call of a function."""
        return partial(follow, super().get_function_hook(fullname))

    def get_method_hook(self, fullname: str) -> Callable[[MethodContext], Type] | None:
        """Follow the call of a method."""
        return partial(follow, super().get_method_hook(fullname))


def plugin(version: str) -> type[Plugin]:
    """Give mypy the plugin."""
    return Everywhere
