"""Refs: what an annotation or a value says about a type, as a short text that can be kept, sent and resolved later.

| ref | says |
|---|---|
| `a.b.C` | an instance of what the dotted name means; as a value, the thing itself |
| `a.b.f()` | what calling it gives |
| `await X` | what awaiting it gives |
| `awaitable X` | something that gives X when awaited |
| `<own>.x` | as a value: what the attribute of the method's own object is |
| `[]X` | something that iterates over X |
| `{}X` | a mapping to X |
| `=X` | what the value X is, where the others are said by annotations |
| `:X` | what an annotation X says, of a parameter that is assigned |
| `?` | what an unannotated parameter is that is None by default: beside a tracker, another tracker |
| `X ~ Y` | one of them |

`None` beside one other type is dropped: a state that may be missing is still a state. Whatever has no ref is unknown.
"""

from __future__ import annotations

import ast
from typing import Final

OWN: Final = "<own>"
"""Stands for the object that a method is called on, whatever the method calls it."""

GIVEN: Final = ":"
OPEN: Final = "?"
_BETWEEN: Final = " ~ "

_OPTIONAL: Final = frozenset({"Optional", "Annotated", "Final", "ClassVar", "Required", "NotRequired", "ReadOnly"})
_ITERABLE: Final = frozenset(
    {
        *(
            "list",
            "List",
            "set",
            "Set",
            "frozenset",
            "FrozenSet",
            "Sequence",
            "MutableSequence",
            "Iterable",
            "Iterator",
        ),
        *("Collection", "Generator", "AsyncIterator", "AsyncIterable", "AsyncGenerator", "deque"),
    }
)
_MAPPING: Final = frozenset({"dict", "Dict", "Mapping", "MutableMapping", "defaultdict", "OrderedDict"})
_AWAITABLE: Final = {"Awaitable": 0, "Coroutine": 2}


def dotted(node: ast.expr) -> str | None:
    """Return `a.b.c` for names and attributes of names, else None."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    parts.append(node.id)
    return ".".join(reversed(parts))


def annotation_ref(node: ast.expr | None) -> str | None:
    """Return the ref of an annotation; None where it is missing or says nothing certain."""
    if isinstance(node, ast.Constant):
        return _constant_ref(node.value)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union_ref([node.left, node.right])
    if isinstance(node, ast.Subscript):
        return _subscript_ref(node)
    return None if node is None else dotted(node)


def _constant_ref(value: object) -> str | None:
    if value is None:
        return "None"
    if not isinstance(value, str):
        return None
    try:
        body = ast.parse(value.strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return annotation_ref(body[0].value) if len(body) == 1 and isinstance(body[0], ast.Expr) else None


def _union_ref(parts: list[ast.expr]) -> str | None:
    refs = {annotation_ref(part) for part in parts} - {"None"}
    return refs.pop() if len(refs) == 1 else None


def _subscript_ref(node: ast.Subscript) -> str | None:
    base = dotted(node.value)
    if base is None:
        return None
    inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    name = base.rpartition(".")[2]
    if name in _OPTIONAL:
        return annotation_ref(inside[0])
    if name == "Union":
        return _union_ref(inside)
    if name in _MAPPING:
        value = annotation_ref(inside[1]) if len(inside) == 2 else None
        return f"{{}}{value}" if value else "dict"
    if name == "Literal":
        return _literal_ref(inside)
    if name in _ITERABLE or (name in {"tuple", "Tuple"} and len(inside) == 2 and _is_ellipsis(inside[1])):
        element = annotation_ref(inside[0])
        return element and f"[]{element}"
    if name in _AWAITABLE:
        place = _AWAITABLE[name]
        result = annotation_ref(inside[place]) if place < len(inside) else None
        return result and f"awaitable {result}"
    return None if name in {"type", "Type", "Callable", "tuple", "Tuple"} else base


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _literal_ref(values: list[ast.expr]) -> str | None:
    """`Literal[State.A, State.B]` says State; a Literal of texts says `str`."""
    if all(isinstance(value, ast.Constant) and isinstance(value.value, str) for value in values):
        return "str"
    owners = {dotted(value.value) if isinstance(value, ast.Attribute) else None for value in values}
    return owners.pop() if len(owners) == 1 else None


def value_ref(node: ast.expr | None) -> str | None:
    """Return the ref of an assigned value; None where it is not a plain name, a call of one, or such a call awaited."""
    if isinstance(node, ast.Await):
        awaited = value_ref(node.value)
        return awaited and f"await {awaited}"
    if isinstance(node, ast.Call):
        called = dotted(node.func)
        return called and f"{called}()"
    return None if node is None else dotted(node)


def alternatives(node: ast.expr) -> list[ast.expr]:
    """Return what `a or b` and `a if c else b` may be, `None` left out; any other expression is just itself."""
    match node:
        case ast.BoolOp(values=parts):
            return [one for part in parts for one in alternatives(part)]
        case ast.IfExp(body=body, orelse=orelse):
            return [*alternatives(body), *alternatives(orelse)]
        case ast.NamedExpr(value=value):
            return alternatives(value)
        case ast.Constant(value=None):
            return []
        case _:
            return [node]


def one_of(refs: list[str | None]) -> str | None:
    """Return the ref of what is one of several things; None where one of them is unknown."""
    told = dict.fromkeys(part for ref in refs for part in (parts_of(ref) if ref else [None]))
    return None if None in told or not told else _BETWEEN.join(ref for ref in told if ref)


def parts_of(ref: str) -> list[str]:
    """Return the refs of which something is one."""
    return ref.split(_BETWEEN)


def is_assigned(ref: str) -> bool:
    """Whether a ref tells what something was bound to, and not what it is declared to be."""
    return ref.startswith(("=", GIVEN, OPEN))
