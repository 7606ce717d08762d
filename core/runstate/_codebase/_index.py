"""Links the facts of all modules: which file an import means, and what a name in a module is.

An import means a file below the given paths whose path ends with the imported name, or else a face: the source of runstate
itself, or a stub of a legacy tracker. Two files that fit equally well are nobody's.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from ._faces import Faces
from ._facts import ClassFacts, FunctionFacts, ImportFacts, ModuleFacts, module_facts
from ._files import Unreadable, dotted_names
from ._filling import filled, overruled
from ._refs import GIVEN, OPEN, OWN, parts_of
from ._source import read_source
from ._types import Awaitable, Class, ClassRef, Function, Instance, Items, Mapping, Module, Nothing, Text, Type, join

_ENUMS: Final = ("Enum", "Flag", "Choices")
_SUFFIXES: Final = (".py", "/__init__.py", ".pyi", "/__init__.pyi")


class Index:
    """What every name of a code base means.

    Args:
        modules: The facts of its modules.
        faces: What is known from elsewhere.
        stubs_first: Whether a stub of a legacy module goes before the module's own source.
    """

    def __init__(self, modules: Iterable[ModuleFacts], faces: Faces, *, stubs_first: bool = False) -> None:
        self._stubs_first = stubs_first
        self._modules = {facts.path: facts for facts in modules}
        self._faces = faces
        self._by_name: defaultdict[str, list[str]] = defaultdict(list)
        for path in self._modules:
            for name in dotted_names(path):
                self._by_name[name].append(path)
        self._tables: dict[str, _Table] = {}
        self._names: dict[tuple[str, str], Type] = {}
        self._found: dict[tuple[str, str], str | None] = {}
        self._resolving: set[tuple[str, str]] = set()

    def __getstate__(self) -> tuple[list[ModuleFacts], Faces]:
        return list(self._modules.values()), self._faces

    def __setstate__(self, state: tuple[list[ModuleFacts], Faces]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    # -- modules ------------------------------------------------------------------------------------------------------

    @property
    def paths(self) -> tuple[str, ...]:
        """The files of the code base itself."""
        return tuple(self._modules)

    def classes(self, path: str) -> tuple[ClassFacts, ...]:
        """The classes that a module defines, as far as they are of interest."""
        table = self._table(path)
        return () if table is None else table.facts.classes

    def moves_executions(self, path: str) -> bool:
        """Whether a module calls `update_execution_state`, of whatever it may be."""
        return path in self._modules and self._modules[path].moves_executions

    def imports(self, path: str) -> tuple[ImportFacts, ...]:
        """The imports of a module, those inside functions included."""
        table = self._table(path)
        return () if table is None else (*table.facts.imports, *table.facts.inner_imports)

    def module_named(self, name: str, importer: str) -> str | None:
        """Return the file that an absolute import means; None for what is not known."""
        key = (name, os.path.dirname(importer))  # noqa: PTH120 - hot
        if key not in self._found:
            self._found[key] = self._module_named(name, importer)
        return self._found[key]

    def _module_named(self, name: str, importer: str) -> str | None:
        candidates = self._by_name.get(name, ())
        if candidates and name.partition(".")[0] in sys.stdlib_module_names:
            return None
        if "." not in name:
            candidates = [one for one in candidates if self._is_top_level(one, importer)]
        if not candidates:
            return self._faces.path(name)
        if len(candidates) == 1:
            return candidates[0]
        nearness = sorted(((_nearness(one, importer), one) for one in candidates), reverse=True)
        return nearness[0][1] if nearness[0][0] > nearness[1][0] else None

    def _is_top_level(self, path: str, importer: str) -> bool:
        """Whether a file can be imported by its bare name: beside a script, or not inside a package."""
        home, file = os.path.split(path)
        if file == "__init__.py":
            home = os.path.dirname(home)  # noqa: PTH120 - hot
        return home == os.path.dirname(importer) or f"{home}/__init__.py" not in self._modules  # noqa: PTH120 - hot

    def imported(self, path: str, one: ImportFacts) -> str | None:
        """Return the file of the module that an import names, whether or not it imports a name from it."""
        if not one.level:
            return self.module_named(one.module, path)
        return self._file(_folder(path, one))

    def _file(self, parts: str) -> str | None:
        for suffix in _SUFFIXES:
            if (path := parts + suffix) in self._modules or self._faces.has(path):
                return path
        return None

    def _table(self, path: str) -> _Table | None:
        if path not in self._tables:
            facts = self._modules.get(path)
            if facts is not None:
                stub = next((face for name in dotted_names(path) if (face := self._faces.stub(name))), None)
                said = None if stub is None else self._table(stub)
                self._tables[path] = _Table(facts if said is None else self._with_stub(facts, said.facts))
            else:
                source = read_source(path) if self._faces.has(path) else None
                if source is None or isinstance(source, Unreadable):
                    return None
                self._tables[path] = _Table(module_facts(source))
        return self._tables[path]

    def _with_stub(self, facts: ModuleFacts, stub: ModuleFacts) -> ModuleFacts:
        return overruled(facts, stub) if self._stubs_first else filled(facts, stub)

    # -- names --------------------------------------------------------------------------------------------------------

    def lookup(self, path: str, name: str) -> Type:
        """Return what a top-level name of a module is."""
        key = (path, name)
        if key not in self._names:
            if key in self._resolving:
                return None
            self._resolving.add(key)
            try:
                self._names[key] = self._lookup(path, name)
            finally:
                self._resolving.discard(key)
        return self._names[key]

    def _lookup(self, path: str, name: str) -> Type:
        table = self._table(path)
        if table is None:
            return None
        if name in table.classes:
            return Class(ClassRef(path, name))
        meanings: list[Type] = []
        if name in table.functions:
            meanings.append(Function(path, table.functions[name]))
        if name in table.variables:
            meanings.append(self.by_ref(path, table.variables[name]))
        meanings += [self.import_type(path, one) for one in table.imports.get(name, ())]
        if meanings:
            return meanings[0] if all(one == meanings[0] for one in meanings) else None
        for star in table.imports.get("*", ()):
            if not name.startswith("_") and (module := self.imported(path, star)) is not None:
                found = self.lookup(module, name)
                if found is not None:
                    return found
        return None

    def import_type(self, path: str, one: ImportFacts) -> Type:
        """Return what an import binds."""
        if one.name is None:
            bound = one.module if one.local != one.module else one.module.partition(".")[0]
            return Module(bound)
        module = self.imported(path, one)
        found = None if module is None else self.lookup(module, one.name)
        if found is not None:
            return found
        if one.level:
            inner = self._file(f"{_folder(path, one)}/{one.name}")
            return None if inner is None else Module(next(dotted_names(inner)))
        inside = f"{one.module}.{one.name}"
        return Module(inside) if module is None or self.module_named(inside, path) is not None else None

    def resolve(self, path: str, name: str) -> Type:
        """Return what a dotted name means at the top level of a module."""
        first, _, rest = name.partition(".")
        found = self.lookup(path, first)
        for part in rest.split(".") if rest else ():
            found = self.attribute(found, part, path)
        return found

    def by_ref(self, path: str, ref: str | None, owner: ClassRef | None = None) -> Type:
        """Return the type that a ref names in a module; see `_refs`."""
        if ref is None:
            return None
        if len(parts := parts_of(ref.removeprefix(GIVEN))) > 1:
            told = join([self.by_ref(path, one, owner) for one in parts if one != OPEN])
            return told if OPEN not in parts or self.stays_beside_a_default(told) else None
        ref = parts[0]
        if ref.startswith("="):
            return self._by_value(path, ref[1:], owner)
        if ref.startswith("{}"):
            return Mapping(self.by_ref(path, ref[2:], owner))
        if ref.startswith("[]"):
            return Items(self.by_ref(path, ref[2:], owner))
        if ref.startswith("awaitable "):
            return Awaitable(self.by_ref(path, ref.removeprefix("awaitable "), owner))
        found = self.resolve(path, ref)
        if isinstance(found, Class):
            return self._instance(found.ref)
        match ref.rpartition(".")[2]:
            case "Self" if owner is not None:
                return Instance(owner)
            case "str":
                return Text()
            case "dict" | "Dict":
                return Mapping()
            case "None":
                return Nothing()
            case _:
                return None

    def stays_beside_a_default(self, found: Type) -> bool:
        """Whether what stands in for a parameter that is None by default says what the parameter is: an object does, a value does not."""
        return isinstance(found, Instance) and not self.is_enum(found.ref)

    def _by_value(self, path: str, ref: str, owner: ClassRef | None) -> Type:
        if ref.startswith("await "):
            awaited = self._by_value(path, ref.removeprefix("await "), owner)
            return awaited.result if isinstance(awaited, Awaitable) else None
        if ref.endswith("()"):
            return self.call(self._by_value(path, ref.removesuffix("()"), owner))
        first, _, rest = ref.partition(".")
        if first != OWN:
            return self.resolve(path, ref)
        found: Type = None if owner is None else Instance(owner)
        for part in rest.split("."):
            found = self.attribute(found, part, path)
        return found

    def _instance(self, ref: ClassRef) -> Type:
        facts = self.class_facts(ref)
        if facts is not None and facts.is_literal:
            return Text()
        if any(base.rpartition(".")[2] == "TypedDict" for _, its in self.lineage(ref) for base in its.bases):
            return Mapping()
        return Instance(ref)

    # -- classes ------------------------------------------------------------------------------------------------------

    def class_facts(self, ref: ClassRef) -> ClassFacts | None:
        """Return the facts of a class."""
        table = self._table(ref.path)
        return None if table is None else table.classes.get(ref.name)

    def lineage(self, ref: ClassRef) -> Iterator[tuple[ClassRef, ClassFacts]]:
        """Return a class and the classes it inherits from, as far as they are known."""
        waiting, seen = [ref], set[ClassRef]()
        while waiting:
            one = waiting.pop(0)
            facts = self.class_facts(one)
            if facts is None or one in seen:
                continue
            seen.add(one)
            yield one, facts
            bases = [self.resolve(one.path, base) for base in facts.bases]
            waiting += [base.ref for base in bases if isinstance(base, Class)]

    def is_enum(self, ref: ClassRef) -> bool:
        """Whether a class is an enum."""
        return any(base.endswith(_ENUMS) for _, facts in self.lineage(ref) for base in facts.bases)

    def method(self, ref: ClassRef, name: str) -> Function | None:
        """Return a method of a class or of one that it inherits from."""
        for owner, facts in self.lineage(ref):
            for one in facts.methods:
                if one.name == name:
                    return Function(owner.path, one, ref)
        return None

    def attribute(self, of: Type, name: str, importer: str) -> Type:
        """Return what an attribute of something is."""
        if isinstance(of, Module):
            path = self.module_named(of.name, importer)
            found = None if path is None else self.lookup(path, name)
            return found if found is not None else Module(f"{of.name}.{name}")
        if isinstance(of, Class):
            return self._class_attribute(of.ref, name)
        if isinstance(of, Instance):
            return self._instance_attribute(of, name)
        return None

    def _class_attribute(self, ref: ClassRef, name: str) -> Type:
        facts = self.class_facts(ref)
        if facts is None:
            return None
        is_enum = self.is_enum(ref)
        for member in facts.members:
            if member.name == name and (is_enum or member.value is not None):
                return Instance(ref, name) if is_enum else Text(member.value, ref)
        nested = ClassRef(ref.path, f"{ref.name}.{name}")
        if self.class_facts(nested) is not None:
            return Class(nested)
        method = self.method(ref, name)
        if method is not None:
            return method if method.facts.is_class_level else None
        return self._declared(Instance(ref), name)

    def _instance_attribute(self, of: Instance, name: str) -> Type:
        if name in {"value", "name"} and self.is_enum(of.ref):
            return Text(self._spelling(of, name), of.ref)
        method = self.method(of.ref, name)
        if method is not None:
            return self.call(method) if method.facts.is_property else method
        return self._declared(of, name)

    def _declared(self, of: Instance, name: str) -> Type:
        for owner, facts in self.lineage(of.ref):
            for attribute, ref in facts.attributes:
                if attribute == name:
                    return self.by_ref(owner.path, ref, of.ref)
        return None

    def settable(self, of: Type, name: str, importer: str) -> Type:
        """Return what an attribute of something may be set to: of a property, what its setter takes."""
        method = self.method(of.ref, name) if isinstance(of, Instance) else None
        if method is None:
            return self.attribute(of, name, importer)
        taken = method.facts.parameters
        return self.by_ref(method.path, taken[0].ref, method.owner) if len(taken) == 1 else None

    def _spelling(self, of: Instance, name: str) -> str | None:
        if of.member is None or name == "name":
            return of.member
        facts = self.class_facts(of.ref)
        return None if facts is None else dict(facts.members).get(of.member)

    def call(self, of: Type) -> Type:
        """Return what calling something gives."""
        if isinstance(of, Class):
            return self._instance(of.ref)
        if isinstance(of, Function):
            result = self.by_ref(of.path, of.facts.returns, of.owner)
            return Awaitable(result) if of.facts.is_async else result
        return None


def _nearness(path: str, other: str) -> int:
    """How many folders two paths share."""
    shared = 0
    for one, its in zip(path.split("/"), other.split("/"), strict=False):
        if one != its:
            break
        shared += 1
    return shared


def _folder(path: str, one: ImportFacts) -> str:
    """The path, without suffix, that a relative import names."""
    home = path
    for _ in range(one.level):
        home = os.path.dirname(home)  # noqa: PTH120 - hot
    return "/".join([home, *one.module.split(".")]) if one.module else home


class _Table:
    """The names of one module."""

    def __init__(self, facts: ModuleFacts) -> None:
        self.facts = facts
        self.classes: dict[str, ClassFacts] = {one.name: one for one in facts.classes}
        self.functions: dict[str, FunctionFacts] = {one.name: one for one in facts.functions}
        self.variables = dict(facts.variables)
        self.imports: defaultdict[str, list[ImportFacts]] = defaultdict(list)
        for one in facts.imports:
            local = one.local if one.name is not None or one.local != one.module else one.local.partition(".")[0]
            self.imports[local].append(one)
