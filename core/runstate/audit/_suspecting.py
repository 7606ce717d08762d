"""How a rule says what it has found."""

from __future__ import annotations

import ast

from runstate._codebase import Scope, Subject

from ._model import Level, Rule, Suspicion


def suspicion(
    subject: Subject,
    rule: Rule,
    node: ast.stmt | ast.expr | ast.excepthandler,
    scope: Scope,
    message: str,
    level: Level | None = None,
    remedy: str | None = None,
) -> Suspicion:
    """Put what was found at a node together; the level is the rule's, unless one is given; so is the remedy."""
    column = subject.column(node.lineno, node.col_offset)
    line = subject.line(node.lineno)
    return Suspicion(
        subject.source.path, node.lineno, column, rule, level or rule.level, message, scope.title, line, remedy
    )
