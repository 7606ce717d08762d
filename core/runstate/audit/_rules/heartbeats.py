"""A loop that beats whatever the agent does: it shows that the loop lives, and hides that the agent does not.

Such a loop sleeps and beats and does nothing else. A loop that does anything besides, or beats only if something holds, may
well know how the agent fares, and is left alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from runstate._codebase import Instance, Scope, Subject, dotted

from .._model import Level, Rule, Suspicion
from .._suspecting import suspicion
from ._walking import inside
from .swallowing import is_log

RULE = Rule(
    "blind-heartbeat",
    Level.WARNING,
    "A loop sends heartbeats whatever the agent does.",
    "beat where the agent makes progress, and drop the loop",
)

_BEATS: Final = frozenset({"heartbeat", "send_heartbeat", "update_heartbeat"})
_WAITS: Final = frozenset({"sleep", "wait", "wait_for"})
_ASKS: Final = frozenset(
    {
        "is_set",
        "done",
        "is_alive",
        "cancelled",
        "monotonic",
        "time",
        "perf_counter",
        "now",
        "utcnow",
        "print",
        "str",
        "len",
        "suppress",
    }
)


def check(subject: Subject) -> Iterator[Suspicion]:
    """Check `while` loops."""
    for loop, scope in subject.nodes(ast.While):
        beat = _blind_beat(subject, loop)
        if beat is not None:
            message = f"this loop only sleeps and calls {beat}(), so it beats on while the agent hangs"
            yield suspicion(subject, RULE, loop, scope, message)


def _blind_beat(subject: Subject, loop: ast.While) -> str | None:
    scopes: dict[ast.Call, Scope] = dict(subject.nodes(ast.Call))
    beat: str | None = None
    waits = False
    for node in inside([loop.test, *loop.body]):
        if isinstance(node, ast.Await) and not isinstance(node.value, ast.Call):
            return None
        if isinstance(node, ast.Yield | ast.YieldFrom | ast.For | ast.AsyncFor):
            return None
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else dotted(node.func) or ""
        if name in _BEATS:
            if subject.tracker_call(node, scopes[node]) is None:
                return None
            beat = name
        elif name in _WAITS:
            waits = True
        elif not (
            name in _ASKS
            or _logs(node.func)
            or _reads(subject, node, scopes[node])
            or _gives_tracker(subject, node, scopes[node])
        ):
            return None
    return beat if beat is not None and waits and not _is_conditional(loop.body) else None


def _logs(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and is_log(function.value)


def _reads(subject: Subject, call: ast.Call, scope: Scope) -> bool:
    """Whether a call only asks the tracker, which knows of the agent what it is told by the beats."""
    called = subject.tracker_call(call, scope)
    return called is not None and called.facts.name.startswith("get_")


def _gives_tracker(subject: Subject, call: ast.Call, scope: Scope) -> bool:
    """Whether a call does nothing but give the tracker that is told of the beat."""
    given = subject.type_of(call, scope)
    return isinstance(given, Instance) and subject.kinds.is_tracker(given.ref)


def _is_conditional(body: list[ast.stmt]) -> bool:
    """Whether the beat stands below an `if`, so that something decides about it."""
    for node in inside(body):
        if isinstance(node, ast.If | ast.IfExp):
            branches = [*node.body, *node.orelse] if isinstance(node, ast.If) else [node.body, node.orelse]
            for below in inside(branches):
                if isinstance(below, ast.Call) and isinstance(below.func, ast.Attribute) and below.func.attr in _BEATS:
                    return True
    return False
