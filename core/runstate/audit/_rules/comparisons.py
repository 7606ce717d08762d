"""A state compared with a text.

With a plain enum the comparison is never true. With an enum of texts, and with `.value`, it is true today and false as soon
as the state is an `ExecutionState`: for the legacy trackers' own enums that is reported too, at "note" where it is right.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from runstate._codebase import LEGACY, ClassRef, Instance, Items, Scope, Subject, Text, Type

from .._model import Level, Rule, Suspicion
from .._suspecting import suspicion

RULE = Rule(
    "string-comparison",
    Level.ERROR,
    "A state is compared with a text.",
    "compare with the member of ExecutionState that the text stands for, by is",
)


def check(subject: Subject) -> Iterator[Suspicion]:
    """Check comparisons and `match` statements."""
    for compare, scope in subject.nodes(ast.Compare):
        left = compare.left
        for operator, right in zip(compare.ops, compare.comparators, strict=True):
            if isinstance(operator, ast.Eq | ast.NotEq | ast.Is | ast.IsNot):
                yield from _pair(subject, scope, compare, left, right)
                yield from _pair(subject, scope, compare, right, left)
            elif isinstance(operator, ast.In | ast.NotIn):
                if isinstance(right, ast.Tuple | ast.List | ast.Set):
                    for one in right.elts:
                        yield from _pair(subject, scope, compare, left, one)
                elif isinstance(among := subject.type_of(right, scope), Items):
                    yield from _judged(subject, scope, compare, left, among.item)
            left = right
    for match, scope in subject.nodes(ast.Match):
        for case in match.cases:
            for pattern in ast.walk(case.pattern):
                if isinstance(pattern, ast.MatchValue):
                    yield from _pair(subject, scope, pattern.value, match.subject, pattern.value)


def _pair(subject: Subject, scope: Scope, at: ast.expr, state: ast.expr, text: ast.expr) -> Iterator[Suspicion]:
    yield from _judged(subject, scope, at, state, subject.type_of(text, scope))


def _judged(subject: Subject, scope: Scope, at: ast.expr, state: ast.expr, other: Type) -> Iterator[Suspicion]:
    if not isinstance(other, Text):
        return
    remedy = _remedy(other.value)
    match subject.type_of(state, scope):
        case Instance(ref) if subject.kinds.is_state(ref) and not subject.kinds.compares(ref):
            is_plain = not subject.kinds.is_text_enum(ref)
            name = subject.named(ref)
            shown = "a text" if other.value is None else repr(other.value)
            if other.state is not None:
                shown = "the value of a state"
            if is_plain:
                message = f"a state ({name}) is compared with {shown}, which it never equals"
                yield suspicion(subject, RULE, at, scope, message, remedy=remedy)
            elif other.value is not None and not _spells(subject, ref, other.value):
                message = f"a state ({name}) is compared with {shown}, which is none of its values"
                yield suspicion(subject, RULE, at, scope, message, remedy=remedy)
            else:
                message = f"a state ({name}) is compared with {shown}"
                yield suspicion(subject, RULE, at, scope, message, Level.NOTE, remedy)
        case Text(_, ClassRef() as ref) if (
            subject.kinds.is_state(ref) and other.value is not None and other.state is None
        ):
            which = state.attr if isinstance(state, ast.Attribute) else None
            if isinstance(state, ast.Call) or _spells(subject, ref, other.value, which):
                return
            what = "name" if which == "name" else "value"
            message = f"the {what} of a state ({subject.named(ref)}) is compared with {other.value!r}, which is none of its {what}s"
            yield suspicion(subject, RULE, at, scope, message, Level.WARNING, remedy)
        case _:
            return


def _remedy(text: str | None) -> str | None:
    """What to write in the place of a comparison with a text that stands for a state."""
    state = None if text is None else LEGACY.get(text.upper())
    return None if state is None else f"compare with the member: state is ExecutionState.{state.name}"


def _spells(subject: Subject, ref: ClassRef, text: str, which: str | None = "value") -> bool:
    """Whether a text is the `name` or the `value` of a member; None for either."""
    facts = subject.index.class_facts(ref)
    if facts is None or (which != "name" and any(member.value is None for member in facts.members)):
        return True
    return any(
        (which != "name" and text == member.value) or (which != "value" and text == member.name)
        for member in facts.members
    )
