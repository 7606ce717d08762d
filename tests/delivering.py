"""What the tests of deliveries share: executions that end, notices to look at, and a delivery that a test turns by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from runstate import ExecutionTracker, Notice, NoticeRecord, NoticeState

PENDING, DELIVERED, PARKED = NoticeState.PENDING, NoticeState.DELIVERED, NoticeState.PARKED
PATIENCE: Final = 30.0
"""Seconds until what must happen by itself has failed to."""
WHO: Final = {"agent": "airline", "thread_id": "t-1", "user_id": "u-1"}


def complete(tracker: ExecutionTracker, **options: str) -> str:
    """Have an execution completed, durably; its id."""
    run = tracker.create(**{**WHO, **options}).run()
    run.complete({"text": "done"})
    tracker.flush()
    return run.execution_id


def the(tracker: ExecutionTracker, notice_id: str, outbox: str = "default") -> NoticeRecord:
    """One notice."""
    (found,) = [one for one in tracker.notices(outbox=outbox) if one.notice_id == notice_id]
    return found


def has(tracker: ExecutionTracker, notice_id: str, state: NoticeState) -> Callable[[], bool]:
    """Whether a notice is in a state, to be asked again and again."""
    return lambda: the(tracker, notice_id).state is state


class ByHand:
    """A delivery without a thread, on a journal whose clock stands still: each turn is the test's."""

    def __init__(self, tracker: ExecutionTracker, function: Callable[[Notice], object], **options: int) -> None:
        self.tracker = tracker
        tracker.deliver(function, **options)  # type: ignore[arg-type]
        self.deliverer = tracker._deliverers["default"]

    def turn(self) -> None:
        """Begin what is due, wait until it has ended, and say what came of it."""
        self.deliverer._wake.clear()
        self.deliverer.wake()
        self.deliverer._wake.clear()
        self.deliverer.turn()
        while self.deliverer._under_way:
            assert self.deliverer._wake.wait(PATIENCE)
            self.deliverer._wake.clear()
            self.deliverer._claims_from = float("inf")
            self.deliverer.turn()
        self.deliverer.turn()
