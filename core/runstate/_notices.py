"""Notices: that an execution has ended, kept until somebody who can reach its user has been told.

An *outbox* is a named, durable subscription to ends. While a journal has one, whatever stores an end stores a *notice* of it in the
same transaction, burials included, so no crash loses the one without the other. A notice is delivered at least once: to a function
that some live process gives to `tracker.deliver`. Its id is the execution's, which ends once, so a receiver drops repeats by it.

| a notice | is | and becomes |
|---|---|---|
| PENDING | to be delivered: at once, or when the pause after a failure is over | DELIVERED, PARKED |
| PENDING, claimed | being delivered by one worker | the same, or PENDING again |
| DELIVERED | done; kept for as long as its execution is | – |
| PARKED | given up, after so many attempts; a person looks at it | PENDING, by `tracker.retry_notice` |

A *claim* has no lease of its own. It is good for as long as its worker is there: when that has left or is fenced, whatever it had claimed is
anybody's. So a deliverer's death costs what any worker's death costs, and who was held for dead can acknowledge nothing any more.
"""

from __future__ import annotations

import threading
from collections import deque
from enum import Enum
from typing import Final, NamedTuple

from ._json import Json
from ._outcomes import Outcome, outcome_of
from ._records import ExecutionRecord
from ._states import ExecutionState

DEFAULT: Final = "default"
"""The outbox of those who need only one."""
RECENT: Final = 1_024
"""Deliveries that the percentiles are made of, the newest."""


class NoticeState(Enum):
    """What has become of a notice."""

    PENDING = "pending"
    """It is to be delivered, or somebody is at it."""
    DELIVERED = "delivered"
    """Whoever had it to deliver has done so, and has said so."""
    PARKED = "parked"
    """It was tried as often as was asked for. Nobody tries any more until a person says so."""


class Notice(NamedTuple):
    """An execution has ended, and its user is to be told. Handed to the function of `tracker.deliver`."""

    notice_id: str
    """The execution's id. It comes again when it is not certain that it has arrived: drop repeats by it."""
    attempt: int
    """The how-manieth attempt this is, from 1."""
    record: ExecutionRecord
    """The execution, which has ended."""

    @property
    def outcome(self) -> Outcome[Json]:
        """How the execution ended."""
        return outcome_of(self.record)


class NoticeRecord(NamedTuple):
    """A notice as the journal has it."""

    notice_id: str
    """The execution's id."""
    outbox: str
    state: NoticeState
    agent: str
    thread_id: str
    user_id: str
    end: ExecutionState
    """How the execution ended."""
    ended_at_ns: int
    """When, in nanoseconds since the Unix epoch."""
    age: float
    """Seconds since then by the store's clock; until it was delivered, if it was."""
    attempts: int
    """How often it was tried, since it was last taken out of those that are PARKED."""
    due_in: float | None = None
    """Seconds until it is tried, 0 for at once; None unless it is PENDING."""
    claimed_by: str | None = None
    """The worker that is delivering it, or has delivered it; None also when retention has removed that worker's row since."""
    delivered_at_ns: int | None = None
    parked_at_ns: int | None = None
    error: str | None = None
    """Why the newest attempt that failed did."""


class OutboxRecord(NamedTuple):
    """An outbox, and how it is doing."""

    name: str
    since_ns: int
    """When it was opened, in nanoseconds since the Unix epoch: what had ended before has no notice in it."""
    pending: int
    """Notices that are to be delivered."""
    parked: int
    """Notices that were given up."""
    lost: int
    """Notices that retention has removed, with their executions, before they were delivered."""


class Verdict(Enum):
    """What came of an attempt to deliver."""

    DELIVERED = "delivered"
    """It has arrived."""
    LATER = "later"
    """It has not; try again after a pause."""
    PARKED = "parked"
    """It has not, and that was the last attempt."""
    EXHAUSTED = "exhausted"
    """It was not tried, as whoever had tried it before has died, each time, and that was as often as it may be. It is PARKED."""
    RELEASED = "released"
    """It was not tried: the deliverer stops. The attempt does not count."""


class Settlement(NamedTuple):
    """What came of one claimed notice."""

    notice_id: str
    verdict: Verdict
    error: str | None = None
    """What went wrong; for LATER, PARKED and EXHAUSTED."""
    pause: float = 0.0
    """Seconds until the next attempt; for LATER."""


class NoticeTally:
    """What one tracker has delivered, and how long that took. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._delays: deque[float] = deque()
        self.delivered: int = 0
        self.retried: int = 0
        self.parked: int = 0

    def deliver(self, delay: float) -> None:
        """Count a notice that has arrived so many seconds after the end that it tells of."""
        with self._lock:
            self.delivered += 1
            self._delays.append(max(0.0, delay))
            if len(self._delays) > RECENT:
                self._delays.popleft()

    def fail(self, *, parked: bool) -> None:
        """Count an attempt that failed."""
        with self._lock:
            self.retried += not parked
            self.parked += parked

    def delays(self) -> tuple[float | None, float | None, float | None]:
        """The median, the 99th percentile and the longest of the newest `RECENT` delays, in seconds; None without any."""
        with self._lock:
            delays = sorted(self._delays)
        if not delays:
            return None, None, None
        return delays[(len(delays) - 1) // 2], delays[-(len(delays) // 100) - 1], delays[-1]
