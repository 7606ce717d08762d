"""Which files are legacy modules, which facade stands for each, and what the facades give."""

from __future__ import annotations

import ast
from functools import cache
from typing import Final

from runstate._codebase import ClassRef, Kinds, Unreadable, dotted_names, known_faces, read_source

CORE: Final = "netra_backend.app.core"
TRACKING: Final = "netra_backend.app.agents.execution_tracking"
FACADES: Final = {
    f"{CORE}.execution_tracker": "runstate.legacy.execution_tracker",
    f"{CORE}.agent_execution_tracker": "runstate.legacy.agent_execution_tracker",
    TRACKING: "runstate.legacy.execution_tracking",
    **{
        f"{TRACKING}.{name}": "runstate.legacy.execution_tracking"
        for name in ("tracker", "registry", "heartbeat", "timeout")
    },
}
"""What stands for each legacy module."""

STATE: Final = "ExecutionState"

TWOFOLD: Final = frozenset({"ExecutionProgress"})
"""What two modules of one legacy package define differently, so that its name alone does not say which is meant."""


@cache
def legacy_module(path: str) -> str | None:
    """Return the name of the legacy module, or facade, that a file is; None for every other file."""
    names = list(dotted_names(path))
    for name in names:
        if name in FACADES:
            return name
    facades = set(FACADES.values())
    return next((facade for name in names for facade in facades if f"{name}.".startswith(f"{facade}.")), None)


def facade_of(module: str) -> str:
    """Return the facade that stands for a legacy module, or the facade itself."""
    return FACADES.get(module, module)


@cache
def exported(facade: str) -> frozenset[str]:
    """Return the names that a facade gives; none where there is no such facade."""
    path = known_faces().path(facade)
    source = None if path is None else read_source(path)
    if source is None or isinstance(source, Unreadable):
        return frozenset()
    for statement in source.tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=elements) | ast.Tuple(elts=elements)):
                return frozenset(
                    one.value for one in elements if isinstance(one, ast.Constant) and isinstance(one.value, str)
                )
            case _:
                pass
    return frozenset()


def twin_of(module: str) -> str:
    """Return what a legacy module's body becomes an import of: the facade, or its module of the same name where it has one."""
    facade = facade_of(module)
    part = f"{facade}.{module.rpartition('.')[2]}"
    return part if exported(part) else facade


def is_movable(kinds: Kinds, ref: ClassRef) -> bool:
    """Whether a class of states is runstate's own, or a legacy one that becomes it."""
    return kinds.is_state(ref) and (
        kinds.is_ours(ref.path) or (ref.name == STATE and legacy_module(ref.path) is not None)
    )


def is_legacy(kinds: Kinds, ref: ClassRef) -> bool:
    """Whether a class of states is a legacy one that is not runstate's own yet."""
    return is_movable(kinds, ref) and not kinds.is_ours(ref.path)
