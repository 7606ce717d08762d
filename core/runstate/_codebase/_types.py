"""The types that inference tells apart. `None` is unknown, everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from ._facts import FunctionFacts


class ClassRef(NamedTuple):
    """One class of the code base: where it is defined, whatever name it was imported under."""

    path: str
    name: str


@dataclass(frozen=True, slots=True)
class Module:
    """A module or package, by its absolute dotted name."""

    name: str


@dataclass(frozen=True, slots=True)
class Class:
    """A class itself."""

    ref: ClassRef


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance of a class; of an enum the member, where it is known."""

    ref: ClassRef
    member: str | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A `str`; `value` where it is known, `state` where it is the value or name of a member of that enum."""

    value: str | None = None
    state: ClassRef | None = None


@dataclass(frozen=True, slots=True)
class Mapping:
    """A dict; `item` is what its values are."""

    item: Type = None


@dataclass(frozen=True, slots=True)
class Nothing:
    """`None` itself."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function, or a method bound to an instance of `owner`."""

    path: str
    facts: FunctionFacts
    owner: ClassRef | None = None


@dataclass(frozen=True, slots=True)
class Awaitable:
    """What gives `result` when awaited."""

    result: Type


@dataclass(frozen=True, slots=True)
class Items:
    """What iterates over `item`."""

    item: Type


Type: TypeAlias = "Module | Class | Instance | Text | Mapping | Nothing | Function | Awaitable | Items | None"


def join(types: list[Type]) -> Type:
    """Return what a name is that is bound to each of the types; unknown where they differ, but for a `None` among others."""
    if any(one is None for one in types):
        return None
    told = [one for one in types if not isinstance(one, Nothing)]
    if not told:
        return Nothing() if types else None
    first = told[0]
    if all(one == first for one in told):
        return first
    if isinstance(first, Instance) and all(isinstance(one, Instance) and one.ref == first.ref for one in told):
        return Instance(first.ref)
    if isinstance(first, Text) and all(isinstance(one, Text) for one in told):
        return Text()
    if isinstance(first, Mapping) and all(isinstance(one, Mapping) for one in told):
        return Mapping()
    return None
