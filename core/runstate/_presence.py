"""Who is there on this host, as the kernel knows it: a locked file and a bell for each worker, in a folder beside the journal.

A worker holds an exclusive `flock` on its file for as long as it lives. The kernel lets go of the lock when the process is gone,
however it went, and within a millisecond; nothing has to be written and nothing can be forgotten. A peer learns of it from the
worker's pidfd (Linux; one `poll` for all peers), and where there is none by waiting for the lock in a thread. Both facts
must agree: a worker is gone when the kernel said so *and* its lock can be taken. A pid alone proves nothing: another process may
have it by now, or the worker may live in another container, so a pidfd counts only if the process began when the file says.

Beside the file is the bell, a FIFO that only its worker reads: a byte in it means "look into the journal". It wakes one thread of
one process within microseconds, costs the ringer one `write` that never blocks, and needs no port, no path limit and no server.
Whose bells there are is read from the folder only when that has changed, which the kernel notes before whoever is new can go on:
a commit that nobody else waits for costs one `stat`.

A forked child closes its copies at once: else a lock would outlive its worker.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, NamedTuple

from ._processes import began_at, exit_status

_BELL: Final = ".bell"
_RINGS: Final = 4_096
"""Bytes read from a bell at once: so many rings are one."""
_TICK_NS: Final = 100_000_000
"""Nanoseconds in which two changes of a folder may bear the same time, as the kernel's clock for files ticks; ten times what it does."""
_COARSE_TICK_NS: Final = 2_000_000_000
"""The same in a file system that counts in seconds."""

_present: Final[set[Presence]] = set()
"""All that are held here. Not weakly: a forked child must find and close even what the tracker of the parent no longer knows."""


class Mark(NamedTuple):
    """What a worker's file says of its process."""

    pid: int
    began: int | None
    """When it began, in the kernel's own count since boot; None where the kernel does not tell."""


class Bells(NamedTuple):
    """The bells of the others, as a folder held them."""

    folder: tuple[int, int, int]
    """Which folder it was (device and inode), and when it had last changed (nanoseconds since the Unix epoch)."""
    paths: tuple[str, ...]


class Presence:
    """This process's presence in a folder, under a name. Others see it until `leave`, or until the process is gone.

    Args:
        folder: Where all workers of one journal on this host meet; made if it is not there.
        name: The worker's incarnation: unique, and fit for a file name.

    Raises:
        OSError: The folder cannot be written, its file system is full or has no locks or no FIFOs, or this process has too many
            files open. Nothing of it is left behind.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder: Path = folder
        self.name: str = name
        # Under another name until it is locked: whoever finds the file finds it locked, or its worker gone.
        unready = folder / f".{name}"
        with ExitStack() as undo:
            undo.callback(_tidy, folder)
            _make(folder, folder / f"{name}{_BELL}")
            undo.callback(remove, folder, name)  # whoever has made the bell owns the name
            # For reading and writing, so that it never reads as "closed" between two rings.
            self.bell: int = os.open(folder / f"{name}{_BELL}", os.O_RDWR | os.O_NONBLOCK)
            undo.callback(os.close, self.bell)
            self._lock = os.open(unready, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            undo.callback(os.close, self._lock)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mark = json.dumps(Mark(os.getpid(), began_at(os.getpid()))).encode()
            while mark:  # a disk that is nearly full takes a part
                mark = mark[os.write(self._lock, mark) :]
            unready.rename(folder / name)
            undo.pop_all()
        self._bells: Bells | None = None
        _present.add(self)

    def __repr__(self) -> str:
        return f"<Presence {self.name} in {self.folder}>"

    def answer(self) -> bool:
        """Take all rings out of the bell; return whether there were any. Never blocks."""
        rung = False
        with suppress(BlockingIOError):
            while os.read(self.bell, _RINGS):
                rung = True
        return rung

    def ring_others(self) -> bool:
        """Ring every other bell in the folder; return whether anybody is there to hear it."""
        try:
            bells = self._other_bells()
        except FileNotFoundError:
            return False
        return sum(map(_ring, bells)) > 0  # all of them, whoever hears it

    def _other_bells(self) -> tuple[str, ...]:
        """Find the bells in the folder besides the own one; read it only if it has changed since.

        Raises:
            FileNotFoundError: The folder is gone.
        """
        status = self.folder.stat()
        folder = status.st_dev, status.st_ino, status.st_mtime_ns
        if self._bells is not None and self._bells.folder == folder:
            return self._bells.paths
        now_ns = time.time_ns()  # before the folder is read: what changes after that must do so in another tick
        own = f"{self.name}{_BELL}"
        with os.scandir(self.folder) as files:
            paths = tuple(file.path for file in files if file.name.endswith(_BELL) and file.name != own)
        tick_ns = _TICK_NS if status.st_mtime_ns % 1_000_000_000 else _COARSE_TICK_NS
        self._bells = Bells(folder, paths) if now_ns - status.st_mtime_ns > tick_ns else None
        return paths

    def leave(self) -> None:
        """Be gone in good order: take the file away, then let go of the lock; take the folder away behind the last."""
        if self in _present:
            remove(self.folder, self.name)
            self.drop()
            _tidy(self.folder)

    def drop(self) -> None:
        """Close both files and touch nothing else, as the end of the process would."""
        if self in _present:
            _present.discard(self)
            os.close(self.bell)
            os.close(self._lock)


def ring(folder: Path, name: str) -> bool:
    """Ring a worker's bell. Never blocks; a bell that is full of rings needs no other.

    Returns:
        Whether somebody is there to hear it.
    """
    return _ring(f"{folder}/{name}{_BELL}")


def _ring(path: str) -> bool:
    try:
        bell = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENXIO}:  # it has left, or nobody reads
            return False
        raise
    try:
        with suppress(BlockingIOError):
            os.write(bell, b"!")
    except BrokenPipeError:
        return False
    finally:
        os.close(bell)
    return True


def is_gone(folder: Path, name: str) -> bool:
    """Whether a worker's file is there and its lock can be taken: then its process is gone, or has dropped it.

    One without a file has left in good order, or was never on this host: nothing is known, which is False.
    """
    try:
        file = os.open(folder / name, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(file)


def remove(folder: Path, name: str) -> None:
    """Take a worker's files away: its own, or those of one whose executions are all settled."""
    for path in (folder / f"{name}{_BELL}", folder / name, folder / f".{name}"):
        path.unlink(missing_ok=True)


def names(folder: Path) -> list[str]:
    """The workers that have a file here, alive or gone, sorted."""
    with suppress(FileNotFoundError):
        return sorted(path.name for path in folder.iterdir() if path.suffix != _BELL and not path.name.startswith("."))
    return []


class Lookout:
    """Waits for peers to be gone, and for one's own bell, in one call.

    Args:
        presence: Whose bell is listened to, and in whose folder the peers are.
    """

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._poll = select.poll()
        self._poll.register(presence.bell, select.POLLIN)
        self._pidfds: dict[str, int] = {}
        self._waiting: dict[str, threading.Thread] = {}
        self._told: set[str] = set()

    @property
    def watched(self) -> frozenset[str]:
        """The peers that are watched."""
        return frozenset(self._pidfds) | frozenset(self._waiting) | frozenset(self._told)

    def watch(self, name: str) -> bool:
        """Watch a peer; return whether that is possible: it has a file here."""
        if name in self.watched:
            return True
        mark = _mark(self._presence.folder / name)
        if mark is None:
            return False
        pidfd = _pidfd(mark)
        if pidfd is None:
            if not is_gone(self._presence.folder, name):
                return self._wait_for_the_lock(name)
            self._told.add(name)
            ring(self._presence.folder, self._presence.name)
            return True
        self._pidfds[name] = pidfd
        self._poll.register(pidfd, select.POLLIN)
        return True

    def forget(self, name: str) -> None:
        """Watch a peer no longer."""
        pidfd = self._pidfds.pop(name, None)
        if pidfd is not None:
            self._poll.unregister(pidfd)
            os.close(pidfd)
        self._waiting.pop(name, None)
        self._told.discard(name)

    def wait(self, timeout: float | None) -> tuple[bool, list[str]]:
        """Wait until the bell rings or a peer is gone, or for *timeout* seconds.

        Returns:
            Whether the bell rang, and who is gone by both signs. Who is gone, or has left, is watched no longer.
        """
        ready = {file for file, _ in self._poll.poll(None if timeout is None else max(0.0, timeout) * 1e3)}
        rung = self._presence.bell in ready and self._presence.answer()
        gone: list[str] = []
        for name in [*(name for name, pidfd in self._pidfds.items() if pidfd in ready), *tuple(self._told)]:
            waits = name in self._waiting
            self.forget(name)
            if is_gone(self._presence.folder, name):
                gone.append(name)
            elif not waits:  # it has left, or somebody still holds its lock, such as a child that it was just starting
                self._wait_for_the_lock(name)
        return rung, sorted(gone)

    def close(self) -> None:
        """Watch nobody."""
        for name in self.watched:
            self.forget(name)

    def _wait_for_the_lock(self, name: str) -> bool:
        try:
            file = os.open(self._presence.folder / name, os.O_RDONLY)
        except FileNotFoundError:
            return False

        def wait() -> None:
            try:
                fcntl.flock(file, fcntl.LOCK_SH)
            finally:
                os.close(file)
            if self._waiting.get(name) is threading.current_thread():  # else it was told to forget, or began anew
                self._told.add(name)
                ring(self._presence.folder, self._presence.name)

        self._waiting[name] = thread = threading.Thread(target=wait, name="runstate-vigil", daemon=True)
        thread.start()
        return True


def _make(folder: Path, bell: Path) -> None:
    """Make a bell, and the folder if it is not there; whoever leaves it as the last takes it away."""
    for attempt in range(100):
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            os.mkfifo(bell, 0o600)
        except FileNotFoundError:
            if attempt == 99:
                raise
        else:
            return


def _tidy(folder: Path) -> None:
    """Take the folder away behind the last."""
    with suppress(OSError):  # others are there
        folder.rmdir()


def status_of(folder: Path, name: str) -> int | None:
    """`exit_status` of a worker that has a file here."""
    mark = _mark(folder / name)
    return None if mark is None else exit_status(mark.pid)


def _mark(path: Path) -> Mark | None:
    try:
        pid, began = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return Mark(pid, began)


def _open_pidfd() -> Callable[[int], int] | None:
    return getattr(os, "pidfd_open", None)


def _pidfd(mark: Mark) -> int | None:
    """A pidfd of the very process that has left a mark, or None."""
    open_pidfd = _open_pidfd()
    if open_pidfd is None or mark.began is None:
        return None
    try:
        pidfd = open_pidfd(mark.pid)
    except OSError:
        return None  # no such process in our eyes: gone, or in another container; the lock will tell
    if began_at(mark.pid) == mark.began:
        return pidfd
    os.close(pidfd)
    return None


def _after_fork() -> None:
    for presence in list(_present):
        presence.drop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
