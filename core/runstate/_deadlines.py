"""A heap of limits: finding what has expired costs as much as there is expired, however much is live.

Whoever creates an execution only appends it to `inbox` (one atomic append, no lock); the sweeping thread moves what it finds
there into a heap that nobody else touches. The heap is ordered by the time at which an item was last known to come due; an
item that turns out to have moved its limit meanwhile, by a heartbeat, goes back with its new time. Items that close leave
their places behind; once those outnumber the rest they are dropped in one pass, so the heap stays within twice the live
ones at a constant cost per item.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from typing import Final, Generic, Protocol, TypeVar

NEVER: Final = 1 << 63
"""Later than any clock will say, in nanoseconds."""

_WORTH_A_PASS: Final = 1_024


class Limited(Protocol):
    """Something with limits that no longer matter once it is closed."""

    closed: bool

    def due_ns(self) -> int:
        """When its next limit passes, by the monotonic clock; `NEVER` without one."""
        ...


T = TypeVar("T", bound=Limited)


class Deadlines(Generic[T]):
    """Items in the order in which their limits pass. `add` is safe from any thread; `due` is for one thread at a time."""

    __slots__ = ("_heap", "_order", "alarm", "idle", "inbox", "left", "next_ns")

    def __init__(self) -> None:
        self.inbox: deque[T] = deque()
        self.next_ns: int = NEVER
        """When to look next."""
        self.alarm: Callable[[], None] = lambda: None
        """Called when `next_ns` has come closer, or nobody is to be idle any more."""
        self.idle: bool = False
        """Whether who enforces the limits sleeps until the next one, and looks at nothing in between."""
        self.left: int = 0
        """Items that have closed. Approximate: a lost count only delays the next pass."""
        self._heap: list[tuple[int, int, T]] = []
        self._order = count()

    def __len__(self) -> int:
        return len(self._heap) + len(self.inbox)

    def add(self, item: T, when_ns: float) -> None:
        """Have *item* looked at when the monotonic clock says *when_ns*, which is not after it comes due."""
        self.inbox.append(item)
        if when_ns < self.next_ns:
            self.next_ns = int(when_ns)
            self.alarm()
        elif self.left > _WORTH_A_PASS and self.left > len(self._heap) + len(self.inbox) - self.left:
            self.next_ns = 0
            self.alarm()

    def rouse(self) -> None:
        """Have what is live looked at from time to time from now on."""
        self.idle = False
        self.alarm()

    def clear(self) -> None:
        """Forget everything, in a forked child whose executions are the parent's."""
        self.inbox.clear()
        self._heap.clear()
        self.left = 0
        self.next_ns = NEVER

    def postpone(self, item: T, when_ns: int) -> None:
        """Have *item*, which `due` has yielded, looked at again at *when_ns*. For the thread that sweeps."""
        heapq.heappush(self._heap, (when_ns, next(self._order), item))
        self.next_ns = min(self.next_ns, when_ns)

    def due(self, now_ns: int) -> Iterator[T]:
        """Remove and yield what has come due by *now_ns*; afterwards `next_ns` is the next time to look."""
        heap = self._heap
        self.next_ns = NEVER
        inbox, closed = self.inbox, 0
        while inbox:
            item = inbox.popleft()
            if item.closed:
                closed += 1
            else:
                self._put(item)
        self.left = max(0, self.left - closed)
        if self.left > _WORTH_A_PASS and self.left * 2 > len(heap):
            self.left = 0
            heap[:] = [place for place in heap if not place[2].closed]
            heapq.heapify(heap)
        while heap and heap[0][0] <= now_ns:
            item = heapq.heappop(heap)[2]
            if item.closed:
                self.left = max(0, self.left - 1)
            elif item.due_ns() > now_ns:
                self._put(item)
            else:
                yield item
        if heap:
            self.next_ns = min(self.next_ns, heap[0][0])

    def _put(self, item: T) -> None:
        when_ns = item.due_ns()
        if when_ns < NEVER:
            heapq.heappush(self._heap, (when_ns, next(self._order), item))
