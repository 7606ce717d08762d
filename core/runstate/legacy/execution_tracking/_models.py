"""Records of facade C: pydantic models as they were, and alive where a registry hands them out.

A model that legacy code builds itself is a value. Its live twin is an instance of the same class whose fields are read off the
execution each time, also when it is dumped or validated into another model; a copy of it is a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, cast

from pydantic import BaseModel, SerializerFunctionWrapHandler, model_serializer

from .._life import Life

M = TypeVar("M", bound="LegacyModel")


class LegacyModel(BaseModel):
    """A record that has live twins."""

    def _as_value(self) -> BaseModel:
        """Itself; a live twin answers with what it shows now."""
        return self

    @model_serializer(mode="wrap")
    def _serialize(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return cast("dict[str, Any]", handler(self._as_value()))


def live_model(plain: type[M], attributes: Mapping[str, property]) -> Callable[[Life], M]:
    """Make the live twin of a model.

    Args:
        plain: The model.
        attributes: What the twin has instead of fields: properties of `attribute` and `fact`, one for each.

    Returns:
        A function from a `Life` to its view: the same object each time.
    """

    def value(view: Any) -> M:
        return plain.model_construct(**{name: getattr(view, name) for name in plain.model_fields})

    def model_copy(self: Any, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> M:
        """Return a copy that stays as it is now."""
        return value(self).model_copy(update=update, deep=deep)

    def equals(self: Any, other: object) -> bool:
        return self is other or (isinstance(other, plain) and value(self) == _value_of(other))

    def deep_copy(self: Any, _memo: object = None) -> M:
        return value(self).model_copy(deep=True)

    def reduce(self: Any) -> tuple[Any, ...]:
        return plain.model_construct, (), value(self).__getstate__()

    def pairs(self: Any) -> Iterator[tuple[str, Any]]:
        return iter([(name, getattr(self, name)) for name in plain.model_fields])

    body: dict[str, Any] = {
        "__module__": plain.__module__,
        "__qualname__": plain.__qualname__,
        "__doc__": plain.__doc__,
        "__iter__": pairs,
        "__eq__": equals,
        "__hash__": None,
        "__copy__": value,
        "__deepcopy__": deep_copy,
        "__reduce__": reduce,
        "__repr_args__": pairs,
        "model_copy": model_copy,
        "_as_value": value,
    }
    metaclass = cast("Any", type(plain))
    twin = cast("type[M]", metaclass(plain.__name__, (plain,), body))
    for name, attribute in attributes.items():
        setattr(twin, name, attribute)

    def view(life: Life) -> M:
        with life.lock:
            if plain not in life.views:
                life.views[plain] = twin.model_construct()
                life.views[plain].__dict__["life"] = life
            return cast("M", life.views[plain])

    return view


def _value_of(model: LegacyModel) -> LegacyModel:
    return type(model).model_copy(model) if "life" in model.__dict__ else model
