"""A tracker that enforces its limits only while it is monitored, and that nobody monitors.

This needs the whole code base: each module tells what it creates and what it starts (`Watching`), and the verdict falls at
the end. A tracker that leaves the place where it was made may be started anywhere, under any name; then one start of its
class, or one start of something unknown, is enough to keep silent.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from runstate._codebase import Class, ClassRef, Instance, Scope, Subject, alternatives

from .._model import Level, Rule, Suspicion
from .._suspecting import suspicion

RULE = Rule(
    "unmonitored-tracker",
    Level.WARNING,
    "A tracker is created and its monitoring is never started.",
    "start its monitoring, or open a runstate tracker, which enforces every limit by itself",
)

_START: Final = "start_monitoring"


class Creation(NamedTuple):
    """A tracker that is created, and may need to be started."""

    suspicion: Suspicion
    tracker: ClassRef
    name: str | None
    """The variable or attribute that keeps it; None where it leaves the place."""


class Start(NamedTuple):
    """A call that starts the monitoring of a tracker."""

    tracker: ClassRef | None
    """None where it is not known what is started."""
    name: str | None
    """The variable or attribute that it is kept in; None for a parameter, and whatever else may be any tracker."""
    function: str | None
    """The function at module level, in the tracker's own module, that must be called for this to happen."""


class Watching(NamedTuple):
    """What one module does about monitoring."""

    creations: tuple[Creation, ...]
    starts: tuple[Start, ...]
    called: frozenset[str]
    """The last names of the functions that it calls."""


def watch(subject: Subject) -> Watching:
    """Collect what one module does."""
    creations: list[Creation] = []
    starts: list[Start] = []
    called: set[str] = set()
    escaping = _escaping(subject)
    for call, scope in subject.nodes(ast.Call):
        function = call.func
        if isinstance(function, ast.Attribute) and function.attr == _START:
            starts.append(_start(subject, function.value, scope))
        if isinstance(function, ast.Name | ast.Attribute):
            name = function.id if isinstance(function, ast.Name) else function.attr
            if scope.title != name:
                called.add(name)
    kept = _kept(subject)
    for call, scope in subject.nodes(ast.Call):
        creations.extend(_creation(subject, call, scope, kept.get(id(call), []), escaping))
    return Watching(tuple(creations), tuple(starts), frozenset(called))


def _kept(subject: Subject) -> dict[int, list[ast.expr]]:
    """What each assigned call, the last of `a or call()` too, is kept in, by the call's identity."""
    bindings: list[ast.Assign | ast.AnnAssign] = [
        *(node for node, _ in subject.nodes(ast.Assign)),
        *(node for node, _ in subject.nodes(ast.AnnAssign)),
    ]
    kept: dict[int, list[ast.expr]] = {}
    for statement in bindings:
        targets: list[ast.expr] = [statement.target] if isinstance(statement, ast.AnnAssign) else statement.targets
        for value in alternatives(statement.value) if statement.value is not None else ():
            kept[id(value)] = targets
    return kept


def _escaping(subject: Subject) -> set[str]:
    """The names and attributes that are used for more than reaching into what they hold."""
    reached = {id(node.value) for node, _ in subject.nodes(ast.Attribute)}
    names = {
        node.id for node, _ in subject.nodes(ast.Name) if isinstance(node.ctx, ast.Load) and id(node) not in reached
    }
    attributes = {
        node.attr
        for node, _ in subject.nodes(ast.Attribute)
        if isinstance(node.ctx, ast.Load) and id(node) not in reached
    }
    return names | attributes


def _creation(
    subject: Subject, call: ast.Call, scope: Scope, targets: list[ast.expr], escaping: set[str]
) -> Iterator[Creation]:
    made = subject.type_of(call.func, scope)
    if not (isinstance(made, Class) and subject.kinds.is_tracker(made.ref)):
        return
    start = subject.index.method(made.ref, _START)
    if start is None or start.facts.parameters or subject.kinds.is_ours(made.ref.path) or _is_test(subject.source.path):
        return
    target = targets[0] if len(targets) == 1 else None
    name = target.id if isinstance(target, ast.Name) else target.attr if isinstance(target, ast.Attribute) else None
    kept = None if name in escaping else name
    message = f"{subject.named(made.ref)} is created, and {_START}() is never called on it"
    yield Creation(suspicion(subject, RULE, call, scope, message), made.ref, kept)


def _start(subject: Subject, of: ast.expr, scope: Scope) -> Start:
    found = subject.type_of(of, scope)
    if not isinstance(found, Instance):
        return Start(None, None, None)
    function = scope.function
    own = function.name if function is not None and found.ref.path == subject.source.path else None
    if own is not None and scope.owner is not None:
        return Start(found.ref, None, None) if found.ref != scope.owner else Start(found.ref, "self", own)
    if isinstance(of, ast.Attribute):
        return Start(found.ref, of.attr, own)
    if isinstance(of, ast.Name):
        is_given = any(one.kind == "annotation" for one in scope.names.get(of.id, ()))
        return Start(found.ref, None if is_given else of.id, own)
    return Start(found.ref, None, own)


def _is_test(path: str) -> bool:
    """Whether a file is a test: its trackers are moved by hand."""
    parts = Path(path).parts
    return bool({"tests", "test"} & set(parts[:-1])) or parts[-1].startswith(("test_", "conftest"))


def judge(modules: Iterable[Watching]) -> Iterator[Suspicion]:
    """Say which trackers are never monitored, once every module has told."""
    told = list(modules)
    called = frozenset[str]().union(*(one.called for one in told))
    starts = [start for one in told for start in one.starts if start.function is None or start.function in called]
    if any(start.tracker is None for start in starts):
        return
    for creation in (creation for one in told for creation in one.creations):
        its = [start for start in starts if start.tracker == creation.tracker]
        is_any = creation.name is None or any(start.name is None for start in its)
        if not its or not (is_any or any(start.name == creation.name for start in its)):
            yield creation.suspicion
