"""Looking into a journal file as a bystander: without a lock that others wait for, and without leaving a file behind.

**Nobody but SQLite may open and close a journal's files.** POSIX takes all locks that a process has on a file away when it closes any
descriptor of that file. A tracker of the same process would then be connected without a lock: the next process that closes the
journal takes itself for the last one, and deletes the WAL that the tracker goes on writing to. So here files are asked about by name only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ._errors import InvalidValueError, wrong_type

T = TypeVar("T")


def file_of(parameter: str, place: str | os.PathLike[str]) -> Path:
    """The file that a path or a URL of SQLite names.

    Args:
        parameter: What the caller's caller knows *place* as.
        place: A path, or `sqlite:///path`.

    Raises:
        StateTypeError: *place* is no path.
        InvalidValueError: It names no file, for example `memory:`.
    """
    if not isinstance(place, str | os.PathLike):
        raise wrong_type(parameter, place, "a str or a path")
    text = os.fsdecode(place)
    scheme, separator, rest = text.partition("://")
    if not text or "\0" in text or text == "memory:" or (separator and scheme != "sqlite"):
        raise InvalidValueError(parameter, text, "the path of an SQLite journal, `sqlite:///path` or `postgresql://…`")
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        raise InvalidValueError(parameter, text, "a path that the file system can encode") from error
    return Path(rest.removeprefix("/") if separator else text)


def undisturbed(file: Path, look: Callable[[bool], T]) -> T:
    """Look at a file, and again if somebody began to write meanwhile.

    Args:
        file: The SQLite file.
        look: Reads it; told whether to read it as immutable.
    """
    wal = f"{os.path.realpath(file)}-wal"  # SQLite keeps it beside the file itself, not beside a link to it
    if os.path.exists(wal):  # noqa: PTH110 - unlike Path's it takes any path, also one that is too long
        return look(False)
    # With no WAL nobody has it open. Reading it as immutable then leaves no -wal and -shm files behind, and also works where
    # the directory is not writable; if somebody did begin to write meanwhile, it is read again in the shared way.
    before = _fingerprint(file)
    found = look(True)
    if os.path.exists(wal) or _fingerprint(file) != before:  # noqa: PTH110
        return look(False)
    return found


def _fingerprint(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
