"""The executions that legacy records show: live ones, and as many of the ended as code may still be holding on to.

There is no index by agent or thread to grow: the journal answers those questions. What is not in the book is read from the
core, so an execution is found whoever created it; what leaves the book loses only what a facade knew beside the core.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, cast
from weakref import WeakValueDictionary

from .. import (
    Clock,
    Execution,
    ExecutionRecord,
    ExecutionTracker,
    FencedError,
    LiveState,
    NotJsonError,
    NotOwnerError,
    UnknownExecutionError,
)
from ._arguments import positive
from ._fork import ForkSafeLock
from ._ids import core_id
from ._life import Facade, Life
from ._moves import as_json

RECENT: Final = 256
"""How many ended executions keep what a facade knew of them."""

CEILING: Final = 86_400.0
"""Seconds after which the core itself ends a legacy execution, whose own limit may be moved up to that."""


class Book:
    """Finds and makes `Life` objects. Safe to use from any thread.

    Args:
        tracker: The core.
        clock: Its clocks.
        alarm: To be called when a limit of an execution comes closer.
    """

    def __init__(self, tracker: ExecutionTracker, clock: Clock, alarm: Callable[[Life], None]) -> None:
        self._tracker = tracker
        self._clock = clock
        self._alarm = alarm
        self._lock = ForkSafeLock()
        self._live: dict[str, Life] = {}
        self._ended: OrderedDict[str, Life] = OrderedDict()
        self._dropped: OrderedDict[str, None] = OrderedDict()
        self._seen: WeakValueDictionary[str, Life] = WeakValueDictionary()
        """What no facade has created, for as long as somebody holds a record of it."""

    def create(
        self,
        facade: Facade,
        *,
        agent: str,
        thread_id: str,
        user_id: str,
        timeout: float,
        heartbeat_timeout: float | None,
        metadata: Mapping[str, Any] | None,
    ) -> Life:
        """Create an execution in the core, PENDING.

        Args:
            facade: Who creates it.
            agent: Its agent.
            thread_id: The conversation that asked.
            user_id: The user who asked.
            timeout: Seconds from now to TIMEOUT. It may be changed later, so it is not the core's, which is `CEILING` or more.
            heartbeat_timeout: Seconds without a sign of life to DEAD; None is no limit.
            metadata: Facts to keep with it.

        Raises:
            RunstateError: The core refuses.
        """
        positive("timeout", timeout)
        if heartbeat_timeout is not None:
            positive("heartbeat_timeout", heartbeat_timeout)
        create = partial(
            self._tracker.create, agent=agent, thread_id=thread_id, user_id=user_id, timeout=max(timeout, CEILING)
        )
        try:
            execution = create(metadata=metadata)
        except NotJsonError:
            execution = create(metadata=cast("dict[str, object]", as_json("metadata", dict(metadata or {}))))
        life = self._life(execution.record, execution, facade)
        life.started_ns = life.beat_ns = now_ns = self._clock.monotonic_ns()
        life.offset_ns = life.record.created_at_ns - now_ns
        life.timeout = timeout
        life.heartbeat_timeout = heartbeat_timeout
        life.metadata = dict(metadata or {})
        with self._lock:
            self._live[life.execution_id] = life
        return life

    def find(self, execution_id: object) -> Life:
        """Return an execution by any facade's id, whoever created it.

        Raises:
            UnknownExecutionError: No execution has this id.
            JournalError: The journal cannot be read.
        """
        key = core_id(execution_id)
        return self._known(key) or self._read(key)

    def those(self, newest_first: Iterable[ExecutionRecord]) -> list[Life]:
        """The executions that records of the core describe, oldest first; without those cleaned up, or pruned in between."""
        lives: list[Life] = []
        for record in newest_first:
            with suppress(UnknownExecutionError):
                lives.append(self._known(record.execution_id) or self._read(record.execution_id))
        return lives[::-1]

    def live(self) -> list[Life]:
        """All live executions that facades have created, oldest first."""
        with self._lock:
            lives = list(self._live.values())
        return [life for life in lives if not life.state.is_terminal]

    def recent(self) -> list[Life]:
        """The newest ended executions that facades have created, oldest first; at most `RECENT`."""
        with self._lock:
            return list(self._ended.values())

    def retire(self, life: Life) -> bool:
        """Note that an execution has ended; return whether that is news."""
        with self._lock:
            if life.retired:
                return False
            life.retired = True
            self._live.pop(life.execution_id, None)
            self._ended[life.execution_id] = life
            while len(self._ended) > RECENT:
                self._ended.popitem(last=False)
            return True

    def drop(self, life: Life) -> None:
        """Show an ended execution no longer. The core goes on keeping it."""
        with self._lock:
            self._ended.pop(life.execution_id, None)
            self._dropped[life.execution_id] = None
            while len(self._dropped) > RECENT:
                self._dropped.popitem(last=False)

    def _known(self, key: str) -> Life | None:
        with self._lock:
            if key in self._dropped:
                raise UnknownExecutionError(key)
            return self._live.get(key) or self._ended.get(key) or self._seen.get(key)

    def _read(self, key: str) -> Life:
        try:
            execution = cast("Execution[LiveState]", self._tracker.handle(key))  # of an ended one there is none
        except (FencedError, NotOwnerError):
            execution = None  # it has ended, or is another process's: it is shown as the journal has it
        record = execution.record if execution is not None else self._tracker.get(key)
        life = self._life(record, execution, None)
        with self._lock:
            return self._seen.setdefault(key, life)

    def _life(self, record: ExecutionRecord, execution: Execution[LiveState] | None, facade: Facade | None) -> Life:
        clock, tracker, key = self._clock, self._tracker, record.execution_id
        offset_ns = clock.time_ns() - clock.monotonic_ns()
        age = record.evidence.last_beat_age if record.evidence is not None else None
        metadata = record.metadata
        return Life(
            execution_id=key,
            facade=facade,
            execution=execution,
            read=(lambda: record) if record.is_terminal else (lambda: tracker.get(key)),
            clock=clock.monotonic_ns,
            offset_ns=offset_ns,
            started_ns=record.created_at_ns - offset_ns,
            beat_ns=record.updated_at_ns - offset_ns - int((age or 0.0) * 1e9),
            timeout=record.timeout if record.timeout is not None else math.inf,
            alarm=self._alarm,
            more_beats=record.evidence.beats if record.evidence is not None else 0,
            metadata=metadata if isinstance(metadata, dict) else {},
        )
