"""The types of expressions that mypy has not checked yet, as far as what they name has been declared.

A hook runs in the middle of a function, when nothing below it has a type.
"""

from __future__ import annotations

from mypy.nodes import (
    CallExpr,
    Decorator,
    Expression,
    FuncDef,
    MemberExpr,
    OverloadedFuncDef,
    RefExpr,
    SymbolNode,
    TypeInfo,
    Var,
)
from mypy.types import AnyType, CallableType, Instance, NoneType, ProperType, Type, UnionType, get_proper_type


def type_of(expression: Expression) -> ProperType | None:
    """The type of an expression; None where it is not known yet, or Any."""
    match expression:
        case RefExpr(node=SymbolNode() as node):
            return _type_of_node(node)
        case MemberExpr(expr=owner, name=name):
            kind = _unless_none(type_of(owner))
            return type_of_member(kind.type, name) if isinstance(kind, Instance) else None
        case CallExpr(callee=RefExpr(node=TypeInfo() as info)):
            return Instance(info, [])
        case CallExpr(callee=callee):
            found = type_of(callee)
            return get_proper_type(found.ret_type) if isinstance(found, CallableType) else None
        case _:
            return None


def _unless_none(kind: ProperType | None) -> ProperType | None:
    """What a value is that may be None, once the code has ruled that out."""
    if isinstance(kind, UnionType):
        others = [item for item in map(get_proper_type, kind.items) if not isinstance(item, NoneType)]
        return others[0] if len(others) == 1 else None
    return kind


def type_of_member(info: TypeInfo, name: str) -> ProperType | None:
    """The type of an attribute of a class's instances, which for a method is its own; None where it is not known."""
    symbol = info.get(name)
    if symbol is None or symbol.node is None:
        return None
    found = _type_of_node(symbol.node)
    is_property = isinstance(symbol.node, Decorator) and symbol.node.var.is_property
    return get_proper_type(found.ret_type) if is_property and isinstance(found, CallableType) else found


def _type_of_node(node: SymbolNode) -> ProperType | None:
    kind: Type | None = None
    if isinstance(node, Decorator):
        kind = node.var.type or node.func.type
    elif isinstance(node, Var | FuncDef | OverloadedFuncDef):
        kind = node.type
    proper = get_proper_type(kind)
    return None if isinstance(proper, AnyType) else proper
