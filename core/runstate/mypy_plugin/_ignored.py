"""`[runstate-ignored]`, to be switched on: the ignored result of a legacy call that can refuse.

The legacy trackers refuse by returning False or None. A call that stands alone as a statement, awaited or not, throws that
away. `_ = …` says that it is meant.
"""

from __future__ import annotations

from mypy.nodes import AwaitExpr, CallExpr
from mypy.plugin import FunctionContext, MethodContext
from mypy.types import Instance, NoneType, Type, UnionType, get_proper_type

from . import _codes
from ._handles import checker_of, scope_of
from ._walk import stands_alone


def check_result(ctx: FunctionContext | MethodContext, name: str) -> None:
    """Report a call whose result can be a refusal and is thrown away."""
    if not isinstance(ctx.context, CallExpr) or not _can_refuse(ctx.default_return_type):
        return
    checker = checker_of(ctx.api)
    statement = stands_alone(ctx.context, scope_of(checker))
    is_awaited = statement is not None and isinstance(statement.expr, AwaitExpr)
    if statement is not None and is_awaited == (_awaited(ctx.default_return_type) is not None):  # else mypy complains
        checker.fail(
            f'"{name}" says by its result whether it was refused: look at it, or write "_ = ..." if that does not matter',
            ctx.context,
            code=_codes.IGNORED,
        )


def _awaited(result: Type) -> Type | None:
    """What a coroutine gives when it is awaited."""
    proper = get_proper_type(result)
    if isinstance(proper, Instance) and proper.type.fullname == "typing.Coroutine" and len(proper.args) == 3:
        return proper.args[2]
    return None


def _can_refuse(result: Type) -> bool:
    proper = get_proper_type(_awaited(result) or result)
    if isinstance(proper, UnionType):
        return any(isinstance(get_proper_type(item), NoneType) or _can_refuse(item) for item in proper.items)
    return isinstance(proper, Instance) and proper.type.fullname == "builtins.bool"
