"""`[runstate-any]` where a call of ours is left to others: `asyncio.to_thread(tracker.update_execution_state, "e-1", loose)`.

To `to_thread` an `Any` is a good argument, as it is to all that calls what it is given. So the arguments that stand behind a
function of ours are checked as if it were called with them here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mypy.argmap import map_actuals_to_formals
from mypy.nodes import ArgKind, CallExpr, Expression
from mypy.plugin import FunctionContext, MethodContext
from mypy.plugins.functools import partial_call_callback
from mypy.types import AnyType, CallableType, Instance, Type, TypeOfAny, get_proper_type

from ._any import Given, check_arguments, defined_as
from ._handles import checker_of

IsOurs = Callable[[str], bool]
"""Whether a full name is that of a function or method whose calls are checked."""


def check_passed_on(is_ours: IsOurs, ctx: FunctionContext | MethodContext) -> Type:
    """Check a call of something that calls what it is given."""
    call = ctx.context
    if isinstance(call, CallExpr):
        for position, argument in enumerate(call.args):
            callee = get_proper_type(checker_of(ctx.api).lookup_type_or_none(argument))
            if isinstance(callee, CallableType) and is_ours(defined_as(callee)):
                behind = slice(position + 1, None)
                _check(callee, call.args[behind], call.arg_kinds[behind], call.arg_names[behind], ctx)
                break
    return ctx.default_return_type


def check_partial_call(is_ours: IsOurs, ctx: MethodContext) -> Type:
    """Check the arguments of a call of a `partial`; those that it keeps are checked where it is made.

    The type of the call is what mypy's own hook says, which is not asked where this one is.
    """
    call = ctx.context
    extra = ctx.type.extra_attrs if isinstance(ctx.type, Instance) else None
    rest = get_proper_type(extra.attrs.get("__mypy_partial")) if extra is not None else None
    if isinstance(call, CallExpr) and isinstance(rest, CallableType) and is_ours(defined_as(rest)):
        _check(rest, call.args, call.arg_kinds, call.arg_names, ctx)
    return partial_call_callback(ctx)


def _check(
    callee: CallableType,
    arguments: Sequence[Expression],
    kinds: Sequence[ArgKind],
    names: Sequence[str | None],
    ctx: FunctionContext | MethodContext,
) -> None:
    checker = checker_of(ctx.api)
    types = [checker.lookup_type_or_none(one) or AnyType(TypeOfAny.from_error) for one in arguments]
    given = [Given(*one) for one in zip(arguments, types, kinds, strict=True)]
    placed = map_actuals_to_formals(
        list(kinds), list(names), callee.arg_kinds, callee.arg_names, lambda index: types[index]
    )
    check_arguments(callee, [[given[index] for index in actuals] for actuals in placed], checker)
