"""A lock that a forked child finds open, whoever held it in the parent."""

from __future__ import annotations

import os
import threading
from typing import Final
from weakref import WeakSet


class ForkSafeLock:
    """A reentrant lock for `with`. For data that is whole at every moment, so that the child may use it as it finds it."""

    def __init__(self) -> None:
        self.open_again()
        _locks.add(self)

    def open_again(self) -> None:
        """Forget whoever holds it: in a forked child, that thread is gone."""
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exception: object) -> None:
        self._lock.release()


_locks: Final[WeakSet[ForkSafeLock]] = WeakSet()


def _open_all() -> None:
    for lock in list(_locks):
        lock.open_again()


os.register_at_fork(after_in_child=_open_all)
