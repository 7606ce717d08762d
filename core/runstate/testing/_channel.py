"""What the laboratory and the processes that it starts tell each other: pickled records, in order, through a pair of sockets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, TypeAlias

from runstate import Entry, ExecutionRecord, ExecutionTracker, Finding

from ._faults import Fault
from ._points import Point
from ._steps import Backend

Scenario: TypeAlias = Callable[[ExecutionTracker], object]
"""What is proven: a function, or a coroutine function, that gets a tracker and runs agents with it."""


class Channel:
    """One end. Any thread may send; one receives."""

    def __init__(self, descriptor: int) -> None:
        self._connection: Connection[Any, Any] = Connection(descriptor)
        self._sending = threading.Lock()

    def send(self, message: object) -> None:
        """Hand over a message; raises OSError when nobody is there to take it."""
        with self._sending:
            self._connection.send(message)

    def receive(self, timeout: float | None = None) -> Any:
        """Take the next message; None when the other end is gone.

        Args:
            timeout: Seconds to wait for it; None waits as long as the other end is there.

        Raises:
            TimeoutError: There was none in time.
        """
        try:
            if timeout is not None and not self._connection.poll(timeout):
                raise TimeoutError
            return self._connection.recv()
        except (EOFError, ConnectionError):
            return None
        except TimeoutError:
            raise
        except OSError:
            return None  # killed in the middle of a message

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()


class Subject(NamedTuple):
    """An order: run the scenario."""

    url: str
    lease: float
    seed: int
    backend: Backend
    point: str | None
    """Where to strike; None lists the points instead."""
    fault: Fault | None


class Observer(NamedTuple):
    """An order: be the subject's peer until the channel is closed."""

    url: str
    lease: float


class Auditor(NamedTuple):
    """An order: open the journal after everybody has gone, and say what is there."""

    url: str
    lease: float
    execution_ids: Sequence[str]
    patience: float


class Deciding(NamedTuple):
    """The subject is about to store entries of these executions."""

    execution_ids: Sequence[str]


class Stored(NamedTuple):
    """The journal has told the subject that these entries are durable."""

    entries: Sequence[Entry]


class Struck(NamedTuple):
    """The subject has reached its point; what comes next is the fault."""

    where: str


class Blocked(NamedTuple):
    """The subject had a thread blocked, and goes on."""

    stall: float
    """Seconds for which the machine did not let it run, at most: no longer than a lease, or it may rightly be given up."""


class Ended(NamedTuple):
    """The scenario has ended and the tracker is closed."""

    error: str | None
    """What it raised."""
    points: Sequence[Point]
    """All that it came by, if it was to list them."""


class Found(NamedTuple):
    """What is in the journal."""

    records: Sequence[ExecutionRecord]
    timelines: Sequence[Sequence[Entry]]
    """For each record its log."""
    findings: Sequence[Finding]
