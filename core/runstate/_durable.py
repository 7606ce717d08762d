"""Waiting in a coroutine until what was decided is durable, without blocking its loop.

The blocking twin is `JournalWriter.flush`; both wait at the same barriers.
"""

from __future__ import annotations

from ._async import Signal, running_library
from ._buffer import Barrier
from .journal._writer import JournalWriter


async def durable(writer: JournalWriter) -> None:
    """Wait until everything decided before this call is durable.

    Raises:
        JournalError: It could not be written. It is kept and tried again.
    """
    placed = _place(writer)
    if placed is None:
        return
    barrier, signal = placed
    if not barrier.settled:
        await signal.wait()
    if barrier.error is not None:
        raise barrier.error


async def durable_at_last(writer: JournalWriter) -> None:
    """Do what `durable` does whatever happens to this task; a cancellation meanwhile is raised afterwards.

    Raises:
        JournalError: It could not be written. It is kept and tried again.
    """
    placed = _place(writer)
    if placed is None:
        return
    barrier, signal = placed
    cancelled = None if barrier.settled else await signal.outlast()
    failure = barrier.error
    if cancelled is not None:
        if failure is not None:
            cancelled.add_note(f"runstate: the end of the execution is not durable: {failure}")
        raise cancelled from failure
    if failure is not None:
        raise failure


def _place(writer: JournalWriter) -> tuple[Barrier, Signal] | None:
    """Mark this place, with a signal for when it is settled; None where no loop could wait, and so the wait is over."""
    library = running_library()
    if library is None:
        writer.flush()
        return None
    signal = library.signal()
    return writer.barrier(signal.set), signal
