"""Checks every invariant of a journal file, and says everything that is wrong with it.

The database refuses what breaks a rule, but a file can be damaged below the database, edited by a program that switched the
rules off, or truncated by a copy. So nothing here trusts anything: each rule is checked by itself, from the raw rows.

| rule | what holds in a sound journal |
|---|---|
| `file` | the file is there and can be read |
| `format` | it is an SQLite file that is marked as a runstate journal |
| `version` | its schema version is the one that this runstate writes |
| `integrity` | SQLite's own check of pages and indexes finds nothing; every row can be read |
| `foreign_key` | every reference leads to a row |
| `schema` | tables, constraints, indexes and triggers are exactly those rendered from the transition table |
| `meta` | the bookkeeping is there, and no position can be given out twice |
| `unique` | no id names two executions |
| `orphan` | every entry belongs to an execution |
| `decode` | every row decodes strictly, JSON columns too |
| `log` | an execution's entries are numbered 1 to n without a gap, stored in that order, and begin with its creation |
| `transition` | every move is in the table, and starts where the last one ended |
| `end` | at most one terminal state, and nothing after it |
| `cause` | an end has a cause that its state accepts, and evidence; no other entry has any |
| `owner` | every entry was written by the worker that owns the execution |
| `time` | within an execution, time never goes back |
| `fold` | state, seq, times and phase of an execution are what its entries add up to |

After `file`, `format` or `version` nothing further is checked. Rows are read one at a time, and one execution at a time, so
the memory needed does not grow with the journal, only with what is wrong with it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .._checks import checked_function
from .._errors import InvalidValueError, wrong_type
from ._finding import Finding as Finding

if TYPE_CHECKING:
    from pathlib import Path


@checked_function
def verify(path: str | os.PathLike[str]) -> tuple[Finding, ...]:
    """Check every invariant of a journal file; an empty tuple means that it is sound.

    The file is opened strictly read-only, and one consistent snapshot of it is read, so a journal in use can be verified.
    Damage is reported, not raised: a file that is missing or no journal at all is a finding too.

    Args:
        path: The SQLite file, as a path or as `sqlite:///path`.

    Returns:
        Everything that is wrong, file-wide findings first, then by execution, the oldest first.

    Raises:
        StateTypeError: *path* is no path.
        InvalidValueError: *path* names no file, for example `memory:`.
    """
    from ._file import findings  # sqlite3 is kept off `import runstate`

    file = _path_of(path)
    wal = f"{os.path.realpath(file)}-wal"  # SQLite keeps it beside the file itself, not beside a link to it
    if os.path.exists(wal):  # noqa: PTH110 - unlike Path's it takes any path, also one that is too long
        return tuple(findings(file, immutable=False))
    # With no WAL nobody has it open. Reading it as immutable then leaves no -wal and -shm files behind, and also works where
    # the directory is not writable; if somebody did begin to write meanwhile, it is read again in the shared way.
    before = _fingerprint(file)
    found = tuple(findings(file, immutable=True))
    if os.path.exists(wal) or _fingerprint(file) != before:  # noqa: PTH110
        return tuple(findings(file, immutable=False))
    return found


def _path_of(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise wrong_type("path", path, "a str or a path")
    text = os.fsdecode(path)
    scheme, separator, rest = text.partition("://")
    if not text or "\0" in text or text == "memory:" or (separator and scheme != "sqlite"):
        raise InvalidValueError("path", text, "the path of an SQLite journal, or `sqlite:///path`")
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        raise InvalidValueError("path", text, "a path that the file system can encode") from error
    from pathlib import Path

    return Path(rest.removeprefix("/") if separator else text)


def _fingerprint(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
