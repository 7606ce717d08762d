"""`open(url)`: picks the store, imports its driver only then, and composes a tracker. No password is ever shown."""

from __future__ import annotations

import os
import re
from typing import Final

from ._checks import checked_function, seconds
from ._errors import InvalidValueError, JournalUnavailableError, describe, wrong_type
from ._liveness import LEASE, SHORTEST_LEASE
from ._records import Limits
from ._tracker import DEFAULT_TIMEOUT, ExecutionTracker
from ._verdicts import SHORTEST_BLOCK
from .journal import Journal

_EXPECTED: Final = "a path, `sqlite:///path`, `postgresql://user:password@host/database` or `memory:`"


@checked_function
def open(  # noqa: A001 - `runstate.open`, as `gzip.open` and `dbm.open` are named
    url: str | os.PathLike[str],
    *,
    limits: Limits | None = None,
    default_timeout: float | None = DEFAULT_TIMEOUT,
    read_only: bool = False,
    lease: float = LEASE,
    blocked_timeout: float | None = None,
) -> ExecutionTracker:
    """Open a journal and return a tracker on it. Close it, or use it as a context manager.

    Args:
        url: Which journal: a path or `sqlite:///path` is an SQLite file, made if it is not there; `memory:` keeps
            everything in this process; `postgresql://user:password@host:port/database` (extra `postgres`) is a database that
            many processes share. A journal is made in it if it has none.
        limits: Budgets; None takes the defaults of `Limits`.
        default_timeout: Seconds for executions that name no timeout; None lets them run for ever.
        read_only: Open an existing journal to read it only.
        lease: Seconds after which other processes on the same journal hold this one for dead if it gives no sign of life; an end of
            the process they see at once; 0.1 or more.
        blocked_timeout: Seconds that an event loop may be blocked until the executions in it that give no sign of life from
            elsewhere are DEAD, 0.05 or more; None is no limit.

    Raises:
        InvalidValueError: *url* names no store that is known here; or a time is shorter than it may be.
        JournalUnavailableError: The journal cannot be opened, or its driver is not installed.
        JournalCorruptError: The file, or the schema `runstate` of the database, is no runstate journal.
        JournalVersionError: A newer runstate has written it.
    """
    limits = limits if limits is not None else Limits()
    if default_timeout is not None:
        default_timeout = seconds("default_timeout", default_timeout)
    lease = seconds("lease", lease, SHORTEST_LEASE)
    if blocked_timeout is not None:
        blocked_timeout = seconds("blocked_timeout", blocked_timeout, SHORTEST_BLOCK)
    journal = _journal(url, limits, read_only=read_only)
    try:
        return ExecutionTracker(
            journal,
            limits=limits,
            default_timeout=default_timeout,
            read_only=read_only,
            lease=lease,
            blocked_timeout=blocked_timeout,
        )
    except BaseException:
        journal.close()
        raise


def _journal(url: str | os.PathLike[str], limits: Limits, *, read_only: bool) -> Journal:
    if not isinstance(url, str | os.PathLike):
        raise wrong_type("url", url, "a str or a path")
    text = os.fsdecode(url)
    if not text or "\0" in text:
        raise InvalidValueError("url", text, _EXPECTED)
    if text == "memory:":
        from .journal.memory import MemoryJournal

        return MemoryJournal(limits)
    if (
        text == ":memory:"
        or (text.startswith(("sqlite:", "file:")) and "://" not in text)
        or text.endswith("/:memory:")
    ):
        raise InvalidValueError("url", text, _EXPECTED)
    scheme, separator, rest = text.partition("://")
    if separator and scheme == "postgresql":
        return _postgres(text, limits, read_only=read_only)
    if separator and scheme != "sqlite":
        shown = re.sub(r"(?<=://).*@", "***@", text)  # what stands before the last @ may hold a password
        raise InvalidValueError("url", shown, f"{_EXPECTED}; no other store is known here")
    from pathlib import Path

    path = Path(rest.removeprefix("/") if separator else text)
    try:
        os.fsencode(path)
        if read_only and not path.exists():
            raise JournalUnavailableError(f"{path} does not exist; give the path of a journal")
        if path.is_dir() or not path.name:
            raise JournalUnavailableError(f"{path} is a directory; give the path of a file")
        if path.exists() and not path.is_file():
            raise JournalUnavailableError(f"{path} is no regular file; give the path of a file")
    except UnicodeEncodeError as error:
        raise InvalidValueError("url", text, "a path that the file system can encode") from error
    except OSError as error:
        raise JournalUnavailableError(f"{describe(text)}: {error.strerror}; give the path of a file") from error
    from .journal.sqlite import SqliteJournal

    return SqliteJournal(path, limits, read_only=read_only)


def _postgres(url: str, limits: Limits, *, read_only: bool) -> Journal:
    try:
        from .journal.postgres import PostgresJournal
    except ImportError as error:
        raise JournalUnavailableError(
            f"a PostgreSQL journal needs {error.name or 'psycopg'}, which cannot be imported ({error}); "
            f"install it with `pip install 'runstate[postgres]'`, and 'psycopg[binary]' where the system has no libpq"
        ) from error
    return PostgresJournal(url, limits, read_only=read_only)
