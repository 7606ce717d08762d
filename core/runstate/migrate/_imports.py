"""What becomes of the imports of legacy modules.

`ExecutionState` comes from `runstate`, everything else from the facade. A legacy module moves in every file or in none: one
that is left behind somewhere would go on with its own states and its own executions beside the facade's. So an import that
cannot move holds back its module everywhere, and the list says what is in its way.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from runstate._codebase import Module, Scope, Subject, import_facts

from ._legacy import STATE, TWOFOLD, exported, facade_of, legacy_module, twin_of
from ._model import ImportedName, ImportFrom


class Obstructed(NamedTuple):
    """Why an import cannot move."""

    reason: str


class Obstacle(NamedTuple):
    """An import that cannot move."""

    statement: ast.stmt
    facade: str
    """What it cannot move to."""
    reason: str


class Move(NamedTuple):
    """An import that can move."""

    statement: ast.stmt
    facades: frozenset[str]
    """What must be free to move with it."""
    written: tuple[ImportFrom, ...]


def imports_of(subject: Subject, *, keeps_names: bool) -> Iterator[Obstacle | Move]:
    """Decide about every import of a legacy module in a file.

    Args:
        subject: The file.
        keeps_names: Whether it needs an `ExecutionState` that knows the legacy names: the facade's.
    """
    for statement, scope in subject.nodes(ast.ImportFrom):
        yield from _from(subject, statement, scope, keeps_names=keeps_names)
    for plain, _ in subject.nodes(ast.Import):
        yield from _plain(subject, plain)


def _from(subject: Subject, statement: ast.ImportFrom, scope: Scope, *, keeps_names: bool) -> Iterator[Obstacle | Move]:
    index, path = subject.index, subject.source.path
    facts = import_facts(statement)
    source = index.imported(path, facts[0])
    module = None if source is None else legacy_module(source)
    names = [ImportedName(one.name, one.asname) for one in statement.names]
    modules: dict[ImportedName, str] = {}
    for name, one in zip(names, facts, strict=True):
        found = index.import_type(path, one)
        file = index.module_named(found.name, path) if isinstance(found, Module) else None
        inner = None if file is None else legacy_module(file)
        if inner is not None:
            modules[name] = inner
    if modules:
        yield from _modules(subject, statement, names, modules)
    elif module is not None and module != facade_of(module):
        yield from _names(subject, statement, scope, module, names, keeps_names=keeps_names)


def _names(
    subject: Subject,
    statement: ast.ImportFrom,
    scope: Scope,
    module: str,
    names: list[ImportedName],
    *,
    keeps_names: bool,
) -> Iterator[Obstacle | Move]:
    facade = facade_of(module)
    place = _sharing(subject, statement) or _place(module, {one.name for one in names} - {"*"})
    if isinstance(place, Obstructed):
        yield Obstacle(statement, facade, place.reason)
        return
    keeps_names |= _has_comments(subject, statement)  # they would not survive taking the statement apart
    states = [one for one in names if one.name == STATE and not keeps_names]
    rest = [one for one in names if one not in states]
    written = [ImportFrom("runstate", tuple(states))] if states and not _is_imported(subject, states, scope) else []
    if rest:
        written.append(ImportFrom(place, tuple(rest)))
    yield Move(statement, frozenset({facade}), tuple(written))


def _place(module: str, used: set[str]) -> str | Obstructed:
    """Return the facade's module that gives all names that are used of a legacy module, or why there is none."""
    facade = facade_of(module)
    whole = exported(facade)
    if not whole:
        return Obstructed(f"there is no {facade} in this version of runstate")
    twin = twin_of(module)
    if used <= exported(twin):
        return twin
    if twofold := sorted(used & TWOFOLD):
        return Obstructed(f"{', '.join(twofold)} is defined twice in the legacy package; import the one that is meant")
    if missing := sorted(used - whole):
        return Obstructed(f"{twin} gives no {', '.join(missing)}")
    return facade


def _sharing(subject: Subject, statement: ast.stmt) -> Obstructed | None:
    """Why a statement cannot be replaced by several: it does not have its lines for itself."""
    lines = [subject.line(number) for number in range(statement.lineno, (statement.end_lineno or 0) + 1)]
    is_first = not lines[0][: subject.column(statement.lineno, statement.col_offset) - 1].strip()
    shares = not is_first or any(";" in line.partition("#")[0] for line in lines)
    return Obstructed("give the import a line of its own") if shares else None


def _has_comments(subject: Subject, statement: ast.stmt) -> bool:
    return any("#" in subject.line(number) for number in range(statement.lineno, statement.end_lineno or 0))


def _is_imported(subject: Subject, states: list[ImportedName], scope: Scope) -> bool:
    """Whether the file imports the same names from runstate already, in the same scope."""
    there = {
        ImportedName(one.name, one.asname)
        for statement, its in subject.nodes(ast.ImportFrom)
        if its is scope and statement.module == "runstate" and not statement.level
        for one in statement.names
    }
    return set(states) <= there


def _modules(
    subject: Subject, statement: ast.ImportFrom, names: list[ImportedName], modules: Mapping[ImportedName, str]
) -> Iterator[Obstacle | Move]:
    written: list[ImportFrom] = []
    rest = tuple(one for one in names if one not in modules)
    if rest:
        written.append(ImportFrom("." * statement.level + (statement.module or ""), rest))
    for one, module in modules.items():
        local = one.alias or one.name
        facade = facade_of(module)
        place = _sharing(subject, statement) or _place(module, _used(subject, local))
        if isinstance(place, Obstructed):
            yield Obstacle(statement, facade, place.reason)
            return
        package, _, name = place.rpartition(".")
        written.append(ImportFrom(package, (ImportedName(name, local if local != name else None),)))
    facades = {facade_of(module) for module in modules.values()}
    if facades != set(modules.values()):
        yield Move(statement, frozenset(facades), tuple(written))


def _plain(subject: Subject, statement: ast.Import) -> Iterator[Obstacle | Move]:
    for one in statement.names:
        source = subject.index.module_named(one.name, subject.source.path)
        module = None if source is None else legacy_module(source)
        if module is None or facade_of(module) == module:
            continue
        facade = facade_of(module)
        if len(statement.names) > 1 or one.asname is None:
            yield Obstacle(statement, facade, "give the module a name of its own: import … as …")
            continue
        place = _sharing(subject, statement) or _place(module, _used(subject, one.asname))
        if isinstance(place, Obstructed):
            yield Obstacle(statement, facade, place.reason)
        else:
            yield Move(statement, frozenset({facade}), (ImportFrom(place, (), one.asname),))


def _used(subject: Subject, local: str) -> set[str]:
    """What is used of a module under its local name."""
    return {
        node.attr
        for node, scope in subject.nodes(ast.Attribute)
        if isinstance(node.value, ast.Name)
        and node.value.id == local
        and isinstance(subject.type_of(node.value, scope), Module)
    }
