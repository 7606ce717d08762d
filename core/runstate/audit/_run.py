"""The audit itself, in three passes: the facts of every file, the verdicts on the files concerned, the verdict on the whole.

The first two passes run in several processes; between them only facts and findings travel, never syntax trees.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple, TypeVar

from runstate import InvalidValueError
from runstate._codebase import (
    Index,
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

from ._census import census
from ._ignores import Ignore, ignores_in, without_ignored
from ._model import Definition, Finding, Level, Suspicion, findings_of
from ._rules import CHECKS, RULES, STATE_DEFINITION, TRACKER_DEFINITION, UNREADABLE, monitoring

_FEW: Final = 150
"""Files that are read sooner in this process than others are started."""
_CHUNK: Final = 40
"""Files that one task is about."""

_Made = TypeVar("_Made")


class Report(NamedTuple):
    """What the audit found."""

    files: int
    """How many files were read or tried."""
    findings: tuple[Finding, ...]
    """Sorted by place."""
    definitions: tuple[Definition, ...]
    """Every definition of an execution's states or of a tracker, runstate's own left out."""


def audit(
    paths: Sequence[str | os.PathLike[str]],
    *,
    jobs: int | None = None,
    exclude: Sequence[str] = (),
    rules: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Audit a code base without importing it.

    Args:
        paths: Files and directories. Files that import each other should be audited together.
        jobs: Processes to use; None takes one a CPU.
        exclude: Names of directories to leave out, besides virtual environments, caches and the like.
        rules: Ids of the rules to apply; none stands for all.
        progress: Called now and then with the steps done and the steps in all.

    Raises:
        InvalidValueError: A path does not exist, a rule is not known, or `jobs` is not positive.
        StubsMissingError: runstate is not installed whole: the stubs of the legacy trackers are not there.
    """
    known = [rule.id for rule in RULES]
    for rule in rules:
        if rule not in known:
            raise InvalidValueError("rule", rule, f"one of {', '.join(known)}")
    if jobs is not None and jobs < 1:
        raise InvalidValueError("jobs", jobs, "a positive number of processes")
    found = python_files(paths, exclude)
    unreadable = list(found.unreadable)
    suspicions: list[Suspicion] = []
    ignores: list[Ignore] = []
    modules: list[ModuleFacts] = []
    with _workers(jobs, len(found.files), progress) as work:
        for first in work.first(found.files):
            if isinstance(first, Unreadable):
                unreadable.append(first)
            else:
                modules.append(first.facts)
                ignores.extend(first.ignores)
        kinds = Kinds(Index(modules, known_faces()))
        watching: list[monitoring.Watching] = []
        for second in work.second(kinds, kinds.concerned):
            if isinstance(second, Unreadable):
                unreadable.append(second)
            else:
                suspicions.extend(second.suspicions)
                watching.append(second.watching)
    suspicions.extend(monitoring.judge(watching))
    definitions = census(kinds)
    suspicions.extend(_definitions(definitions))
    kept = without_ignored(suspicions, ignores)
    kept.extend(
        Suspicion(one.path, one.line, 1, UNREADABLE, UNREADABLE.level, f"{one.reason}", "", one.reason)
        for one in unreadable
    )
    findings = [one for one in findings_of(kept) if not rules or one.rule in rules]
    return Report(len(found.files), tuple(findings), definitions)


def _definitions(definitions: Sequence[Definition]) -> Iterator[Suspicion]:
    """One definition is the code base's own truth; several that compete are a warning each, and all else is a note."""
    for kind, rule in (("state", STATE_DEFINITION), ("tracker", TRACKER_DEFINITION)):
        its = [one for one in definitions if one.kind == kind]
        competing = sum(one.is_competing for one in its)
        for one in its:
            level = Level.WARNING if one.is_competing and competing > 1 else Level.NOTE
            what = "states" if kind == "state" else "a tracker of executions"
            number = f"one of {competing} definitions" if level is Level.WARNING else "a definition"
            message = f"{one.name} is {number} of {what} beside runstate.Execution{kind.capitalize()}"
            yield Suspicion(one.path, one.line, one.column, rule, level, f"{message}{_shown(one)}", one.name, one.name)


def _shown(one: Definition) -> str:
    if not one.members:
        return ""
    pairs = [f"{member.name} → {member.state.name if member.state else 'nothing'}" for member in one.members]
    return f": {', '.join(pairs)}"


# -- passes -----------------------------------------------------------------------------------------------------------


class _First(NamedTuple):
    facts: ModuleFacts
    ignores: tuple[Ignore, ...]


class _Second(NamedTuple):
    suspicions: tuple[Suspicion, ...]
    watching: monitoring.Watching


def _first_pass(path: str) -> _First | Unreadable:
    source = read_source(path)
    if isinstance(source, Unreadable):
        return source
    try:
        return _First(module_facts(source), ignores_in(source))
    except RecursionError:
        return too_deep(path)


def _second_pass(kinds: Kinds, path: str) -> _Second | Unreadable:
    source = read_source(path)
    if isinstance(source, Unreadable):
        return source
    try:
        subject = Subject(source, kinds)
        suspicions = tuple(one for check in CHECKS for one in check(subject))
        return _Second(suspicions, monitoring.watch(subject))
    except RecursionError:
        return too_deep(path)


# -- processes --------------------------------------------------------------------------------------------------------


class _Work:
    """Applies functions to files, in a pool or here; here also what is left when the pool breaks."""

    def __init__(
        self, pool: ProcessPoolExecutor | None, folder: Path, progress: Callable[[int, int], None] | None
    ) -> None:
        self._pool = pool
        self._folder = folder
        self._progress = progress
        self._done = 0
        self._total = 0

    def first(self, paths: Sequence[str]) -> Iterator[_First | Unreadable]:
        """Read each file."""
        yield from self._map(_first_pass, _first_passes, paths, 2 * len(paths))  # and perhaps each once more

    def second(self, kinds: Kinds, paths: Sequence[str]) -> Iterator[_Second | Unreadable]:
        """Judge each file."""
        file = self._folder / "kinds"
        if self._pool is not None:
            file.write_bytes(pickle.dumps((kinds.index, kinds.tracked)))
        there = partial(_second_passes, str(file))
        yield from self._map(partial(_second_pass, kinds), there, paths, self._done + len(paths))

    def _map(
        self,
        here: Callable[[str], _Made],
        there: Callable[[Sequence[str]], list[_Made]],
        paths: Sequence[str],
        total: int,
    ) -> Iterator[_Made]:
        self._total = total
        self._tell(0)
        done = 0
        if self._pool is not None:
            chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
            try:
                for made in self._pool.map(there, chunks):
                    yield from made
                    done += len(made)
                    self._tell(len(made))
            except BrokenProcessPool:
                self._pool = None
        for path in paths[done:]:
            yield here(path)
            self._tell(1)

    def _tell(self, steps: int) -> None:
        self._done += steps
        if self._progress is not None:
            self._progress(self._done, self._total)


@contextmanager
def _workers(jobs: int | None, files: int, progress: Callable[[int, int], None] | None) -> Generator[_Work]:
    processes = jobs if jobs is not None else _cpus()
    with TemporaryDirectory(prefix="runstate-audit-") as folder:
        if processes == 1 or files < _FEW:
            yield _Work(None, Path(folder), progress)
            return
        # Forking a process that may have threads is asking for trouble; a fresh interpreter is not.
        start = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, mp_context=start) as pool:
            try:
                yield _Work(pool, Path(folder), progress)
            finally:
                pool.shutdown(cancel_futures=True)


def _cpus() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _first_passes(paths: Sequence[str]) -> list[_First | Unreadable]:
    return [_first_pass(path) for path in paths]


def _second_passes(file: str, paths: Sequence[str]) -> list[_Second | Unreadable]:
    kinds = _kinds(file)
    return [_second_pass(kinds, path) for path in paths]


@lru_cache(maxsize=1)
def _kinds(file: str) -> Kinds:
    index, tracked = pickle.loads(Path(file).read_bytes())  # noqa: S301 - written by the process that started this one
    return Kinds(index, tracked)
