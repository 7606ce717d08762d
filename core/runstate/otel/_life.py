"""What telemetry needs to know of one execution: how it began, and what has happened since, as the journal has told it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from typing import Final

from runstate import Cause, Created, Entry, ExecutionState, Transition

from ._origin import Origin, read

KEPT: Final = 128
"""Entries of one execution that are kept, the newest: as many as the SDK keeps events of a span by default."""

_EXCEPTION: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*(?=:|\s|$)")
"""The name of an exception, which an error's text begins with when an exception was raised."""


class Life:
    """One execution, from its first entry to the newest that was read."""

    __slots__ = ("created", "entries", "origin", "seq", "state")

    def __init__(self, created: Created) -> None:
        self.created: Created = created
        self.origin: Origin = read(created.execution_id, created.metadata_json)
        self.entries: deque[Entry] = deque(maxlen=KEPT)
        self.state: ExecutionState = ExecutionState.PENDING
        self.seq: int = created.seq

    def take(self, entry: Entry) -> None:
        """Add what has happened; what is known already is passed over."""
        if entry.seq > self.seq:
            self.seq = entry.seq
            self.entries.append(entry)
            if isinstance(entry, Transition):
                self.state = entry.target

    @property
    def place(self) -> tuple[str, int]:
        """Its place in a chain: the first execution, and which attempt it is."""
        return self.created.retry_of or self.created.execution_id, self.created.attempt

    @classmethod
    def told(cls, entries: Iterable[Entry]) -> Life | None:
        """Make one of an execution's log; None if the log lacks its beginning."""
        life: Life | None = None
        for entry in entries:
            if isinstance(entry, Created):
                life = cls(entry)
            elif life is not None:
                life.take(entry)
        return life


def error_type(end: Transition) -> str | None:
    """Return what the conventions call the type of an unhappy end's error: the exception's name, else the cause; None for COMPLETED."""
    if end.target is ExecutionState.COMPLETED:
        return None
    if end.cause is Cause.RAISED and end.error is not None and (name := _EXCEPTION.match(end.error)) is not None:
        return name[0]
    return None if end.cause is None else end.cause.value


def seconds_between(one_ns: int, other_ns: int) -> float:
    """Return the seconds from one time to a later one; 0 where clocks of two machines say that it was earlier."""
    return max(0, other_ns - one_ns) / 1e9
