"""The migration itself: reads a code base, decides about each file, and shows or writes what becomes of it."""

from __future__ import annotations

import ast
import difflib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from runstate._codebase import (
    Class,
    ClassRef,
    Index,
    Instance,
    Kinds,
    ModuleFacts,
    Subject,
    Unreadable,
    known_faces,
    module_facts,
    python_files,
    read_source,
    too_deep,
)

from ._imports import Move, Obstacle, imports_of
from ._legacy import FACADES, STATE, facade_of, legacy_module, twin_of
from ._model import Plan, Unproven
from ._rewrite import RewriteError, rewritten
from ._states import States, legacy_uses
from ._uses import Use, is_text_state, unsafe_uses


class Change(NamedTuple):
    """What becomes of one file."""

    path: str
    before: bytes
    after: bytes

    @property
    def diff(self) -> str:
        """A unified diff, with a newline at its end."""
        before, after = (
            content.decode("utf-8", "backslashreplace").splitlines(keepends=True)
            for content in (self.before, self.after)
        )
        name = self.path.lstrip("/")
        marked = difflib.unified_diff(before, after, f"a/{name}", f"b/{name}")
        return "".join(_ended(line) for line in marked)


_NO_END: Final = "\\ No newline at end of file\n"


def _ended(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n{_NO_END}"


class Migration(NamedTuple):
    """What becomes of a code base."""

    files: int
    changes: tuple[Change, ...]
    """Sorted by path."""
    unproven: tuple[Unproven, ...]
    """What is left as it is, sorted by place."""


def migrate(
    paths: Sequence[str | os.PathLike[str]],
    *,
    exclude: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Migration:
    """Say what becomes of a code base; nothing is written.

    Args:
        paths: Files and directories. Everything that uses one legacy tracker belongs together.
        exclude: Names of directories to leave out, besides virtual environments, caches and the like.
        progress: Called now and then with the steps done and the steps in all.

    Raises:
        InvalidValueError: A path is empty or does not exist.
        StubsMissingError: runstate is not installed whole: the stubs of the legacy trackers are not there.
    """
    found = python_files(paths, exclude)
    unreadable = list(found.unreadable)
    facts: list[ModuleFacts] = []
    naming: list[str] = []
    for number, path in enumerate(found.files):
        read = _facts(path)
        if isinstance(read, Unreadable):
            unreadable.append(read)
        else:
            facts.append(read.facts)
            naming += [path] * read.names_legacy
        if progress is not None:
            progress(number + 1, len(found.files))
    kinds = Kinds(Index(facts, known_faces(), stubs_first=True))
    decided: list[tuple[Subject, _Imports]] = []
    for path in _concerned(kinds, naming):
        looked = _decided(path, kinds)
        if isinstance(looked, Unreadable):
            unreadable.append(looked)
        else:
            decided.append(looked)
    held = _held(decided)
    unproven = [Unproven(one.path, one.line, 1, one.reason) for one in unreadable]
    changes: list[Change] = []
    for subject, imports in decided:
        path = subject.source.path
        plan = _plan(subject, imports, held)
        unproven.extend(plan.unproven)
        if plan.changes:
            before = Path(path).read_bytes()
            try:
                changes.append(Change(path, before, rewritten(before, plan)))
            except RewriteError as error:
                unproven.append(Unproven(path, 1, 1, f"the whole file is left as it is: {error}"))
    return Migration(len(found.files), tuple(sorted(changes)), tuple(sorted(set(unproven))))


def _held(decided: Sequence[tuple[Subject, _Imports]]) -> dict[str, str]:
    """The facades that cannot be moved to, and where the first obstacle to each is.

    Modules whose states are given to each other go together: one that stays would hand its own states to the facade of the
    other, which refuses them.
    """
    held: dict[str, str] = {}
    for subject, imports in decided:
        for obstacle in imports.obstacles:
            held.setdefault(obstacle.facade, f"{subject.source.path}:{obstacle.statement.lineno}")
    exchanges = [one for subject, _ in decided for one in _exchanges(subject)] if held else []
    while found := [
        (other, place)
        for one, its, place in exchanges
        for first, other in ((one, its), (its, one))
        if first in held and other not in held
    ]:
        held.setdefault(*found[0])
    return held


def _exchanges(subject: Subject) -> Iterator[tuple[str, str, str]]:
    """Where a state of one legacy module is given to what declares another's: both facades, and the place."""
    for one in subject.expected_states():
        if isinstance(one.type, Instance) and one.type.ref != one.enum:
            modules = [legacy_module(ref.path) for ref in (one.type.ref, one.enum)]
            facades = [facade_of(module) for module in modules if module is not None]
            if len(facades) == 2 and facades[0] != facades[1]:
                yield facades[0], facades[1], f"{subject.source.path}:{one.node.lineno}"


class _Read(NamedTuple):
    facts: ModuleFacts
    names_legacy: bool
    """Whether the name of a legacy module stands anywhere in its text."""


def _facts(path: str) -> _Read | Unreadable:
    source = read_source(path)
    if isinstance(source, Unreadable):
        return source
    try:
        return _Read(module_facts(source), any(module in source.text for module in FACADES))
    except RecursionError:
        return too_deep(path)


def _concerned(kinds: Kinds, naming: list[str]) -> list[str]:
    """The files that may have to change, or name a legacy module; runstate's own are not among them."""
    importing = filter(partial(_imports_legacy, kinds.index), kinds.index.paths)
    paths = dict.fromkeys([*kinds.concerned, *importing, *naming])
    return [path for path in paths if not kinds.is_ours(path)]


def _texts_naming_modules(subject: Subject) -> Iterator[tuple[ast.Constant, str]]:
    """Every text that names something in a legacy module, as `mock.patch` takes them."""
    for node, _ in subject.nodes(ast.Constant):
        if isinstance(node.value, str) and node.value.replace(".", "").isidentifier():
            inside = [module for module in FACADES if f"{node.value}.".startswith(f"{module}.")]
            if inside:
                yield node, max(inside, key=len)


def _imports_legacy(index: Index, path: str) -> bool:
    """Whether a file imports anything of a legacy module, be it no state and no tracker: it moves with the others."""
    sources = {index.imported(path, one) for one in index.imports(path)}
    return any(source is not None and legacy_module(source) is not None for source in sources)


def _decided(path: str, kinds: Kinds) -> tuple[Subject, _Imports] | Unreadable:
    source = read_source(path)
    if isinstance(source, Unreadable):
        return source
    try:
        subject = Subject(source, kinds)
        return subject, _Imports.of(subject)
    except RecursionError:
        return too_deep(path)


class _Imports(NamedTuple):
    """What was decided about the imports of one file."""

    moves: tuple[Move, ...]
    obstacles: tuple[Obstacle, ...]
    uses: tuple[ast.expr, ...]
    """Uses of states that need their legacy names."""
    unsafe: tuple[Use, ...]
    """Uses of states that are texts, where that may matter."""

    @classmethod
    def of(cls, subject: Subject) -> _Imports:
        uses = tuple(legacy_uses(subject))
        unsafe = tuple(unsafe_uses(subject))
        keeps_names = bool(uses) or any(one.is_member for one in unsafe)
        decided = tuple(imports_of(subject, keeps_names=keeps_names))
        moves = tuple(one for one in decided if isinstance(one, Move))
        return cls(moves, tuple(one for one in decided if isinstance(one, Obstacle)), uses, unsafe)


def _plan(subject: Subject, imports: _Imports, held: Mapping[str, str]) -> Plan:
    path = subject.source.path
    plan = Plan(path)
    own = legacy_module(path)
    if own is not None:
        if subject.index.classes(path):
            plan.unproven.append(Unproven(path, 1, 1, f"its body becomes: from {twin_of(own)} import *"))
        return plan
    for move in imports.moves:
        waiting = sorted(move.facades & held.keys())
        if waiting:
            _leave(plan, subject, move.statement, f"its module is not free to move: see {held[waiting[0]]}")
        else:
            plan.imports[move.statement.lineno] = move.written
    for obstacle in imports.obstacles:
        _leave(plan, subject, obstacle.statement, obstacle.reason)
    for use in imports.uses:
        _leave(plan, subject, use, f"needs the legacy names of states, so {STATE} is the facade's")
    for text, module in _texts_naming_modules(subject):
        if facade_of(module) not in held:
            _leave(plan, subject, text, f"whoever patches or imports {module} by this text misses {facade_of(module)}")
    prefix, is_new = _prefix(subject, plan)
    enums = _held_enums(subject, held)
    unsafe = imports.unsafe if not any(is_text_state(subject, one) for one in enums) else ()
    for unsafe_use in unsafe:
        _leave(plan, subject, unsafe_use.node, unsafe_use.reason)
    States(subject, plan, prefix, enums, frozenset(id(one.node) for one in unsafe)).decide()
    written = [*plan.replaced.values(), *plan.calls.values()]
    plan.needs_import = is_new and any(code.startswith(f"{STATE}.") for code in written)
    return plan


def _leave(plan: Plan, subject: Subject, node: ast.stmt | ast.expr, reason: str) -> None:
    column = subject.column(node.lineno, node.col_offset)
    plan.unproven.append(Unproven(plan.path, node.lineno, column, reason))


def _held_enums(subject: Subject, held: Mapping[str, str]) -> frozenset[ClassRef]:
    """The enums of the legacy modules that cannot move."""
    return frozenset(_enums_of(subject.index, held))


def _enums_of(index: Index, held: Mapping[str, str]) -> Iterator[ClassRef]:
    for module, facade in FACADES.items():
        if facade in held:
            path = index.module_named(module, "")
            if path is not None:
                yield ClassRef(path, STATE)


def _prefix(subject: Subject, plan: Plan) -> tuple[str | None, bool]:
    """How a file can name runstate's `ExecutionState`, and whether it must be imported first."""
    bound = subject.inference.scopes.module.names
    for local, bindings in bound.items():
        is_imported = len(bindings) == 1 and bindings[0].kind == "import"
        if is_imported and _becomes_state(subject, plan, local):
            return local, False
    if STATE in bound:
        return None, False
    return STATE, True


def _becomes_state(subject: Subject, plan: Plan, local: str) -> bool:
    for statement, scope in subject.nodes(ast.ImportFrom):
        if scope is not subject.inference.scopes.module or statement not in subject.source.tree.body:
            continue
        for one in statement.names:
            if (one.asname or one.name) == local and one.name == STATE:
                found = subject.inference.name(local, scope)
                return statement.lineno in plan.imports or (
                    isinstance(found, Class) and subject.kinds.is_ours(found.ref.path)
                )
    return False


# -- writing ----------------------------------------------------------------------------------------------------------


def write(change: Change) -> None:
    """Write one file: all of it or nothing, with its permissions and its owner, and through links.

    Raises:
        OSError: It cannot be written.
        FileExistsError: It is not any more what it was when it was read.
    """
    path = Path(change.path).resolve()
    if path.read_bytes() != change.before:
        raise FileExistsError(f"{change.path} was changed meanwhile; run the migration again")
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(change.after)
            file.flush()
            os.fsync(file.fileno())
        status = path.stat()
        with suppress(PermissionError):  # only root may give files away, and to others they belong already
            os.chown(name, status.st_uid, status.st_gid)
        Path(name).chmod(status.st_mode & 0o7777)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
