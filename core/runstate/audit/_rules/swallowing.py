"""A broad `except` around a tracker's call, which makes the error disappear.

What counts as disappearing is decided narrowly: the handler does nothing, or leaves the loop or function with a constant, or
logs below ERROR. Whoever keeps, returns, counts or raises the error has seen it; whoever logs it as an error has told
somebody, but the execution goes on as if nothing had happened: a note.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from runstate._codebase import Scope, Subject, dotted

from .._model import Level, Rule, Suspicion
from .._suspecting import suspicion
from ._walking import inside

RULE = Rule(
    "swallowed-error",
    Level.WARNING,
    "A broad except around a tracker's call makes its error disappear.",
    "catch the errors that you can mend, and let the others leave the block",
)

_BROAD: Final = frozenset({"Exception", "BaseException", "builtins.Exception", "builtins.BaseException"})
_HARMLESS: Final = ("get", "find", "is_", "close", "aclose", "stop", "shutdown", "cleanup", "flush", "aflush")
_QUIET: Final = frozenset({"debug", "info", "warning", "warn", "log", "print"})
_PRINTS: Final = frozenset({"print", "traceback.print_exc", "traceback.print_exception"})
_LOUD: Final = frozenset({"error", "exception", "critical", "fatal"})


def check(subject: Subject) -> Iterator[Suspicion]:
    """Check `try` statements and `suppress(…)` blocks."""
    attempts: list[tuple[ast.Try | ast.TryStar, Scope]] = [*subject.nodes(ast.Try), *subject.nodes(ast.TryStar)]
    for attempt, scope in attempts:
        for handler in attempt.handlers:
            if not _is_broad(handler.type):
                continue
            level = _disappears(handler.body)
            called = level and _call_in(subject, attempt.body)
            if level is not None and called:
                word = "logged, and nothing else comes of it" if level is Level.NOTE else "made to disappear"
                message = f"every error of {called}() is {word}"
                yield suspicion(subject, RULE, handler, scope, message, level)
            break  # a second broad handler is never reached
    blocks: list[tuple[ast.With | ast.AsyncWith, Scope]] = [*subject.nodes(ast.With), *subject.nodes(ast.AsyncWith)]
    for block, scope in blocks:
        if any(_suppresses(item.context_expr) for item in block.items):
            called = _call_in(subject, block.body)
            if called:
                yield suspicion(subject, RULE, block, scope, f"every error of {called}() is made to disappear")


def _is_broad(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    return any(dotted(one) in _BROAD for one in (caught.elts if isinstance(caught, ast.Tuple) else [caught]))


def _suppresses(node: ast.expr) -> bool:
    if not (isinstance(node, ast.Call) and (dotted(node.func) or "").rpartition(".")[2] == "suppress"):
        return False
    return any(dotted(one) in _BROAD for one in node.args)


def _disappears(body: list[ast.stmt]) -> Level | None:
    """The level at which a handler lets the error go; None where it does not."""
    level = Level.WARNING
    for statement in body:
        match statement:
            case ast.Pass() | ast.Continue() | ast.Break() | ast.Return(value=None | ast.Constant()):
                continue
            case ast.Return(value=ast.Dict(keys=[]) | ast.List(elts=[]) | ast.Tuple(elts=[])):
                continue
            case ast.Expr(value=ast.Constant()) | ast.Import():
                continue
            case ast.Expr(value=ast.Call(func=called)) if dotted(called) in _PRINTS:
                continue
            case ast.Expr(value=ast.Call(func=ast.Attribute(attr=name, value=of))) if is_log(of):
                if name in _LOUD:
                    level = Level.NOTE
                elif name not in _QUIET:
                    return None
            case _:
                return None
    return level


def is_log(node: ast.expr) -> bool:
    """Whether something is a logger, by its name or by what makes it."""
    if isinstance(node, ast.Call):
        return (dotted(node.func) or "").rpartition(".")[2] in {"getLogger", "get_logger"}
    name = (dotted(node) or "").rpartition(".")[2].lower().strip("_")
    return name in {"log", "logger", "logging"} or name.endswith(("_logger", "_log"))


def _call_in(subject: Subject, body: list[ast.stmt]) -> str | None:
    """The first call of a tracker in a block whose error would matter."""
    calls: dict[ast.Call, Scope] = dict(subject.nodes(ast.Call))
    for node in inside(body):
        if isinstance(node, ast.Call) and node in calls:
            called = subject.tracker_call(node, calls[node])
            if called is not None and not called.facts.name.startswith(_HARMLESS):
                return called.facts.name
    return None
