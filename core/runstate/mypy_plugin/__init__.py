"""A plugin for mypy: what the types of runstate alone cannot say.

One line in `mypy.ini` switches it on:

    [mypy]
    plugins = runstate.mypy_plugin

| code | what it reports |
|---|---|
| `runstate-any` | an `Any` reaches a parameter of the public API, or is the state of a handle that is moved |
| `runstate-transition` | a move that the transition table does not allow, with those that it does |
| `runstate-unfinished` | an execution that a function creates and, on some path, forgets |
| `runstate-ignored` | off until it is enabled: the ignored result of a legacy call that can refuse |

All but the last are on. Each is ignored on a line by `# type: ignore[runstate-any]`, and switched on or off everywhere by
`enable_error_code` and `disable_error_code` in a section `[runstate-mypy]`, for some modules by these in mypy's own sections for
modules. A check that is in doubt is silent.

How it is built: this module only dispatches, from the name that mypy gives to the checks; each check has a module of its own,
and so have the names, the codes and the settings. The plugin keeps no state but these, since mypy calls hooks twice, in any
order, in several processes, and for a part of the modules only; what a check says is kept by mypy with the module that it is about.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from mypy.nodes import TypeInfo, Var
from mypy.options import Options
from mypy.plugin import FunctionContext, MethodContext, MethodSigContext, Plugin, ReportConfigContext
from mypy.types import CallableType, FunctionLike, Instance, Type, get_proper_type

from runstate import TRANSITIONS, __version__

from . import _names
from ._any import check_call, check_handle, check_overloaded, held_function
from ._handles import base_named, is_overloaded
from ._ignored import check_result
from ._known import check_update
from ._passing import check_partial_call, check_passed_on
from ._settings import configure
from ._transition import check_move
from ._unfinished import check_block, check_created

RULES: Final = hashlib.sha256(
    b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
).hexdigest()
"""Changes with every change of the checks, so that mypy checks anew what it had checked before."""

FunctionHook = Callable[[FunctionContext], Type]
MethodHook = Callable[[MethodContext], Type]


class RunstatePlugin(Plugin):
    """Finds the checks for each call."""

    def __init__(self, options: Options) -> None:
        """Switch the codes on and off as mypy's configuration file says."""
        super().__init__(options)
        self._on = configure(options.config_file)

    def report_config_data(self, ctx: ReportConfigContext) -> object:  # noqa: ARG002 - it is the same for every module
        """What a module's cached errors depend on beside the module: these rules, the table, the codes."""
        table = {source.name: sorted(target.name for target in targets) for source, targets in TRANSITIONS.items()}
        return [RULES, __version__, table, self._on]

    def get_function_hook(self, fullname: str) -> FunctionHook | None:
        """Find the checks for a call of a function, a class, or a variable that holds one of them."""
        if fullname in _names.FUNCTIONS or fullname in _names.CLASSES:
            return _on_function
        if _names.is_legacy(fullname):
            return partial(_on_legacy, fullname.rpartition(".")[2])
        if fullname in _names.FORWARDING:
            return partial(check_passed_on, _is_checked)
        if "." not in fullname:
            return _on_variable
        symbol = self.lookup_fully_qualified(fullname)
        node = symbol.node if symbol is not None else None
        if isinstance(node, TypeInfo):
            return _on_function if _is_public(node) else None
        return _on_variable if isinstance(node, Var) else None

    def get_method_hook(self, fullname: str) -> MethodHook | None:
        """Find the checks for a call of a method. *fullname* begins with the receiver's class, which may be derived from ours."""
        owner, _, name = fullname.rpartition(".")
        if fullname == _names.PARTIAL_CALL:
            return partial(check_partial_call, _is_checked)
        symbol = self.lookup_fully_qualified(owner)
        info = symbol.node if symbol is not None else None
        if not isinstance(info, TypeInfo):
            return None
        if name in _names.METHODS and _is_public(info):
            return partial(_on_method, name)
        if name in _names.FORWARDING_METHODS and info.has_base(_names.FORWARDING_METHODS[name]):
            return partial(check_passed_on, _is_checked)
        if _names.is_legacy(f"{_definer(info, name)}.{name}"):
            return partial(_on_legacy, name)
        found = info.get(name)
        return _on_variable if found is not None and isinstance(found.node, Var) else None

    def get_method_signature_hook(self, fullname: str) -> Callable[[MethodSigContext], FunctionLike] | None:
        """Find the checks for a call of a method with overloads."""
        owner, _, name = fullname.rpartition(".")
        return partial(_on_signature, name) if self._is_ours(owner, name) else None

    def _is_ours(self, owner: str, name: str) -> bool:
        if name not in _names.METHODS:
            return False
        symbol = self.lookup_fully_qualified(owner)
        return symbol is not None and isinstance(symbol.node, TypeInfo) and _is_public(symbol.node)


def plugin(version: str) -> type[Plugin]:  # noqa: ARG001 - every version in the range of the extra is served alike
    """Give mypy the plugin; *version* is mypy's."""
    return RunstatePlugin


def _definer(info: TypeInfo, name: str) -> str:
    """The full name of the class that defines a class's method, which may be one of its bases."""
    found = info.get_containing_type_info(name)
    return found.fullname if found is not None else ""


def _is_checked(held: str) -> bool:
    """Whether a full name is that of a function or method whose calls are checked."""
    owner, _, name = held.rpartition(".")
    return held in _names.FUNCTIONS or (owner in _names.BASES and name in _names.METHODS) or _names.is_legacy(held)


def _is_public(info: TypeInfo) -> bool:
    return any(base.fullname in _names.CLASSES for base in info.mro)


def _on_function(ctx: FunctionContext) -> Type:
    check_call(ctx)
    return ctx.default_return_type


def _on_method(name: str, ctx: MethodContext) -> Type:
    receiver = base_named(ctx.type, _names.CLASSES)
    if receiver is not None:
        if not is_overloaded(receiver.type, name):
            check_call(ctx)
        match receiver.type.fullname, name:
            case _names.HANDLE, _:
                check_handle(ctx, name)
                check_move(ctx, name)
            case _names.TRACKER, _names.CREATE if not _is_overridden(ctx.type, name):
                check_created(ctx)
            case _names.TRACKER, _names.BLOCK:
                check_block(ctx)
            case _names.TRACKER, _names.UPDATE if not _is_overridden(ctx.type, name):
                check_update(ctx)
            case _:
                pass
    elif isinstance(get_proper_type(ctx.type), CallableType):
        check_call(ctx)  # of the class itself, as in `ExecutionTracker.get(tracker, …)`
    return ctx.default_return_type


def _is_overridden(receiver: Type, name: str) -> bool:
    """Whether a class derived from ours defines the method anew: then it may do anything."""
    proper = get_proper_type(receiver)
    owner = proper.type.get_containing_type_info(name) if isinstance(proper, Instance) else None
    return owner is None or owner.fullname not in _names.BASES


def _on_signature(name: str, ctx: MethodSigContext) -> FunctionLike:
    receiver = base_named(ctx.type, _names.CLASSES)
    if receiver is not None and is_overloaded(receiver.type, name):
        check_overloaded(ctx)
    return ctx.default_signature


def _on_variable(ctx: FunctionContext | MethodContext) -> Type:
    """Check the call of a variable or attribute that holds a function, as after `get = tracker.get`."""
    held = held_function(ctx)
    if _names.is_legacy(held):
        return _on_legacy(held.rpartition(".")[2], ctx)
    if _is_checked(held):
        check_call(ctx)
    return ctx.default_return_type


def _on_legacy(name: str, ctx: FunctionContext | MethodContext) -> Type:
    check_call(ctx)
    check_result(ctx, name)
    return ctx.default_return_type
