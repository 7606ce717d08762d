"""What the classes of a code base are: states of executions, trackers, or something else; and which modules could use one.

A class is taken for an enum of states, or for a tracker, by what it holds and by its name (see `_vocabulary`), wherever it is
defined; runstate's own and the legacy ones are told by the same rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Final

from ._facts import ClassFacts, FunctionFacts
from ._index import Index
from ._stubs import PACKAGE
from ._types import Class, ClassRef, Function, Instance, Items, Mapping, Module, Type
from ._vocabulary import is_execution_name, is_state_like, is_tracker_like

_HANDLES: Final = frozenset({"ExecutionTracker", "Execution", "ExecutionScope"})


@cache
def _is_ours(folder: Path) -> bool:
    if folder == PACKAGE or (folder.name == PACKAGE.name and (folder / "_states.py").is_file()):
        return True
    return folder != folder.parent and _is_ours(folder.parent)


def _is_tracker_in_all(lineage: list[ClassFacts]) -> bool:
    """Whether a class is a tracker by its own name and by what all that it inherits from can do."""
    methods = tuple(method for facts in lineage for method in facts.methods)
    return bool(lineage) and is_tracker_like(lineage[0]._replace(methods=methods))


class Kinds:
    """What the classes of a code base are.

    Args:
        index: The code base.
        tracked: The enums that its trackers take; None finds them out.
    """

    def __init__(self, index: Index, tracked: frozenset[ClassRef] | None = None) -> None:
        self.index = index
        self.tracked: frozenset[ClassRef] = self._find_tracked() if tracked is None else tracked
        self._states: dict[ClassRef, bool] = {}
        self._trackers: dict[ClassRef, bool] = {}
        self._leading: dict[str, bool] = {}

    # -- classes ------------------------------------------------------------------------------------------------------

    def is_ours(self, path: str) -> bool:
        """Whether a file is part of runstate, installed or in a checkout."""
        return _is_ours(Path(path).parent)

    def is_state_like(self, ref: ClassRef) -> bool:
        """Whether a class enumerates states."""
        facts = self.index.class_facts(ref)
        return facts is not None and is_state_like(facts, is_enum=self.index.is_enum(ref))

    def is_state(self, ref: ClassRef) -> bool:
        """Whether a class enumerates the states of executions: runstate's own, or one that competes with it."""
        if ref not in self._states:
            named = is_execution_name(ref.name) or ref in self.tracked
            self._states[ref] = named and self.is_state_like(ref)
        return self._states[ref]

    def is_text_enum(self, ref: ClassRef) -> bool:
        """Whether the members of an enum are texts too, or are nothing but texts."""
        if not self.index.is_enum(ref):
            return True
        bases = {base.rpartition(".")[2] for _, facts in self.index.lineage(ref) for base in facts.bases}
        return bool(bases & {"str", "StrEnum", "TextChoices"})

    def compares(self, ref: ClassRef) -> bool:
        """Whether an enum says itself what its members equal."""
        return self.index.method(ref, "__eq__") is not None

    def is_tracker(self, ref: ClassRef) -> bool:
        """Whether a class moves executions: runstate's, a legacy one, or one that looks like them."""
        if ref not in self._trackers:
            if self.is_ours(ref.path) and ref.name in _HANDLES:
                self._trackers[ref] = True
            else:
                lineage = [facts for _, facts in self.index.lineage(ref)]
                self._trackers[ref] = any(map(is_tracker_like, lineage)) or _is_tracker_in_all(lineage)
        return self._trackers[ref]

    def _find_tracked(self) -> frozenset[ClassRef]:
        found: set[ClassRef] = set()
        for path in self.index.paths:
            for facts in self.index.classes(path):
                if is_tracker_like(facts):
                    types = [self.index.by_ref(path, one.ref) for method in facts.methods for one in method.parameters]
                    found |= {one.ref for one in types if isinstance(one, Instance) and self.is_state_like(one.ref)}
        return frozenset(found)

    # -- who could use one --------------------------------------------------------------------------------------------

    @cached_property
    def concerned(self) -> tuple[str, ...]:
        """The files in which a state or a tracker is defined, or a name is imported that leads to one."""
        return tuple(path for path in self.index.paths if self._is_concerned(path))

    def _is_concerned(self, path: str) -> bool:
        if self.index.moves_executions(path):
            return True
        sources = {self.index.imported(path, one) for one in self.index.imports(path)}
        if any(self._module_leads(one) for one in (path, *sources)):
            return True
        return any(self._leads(found, path) for found in self._imported(path))

    def _imported(self, path: str) -> Iterator[Type]:
        for one in self.index.imports(path):
            if one.name is None:
                yield Module(one.module)
            elif one.name != "*":
                yield self.index.import_type(path, one)

    def _module_leads(self, path: str | None) -> bool:
        if path is None:
            return False
        if path not in self._leading:
            self._leading[path] = self.is_ours(path) or any(
                self._class_leads(ClassRef(path, facts.name)) for facts in self.index.classes(path)
            )
        return self._leading[path]

    def _leads(self, found: Type, importer: str = "") -> bool:
        if isinstance(found, Module):
            return self._module_leads(self.index.module_named(found.name, importer))
        if isinstance(found, Items | Mapping):
            return self._leads(found.item)
        if isinstance(found, Function):
            return self._face_leads(found.path, found.facts)
        if isinstance(found, Class | Instance):
            return self._class_leads(found.ref)
        return False

    def _class_leads(self, ref: ClassRef) -> bool:
        if self.is_ours(ref.path) or self.is_state(ref) or self.is_tracker(ref):
            return True
        facts = self.index.class_facts(ref)
        if facts is None:
            return False
        if any(self._names(ref.path, kept) for _, kept in facts.attributes):
            return True
        return any(self._face_leads(ref.path, method) for method in facts.methods)

    def _face_leads(self, path: str, facts: FunctionFacts) -> bool:
        refs = [facts.returns, *(parameter.ref for parameter in facts.parameters)]
        return any(self._names(path, ref) for ref in refs)

    def _names(self, path: str, ref: str | None) -> bool:
        found = self.index.by_ref(path, ref)
        while isinstance(found, Items | Mapping):
            found = found.item
        return isinstance(found, Instance) and (
            self.is_ours(found.ref.path) or self.is_state(found.ref) or self.is_tracker(found.ref)
        )
