"""The executions that a monitor of facade C follows: from `start_…` or `set_…` to their end, and not longer.

The old monitors went on with the dead, counted them for good, and let a late heartbeat revive them. Here an end takes the
execution out; the newest that ended the way that the monitor is there for are remembered, so that it can still say so.

What is followed on one core is not shown on another, and is there again when `use` goes back to it.
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
from .._shared import books, failed, shared, was_observed
from ._lives import id_of, require_live


class _Part:
    """What is followed on one core."""

    def __init__(self) -> None:
        self.live: dict[str, Life] = {}
        self.ended: OrderedDict[str, Life] = OrderedDict()
        self.news: OrderedDict[str, Life] = OrderedDict()


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
        self._parts: dict[Book, _Part] = {}

    def __len__(self) -> int:
        return len(self.live())

    def __contains__(self, life: Life) -> bool:
        part = self._part()
        with self._lock:
            return life.execution_id in part.live or life.execution_id in part.ended

    def add(self, life: Life) -> None:
        """Follow a live execution.

        Raises:
            InvalidValueError: It has ended.
        """
        require_live(life)
        part = self._part()
        with self._lock:
            if life.execution_id in part.live:
                return
            part.live[life.execution_id] = life
        life.endings.append(partial(self._on_end, part, life))
        if life.retired:
            self._on_end(part, life)  # it has ended in between

    def drop(self, life: Life) -> bool:
        """Follow an execution no longer; return whether it was followed to now, or to its end."""
        part = self._part()
        with self._lock:
            found = [one.pop(life.execution_id, None) for one in (part.live, part.ended, part.news)]
        return any(one is not None for one in found)

    def live(self) -> list[Life]:
        """The live ones, oldest first."""
        part = self._part()
        with self._lock:
            lives = list(part.live.values())
        return [life for life in lives if not life.state.is_terminal]

    def ended(self) -> list[Life]:
        """The newest that ended the way that this is there for, oldest first."""
        part = self._part()
        with self._lock:
            return [life for life in part.ended.values() if life.state is self._end]

    def news(self) -> list[Life]:
        """Those of `ended` that were not asked for before."""
        part = self._part()
        with self._lock:
            news = list(part.news.values())
            part.news.clear()
        return news

    def clear(self) -> None:
        """Follow nothing any more, and forget all callbacks."""
        self.callbacks.clear()
        with self._lock:
            for part in self._parts.values():
                part.live.clear()  # a part may be held by an ending, which finds nothing then
            self._parts.clear()

    def _part(self) -> _Part:
        """What is followed on the core in use. What belongs to one that is gone, or to the parent of a fork, is forgotten."""
        book = shared().book
        with self._lock:
            if book not in self._parts:
                kept = books()
                self._parts = {one: part for one, part in self._parts.items() if one in kept}
                self._parts[book] = _Part()
            return self._parts[book]

    def _on_end(self, part: _Part, life: Life) -> None:
        key = life.execution_id
        with self._lock:
            if part.live.pop(key, None) is None:
                return
            observed = life.state is self._end and was_observed(life)
            for kept in (part.ended, part.news) if observed else (part.ended,):
                kept[key] = life
                while len(kept) > RECENT:
                    kept.popitem(last=False)
        if observed:
            failed(self.callbacks.deliver(id_of(life), self._describe(life)))
