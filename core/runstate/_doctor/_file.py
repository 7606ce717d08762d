"""What ails a journal file: the half of `diagnose` that looks at SQLite."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from .._clock import SystemClock, boot_id
from .._errors import JournalCorruptError, JournalUnavailableError, JournalVersionError, describe
from .._fleet import Worker
from .._fleet_codec import decode_worker
from ..journal import _sql, _sql_fleet
from ..journal._rules import has_ended, is_live
from ..journal._sqlite_file import translated
from ..journal._sqlite_vigil import SEEN, folder_of, is_there
from . import _holders
from ._diagnosis import Diagnosis, counted, fine, problem, size, span, warning
from ._fleet import Fleet, fleet, retention
from ._notices import notices

BUSY_TIMEOUT: Final = 2.0
"""Seconds to wait for who locks the file."""
LARGE: Final = 128 << 20
"""Bytes of a WAL that are twice what it is cut to after a checkpoint."""
HUGE: Final = 1 << 30
"""Bytes of a WAL that fill disks."""
SCARCE: Final = 64 << 20
"""Bytes left on the disk to which a WAL may grow before it is cut."""
FULL: Final = 16 << 20
"""Bytes left on the disk that a few checkpoints take: one comes every 1,000 pages, some 4 MiB in the WAL and as much in the file."""

_OLDEST: Final = f"SELECT min(updated_at_ns) AS ns FROM executions WHERE {has_ended('state')}"  # noqa: S608 - rendered from the table
_ROWS: Final = "SELECT count(*) AS many FROM workers"

Row = Mapping[str, Any]


def diagnoses(file: Path, *, immutable: bool) -> list[Diagnosis]:
    """Look at a journal file.

    Args:
        file: The SQLite file.
        immutable: Read it without any locks; only sound while nobody has it open.

    Raises:
        JournalUnavailableError: It is not there, cannot be read, or is locked; says by whom, where that can be known.
        JournalCorruptError: It is damaged, or no runstate journal.
        JournalVersionError: It is of another version.
        RecordDecodeError: A worker's row is no valid one.
    """
    _check_place(file)
    try:
        with translated(file), closing(_open(file, immutable=immutable)) as connection:
            _check_version(file, connection)
            return list(_diagnosed(file, connection, immutable=immutable))
    except JournalUnavailableError as error:
        holders = _holders.exclusive(file) if _is_busy(error.__cause__) else []
        if not holders:
            raise
        name = _holders.naming({})
        raise JournalUnavailableError(
            f"{file} is locked by {' and '.join(map(name, holders))}; end it, or wait until it is done"
        ) from error


def _check_place(file: Path) -> None:
    try:
        if not file.exists():
            raise JournalUnavailableError(f"{file} does not exist; give the path of a journal")
        if not file.is_file():
            raise JournalUnavailableError(f"{file} is no regular file; give the path of a journal")
    except OSError as error:
        raise JournalUnavailableError(f"{describe(str(file))}: {error.strerror}; give the path of a file") from error


def _is_busy(error: BaseException | None) -> bool:
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _open(file: Path, *, immutable: bool) -> sqlite3.Connection:
    mode = "mode=ro&immutable=1" if immutable else "mode=ro"
    return sqlite3.connect(
        f"file:{quote(os.path.abspath(file))}?{mode}",  # noqa: PTH100
        uri=True,
        timeout=BUSY_TIMEOUT,
        isolation_level=None,
    )


def _check_version(file: Path, connection: sqlite3.Connection) -> None:
    application_id: int = connection.execute("PRAGMA application_id").fetchone()[0]
    if application_id != _sql.APPLICATION_ID:
        raise JournalCorruptError(f"{file} is an SQLite file, but no runstate journal; give another path")
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != _sql.SCHEMA_VERSION:
        raise JournalVersionError(str(file), version, _sql.SCHEMA_VERSION)


def _diagnosed(file: Path, connection: sqlite3.Connection, *, immutable: bool) -> Iterator[Diagnosis]:
    def read(query: str, asked: Mapping[str, object] | None = None) -> list[Row]:
        cursor = connection.execute(query, dict(asked or {}))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    clock, boot = SystemClock(), boot_id()
    now = {"boot_id": boot, "now_ns": clock.monotonic_ns(), "departed": 0}
    workers = [decode_worker({**row, "expired": bool(row["expired"])}) for row in read(_sql_fleet.WORKERS, now)]
    yield fine("schema", f"version {_sql.SCHEMA_VERSION}", "the version that this runstate writes")
    real = Path(os.path.realpath(file))
    holders = _holders.Holders() if immutable else _holders.look(real, real.with_name(f"{real.name}-shm"))
    host = socket.gethostname()
    name = _holders.naming({worker.pid: worker.incarnation for worker in workers if worker.pid and worker.host == host})
    yield from _locks(real, holders, name)
    yield from _sizes(file, read)
    gone: dict[str, str] = {}
    present: set[str] = set()
    yield from _look_around(file, workers, present, gone)
    now_ns = clock.time_ns()
    live = f"{is_live('x.state')} AND x.seq > 0"
    locker = None if holders is None or holders.writer is None else name(holders.writer)
    found = Fleet(read, "", live, workers, read(_ROWS)[0]["many"], present, gone, now_ns, locker)
    yield from fleet(found)
    yield from notices(found)
    here = (
        f"leases go by this machine's monotonic clock, in its boot {boot}"
        if boot
        else "leases go by this machine's clock"
    )
    yield fine("clock", here, "all processes of one machine share it, and no setting of the time moves it")
    pruned: int = connection.execute(_sql.HEAD).fetchone()[0]
    yield retention(connection.execute(_sql.ENDED).fetchone()[0], read(_OLDEST)[0]["ns"], pruned, now_ns, None)


def _look_around(file: Path, workers: list[Worker], present: set[str], gone: dict[str, str]) -> Iterator[Diagnosis]:
    """Find out who of the workers is there, as the kernel knows it."""
    for worker in workers:
        try:
            there = is_there(file, worker.incarnation)
        except OSError as error:
            yield warning(
                "rights",
                f"{folder_of(file)} cannot be looked into ({error.strerror}), so only leases tell who is there",
                "the folder belongs to the user who runs the workers",
                "ask again as that user",
            )
            return
        if there is False:
            gone[worker.incarnation] = SEEN
        elif there:
            present.add(worker.incarnation)


def _locks(file: Path, holders: _holders.Holders | None, name: Callable[[int], str]) -> Iterator[Diagnosis]:
    expected = "a commit holds the write lock for milliseconds, and a read keeps its state no longer than that"
    if holders is None:
        yield warning(
            "lock", "the kernel does not tell here who holds a lock", expected, "look on a Linux machine, or with lsof"
        )
        return
    orphans, hidden = _holders.orphaned(file)
    for pid in orphans:
        yield problem(
            "lock",
            f"{name(pid)} has a part of the journal open that was deleted",
            "nobody but SQLite deletes the -wal and -shm files, and nobody moves the journal, while it is open",
            "keep a copy of all files; end that process in good order: what it commits may be seen by nobody until then",
        )
    watched = span(_holders.WATCHED)
    if holders.writer is not None:
        yield problem(
            "lock",
            f"{name(holders.writer)} has held the write lock for at least {watched} and committed nothing",
            f"{expected}; others wait 5 s for it and then get JournalUnavailableError",
            "look what it does; when it ends, the lock is free and what it has not committed is undone",
        )
    for reader in sorted(holders.readers):
        yield warning(
            "lock",
            f"{name(reader.pid)} has read the same state for at least {watched}, which is {counted(holders.frames - reader.frame, 'page')} "
            "behind; the WAL cannot be taken in while it does, and grows",
            expected,
            "have it end its transaction, or end it",
        )
    if holders.writer is None and not holders.readers:
        connected = sorted(holders.connected - {os.getpid()})
        who = ", ".join(map(name, connected[:5])) + (" and more" if len(connected) > 5 else "")
        others = (
            f"{counted(len(connected), 'other process')} {'has' if len(connected) == 1 else 'have'} the journal open"
        )
        unseen = f"; {counted(hidden, 'process')} may not be looked into" if hidden else ""
        yield fine("lock", f"{others}{f': {who}' if who else ''}; nobody holds on to a lock{unseen}", expected)


def _sizes(file: Path, read: Callable[[str], list[Row]]) -> Iterator[Diagnosis]:
    page: int = read("PRAGMA page_size")[0]["page_size"]
    free = read("PRAGMA freelist_count")[0]["freelist_count"] * page
    real = Path(os.path.realpath(file))
    try:
        wal = real.with_name(f"{real.name}-wal").stat().st_size
    except FileNotFoundError:
        wal = 0
    left = shutil.disk_usage(real.parent).free
    what = f"the file has {size(real.stat().st_size)}, {size(free)} of them free; the WAL {size(wal)}; {size(left)} are left on the disk"
    expected = f"a WAL of less than {size(LARGE)}, which a checkpoint cuts to half of that, and room for as much"
    if left < SCARCE:
        say = problem if left < FULL else warning
        room = (
            "make room on that disk, or give it more; on a full one ends are kept in memory and all else is refused, nobody is "
            "buried, and writers go on by themselves once there is room"
        )
        yield say("size", what, expected, room)
    advice = "see who reads an old state above; where nobody does, the next commit takes the WAL in"
    if wal >= HUGE:
        yield problem("size", what, expected, advice)
    elif wal >= LARGE:
        yield warning("size", what, expected, advice)
    elif left >= SCARCE:
        yield fine("size", what, expected)
