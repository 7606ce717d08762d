"""`# runstate: ignore[rule, …]`, at the end of the line that a finding names; bare, it stands for every rule."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable
from typing import Final, NamedTuple

from runstate._codebase import Source

from ._model import Rule, Suspicion
from ._rules import RULES, UNREADABLE, UNUSED_IGNORE

_MARK: Final = re.compile(r"#\s*runstate:\s*ignore(?:\[([^\]]*)\])?(?![\w-])")
_KNOWN: Final = frozenset(rule.id for rule in RULES) - {UNREADABLE.id, UNUSED_IGNORE.id}


class Ignore(NamedTuple):
    """One such comment."""

    path: str
    line: int
    column: int
    rules: tuple[str, ...]
    """Empty for every rule."""
    text: str


def ignores_in(source: Source) -> tuple[Ignore, ...]:
    """Find the comments of a file; those inside texts are none."""
    if not _MARK.search(source.text):
        return ()
    found: list[Ignore] = []
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type == tokenize.COMMENT and (mark := _MARK.search(token.string)):
            rules = tuple(rule.strip() for rule in (mark[1] or "").split(",") if rule.strip())
            found.append(Ignore(source.path, token.start[0], token.start[1] + mark.start() + 1, rules, token.line))
    return tuple(found)


def without_ignored(suspicions: Iterable[Suspicion], ignores: Iterable[Ignore]) -> list[Suspicion]:
    """Leave out what is ignored, and add a note for each comment, or rule in it, that ignores nothing."""
    by_line: dict[tuple[str, int], list[Ignore]] = {}
    for ignore in ignores:
        by_line.setdefault((ignore.path, ignore.line), []).append(ignore)
    used: set[tuple[Ignore, str]] = set()
    kept: list[Suspicion] = []
    for one in suspicions:
        ignored = False
        for ignore in by_line.get((one.path, one.line), ()):
            if not ignore.rules or one.rule.id in ignore.rules:
                used.add((ignore, one.rule.id if ignore.rules else ""))
                ignored = True
        if not ignored:
            kept.append(one)
    for ignore in (ignore for line in by_line.values() for ignore in line):
        kept.extend(_unused(ignore, rule) for rule in ignore.rules or ("",) if (ignore, rule) not in used)
    return kept


def _unused(ignore: Ignore, rule: str) -> Suspicion:
    what = f"[{rule}]" if rule else ""
    if rule and rule not in _KNOWN:
        message = f"ignore{what}: there is no rule of this name"
    else:
        message = f"ignore{what}: nothing is found on this line"
    note: Rule = UNUSED_IGNORE
    return Suspicion(ignore.path, ignore.line, ignore.column, note, note.level, message, "", ignore.text)
