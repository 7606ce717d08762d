"""The reading half of `runstate top`: turns what a journal says into pictures of it, one after the other.

One turn reads the events that came since the last, at most so many, and the workers. So a turn costs what has happened, not how long the
journal is or how many live. Whoever cannot keep up with the writers, or has lost the thread because retention or another journal came
between, begins anew: a look at what lives, and the last events again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from runstate import ExecutionRecord, ExecutionState, ExecutionTracker, JournalUnavailableError, Worker

from ._following import AT_ONCE, EVERYTHING, Following, newest_position
from ._top_board import LIVE_AT_MOST, Board, Ended, LiveRow, Unhappy

REPLAYED: Final = 20_000
"""Positions before the journal's end from which events are read at the beginning."""
_A_TURN: Final = 30_000
"""Events read in one turn."""
_TOO_LATE_NS: Final = 15_000_000_000
"""Age of what is read at which one begins anew instead of catching up."""


class Picture(NamedTuple):
    """A journal at one moment."""

    at_ns: int
    live: Sequence[LiveRow]
    ended: Ended
    unhappy: Sequence[Unhappy]
    """The newest first."""
    workers: Sequence[Worker]
    is_cut: bool = False
    """Whether there are more live executions than are here."""
    away: str | None = None
    """Why the journal could not be read, if it could not; all else is then as it was when it could."""
    note: str | None = None
    """What else is to be said."""


class Watch:
    """Looks at one journal again and again. Used by one thread.

    Args:
        journal: Which.

    Raises:
        UsageError: The journal is `memory:`.
        JournalError: It is not there, or cannot be read.
    """

    def __init__(self, journal: str) -> None:
        self._note: str | None = None
        self._following = Following(journal, EVERYTHING, self._tell)
        self._breaks = 0
        self._last: Picture | None = None
        self._board = self._begun()

    def picture(self) -> Picture:
        """Read what is new.

        Raises:
            JournalError: The journal is damaged, or no journal any more; one that is away is no error.
            RecordDecodeError: It holds a row that is no valid record.
        """
        try:
            self._read()
            workers = self._following.tracker.workers() if self._following.away is None else None
        except JournalUnavailableError as error:
            self._following.away = str(error)
            workers = None
        if workers is None and self._last is not None:
            self._last = self._last._replace(away=self._following.away, note=None)
            return self._last
        board, now_ns, note = self._board, time.time_ns(), self._note
        self._note = None
        self._last = Picture(
            now_ns,
            tuple(board.live.values()),
            board.ended(now_ns),
            tuple(reversed(board.unhappy)),
            workers or (),
            board.is_cut,
            self._following.away,
            note,
        )
        return self._last

    def close(self) -> None:
        """Let go of the journal."""
        self._following.close()

    def _tell(self, message: str) -> None:
        self._note = message

    def _read(self) -> None:
        at_ns = 0
        for _ in range(_A_TURN):
            event = self._following.next(AT_ONCE)
            if self._following.breaks != self._breaks:
                self._board = self._begun()
                return
            if event is None:
                return
            self._board.apply(event)
            at_ns = event.entry.at_ns
        if time.time_ns() - at_ns > _TOO_LATE_NS:
            self._tell("the journal is written faster than it can be read here; began anew at its end")
            self._board = self._begun()

    def _begun(self) -> Board:
        """Begin before the journal's end, with what lives now."""
        following, note = self._following, self._note
        tracker = following.tracker
        after = max(0, newest_position(tracker) - REPLAYED)
        records = _live_records(tracker)
        following.begin(after)
        breaks = following.breaks
        first = following.next(AT_ONCE)
        if (
            following.breaks != breaks
        ):  # retention has been there: what is kept begins later, and nobody misses what was before
            self._note = note
        self._breaks = following.breaks
        board = Board(records, 0 if after == 0 or first is None else first.entry.at_ns)
        if first is not None:
            board.apply(first)
        return board


def _live_records(tracker: ExecutionTracker) -> list[ExecutionRecord]:
    """What lives, in the order of the states: as nothing moves backwards, none that moves meanwhile is missed."""
    found: dict[str, ExecutionRecord] = {}
    for state in ExecutionState:
        if not state.is_terminal and len(found) < LIVE_AT_MOST:
            for record in tracker.find(state=state, limit=LIVE_AT_MOST - len(found)):
                found[record.execution_id] = record
    return list(found.values())
