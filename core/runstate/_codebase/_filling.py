"""What a legacy module's own source does not say, its stub says: most of that code is not annotated, and its truth is known.

For the audit the source comes first, since whoever has it may have changed it. What it does not declare is filled in: parameters,
results, attributes. The names that the stub's refs use are then looked up in the source, so each enum stays the source's own.

The migration moves the callers to a facade, whose face is the stub's, whatever the source says: there the stub comes first.
"""

from __future__ import annotations

from collections.abc import Mapping

from ._facts import ClassFacts, FunctionFacts, ModuleFacts
from ._refs import is_assigned


def filled(source: ModuleFacts, stub: ModuleFacts) -> ModuleFacts:
    """Return the facts of a module, filled in from its stub."""
    functions = {one.name: one for one in stub.functions}
    classes = {one.name: one for one in stub.classes}
    return source._replace(
        functions=tuple(_function(one, functions.get(one.name)) for one in source.functions),
        classes=tuple(_class(one, classes.get(one.name)) for one in source.classes),
    )


def overruled(source: ModuleFacts, stub: ModuleFacts) -> ModuleFacts:
    """Return the facts of a module as its stub has them, with what only the source has; a source without classes stays."""
    if not source.classes:
        return source
    told = {one.name for one in stub.classes} | {one.name for one in stub.functions} | dict(stub.variables).keys()
    return source._replace(
        imports=(*(one for one in source.imports if one.local not in told), *stub.imports),
        classes=(*(one for one in source.classes if one.name not in told), *stub.classes),
        functions=(*(one for one in source.functions if one.name not in told), *stub.functions),
        variables=(*(one for one in source.variables if one[0] not in told), *stub.variables),
    )


def _class(source: ClassFacts, stub: ClassFacts | None) -> ClassFacts:
    if stub is None:
        return source
    methods = {one.name: one for one in stub.methods}
    return source._replace(
        methods=tuple(_function(one, methods.get(one.name)) for one in source.methods),
        attributes=_attributes(dict(source.attributes), dict(stub.attributes)),
    )


def _attributes(source: Mapping[str, str | None], stub: Mapping[str, str | None]) -> tuple[tuple[str, str | None], ...]:
    return tuple((name, _told(source.get(name), stub.get(name))) for name in {**source, **stub})


def _told(source: str | None, stub: str | None) -> str | None:
    """What the source declares, else what the stub does, else what the source's code gives away."""
    return source if source and not is_assigned(source) else stub or source


def _function(source: FunctionFacts, stub: FunctionFacts | None) -> FunctionFacts:
    if stub is None or source.is_async != stub.is_async or source.is_property != stub.is_property:
        return source
    refs = {one.name: one.ref for one in stub.parameters}
    return source._replace(
        parameters=tuple(one._replace(ref=one.ref or refs.get(one.name)) for one in source.parameters),
        returns=_told(source.returns, stub.returns),
    )
