"""The vigil of an SQLite journal: the workers of one machine, in a folder beside the file (`_presence`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from .. import _presence
from .._burial import exit_reason
from .._fleet import Worker, WorkerState
from .._presence import Lookout, Presence
from . import Seen
from ._sqlite_file import translated

SEEN: Final = "its process is gone: the kernel has let go of its lock"


class SqliteVigil:
    """One worker's presence beside an SQLite file, and its watch over its peers. See `Vigil`.

    Args:
        path: The SQLite file.
        incarnation: The worker.

    Raises:
        JournalUnavailableError: The folder beside the file cannot be written, or has no locks or no FIFOs.
    """

    def __init__(self, path: Path, incarnation: str) -> None:
        self._path = path
        with translated(path):
            self._presence = Presence(folder_of(path), file_name(incarnation))
            self._lookout = Lookout(self._presence)
        self._names: dict[str, str] = {}
        """The watched peers, by the names of their files."""
        self._gone: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<SqliteVigil {unquote(self._presence.name)} {self._path}>"

    def watch(self, names: Collection[str], /) -> None:
        """Watch these peers, and no others. See `Vigil.watch`."""
        self._names = {file_name(name): name for name in names}
        self._names.pop(self._presence.name, None)
        with translated(self._path):
            for name in set(self._gone) - set(self._names.values()):
                del self._gone[name]
                _presence.remove(self._presence.folder, file_name(name))  # it was found dead, and settled
            for file in self._lookout.watched - self._names.keys():
                self._lookout.forget(file)
            for file, name in self._names.items():
                if name not in self._gone:
                    self._lookout.watch(file)

    def wait(self, timeout: float, /) -> Seen:
        """Wait for a ring, or for a peer to be gone. See `Vigil.wait`."""
        with translated(self._path):
            rung, gone = self._lookout.wait(timeout)
            self._gone |= {self._names[file]: self._seen_of(file) for file in gone if file in self._names}
        return Seen(rung, dict(self._gone))

    def _seen_of(self, file: str) -> str:
        status = _presence.status_of(self._presence.folder, file)
        return SEEN if status is None else exit_reason(status)

    def ring(self, name: str | None = None, /) -> bool:
        """Ring for another worker, or for all that are there. See `Vigil.ring`."""
        if name is not None:
            return ring(self._path, name)
        with translated(self._path):
            return self._presence.ring_others()

    def wake(self) -> None:
        """End a wait. See `Vigil.wake`."""
        with suppress(OSError):  # then the wait ends when its time has come
            _presence.ring(self._presence.folder, self._presence.name)

    def leave(self) -> None:
        """Be gone in good order. See `Vigil.leave`."""
        self._lookout.close()
        with translated(self._path):
            self._presence.leave()


def folder_of(path: Path) -> Path:
    """Where the workers of a journal meet, under whatever name each has opened it."""
    return Path(f"{os.path.realpath(path)}-workers")


def file_name(incarnation: str) -> str:
    """Name a worker's file: its incarnation, legible, and without what a file's name cannot hold."""
    return quote(incarnation, safe=":")


def ring(path: Path, incarnation: str) -> bool:
    """Ring for a worker. See `Vigil.ring`."""
    with translated(path):
        return _presence.ring(folder_of(path), file_name(incarnation))


def is_there(path: Path, incarnation: str) -> bool | None:
    """Whether a worker's process is there, as the kernel knows it; None if it has no file here, which tells nothing.

    Raises:
        OSError: The folder of workers may not be looked into.
    """
    folder, file = folder_of(path), file_name(incarnation)
    return not _presence.is_gone(folder, file) if (folder / file).exists() else None


def tidy(path: Path, find: Callable[[str], Worker | None]) -> None:
    """Remove the files of those who are gone for good, which whoever buried them did not live to do.

    Whom the journal does not know never joined, or retention has removed it.
    """
    with translated(path):
        for file in _presence.names(folder_of(path)):
            if _presence.is_gone(folder_of(path), file):
                worker = find(unquote(file))
                if worker is None or worker.state is not WorkerState.ALIVE:
                    _presence.remove(folder_of(path), file)
