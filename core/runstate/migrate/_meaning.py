"""What dicts and texts mean as states. Only what can mean one thing has a meaning."""

from __future__ import annotations

import ast
from typing import Final

from runstate import ExecutionState
from runstate._codebase import LEGACY

_SUCCESS: Final = "success"
_COMPLETED: Final = "completed"
_NAMING: Final = frozenset({"state", "status"})


def meaning_of_text(text: str) -> ExecutionState | None:
    """Return the state that a text spells: by name or value, in any case, in the words of any legacy tracker."""
    return LEGACY.get(text.upper())


def meaning_of_dict(node: ast.Dict) -> ExecutionState | None:
    """Return the state that a dict stands for; None where it says something else, or something besides.

    `success` says how it ended, whether or not `completed` says that it has. That it has completed, without a word on
    success, and that it has not completed, are no states.
    """
    told: dict[str, object] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        if not (isinstance(key, ast.Constant) and isinstance(key.value, str) and isinstance(value, ast.Constant)):
            return None
        if key.value in told:
            return None
        told[key.value] = value.value
    match told:
        case {"success": bool(success), **rest} if rest in ({}, {_COMPLETED: True}):
            return ExecutionState.COMPLETED if success else ExecutionState.FAILED
        case _ if len(told) == 1 and (text := told.get(next(iter(_NAMING & told.keys()), ""))) is not None:
            return meaning_of_text(text) if isinstance(text, str) else None
        case _:
            return None
