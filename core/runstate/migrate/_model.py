"""What the migration decides about one file, before anything is changed."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import NamedTuple

from runstate._codebase import Subject


class Span(NamedTuple):
    """Where an expression stands: lines 1-based, columns 0-based and in characters; parentheses around it are not in it."""

    line: int
    column: int
    end_line: int
    end_column: int


class Unproven(NamedTuple):
    """A place that was left as it is, because what it means is not certain."""

    path: str
    line: int
    """1-based."""
    column: int
    """1-based, in characters."""
    reason: str


class ImportedName(NamedTuple):
    """One name of an import statement."""

    name: str
    alias: str | None


class ImportFrom(NamedTuple):
    """An import statement to write: `from module import names`, or, without names, `import module as alias`."""

    module: str
    names: tuple[ImportedName, ...]
    alias: str | None = None


@dataclass(slots=True)
class Plan:
    """The changes of one file."""

    path: str
    replaced: dict[Span, str] = field(default_factory=dict[Span, str])
    """Expressions, and the code that takes their place."""
    stripped: set[Span] = field(default_factory=set[Span])
    """`x.value`, which becomes `x`."""
    identities: set[Span] = field(default_factory=set[Span])
    """Comparisons whose `==` becomes `is`."""
    calls: dict[Span, str] = field(default_factory=dict[Span, str])
    """Calls of `complete_execution` and `fail_execution`, and the state that `update_execution_state` is given instead."""
    imports: dict[int, tuple[ImportFrom, ...]] = field(default_factory=dict[int, tuple[ImportFrom, ...]])
    """What takes the place of the import statement that begins on a line; nothing where it is not needed any more."""
    needs_import: bool = False
    """Whether `from runstate import ExecutionState` must be added."""
    unproven: list[Unproven] = field(default_factory=list[Unproven])

    @property
    def changes(self) -> int:
        """How many places change."""
        return len(self.replaced) + len(self.stripped) + len(self.identities) + len(self.calls) + len(self.imports)


def span_of(subject: Subject, node: ast.expr) -> Span:
    """Return where an expression stands."""
    end_line, end_offset = node.end_lineno or node.lineno, node.end_col_offset or 0
    start = subject.column(node.lineno, node.col_offset) - 1
    return Span(node.lineno, start, end_line, subject.column(end_line, end_offset) - 1)
