"""Draws the paths through a function, statement by statement; see `_points` for what it draws."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager

from mypy.nodes import (
    AssertStmt,
    AssignmentStmt,
    Block,
    BreakStmt,
    CallExpr,
    ContinueStmt,
    DelStmt,
    Expression,
    ExpressionStmt,
    ForStmt,
    FuncDef,
    GlobalDecl,
    IfStmt,
    Lvalue,
    MatchStmt,
    MemberExpr,
    NameExpr,
    Node,
    NonlocalDecl,
    OperatorAssignmentStmt,
    RaiseStmt,
    ReturnStmt,
    Statement,
    TempNode,
    TryStmt,
    Var,
    WhileStmt,
    WithStmt,
)

from ._calls import Answer, always, raises, returns
from ._events import Bound, Reader, Vocabulary
from ._points import NOBODY, Catching, Point, Way, captured, may_mean_ended, takes_all, takes_every, unbound
from ._walk import names_in


class Graph:
    """The points of one function, in the order of its text; the first is its beginning."""

    def __init__(self, function: FuncDef, vocabulary: Vocabulary) -> None:
        self.points: list[Point] = []
        self._vocabulary = vocabulary
        self._shared: set[str] = set()
        self._here: Point | None = None
        self._loops: list[tuple[Point, Point, int]] = []
        """For each loop around: where `continue` leads, where `break` does, and how many cleanups were around it."""
        self._catching: list[Catching] = []
        self._cleanups: list[Block] = []
        """The `finally` blocks around."""
        self.function = function
        self.captured = captured(function)
        """The variables that functions within name: these see them later too."""
        self._begin(function)

    def _begin(self, function: FuncDef) -> None:
        self._here = self._point(function.line)
        self._block(function.body)
        self._leave()

    def _leave(self) -> None:
        """Return from the function."""
        if self._here is not None:
            self._here.leaves = True
        self._here = None

    # -- points -------------------------------------------------------------------------------------------------------

    def _point(self, line: int) -> Point:
        point = Point(len(self.points), line)
        self.points.append(point)
        return point

    def _go(self, to: Point, *, doubtful: bool = False, about: frozenset[Var] = NOBODY, past: range = range(0)) -> None:
        if self._here is not None:
            self._here.ways.append(Way(to, doubtful, about=about, past=past))

    def _next(self, line: int) -> Point:
        point = self._point(line)
        self._go(point)
        self._here = point
        return point

    def _branch(
        self, start: Point | None, line: int, *, doubtful: bool = False, about: frozenset[Var] = NOBODY
    ) -> None:
        """Begin a branch at a point of its own, so that it can be told from what comes after it."""
        self._here = start
        point = self._point(line)
        self._go(point, doubtful=doubtful, about=about)
        self._here = point if start is not None else None

    def _meet(self, line: int, ends: Iterable[Point | None]) -> None:
        """Go on where several branches have ended."""
        open_ends = [end for end in ends if end is not None]
        if not open_ends:
            self._here = None
            return
        point = self._point(line)
        for end in open_ends:
            end.ways.append(Way(point))
        self._here = point

    # -- statements ---------------------------------------------------------------------------------------------------

    def _block(self, block: Block | None) -> None:
        if block is None:
            return
        if block.is_unreachable:
            self._here = None
        for statement in block.body:
            if self._here is None:
                return
            self._statement(statement, is_last=statement is block.body[-1])

    def _statement(self, statement: Statement, *, is_last: bool) -> None:
        match statement:
            case Block():
                self._block(statement)
            case IfStmt():
                self._if(statement)
            case WhileStmt():
                self._while(statement)
            case ForStmt():
                self._for(statement)
            case TryStmt():
                self._try(statement)
            case WithStmt():
                self._with(statement)
            case MatchStmt():
                self._match(statement)
            case BreakStmt() | ContinueStmt():
                self._leave_loop(statement)
            case GlobalDecl(names=names) | NonlocalDecl(names=names):
                self._shared.update(names)
            case _:
                self._simple(statement, is_last=is_last)

    @contextmanager
    def _reading(self, node: Node, line: int) -> Generator[Reader]:
        """Go to a point at which happens what is read of a node meanwhile."""
        self._may_raise(node)
        point = self._next(line)
        reader = Reader(self._vocabulary)
        yield reader
        point.events = reader.events
        self._may_raise(node, rarely=True)

    def _simple(self, statement: Statement, *, is_last: bool) -> None:
        with self._reading(statement, statement.line) as reader:
            match statement:
                case ExpressionStmt(expr=MemberExpr(expr=owner)):  # `run.complete`, not called, does nothing
                    reader.read(owner, harmless=True)
                case ExpressionStmt(expr=expression):
                    reader.value(expression)
                case AssignmentStmt(lvalues=targets, rvalue=assigned):
                    self._assign(reader, targets, assigned)
                case DelStmt(expr=target):
                    reader.events += unbound([target])
                case OperatorAssignmentStmt(lvalue=target):
                    reader.read(statement)
                    reader.events += unbound([target])
                case _:
                    reader.read(statement)
        match statement:
            case ExpressionStmt(expr=expression):
                returning = returns(expression)
                if returning is Answer.NO:
                    self._here = None
                elif returning is Answer.MAYBE and is_last:
                    start = self._here
                    self._next(statement.line)
                    if start is not None:
                        start.ways[-1] = start.ways[-1]._replace(doubtful=True, of=self._of(expression))
            case ReturnStmt():
                self._clean_up(0)
                self._leave()
            case RaiseStmt():
                if self._here is not None:
                    self._here.throws = not self._catching
                self._here = None
            case AssertStmt(expr=condition) if always(condition) is False:
                self._here = None
            case _:
                pass

    def _of(self, expression: Expression) -> Var | None:
        """The variable of which a method is called that a handle has too."""
        match expression:
            case CallExpr(callee=MemberExpr(name=name, expr=NameExpr(node=Var() as owner))) if (
                name in self._vocabulary.others or name in self._vocabulary.moves
            ):
                return owner
            case _:
                return None

    def _assign(self, reader: Reader, targets: list[Lvalue], assigned: Expression) -> None:
        if isinstance(assigned, TempNode):
            return  # `name: Type`, without a value
        match targets:
            case [NameExpr(node=Var() as name)] if name.name not in self._shared:
                reader.events.append(Bound(name, reader.value(assigned)))
            case _:
                reader.read(assigned)
                for target in targets:
                    if not isinstance(target, NameExpr):
                        reader.read(target)
                reader.events += unbound(targets)

    # -- branches -----------------------------------------------------------------------------------------------------

    def _condition(self, condition: Expression) -> Point | None:
        with self._reading(condition, condition.line) as reader:
            reader.read(condition, harmless=True)
        return self._here

    def _if(self, statement: IfStmt, *, in_chain: bool = False) -> None:
        ends: list[Point | None] = []
        start = self._here
        about = NOBODY
        for condition, body in zip(statement.expr, statement.body, strict=True):
            start = self._condition(condition)
            about = names_in(condition)
            truth = always(condition)
            self._branch(start if truth is not False else None, body.line, about=about)
            self._block(body)
            ends.append(self._here)
            self._here = start = start if truth is not True else None
        otherwise = statement.else_body
        if otherwise is None:
            self._branch(start, statement.line, doubtful=in_chain, about=about)
        else:
            self._branch(start, otherwise.line, about=about)
            match otherwise.body:
                case [IfStmt() as chained] if not otherwise.is_unreachable:
                    self._if(chained, in_chain=True)
                case _:
                    self._block(otherwise)
        self._meet(statement.line, [*ends, self._here])

    def _match(self, statement: MatchStmt) -> None:
        about = names_in(statement.subject)
        with self._reading(statement.subject, statement.line) as reader:
            reader.read(statement.subject, harmless=not isinstance(statement.subject, NameExpr))
            for condition in filter(None, statement.guards):
                reader.read(condition, harmless=True)
        start = self._here
        ends: list[Point | None] = []
        complete = False
        for pattern, guard, body in zip(statement.patterns, statement.guards, statement.bodies, strict=True):
            self._branch(start, body.line, about=about | (names_in(guard) if guard is not None else NOBODY))
            if self._here is not None:
                self._here.events += [Bound(name, None) for name in names_in(pattern)]
            self._block(body)
            ends.append(self._here)
            complete = complete or (guard is None and takes_all(pattern))
        if not complete:
            self._branch(start, statement.line, doubtful=True)
            ends.append(self._here)
        self._meet(statement.line, ends)

    # -- loops --------------------------------------------------------------------------------------------------------

    def _while(self, statement: WhileStmt) -> None:
        head = self._next(statement.line)
        start = self._condition(statement.expr)
        truth = always(statement.expr)
        self._loop(head, start, statement.body, statement.else_body, names_in(statement.expr), endless=truth is True)

    def _for(self, statement: ForStmt) -> None:
        with self._reading(statement.expr, statement.line) as reader:
            reader.read(statement.expr)
        head = self._next(statement.line)
        head.events += unbound([statement.index])
        self._loop(head, head, statement.body, statement.else_body, NOBODY, patient=True)

    def _loop(
        self,
        head: Point,
        start: Point | None,
        body: Block,
        otherwise: Block | None,
        about: frozenset[Var],
        *,
        endless: bool = False,
        patient: bool = False,
    ) -> None:
        after = self._point(head.line)
        began = len(self.points)
        self._loops.append((head, after, len(self._cleanups)))
        self._branch(start, body.line, about=about)
        self._block(body)
        self._go(head)
        self._loops.pop()
        passed = range(began, len(self.points)) if patient else range(0)
        self._here = start
        if endless:
            self._here = None
        else:
            end = self._point(head.line)
            self._go(end, about=about, past=passed)
            self._here = end
            self._block(otherwise)
            self._go(after)
        is_reached = any(way.to is after for point in self.points for way in point.ways)
        self._here = after if is_reached else None

    def _leave_loop(self, statement: BreakStmt | ContinueStmt) -> None:
        head, after, cleanups = self._loops[-1]
        self._clean_up(cleanups)
        self._go(after if isinstance(statement, BreakStmt) else head)
        self._here = None

    # -- exceptions and blocks ----------------------------------------------------------------------------------------

    def _may_raise(self, node: Node, *, rarely: bool = False) -> None:
        """Lead from here to the handlers around: before a node has happened; *rarely*, when a part of it has."""
        if self._here is None or not self._catching:
            return
        answer = raises(node, self._vocabulary)
        if answer is Answer.NO:
            return
        own = Way(self._here, raised=True, after_end=answer is Answer.MAYBE, rare=rarely)
        for caught in reversed(self._catching):
            self._here.ways += [
                own._replace(to=way.to, after_end=own.after_end or way.after_end, rare=own.rare or way.rare)
                for way in caught.ways
            ]
            if caught.takes_all:
                return
            own = own._replace(doubtful=own.doubtful or caught.hides)

    def _clean_up(self, down_to: int) -> None:
        """Run through the `finally` blocks that control passes on its way out."""
        around = self._cleanups
        for depth in reversed(range(down_to, len(around))):
            self._cleanups = around[:depth]
            self._block(around[depth])
        self._cleanups = around

    def _try(self, statement: TryStmt) -> None:
        entries = [self._point(body.line) for body in statement.handlers]
        ways = [
            Way(entry, after_end=may_mean_ended(kind)) for entry, kind in zip(entries, statement.types, strict=True)
        ]
        with self._cleaning(statement.finally_body):
            with self._within(Catching(ways, any(takes_every(kind) for kind in statement.types), bool(ways))):
                self._next(statement.line)
                self._block(statement.body)
            self._block(statement.else_body if self._here is not None else None)
            ends = [self._here]
            for entry, name, body in zip(entries, statement.vars, statement.handlers, strict=True):
                self._here = entry
                if name is not None:
                    entry.events += unbound([name])
                self._block(body)
                ends.append(self._here)
        self._meet(statement.line, ends)
        if self._here is not None:
            self._block(statement.finally_body)

    @contextmanager
    def _cleaning(self, block: Block | None) -> Generator[None]:
        if block is None:
            yield
            return
        self._cleanups.append(block)
        with self._within(Catching([], hides=True)):
            yield
        self._cleanups.pop()

    @contextmanager
    def _within(self, catching: Catching) -> Generator[None]:
        self._catching.append(catching)
        yield
        self._catching.pop()

    def _with(self, statement: WithStmt) -> None:
        for expression, target in zip(statement.expr, statement.target, strict=True):
            with self._reading(expression, statement.line) as reader:
                reader.read(expression)
                if target is not None:
                    reader.events += unbound([target])
        after = self._point(statement.line)
        with self._within(Catching([Way(after, rare=True)])):
            self._block(statement.body)
        self._go(after)
        is_reached = any(way.to is after and not way.rare for point in self.points for way in point.ways)
        self._here = after if is_reached else None
