"""A legacy call refuses by returning False, and nobody looks."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from runstate._codebase import Subject

from .._model import Level, Rule, Suspicion
from .._suspecting import suspicion

RULE = Rule(
    "ignored-refusal",
    Level.WARNING,
    "The result of a tracker's call that refuses by False is thrown away.",
    "look at the result, or call the method of runstate, which raises instead",
)


def check(subject: Subject) -> Iterator[Suspicion]:
    """Check statements that are nothing but a call."""
    for statement, scope in subject.nodes(ast.Expr):
        for thrown in _thrown_away(statement.value):
            called = subject.tracker_call(thrown, scope)
            if called is None or called.facts.returns != "bool":
                continue
            if called.facts.is_async and not isinstance(thrown, ast.Await):
                continue  # never runs: a checker's matter
            message = f"{called.facts.name}() refuses by returning False, and the result is thrown away"
            yield suspicion(subject, RULE, thrown, scope, message)


def _thrown_away(node: ast.expr) -> list[ast.expr]:
    """The expressions whose value an expression statement throws away."""
    match node:
        case ast.IfExp(body=body, orelse=orelse):
            return [*_thrown_away(body), *_thrown_away(orelse)]
        case ast.BoolOp(values=[*_, last]):
            return _thrown_away(last)
        case _:
            return [node]
