"""Where a state is declared, and something else is given: a dict, a text, a member of another module's enum."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from runstate._codebase import LEGACY, Instance, Items, Mapping, Scope, Subject, Text, Type

from .._model import Level, Rule, Suspicion
from .._suspecting import suspicion

DICT = Rule(
    "dict-state",
    Level.ERROR,
    "A dict is given where a state is declared.",
    "give a member of ExecutionState, and the rest as error= and result=",
)
TEXT = Rule(
    "str-state",
    Level.ERROR,
    "A text is given where a state is declared.",
    "give the member of ExecutionState that the text spells",
)
MIXED = Rule(
    "mixed-enums",
    Level.ERROR,
    "A member of one module's enum is given to, or compared with, another's.",
    "use one enum: runstate.ExecutionState",
)


def check_given(subject: Subject) -> Iterator[Suspicion]:
    """Check what is given where a state is declared."""
    for node, scope, given, enum, place in subject.expected_states():
        wanted = subject.named(enum)
        match given:
            case Mapping():
                yield suspicion(subject, DICT, node, scope, f"a dict is given as {place}, declared {wanted}")
            case Text(value):
                text = "a text" if value is None else repr(value)
                level = Level.WARNING if subject.kinds.is_text_enum(enum) else Level.ERROR
                yield suspicion(subject, TEXT, node, scope, f"{text} is given as {place}, declared {wanted}", level)
            case Instance(ref) if ref != enum and subject.kinds.is_state(ref):
                message = f"a member of {subject.named(ref)} is given as {place}, declared {wanted}"
                yield suspicion(subject, MIXED, node, scope, message)
            case _:
                pass
    for _, node, scope in subject.moves_of_unknown():
        place = "the state of update_execution_state()"
        match node:
            case ast.Dict():
                yield suspicion(subject, DICT, node, scope, f"a dict is given as {place}")
            case ast.Constant(value=str(text)) if text.upper() in LEGACY:
                yield suspicion(subject, TEXT, node, scope, f"{text!r} is given as {place}", Level.WARNING)
            case _:
                pass


def check_compared(subject: Subject) -> Iterator[Suspicion]:
    """Check what states are compared with: members of the same enum are the only ones that can be equal."""
    for compare, scope in subject.nodes(ast.Compare):
        left = compare.left
        for operator, right in zip(compare.ops, compare.comparators, strict=True):
            if isinstance(operator, ast.Eq | ast.NotEq | ast.Is | ast.IsNot):
                yield from _mixed(subject, compare, scope, left, subject.type_of(right, scope))
            elif isinstance(operator, ast.In | ast.NotIn) and isinstance(right, ast.Tuple | ast.List | ast.Set):
                for one in right.elts:
                    yield from _mixed(subject, compare, scope, left, subject.type_of(one, scope))
            elif isinstance(operator, ast.In | ast.NotIn) and isinstance(all_ := subject.type_of(right, scope), Items):
                yield from _mixed(subject, compare, scope, left, all_.item)
            left = right


def _mixed(subject: Subject, compare: ast.Compare, scope: Scope, left: ast.expr, other: Type) -> Iterator[Suspicion]:
    one = subject.state_of(left, scope)
    if one is None or not isinstance(other, Instance) or one.ref == other.ref or subject.kinds.compares(one.ref):
        return
    if subject.kinds.is_state(other.ref):
        message = f"{subject.named(one.ref)} is compared with {subject.named(other.ref)}: their members are never equal"
        yield suspicion(subject, MIXED, compare, scope, message)
