"""What `runstate top` knows: the executions that live, and how others have ended lately; kept up to date event by event.

It begins with the live executions as the journal has them at one moment, and then takes the events from a position *before* that moment.
An event that is in a record already has a seq that the record has reached, and changes nothing. An event of an execution that is not
known is of one that had ended before the first look, or of one too many, and says nothing about what lives. So no event can be lost
between the look and the following, and none counts twice.

All of it is bounded: so many live executions, so many unhappy ends, and of the others only how many ended in which second.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from runstate import Cause, Created, Event, ExecutionRecord, ExecutionState, Phase, PhaseChange, Transition, Warned

LIVE_AT_MOST: Final = 50_000
"""Live executions that are kept."""
UNHAPPY_AT_MOST: Final = 200
"""Unhappy ends that are kept."""
WINDOW: Final = 60
"""Seconds for which ends are counted."""


class LiveRow(NamedTuple):
    """A live execution."""

    execution_id: str
    agent: str
    thread_id: str
    user_id: str
    incarnation: str
    created_at_ns: int
    seq: int
    state: ExecutionState
    sign_at_ns: int
    """Time of the newest entry that is a sign of life."""
    phase: Phase | None = None
    detail: str | None = None
    warned: Cause | None = None
    """The cause of the verdict that threatens, if none of its own entries came after the warning."""
    retry_of: str | None = None
    attempt: int = 1

    @property
    def place(self) -> tuple[str, int]:
        """Its place in a chain: the first execution, and which attempt it is."""
        return self.retry_of or self.execution_id, self.attempt


class Unhappy(NamedTuple):
    """An end other than COMPLETED."""

    execution_id: str
    agent: str
    thread_id: str
    user_id: str
    at_ns: int
    state: ExecutionState
    cause: Cause | None
    error: str | None


class Ended(NamedTuple):
    """How executions have ended lately."""

    by_state: Counter[ExecutionState]
    seconds: float
    """How long that took: `WINDOW`, or less where less is known."""

    @property
    def completion(self) -> float | None:
        """The share of those that ended and were not cancelled that have a result; None of none."""
        asked = self.by_state.total() - self.by_state[ExecutionState.CANCELLED]
        return self.by_state[ExecutionState.COMPLETED] / asked if asked else None

    @property
    def reliability(self) -> float | None:
        """The share of all that ended whose own process said how: that did not end DEAD; None of none."""
        total = self.by_state.total()
        return (total - self.by_state[ExecutionState.DEAD]) / total if total else None


class Board:
    """The executions of one journal.

    Args:
        records: Those that live, at one moment.
        since_ns: From when on events come; 0 if it is from the journal's beginning.
    """

    def __init__(self, records: Iterable[ExecutionRecord], since_ns: int) -> None:
        self.live: dict[str, LiveRow] = {record.execution_id: _row(record) for record in records}
        self.unhappy: deque[Unhappy] = deque(maxlen=UNHAPPY_AT_MOST)
        """The newest last."""
        self.since_ns: int = since_ns
        self.is_cut: bool = len(self.live) >= LIVE_AT_MOST
        """Whether there are, or were, more live executions than are kept."""
        self._ended: dict[int, Counter[ExecutionState]] = {}
        self._places: set[tuple[str, int]] = {row.place for row in self.live.values()}
        """The live executions' places in their chains: the end of an attempt whose next one lives already answers nobody."""

    def apply(self, event: Event) -> None:
        """Take the next event."""
        entry = event.entry
        row = self.live.get(entry.execution_id)
        if isinstance(entry, Created):
            if row is None:
                self._add(event, entry)
        elif isinstance(entry, Transition) and entry.target.is_terminal:
            self.live.pop(entry.execution_id, None)
            self._end(event, entry, counts=row is None or (row.place[0], row.attempt + 1) not in self._places)
            if row is not None:
                self._places.discard(row.place)
        elif row is not None and entry.seq > row.seq:
            self.live[entry.execution_id] = _moved(row, entry)

    def ended(self, now_ns: int) -> Ended:
        """Count the ends of the last `WINDOW` seconds."""
        oldest = now_ns // 1_000_000_000 - WINDOW
        self._ended = {second: counts for second, counts in self._ended.items() if second > oldest}
        by_state = sum(self._ended.values(), Counter[ExecutionState]())
        return Ended(by_state, min(float(WINDOW), max(0.0, (now_ns - self.since_ns) / 1e9)))

    def _add(self, event: Event, entry: Created) -> None:
        if len(self.live) >= LIVE_AT_MOST:
            self.is_cut = True
            return
        row = self.live[entry.execution_id] = LiveRow(
            entry.execution_id,
            event.agent,
            event.thread_id,
            event.user_id,
            entry.incarnation,
            entry.at_ns,
            entry.seq,
            ExecutionState.PENDING,
            entry.at_ns,
            retry_of=entry.retry_of,
            attempt=entry.attempt,
        )
        self._places.add(row.place)

    def _end(self, event: Event, end: Transition, *, counts: bool) -> None:
        second = end.at_ns // 1_000_000_000
        has_room = second in self._ended or len(self._ended) < 10 * WINDOW  # clocks that are wrong may name any second
        if counts and has_room:
            self._ended.setdefault(second, Counter())[end.target] += 1
        if end.target is not ExecutionState.COMPLETED:
            who = (end.execution_id, event.agent, event.thread_id, event.user_id)
            self.unhappy.append(Unhappy(*who, end.at_ns, end.target, end.cause, end.error))


def _row(record: ExecutionRecord) -> LiveRow:
    return LiveRow(
        record.execution_id,
        record.agent,
        record.thread_id,
        record.user_id,
        record.incarnation,
        record.created_at_ns,
        record.seq,
        record.state,
        record.updated_at_ns,
        record.phase,
        record.phase_detail,
        retry_of=record.retry_of,
        attempt=record.attempt,
    )


def _moved(row: LiveRow, entry: Transition | PhaseChange | Warned) -> LiveRow:
    if isinstance(entry, Warned):
        return row._replace(seq=entry.seq, warned=entry.cause)
    row = row._replace(seq=entry.seq, sign_at_ns=entry.at_ns, warned=None)
    if isinstance(entry, PhaseChange):
        return row._replace(phase=entry.phase, detail=entry.detail)
    return row._replace(state=entry.target)
