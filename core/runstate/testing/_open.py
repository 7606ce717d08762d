"""What a test leaves open, for the pytest plugin."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Generator, Iterable
from typing import Any, Final

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


@contextlib.contextmanager
def noting_trackers(made: list[ExecutionTracker]) -> Generator[None]:
    """Note every tracker that is made meanwhile, in any thread.

    Args:
        made: Where.
    """
    make: Any = ExecutionTracker.__init__

    @functools.wraps(make)
    def make_and_note(self: ExecutionTracker, *arguments: Any, **options: Any) -> None:
        make(self, *arguments, **options)
        made.append(self)

    _set_initializer(make_and_note)
    try:
        yield
    finally:
        _set_initializer(make)


def left_open(trackers: Iterable[ExecutionTracker]) -> str | None:
    """Say what trackers have open, and what they had open when they were closed; None if that is nothing.

    Args:
        trackers: Which.

    Raises:
        JournalError: A journal cannot be read.
    """
    lines: list[str] = []
    for tracker in dict.fromkeys(trackers):
        statistics = tracker.statistics()
        if statistics.live:
            found = [record for record in _live(tracker) if _is_own(tracker, record)]
            lines += [_described(record) for record in found[:_SHOWN]]
            if statistics.live > _SHOWN:
                lines.append(f"  and {statistics.live - _SHOWN} more")
        shut_down = statistics.ended.get((ExecutionState.CANCELLED, Cause.SHUTDOWN), 0)
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
