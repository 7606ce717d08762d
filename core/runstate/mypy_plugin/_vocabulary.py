"""What the reader of events must know of a handle's class."""

from __future__ import annotations

from collections.abc import Callable

from mypy.nodes import CallExpr, Decorator, FuncDef, OverloadedFuncDef, SymbolNode
from mypy.types import Overloaded, Type

from runstate import ExecutionState

from . import _names
from ._events import Vocabulary
from ._handles import handle, target_of


def vocabulary_of(kind: Type, is_origin: Callable[[CallExpr], bool]) -> Vocabulary:
    """Read the class of a handle, of which *kind* is the type."""
    moves: dict[str, ExecutionState] = {}
    narrowing: set[str] = set()
    others: set[str] = set()
    found = handle(kind)
    if found is not None:
        for name, symbol in found.type.names.items():
            target = target_of(found.type, name)
            if target is not None:
                moves[name] = target
            elif _gives_handles(symbol.node):
                narrowing.add(name)
            elif isinstance(symbol.node, FuncDef) or (
                isinstance(symbol.node, Decorator) and not symbol.node.var.is_property
            ):
                others.add(name)
    return Vocabulary(moves, frozenset(narrowing), frozenset(others), _names.FACTS, is_origin)


def _gives_handles(node: SymbolNode | None) -> bool:
    overloads = node.type if isinstance(node, OverloadedFuncDef) else None
    return isinstance(overloads, Overloaded) and all(handle(item.ret_type) is not None for item in overloads.items)
