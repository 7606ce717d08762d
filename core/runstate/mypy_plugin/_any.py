"""`[runstate-any]`: an `Any` that reaches a parameter of the public API.

An `Any` switches every check of the argument off, so nothing tells a state from a dict before the code runs. It is
reported where it is passed: as itself, as a member of a union, as the bound of a type variable, through an alias, or out of
`*args` and `**kwargs`; and where it stands for the state of a handle that is moved. It is not reported

- for a parameter that is `object` (results): there is nothing to narrow it to, and what `json.loads` gives is a result;
- inside another type: `dict[str, Any]` is a good `Mapping[str, object]`;
- when it is none that the code has made, see `_doubt`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mypy.argmap import ArgTypeExpander
from mypy.checker import TypeChecker
from mypy.infer import ArgumentInferContext
from mypy.messages import format_type_bare
from mypy.nodes import ArgKind, CallExpr, Expression, MemberExpr, RefExpr, Var
from mypy.plugin import FunctionContext, MethodContext, MethodSigContext
from mypy.types import (
    AnyType,
    CallableType,
    Instance,
    LiteralType,
    Type,
    TypeOfAny,
    TypeVarType,
    UnionType,
    get_proper_type,
)

from . import _codes
from ._doubt import is_doubtful, is_excused
from ._handles import checker_of, handle, target_of


class _Formal(NamedTuple):
    """What one parameter takes."""

    name: str
    takes: str
    takes_anything: bool
    takes_enum: bool


class Given(NamedTuple):
    """One argument of a call."""

    argument: Expression
    type: Type
    kind: ArgKind


def check_call(ctx: FunctionContext | MethodContext) -> None:
    """Report each argument of a call that is `Any`."""
    if not isinstance(ctx.context, CallExpr):
        return
    checker = checker_of(ctx.api)
    callee = get_proper_type(checker.lookup_type_or_none(ctx.context.callee))
    if not isinstance(callee, CallableType) or len(callee.arg_types) != len(ctx.arg_types):
        return
    placed = [
        [Given(*one) for one in zip(*given, strict=True)]
        for given in zip(ctx.args, ctx.arg_types, ctx.arg_kinds, strict=True)
    ]
    check_arguments(callee, placed, checker)


def check_arguments(callee: CallableType, placed: Iterable[Iterable[Given]], checker: TypeChecker) -> None:
    """Report each argument that is `Any`.

    Args:
        callee: What is called.
        placed: For each of its parameters, the arguments that reach it.
        checker: mypy's.
    """
    expander = ArgTypeExpander(_infer_context(checker))
    reached: dict[Expression, list[_Formal]] = {}
    for name, kind, takes, given in zip(callee.arg_names, callee.arg_kinds, callee.arg_types, placed, strict=True):
        formal = _formal(name, takes, checker)
        for argument, actual, argument_kind in given:
            passed = actual
            if argument_kind.is_star() and not isinstance(get_proper_type(actual), AnyType):
                passed = expander.expand_actual_type(actual, argument_kind, name, kind)
            if _is_any(passed, formal, argument, checker):
                reached.setdefault(argument, []).append(formal)
    for argument, formals in reached.items():
        _report(checker, argument, formals)


def check_overloaded(ctx: MethodSigContext) -> None:
    """Report each argument of a call with overloads, before mypy tries these: an error in a trial would only fail it."""
    checker = checker_of(ctx.api)
    signature = ctx.default_signature
    for index, arguments in enumerate(ctx.args):
        formal = _formal(signature.arg_names[index], signature.arg_types[index], checker)
        for argument in arguments:
            if _is_any(checker.get_expression_type(argument), formal, argument, checker):
                _report(checker, argument, [formal])


def check_handle(ctx: MethodContext, name: str) -> None:
    """Report a move of a handle of which the state is `Any`, so that every move is accepted."""
    found = handle(ctx.type)
    state = get_proper_type(found.args[0]) if found is not None and found.args else None
    if (
        found is not None
        and isinstance(state, AnyType)
        and not is_excused(state)
        and target_of(found.type, name) is not None
    ):
        checker_of(ctx.api).fail(
            f'Any hides which state "{name}" moves this handle from: annotate the state, or narrow the handle with "expect"',
            ctx.context,
            code=_codes.ANY,
        )


def held_function(ctx: FunctionContext | MethodContext) -> str:
    """The full name of the function that the called variable or attribute holds; empty where that is not known.

    Of another module's it is not: once mypy has read that module from its cache, it does not know any more.
    """
    checker = checker_of(ctx.api)
    called = ctx.context.callee if isinstance(ctx.context, CallExpr) else None
    if called is None or _is_variable_elsewhere(called, checker):
        return ""
    return defined_as(checker.lookup_type_or_none(called))


def defined_as(kind: Type | None) -> str:
    """The full name under which a function was defined, by its type; empty where that is not known."""
    proper = get_proper_type(kind)
    definition = proper.definition if isinstance(proper, CallableType) else None
    return definition.fullname if definition is not None else ""


def _is_variable_elsewhere(called: Expression, checker: TypeChecker) -> bool:
    """Whether what is called is a variable of another module, or an attribute that a class there has."""
    match called:
        case RefExpr(node=Var() as name) if not name.is_property:
            return name.fullname.rpartition(".")[0] not in {"", checker.tree.fullname}
        case MemberExpr(expr=owner, name=attribute):
            kind = get_proper_type(checker.lookup_type_or_none(owner))
            found = kind.type.get_containing_type_info(attribute) if isinstance(kind, Instance) else None
            return (
                found is not None
                and found.module_name != checker.tree.fullname
                and isinstance(found.names[attribute].node, Var)
            )
        case _:
            return False


def _report(checker: TypeChecker, argument: Expression, formals: Iterable[_Formal]) -> None:
    reached = ", ".join(f'"{formal.name}" ({formal.takes})' for formal in formals)
    checker.fail(
        f"Any reaches {reached}: check it with isinstance, or convert it, before it is passed",
        argument,
        code=_codes.ANY,
    )


def _infer_context(checker: TypeChecker) -> ArgumentInferContext:
    anything: list[Type] = [AnyType(TypeOfAny.special_form), AnyType(TypeOfAny.special_form)]
    return ArgumentInferContext(
        checker.named_generic_type("typing.Mapping", anything),
        checker.named_generic_type("typing.Iterable", anything[:1]),
    )


def _formal(name: str | None, kind: Type, checker: TypeChecker) -> _Formal:
    anything = enum = False
    shown: dict[str, None] = {}
    for member in _members(kind):
        proper = get_proper_type(member)
        if isinstance(proper, LiteralType):
            proper = proper.fallback
        if isinstance(proper, Instance):
            anything |= proper.type.fullname == "builtins.object"
            enum |= proper.type.is_enum
        else:
            anything |= isinstance(proper, AnyType | TypeVarType)
        shown[format_type_bare(proper, checker.options)] = None
    return _Formal(name or "argument", " | ".join(shown), anything, enum)


def _members(kind: Type) -> Iterator[Type]:
    """Yield what a type may be: the members of unions. Aliases are kept where they stand."""
    proper = get_proper_type(kind)
    if isinstance(proper, UnionType):
        for item in proper.items:
            yield from _members(item)
    else:
        yield kind


def _is_any(kind: Type, formal: _Formal, argument: Expression, checker: TypeChecker) -> bool:
    """Whether an argument of this type is, or may be, an `Any` that counts for the parameter."""
    if formal.takes_anything:
        return False
    for member in _members(kind):
        proper = get_proper_type(member)
        if isinstance(proper, TypeVarType):
            bounds = proper.values or [proper.upper_bound]
            if any(_is_any(bound, formal, argument, checker) for bound in bounds):
                return True
        elif isinstance(proper, Instance):
            if formal.takes_enum and proper.type.fallback_to_any:
                return True
        elif (
            isinstance(proper, AnyType)
            and not is_excused(proper)
            and (formal.takes_enum or not is_doubtful(member, proper, argument, checker))
        ):
            return True
    return False
