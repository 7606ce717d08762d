"""The journal in memory: the reference that the conformance suite is written against.

It refuses exactly what the SQL stores refuse, because it asks the same table: a fake that accepts an illegal move is
worse than none. It keeps what retention allows and is gone with the process.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final
from weakref import WeakSet

from .._clock import Clock, SystemClock
from .._errors import JournalConflictError, SubscriptionLaggedError
from .._records import (
    Census,
    Created,
    Ends,
    Entry,
    Event,
    ExecutionRecord,
    Limits,
    PhaseChange,
    Selection,
    Transition,
    Warned,
    by_time,
)
from .._states import CAUSES, TRANSITIONS, ExecutionState
from . import Page
from ._memory_log import Log
from ._memory_outbox import Box, MemoryOutbox

_open_journals: Final[WeakSet[MemoryJournal]] = WeakSet()


_COMPLETED: Final = ExecutionState.COMPLETED
_WORTH_MOVING: Final = 1_024
_STAMPED_BEFORE_NS: Final = 60_000_000_000
_TRANSITIONS: Final = dict(TRANSITIONS)  # the same tables without the read-only view around them
_CAUSES: Final = dict(CAUSES)
_THREATS: Final = CAUSES[ExecutionState.DEAD]


class MemoryJournal(MemoryOutbox):
    """Keeps executions in this process only.

    Args:
        limits: `retention` and `retained_executions` say what is kept.
        clock: The clock that pauses between attempts to deliver go by.
    """

    def __init__(self, limits: Limits | None = None, *, clock: Clock | None = None) -> None:
        self._limits = limits if limits is not None else Limits()
        self._clock = clock if clock is not None else SystemClock()
        self._boxes: dict[str, Box] = {}
        self._lock = threading.Lock()
        self._logs: dict[str, Log] = {}
        self._chained: dict[tuple[str, ...], str] = {}
        """Which execution has each place of a chain, by the chain's first one and by its message."""
        self._entries: list[Entry | None] = []
        """What is at position `_removed` + 1 and on; None where it was pruned."""
        self._removed = 0
        self._gaps = 0
        """How many pruned places are at the front of `_entries`."""
        self._pruned = 0
        self._ended: deque[Log] = deque()
        _open_journals.add(self)

    def __repr__(self) -> str:
        return f"<MemoryJournal with {len(self._logs)} executions>"

    def append(self, batch: Sequence[Entry], /) -> None:
        """Store entries in order. See `Journal.append`."""
        refused: list[str] = []
        with self._lock:
            logs, entries, table = self._logs, self._entries, _TRANSITIONS
            find, store = logs.get, entries.append  # looked up once: this loop runs for every move of the process
            for entry in batch:
                if type(entry) is Transition:
                    execution_id, seq, _, source, target, incarnation, cause, evidence, error, result_json = entry
                    log = find(execution_id)
                    if (
                        log is None
                        or seq != log.seq + 1
                        or incarnation != log.incarnation
                        or source is not log.state
                        or target not in table[source]
                    ):
                        refused.append(execution_id)
                        continue
                    if not table[target]:
                        if (
                            cause not in _CAUSES[target]
                            or evidence is None
                            or (result_json is not None and target is not _COMPLETED)
                        ):
                            refused.append(execution_id)
                            continue
                        if self._boxes and not self._is_followed(log.created):
                            self._note(log)  # before it ends: an interrupt may leave one too early, but none too few
                    elif cause is not None or evidence is not None or error is not None or result_json is not None:
                        refused.append(execution_id)
                        continue
                    log.state = target
                    log.seq = seq
                elif type(entry) is PhaseChange or type(entry) is Warned:
                    log = find(entry.execution_id)
                    if (
                        log is None
                        or entry.seq != log.seq + 1
                        or entry.incarnation != log.incarnation
                        or not table[log.state]
                        or (type(entry) is Warned and entry.cause not in _THREATS)
                    ):
                        refused.append(entry.execution_id)
                        continue
                    if type(entry) is PhaseChange:
                        log.phase = entry
                    log.seq = entry.seq
                else:
                    execution_id = entry.execution_id
                    if type(entry) is not Created or execution_id in logs or entry.seq != 1:
                        refused.append(execution_id)
                        continue
                    if entry.message_id is not None or entry.retry_of is not None or entry.attempt != 1:
                        if self._breaks_chain(entry):
                            refused.append(execution_id)
                            continue
                        self._chained |= dict.fromkeys(_places(entry), execution_id)
                    logs[execution_id] = log = Log(entry, self._removed + len(entries) + 1)
                log.last = entry
                store(entry)  # the first call after the stores: an interrupt finds an entry taken whole or not at all
                if not table[log.state]:
                    self._ended.append(log)
            if batch:
                self._prune(batch[-1].at_ns)
        if refused:
            raise JournalConflictError(refused, "they do not continue what is stored")

    def read(self, after: int, limit: int, selection: Selection, /) -> Page:
        """Read events in order of position. See `Journal.read`."""
        with self._lock:
            if 0 < after < self._pruned:
                raise SubscriptionLaggedError(after, self._pruned)
            events = list(islice(self._events(after, selection), limit))
            head = self._removed + len(self._entries)
            return Page(events, events[-1].position if len(events) == limit else max(after, head))

    def executions(self, selection: Selection, limit: int, /) -> Sequence[ExecutionRecord]:
        """Read executions, the newest first. See `Journal.executions`."""
        with self._lock:
            if selection.execution_id is not None:
                found = self._logs.get(selection.execution_id)
                logs = iter([found] if found is not None else [])
            else:
                logs = reversed(self._logs.values())
            matching = (log for log in logs if _matches(log, selection, log.state))
            return [log.record() for log in islice(matching, limit)]

    def count(self, since_ns: int, span_ns: int, user_id: str | None, /) -> Census:
        """Count what is live, and what has ended lately. See `Countable.count`."""
        live: dict[ExecutionState, int] = {}
        ended: dict[tuple[int, ExecutionState], int] = {}
        oldest: str | None = None
        with self._lock:
            still_live = len(self._logs) - len(self._ended)
            for log in reversed(self._logs.values()):
                if not still_live:
                    break
                if _TRANSITIONS[log.state]:
                    still_live -= 1
                    if user_id is None or log.created.user_id == user_id:
                        live[log.state] = live.get(log.state, 0) + 1
                        oldest = log.created.execution_id
            for log in reversed(
                self._ended
            ):  # nearly in the order of their ends: each is stamped before it is handed on
                if log.last.at_ns < since_ns - _STAMPED_BEFORE_NS:
                    break
                is_wanted = user_id is None or log.created.user_id == user_id
                if log.last.at_ns >= since_ns and is_wanted and not self._is_followed(log.created):
                    key = log.last.at_ns // span_ns * span_ns, log.state
                    ended[key] = ended.get(key, 0) + 1
        return Census(live, oldest, by_time(Ends(*key, count) for key, count in ended.items()))

    def close(self) -> None:
        """Keep everything: a closed tracker's records can still be read."""

    def _events(self, after: int, selection: Selection) -> Iterator[Event]:
        entries, removed = self._entries, self._removed
        wanted, start, last_seq = selection.execution_id, max(after, removed), 0
        if wanted is not None:
            log = self._logs.get(wanted)
            if log is None:
                return
            start, last_seq = max(start, log.first - 1), log.seq
        for index in range(start - removed, len(entries)):
            entry = entries[index]
            if entry is None or (wanted is not None and entry.execution_id != wanted):
                continue
            log = self._logs[entry.execution_id]
            if _matches(log, selection, None):
                created = log.created
                yield Event(removed + index + 1, entry, created.agent, created.thread_id, created.user_id)
            if entry.seq == last_seq:
                return

    def _is_followed(self, created: Created) -> bool:
        """Whether another attempt follows in its chain."""
        return (created.retry_of or created.execution_id, str(created.attempt + 1)) in self._chained

    def _breaks_chain(self, created: Created) -> bool:
        if created.attempt < 1 or (created.attempt == 1) != (created.retry_of is None):
            return True
        if created.retry_of is None:
            return any(place in self._chained for place in _places(created))
        first = self._logs.get(created.retry_of)
        return (
            first is None
            or first.created.attempt != 1
            or first.created.thread_id != created.thread_id
            or first.created.user_id != created.user_id
            or first.created.message_id != created.message_id
            or any(place in self._chained for place in _places(created))
        )

    def _prune(self, now_ns: int) -> None:
        ended, limits = self._ended, self._limits
        oldest_ns = now_ns - int(limits.retention * 1e9)
        while ended and (len(ended) > limits.retained_executions or ended[0].last.at_ns < oldest_ns):
            log = ended.popleft()
            self._remove(log)
            if self._boxes:
                self._forget(log)

    def _remove(self, log: Log) -> None:
        entries, execution_id = self._entries, log.created.execution_id
        del self._logs[execution_id]
        for place in _places(log.created):
            self._chained.pop(place, None)
        index, left = log.first - self._removed - 1, log.seq
        while left:
            entry = entries[index]
            if entry is not None and entry.execution_id == execution_id:
                entries[index] = None
                left -= 1
                self._pruned = max(self._pruned, self._removed + index + 1)
            index += 1
        while self._gaps < len(entries) and entries[self._gaps] is None:
            self._gaps += 1
        if self._gaps > _WORTH_MOVING and self._gaps * 2 > len(entries):
            del entries[: self._gaps]
            self._removed += self._gaps
            self._gaps = 0


def _matches(log: Log, selection: Selection, state: ExecutionState | None) -> bool:
    created = log.created
    return (
        (selection.state is None or state is None or state is selection.state)
        and (selection.agent is None or created.agent == selection.agent)
        and (selection.thread_id is None or created.thread_id == selection.thread_id)
        and (selection.user_id is None or created.user_id == selection.user_id)
        and (selection.retry_of is None or created.retry_of == selection.retry_of)
        and (selection.message_id is None or created.message_id == selection.message_id)
    )


def _places(created: Created) -> Iterator[tuple[str, ...]]:
    """The places in chains that an execution takes."""
    if created.message_id is not None:
        yield created.thread_id, created.user_id, created.message_id, str(created.attempt)
    if created.retry_of is not None:
        yield created.retry_of, str(created.attempt)


def _after_fork() -> None:
    """Replace the locks in a forked child: another thread of the parent may have held them."""
    for journal in _open_journals:
        journal._lock = threading.Lock()
        journal._free_all()


os.register_at_fork(after_in_child=_after_fork)
