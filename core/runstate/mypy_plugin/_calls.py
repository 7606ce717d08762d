"""What can be told of a call: whether it is one that can be made, returns, raises; and of a condition, whether it is constant.

All but the first must be told before mypy has typed the call.
"""

from __future__ import annotations

from enum import Enum, auto

from mypy.checker import TypeChecker
from mypy.nodes import (
    AwaitExpr,
    CallExpr,
    Expression,
    IntExpr,
    MemberExpr,
    NameExpr,
    Node,
    RaiseStmt,
    RefExpr,
    TypeInfo,
    YieldExpr,
    YieldFromExpr,
)
from mypy.plugin import MethodContext
from mypy.subtypes import is_subtype
from mypy.types import CallableType, Instance, Overloaded, Type, UninhabitedType, get_proper_type

from . import _names
from ._declared import type_of, type_of_member
from ._events import Vocabulary
from ._walk import walk


class Answer(Enum):
    """What is known of a question."""

    YES = auto()
    NO = auto()
    MAYBE = auto()


def returns(expression: Expression) -> Answer:
    """Whether a call, awaited or not, comes back. What is no call does."""
    call = expression.expr if isinstance(expression, AwaitExpr) else expression
    if not isinstance(call, CallExpr):
        return Answer.YES
    if isinstance(call.callee, RefExpr) and isinstance(call.callee.node, TypeInfo):
        return Answer.YES
    match type_of(call.callee):
        case CallableType(implicit=False, ret_type=result):
            return Answer.NO if _is_never(result) else Answer.YES
        case Overloaded(items=items):
            return Answer.MAYBE if any(_is_never(item.ret_type) for item in items) else Answer.YES
        case Instance(type=info) if (found := type_of_member(info, "__call__")) is not None:
            return Answer.YES if isinstance(found, CallableType) and not _is_never(found.ret_type) else Answer.MAYBE
        case _:
            return Answer.MAYBE


def _is_never(result: Type) -> bool:
    proper = get_proper_type(result)
    if isinstance(proper, Instance) and proper.type.fullname == "typing.Coroutine" and len(proper.args) == 3:
        proper = get_proper_type(proper.args[2])
    return isinstance(proper, UninhabitedType)


def always(condition: Expression) -> bool | None:
    """The truth of a condition that is a constant."""
    match condition:
        case NameExpr(fullname="builtins.True"):
            return True
        case NameExpr(fullname="builtins.False"):
            return False
        case IntExpr(value=value):
            return bool(value)
        case _:
            return None


def raises(node: Node, vocabulary: Vocabulary) -> Answer:
    """Whether a statement may raise; MAYBE where only an execution's own moves can, which may mean that it has ended."""
    own = {*vocabulary.moves, *vocabulary.narrowing, *vocabulary.others, _names.UPDATE}
    answer = Answer.NO
    for part in walk(node, within=False):
        match part:
            case CallExpr(callee=MemberExpr(name=name)) if name in own:
                answer = Answer.MAYBE
            case CallExpr() | AwaitExpr() | YieldExpr() | YieldFromExpr() | RaiseStmt():
                return Answer.YES
            case _:
                pass
    return answer


def expects_error(expression: Expression) -> bool:
    """Whether the block of a `with` is a test's, and an error must come out of it. pytest itself need not be found."""
    match expression:
        case CallExpr(callee=MemberExpr(name=name) | NameExpr(name=name)):
            return name in _names.EXPECTING
        case _:
            return False


def is_accepted(ctx: MethodContext, call: CallExpr, checker: TypeChecker) -> bool:
    """Whether the arguments of a call are what it takes; else nothing is made, and mypy says why."""
    callee = get_proper_type(checker.lookup_type_or_none(call.callee))
    if not isinstance(callee, CallableType):
        return False
    placed = {argument for given in ctx.args for argument in given}
    if not placed.issuperset(call.args):
        return False
    for kind, takes, given, given_kinds in zip(
        callee.arg_kinds, callee.arg_types, ctx.arg_types, ctx.arg_kinds, strict=True
    ):
        if kind.is_required() and not given:
            return False
        for one, given_kind in zip(given, given_kinds, strict=True):
            is_misplaced = kind.is_named() and given_kind.is_positional()
            if is_misplaced or not (given_kind.is_star() or is_subtype(one, takes)):
                return False
    return True
