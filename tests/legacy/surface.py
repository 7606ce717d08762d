"""Compares a facade with the stub of the legacy module that it replaces."""

from __future__ import annotations

import ast
import inspect
from types import ModuleType

from runstate._codebase import stubs_folder

STUBS = stubs_folder() / "netra_backend" / "app"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def stub_differences(path: str, facade: ModuleType) -> list[str]:
    """Names of the stub that the facade lacks, and functions that take other parameters or are awaited otherwise."""
    tree = ast.parse((STUBS / path).read_text(encoding="utf-8"))
    return [difference for node in tree.body for difference in _differences(node, facade, facade.__name__)]


def _differences(node: ast.stmt, owner: object, where: str) -> list[str]:
    if isinstance(node, ast.ClassDef):
        found = getattr(owner, node.name, None)
        if found is None:
            return [f"{where}.{node.name} is missing"]
        return [difference for inner in node.body for difference in _differences(inner, found, f"{where}.{node.name}")]
    if isinstance(node, Function):
        return _function_differences(node, owner, where)
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return _name_differences(node.targets[0].id, owner, where)
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return _name_differences(node.target.id, owner, where)
    return []


def _name_differences(name: str, owner: object, where: str) -> list[str]:
    declared = {one for cls in getattr(owner, "__mro__", ()) for one in getattr(cls, "__annotations__", {})}
    there = name.startswith("_") or name in declared or hasattr(owner, name)
    return [] if there else [f"{where}.{name} is missing"]


def _function_differences(node: Function, owner: object, where: str) -> list[str]:
    found = inspect.getattr_static(owner, node.name, None)
    if found is None:
        return [f"{where}.{node.name} is missing"]
    if isinstance(found, property):
        return []
    theirs = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    ours = [
        parameter.name
        for parameter in inspect.signature(found).parameters.values()
        if parameter.kind in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}
    ]
    differences = [f"{where}.{node.name} takes {ours}, the stub {theirs}"] if ours != theirs else []
    if inspect.iscoroutinefunction(found) != isinstance(node, ast.AsyncFunctionDef):
        differences.append(f"{where}.{node.name} is awaited otherwise than in the stub")
    return differences
