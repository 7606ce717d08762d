"""Finds the Python files below the given paths.

Directories are entered once and links to directories never, so a loop of links ends where it begins. A file that can be
reached by two names is read once, under the name that comes first.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from runstate import InvalidValueError

EXCLUDED: Final = frozenset(
    {
        *(".git", ".hg", ".svn", ".venv", "venv", "node_modules", "__pycache__", "__pypackages__", "site-packages"),
        *(".tox", ".nox", ".eggs", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".venvs"),
    }
)
"""Directories that hold no code of the code base itself. One that is named as a path is read all the same."""


class Unreadable(NamedTuple):
    """A file or directory that could not be read."""

    path: str
    line: int
    """1-based; 1 where the trouble has no line."""
    reason: str


def too_deep(path: str) -> Unreadable:
    """Say of a file that it was parsed, but cannot be walked."""
    return Unreadable(path, 1, "cannot be read: it is nested too deeply")


class Found(NamedTuple):
    """What is below the given paths."""

    files: tuple[str, ...]
    """Sorted, each once."""
    unreadable: tuple[Unreadable, ...]


def python_files(paths: Sequence[str | os.PathLike[str]], exclude: Sequence[str] = ()) -> Found:
    """Find the Python files below paths.

    Args:
        paths: Files and directories. A file is taken whatever its name is.
        exclude: More names of directories that are not entered.

    Raises:
        InvalidValueError: A path is empty or does not exist.
    """
    excluded = EXCLUDED.union(exclude)
    files: dict[str, None] = {}
    unreadable: list[Unreadable] = []

    def failed(error: OSError) -> None:
        unreadable.append(Unreadable(str(error.filename), 1, f"cannot be listed: {error.strerror}"))

    for path in paths:
        given = Path(path)
        if not os.fspath(path):
            raise InvalidValueError("PATH", path, "a file or directory; `.` is the current one")
        if given.is_dir():
            for directory, below, names in os.walk(given, onerror=failed):
                below[:] = sorted(name for name in below if not _is_left_out(directory, name, excluded))
                for name in sorted(names):
                    if name.endswith(".py"):
                        files[os.path.normpath(os.path.join(directory, name))] = None  # noqa: PTH118 - hot
        elif os.path.lexists(given):
            files[os.path.normpath(given)] = None
        else:
            raise InvalidValueError("PATH", str(path), "a file or directory that exists")
    regular: list[str] = []
    seen: set[tuple[int, int]] = set()
    for file in sorted(files):
        try:
            status = os.stat(file)  # noqa: PTH116 - hot
        except OSError as error:
            unreadable.append(Unreadable(file, 1, f"cannot be read: {error.strerror}"))
            continue
        if not stat.S_ISREG(status.st_mode):
            unreadable.append(Unreadable(file, 1, "cannot be read: not a regular file"))
        elif (identity := (status.st_dev, status.st_ino)) not in seen:
            seen.add(identity)
            regular.append(file)
    return Found(tuple(regular), tuple(unreadable))


def _is_left_out(directory: str, name: str, excluded: frozenset[str]) -> bool:
    return name in excluded or Path(directory, name, "pyvenv.cfg").is_file()


def dotted_names(file: str) -> Iterator[str]:
    """Name the module that a file may be, the longest name first, as if each of its parents were on `sys.path`.

    `/w/app/core/x.py` is `w.app.core.x`, `app.core.x`, `core.x` and `x`; a parent that is no identifier ends it.
    """
    path = Path(os.path.abspath(file))  # noqa: PTH100 - resolving links would name another module
    parts = list(path.parts[1:-1])
    if path.stem != "__init__":
        parts.append(path.stem)
    first = len(parts)
    while first and parts[first - 1].isidentifier():
        first -= 1
    for start in range(first, len(parts)):
        yield ".".join(parts[start:])
