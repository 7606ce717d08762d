"""The facts of one module that other modules may depend on: imports, classes, functions, variables. Small, and picklable.

Only what can matter is kept: every import (names are re-exported), and, of modules that speak of states, executions,
trackers or beats at all, the classes, and the functions and variables whose names or annotations do.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from ._bindings import Function, attribute_bindings, bind, bindings_of, global_bindings, returned_ref
from ._refs import annotation_ref, dotted
from ._source import Source

TELLING: Final = re.compile(r"stat(e|us)|execut|track|heartbeat|monitor|registry", re.IGNORECASE)
"""What the name of anything that matters here contains."""

MOVE: Final = "update_execution_state"
"""The one call of the trackers that takes a state, and that nothing else is called."""

_LEAST_MEMBERS: Final = 3
_INNER_IMPORT: Final = re.compile(r"^[ \t]+(from\s+[\w.]+\s+import|import)\b", re.MULTILINE)
_GLOBAL: Final = re.compile(r"^[ \t]+global\s", re.MULTILINE)


class Parameter(NamedTuple):
    """One parameter; `ref` as in `_refs`."""

    name: str
    ref: str | None
    is_positional: bool


class FunctionFacts(NamedTuple):
    """The face of a function or method. A method's first parameter is left out unless it is static."""

    name: str
    parameters: tuple[Parameter, ...]
    returns: str | None
    is_async: bool
    is_property: bool
    is_class_level: bool
    """Whether it is called on the class: a class method or a static one."""
    line: int


class Member(NamedTuple):
    """A name in a class that is bound to a constant; `value` is None for what is no text."""

    name: str
    value: str | None


class ClassFacts(NamedTuple):
    """The face of a class."""

    name: str
    """Qualified inside the module, such as `Job.Status`."""
    line: int
    column: int
    """1-based."""
    bases: tuple[str, ...]
    methods: tuple[FunctionFacts, ...]
    attributes: tuple[tuple[str, str | None], ...]
    """Refs of the attributes of instances; None where they are bound to several things or an unknown one. A ref of a
    value, not of an annotation, begins with `=`."""
    members: tuple[Member, ...]
    is_literal: bool = False
    """Whether it is not a class but an alias of `Literal[…]`."""


class ImportFacts(NamedTuple):
    """One imported name. `name` is None for `import module`, `*` for all of it."""

    local: str
    module: str
    name: str | None
    level: int


class ModuleFacts(NamedTuple):
    """The face of a module."""

    path: str
    imports: tuple[ImportFacts, ...]
    classes: tuple[ClassFacts, ...]
    functions: tuple[FunctionFacts, ...]
    variables: tuple[tuple[str, str | None], ...]
    """As the attributes of a class."""
    inner_imports: tuple[ImportFacts, ...] = ()
    """Imports inside functions."""
    moves_executions: bool = False
    """Whether it calls `update_execution_state`, of whatever it may be."""


def module_facts(source: Source) -> ModuleFacts:
    """Collect the facts of a module."""
    telling = TELLING.search(source.text) is not None
    imports: list[ImportFacts] = []
    classes: list[ClassFacts] = []
    functions: list[FunctionFacts] = []
    variables: dict[str, str | None] = {}
    for statement in _flat(source.tree.body):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            imports.extend(_imports(statement))
        elif not telling:
            continue
        elif isinstance(statement, ast.ClassDef):
            classes.extend(_classes(statement, "", coerces=any(one.module.startswith("pydantic") for one in imports)))
        elif isinstance(statement, Function):
            if _speaks(facts := function_facts(statement)):
                functions.append(facts)
        elif (alias := _alias(statement)) is not None:
            classes.append(alias)
        else:
            bind(variables, bindings_of(statement))
    if telling and _GLOBAL.search(source.text):
        for function in (node for node in ast.walk(source.tree) if isinstance(node, Function)):
            bind(variables, global_bindings(function))
    told = tuple((name, ref) for name, ref in variables.items() if TELLING.search(f"{name} {ref}"))
    inner = _inner_imports(source) if telling and _INNER_IMPORT.search(source.text) else ()
    moves = telling and f".{MOVE}(" in source.text
    return ModuleFacts(source.path, tuple(imports), tuple(classes), tuple(functions), told, inner, moves)


def _inner_imports(source: Source) -> tuple[ImportFacts, ...]:
    statements = (node for node in ast.walk(source.tree) if isinstance(node, ast.Import | ast.ImportFrom))
    return tuple(one for statement in statements if statement.col_offset for one in _imports(statement))


def _flat(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a body, with those inside `if`, `try` and `with`."""
    for statement in body:
        if isinstance(statement, ast.If):
            yield from _flat([*statement.body, *statement.orelse])
        elif isinstance(statement, ast.Try):
            handled = [inner for handler in statement.handlers for inner in handler.body]
            yield from _flat([*statement.body, *handled, *statement.orelse, *statement.finalbody])
        elif isinstance(statement, ast.With):
            yield from _flat(statement.body)
        else:
            yield statement


def _imports(statement: ast.Import | ast.ImportFrom) -> Iterator[ImportFacts]:
    for alias in statement.names:
        if isinstance(statement, ast.ImportFrom):
            yield ImportFacts(alias.asname or alias.name, statement.module or "", alias.name, statement.level)
        elif alias.asname:
            yield ImportFacts(alias.asname, alias.name, None, 0)
        else:
            yield ImportFacts(alias.name, alias.name, None, 0)


def import_facts(statement: ast.Import | ast.ImportFrom) -> tuple[ImportFacts, ...]:
    """Return the names that one statement imports."""
    return tuple(_imports(statement))


# -- functions --------------------------------------------------------------------------------------------------------


def function_facts(node: Function, *, is_method: bool = False) -> FunctionFacts:
    """Return the face of a function."""
    decorators = {dotted(one.func if isinstance(one, ast.Call) else one) or "" for one in node.decorator_list}
    names = {one.rpartition(".")[2] for one in decorators}
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    if is_method and "staticmethod" not in names:
        positional = positional[1:]
    parameters = [Parameter(one.arg, annotation_ref(one.annotation), True) for one in positional]
    parameters += [Parameter(one.arg, annotation_ref(one.annotation), False) for one in arguments.kwonlyargs]
    is_scope = bool(names & {"contextmanager", "asynccontextmanager", "overload"})
    converts = bool(names & {"validate_call", "validate_arguments"})
    return FunctionFacts(
        node.name,
        () if converts else tuple(parameters),
        None if is_scope else _returns(node, is_method=is_method and "staticmethod" not in names),
        isinstance(node, ast.AsyncFunctionDef),
        bool(names & {"property", "cached_property"}),
        bool(names & {"classmethod", "staticmethod"}),
        node.lineno,
    )


def _returns(node: Function, *, is_method: bool) -> str | None:
    return returned_ref(node, is_method=is_method) if node.returns is None else annotation_ref(node.returns)


def _speaks(facts: FunctionFacts) -> bool:
    refs = [facts.name, facts.returns or "", *(parameter.ref or "" for parameter in facts.parameters)]
    return facts.returns in {"dict", ":dict"} or any(TELLING.search(ref) for ref in refs)


# -- classes ----------------------------------------------------------------------------------------------------------


def _classes(node: ast.ClassDef, outer: str, *, coerces: bool) -> Iterator[ClassFacts]:
    """The class and those inside it; `coerces` where a dataclass may be one that converts what it is given."""
    name = f"{outer}{node.name}"
    for statement in node.body:
        if isinstance(statement, ast.ClassDef):
            yield from _classes(statement, f"{name}.", coerces=coerces)
    attributes: dict[str, str | None] = {}
    members: list[Member] = []
    methods: list[FunctionFacts] = []
    for statement in _flat(node.body):
        if isinstance(statement, Function):
            methods.append(function_facts(statement, is_method=True))
            bind(attributes, attribute_bindings(statement))
        elif isinstance(statement, ast.AnnAssign | ast.Assign):
            bind(attributes, bindings_of(statement))
            members.extend(_members(statement))
    # A method that was given twice (overloads) has no one face; a property takes what its setter does.
    faces: dict[str, FunctionFacts] = {}
    for method in methods:
        earlier = faces.get(method.name)
        if earlier is None:
            faces[method.name] = method
        elif earlier.is_property:
            faces[method.name] = earlier._replace(parameters=method.parameters)
        else:
            faces[method.name] = method._replace(parameters=(), returns=None)
    bases = tuple(base for one in node.bases if (base := dotted(_unsubscripted(one))) is not None)
    if not coerces and "__post_init__" not in faces and (made := _constructor(node, bases)) is not None:
        faces.setdefault(made.name, made)
    place = (node.lineno, node.col_offset + 1)
    yield ClassFacts(name, *place, bases, tuple(faces.values()), tuple(attributes.items()), tuple(members))


def _constructor(node: ast.ClassDef, bases: tuple[str, ...]) -> FunctionFacts | None:
    """The constructor that a dataclass or named tuple is given; fields that it inherits are not known here."""
    decorators = [one.func if isinstance(one, ast.Call) else one for one in node.decorator_list]
    is_tuple = bases == ("NamedTuple",)
    if not is_tuple and not any((dotted(one) or "").rpartition(".")[2] == "dataclass" for one in decorators):
        return None
    by_place = is_tuple or not (bases or any(isinstance(one, ast.Call) for one in node.decorator_list))
    fields = [one for one in node.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)]
    told = [
        Parameter(one.target.id, annotation_ref(one.annotation), by_place)
        for one in fields
        if isinstance(one.target, ast.Name) and "ClassVar" not in ast.unparse(one.annotation)
    ]
    return FunctionFacts("__init__", tuple(told), None, False, False, False, node.lineno)


def _unsubscripted(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Subscript) else node


def _members(statement: ast.AnnAssign | ast.Assign) -> Iterator[Member]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    for target in targets:
        if isinstance(target, ast.Name) and not target.id.startswith("_") and statement.value is not None:
            yield Member(target.id, _text(statement.value))


def _text(node: ast.expr) -> str | None:
    """The text of a constant, also as the first part of a tuple, which is how labelled choices are written."""
    if isinstance(node, ast.Tuple) and node.elts:
        node = node.elts[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


# -- enums in other forms ---------------------------------------------------------------------------------------------


def _alias(statement: ast.stmt) -> ClassFacts | None:
    """`X = Literal["a", "b", "c"]` and `X = Enum("X", "A B C")`, which are enums in all but form."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target: ast.expr = statement.targets[0]
        value: ast.expr | None = statement.value
    elif isinstance(statement, ast.AnnAssign):
        target, value = statement.target, statement.value
    elif type(statement).__name__ == "TypeAlias":  # `type X = …`, which only Python 3.12 and later parse
        target, value = vars(statement)["name"], vars(statement)["value"]
    else:
        return None
    if not isinstance(target, ast.Name):
        return None
    bases: tuple[str, ...] = ()
    if isinstance(value, ast.Subscript) and (dotted(value.value) or "").rpartition(".")[2] == "Literal":
        members = tuple(Member(text, text) for text in _texts(value.slice))
    elif isinstance(value, ast.Call) and (dotted(value.func) or "").endswith("Enum"):
        named = [*value.args[1:2], *(one.value for one in value.keywords if one.arg == "names")]
        bases = (dotted(value.func) or "",)
        members = tuple(Member(text, None) for one in named for text in _names(one))
    else:
        return None
    if len(members) < _LEAST_MEMBERS:
        return None
    at = (statement.lineno, statement.col_offset + 1)
    return ClassFacts(target.id, *at, bases, (), (), members, is_literal=not bases)


def _names(node: ast.expr) -> list[str]:
    """The names of the members that `Enum("X", …)` is given, in any of its forms."""
    if isinstance(node, ast.Dict):
        return _strings([one for one in node.keys if one is not None])
    if isinstance(node, ast.List | ast.Tuple) and all(isinstance(one, ast.Tuple | ast.List) for one in node.elts):
        return _strings([pair.elts[0] for pair in node.elts if isinstance(pair, ast.Tuple | ast.List) and pair.elts])
    texts = _texts(node)
    return re.split(r"[\s,]+", texts[0].strip()) if len(texts) == 1 else texts


def _texts(node: ast.expr) -> list[str]:
    return _strings(node.elts if isinstance(node, ast.Tuple | ast.List) else [node])


def _strings(parts: list[ast.expr]) -> list[str]:
    """The texts that all the parts are; nothing where one of them is none."""
    texts = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return texts if len(texts) == len(parts) else []
