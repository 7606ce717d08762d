"""Everything that can be seen of a tracker and its journal, to compare before and after a refused call."""

from __future__ import annotations

from typing import NamedTuple

from runstate import Event, ExecutionRecord, ExecutionTracker, Statistics, Subscription, WaitTimeoutError


class Snapshot(NamedTuple):
    """What is known in memory, what is stored, and what was counted; `refused` apart."""

    in_memory: tuple[ExecutionRecord, ...]
    stored: tuple[ExecutionRecord, ...]
    events: tuple[Event, ...]
    statistics: Statistics


def drain(subscription: Subscription) -> tuple[Event, ...]:
    """Read every event that is there."""
    events: list[Event] = []
    try:
        while True:
            events.append(subscription.get(timeout=0.001))
    except WaitTimeoutError:
        return tuple(events)


def take(tracker: ExecutionTracker) -> Snapshot:
    """Look at everything, after all that was decided has become durable.

    As many events are read as the records count: one more would show in `statistics.written`.
    """
    tracker.flush()
    stored = tracker.find(limit=10_000)
    with tracker.subscribe() as subscription:
        events = tuple(subscription.get(timeout=5) for _ in range(sum(record.seq for record in stored)))
    in_memory = tuple(tracker.get(record.execution_id) for record in stored if not record.is_terminal)
    return Snapshot(in_memory, stored, events, tracker.statistics()._replace(refused=0))
