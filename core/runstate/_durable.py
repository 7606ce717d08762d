"""Waiting in a coroutine until what was decided is durable, without blocking its loop.

The blocking twin is `JournalWriter.flush`; both wait at the same barriers.
"""

from __future__ import annotations

from ._async import running_library
from .journal._writer import JournalWriter


async def durable(writer: JournalWriter) -> None:
    """Wait until everything decided before this call is durable.

    Raises:
        JournalError: It could not be written. It is kept and tried again.
    """
    library = running_library()
    if library is None:
        writer.flush()
        return
    signal = library.signal()
    barrier = writer.barrier(signal.set)
    if not barrier.settled:
        await signal.wait()
    if barrier.error is not None:
        raise barrier.error


async def durable_at_last(writer: JournalWriter) -> None:
    """Do what `durable` does whatever happens to this task; a cancellation meanwhile is raised afterwards.

    Raises:
        JournalError: It could not be written. It is kept and tried again.
    """
    library = running_library()
    if library is None:
        writer.flush()
        return
    signal = library.signal()
    barrier = writer.barrier(signal.set)
    cancelled = None if barrier.settled else await signal.outlast()
    failure = barrier.error
    if cancelled is not None:
        if failure is not None:
            cancelled.add_note(f"runstate: the end of the execution is not durable: {failure}")
        raise cancelled from failure
    if failure is not None:
        raise failure
