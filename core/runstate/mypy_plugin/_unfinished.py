"""`[runstate-unfinished]`: an execution that a function creates and, on some path, forgets.

Forgotten means: from a point on, nothing that can still happen in the function moves the execution to an end, returns it,
stores it or passes it on, and the function can return from there. The point must be reached with the execution open on a way
that can surely be taken; where a branch is chosen while the execution may be open or ended, a flag that the code keeps may tell
the two apart, and the check is silent. So it is on doubtful ways (see `_points`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from mypy import nodes
from mypy.nodes import (
    AssertStmt,
    AssignmentStmt,
    CallExpr,
    ComparisonExpr,
    ConditionalExpr,
    Expression,
    ForStmt,
    FuncDef,
    IfStmt,
    MemberExpr,
    NameExpr,
    Node,
    UnaryExpr,
    Var,
)
from mypy.plugin import MethodContext

from runstate import TRANSITIONS

from . import _codes, _names
from ._calls import is_accepted
from ._events import Bound, Escaped, Event, Made, Moved, Value
from ._graph import Graph
from ._handles import checker_of, scope_of
from ._points import Point, Way
from ._vocabulary import vocabulary_of
from ._walk import is_same, stands_alone, walk


def check_block(ctx: MethodContext) -> None:
    """Report a call of `execution` whose block is never entered."""
    checker = checker_of(ctx.api)
    call, scope = ctx.context, scope_of(checker)
    if (
        isinstance(call, CallExpr)
        and is_accepted(ctx, call, checker)
        and (stands_alone(call, scope) is not None or (isinstance(scope, FuncDef) and _is_never_named(call, scope)))
    ):
        checker.fail(
            'This block is never entered, so nothing is tracked: use "with" or "async with"',
            ctx.context,
            code=_codes.UNFINISHED,
        )


def _is_never_named(call: CallExpr, function: FuncDef) -> bool:
    """Whether a call's value goes to a local variable that nothing reads."""
    for node in walk(function.body, within=False):
        match node:
            case AssignmentStmt(lvalues=[NameExpr(kind=nodes.LDEF, node=Var() as name) as target], rvalue=value) if (
                value is call
            ):
                named = (one for one in walk(function.body) if isinstance(one, NameExpr) and one.node is name)
                return all(one is target for one in named)
            case _:
                pass
    return False


def check_created(ctx: MethodContext) -> None:
    """Report a call of `create` whose execution is forgotten on some path of the function around it."""
    checker = checker_of(ctx.api)
    function = checker.scope.stack[-1]
    call = ctx.context
    if (
        not isinstance(call, CallExpr)
        or not isinstance(function, FuncDef)
        or not is_accepted(ctx, call, checker)
        or _is_handed_on(call, function)
    ):
        return
    graph = Graph(function, vocabulary_of(ctx.default_return_type, lambda other: other is call))
    line = Search(graph, call).forgotten()
    if line is not None:
        where = "" if line == call.line else f" on the path through line {line}"
        checker.fail(
            f"This execution is forgotten{where}: "
            'move it to an end, return it, keep it, or use "with tracker.execution(...)"',
            call,
            code=_codes.UNFINISHED,
        )


def _is_handed_on(call: CallExpr, function: FuncDef) -> bool:
    """Whether the function does more with the tracker than to begin, move and read executions of which it knows the id.

    It may close or sweep it, ask it for all executions, pass it on: then this one may be ended without its handle.
    """
    tracker = call.callee.expr if isinstance(call.callee, MemberExpr) else None
    if not isinstance(tracker, NameExpr | MemberExpr):
        return False
    uses = [node for node in walk(function.body) if isinstance(node, Expression) and is_same(node, tracker)]
    plain = [one for node in walk(function.body) for one in _plain_uses(node) if is_same(one, tracker)]
    return len(uses) > len(plain)


def _plain_uses(node: Node) -> Iterator[Expression]:
    """Yield the parts of a node at which a tracker may stand and nothing comes of it."""
    match node:
        case MemberExpr(name=name, expr=owner) if name in _names.OF_ONE:
            yield owner
        case AssignmentStmt(rvalue=CallExpr(callee=MemberExpr(name="enter_context" | "enter_async_context"))):
            pass
        case AssignmentStmt(lvalues=targets):
            yield from targets
        case ForStmt(index=target):
            yield target
        case IfStmt(expr=conditions):
            yield from conditions
        case AssertStmt(expr=condition) | ConditionalExpr(cond=condition) | UnaryExpr(expr=condition):
            yield condition
        case ComparisonExpr(operands=operands):
            yield from operands
        case _:
            pass


class _Standing(NamedTuple):
    """How the execution may stand at a point, over all ways there."""

    is_open: bool
    is_closed: bool
    """Ended, escaped, or not yet made."""


class Search:
    """Looks for a path on which one execution is forgotten."""

    def __init__(self, graph: Graph, site: CallExpr) -> None:
        self._graph = graph
        self._site = site
        self._held = self._all_holders()
        self._deciding = self._decisions()

    def _all_holders(self) -> set[Value]:
        """Every value that may ever name the execution."""
        held: set[Value] = {self._site}
        bound = [event for point in self._graph.points for event in point.events if isinstance(event, Bound)]
        while more := {event.name for event in bound if event.value in held} - held:
            held |= more
        return held

    def forgotten(self) -> int | None:
        """The line from which on the execution is forgotten; None if there is none."""
        surely_open, closing = self._surely_open(), self._closing_points()
        for point in self._graph.points:
            is_past_closing = not any(way.to in closing for way in point.ways if not way.rare)
            is_made = any(map(self._makes, point.events))
            if point in surely_open and is_past_closing and self._leads_out(point, by_raising=is_made):
                return point.line
        return None

    def _decisions(self) -> dict[Point, list[Event]]:
        """The events that make or close the execution, by the point."""
        holders: dict[Point, frozenset[Value]] = {self._graph.points[0]: frozenset({self._site})}
        found: dict[Point, list[Event]] = {}
        waiting = [self._graph.points[0]]
        while waiting:
            point = waiting.pop()
            now = midway = holders[point]
            found[point] = []
            for event in point.events:
                if self._makes(event) or self._closes(event, now):
                    found[point].append(event)
                if isinstance(event, Bound):
                    now = now | {event.name} if event.value in now else now - {event.name}
                    midway |= now
            for way in point.ways:
                there = holders.get(way.to, frozenset()) | (midway if way.rare else now)
                if there != holders.get(way.to):
                    holders[way.to] = there
                    waiting.append(way.to)
        return found

    def _closes(self, event: Event, held: frozenset[Value]) -> bool:
        """Whether an event ends the execution that these values may name, or takes it out of sight."""
        match event:
            case Moved(value=value, target=target):
                return value in held and (target is None or not TRANSITIONS[target])
            case Escaped(value=value):
                return value in held
            case Bound(name=name, value=value):
                return value in held and name in self._graph.captured
            case Made():
                return False

    def _makes(self, event: Event) -> bool:
        return isinstance(event, Made) and event.call is self._site

    def _decisive(self, point: Point) -> list[Event]:
        """The events of a point that make or close the execution, where the point can be reached."""
        return self._deciding.get(point, [])

    def _standings(self) -> dict[Point, _Standing]:
        """How the execution may stand at the end of each point that can be reached."""
        before = {self._graph.points[0]: _Standing(is_open=False, is_closed=True)}
        after: dict[Point, _Standing] = {}
        waiting = deque(before)
        while waiting:
            point = waiting.popleft()
            standing = before[point]
            if decisive := self._decisive(point):
                is_open = self._makes(decisive[-1])
                standing = _Standing(is_open, not is_open)
            if after.get(point) == standing:
                continue
            after[point] = standing
            for way in point.ways:
                if not way.rare:
                    there = _Standing(standing.is_open, standing.is_closed or self._is_after_end(way))
                    before[way.to] = _joined(before.get(way.to), there)
                    waiting.append(way.to)
        return after

    def _surely_open(self) -> set[Point]:
        """The points at whose end the execution is open on a way that can surely be taken.

        A choice (a branch, an exception) can be made either way; but where the execution may stand both ways, the choice may
        depend on just that, through a flag that the code keeps.
        """
        standings = self._standings()
        waiting = [point for point in standings if (decisive := self._decisive(point)) and self._makes(decisive[-1])]
        found = set(waiting)
        while waiting:
            point = waiting.pop()
            choices = sum(not way.raised for way in point.ways)
            for way in point.ways:
                is_choice = way.raised or choices > 1
                if (
                    not self._is_doubtful(way)
                    and not (is_choice and standings[point].is_closed)
                    and way.to not in found
                    and not self._decisive(way.to)
                ):
                    found.add(way.to)
                    waiting.append(way.to)
        return found

    def _is_after_end(self, way: Way) -> bool:
        return way.after_end or not self._held.isdisjoint(way.about)

    def _is_doubtful(self, way: Way) -> bool:
        return (
            way.rare
            or (way.doubtful and way.of not in self._held)
            or self._is_after_end(way)
            or any(
                not self._makes(event) for number in way.past for event in self._decisive(self._graph.points[number])
            )
        )

    def _closing_points(self) -> set[Point]:
        """The points from which, before the call is made again, something may close the execution."""
        leading: dict[Point, list[Point]] = {}
        passing: set[Point] = set()
        waiting: list[Point] = []
        for point in self._graph.points:
            for way in point.ways:
                if not way.rare:
                    leading.setdefault(way.to, []).append(point)
            decisive = self._decisive(point)
            if not decisive:
                passing.add(point)
            elif not self._makes(decisive[0]):
                waiting.append(point)
        closing = set(waiting)
        while waiting:
            more = passing.intersection(leading.get(waiting.pop(), ())) - closing
            closing |= more
            waiting += more
        return closing

    def _leads_out(self, start: Point, *, by_raising: bool) -> bool:
        """Whether the function returns, or makes the call again, on a way without doubt; or it raises, where that counts.

        It counts where nothing can close the execution from the first: else raising may well be how the code says so.
        """
        seen = {start}
        waiting = deque([start])
        while waiting:
            point = waiting.popleft()
            if (
                point.leaves
                or (by_raising and point.throws)
                or (point is not start and any(self._makes(event) for event in point.events))
            ):
                return True
            for way in point.ways:
                if not self._is_doubtful(way) and way.to not in seen:
                    seen.add(way.to)
                    waiting.append(way.to)
        return False


def _joined(known: _Standing | None, other: _Standing) -> _Standing:
    if known is None:
        return other
    return _Standing(known.is_open or other.is_open, known.is_closed or other.is_closed)
