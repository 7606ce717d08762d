"""Walks mypy's syntax trees. Its own visitors are compiled, and a plugin, which is not, may not derive from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, cast

from mypy import nodes, patterns
from mypy.nodes import (
    AwaitExpr,
    CallExpr,
    Expression,
    ExpressionStmt,
    MemberExpr,
    NameExpr,
    Node,
    OverloadedFuncDef,
    Var,
)

PARTS: Final[dict[type[Node], tuple[str, ...]]] = {
    # expressions
    nodes.AssertTypeExpr: ("expr",),
    nodes.AssignmentExpr: ("value", "target"),
    nodes.AwaitExpr: ("expr",),
    nodes.CallExpr: ("callee", "args"),
    nodes.CastExpr: ("expr",),
    nodes.ComparisonExpr: ("operands",),
    nodes.ConditionalExpr: ("cond", "if_expr", "else_expr"),
    nodes.DictExpr: ("items",),
    nodes.DictionaryComprehension: ("sequences", "indices", "condlists", "key", "value"),
    nodes.GeneratorExpr: ("sequences", "indices", "condlists", "left_expr"),
    nodes.IndexExpr: ("base", "index"),
    nodes.LambdaExpr: ("arguments", "body"),
    nodes.ListComprehension: ("generator",),
    nodes.ListExpr: ("items",),
    nodes.MemberExpr: ("expr",),
    nodes.OpExpr: ("left", "right"),
    nodes.RevealExpr: ("expr",),
    nodes.SetComprehension: ("generator",),
    nodes.SetExpr: ("items",),
    nodes.SliceExpr: ("begin_index", "end_index", "stride"),
    nodes.StarExpr: ("expr",),
    nodes.SuperExpr: ("call",),
    nodes.TupleExpr: ("items",),
    nodes.TypeApplication: ("expr",),
    nodes.UnaryExpr: ("expr",),
    nodes.YieldExpr: ("expr",),
    nodes.YieldFromExpr: ("expr",),
    # statements
    nodes.AssertStmt: ("expr", "msg"),
    nodes.AssignmentStmt: ("rvalue", "lvalues"),
    nodes.Block: ("body",),
    nodes.ClassDef: ("decorators", "base_type_exprs", "keywords", "defs"),
    nodes.Decorator: ("original_decorators", "func"),
    nodes.DelStmt: ("expr",),
    nodes.ExpressionStmt: ("expr",),
    nodes.ForStmt: ("expr", "index", "body", "else_body"),
    nodes.FuncDef: ("arguments", "body"),
    nodes.Argument: ("initializer",),
    nodes.IfStmt: ("expr", "body", "else_body"),
    nodes.MatchStmt: ("subject", "patterns", "guards", "bodies"),
    nodes.MypyFile: ("defs",),
    nodes.OperatorAssignmentStmt: ("rvalue", "lvalue"),
    nodes.RaiseStmt: ("expr", "from_expr"),
    nodes.ReturnStmt: ("expr",),
    nodes.TryStmt: ("body", "types", "vars", "handlers", "else_body", "finally_body"),
    nodes.WhileStmt: ("expr", "body", "else_body"),
    nodes.WithStmt: ("expr", "target", "body"),
    # patterns
    patterns.AsPattern: ("pattern", "name"),
    patterns.ClassPattern: ("class_ref", "positionals", "keyword_values"),
    patterns.MappingPattern: ("keys", "values", "rest"),
    patterns.OrPattern: ("patterns",),
    patterns.SequencePattern: ("patterns",),
    patterns.StarredPattern: ("capture",),
    patterns.ValuePattern: ("expr",),
}
"""The parts of each kind of node, as far as they name or call anything, in the order in which they are evaluated."""

_TEMPLATE: Final[object] = getattr(nodes, "TemplateStrExpr", None)  # Python 3.14's; not every mypy knows it
if isinstance(_TEMPLATE, type):
    PARTS[_TEMPLATE] = ("items",)


def children(node: Node) -> Iterator[Node]:
    """Yield the nodes directly below one."""
    if isinstance(node, OverloadedFuncDef):
        yield from node.items
        return
    for part in PARTS.get(type(node), ()):
        yield from _flat(getattr(node, part))


def _flat(value: object) -> Iterator[Node]:
    """Yield the nodes in a part: it is one, or None, or lists, tuples and dicts of them."""
    if isinstance(value, Node):
        yield value
    elif isinstance(value, Mapping):
        yield from _flat(tuple(cast("Mapping[str, object]", value).values()))
    elif isinstance(value, list | tuple):
        for item in cast("Iterable[object]", value):
            yield from _flat(item)


def walk(node: Node, *, within: bool = True) -> Iterator[Node]:
    """Yield a node and all below it, outermost first; not those in the functions and classes below it unless *within*."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        if within or one is node or not isinstance(one, nodes.FuncItem | nodes.ClassDef):
            waiting += reversed(list(children(one)))


def names_in(node: Node) -> frozenset[Var]:
    """The variables that are named anywhere in a piece of code."""
    return frozenset(one.node for one in walk(node) if isinstance(one, NameExpr) and isinstance(one.node, Var))


def stands_alone(call: CallExpr, scope: Node) -> ExpressionStmt | None:
    """The statement of a scope that consists of a call, awaited or not, and so throws its value away."""
    for node in walk(scope, within=False):
        match node:
            case ExpressionStmt(expr=AwaitExpr(expr=expression) | expression) if expression is call:
                return node
            case _:
                pass
    return None


def is_same(one: Expression, other: Expression) -> bool:
    """Whether two expressions name the same variable or attribute."""
    if isinstance(one, MemberExpr) and isinstance(other, MemberExpr):
        return one.name == other.name and is_same(one.expr, other.expr)
    return isinstance(one, NameExpr) and isinstance(other, NameExpr) and one.node is other.node
