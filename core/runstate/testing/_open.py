"""What a test leaves open, for the pytest plugin."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple
from weakref import WeakSet

from runstate import (
    Cause,
    ExecutionRecord,
    ExecutionState,
    ExecutionTracker,
    FencedError,
    NotOwnerError,
)

from ._clock import FakeClock
from ._journals import open_journal

_SHOWN: Final = 10
"""Executions that are described; of more only the number is said."""


def open_tracker(url: str | os.PathLike[str], clock: FakeClock) -> ExecutionTracker:
    """Open a tracker that a clock drives.

    Args:
        url: `memory:`, the path of an SQLite file, or `postgresql://…`.
        clock: Its clock.

    Raises:
        JournalError: The journal cannot be opened.
    """
    tracker = ExecutionTracker(open_journal(url), clock=clock)
    clock.drive(tracker)
    return tracker


class Before(NamedTuple):
    """What a tracker had left open at some moment."""

    open: frozenset[str] = frozenset()
    """The executions that were open."""
    shut_down: int = 0
    """How many were open when it was closed."""


class Noted:
    """The trackers that are made in a run of tests, in any thread: those of the present test, and those that outlast it."""

    def __init__(self) -> None:
        self.of_test: list[ExecutionTracker] = []
        self.lasting: WeakSet[ExecutionTracker] = WeakSet()
        self.scope: str = "session"
        """How long a tracker is there that is made now, as pytest calls it."""

    def begin(self) -> Callable[[], None]:
        """Note every tracker that is made from now on.

        Returns:
            What ends it.
        """
        make: Any = ExecutionTracker.__init__

        @functools.wraps(make)
        def make_and_note(tracker: ExecutionTracker, *arguments: Any, **options: Any) -> None:
            make(tracker, *arguments, **options)
            if self.scope == "function":
                self.of_test.append(tracker)
            else:
                self.lasting.add(tracker)

        _set_initializer(make_and_note)
        return functools.partial(_set_initializer, make)

    def all(self) -> list[ExecutionTracker]:
        """Give all that are there."""
        return [*self.of_test, *self.lasting]


def open_now(tracker: ExecutionTracker) -> Before:
    """What a tracker has left open until now.

    Raises:
        JournalError: The journal cannot be read.
    """
    statistics = tracker.statistics()
    found = [one.execution_id for one in _live(tracker) if _is_own(tracker, one)] if statistics.live else []
    return Before(frozenset(found), statistics.ended.get((ExecutionState.CANCELLED, Cause.SHUTDOWN), 0))


def left_open(
    trackers: Iterable[ExecutionTracker], before: Mapping[ExecutionTracker, Before] | None = None
) -> str | None:
    """Say what trackers have open, and what they had open when they were closed; None if that is nothing.

    Args:
        trackers: Which.
        before: What of that they had open before, and is not meant.

    Raises:
        JournalError: A journal cannot be read.
    """
    lines: list[str] = []
    for tracker in dict.fromkeys(trackers):
        known, now = (before or {}).get(tracker, Before()), open_now(tracker)
        found = (
            [record for record in _live(tracker) if record.execution_id in now.open - known.open] if now.open else []
        )
        lines += [_described(record) for record in found[:_SHOWN]]
        if len(found) > _SHOWN:
            lines.append(f"  and {len(found) - _SHOWN} more")
        shut_down = now.shut_down - known.shut_down
        if shut_down:
            lines.append(
                f"  {shut_down} were open when {tracker!r} was closed, which has ended them as CANCELLED (SHUTDOWN)"
            )
    if not lines:
        return None
    return "\n".join(
        [
            "the test has left executions open:",
            *lines,
            "An agent that ends like this leaves its user without an answer. End each: leave it to "
            "`with tracker.execution(…)` or `@tracker.agent(…)`, or call complete, fail, cancel, die or time_out on its "
            "handle. If it is the test's intention, mark it with @pytest.mark.leaves_executions_open.",
        ]
    )


def _live(tracker: ExecutionTracker) -> list[ExecutionRecord]:
    live = [state for state in ExecutionState if not state.is_terminal]
    return [record for state in live for record in tracker.find(state=state, limit=1_000)]


def _is_own(tracker: ExecutionTracker, record: ExecutionRecord) -> bool:
    try:
        tracker.handle(record.execution_id)
    except (NotOwnerError, FencedError):
        return False
    return True


def _described(record: ExecutionRecord) -> str:
    phase = "no phase" if record.phase is None else f"last phase {record.phase.name}"
    detail = "" if record.phase_detail is None else f" ({record.phase_detail})"
    return f"  {record.execution_id}: {record.state.name}, agent {record.agent!r}, thread {record.thread_id!r}, {phase}{detail}"


def _set_initializer(function: Any) -> None:
    tracker_class: Any = ExecutionTracker
    tracker_class.__init__ = function
