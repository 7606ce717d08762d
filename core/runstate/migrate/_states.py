"""Which expressions of a file become members of `ExecutionState`, and which cannot.

Three things make a place certain: what it is given to, or compared with, is a state (its type is known); what is given has one
meaning (`_meaning`); and nothing else stands there that would be lost, such as a comment inside a dict.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from runstate import ExecutionState
from runstate._codebase import (
    LEGACY,
    Class,
    ClassRef,
    Expected,
    Function,
    Instance,
    Items,
    Mapping,
    Scope,
    Subject,
    Text,
)

from ._legacy import STATE, is_legacy, is_movable, legacy_module
from ._meaning import meaning_of_dict, meaning_of_text
from ._model import Plan, Unproven, span_of
from ._uses import MERGED, ONE_NOW

_ENDING = {
    "complete_execution": (ExecutionState.COMPLETED, "result"),
    "fail_execution": (ExecutionState.FAILED, "error"),
}
"""The legacy methods that say no more than `update_execution_state` does, and what their second argument is there."""


class States:
    """Decides about the states of one file.

    Args:
        subject: The file.
        plan: Where the decisions go.
        prefix: How the file names `ExecutionState`; None where that name is taken.
        held: The enums that stay legacy ones, because the import of their module cannot move.
        left: The expressions that must stay as they are, by identity.
    """

    def __init__(
        self, subject: Subject, plan: Plan, prefix: str | None, held: frozenset[ClassRef], left: frozenset[int]
    ) -> None:
        self._subject = subject
        self._plan = plan
        self._prefix = prefix
        self._held = held
        self._left = left

    def decide(self) -> None:
        """Decide about every place."""
        for compare, scope in self._subject.nodes(ast.Compare):
            self._compare(compare, scope)
        for match, scope in self._subject.nodes(ast.Match):
            self._match(match, scope)
        for expected in self._subject.expected_states():
            self._expected(expected)
        for call, scope in self._subject.nodes(ast.Call):
            self._call(call, scope)
        self._members()

    # -- writing down -------------------------------------------------------------------------------------------------

    def _leave(self, node: ast.expr, reason: str) -> None:
        column = self._subject.column(node.lineno, node.col_offset)
        self._plan.unproven.append(Unproven(self._plan.path, node.lineno, column, reason))

    def _replace(self, node: ast.expr, state: ExecutionState, scope: Scope) -> bool:
        if self._prefix is None or not self._subject.inference.is_module_level(self._prefix, scope):
            self._leave(node, f"the name {STATE} is taken in this file; write runstate.{STATE}.{state.name}")
            return False
        code = f"{self._prefix}.{state.name}"
        self._plan.replaced[span_of(self._subject, node)] = f"({code})" if self._touches(node) else code
        return True

    def _touches(self, node: ast.expr) -> bool:
        """Whether a word stands right beside an expression, as in `state=="failed"or done`."""
        span = span_of(self._subject, node)
        before = self._subject.line(span.line)[: span.column]
        after = self._subject.line(span.end_line)[span.end_column :]
        return before[-1:].isidentifier() or after[:1].isidentifier()

    def _is_movable(self, ref: ClassRef) -> bool:
        return ref not in self._held and is_movable(self._subject.kinds, ref)

    def _movable_state(self, node: ast.expr, scope: Scope) -> Instance | None:
        found = self._subject.state_of(node, scope)
        return found if found is not None and self._is_movable(found.ref) else None

    # -- where a state is declared --------------------------------------------------------------------------------------

    def _expected(self, one: Expected) -> None:
        if isinstance(one.type, Instance) and one.type.ref in self._held and one.enum not in self._held:
            self._leave(one.node, f"{one.place} is given a state of a module that cannot be moved, which is refused")
            return
        if not isinstance(one.type, Mapping | Text):
            return
        if one.enum in self._held:
            self._leave(one.node, f"{one.place} is a legacy state as long as its module cannot be moved")
            return
        if not self._is_movable(one.enum):
            return
        node = one.node
        if isinstance(node, ast.Dict):
            state = meaning_of_dict(node)
            if state is None:
                self._leave(node, "it is not certain which state this dict stands for")
            elif self._has_comment(node):
                self._leave(node, f"the dict stands for {state.name}, but the comment in it would be lost")
            else:
                self._replace(node, state, one.scope)
        elif (text := _plain_text(node)) is not None:
            state = meaning_of_text(text)
            if state is None:
                self._leave(node, f"{text!r} spells no state")
            else:
                self._replace(node, state, one.scope)
        elif self._spelled(node, one.scope) is not None:
            self._strip(node)
        else:
            what = "dict" if isinstance(one.type, Mapping) else "text"
            self._leave(node, f"{one.place} is given a {what} that is made elsewhere")

    def _has_comment(self, node: ast.expr) -> bool:
        return any("#" in self._subject.line(line) for line in range(node.lineno, node.end_lineno or node.lineno))

    def _spelled(self, node: ast.expr, scope: Scope) -> ast.expr | None:
        """The state of which an expression is the value or the name."""
        if isinstance(node, ast.Attribute) and node.attr in {"value", "name"}:
            return node.value if self._movable_state(node.value, scope) is not None else None
        return None

    def _strip(self, node: ast.expr) -> None:
        self._plan.stripped.add(span_of(self._subject, node))

    # -- comparisons --------------------------------------------------------------------------------------------------

    def _compare(self, compare: ast.Compare, scope: Scope) -> None:
        sides = [compare.left, *compare.comparators]
        if any(id(one) in self._left for side in sides for one in ast.walk(side)):
            return
        if self._tells_merged(sides) and any(self._state_side(side, scope) for side in sides):
            self._leave(compare, ONE_NOW)
            return
        if len(compare.ops) > 1:
            if any(self._state_side(side, scope) for side in sides) and any(map(_is_text, sides)):
                self._leave(compare, "a chain of comparisons; take it apart")
            return
        operator, left, right = compare.ops[0], sides[0], sides[1]
        if isinstance(operator, ast.Eq | ast.NotEq):
            for state, text in ((left, right), (right, left)):
                if self._state_side(state, scope):
                    self._pair(compare, state, text, scope)
                    return
                self._unknown(state, text, scope)
        elif isinstance(operator, ast.In | ast.NotIn) and self._state_side(left, scope):
            self._among(left, right, scope)

    def _tells_merged(self, nodes: list[ast.expr]) -> bool:
        """Whether one of the texts names one of the two states that become one."""
        parts = [
            one for node in nodes for one in (node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node])
        ]
        return any(_is_text(one) and str(getattr(one, "value", "")).upper() in MERGED for one in parts)

    def _state_side(self, node: ast.expr, scope: Scope) -> bool:
        if self._movable_state(node, scope) is not None:
            return True
        of = self._spelled(node, scope)
        found = None if of is None else self._movable_state(of, scope)
        return found is not None and is_legacy(self._subject.kinds, found.ref)

    def _pair(self, compare: ast.Compare, state: ast.expr, text: ast.expr, scope: Scope) -> None:
        given = self._subject.type_of(text, scope)
        if not isinstance(given, Text):
            if given is None and self._spelled(state, scope) is not None:
                self._leave(compare, "it is not certain what the value of the state is compared with")
            return
        if (
            given.state is not None
            and self._spelled(text, scope) is not None
            and self._spelled(state, scope) is not None
        ):
            return  # the values of two states: as equal as the states
        if not _is_text(text):
            self._leave(compare, "a state is compared with a text that is made elsewhere")
            return
        meaning = meaning_of_text(str(getattr(text, "value", "")))
        if meaning is None:
            self._leave(compare, "a state is compared with a text that spells none; it is never equal")
        elif self._replace(text, meaning, scope):
            if self._spelled(state, scope) is not None:
                self._strip(state)
            self._plan.identities.add(span_of(self._subject, compare))

    def _among(self, state: ast.expr, among: ast.expr, scope: Scope) -> None:
        elements = among.elts if isinstance(among, ast.Tuple | ast.List | ast.Set) else []
        of = self._spelled(state, scope)
        texts = [one for one in elements if _is_text(one)]
        meanings = [meaning_of_text(str(getattr(one, "value", ""))) for one in texts]
        others = [one for one in elements if not _is_text(one)]
        if not texts:
            found = self._subject.type_of(among, scope)
            if of is not None or isinstance(found.item if isinstance(found, Items) else found, Text):
                self._leave(state, "it is not certain what the state is looked for in")
            return
        if None in meanings:
            self._leave(state, "a state is looked for among texts of which one spells none")
        elif of is not None and others:
            self._leave(state, "the value of a state is looked for among texts and other things")
        else:
            pairs = zip(texts, meanings, strict=True)
            replaced = [self._replace(one, meaning, scope) for one, meaning in pairs if meaning is not None]
            if of is not None and all(replaced):
                self._strip(state)

    def _match(self, match: ast.Match, scope: Scope) -> None:
        patterns = [one for case in match.cases for one in ast.walk(case.pattern) if isinstance(one, ast.MatchValue)]
        texts = [one.value for one in patterns if _is_text(one.value)]
        if not texts or not self._state_side(match.subject, scope) or id(match.subject) in self._left:
            return
        if self._tells_merged(texts):
            self._leave(match.subject, ONE_NOW)
            return
        meanings = [meaning_of_text(str(getattr(one, "value", ""))) for one in texts]
        of = self._spelled(match.subject, scope)
        if None in meanings or (of is not None and len(texts) != len(patterns)):
            self._leave(match.subject, "a state is matched with texts of which one spells none")
            return
        replaced = [
            self._replace(one, meaning, scope)
            for one, meaning in zip(texts, meanings, strict=True)
            if meaning is not None
        ]
        if of is not None and all(replaced):
            self._strip(match.subject)

    def _unknown(self, node: ast.expr, text: ast.expr, scope: Scope) -> None:
        """Name a comparison that looks like one of a state with a text, but of something unknown."""
        if not (isinstance(node, ast.Attribute) and node.attr == "state" and _is_text(text)):
            return
        if meaning_of_text(str(getattr(text, "value", ""))) is not None and self._subject.type_of(node, scope) is None:
            self._leave(node, "it is not certain that this is a state")

    # -- calls and members ----------------------------------------------------------------------------------------------

    def _call(self, call: ast.Call, scope: Scope) -> None:
        called = self._subject.type_of(call.func, scope)
        if isinstance(call.func, ast.Attribute) and called is None and call.func.attr == "update_execution_state":
            given = [*call.args[1:2], *(one.value for one in call.keywords if one.arg == "state")]
            if any(isinstance(one, ast.Dict) or _is_text(one) for one in given):
                self._leave(call, f"it is not certain what {ast.unparse(call.func.value)} is")
        if isinstance(called, Function) and isinstance(call.func, ast.Attribute) and self._is_agents(called):
            self._end(call, call.func, scope)

    def _is_agents(self, called: Function) -> bool:
        """Whether a method is one of legacy tracker B, whose other methods say the same in another way."""
        if called.owner is None or called.facts.name not in _ENDING:
            return False
        module = legacy_module(called.path) or legacy_module(called.owner.path) or ""
        is_held = any(one.path == called.path for one in self._held)
        update = self._subject.index.method(called.owner, "update_execution_state")
        return module.endswith("agent_execution_tracker") and update is not None and not is_held

    def _end(self, call: ast.Call, function: ast.Attribute, scope: Scope) -> None:
        state, second = _ENDING[function.attr]
        keywords = {one.arg for one in call.keywords}
        plain = all(not isinstance(one, ast.Starred) for one in call.args) and None not in keywords
        if not plain or len(call.args) > 2 or not keywords <= {"execution_id", second} or not (call.args or keywords):
            self._leave(call, f"{function.attr}() is given more than update_execution_state() takes")
        elif self._replace(call, state, scope):
            del self._plan.replaced[span_of(self._subject, call)]  # it is not replaced, but calls another method
            self._plan.calls[span_of(self._subject, call)] = f"{self._prefix}.{state.name}"

    def _members(self) -> None:
        """Give legacy members their new names, and name every use of legacy values that change."""
        uses: list[tuple[ast.expr, Scope]] = [
            *self._subject.nodes(ast.Attribute),
            *self._subject.nodes(ast.Subscript),
            *self._subject.nodes(ast.Call),
        ]
        for node, scope in uses:
            if id(node) in self._left:
                continue
            found = self._subject.type_of(node, scope)
            if isinstance(found, Instance) and found.member is not None and self._renames(found.ref):
                inside = _inside(node)
                if inside is None or not isinstance(self._subject.type_of(inside, scope), Class):
                    continue
                state = LEGACY.get(found.member)
                if state is None:
                    self._leave(node, f"{found.member} means no state")
                elif state.name != found.member or not isinstance(node, ast.Attribute):
                    self._replace(node, state, scope)
            elif isinstance(node, ast.Attribute) and node.attr in {"value", "name"}:
                of = self._subject.type_of(node.value, scope)
                if (
                    isinstance(of, Instance)
                    and self._renames(of.ref)
                    and span_of(self._subject, node) not in self._plan.stripped
                ):
                    self._leave(node, "the values and names of these states change: SUCCESS becomes completed")

    def _renames(self, ref: ClassRef) -> bool:
        """Whether the members of an enum have other names or values than runstate's."""
        if not self._is_movable(ref) or not is_legacy(self._subject.kinds, ref):
            return False
        facts = self._subject.index.class_facts(ref)
        states = {state.name: state.value for state in ExecutionState}
        return facts is not None and any(states.get(one.name) != one.value for one in facts.members)


def legacy_uses(subject: Subject) -> Iterator[ast.expr]:
    """Every use of an enum of other names than runstate's that only the facade's class can serve: it is called or handed on."""
    served: set[int] = set()
    for attribute, scope in subject.nodes(ast.Attribute):
        found = subject.type_of(attribute, scope)
        if isinstance(found, Instance | Class) and isinstance(subject.type_of(attribute.value, scope), Class):
            served.add(id(attribute.value))
    others: list[tuple[ast.Subscript | ast.Call, Scope]] = [*subject.nodes(ast.Subscript), *subject.nodes(ast.Call)]
    for one, scope in others:
        found = subject.type_of(one, scope)
        if isinstance(found, Instance) and found.member is not None and (inside := _inside(one)) is not None:
            served.add(id(inside))
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id == "isinstance":
            served |= {id(given) for given in one.args[1:]}
    served |= {id(node) for annotation in _annotations(subject) for node in ast.walk(annotation)}
    uses: list[tuple[ast.Name | ast.Attribute, Scope]] = [*subject.nodes(ast.Name), *subject.nodes(ast.Attribute)]
    for use, scope in uses:
        if id(use) in served or not isinstance(use.ctx, ast.Load):
            continue
        found = subject.type_of(use, scope)
        if isinstance(found, Class) and is_legacy(subject.kinds, found.ref):
            facts = subject.index.class_facts(found.ref)
            if facts is not None and any(one.name not in ExecutionState.__members__ for one in facts.members):
                yield use


def _annotations(subject: Subject) -> Iterator[ast.expr]:
    for node, _ in subject.nodes(ast.AnnAssign):
        yield node.annotation
    for function, _ in (*subject.nodes(ast.FunctionDef), *subject.nodes(ast.AsyncFunctionDef)):
        yield from _parameter_annotations(function)


def _parameter_annotations(node: ast.stmt) -> Iterator[ast.expr]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        arguments = node.args
        for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            if one.annotation is not None:
                yield one.annotation
        if node.returns is not None:
            yield node.returns


def _inside(node: ast.expr) -> ast.expr | None:
    """The class of which an expression takes a member."""
    match node:
        case ast.Attribute(value=inside) | ast.Subscript(value=inside):
            return inside
        case ast.Call(func=inside):
            return inside
        case _:
            return None


def _plain_text(node: ast.expr) -> str | None:
    """The text that a constant is; also as an f-string in which nothing is filled in."""
    if isinstance(node, ast.JoinedStr):
        parts = [_plain_text(one) for one in node.values]
        return None if None in parts else "".join(one or "" for one in parts)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
