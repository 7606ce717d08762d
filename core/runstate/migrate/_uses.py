"""What a state of the tracker whose states are texts may be used for, so that the use means the same once it is runstate's.

The old member is a `str` too: it can be joined, sorted, looked up, sent as JSON. Runstate's is none. So each expression that is such
a state is followed to what takes it. Compared with a member, given to what declares a state, kept where its type is known: that is
safe. All else is named, and left. So is whatever tells INITIALIZING from RECOVERING, since both become STARTING.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final, NamedTuple

from runstate._codebase import Class, ClassRef, Instance, Items, Mapping, Scope, Subject, Type

from ._legacy import STATE, is_legacy

MERGED: Final = frozenset({"INITIALIZING", "RECOVERING"})
"""The names of states that become one."""

AS_TEXT: Final = "this state is a text no longer, and it is not certain that this use of it goes on"
ONE_NOW: Final = "INITIALIZING and RECOVERING are one state now, so this may hold where it did not"
NO_WAY_BACK: Final = "RECOVERING was a way back, and runstate has none: see what the facade says to it"


class Use(NamedTuple):
    """A use of a state that is left as it is."""

    node: ast.expr
    reason: str
    is_member: bool
    """Whether it names a member, so that the file still needs the legacy names."""


def is_text_state(subject: Subject, ref: ClassRef) -> bool:
    """Whether an enum is the legacy one whose members are texts."""
    return is_legacy(subject.kinds, ref) and subject.kinds.is_text_enum(ref)


def unsafe_uses(subject: Subject) -> Iterator[Use]:
    """Every use of such a state that is not known to be safe."""
    yield from _Uses(subject).all()


def imports_of_states(subject: Subject, imported: list[Type]) -> Iterator[ClassRef]:
    """The enums whose members are texts of the legacy modules from which a file imports anything."""
    for one in imported:
        if isinstance(one, Class | Instance):
            ref = ClassRef(one.ref.path, STATE)
            if subject.index.class_facts(ref) is not None and is_text_state(subject, ref):
                yield ref


class _Uses:
    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._parents: dict[int, ast.AST] = {
            id(child): node for node in ast.walk(subject.source.tree) for child in ast.iter_child_nodes(node)
        }
        self._expected = {
            id(one.node): one.enum for one in subject.expected_states() if is_text_state(subject, one.enum)
        }

        imported = [
            self._subject.index.import_type(subject.source.path, one)
            for one in subject.index.imports(subject.source.path)
        ]
        self._has_states = next(imports_of_states(subject, imported), None) is not None

    def all(self) -> Iterator[Use]:
        uses: list[tuple[ast.expr, Scope]] = [
            *self._subject.nodes(ast.Name),
            *self._subject.nodes(ast.Attribute),
            *self._subject.nodes(ast.Subscript),
            *self._subject.nodes(ast.Call),
            *self._subject.nodes(ast.Await),
        ]
        for node, scope in uses:
            if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
                continue
            found = self._state_in(self._subject.type_of(node, scope))
            if found is None and isinstance(node, ast.Name):
                found = self._may_be(node, scope)
            if found is None and self._may_be_kept(node, scope):
                yield Use(node, AS_TEXT, is_member=False)
            if found is not None and (reason := self._why_not(node, scope, found)) is not None:
                yield Use(node, reason, found.member is not None)

    def _state_in(self, found: Type) -> Instance | None:
        """The state that something is, or holds."""
        while isinstance(found, Items | Mapping):
            found = found.item
        return found if isinstance(found, Instance) and is_text_state(self._subject, found.ref) else None

    def _may_be(self, node: ast.Name, scope: Scope) -> Instance | None:
        """The state that a name is, among other things."""
        types = self._subject.inference.possible(node.id, scope)
        return next((found for one in types if (found := self._state_in(one)) is not None), None)

    def _may_be_kept(self, node: ast.expr, scope: Scope) -> bool:
        """Whether something is called `state`, of something unknown, in a file that has such states; comparisons are told elsewhere."""
        if not self._has_states or not (isinstance(node, ast.Attribute) and node.attr == "state"):
            return False
        parent = self._parents.get(id(node))
        if isinstance(parent, ast.Attribute) and parent.attr in {"value", "name"}:
            return False
        is_used = isinstance(parent, ast.Attribute | ast.BinOp | ast.FormattedValue | ast.Subscript | ast.Dict) or (
            isinstance(parent, ast.Call) and id(node) not in self._expected
        )
        return is_used and self._subject.type_of(node.value, scope) is None

    def _why_not(self, node: ast.expr, scope: Scope, state: Instance) -> str | None:
        """Why the use of a state is not safe; None where it is."""
        if id(node) in self._expected:
            return NO_WAY_BACK if state.member == "RECOVERING" else None
        parent = self._parents.get(id(node))
        is_one = isinstance(self._subject.type_of(node, scope), Instance)
        match parent:
            case ast.Compare():
                return self._compared(parent, scope)
            case ast.Attribute(attr=name):
                return None if not is_one or name in {"value", "name"} else AS_TEXT
            case ast.IfExp(test=test) if test is node:
                return None
            case ast.IfExp() | ast.BoolOp() | ast.NamedExpr() | ast.Await():
                return None if id(parent) in self._expected else self._why_not(parent, scope, state)
            case ast.Assign(targets=targets):
                return None if all(self._keeps(one, scope) for one in targets) else AS_TEXT
            case ast.AnnAssign(target=target):
                return None if self._keeps(target, scope) else AS_TEXT
            case ast.Return():
                function = scope.function
                declared = None if function is None else self._subject.inference.declared(function.returns, scope)
                return None if self._state_in(declared) is not None else AS_TEXT
            case ast.Tuple() | ast.List() | ast.Set():
                return self._why_not(parent, scope, state)
            case ast.Subscript(value=value) if value is node and not is_one:
                return None
            case ast.For(iter=among) | ast.comprehension(iter=among) if among is node and not is_one:
                return None
            case ast.If() | ast.While() | ast.Assert() | ast.Expr() | ast.UnaryOp(op=ast.Not()):
                return None
            case ast.Match():
                return self._matched(parent, scope)
            case ast.MatchValue():
                return ONE_NOW if state.member in MERGED else None
            case ast.Call(func=ast.Name("isinstance"), args=[first, kind]) if first is node:
                return None if isinstance(self._subject.type_of(kind, scope), Class) else AS_TEXT
            case _:
                return AS_TEXT

    def _keeps(self, target: ast.expr, scope: Scope) -> bool:
        """Whether what is assigned goes where its type stays known."""
        return self._state_in(self._subject.type_of(target, scope)) is not None

    def _compared(self, compare: ast.Compare, scope: Scope) -> str | None:
        """A state may be compared with members that mean one thing, with `None`, and with texts, which are decided elsewhere."""
        sides = [compare.left, *compare.comparators]
        for operator, side in zip([None, *compare.ops], sides, strict=True):
            parts = side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side]
            for one in parts:
                if isinstance(one, ast.Constant):
                    if str(one.value).upper() in MERGED:
                        return ONE_NOW
                    continue
                found = self._state_in(self._subject.type_of(one, scope))
                if found is not None and found.member in MERGED:
                    return ONE_NOW
                if found is None and self._subject.type_of(one, scope) is None:
                    return AS_TEXT
            if isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
                return AS_TEXT
        plain = [self._subject.type_of(one, scope) for one in sides]
        states = [one for one in plain if isinstance(one, Instance)]
        if len(states) == len(sides) and all(one.member is None for one in states):
            return ONE_NOW
        if isinstance(compare.ops[0], ast.In | ast.NotIn) and self._state_in(plain[0]) is None:
            return AS_TEXT
        return None

    def _matched(self, match: ast.Match, scope: Scope) -> str | None:
        patterns = [one for case in match.cases for one in ast.walk(case.pattern)]
        values = [one.value for one in patterns if isinstance(one, ast.MatchValue)]
        if any(isinstance(one, ast.MatchClass | ast.MatchSequence | ast.MatchMapping) for one in patterns):
            return AS_TEXT
        for one in values:
            found = self._subject.type_of(one, scope)
            name = found.member if isinstance(found, Instance) else getattr(one, "value", "")
            if str(name).upper() in MERGED:
                return ONE_NOW
        return None
