"""What a legacy module's own source does not say, its stub says: most of that code is not annotated, and its truth is known.

The source comes first, since whoever has it may have changed it. Only what has no ref at all is filled in: parameters, results,
attributes. The names that the stub's refs use are then looked up in the source, so each enum stays the source's own.
"""

from __future__ import annotations

from collections.abc import Mapping

from ._facts import ClassFacts, FunctionFacts, ModuleFacts


def filled(source: ModuleFacts, stub: ModuleFacts) -> ModuleFacts:
    """Return the facts of a module, filled in from its stub."""
    functions = {one.name: one for one in stub.functions}
    classes = {one.name: one for one in stub.classes}
    return source._replace(
        functions=tuple(_function(one, functions.get(one.name)) for one in source.functions),
        classes=tuple(_class(one, classes.get(one.name)) for one in source.classes),
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
    return tuple((name, source.get(name) or stub.get(name)) for name in {**source, **stub})


def _function(source: FunctionFacts, stub: FunctionFacts | None) -> FunctionFacts:
    if stub is None or source.is_async != stub.is_async or source.is_property != stub.is_property:
        return source
    refs = {one.name: one.ref for one in stub.parameters}
    return source._replace(
        parameters=tuple(one._replace(ref=one.ref or refs.get(one.name)) for one in source.parameters),
        returns=source.returns or stub.returns,
    )
