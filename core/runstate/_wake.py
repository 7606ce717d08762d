"""Waking a thread, safely for a main thread that Ctrl-C may interrupt anywhere.

`threading.Event`, `Condition` and `Future` are written in Python around a lock: an interrupt that arrives between taking
and giving back that lock leaves it taken for ever, and hangs the next thread that sets or waits. CPython delivers signals
between byte codes only, so what is one call into C happens wholly or not at all. Every wait and wake-up that the main thread
can take part in is therefore made of `SimpleQueue`, which is written in C.
"""

from __future__ import annotations

from queue import Empty, SimpleQueue
from typing import Protocol


class Listener(Protocol):
    """Something that waits, in a thread or a task, and can be woken from any thread."""

    def set(self) -> None:
        """Wake it. Neither blocks nor raises."""
        ...


class Wake:
    """An event for one waiting thread; any thread may set it, in any state of interruption."""

    __slots__ = ("__weakref__", "_queue")

    def __init__(self) -> None:
        self._queue: SimpleQueue[None] = SimpleQueue()

    def is_set(self) -> bool:
        """Whether it was set and not cleared since."""
        return not self._queue.empty()

    def set(self) -> None:
        """Wake the waiter, now or as soon as it waits."""
        queue = self._queue
        if queue.empty():
            queue.put(None)

    def clear(self) -> None:
        """Forget that it was set."""
        queue = self._queue
        while not queue.empty():
            try:
                queue.get_nowait()
            except Empty:
                return

    def wait(self, timeout: float | None = None) -> bool:
        """Block until it is set; it stays set.

        Args:
            timeout: Seconds to wait; None waits for ever.

        Returns:
            Whether it was set in time.
        """
        try:
            self._queue.get(timeout=timeout)
        except Empty:
            return False
        self._queue.put(None)
        return True
