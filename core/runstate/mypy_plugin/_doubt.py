"""Which `Any` the code has not made itself, so that it is no fault of the argument.

One that stands for an error which mypy has already reported never counts. One that is *doubtful* may well be right, and counts
only for a parameter that takes a state, cause or phase, the very mistake that runstate is there for:

- it comes out of a module that mypy could not find, or a class with a base from there;
- it is typeshed's mark for a None that the caller rules out, as in `match[1]`;
- it stands for the parameter of a lambda of which mypy has still to find the type.

An instance of a class that has an unknown base is, for mypy, anything at all, and such a parameter refuses it too.
"""

from __future__ import annotations

from mypy.checker import TypeChecker
from mypy.nodes import Expression, LambdaExpr, MemberExpr, NameExpr, SuperExpr, Var
from mypy.types import AnyType, Instance, Type, TypeAliasType, TypeOfAny, get_proper_type

from . import _names
from ._walk import walk


def is_excused(found: AnyType) -> bool:
    """Whether it stands for an error that has been reported."""
    return _origin(found).type_of_any == TypeOfAny.from_error


def is_doubtful(kind: Type, found: AnyType, argument: Expression, checker: TypeChecker) -> bool:
    """Whether it may well be right.

    Args:
        kind: The type as it was written, which may be an alias of *found*.
        found: The Any.
        argument: The expression that has it.
        checker: mypy's.
    """
    if isinstance(kind, TypeAliasType) and kind.alias is not None and kind.alias.fullname == _names.MAYBE_NONE:
        return True
    match _origin(found).type_of_any:
        case TypeOfAny.from_unimported_type:
            return True
        case TypeOfAny.special_form:  # of the alias of a type with Any inside; or as below
            return any(isinstance(scope, LambdaExpr) for scope in checker.scope.stack) or any(
                _is_of_unknown_base(node, checker) for node in walk(argument) if isinstance(node, Expression)
            )
        case _:
            return False


def _origin(found: AnyType) -> AnyType:
    while found.type_of_any == TypeOfAny.from_another_any and found.source_any is not None:
        found = found.source_any
    return found


def _is_of_unknown_base(expression: Expression, checker: TypeChecker) -> bool:
    """Whether an expression is, or may hold, an attribute that only an unknown base can have."""
    match expression:
        case MemberExpr(expr=owner):
            kind = get_proper_type(checker.lookup_type_or_none(owner))
            return isinstance(kind, Instance) and kind.type.fallback_to_any
        case NameExpr(node=Var(is_inferred=True, type=Type() as kind)):
            return isinstance(get_proper_type(kind), AnyType)
        case SuperExpr():
            return True
        case _:
            return False
