"""Walking statements without entering what runs at another time."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator


def inside(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All nodes below, but for the bodies of functions, lambdas and classes."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting[:0] = ast.iter_child_nodes(node)
