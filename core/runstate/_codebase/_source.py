"""One file as text and syntax tree. What cannot be read says why and stops nothing else."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from pathlib import Path
from typing import Final, NamedTuple

from ._files import Unreadable

_LINE_END: Final = re.compile(r"\r\n|\r|\n")

LARGEST: Final = 16 * 1024 * 1024
"""Bytes of a file that is still read."""


class Source(NamedTuple):
    """A file that could be read and parsed."""

    path: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> list[str]:
        """The lines as Python counts them, without their ends."""
        return _LINE_END.split(self.text)


def read_source(path: str) -> Source | Unreadable:
    """Read and parse one file; never raises for what is in it."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        return Unreadable(path, 1, f"cannot be read: {error.strerror}")
    if len(data) > LARGEST:
        return Unreadable(path, 1, f"is too large: {len(data):,} bytes, and at most {LARGEST:,} are read")
    if b"\0" in data:
        return Unreadable(path, data.count(b"\n", 0, data.index(b"\0")) + 1, "is no Python: it holds a NUL byte")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        return Unreadable(path, 1, f"cannot be decoded: {_first_line(error)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Source(path, text, ast.parse(text, path))
    except SyntaxError as error:
        return Unreadable(path, error.lineno or 1, f"cannot be parsed: {error.msg}")
    except (RecursionError, MemoryError):
        return Unreadable(path, 1, "cannot be parsed: it is nested too deeply")
    except ValueError as error:
        return Unreadable(path, 1, f"cannot be parsed: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
