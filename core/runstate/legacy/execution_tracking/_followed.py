"""The executions that a monitor of facade C follows: from `start_…` or `set_…` to their end, and not longer.

The old monitors went on with the dead, counted them for good, and let a late heartbeat revive them. Here an end takes the
execution out; the newest that ended the way that the monitor is there for are remembered, so that it can still say so.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from ... import ExecutionState
from .._book import RECENT, Book
from .._callbacks import Callbacks
from .._fork import ForkSafeLock
from .._life import Life
from .._shared import shared, was_observed
from ._lives import id_of, require_live


class Followed:
    """What one monitor follows.

    Args:
        end: The end that it is there for: DEAD or TIMEOUT.
        describe: What its callbacks are given beside the id, made when it has ended.
    """

    def __init__(self, end: ExecutionState, describe: Callable[[Life], object]) -> None:
        self.callbacks: Callbacks = Callbacks(f"executions that ended as {end.name}")
        self._end = end
        self._describe = describe
        self._lock = ForkSafeLock()
        self._book: Book | None = None
        self._live: dict[str, Life] = {}
        self._ended: OrderedDict[str, Life] = OrderedDict()
        self._news: OrderedDict[str, Life] = OrderedDict()

    def __len__(self) -> int:
        return len(self.live())

    def __contains__(self, life: Life) -> bool:
        with self._mine():
            return life.execution_id in self._live or life.execution_id in self._ended

    def add(self, life: Life) -> None:
        """Follow a live execution.

        Raises:
            InvalidValueError: It has ended.
        """
        require_live(life)
        with self._mine():
            if life.execution_id in self._live:
                return
            self._live[life.execution_id] = life
        life.endings.append(partial(self._on_end, life))
        if life.retired:
            self._on_end(life)  # it has ended in between

    def drop(self, life: Life) -> bool:
        """Follow an execution no longer; return whether it was followed to now, or to its end."""
        with self._lock:
            found = [one.pop(life.execution_id, None) for one in (self._live, self._ended, self._news)]
        return any(one is not None for one in found)

    def live(self) -> list[Life]:
        """The live ones, oldest first."""
        with self._mine():
            lives = list(self._live.values())
        return [life for life in lives if not life.state.is_terminal]

    def ended(self) -> list[Life]:
        """The newest that ended the way that this is there for, oldest first."""
        with self._mine():
            return [life for life in self._ended.values() if life.state is self._end]

    def news(self) -> list[Life]:
        """Those of `ended` that were not asked for before."""
        with self._mine():
            news = list(self._news.values())
            self._news.clear()
        return news

    def clear(self) -> None:
        """Follow nothing any more, and forget all callbacks."""
        self.callbacks.clear()
        with self._lock:
            self._forget()

    def _mine(self) -> ForkSafeLock:
        """The lock, once what belongs to an earlier core, or to the parent of a forked process, is forgotten."""
        with self._lock:
            if self._book is not shared().book:
                self._book = shared().book
                self._forget()
        return self._lock

    def _forget(self) -> None:
        for one in (self._live, self._ended, self._news):
            one.clear()

    def _on_end(self, life: Life) -> None:
        key = life.execution_id
        with self._lock:
            if self._live.pop(key, None) is None:
                return
            observed = life.state is self._end and was_observed(life)
            for kept in (self._ended, self._news) if observed else (self._ended,):
                kept[key] = life
                while len(kept) > RECENT:
                    kept.popitem(last=False)
        if observed:
            shared().failed(self.callbacks.deliver(id_of(life), self._describe(life)))
