"""The bounded hand-off between the decider, which must never wait, and the writer, which may.

`entries` is a plain deque, appended to by whoever decides and popped by whoever writes. It is never a
`deque(maxlen=…)`: that would drop the oldest entry in silence. Instead the decider compares its length with `capacity`
first, and that one comparison also covers a failed or closed journal: both set `capacity` to 0, and `refusal` says why.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from ._errors import JournalError, JournalFullError, RunstateError, TrackerClosedError
from ._records import Created, Entry, Limits, Transition
from ._wake import Wake

SMALL: Final = 1_024
"""Bytes up to which a payload is not counted: the bound on entries bounds those already."""


class Barrier:
    """A place in the buffer: it is settled once everything before it is durable, or has failed.

    Args:
        tell: Called with it when it is settled, perhaps twice, in whichever thread wrote. It must neither block nor raise.
    """

    __slots__ = ("_tell", "_wake", "error", "settled")

    def __init__(self, tell: Callable[[Barrier], None] | None = None) -> None:
        self._tell = tell
        self._wake = Wake()
        self.settled: bool = False
        self.error: RunstateError | None = None
        """Why not everything before it is durable."""

    def settle(self, error: RunstateError | None) -> None:
        """Tell whoever waits. A second call changes nothing: what was told first stays."""
        if self.settled:
            return
        if error is not None:
            self.error = copy.copy(error)  # each waiter gets one of its own, which it may add to
            self.error.__cause__ = error
        self._wake.set()
        if self._tell is not None:
            self._tell(self)
        self.settled = True  # last: an interrupted call is made again

    def wait(self, timeout: float | None = None) -> bool:
        """Block until it is settled; say whether it was in time. For one waiter.

        Args:
            timeout: Seconds to wait; None waits for ever.

        Raises:
            RunstateError: `error`.
        """
        if not self._wake.wait(timeout):
            return False
        if self.error is not None:
            raise self.error
        return True


class Buffer:
    """Entries decided and not yet durable, in order, with the barriers that wait for them."""

    __slots__ = (
        "_bytes_lock",
        "_limits",
        "capacity",
        "closed",
        "entries",
        "failure",
        "idle",
        "relief",
        "reserved",
        "urgent",
        "wake",
        "write",
    )

    def __init__(self, limits: Limits) -> None:
        self.entries: deque[Entry | Barrier] = deque()
        self.capacity: int = limits.pending_entries
        """Entries past which moves are refused."""
        self.relief: int = limits.pending_entries
        """Entries past which `relieve` is asked before an execution is created."""
        self.write: Callable[[], None] | None = None
        """Writes what is here, in the caller's thread, unless somebody is writing. None where writing may block."""
        self.failure: JournalError | None = None
        self.closed: bool = False
        self.idle: bool = False
        """Whether the writer sleeps until there is anything to write."""
        self.urgent: bool = False
        """Whether somebody waits at a barrier: the writer then gathers no longer."""
        self.wake: Wake = Wake()
        self._limits = limits
        self.reserved: int = 0
        self._bytes_lock = threading.Lock()

    def pending(self) -> int:
        """How many entries wait to become durable; barriers do not count."""
        return sum(not isinstance(item, Barrier) for item in list(self.entries))

    def hurry(self) -> None:
        """Have the writer write now."""
        self.urgent = True
        self.wake.set()

    def write_in_callers(self, write: Callable[[], None], every: int) -> None:
        """Have whoever creates executions write, once for every so many entries: for journals that never block."""
        self.write = write
        self.relief = min(self.capacity, every)

    def relieve(self) -> None:
        """Make room if that is possible without blocking.

        Raises:
            RunstateError: There is no room.
        """
        if self.write is not None and self.failure is None and not self.closed:
            self.write()
        if len(self.entries) >= self.capacity:
            raise self.refusal()

    def refusal(self) -> RunstateError:
        """Say why nothing is taken right now."""
        if self.failure is not None:
            again = copy.copy(self.failure)  # one exception object raised in many threads would share its traceback
            again.__cause__ = self.failure
            return again
        if self.closed:
            return TrackerClosedError()
        return JournalFullError("too many entries wait to be written", self._limits.pending_entries)

    def reserve(self, size: int) -> None:
        """Count the payload of an entry about to be appended.

        Raises:
            JournalFullError: The payloads that wait would pass their budget.
        """
        with self._bytes_lock:
            if self.reserved and self.reserved + size > self._limits.pending_bytes:
                raise JournalFullError("too many bytes wait to be written", self._limits.pending_bytes)
            self.reserved += size

    def drop_first(self) -> None:
        """Take out the oldest item, and give back what `reserve` counted for it."""
        size = payload_size(self.entries[0])
        with self._bytes_lock:  # an interrupt comes before or after both of these
            self.reserved -= size
            self.entries.popleft()

    def fail(self, failure: JournalError) -> None:
        """Refuse everything from now on, for this reason."""
        self.failure = failure
        self.capacity = self.relief = 0

    def heal(self) -> None:
        """Take entries again after a failure was overcome."""
        self.failure = None
        self.capacity = self.relief = 0 if self.closed else self._limits.pending_entries

    def after_fork(self) -> None:
        """Start afresh in a forked child: the parent writes what was pending."""
        self.entries.clear()
        self.wake = Wake()
        self.idle = self.urgent = False
        self.reserved = 0
        self._bytes_lock = threading.Lock()
        self.heal()

    def close(self) -> None:
        """Take no more entries; what is inside is still written."""
        self.closed = True
        self.capacity = self.relief = 0


def payload_size(entry: Entry | Barrier) -> int:
    """Bytes that an entry counts against the payload budget: those of a payload that is not small."""
    payload = None
    if isinstance(entry, Transition):
        payload = entry.result_json
    elif isinstance(entry, Created):
        payload = entry.metadata_json
    return len(payload) if payload is not None and len(payload) > SMALL else 0
