"""What a handle's type says: the states that it may know, and the moves that its methods make.

Both are read from the annotations of `runstate.Execution`, as mypy sees them. Which of the moves is legal is read from
`TRANSITIONS`; there is no second table here.
"""

from __future__ import annotations

from mypy.checker import TypeChecker
from mypy.maptype import map_instance_to_supertype
from mypy.nodes import Decorator, FuncDef, Node, OverloadedFuncDef, TypeInfo
from mypy.plugin import CheckerPluginInterface
from mypy.types import (
    CallableType,
    Instance,
    LiteralType,
    Type,
    TypeVarType,
    UnionType,
    get_proper_type,
)

from runstate import ExecutionState

from . import _names

States = frozenset[ExecutionState]
"""The states that an execution may be in, as far as the source tells."""


def checker_of(api: CheckerPluginInterface) -> TypeChecker:
    """The type checker behind the interface that hooks are given.

    Raises:
        TypeError: It is none; mypy's plugin interface has changed.
    """
    if not isinstance(api, TypeChecker):
        raise TypeError(f"runstate.mypy_plugin expects hooks to be given mypy's TypeChecker, not {type(api).__name__}")
    return api


def scope_of(checker: TypeChecker) -> Node:
    """The innermost function, class or module that is being checked."""
    innermost = checker.scope.stack[-1]
    return innermost.defn if isinstance(innermost, TypeInfo) else innermost


def base_named(kind: Type | None, names: frozenset[str]) -> Instance | None:
    """See a type as the first of its bases that has one of these full names."""
    proper = get_proper_type(kind)
    if isinstance(proper, TypeVarType):
        proper = get_proper_type(proper.upper_bound)
    if not isinstance(proper, Instance):
        return None
    for base in proper.type.mro:
        if base.fullname in names:
            return map_instance_to_supertype(proper, base)
    return None


def handle(kind: Type | None) -> Instance | None:
    """See a type as `Execution[…]`, if it is a handle."""
    return base_named(kind, frozenset({_names.HANDLE}))


def known_states(kind: Type | None) -> States | None:
    """The states that a handle of this type may know; None where the type is no handle, or one of anything."""
    found = handle(kind)
    return _states(found.args[0]) if found is not None and len(found.args) == 1 else None


def _states(kind: Type) -> States | None:
    proper = get_proper_type(kind)
    if isinstance(proper, TypeVarType):
        return _states(proper.upper_bound)
    if isinstance(proper, UnionType):
        parts = [_states(item) for item in proper.items]
        return None if None in parts else frozenset[ExecutionState]().union(*(part for part in parts if part))
    if isinstance(proper, Instance) and proper.last_known_value is not None:
        proper = proper.last_known_value
    if isinstance(proper, LiteralType) and proper.fallback.type.fullname == _names.STATE:
        return frozenset({ExecutionState[str(proper.value)]})
    if isinstance(proper, Instance) and proper.type.fullname == _names.STATE:
        return frozenset(ExecutionState)
    return None


def state_named(kind: Type | None) -> ExecutionState | None:
    """The one state that an expression of this type is; None where it may be several."""
    states = None if kind is None else _states(kind)
    return next(iter(states)) if states is not None and len(states) == 1 else None


def signature(info: TypeInfo, name: str) -> CallableType | None:
    """A method's signature as it was written, decorated or not; None for properties and overloads."""
    symbol = info.get(name)
    node = symbol.node if symbol is not None else None
    if isinstance(node, Decorator):
        node = None if node.var.is_property else node.func
    return node.type if isinstance(node, FuncDef) and isinstance(node.type, CallableType) else None


def is_overloaded(info: TypeInfo, name: str) -> bool:
    """Whether a method has overloads."""
    symbol = info.get(name)
    return symbol is not None and isinstance(symbol.node, OverloadedFuncDef) and not symbol.node.is_property


def target_of(info: TypeInfo, name: str) -> ExecutionState | None:
    """The state that a handle's method moves to; None for a method that moves nothing."""
    found = signature(info, name)
    states = None if found is None else known_states(found.ret_type)
    return next(iter(states)) if states is not None and len(states) == 1 else None


def accepted_by(info: TypeInfo, name: str) -> States:
    """The states that a handle must know for its method to be called."""
    found = signature(info, name)
    states = known_states(found.arg_types[0]) if found is not None and found.arg_types else None
    return frozenset(ExecutionState) if states is None else states
