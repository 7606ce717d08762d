"""Who holds an SQLite journal, as the kernel (Linux) and the WAL's index tell it.

SQLite locks bytes of two files, and the kernel lists these locks with their pids for everybody in `/proc/locks`. Of the `-shm` file, the
WAL's index, byte 120 is the write lock, 123 to 127 are the five places for readers, and whoever has the journal open has 128. The
index also says which state of the journal each of the five places reads: as long as one reads an older state than the newest, what was
written since cannot be checkpointed out of the way, and the WAL grows.

A lock that is seen once says nothing, as each commit takes it. So what looks amiss is looked at for `WATCHED` seconds: it is amiss
only if the same process has held the same lock all the time, and nothing was committed under it.

The index is read through the descriptor that SQLite itself has in this process, as `_peek` says why.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

WATCHED: Final = 1.0
"""Seconds for which what looks amiss is watched."""
LOOKS: Final = 20
"""How often it is looked at in that time."""

LOCKS: Final = "/proc/locks"
"""Where the kernel lists all locks."""

_WRITE, _FIRST_READER, _READERS, _CONNECTED = 120, 123, 5, 128
_EXCLUSIVE: Final = range(1 << 30, (1 << 30) + 512)
"""The bytes of the file itself that who locks everybody out has."""
_HEADER: Final = struct.Struct("=48s48sI5I")
_NEWEST: Final = struct.Struct("=16xI")
_DELETED: Final = " (deleted)"


class Lock(NamedTuple):
    """A lock on some bytes of a file."""

    pid: int
    writes: bool
    first: int
    last: int


class Reader(NamedTuple):
    """A process that reads an older state."""

    pid: int
    place: int
    frame: int
    """The newest frame of the WAL that it sees."""


class Holders(NamedTuple):
    """Who holds a journal."""

    connected: frozenset[int] = frozenset()
    """Pids that have it open."""
    writer: int | None = None
    """Who has held the write lock all the time, without a commit."""
    readers: frozenset[Reader] = frozenset()
    """Who has read the same older state all the time."""
    frames: int = 0
    """How many frames the WAL has."""


class _Index(NamedTuple):
    header: bytes
    """Changes with each commit."""
    frames: int
    stored: int
    """So many of its frames are in the file itself already."""
    marks: tuple[int, ...]


def locks(file: Path) -> list[Lock] | None:
    """The locks on a file, those of who waits left out; None where the kernel does not tell."""
    try:
        lines = Path(LOCKS).read_text(encoding="ascii").splitlines()
        status = file.stat()
    except OSError:
        return None
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    found: list[tuple[str, Lock]] = []
    for line in lines:
        _, kind, *rest = line.split()
        if kind != "POSIX":
            continue
        _, mode, pid, place, first, last = rest
        where, _, inode = place.rpartition(":")
        if int(inode) == status.st_ino:
            end = _EXCLUSIVE.stop if last == "EOF" else int(last)
            found.append((where, Lock(int(pid), mode == "WRITE", int(first), end)))
    here = [lock for where, lock in found if where == device]
    return here or [
        lock for _, lock in found
    ]  # layered file systems have another device for `stat` than for the kernel


def look(file: Path, shared: Path) -> Holders | None:
    """Look who holds a journal that this process has open; None where the kernel does not tell.

    Args:
        file: The SQLite file.
        shared: Its `-shm` file.
    """
    first = _look(shared)
    if first is None:
        return None
    holders, header = first
    for _ in range(LOOKS):
        if holders.writer is None and not holders.readers:
            break
        time.sleep(WATCHED / LOOKS)
        again = _look(shared)
        if again is None:
            return None
        same = again[0].writer == holders.writer and again[1] == header
        holders = again[0]._replace(writer=holders.writer if same else None, readers=holders.readers & again[0].readers)
    beside = {lock.pid for lock in locks(file) or () if lock.last >= _EXCLUSIVE.start}
    return holders._replace(connected=holders.connected | beside)


def _look(shared: Path) -> tuple[Holders, bytes] | None:
    held, index = locks(shared), _index(shared)
    if held is None:
        return None
    connected = frozenset(lock.pid for lock in held if _has(lock, _CONNECTED))
    writer = next((lock.pid for lock in held if lock.writes and _has(lock, _WRITE)), None)
    if index is None:
        return Holders(connected, writer), b""
    readers: set[Reader] = set()
    if index.stored < index.frames:
        for place, mark in enumerate(index.marks):
            frame = mark if place else 0  # who has the first place reads the file alone
            if frame < index.frames:
                readers |= {
                    Reader(lock.pid, place, frame)
                    for lock in held
                    if not lock.writes and _has(lock, _FIRST_READER + place)
                }
    return Holders(connected, writer, frozenset(readers), index.frames), index.header


def _has(lock: Lock, byte: int) -> bool:
    return lock.first <= byte <= lock.last


def _index(shared: Path) -> _Index | None:
    """Read the WAL's index through a descriptor that this process has; None where there is none."""
    try:
        wanted = shared.stat()
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208
    except OSError:
        return None
    for number in numbers:
        try:
            status = os.fstat(number)
            if (status.st_dev, status.st_ino) == (wanted.st_dev, wanted.st_ino):
                found = os.pread(number, _HEADER.size, 0)
                break
        except OSError:  # closed meanwhile
            continue
    else:
        return None
    if len(found) < _HEADER.size:
        return None
    header, _, stored, *marks = _HEADER.unpack(found)
    (frames,) = _NEWEST.unpack_from(header)
    return _Index(header, frames, stored, tuple(marks))


def exclusive(file: Path) -> list[int]:
    """Who locks everybody out of a file."""
    return sorted({lock.pid for lock in locks(file) or () if lock.writes and lock.last >= _EXCLUSIVE.start})


def orphaned(file: Path) -> tuple[list[int], int]:
    """Who has a deleted part of a journal open, and how many processes may not be looked into.

    What such a process commits goes into a file that nobody else will find.
    """
    parts = {f"{os.path.realpath(file)}{part}{_DELETED}" for part in ("", "-wal", "-shm")}
    orphans: list[int] = []
    hidden = 0
    for pid in (int(name) for name in _listed("/proc") or () if name.isdigit()):
        files = _listed(f"/proc/{pid}/fd")
        if files is None:
            hidden += 1
        elif any(_link(f"/proc/{pid}/fd/{name}") in parts for name in files):
            orphans.append(pid)
    return orphans, hidden


def _listed(folder: str) -> list[str] | None:
    try:
        return os.listdir(folder)  # noqa: PTH208
    except FileNotFoundError:
        return []
    except OSError:
        return None


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - it may name what is no path
    except OSError:
        return ""


def naming(workers: Mapping[int, str]) -> Callable[[int], str]:
    """Make what names a process for people.

    Args:
        workers: Incarnations by pid, of the workers on this machine.
    """

    def name(pid: int) -> str:
        try:
            program = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            program = "?"
        role = "this process" if pid == os.getpid() else program
        return f"process {pid} ({role}{f', worker {workers[pid]}' if pid in workers else ''})"

    return name
