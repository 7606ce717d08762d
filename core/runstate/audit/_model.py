"""What the audit reports: rules, findings, definitions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from runstate import ExecutionState


class Level(Enum):
    """How bad a finding is; the values are SARIF's."""

    ERROR = "error"
    """Goes wrong whenever the line runs."""
    WARNING = "warning"
    """Goes wrong when something else does, and nobody will notice."""
    NOTE = "note"
    """Worth knowing; nothing is wrong yet."""

    @property
    def rank(self) -> int:
        """Higher is worse."""
        return {"error": 2, "warning": 1, "note": 0}[self.value]


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that the audit looks for."""

    id: str
    """Stable; what `# runstate: ignore[…]` and baselines name."""
    level: Level
    """Of its findings, unless one says otherwise."""
    summary: str
    remedy: str


class Finding(NamedTuple):
    """One place where a rule does not hold."""

    path: str
    line: int
    """1-based."""
    column: int
    """1-based, in characters."""
    rule: str
    level: Level
    message: str
    remedy: str
    fingerprint: str
    """The same as long as the line's text, the function it is in, and the number of equal lines before it are."""


class Member(NamedTuple):
    """One member of a look-alike, and the state that it stands for."""

    name: str
    state: ExecutionState | None


class Definition(NamedTuple):
    """One definition of an execution's states, or of a tracker of executions."""

    kind: str
    """`state` or `tracker`."""
    name: str
    module: str
    path: str
    line: int
    column: int
    form: str
    """Such as `Enum`, `str, Enum`, `Literal`, `constants`, `class`."""
    members: tuple[Member, ...]
    """Empty for a tracker."""
    is_competing: bool
    """Whether it is about executions by its name or by what uses it, so that it competes with `ExecutionState`."""


class Suspicion(NamedTuple):
    """A finding before it is numbered: what a rule gives."""

    path: str
    line: int
    column: int
    rule: Rule
    level: Level
    message: str
    title: str
    """The function or class that it is in."""
    key: str
    """What identifies it there: usually the text of its line."""
    remedy: str | None = None
    """What to do; None is what the rule says."""


_DIGITS: Final = 16


def findings_of(suspicions: list[Suspicion]) -> list[Finding]:
    """Sort what the rules gave and give each its fingerprint; what was given twice is kept once."""
    findings: list[Finding] = []
    numbers: dict[tuple[str, str, str, str], int] = {}
    unique = {(one.path, one.line, one.column, one.rule.id, one.message): one for one in suspicions}
    for place in sorted(unique):
        one = unique[place]
        same = (one.path, one.rule.id, one.title, " ".join(one.key.split()))
        number = numbers[same] = numbers.get(same, 0) + 1
        content = "\0".join((*same[1:], str(number)))
        fingerprint = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
        findings.append(
            Finding(
                *(one.path, one.line, one.column, one.rule.id, one.level, one.message),
                one.remedy or one.rule.remedy,
                fingerprint,
            )
        )
    return findings
