"""The outboxes of the journal in memory. It has one process only, so whoever has claimed a notice is there for as long as it is."""

from __future__ import annotations

import threading
from collections.abc import Collection, Container, Iterator, Sequence
from operator import attrgetter
from typing import Final

from .._clock import Clock
from .._errors import InvalidValueError
from .._notices import Notice, NoticeRecord, NoticeState, OutboxRecord, Settlement, Verdict
from ._memory_log import Log
from ._outbox import Candidate, complain_of_lost, wanted

_in_order: Final = attrgetter("number")


class _Kept:
    """One notice in one outbox."""

    __slots__ = ("attempts", "claimed_by", "delivered_at_ns", "due_at_ns", "error", "log", "parked_at_ns")

    def __init__(self, log: Log) -> None:
        self.log = log
        self.attempts = 0
        self.due_at_ns = 0
        self.claimed_by: str | None = None
        self.delivered_at_ns: int | None = None
        self.parked_at_ns: int | None = None
        self.error: str | None = None

    @property
    def number(self) -> int:
        """Where its execution comes in the order of creation."""
        return self.log.first

    def record(self, outbox: str, now_ns: int) -> NoticeRecord:
        """Everything known of it."""
        created, ended_at_ns = self.log.created, self.log.last.at_ns
        state = NoticeState.PENDING
        if self.delivered_at_ns is not None:
            state, now_ns = NoticeState.DELIVERED, self.delivered_at_ns
        elif self.parked_at_ns is not None:
            state = NoticeState.PARKED
        return NoticeRecord(
            created.execution_id,
            outbox,
            state,
            created.agent,
            created.thread_id,
            created.user_id,
            self.log.state,
            ended_at_ns,
            max(0, now_ns - ended_at_ns) / 1e9,
            self.attempts,
            max(0, self.due_at_ns - now_ns) / 1e9 if state is NoticeState.PENDING else None,
            self.claimed_by,
            self.delivered_at_ns,
            self.parked_at_ns,
            self.error,
        )


class Box:
    """One outbox."""

    __slots__ = ("lost", "notices", "parked", "pending", "since_ns")

    def __init__(self, since_ns: int) -> None:
        self.since_ns = since_ns
        self.notices: dict[str, _Kept] = {}
        self.pending: dict[str, _Kept] = {}
        """Those that are PENDING: there are few, where there may be very many in all."""
        self.parked = 0
        self.lost = 0


class MemoryOutbox:
    """What `Outbox` adds to `Journal`, in memory."""

    _lock: threading.Lock
    _clock: Clock
    _boxes: dict[str, Box]

    def open_outbox(self, name: str, /) -> None:
        """Have notices of all ends from now on. See `Outbox.open_outbox`."""
        with self._lock:
            self._boxes.setdefault(name, Box(self._clock.time_ns()))

    def remove_outbox(self, name: str, /) -> int | None:
        """Have no more notices in an outbox. See `Outbox.remove_outbox`."""
        with self._lock:
            box = self._boxes.pop(name, None)
            return None if box is None else len(box.pending) + box.parked

    def outboxes(self) -> Sequence[OutboxRecord]:
        """Read all outboxes. See `Outbox.outboxes`."""
        with self._lock:
            return [
                OutboxRecord(name, box.since_ns, len(box.pending), box.parked, box.lost)
                for name, box in self._boxes.items()
            ]

    def claim(
        self,
        outbox: str,
        incarnation: str,
        limit: int,
        /,
        *,
        threads: Container[str] | None = None,
        held: Collection[str] = (),
    ) -> Sequence[Notice]:
        """Take notices to deliver. See `Outbox.claim`."""
        with self._lock:
            box = self._boxes.get(outbox)
            if box is None:
                raise InvalidValueError("outbox", outbox, "one that is open")
            claimed: list[Notice] = []
            for one in wanted(self._candidates(box, incarnation), limit, threads, held):
                kept = box.pending[one.notice_id]
                kept.attempts += 1
                kept.claimed_by = incarnation
                claimed.append(Notice(one.notice_id, kept.attempts, kept.log.record()))
            return claimed

    def settle(self, outbox: str, incarnation: str, settled: Sequence[Settlement], /) -> Sequence[str]:
        """Say what came of claimed notices. See `Outbox.settle`."""
        with self._lock:
            box, now_ns = self._boxes.get(outbox), self._clock.time_ns()
            said = [(one, box is not None and _settle(box, incarnation, one, now_ns)) for one in settled]
        return [one.notice_id for one, is_done in said if one.verdict is Verdict.DELIVERED and not is_done]

    def notices(
        self, outbox: str | None, state: NoticeState | None, thread_id: str | None, limit: int, /
    ) -> Sequence[NoticeRecord]:
        """Read notices. See `Outbox.notices`."""
        with self._lock:
            now_ns = self._clock.time_ns()
            kept = [
                (one.number, name, one)
                for name, box in self._boxes.items()
                if outbox is None or name == outbox
                for one in (box.pending if state is NoticeState.PENDING else box.notices).values()
                if thread_id is None or one.log.created.thread_id == thread_id
            ]
            kept.sort(key=lambda one: -one[0])  # stable: of one execution, by outbox
            found = (one.record(name, now_ns) for _, name, one in kept if one.log.state.is_terminal)
            matching = (one for one in found if state is None or one.state is state)
            return [one for one, _ in zip(matching, range(limit), strict=False)]

    def retry_notice(self, outbox: str, notice_id: str, /) -> NoticeState | None:
        """Have a notice tried at once. See `Outbox.retry_notice`."""
        with self._lock:
            box = self._boxes.get(outbox)
            kept = None if box is None else box.notices.get(notice_id)
            if box is None or kept is None:
                return None
            if kept.delivered_at_ns is not None:
                return NoticeState.DELIVERED
            if kept.claimed_by is None:
                box.parked -= kept.parked_at_ns is not None
                kept.parked_at_ns = None
                kept.attempts = kept.due_at_ns = 0
                box.pending[notice_id] = kept
            return NoticeState.PENDING

    def _note(self, log: Log) -> None:
        """Make the notices of an execution that is about to end. With the lock held."""
        execution_id = log.created.execution_id
        for box in self._boxes.values():
            box.notices[execution_id] = box.pending[execution_id] = _Kept(log)

    def _forget(self, log: Log) -> None:
        """Remove the notices of an execution that retention removes. With the lock held."""
        lost = 0
        for box in self._boxes.values():
            kept = box.notices.pop(log.created.execution_id, None)
            if kept is not None and kept.delivered_at_ns is None:
                box.pending.pop(log.created.execution_id, None)
                box.parked -= kept.parked_at_ns is not None
                box.lost += 1
                lost += 1
        complain_of_lost(lost)

    def _free_all(self) -> None:
        """Let go of what the parent of this forked child has claimed, in the child's copy."""
        for box in self._boxes.values():
            for kept in box.pending.values():
                kept.claimed_by = None

    def _candidates(self, box: Box, incarnation: str) -> Iterator[Candidate]:
        now_ns = self._clock.time_ns()
        for kept in sorted(box.pending.values(), key=_in_order):
            is_free = kept.claimed_by is None or kept.claimed_by == incarnation
            if is_free and kept.due_at_ns <= now_ns and kept.log.state.is_terminal:
                created = kept.log.created
                yield Candidate(kept.number, created.execution_id, created.thread_id)


def _settle(box: Box, incarnation: str, said: Settlement, now_ns: int) -> bool:
    """Settle one notice; whether it is DELIVERED by this worker now."""
    kept = box.notices.get(said.notice_id)
    if kept is None or kept.claimed_by != incarnation:
        return False
    if kept.delivered_at_ns is not None:
        return True
    if said.verdict is Verdict.DELIVERED:
        kept.delivered_at_ns = now_ns
        del box.pending[said.notice_id]
        return True
    kept.claimed_by = None
    kept.error = said.error or kept.error
    if said.verdict is Verdict.LATER:
        kept.due_at_ns = now_ns + round(said.pause * 1e9)
    if said.verdict in {Verdict.RELEASED, Verdict.EXHAUSTED}:
        kept.attempts -= 1
    if said.verdict in {Verdict.PARKED, Verdict.EXHAUSTED}:
        kept.parked_at_ns = now_ns
        del box.pending[said.notice_id]
        box.parked += 1
    return False
