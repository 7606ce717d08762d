"""The events of one journal, followed for as long as somebody looks, also when the journal is away for a while.

A subscription goes on by itself when a read has failed. What it cannot see is that the file at its path is no longer the one that
it reads: an open file outlives its name. So the path is looked at whenever nothing came, and opened anew when another file is there.

Where a journal ends no reader is told, but whether anything comes after a position can be asked. The end is found by asking so, with
doubled and then halved steps, from the newest execution on: a few bounded reads, however long the journal is.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from runstate import (
    Event,
    ExecutionTracker,
    JournalCorruptError,
    JournalUnavailableError,
    Subscription,
    SubscriptionLaggedError,
    WaitTimeoutError,
)

from ._arguments import open_to_read

AT_ONCE: Final = 1e-6
"""Seconds to wait for an event where only those are wanted that are there: the least that is a time."""


class Wanted(NamedTuple):
    """Whose events are wanted. Every field that is not None must match."""

    execution_id: str | None = None
    agent: str | None = None
    thread_id: str | None = None
    user_id: str | None = None

    def after(self, tracker: ExecutionTracker, position: int) -> Subscription:
        """Subscribe to them."""
        return tracker.subscribe(
            after=position,
            execution_id=self.execution_id,
            agent=self.agent,
            thread_id=self.thread_id,
            user_id=self.user_id,
        )


EVERYTHING: Final = Wanted()


class Following:
    """Events in order of position, one after the other. Used by one thread.

    Args:
        journal: Which.
        wanted: Whose events.
        tell: Is told in one line when the journal is away, when it is back, and when events are missing.

    Raises:
        UsageError: The journal is `memory:`.
        JournalError: It is not there, or cannot be read.
    """

    def __init__(self, journal: str, wanted: Wanted, tell: Callable[[str], object]) -> None:
        self._journal = journal
        self._wanted = wanted
        self._tell = tell
        self._file = _file_of(journal)
        self._identity = _identity(self._file)
        self._tracker: ExecutionTracker | None = open_to_read(journal)
        self._events = wanted.after(self._tracker, 0)
        self.away: str | None = None
        """Why the journal cannot be read now, or None."""
        self.breaks: int = 0
        """How often what was read next did not continue what was read before."""

    @property
    def tracker(self) -> ExecutionTracker:
        """The tracker that reads the journal.

        Raises:
            JournalUnavailableError: The journal is not there.
        """
        if self._tracker is None:
            self._tracker = self._opened()
        return self._tracker

    def begin(self, after: int) -> None:
        """Go on after a position."""
        self._events.close()
        self._events = self._wanted.after(self.tracker, after)

    def next(self, timeout: float) -> Event | None:
        """Return the next event, or None if none came; `away` then says whether the journal could be read.

        Args:
            timeout: Seconds to wait; while the journal is away they are waited out.
        """
        try:
            event = self._next(timeout)
        except JournalUnavailableError as error:
            self._is_away(error)
            time.sleep(timeout)
            return None
        if self.away is not None:
            self.away = None
            self._tell("the journal is back")
        return event

    def close(self) -> None:
        """Let go of the journal."""
        self._events.close()
        if self._tracker is not None:
            self._tracker.close()

    def _next(self, timeout: float) -> Event | None:
        if self._tracker is None:
            self._tracker = self._opened()
        while True:
            try:
                return self._events.get(timeout)
            except WaitTimeoutError:
                self._look_at_the_file()
                return None
            except SubscriptionLaggedError as lagged:
                self._tell(f"events after position {lagged.position} up to {lagged.pruned} were removed by retention")
                self.breaks += 1
                self.begin(lagged.pruned)

    def _look_at_the_file(self) -> None:
        """Notice that what is read is no longer what the path leads to.

        Raises:
            JournalUnavailableError: It is not.
        """
        if self._file is None or _identity(self._file) == self._identity:
            return
        self._events.close()
        if self._tracker is not None:
            self._tracker.close()
            self._tracker = None
        raise JournalUnavailableError(f"{self._file} was deleted, moved or replaced")

    def _opened(self) -> ExecutionTracker:
        """Open what is at the path now. Another journal than before is read from its beginning."""
        identity = _identity(self._file)
        try:
            tracker = open_to_read(self._journal)
        except JournalCorruptError as error:  # what is there now may be a journal that is just being made
            raise JournalUnavailableError(str(error)) from error
        position = self._events.position
        if identity != self._identity:
            self._tell("another journal is in its place; going on from its beginning")
            self.breaks += 1
            position = 0
        self._identity = identity
        self._events = self._wanted.after(tracker, position)
        return tracker

    def _is_away(self, error: JournalUnavailableError) -> None:
        if self.away is None:
            self._tell(f"the journal is away, trying again: {error}")
        self.away = str(error)


def newest_position(tracker: ExecutionTracker) -> int:
    """Return the position of the journal's newest event; 0 if it has none.

    Raises:
        JournalError: It cannot be read.
        RecordDecodeError: It holds a row that is no valid record.
    """
    low = 0
    for newest in tracker.find(limit=1):
        beginning = _first_after(tracker, 0, Wanted(newest.execution_id))
        low = 0 if beginning is None else beginning.position
    step = 1
    while (event := _first_after(tracker, low + step)) is not None:
        low = event.position
        step *= 2
    high = low + step  # nothing comes after it
    while low < high:
        middle = (low + high) // 2
        event = _first_after(tracker, middle)
        if event is None:
            high = middle
        else:
            low = event.position
    return low


def last_events(tracker: ExecutionTracker, count: int, wanted: Wanted) -> tuple[list[Event], int]:
    """Return the newest events, the oldest of them first, and the position to go on after.

    Args:
        tracker: Reads the journal.
        count: At most this many, 0 or more.
        wanted: Whose.

    Raises:
        JournalError: It cannot be read.
        RecordDecodeError: It holds a row that is no valid record.
    """
    newest = newest_position(tracker)
    reach = count
    while count:
        after = max(0, newest - reach)
        found: deque[Event] = deque(maxlen=count)
        try:
            found.extend(_up_to(tracker, after, newest, wanted))
        except SubscriptionLaggedError:
            reach = newest  # retention has been there: read whatever is kept
            continue
        if after == 0 or len(found) == count:
            return list(found), newest
        reach *= 4
    return [], newest


def _first_after(tracker: ExecutionTracker, position: int, wanted: Wanted = EVERYTHING) -> Event | None:
    with wanted.after(tracker, position) as events:
        try:
            return events.get(AT_ONCE)
        except WaitTimeoutError:
            return None
        except SubscriptionLaggedError as lagged:
            pruned = lagged.pruned
    return _first_after(tracker, pruned, wanted)


def _up_to(tracker: ExecutionTracker, after: int, newest: int, wanted: Wanted) -> Iterator[Event]:
    with wanted.after(tracker, after) as events:
        while True:
            try:
                event = events.get(AT_ONCE)
            except WaitTimeoutError:
                return
            if event.position > newest:
                return
            yield event


def _file_of(journal: str) -> Path | None:
    """The file that a journal is in; None if it is in no file."""
    scheme, separator, rest = journal.partition("://")
    if not separator:
        return Path(journal)
    return Path(rest.removeprefix("/")) if scheme == "sqlite" else None


def _identity(file: Path | None) -> tuple[int, int] | None:
    """What is at a path now: the same for the same file, whatever its name; None for nothing."""
    if file is None:
        return None
    try:
        status = file.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
