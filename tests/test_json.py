"""What counts as JSON: a value that comes back equal and of the same types, and nothing else."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import uuid
from collections import OrderedDict, UserDict, namedtuple
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstate import Json, NotJsonError, RecordDecodeError, ResultTooLargeError
from runstate._json import decode_json, encode_json

LIMIT = 1_000_000

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES: st.SearchStrategy[Json] = st.recursive(
    SCALARS, lambda inside: st.lists(inside, max_size=5) | st.dictionaries(st.text(), inside, max_size=5), max_leaves=30
)


def types(value: object) -> object:
    """The types in a JSON value, as a structure of the same shape."""
    if isinstance(value, list):
        return [types(item) for item in value]
    if isinstance(value, dict):
        return {key: types(item) for key, item in value.items()}
    return type(value)


@given(VALUES)
@settings(max_examples=300, deadline=None)
def test_every_json_value_comes_back_equal(value: Json) -> None:
    """Any tree of dicts, lists and finite scalars comes back equal, of the same types, and other decoders agree."""
    encoded = encode_json("result", value, LIMIT)
    decoded = decode_json(encoded)
    assert decoded == value
    assert types(decoded) == types(value)
    assert json.loads(encoded) == value
    assert encode_json("result", decoded, LIMIT) == encoded


@dataclasses.dataclass
class Answer:
    """A dataclass, which encoders turn into an object."""

    text: str = "x"


class Colour(enum.Enum):
    """An enumeration, which encoders turn into its value."""

    RED = "red"


class Number(enum.IntEnum):
    """An enumeration that is an int."""

    ONE = 1


Point = namedtuple("Point", "x y")  # noqa: PYI024


class Hostile:
    """An object that pretends to equal everything and cannot be shown."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Refusing(dict[str, object]):
    """A dict that cannot be compared."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")


def numbers() -> Iterator[int]:
    """Yield a number, as encoders take it for an array."""
    yield 1


CHANGED = {
    "tuple": (1, 2),
    "empty tuple": (),
    "named tuple": Point(1, 2),
    "set": {1},
    "frozenset": frozenset(),
    "int keys": {1: "a"},
    "None as key": {None: 1},
    "bool keys": {True: 1},
    "bytes": b"abc",
    "empty bytes": b"",
    "bytearray": bytearray(b"abc"),
    "NaN": math.nan,
    "inf": math.inf,
    "negative inf": -math.inf,
    "complex": 1j,
    "Decimal": decimal.Decimal("1.5"),
    "datetime": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    "date": dt.date(2026, 1, 1),
    "timedelta": dt.timedelta(1),
    "UUID": uuid.UUID(int=1),
    "path": PurePosixPath("x"),
    "dataclass": Answer(),
    "enum": Colour.RED,
    "class": Answer,
    "function": len,
    "generator": numbers(),
    "range": range(3),
    "dict view": {"a": 1}.keys(),
    "UserDict": UserDict(a=1),
    "object": object(),
    "hostile": Hostile(),
    "refusing": Refusing(a=1),
    "lone surrogate": "\ud800",
    "surrogate in a key": {"\udfff": 1},
    "exception": ValueError("x"),
    "memoryview": memoryview(b"x"),
}
"""Values that encoders take or mangle, but that would not come back as they are."""

WRAPPINGS = {
    "itself": (lambda value: value, "$"),
    "in a list": (lambda value: [1, value], "$[1]"),
    "in a dict": (lambda value: {"a": 1, "b": value}, "$.b"),
    "deep": (lambda value: {"items": [0, {"when": [value]}]}, "$.items[1].when[0]"),
}


@pytest.mark.parametrize("value", CHANGED.values(), ids=CHANGED)
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_what_would_come_back_changed_is_refused_with_its_place(value: object, wrapping: str) -> None:
    """A value that JSON would change, wherever it sits, is NotJsonError with the path to it and what to do."""
    wrap, path = WRAPPINGS[wrapping]
    with pytest.raises(NotJsonError) as caught:
        encode_json("result", wrap(value), LIMIT)
    error = caught.value
    assert error.path == path
    assert error.name == f"result at {path}"
    assert "convert it before passing it" in str(error)
    str(error).encode()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (OrderedDict(a=1), {"a": 1}),
        ({"n": Number.ONE}, {"n": 1}),
        ([True, 1, 1.0], [True, 1, 1.0]),
        (10**400, 10**400),
        ({"": {"": [""]}}, {"": {"": [""]}}),
    ],
)
def test_what_is_equal_to_json_is_accepted(value: object, expected: Json) -> None:
    """A value that equals its decoded form is JSON, also as an ordered dict or a whole number of any size."""
    assert decode_json(encode_json("result", value, LIMIT)) == expected


def test_a_value_that_contains_itself_is_refused() -> None:
    """A list or dict that contains itself, directly or not, is NotJsonError and says so."""
    direct: list[object] = []
    direct.append(direct)
    outer: dict[str, object] = {}
    outer["inner"] = {"outer": [outer]}
    for value in (direct, outer, [direct]):
        with pytest.raises(NotJsonError, match="contains itself"):
            encode_json("result", value, LIMIT)


def test_a_shared_part_is_no_recursion() -> None:
    """The same list in two places is two lists."""
    shared = [1]
    assert decode_json(encode_json("result", [shared, shared, {"a": shared}], LIMIT)) == [[1], [1], {"a": [1]}]


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_what_is_nested_too_deeply_is_refused(depth: int) -> None:
    """Nesting beyond what decoders take is NotJsonError, not a crash of the interpreter."""
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    with pytest.raises(NotJsonError):
        encode_json("result", value, LIMIT)


def test_moderate_nesting_is_accepted() -> None:
    """A hundred levels come back."""
    value: Json = "bottom"
    for level in range(100):
        value = [value] if level % 2 else {"a": value}
    assert decode_json(encode_json("result", value, LIMIT)) == value


@pytest.mark.parametrize("text", ["x" * 98, "ü" * 49, "🎈" * 24 + "xx"])
def test_a_budget_counts_bytes_exactly(text: str) -> None:
    """A value of exactly the budget, in bytes of UTF-8 JSON, is accepted; one byte less of budget refuses it."""
    assert len(encode_json("result", text, 100)) == 100
    with pytest.raises(ResultTooLargeError) as caught:
        encode_json("result", text, 99)
    assert (caught.value.name, caught.value.size, caught.value.limit) == ("result", 100, 99)


@pytest.mark.parametrize(
    "encoded", [b"", b"{", b"NaN", b"Infinity", b"{'a': 1}", b"\xff", "\ud800", b"[1,]", b"nul", b"1 2"]
)
def test_what_is_no_json_is_refused_when_read(encoded: bytes | str) -> None:
    """Stored text that is no JSON is RecordDecodeError, never a default."""
    with pytest.raises(RecordDecodeError):
        decode_json(encoded)
