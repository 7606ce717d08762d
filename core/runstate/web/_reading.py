"""Reading the journal's events up to its present end, in calls that block."""

from __future__ import annotations

from typing import NamedTuple

from runstate import (
    Event,
    ExecutionRecord,
    ExecutionState,
    ExecutionTracker,
    Subscription,
    UnknownExecutionError,
    WaitTimeoutError,
)

_AT_ONCE = 1e-9
"""Seconds; a subscription that is asked for an event within them reads the journal, and waits for nothing."""
_PAGE = 256
_PAGE_BYTES = 1 << 20


class Page(NamedTuple):
    """Some events in order."""

    events: list[Event]
    is_last: bool
    """Whether the journal held no more when it was read."""


def read_page(subscription: Subscription) -> Page:
    """Read the next events that are there: at most 256, and no more once they carry a megabyte.

    Raises:
        SubscriptionLaggedError: What comes next has been removed.
        JournalError: The journal cannot be read.
    """
    events: list[Event] = []
    size = 0
    while len(events) < _PAGE and size < _PAGE_BYTES:
        try:
            event = subscription.get(_AT_ONCE)
        except WaitTimeoutError:
            return Page(events, True)
        events.append(event)
        size += len(getattr(event.entry, "result_json", None) or b"")
    return Page(events, False)


def end_position(tracker: ExecutionTracker, execution_id: str) -> int:
    """Return the position of an execution's newest entry.

    Raises:
        UnknownExecutionError: It is not there.
        JournalError: The journal cannot be read.
    """
    position = 0
    with tracker.subscribe(execution_id=execution_id) as log:
        page = read_page(log)
        while page.events:
            position = page.events[-1].position
            page = read_page(log)
    if not position:
        raise UnknownExecutionError(execution_id)
    return position


def newest_position(tracker: ExecutionTracker) -> int:
    """Return the position of the journal's newest event; 0 if it holds none.

    Reads what has happened since the newest execution was created, and no more.

    Raises:
        JournalError: The journal cannot be read.
    """
    position = None
    while position is None:
        newest = tracker.find(limit=1)
        if not newest:
            return 0
        with tracker.subscribe(execution_id=newest[0].execution_id) as log:
            position = next((event.position for event in read_page(log).events), None)  # None: removed meanwhile
    with tracker.subscribe(after=position) as rest:
        while True:
            page = read_page(rest)
            position = page.events[-1].position if page.events else position
            if page.is_last:
                return position


def find_by_life(
    tracker: ExecutionTracker,
    *,
    state: ExecutionState | None = None,
    live: bool | None = None,
    agent: str | None = None,
    thread_id: str | None = None,
    user_id: str | None = None,
    limit: int,
) -> tuple[ExecutionRecord, ...]:
    """Find executions as `tracker.find` does, and also only the live or only the ended ones.

    States are asked for one by one, in the order in which executions go through them: one that moves on meanwhile is found twice,
    and kept once, rather than missed.
    """
    states = [one for one in ExecutionState if live is None or one.is_terminal is not live]
    if state is not None:
        states = [one for one in states if one is state]
    if live is None and state is None:
        return tracker.find(agent=agent, thread_id=thread_id, user_id=user_id, limit=limit)
    found: dict[str, ExecutionRecord] = {}
    for one in states:
        for record in tracker.find(state=one, agent=agent, thread_id=thread_id, user_id=user_id, limit=limit):
            found[record.execution_id] = record
    newest_first = sorted(found.values(), key=lambda record: (record.created_at_ns, record.execution_id), reverse=True)
    return tuple(newest_first[:limit])
