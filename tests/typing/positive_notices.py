"""What every public callable about notices gives, pinned with `assert_type`. Read by type checkers, never run."""

from __future__ import annotations

from typing import assert_type

from runstate import (
    Delivery,
    ExecutionRecord,
    ExecutionState,
    ExecutionTracker,
    Json,
    Notice,
    NoticeRecord,
    NoticeState,
    OutboxRecord,
    Outcome,
)


def tell(notice: Notice) -> None:
    """A notice says which execution has ended, and how."""
    assert_type(notice.notice_id, str)
    assert_type(notice.attempt, int)
    assert_type(notice.record, ExecutionRecord)
    assert_type(notice.outcome, Outcome[Json])


async def atell(notice: Notice) -> str:
    """A coroutine function may be told as well, and may give anything."""
    return notice.notice_id


def delivering(tracker: ExecutionTracker) -> None:
    """Plain functions, coroutine functions and what else can be called is told; the handle closes and wakes."""
    with tracker.deliver(tell) as delivery:
        assert_type(delivery, Delivery)
        assert_type(delivery.outbox, str)
        assert_type(delivery.is_closed, bool)
        delivery.wake()
        delivery.close()
    connected = {"t-1": object()}
    tracker.deliver(atell, outbox="chat", threads=connected.keys, attempts=3, timeout=5, concurrency=2)
    tracker.deliver(print, threads=lambda: ["t-1"])


def reading(tracker: ExecutionTracker) -> None:
    """Notices and outboxes are typed facts."""
    assert_type(tracker.notices(), tuple[NoticeRecord, ...])
    for notice in tracker.notices(outbox="default", state=NoticeState.PARKED, thread_id="t-1", limit=5):
        assert_type(notice.state, NoticeState)
        assert_type(notice.end, ExecutionState)
        assert_type(notice.due_in, float | None)
        assert_type(notice.error, str | None)
        tracker.retry_notice(notice.notice_id, outbox=notice.outbox)
    assert_type(tracker.outboxes(), tuple[OutboxRecord, ...])
    assert_type(tracker.remove_outbox("default"), int)
    assert_type(tracker.statistics().notice_delay_p99, float | None)
