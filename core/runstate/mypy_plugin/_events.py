"""What the statements of a function do with executions: who holds them, moves them, passes them on.

A *value* names an execution inside one function: the call that made it, or a variable that holds a handle or an id of it. A
handle's move gives a new handle of the same execution, so its value is that of the handle that was moved. Everything that is
not known to keep an execution here lets it escape: whoever gets it may end it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mypy.nodes import (
    AssertTypeExpr,
    AssignmentExpr,
    CallExpr,
    Expression,
    FuncItem,
    MemberExpr,
    NameExpr,
    Node,
    RefExpr,
    RevealExpr,
    StrExpr,
    TypeAlias,
    TypeInfo,
    Var,
)
from mypy.types import Instance, get_proper_type

from runstate import ExecutionState

from . import _names
from ._declared import type_of
from ._walk import children, names_in

Value = Var | CallExpr


class Made(NamedTuple):
    """A call has made an execution, or given a handle of one."""

    call: CallExpr


class Bound(NamedTuple):
    """A variable holds a value from now on; None is anything else."""

    name: Var
    value: Value | None


class Moved(NamedTuple):
    """An execution was moved, by its handle or by its id; None is a state that is not written out."""

    value: Value
    target: ExecutionState | None
    call: CallExpr


class Escaped(NamedTuple):
    """An execution was returned, stored, passed on or looked at: what becomes of it is not seen here."""

    value: Value


Event = Made | Bound | Moved | Escaped


@dataclass(frozen=True)
class Vocabulary:
    """What the reader must know of types, which are not known yet for what stands below the call being checked."""

    moves: Mapping[str, ExecutionState]
    """The states that a handle's methods move to."""
    narrowing: frozenset[str]
    """A handle's methods that give a handle and move nothing."""
    others: frozenset[str]
    """A handle's methods that give something else."""
    facts: frozenset[str]
    """A handle's attributes that say nothing of how the execution stands."""
    is_origin: Callable[[CallExpr], bool]
    """Whether a call makes an execution or gives a handle of one."""


class Reader:
    """Reads expressions in the order in which they are evaluated, and notes the events."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.events: list[Event] = []
        self.harmless = False

    def value(self, expression: Expression) -> Value | None:
        """Read an expression whose value goes to a known place; return the value if it is an execution's."""
        match expression:
            case NameExpr(node=Var() as name):
                return name
            case AssignmentExpr(target=NameExpr(node=Var() as name), value=assigned):
                self.events.append(Bound(name, self.value(assigned)))
                return name
            case AssertTypeExpr(expr=inner) | RevealExpr(expr=Expression() as inner):
                return self.value(inner)
            case MemberExpr(name=_names.ID, expr=inner) if _is_simple(inner):
                return self.value(inner)
            case CallExpr(callee=MemberExpr(name=method, expr=receiver)) if self._gives_handle(method, receiver):
                value = self.value(receiver)
                self._read_all(expression.args)
                if value is not None and method in self.vocabulary.moves:
                    self.events.append(Moved(value, self.vocabulary.moves[method], expression))
                return value
            case CallExpr() if self.vocabulary.is_origin(expression):
                self._read_call(expression)
                self.events.append(Made(expression))
                return expression
            case _:
                self.read(expression)
                return None

    def read(self, node: Node, *, harmless: bool = False) -> None:
        """Read an expression whose value goes anywhere, or is *harmless*: only looked at, and not kept."""
        before, self.harmless = self.harmless, harmless
        self._visit(node)
        self.harmless = before

    def _visit(self, node: Node) -> None:
        match node:
            case NameExpr(node=Var() as name):
                self._escape(name)
            case AssignmentExpr():
                self._escape(self.value(node))
            case MemberExpr():
                self._visit_member(node)
            case CallExpr():
                self._visit_call(node)
            case FuncItem():
                self.events += [Escaped(name) for name in names_in(node)]  # it keeps what it names
            case _:
                for child in children(node):
                    self._visit(child)

    def _read_all(self, nodes: list[Expression]) -> None:
        for node in nodes:
            self.read(node)

    def _escape(self, value: Value | None) -> None:
        if value is not None and not self.harmless:
            self.events.append(Escaped(value))

    def _gives_handle(self, method: str, receiver: Expression) -> bool:
        return _is_simple(receiver) and (method in self.vocabulary.moves or method in self.vocabulary.narrowing)

    def _visit_member(self, o: MemberExpr) -> None:
        if o.name == _names.ID and _is_simple(o.expr):
            self._escape(self.value(o))
        else:
            self.read(o.expr, harmless=self.harmless or o.name in self.vocabulary.facts)

    def _visit_call(self, o: CallExpr) -> None:
        callee = o.callee
        if self.vocabulary.is_origin(o) or (
            isinstance(callee, MemberExpr) and self._gives_handle(callee.name, callee.expr)
        ):
            self._escape(self.value(o))
        else:
            self._read_call(o)

    def _read_call(self, call: CallExpr) -> None:
        callee = call.callee
        if isinstance(callee, MemberExpr):
            self.read(callee.expr, harmless=callee.name in self.vocabulary.others)
            if callee.name == _names.UPDATE:
                self._read_update(call)
                return
        elif not isinstance(callee, NameExpr):
            self.read(callee)
        shown = self._is_harmless(call)
        for argument in call.args:
            self.read(argument, harmless=shown)

    def _read_update(self, call: CallExpr) -> None:
        who, state = argument_of(call, _names.ID, 0), argument_of(call, _names.STATE_ARGUMENT, 1)
        for argument in call.args:
            if argument is not who:
                self.read(argument)
        value = self.value(who) if who is not None else None
        if value is not None:
            self.events.append(Moved(value, None if state is None else written_state(state), call))

    def _is_harmless(self, call: CallExpr) -> bool:
        match call.callee:
            case MemberExpr(expr=StrExpr(), name="format" | "join"):
                return self.harmless  # an f-string: it goes where its text goes
            case RefExpr(fullname=name) if name in _names.TEXTS:
                return self.harmless
            case RefExpr(fullname=name) if name in _names.HARMLESS:
                return "file" not in call.arg_names
            case MemberExpr(name=name, expr=owner) if name in _names.LOGGING:
                return _is_logger(owner)
            case _:
                return False


def argument_of(call: CallExpr, name: str, position: int) -> Expression | None:
    """The argument of a call for a parameter; None where it is not written out."""
    for argument, kind, given in zip(call.args, call.arg_kinds, call.arg_names, strict=True):
        if given == name:
            return argument
        if kind.is_star():
            return None
    if position < len(call.args) and call.arg_names[position] is None:
        return call.args[position]
    return None


def written_state(expression: Expression) -> ExecutionState | None:
    """The state that is written out as `ExecutionState.X`, under whatever name the enum goes."""
    if not isinstance(expression, MemberExpr) or not isinstance(expression.expr, RefExpr):
        return None
    owner = expression.expr.node
    if isinstance(owner, TypeAlias):
        target = get_proper_type(owner.target)
        owner = target.type if isinstance(target, Instance) else None
    is_state = isinstance(owner, TypeInfo) and owner.fullname == _names.STATE
    return ExecutionState.__members__.get(expression.name) if is_state else None


def _is_simple(expression: Expression) -> bool:
    """Whether an expression can be followed to one value."""
    return isinstance(expression, NameExpr | AssignmentExpr | MemberExpr | CallExpr | AssertTypeExpr | RevealExpr)


def _is_logger(expression: Expression) -> bool:
    """Whether an expression is one of the standard library's loggers, or its module."""
    if isinstance(expression, RefExpr) and expression.fullname in _names.LOGGERS:
        return True
    kind = type_of(expression)
    return isinstance(kind, Instance) and any(base.fullname in _names.LOGGERS for base in kind.type.mro)
