"""Legacy records as live views: the record class stays the plain dataclass that it was, and a subclass reads a `Life` instead.

So a record that legacy code builds itself is a value, one that a tracker hands out is alive, and both are instances of the
same class with the same fields. A copy of a live one is a value: it stays as it was when it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar, cast

from ._life import Life

T = TypeVar("T")

Getter = Callable[[Life], Any]
Setter = Callable[[Life, Any], None]


def attribute(name: str, get: Getter, put: Setter | None = None) -> property:
    """Make a live attribute. Without *put*, setting it is an `AttributeError` that says what to do."""

    def setter(view: Any, value: Any) -> None:
        if put is None:
            raise AttributeError(f"{name} is decided by runstate and cannot be set; report a state through the tracker")
        put(view.life, value)

    return property(lambda view: get(view.life), setter)


def fact(name: str, default: Callable[[], Any]) -> property:
    """Make a live attribute that only the facade keeps, and that may be set freely."""
    return attribute(
        name,
        lambda life: life.facts.setdefault(name, default()),
        lambda life, value: life.facts.__setitem__(name, value),
    )


def live_view(plain: type[T], attributes: Mapping[str, Any]) -> Callable[[Life], T]:
    """Make the live twin of a record class.

    Args:
        plain: The dataclass.
        attributes: What the twin has instead: properties of `attribute` and `fact`, and methods.

    Returns:
        A function from a `Life` to its view: the same object each time.
    """

    def begin(self: Any, life: Life) -> None:
        self.__dict__["life"] = life

    def values(self: Any) -> tuple[type[T], tuple[Any, ...]]:
        names = [field.name for field in fields(cast("Any", plain))]
        return plain, tuple(getattr(self, name) for name in names)

    body: dict[str, Any] = {
        "__init__": begin,
        "__class__": property(lambda _: plain),  # so that `dataclasses.replace` makes a value
        "__reduce__": values,  # and so do copying and pickling
        "__eq__": object.__eq__,
        "__hash__": object.__hash__,
        "__doc__": plain.__doc__,
        "__module__": plain.__module__,
        "__qualname__": plain.__qualname__,
        **attributes,
    }
    twin = cast("Callable[[Life], T]", type(plain.__name__, (plain,), body))

    def view(life: Life) -> T:
        with life.lock:
            if plain not in life.views:
                life.views[plain] = twin(life)
            return cast("T", life.views[plain])

    return view
