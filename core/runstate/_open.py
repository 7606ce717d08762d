"""`open(url)`: picks the store, imports its driver only then, and composes a tracker."""

from __future__ import annotations

import os

from ._checks import checked_function, seconds
from ._errors import InvalidValueError, JournalUnavailableError, describe, wrong_type
from ._records import Limits
from ._tracker import DEFAULT_TIMEOUT, ExecutionTracker
from .journal import Journal


@checked_function
def open(  # noqa: A001 - `runstate.open`, as `gzip.open` and `dbm.open` are named
    url: str | os.PathLike[str],
    *,
    limits: Limits | None = None,
    default_timeout: float | None = DEFAULT_TIMEOUT,
    read_only: bool = False,
) -> ExecutionTracker:
    """Open a journal and return a tracker on it. Close it, or use it as a context manager.

    Args:
        url: Which journal: a path or `sqlite:///path` is an SQLite file, made if it is not there; `memory:` keeps
            everything in this process.
        limits: Budgets; None takes the defaults of `Limits`.
        default_timeout: Seconds for executions that name no timeout; None lets them run for ever.
        read_only: Open an existing journal to read it only.

    Raises:
        InvalidValueError: *url* names no store that is known here.
        JournalUnavailableError: The journal cannot be opened.
        JournalCorruptError: The file is no runstate journal.
        JournalVersionError: A newer runstate has written it.
    """
    limits = limits if limits is not None else Limits()
    if default_timeout is not None:
        default_timeout = seconds("default_timeout", default_timeout)
    journal = _journal(url, limits, read_only=read_only)
    try:
        return ExecutionTracker(journal, limits=limits, default_timeout=default_timeout, read_only=read_only)
    except BaseException:
        journal.close()
        raise


def _journal(url: str | os.PathLike[str], limits: Limits, *, read_only: bool) -> Journal:
    if not isinstance(url, str | os.PathLike):
        raise wrong_type("url", url, "a str or a path")
    text = os.fsdecode(url)
    if not text or "\0" in text:
        raise InvalidValueError("url", text, "a path, `sqlite:///path` or `memory:`")
    if text == "memory:":
        from .journal.memory import MemoryJournal

        return MemoryJournal(limits)
    if (
        text == ":memory:"
        or (text.startswith(("sqlite:", "file:")) and "://" not in text)
        or text.endswith("/:memory:")
    ):
        raise InvalidValueError("url", text, "a path, `sqlite:///path` or `memory:`")
    scheme, separator, rest = text.partition("://")
    if separator and scheme != "sqlite":
        raise InvalidValueError("url", text, "a path, `sqlite:///path` or `memory:`; no other store is known here")
    from pathlib import Path

    path = Path(rest.removeprefix("/") if separator else text)
    try:
        os.fsencode(path)
        if read_only and not path.exists():
            raise JournalUnavailableError(f"{path} does not exist; give the path of a journal")
        if path.is_dir() or not path.name:
            raise JournalUnavailableError(f"{path} is a directory; give the path of a file")
    except UnicodeEncodeError as error:
        raise InvalidValueError("url", text, "a path that the file system can encode") from error
    except OSError as error:
        raise JournalUnavailableError(f"{describe(text)}: {error.strerror}; give the path of a file") from error
    from .journal.sqlite import SqliteJournal

    return SqliteJournal(path, limits, read_only=read_only)
