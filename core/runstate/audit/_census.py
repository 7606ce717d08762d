"""The census: every definition of an execution's states and of a tracker.

There should be one: `runstate.ExecutionState`. Each further one that *competes* with it (by its name, or because a tracker
takes it) is a second truth; other enums of states (of a build job, of an order) are only named.
"""

from __future__ import annotations

from pathlib import Path

from runstate._codebase import ClassFacts, ClassRef, Kinds, is_competing_name, is_tracker_like, mapping

from ._model import Definition, Member


def census(kinds: Kinds) -> tuple[Definition, ...]:
    """Return every definition in a code base, sorted by place; runstate's own are not among them."""
    found: list[Definition] = []
    for path in kinds.index.paths:
        if kinds.is_ours(path):
            continue
        for facts in kinds.index.classes(path):
            definition = _definition(kinds, ClassRef(path, facts.name), facts)
            if definition is not None:
                found.append(definition)
    return tuple(sorted(found, key=lambda one: (one.path, one.line)))


def _definition(kinds: Kinds, ref: ClassRef, facts: ClassFacts) -> Definition | None:
    place = (facts.name, module_name(ref.path), ref.path, facts.line, facts.column)
    if kinds.is_state_like(ref):
        members = tuple(Member(name, state) for name, state in mapping(facts).items())
        form = "Literal" if facts.is_literal else ", ".join(facts.bases) or "constants"
        return Definition("state", *place, form, members, is_competing_name(ref.name) or ref in kinds.tracked)
    if is_tracker_like(facts) and not any(base.endswith("Protocol") for base in facts.bases):
        return Definition("tracker", *place, "class", (), "Execution" in facts.name)
    return None


def module_name(path: str) -> str:
    """Name a file's module as it is imported, as far as the folders with an `__init__.py` tell."""
    folder = Path(path).absolute().parent
    parts = [] if Path(path).stem == "__init__" else [Path(path).stem]
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts) or Path(path).parent.name
