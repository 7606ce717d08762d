"""What statements bind names and attributes to, as refs: in a module, in a class, and by a function outside of itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from ._refs import GIVEN, OPEN, OWN, alternatives, annotation_ref, is_assigned, one_of, value_ref

Bound: TypeAlias = tuple[str, str | None]
"""A name, and the ref of what it is bound to; None for what is not known."""

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


def bind(known: dict[str, str | None], bindings: Iterable[Bound]) -> None:
    """Add bindings; a name with several is one of them, and unknown if one of them is, unless the first is its annotation."""
    for name, ref in bindings:
        earlier = known.setdefault(name, ref)
        if earlier is not None and is_assigned(earlier):
            known[name] = one_of([earlier, ref])


def bindings_of(statement: ast.stmt) -> Iterator[Bound]:
    """What a plain assignment binds to names."""
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        ref = annotation_ref(statement.annotation)
        if ref is not None and ref.endswith("TypeAlias"):
            aliased = annotation_ref(statement.value)
            ref = f"={aliased}" if aliased and aliased.replace(".", "").isidentifier() else None
        yield statement.target.id, ref
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            if isinstance(target, ast.Name):
                if alternatives(statement.value):
                    yield target.id, _ref(statement.value)
            else:
                yield from ((node.id, None) for node in ast.walk(target) if isinstance(node, ast.Name))
    elif isinstance(statement, ast.AugAssign | ast.For | ast.Delete | ast.While | ast.AsyncFor):
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
                yield node.id, None


def global_bindings(function: Function) -> Iterator[Bound]:
    """What a function binds to names of its module, by `global`."""
    names = _globals(function)
    if not names:
        return
    local = _locals(function) - names
    plain: set[int] = set()
    for statement in ast.walk(function):
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name) and target.id in names:
                    plain.add(id(target))
                    if alternatives(statement.value):
                        yield target.id, _ref(statement.value, local=local)
    for node in ast.walk(function):
        is_bound = isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
        if isinstance(node, ast.Name) and is_bound and node.id in names and id(node) not in plain:
            yield node.id, None


def attribute_bindings(method: Function) -> Iterator[Bound]:
    """What a method binds to attributes of its first parameter."""
    arguments = [*method.args.posonlyargs, *method.args.args]
    if not arguments:
        return
    own = arguments[0].arg
    given = {one.arg: annotation_ref(one.annotation) for one in [*arguments[1:], *method.args.kwonlyargs]}
    optional = {one.arg for one in optional_parameters(method) if one.annotation is None}
    rebound = _rebound(method)
    kept = {name: OPEN if name in optional else ref for name, ref in given.items() if name not in rebound}
    for statement in ast.walk(method):
        if not isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
            continue
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in (inner for outer in targets for inner in ast.walk(outer)):
            if not (isinstance(target, ast.Attribute) and isinstance(target.ctx, ast.Store)):
                continue
            if not (isinstance(target.value, ast.Name) and target.value.id == own):
                continue
            if isinstance(statement, ast.AnnAssign):
                yield target.attr, annotation_ref(statement.annotation)
            elif target not in targets or isinstance(statement, ast.AugAssign):
                yield target.attr, None
            elif alternatives(statement.value):
                yield target.attr, _ref(statement.value, kept, given.keys() | rebound)


def optional_parameters(function: Function) -> list[ast.arg]:
    """The parameters that are None by default."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = [
        *zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    return [one for one, default in pairs if isinstance(default, ast.Constant) and default.value is None]


def returned_ref(function: Function, *, is_method: bool) -> str | None:
    """The ref of what a function returns that does not say so itself; None where it is not always the same."""
    arguments = [*function.args.posonlyargs, *function.args.args]
    own = arguments[0].arg if is_method and arguments else None
    values: list[ast.expr] = []
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return None
        if isinstance(node, ast.Return) and node.value is not None:
            values.extend(alternatives(node.value))
        if not isinstance(node, Function | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))
    if not values:
        return None
    local = _locals(function) - _globals(function)
    refs = [f"{GIVEN}dict" if isinstance(value, ast.Dict) else _ref(value, local=local - {own}) for value in values]
    return one_of([re.sub(rf"^=((?:await )?){own}(?=\.)", rf"=\1{OWN}", ref) if own and ref else ref for ref in refs])


def _locals(function: Function) -> set[str]:
    arguments = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    return arguments | _rebound(function)


def _rebound(function: Function) -> set[str]:
    names = (node for node in ast.walk(function) if isinstance(node, ast.Name))
    return {node.id for node in names if not isinstance(node.ctx, ast.Load)}


def _globals(function: Function) -> set[str]:
    return {name for node in ast.walk(function) if isinstance(node, ast.Global) for name in node.names}


def _ref(value: ast.expr, given: dict[str, str | None] | None = None, local: Iterable[str] = ()) -> str | None:
    """The ref of a value.

    Args:
        value: What is assigned.
        given: The annotations of the parameters that it may name.
        local: The names whose meaning ends with the function.
    """
    known = given or {}
    refs: list[str | None] = []
    for one in alternatives(value):
        if isinstance(one, ast.Name) and one.id in known:
            annotated = known[one.id]
            refs.append(annotated if annotated in (None, OPEN) else f"{GIVEN}{annotated}")
        else:
            ref = value_ref(one)
            refs.append(None if ref is None or _first_name(ref) in set(local) else f"={ref}")
    return one_of(refs)


def _first_name(ref: str) -> str:
    return re.sub(r"^(await )+", "", ref).partition(".")[0].removesuffix("()")
