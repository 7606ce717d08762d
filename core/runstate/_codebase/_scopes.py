"""The scopes of one module: which names each binds and to what, and every node of interest with its scope.

Python's own rules: a function's names are those that it binds anywhere in its body; a class's names are not seen by its
methods; a comprehension has its own. A name whose type is tested inside a function (`isinstance`) is unknown there: what
holds on one side of the test does not hold on the other.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar

from ._bindings import Function, optional_parameters
from ._facts import ImportFacts, function_facts, import_facts
from ._refs import annotation_ref, dotted
from ._source import Source
from ._types import Class, ClassRef, Instance, Type
from ._types import Function as FunctionType

_Kind: TypeAlias = Literal["value", "annotation", "items", "mapped", "entered", "type", "import", "open", "unknown"]


class Binding(NamedTuple):
    """One thing that binds a name; what it is bound by depends on the kind."""

    kind: _Kind
    by: ast.expr | str | ImportFacts | None = None
    type: Type = None


@dataclass(eq=False, slots=True)
class Scope:
    """One module, class, function, lambda or comprehension."""

    node: ast.AST
    parent: Scope | None
    owner: ClassRef | None = None
    """The class that the scope is of, or is a method of."""
    names: defaultdict[str, list[Binding]] = field(default_factory=lambda: defaultdict(list))
    globals: set[str] = field(default_factory=set[str])
    """Names that are the module's here, by `global`."""

    @property
    def function(self) -> Function | None:
        """The function whose body this is, or is inside of."""
        scope: Scope | None = self
        while scope is not None and not isinstance(scope.node, Function):
            scope = None if isinstance(scope.node, ast.Lambda) else scope.parent
        return scope.node if scope is not None and isinstance(scope.node, Function) else None

    @property
    def title(self) -> str:
        """The qualified name of the definition that this is inside of; empty at module level."""
        parts: list[str] = []
        scope: Scope | None = self
        while scope is not None:
            if isinstance(scope.node, Function | ast.ClassDef):
                parts.append(scope.node.name)
            scope = scope.parent
        return ".".join(reversed(parts))


_N = TypeVar("_N", bound=ast.AST)
_Test: Final = frozenset({"isinstance", "issubclass", "callable", "hasattr"})


class Scopes:
    """The scopes and nodes of one module."""

    def __init__(self, source: Source) -> None:
        self.module: Scope = Scope(source.tree, None)
        self._path = source.path
        self._nodes: defaultdict[type[ast.AST], list[tuple[ast.AST, Scope]]] = defaultdict(list)
        for statement in source.tree.body:
            self._visit(statement, self.module)

    def nodes(self, kind: type[_N]) -> list[tuple[_N, Scope]]:
        """Return every node of one type with its scope, in the order of the source."""
        return [(node, scope) for node, scope in self._nodes[kind] if isinstance(node, kind)]

    def _visit(self, node: ast.AST, scope: Scope) -> None:
        self._nodes[type(node)].append((node, scope))
        visit = getattr(self, f"_visit_{type(node).__name__}", None)
        if visit is not None:
            visit(node, scope)
        else:
            self._visit_children(node, scope)

    def _visit_children(self, node: ast.AST, scope: Scope) -> None:
        for child in ast.iter_child_nodes(node):
            self._visit(child, scope)

    # -- scopes -------------------------------------------------------------------------------------------------------

    def _visit_FunctionDef(self, node: Function, scope: Scope) -> None:  # noqa: N802 - named after the node
        for outside in (*node.decorator_list, node.args, *([node.returns] if node.returns else [])):
            self._visit(outside, scope)
        is_method = isinstance(scope.node, ast.ClassDef)
        facts = function_facts(node, is_method=is_method)
        scope.names[node.name].append(
            Binding("unknown") if node.decorator_list else Binding("type", type=FunctionType(self._path, facts))
        )
        inner = Scope(node, scope, scope.owner)
        self._bind_parameters(node, inner, is_method=is_method)
        for statement in node.body:
            self._visit(statement, inner)

    _visit_AsyncFunctionDef = _visit_FunctionDef  # noqa: N815

    def _bind_parameters(self, node: Function, scope: Scope, *, is_method: bool) -> None:
        arguments = node.args
        positional = [*arguments.posonlyargs, *arguments.args]
        decorators = {(dotted(one) or "").rpartition(".")[2] for one in node.decorator_list}
        if is_method and positional and scope.owner is not None and "staticmethod" not in decorators:
            own: Type = Class(scope.owner) if "classmethod" in decorators else Instance(scope.owner)
            scope.names[positional.pop(0).arg].append(Binding("type", type=own))
        optional = optional_parameters(node)
        for one in (*positional, *arguments.kwonlyargs):
            is_open = one.annotation is None and one in optional
            bound = Binding("open") if is_open else Binding("annotation", annotation_ref(one.annotation))
            scope.names[one.arg].append(bound)
        for rest in (arguments.vararg, arguments.kwarg):
            if rest is not None:
                scope.names[rest.arg].append(Binding("unknown"))

    def _visit_Lambda(self, node: ast.Lambda, scope: Scope) -> None:  # noqa: N802
        inner = Scope(node, scope, scope.owner)
        for one in ast.walk(node.args):
            if isinstance(one, ast.arg):
                inner.names[one.arg].append(Binding("unknown"))
        self._visit(node.args, scope)
        self._visit(node.body, inner)

    def _visit_ClassDef(self, node: ast.ClassDef, scope: Scope) -> None:  # noqa: N802
        for outside in (*node.decorator_list, *node.bases, *node.keywords):
            self._visit(outside, scope)
        outer = f"{scope.owner.name}." if isinstance(scope.node, ast.ClassDef) and scope.owner is not None else ""
        is_local = scope.function is not None
        ref = None if is_local else ClassRef(self._path, f"{outer}{node.name}")
        scope.names[node.name].append(Binding("unknown") if ref is None else Binding("type", type=Class(ref)))
        inner = Scope(node, scope, ref)
        for statement in node.body:
            self._visit(statement, inner)

    def _visit_comprehension_of(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, scope: Scope
    ) -> None:
        inner = Scope(node, scope, scope.owner)
        for number, one in enumerate(node.generators):
            self._visit(one.iter, inner if number else scope)
            if one.is_async:
                self._bind(one.target, Binding("unknown"), inner)
            else:
                self._bind_each(one.target, one.iter, inner)
            for test in one.ifs:
                self._visit(test, inner)
        for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self._visit(part, inner)

    _visit_ListComp = _visit_SetComp = _visit_GeneratorExp = _visit_DictComp = _visit_comprehension_of  # noqa: N815

    # -- bindings -----------------------------------------------------------------------------------------------------

    def _bind(self, target: ast.expr, binding: Binding, scope: Scope) -> None:
        if isinstance(target, ast.Name):
            (self.module if target.id in scope.globals else scope).names[target.id].append(binding)
        elif isinstance(target, ast.Tuple | ast.List):
            values: list[ast.expr | None] = [None] * len(target.elts)
            if binding.kind == "value" and isinstance(binding.by, ast.Tuple) and len(binding.by.elts) == len(values):
                values = list(binding.by.elts)
            for part, value in zip(target.elts, values, strict=True):
                self._bind(part, Binding("unknown") if value is None else Binding("value", value), scope)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, Binding("unknown"), scope)

    def _visit_Assign(self, node: ast.Assign, scope: Scope) -> None:  # noqa: N802
        for target in node.targets:
            self._bind(target, Binding("value", node.value), scope)
        self._visit_children(node, scope)

    def _visit_AnnAssign(self, node: ast.AnnAssign, scope: Scope) -> None:  # noqa: N802
        self._bind(node.target, Binding("annotation", annotation_ref(node.annotation)), scope)
        self._visit_children(node, scope)

    def _visit_AugAssign(self, node: ast.AugAssign, scope: Scope) -> None:  # noqa: N802
        self._bind(node.target, Binding("unknown"), scope)
        self._visit_children(node, scope)

    def _visit_NamedExpr(self, node: ast.NamedExpr, scope: Scope) -> None:  # noqa: N802
        home = scope
        while isinstance(home.node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) and home.parent:
            home = home.parent
        self._bind(node.target, Binding("value", node.value), home)
        self._visit_children(node, scope)

    def _bind_each(self, target: ast.expr, iterated: ast.expr, scope: Scope) -> None:
        """Bind what a loop goes through; of pairs, as `enumerate` and a dict's `items` give them, the second."""
        match target, iterated:
            case ast.Tuple(elts=[first, second]), ast.Call(func=ast.Name("enumerate"), args=[inside, *_]):
                self._bind(first, Binding("unknown"), scope)
                self._bind(second, Binding("items", inside), scope)
            case ast.Tuple(elts=[first, second]), ast.Call(func=ast.Attribute(value=of, attr="items"), args=[]):
                self._bind(first, Binding("unknown"), scope)
                self._bind(second, Binding("mapped", of), scope)
            case _:
                self._bind(target, Binding("items", iterated), scope)

    def _visit_For(self, node: ast.For | ast.AsyncFor, scope: Scope) -> None:  # noqa: N802
        if isinstance(node, ast.AsyncFor):
            self._bind(node.target, Binding("unknown"), scope)
        else:
            self._bind_each(node.target, node.iter, scope)
        self._visit_children(node, scope)

    _visit_AsyncFor = _visit_For  # noqa: N815

    def _visit_withitem(self, node: ast.withitem, scope: Scope) -> None:
        if node.optional_vars is not None:
            self._bind(node.optional_vars, Binding("entered", node.context_expr), scope)
        self._visit_children(node, scope)

    def _visit_Import(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> None:  # noqa: N802
        for one in import_facts(node):
            local = one.local if one.name is not None or one.local != one.module else one.local.partition(".")[0]
            scope.names[local].append(Binding("import", one))

    _visit_ImportFrom = _visit_Import  # noqa: N815

    def _visit_ExceptHandler(self, node: ast.ExceptHandler, scope: Scope) -> None:  # noqa: N802
        if node.name is not None:
            scope.names[node.name].append(Binding("unknown"))
        self._visit_children(node, scope)

    def _visit_Global(self, node: ast.Global, scope: Scope) -> None:  # noqa: N802
        scope.globals.update(node.names)

    def _visit_Nonlocal(self, node: ast.Nonlocal, scope: Scope) -> None:  # noqa: N802
        one: Scope | None = scope
        while one is not None and one is not self.module:
            for name in node.names:
                one.names[name].append(Binding("unknown"))
            one = one.parent

    def _visit_Delete(self, node: ast.Delete, scope: Scope) -> None:  # noqa: N802
        for target in node.targets:
            self._bind(target, Binding("unknown"), scope)
        self._visit_children(node, scope)

    def _visit_MatchAs(self, node: ast.MatchAs | ast.MatchStar, scope: Scope) -> None:  # noqa: N802
        if node.name is not None:
            scope.names[node.name].append(Binding("unknown"))
        self._visit_children(node, scope)

    _visit_MatchStar = _visit_MatchAs  # noqa: N815

    def _visit_Call(self, node: ast.Call, scope: Scope) -> None:  # noqa: N802
        if isinstance(node.func, ast.Name) and node.func.id in _Test and node.args:
            tested = node.args[0]
            if isinstance(tested, ast.Name):
                home = scope
                while home.parent is not None and not isinstance(home.node, Function | ast.Module):
                    home = home.parent
                if tested.id in home.names or home.parent is not None:
                    home.names[tested.id].append(Binding("unknown"))
        self._visit_children(node, scope)
