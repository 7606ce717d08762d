"""What the expressions of one module are, as far as that is certain."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ._facts import ImportFacts, Parameter
from ._index import Index
from ._refs import annotation_ref
from ._scopes import Binding, Scope, Scopes
from ._source import Source
from ._types import Awaitable, Class, ClassRef, Instance, Items, Mapping, Module, Nothing, Text, Type, join
from ._types import Function as FunctionType

_BUILTIN_TEXT = frozenset({"str", "repr", "format"})
_TEXT_TO_TEXT = frozenset(
    {"capitalize", "casefold", "format", "join", "lstrip", "removeprefix", "removesuffix", "replace", "rstrip", "strip"}
)
_CAST = Module("typing.cast")
_RUN = Module("asyncio.run")


class Inference:
    """Types of expressions in one module.

    Args:
        source: The module.
        index: The code base that it is part of.
    """

    def __init__(self, source: Source, index: Index) -> None:
        self.source = source
        self.index = index
        self.scopes: Scopes = Scopes(source)
        self._types: dict[int, Type] = {}
        self._busy: set[int] = set()

    def type_of(self, node: ast.expr, scope: Scope) -> Type:
        """Return what an expression is; None is unknown."""
        key = id(node)
        if key not in self._types:
            if key in self._busy:
                return None
            self._busy.add(key)
            try:
                self._types[key] = self._type_of(node, scope)
            finally:
                self._busy.discard(key)
        return self._types[key]

    def _type_of(self, node: ast.expr, scope: Scope) -> Type:
        match node:
            case ast.Constant(value=str(text)):
                return Text(text)
            case ast.Constant(value=None):
                return Nothing()
            case ast.JoinedStr():
                return Text()
            case ast.Dict() | ast.DictComp():
                return Mapping()
            case ast.Name():
                return self.name(node.id, scope)
            case ast.Attribute():
                return self.index.attribute(self.type_of(node.value, scope), node.attr, self.source.path)
            case ast.Call():
                return self._call(node, scope)
            case ast.Await():
                awaited = self.type_of(node.value, scope)
                return awaited.result if isinstance(awaited, Awaitable) else None
            case ast.IfExp():
                return self._one_of([node.body, node.orelse], scope)
            case ast.BoolOp():
                return self._one_of(node.values, scope)
            case ast.BinOp():
                return self._operation(node, scope)
            case ast.NamedExpr():
                return self.type_of(node.value, scope)
            case ast.Subscript():
                return self._subscript(node, scope)
            case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Set(elts=elements) if elements:
                return Items(join([self.type_of(element, scope) for element in elements]))
            case _:
                return None

    def _operation(self, node: ast.BinOp, scope: Scope) -> Type:
        left, right = self.type_of(node.left, scope), self.type_of(node.right, scope)
        match node.op, left, right:
            case ast.Add(), Text(one), Text(other):
                return Text(one + other if one is not None and other is not None else None)
            case ast.Mod(), Text(), _:
                return Text()
            case ast.BitOr(), Mapping(), Mapping():
                return join([left, right])
            case _:
                return None

    def _call(self, node: ast.Call, scope: Scope) -> Type:
        called = self.type_of(node.func, scope)
        if called == _CAST and len(node.args) == 2:
            return self.declared(node.args[0], scope)
        if called == _RUN and node.args:
            awaited = self.type_of(node.args[0], scope)
            return awaited.result if isinstance(awaited, Awaitable) else None
        if isinstance(called, Class) and self.index.is_enum(called.ref) and len(node.args) == 1:
            return Instance(called.ref, self._member_of_value(called.ref, self.type_of(node.args[0], scope)))
        if called is not None:
            return self.index.call(called)
        if isinstance(node.func, ast.Name) and not self._is_bound(node.func.id, scope):
            if node.func.id == "dict":
                return Mapping()
            if node.func.id in _BUILTIN_TEXT:
                return Text()
            if node.func.id == "super" and not node.args:
                return self._base(scope)
        return self._builtin_method(node, node.func, scope) if isinstance(node.func, ast.Attribute) else None

    def _builtin_method(self, call: ast.Call, function: ast.Attribute, scope: Scope) -> Type:
        """What a method of a text or a dict gives."""
        match self.type_of(function.value, scope), function.attr:
            case Text(value, state), "lower" | "upper" as change:
                return Text(None if value is None else getattr(value, change)(), state)
            case Text(), name if name in _TEXT_TO_TEXT:
                return Text()
            case Mapping(item), "get" | "pop" | "setdefault":
                return join([item, *(self.type_of(default, scope) for default in call.args[1:2])])
            case Mapping(item), "values":
                return Items(item)
            case _:
                return None

    def _base(self, scope: Scope) -> Type:
        """What `super()` is, where a class has one base."""
        facts = None if scope.owner is None else self.index.class_facts(scope.owner)
        if facts is None or len(facts.bases) != 1 or scope.function is None:
            return None
        base = self.index.resolve(self.source.path, facts.bases[0])
        return Instance(base.ref) if isinstance(base, Class) else None

    def _member_of_value(self, ref: ClassRef, value: Type) -> str | None:
        facts = self.index.class_facts(ref)
        if facts is None or not isinstance(value, Text) or value.value is None:
            return None
        return next((member.name for member in facts.members if member.value == value.value), None)

    def _subscript(self, node: ast.Subscript, scope: Scope) -> Type:
        of = self.type_of(node.value, scope)
        if isinstance(of, Class) and self.index.is_enum(of.ref):
            name = self.type_of(node.slice, scope)
            return Instance(of.ref, name.value if isinstance(name, Text) else None)
        if isinstance(of, Mapping):
            return of.item
        return of.item if isinstance(of, Items) and not isinstance(node.slice, ast.Slice) else None

    # -- names --------------------------------------------------------------------------------------------------------

    def name(self, name: str, scope: Scope) -> Type:
        """Return what a name means in a scope."""
        home = self._home(name, scope)
        if home is None:
            return self.index.lookup(self.source.path, name)
        bindings = home.names[name]
        if bindings and bindings[0].kind == "annotation" and all(one.kind != "unknown" for one in bindings):
            return self._bound(bindings[0], home)
        return self._beside_defaults(
            [self._bound(one, home) for one in bindings if one.kind != "open"],
            is_open=any(one.kind == "open" for one in bindings),
        )

    def is_module_level(self, name: str, scope: Scope) -> bool:
        """Whether a name means in a scope what it means at the top of the module."""
        return self._home(name, scope) in (None, self.scopes.module)

    def possible(self, name: str, scope: Scope) -> list[Type]:
        """Return everything that a name may be, one for each thing that binds it."""
        home = self._home(name, scope)
        return [] if home is None else [self._bound(one, home) for one in home.names[name]]

    def _beside_defaults(self, types: list[Type], *, is_open: bool) -> Type:
        told = join(types)
        return told if not is_open or self.index.stays_beside_a_default(told) else None

    def _is_open(self, node: ast.expr, scope: Scope) -> bool:
        """Whether an expression is a parameter without annotation that is None by default."""
        home = self._home(node.id, scope) if isinstance(node, ast.Name) else None
        return home is not None and isinstance(node, ast.Name) and home.names[node.id][0].kind == "open"

    def _one_of(self, nodes: list[ast.expr], scope: Scope) -> Type:
        is_open = [self._is_open(one, scope) for one in nodes]
        types = [self.type_of(one, scope) for one, its in zip(nodes, is_open, strict=True) if not its]
        return self._beside_defaults(types, is_open=any(is_open))

    def _home(self, name: str, scope: Scope) -> Scope | None:
        one: Scope | None = scope
        while one is not None:
            if name in one.globals:
                one = self.scopes.module
            if name in one.names and (one is scope or not isinstance(one.node, ast.ClassDef)):
                return one
            one = one.parent
        return None

    def _is_bound(self, name: str, scope: Scope) -> bool:
        return self._home(name, scope) is not None

    def _bound(self, binding: Binding, scope: Scope) -> Type:
        path = self.source.path
        match binding:
            case Binding("value", ast.expr() as value):
                return self.type_of(value, scope)
            case Binding("annotation", str(ref)):
                return self._by_ref(ref, scope)
            case Binding("items", ast.expr() as value):
                items = self.type_of(value, scope)
                if isinstance(items, Class) and self.index.is_enum(items.ref):
                    return Instance(items.ref)
                return items.item if isinstance(items, Items) else None
            case Binding("mapped", ast.expr() as value):
                mapping = self.type_of(value, scope)
                return mapping.item if isinstance(mapping, Mapping) else None
            case Binding("entered", ast.expr() as value):
                return self._entered(self.type_of(value, scope))
            case Binding("type"):
                return binding.type
            case Binding("import", ImportFacts() as one):
                return self.index.import_type(path, one)
            case _:
                return None

    def _by_ref(self, ref: str, scope: Scope) -> Type:
        """Resolve an annotation; a name that the function itself imports is found too."""
        first = ref.removeprefix("[]").removeprefix("{}").partition(".")[0]
        home = self._home(first, scope)
        if home is not None and home is not self.scopes.module and ref == first:
            found = self.name(first, scope)
            return Instance(found.ref) if isinstance(found, Class) else None
        return self.index.by_ref(self.source.path, ref, scope.owner)

    def _entered(self, of: Type) -> Type:
        if not isinstance(of, Instance):
            return None
        enter = self.index.method(of.ref, "__enter__") or self.index.method(of.ref, "__aenter__")
        result = None if enter is None else self.index.call(enter)
        return result.result if isinstance(result, Awaitable) else result

    # -- calls --------------------------------------------------------------------------------------------------------

    def arguments(self, node: ast.Call, scope: Scope) -> Iterator[tuple[Parameter, ast.expr, FunctionType]]:
        """Pair the arguments of a call with the parameters that they are given to, where the callee is known."""
        called = self.type_of(node.func, scope)
        if isinstance(called, Class) and not self.index.is_enum(called.ref):
            called = self.index.method(called.ref, "__init__")
        if not isinstance(called, FunctionType):
            return
        positional = [one for one in called.facts.parameters if one.is_positional]
        for one, given in zip(positional, node.args, strict=False):
            if isinstance(given, ast.Starred):
                break
            yield one, given, called
        by_name = {one.name: one for one in called.facts.parameters}
        for keyword in node.keywords:
            if keyword.arg in by_name:
                yield by_name[keyword.arg], keyword.value, called

    def parameter_type(self, parameter: Parameter, of: FunctionType) -> Type:
        """Return what a parameter is declared to be."""
        return self.index.by_ref(of.path, parameter.ref, of.owner)

    def declared(self, annotation: ast.expr | None, scope: Scope) -> Type:
        """Return what an annotation says."""
        ref = annotation_ref(annotation)
        return None if ref is None else self._by_ref(ref, scope)
