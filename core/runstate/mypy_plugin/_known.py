"""`[runstate-transition]` by id: `tracker.update_execution_state(run.execution_id, ExecutionState.X)`.

The source of such a move is known where the function itself made the execution, or was given a handle of it: then the states
that it may be in are followed from there to the call. Once others know the execution it may go on without this function, but
only along the table; so a move is reported if it is illegal from every state that can be reached by then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush

from mypy.checker import TypeChecker
from mypy.nodes import AssignmentStmt, CallExpr, ConditionalExpr, Expression, FuncDef, MemberExpr, Node, Var, WithStmt
from mypy.plugin import MethodContext
from mypy.types import NoneType, Type, UnionType, get_proper_type

from runstate import TRANSITIONS, ExecutionState

from . import _codes, _names
from ._calls import expects_error, is_accepted
from ._events import Bound, Escaped, Event, Made, Moved, Value, argument_of
from ._graph import Graph
from ._handles import States, base_named, checker_of, handle, known_states, scope_of, signature, state_named
from ._points import Point
from ._transition import illegal_sources, move_message
from ._vocabulary import vocabulary_of
from ._walk import is_same, names_in, walk

Sites = frozenset[Value | None]
"""The executions that a variable may hold, each named by the call or parameter that it comes from; None is any other."""
ANYTHING: Sites = frozenset({None})


def check_update(ctx: MethodContext) -> None:
    """Report a move by id that is illegal from every state in which the execution can be."""
    checker = checker_of(ctx.api)
    function = checker.scope.stack[-1]
    call = ctx.context
    tracker = base_named(ctx.type, frozenset({_names.TRACKER}))
    if tracker is None or not isinstance(call, CallExpr) or not is_accepted(ctx, call, checker):
        return
    targets = list(_targets(argument_of(call, _names.STATE_ARGUMENT, 1), checker))
    created = signature(tracker.type, _names.CREATE)
    if not targets or created is None or _is_meant_to_fail(call, scope_of(checker)):
        return
    for target in targets:
        if not any(target in legal for legal in TRANSITIONS.values()):
            checker.fail(
                f"Illegal move to {target.name}: no state may become {target.name}; to begin anew, create an execution",
                call,
                code=_codes.TRANSITION,
            )
            return
    if not isinstance(function, FuncDef) or _is_replaced(call, function):
        return
    vocabulary = vocabulary_of(created.ret_type, lambda other: handle(checker.lookup_type_or_none(other)) is not None)
    sources = Following(Graph(function, vocabulary), checker, call).states_before()
    for target in targets:
        if sources and illegal_sources(sources, target) == sources:
            checker.fail(move_message(sources, sources, target), call, code=_codes.TRANSITION)


def _targets(state: Expression | None, checker: TypeChecker) -> Iterator[ExecutionState]:
    """Yield the states that are given: one, or those of a choice that is written out, where each can be made."""
    if isinstance(state, ConditionalExpr):
        yield from _targets(state.if_expr, checker)
        yield from _targets(state.else_expr, checker)
    elif state is not None and (target := state_named(checker.lookup_type_or_none(state))) is not None:
        yield target


def _is_meant_to_fail(call: CallExpr, scope: Node) -> bool:
    """Whether a call stands in the block of a test that expects an error, as in `with pytest.raises(…)`."""
    return any(
        isinstance(block, WithStmt) and any(map(expects_error, block.expr)) and call in walk(block.body)
        for block in walk(scope, within=False)
    )


def _is_replaced(call: CallExpr, function: FuncDef) -> bool:
    """Whether the attribute that holds the tracker is assigned in the function."""
    tracker = call.callee.expr if isinstance(call.callee, MemberExpr) else None
    assigned = (target for node in walk(function.body) if isinstance(node, AssignmentStmt) for target in node.lvalues)
    return isinstance(tracker, MemberExpr) and any(is_same(target, tracker) for target in assigned)


@dataclass
class _Facts:
    """What is known at a point."""

    held: dict[Var, Sites] = field(default_factory=dict[Var, Sites])
    """What the variables hold; those that are not in it hold anything."""
    states: dict[Value, States] = field(default_factory=dict[Value, States])
    shared: set[Value] = field(default_factory=set[Value])
    """The executions that others know too."""

    def copy(self) -> _Facts:
        return _Facts(dict(self.held), dict(self.states), set(self.shared))

    def merged(self, other: _Facts) -> _Facts:
        """What is known where this is known on one way and the other on another."""
        return _Facts(
            {name: self.sites(name) | other.sites(name) for name in self.held.keys() | other.held.keys()},
            {
                site: self.states.get(site, frozenset()) | other.states.get(site, frozenset())
                for site in self.states.keys() | other.states.keys()
            },
            self.shared | other.shared,
        )

    def sites(self, value: Value | None) -> Sites:
        """The executions that a value may name."""
        if isinstance(value, CallExpr):
            return frozenset({value}) if value in self.states else ANYTHING
        return self.held.get(value, ANYTHING) if value is not None else ANYTHING

    def followed(self, value: Value) -> list[Value]:
        """Those of them that are followed."""
        return [site for site in self.sites(value) if site is not None]

    def begin(self, site: Value, states: States, *, shared: bool) -> None:
        """Take a site to name an execution anew; whatever holds one that it named before keeps it, under no name."""
        for holder, sites in self.held.items():
            if site in sites:
                self.held[holder] = sites - {site} | ANYTHING
        self.states[site] = reachable(states) if shared else states
        self.shared.discard(site)
        if shared:
            self.shared.add(site)


class Following:
    """Follows the states of a function's executions."""

    def __init__(self, graph: Graph, checker: TypeChecker, call: CallExpr) -> None:
        self._graph = graph
        self._checker = checker
        self._call = call
        self._tracker = names_in(call.callee)
        """The variable that holds the tracker which is asked about."""
        self._followed = self._sources_of(call)

    def _sources_of(self, call: CallExpr) -> set[Value]:
        """Every value from which the one that the call moves may come: all that need be followed."""
        events = [event for point in self._graph.points for event in point.events]
        found = {event.value for event in events if isinstance(event, Moved) and event.call is call}
        bound = [(event.name, event.value) for event in events if isinstance(event, Bound) and event.value is not None]
        while more := {value for name, value in bound if name in found} - found:
            found |= more
        return found

    def states_before(self) -> States:
        """The states in which the execution that the call moves by id may be then; none if that is not known."""
        found: States = frozenset()
        for point, before in self._facts().items():
            for event in point.events:
                if isinstance(event, Moved) and event.call is self._call:
                    for site in before.sites(event.value):
                        if site is None:
                            return frozenset()
                        found |= before.states[site]
                self._apply(event, before)
        return found

    def _facts(self) -> dict[Point, _Facts]:
        """What is known before each point that can be reached."""
        points = self._graph.points
        facts = {points[0]: self._given()}
        waiting = [0]
        while waiting:
            point = points[heappop(waiting)]
            now, midway = self._through(point, facts[point])
            for way in point.ways:
                here = midway if way.rare else now
                known = facts.get(way.to)
                there = here.copy() if known is None else known.merged(here)
                if there != known:
                    facts[way.to] = there
                    if way.to.number not in waiting:
                        heappush(waiting, way.to.number)
        return facts

    def _through(self, point: Point, before: _Facts) -> tuple[_Facts, _Facts]:
        """What is known when all of a point has happened, and when an exception has come out of some part of it."""
        now, midway = before.copy(), before
        for event in point.events:
            self._apply(event, now)
            if any(way.rare for way in point.ways):
                midway = midway.merged(now)
        return now, midway

    def _given(self) -> _Facts:
        """What the function is given: handles, which may be stale, and ids of executions in any state."""
        facts = _Facts()
        for argument in self._graph.function.arguments:
            self._take(argument.variable, known_states(argument.variable.type), facts)
        return facts

    def _take(self, name: Var, states: States | None, facts: _Facts) -> None:
        """Take a variable to hold an execution that others know too."""
        facts.begin(name, frozenset(ExecutionState) if states is None else states, shared=True)
        is_one = name in self._followed and name not in self._graph.captured and _names_one(name.type)
        facts.held[name] = frozenset({name}) if is_one else ANYTHING

    def _apply(self, event: Event, facts: _Facts) -> None:
        match event:
            case Made(call=call):
                self._make(call, facts)
            case Bound(name=name, value=value):
                self._bind(name, value, facts)
            case Moved(value=value, target=target, call=call):
                target = target if self._is_seen(call) else None
                for site in facts.followed(value):
                    states = facts.states[site]
                    moved = _moved(states, target)
                    if len(facts.sites(value)) > 1:
                        moved |= states
                    facts.states[site] = reachable(moved) if site in facts.shared else moved
            case Escaped(value=value):
                self._share(value, facts)

    def _bind(self, name: Var, value: Value | None, facts: _Facts) -> None:
        sites = facts.sites(value)
        if sites == ANYTHING:
            self._take(name, known_states(name.type), facts)
        else:
            facts.held[name] = sites
        if name in self._graph.captured:
            self._share(name, facts)
        if name in self._tracker:  # another tracker, which may have other executions of the same ids
            facts.states = dict.fromkeys(facts.states, frozenset(ExecutionState))

    def _is_seen(self, call: CallExpr) -> bool:
        """Whether a move is one of the tracker that is asked about: another may have an execution of the same id."""
        match call.callee, self._call.callee:
            case MemberExpr(name=_names.UPDATE, expr=other), MemberExpr(expr=tracker):
                return is_same(other, tracker)
            case _:
                return True

    def _make(self, call: CallExpr, facts: _Facts) -> None:
        if call not in self._followed:
            return
        match call.callee:
            case MemberExpr(name=_names.CREATE, expr=owner):
                is_new = base_named(self._checker.lookup_type_or_none(owner), frozenset({_names.TRACKER})) is not None
            case _:
                is_new = False
        states = known_states(self._checker.lookup_type_or_none(call)) or frozenset(ExecutionState)
        facts.begin(call, states, shared=not is_new)

    def _share(self, value: Value, facts: _Facts) -> None:
        for site in facts.followed(value):
            facts.shared.add(site)
            facts.states[site] = reachable(facts.states[site])


def _names_one(kind: Type | None) -> bool:
    """Whether a variable of this type names the same execution as long as nothing else is assigned to it."""
    proper = get_proper_type(kind)
    if isinstance(proper, UnionType):
        return all(_names_one(item) for item in proper.items)
    return isinstance(proper, NoneType) or base_named(proper, _names.NAMING) is not None


def _moved(states: States, target: ExecutionState | None) -> States:
    """The states after a move that was made: one that is refused raises. After one that cannot be made all stays as it was."""
    if target is None:
        return reachable(states)
    return states if illegal_sources(states, target) == states else frozenset({target})


def reachable(states: States) -> States:
    """The states that the table leads to from these, themselves included."""
    found = set(states)
    waiting = list(states)
    while waiting:
        more = TRANSITIONS[waiting.pop()] - found
        found |= more
        waiting += more
    return frozenset(found)
