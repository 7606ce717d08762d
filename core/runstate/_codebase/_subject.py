"""One module that is read: its expressions, their types, and what is known of the classes behind them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from ._bindings import Function as FunctionNode
from ._facts import MOVE
from ._index import Index
from ._inference import Inference
from ._kinds import Kinds
from ._scopes import Scope
from ._source import Source
from ._types import ClassRef, Function, Instance, Module, Type

_N = TypeVar("_N", bound=ast.AST)


class Expected(NamedTuple):
    """An expression that stands where a state is declared."""

    node: ast.expr
    scope: Scope
    type: Type
    """What it is."""
    enum: ClassRef
    """The states that are declared there."""
    place: str
    """Such as `parameter state of update_execution_state()`."""


class Subject:
    """One module, with the types of its expressions and what is known of the classes behind them.

    Args:
        source: The module.
        kinds: What the classes of its code base are.
    """

    def __init__(self, source: Source, kinds: Kinds) -> None:
        self.inference: Inference = Inference(source, kinds.index)
        self.source = source
        self.kinds = kinds
        self._lines = source.lines

    @property
    def index(self) -> Index:
        """The code base."""
        return self.kinds.index

    def nodes(self, kind: type[_N]) -> list[tuple[_N, Scope]]:
        """Return every node of a type with its scope."""
        return self.inference.scopes.nodes(kind)

    def type_of(self, node: ast.expr, scope: Scope) -> Type:
        """Return what an expression is; None is unknown."""
        return self.inference.type_of(node, scope)

    def state_of(self, node: ast.expr, scope: Scope) -> Instance | None:
        """Return an expression's type if it is a state of executions."""
        found = self.type_of(node, scope)
        return found if isinstance(found, Instance) and self.kinds.is_state(found.ref) else None

    def tracker_call(self, node: ast.expr, scope: Scope) -> Function | None:
        """Return the method of a tracker or handle that an expression calls, awaited or not."""
        if isinstance(node, ast.Await):
            node = node.value
        if not isinstance(node, ast.Call):
            return None
        called = self.type_of(node.func, scope)
        if isinstance(called, Function) and called.owner is not None and self.kinds.is_tracker(called.owner):
            return called
        return None

    def moves_of_unknown(self) -> Iterator[tuple[ast.Call, ast.expr, Scope]]:
        """Every `update_execution_state(…)` of something unknown, with what it is given as a state."""
        for call, scope in self.nodes(ast.Call):
            is_move = isinstance(call.func, ast.Attribute) and call.func.attr == MOVE
            if is_move and isinstance(self.type_of(call.func, scope), Module | None):
                named = [one.value for one in call.keywords if one.arg in {"state", "new_state"}]
                yield from ((call, given, scope) for given in [*call.args[1:2], *named][:1])

    def expected_states(self) -> Iterator[Expected]:
        """Every expression that is given where a state is declared: argument, default, attribute, variable, result."""
        for call, scope in self.nodes(ast.Call):
            for parameter, given, called in self.inference.arguments(call, scope):
                place = f"parameter {parameter.name} of {_callee(called)}()"
                yield from self._expected(given, scope, self.inference.parameter_type(parameter, called), place)
        for assignment, scope in self.nodes(ast.Assign):
            for target in assignment.targets:
                if isinstance(target, ast.Attribute):
                    declared = self.index.settable(self.type_of(target.value, scope), target.attr, self.source.path)
                    yield from self._expected(assignment.value, scope, declared, f"attribute {target.attr}")
        for annotated, scope in self.nodes(ast.AnnAssign):
            if annotated.value is not None:
                declared = self.inference.declared(annotated.annotation, scope)
                yield from self._expected(annotated.value, scope, declared, f"variable {ast.unparse(annotated.target)}")
        defined: list[tuple[FunctionNode, Scope]] = [*self.nodes(ast.FunctionDef), *self.nodes(ast.AsyncFunctionDef)]
        for definition, scope in defined:
            for one, default in _defaults(definition):
                declared = self.inference.declared(one.annotation, scope)
                yield from self._expected(default, scope, declared, f"default of parameter {one.arg}")
        for result, scope in self.nodes(ast.Return):
            function = scope.function
            if function is not None and result.value is not None:
                declared = self.inference.declared(function.returns, scope)
                yield from self._expected(result.value, scope, declared, f"result of {function.name}()")

    def _expected(self, node: ast.expr, scope: Scope, declared: Type, place: str) -> Iterator[Expected]:
        if isinstance(declared, Instance) and self.kinds.is_state(declared.ref):
            if isinstance(node, ast.IfExp):
                yield from self._expected(node.body, scope, declared, place)
                yield from self._expected(node.orelse, scope, declared, place)
            else:
                yield Expected(node, scope, self.type_of(node, scope), declared.ref, place)

    def named(self, ref: ClassRef) -> str:
        """Name a class with the module that defines it, for messages."""
        name = ref.path.rpartition("/")[2].partition(".")[0]
        if name == "__init__":
            name = ref.path.rpartition("/")[0].rpartition("/")[2]
        return f"{name.removeprefix('_states') or 'runstate'}.{ref.name}"

    def line(self, number: int) -> str:
        """Return the text of a line, 1-based."""
        return self._lines[number - 1] if number <= len(self._lines) else ""

    def column(self, line: int, offset: int) -> int:
        """Return the column, 1-based and in characters, of an offset in bytes, which is how syntax trees count."""
        start = self.line(line).encode("utf-8", "surrogatepass")[:offset]
        return len(start.decode("utf-8", "replace")) + 1


def _callee(called: Function) -> str:
    if called.facts.name == "__init__" and called.owner is not None:
        return called.owner.name
    return called.facts.name


def _defaults(function: FunctionNode) -> Iterator[tuple[ast.arg, ast.expr]]:
    """The parameters that have defaults; none where a decorator may give them another meaning."""
    if function.decorator_list:
        return
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    yield from zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True)
    for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            yield one, default
