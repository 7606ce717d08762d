"""The paths through a function: points, and the ways from one to the next.

Each statement is a point that holds its events. A raised exception that leaves the function is not a path; one that is caught
leads from the point *before* the statement that raised it to the handler. A way is *doubtful* where nobody can tell from the
code alone whether it can be taken: past a chain of `elif` or a `match` that may have been complete, after a call that may never
return. It is taken *after an end*, perhaps, where the condition asks about the execution itself, or into a handler of an
exception by which runstate says that the execution has ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from mypy.nodes import (
    Expression,
    FuncDef,
    FuncItem,
    ListExpr,
    NameExpr,
    Node,
    RefExpr,
    StarExpr,
    TupleExpr,
    TypeInfo,
    Var,
)
from mypy.patterns import AsPattern, Pattern

from . import _names
from ._events import Bound, Event
from ._walk import names_in, walk

NOBODY: frozenset[Var] = frozenset()


class Way(NamedTuple):
    """How control gets to a point."""

    to: Point
    doubtful: bool = False
    """Nobody can tell whether it can be taken."""
    of: Var | None = None
    """But for an execution that this variable holds there is no doubt: a method of its handle was called, and returns."""
    after_end: bool = False
    """It may be taken because somebody else has ended an execution."""
    about: frozenset[Var] = NOBODY
    """So it may for the executions that these hold: the condition names them."""
    past: range = range(0)
    """It is doubtful for an execution that is ended at one of these points: it passes a loop that may go on until then."""
    raised: bool = False
    """An exception leads here."""
    rare: bool = False
    """It is not counted as a path, but what is known must hold there too: an exception out of the middle of a statement, or
    one that a `with` block swallows."""


@dataclass(eq=False)
class Point:
    """What one statement does."""

    number: int
    line: int
    events: list[Event] = field(default_factory=list[Event])
    ways: list[Way] = field(default_factory=list[Way])
    leaves: bool = False
    """The function returns here."""
    throws: bool = False
    """An exception is raised here that leaves the function, with nothing around that may handle it or clean up."""


@dataclass(frozen=True)
class Catching:
    """What an exception meets on its way out of a block."""

    ways: list[Way]
    takes_all: bool = False
    """It goes no further."""
    hides: bool = False
    """Nobody can tell whether it goes further, or what happens before it does."""


def captured(function: FuncDef) -> frozenset[Var]:
    """The variables that functions within a function name."""
    within = (node for node in walk(function.body) if isinstance(node, FuncItem))
    return frozenset[Var]().union(*map(names_in, within))


def unbound(targets: Iterable[Node]) -> list[Event]:
    """What an assignment of something else does to the variables among its targets."""
    found: list[Event] = []
    for target in targets:
        match target:
            case NameExpr(node=Var() as name):
                found.append(Bound(name, None))
            case TupleExpr(items=items) | ListExpr(items=items):
                found += unbound(items)
            case StarExpr(expr=inner):
                found += unbound([inner])
            case _:
                pass  # an attribute or an item: no variable
    return found


def takes_all(pattern: Pattern) -> bool:
    """Whether a `case` takes everything that is left."""
    return isinstance(pattern, AsPattern) and (pattern.pattern is None or takes_all(pattern.pattern))


def takes_every(kind: Expression | None) -> bool:
    """Whether a handler takes every exception that is not a signal to the process."""
    match kind:
        case None:
            return True
        case TupleExpr(items=items):
            return any(takes_every(item) for item in items)
        case RefExpr(fullname="builtins.Exception" | "builtins.BaseException"):
            return True
        case _:
            return False


def may_mean_ended(kind: Expression | None) -> bool:
    """Whether a handler may be there for an execution that has ended, rather than for what the code in between raises."""
    match kind:
        case None:
            return False
        case TupleExpr(items=items):
            return any(may_mean_ended(item) for item in items)
        case RefExpr(node=TypeInfo() as info):
            return info.fullname in _names.SAYING_ENDED
        case _:
            return True
