"""Calls that block, in a few threads of the app's own: neither the event loop nor the host's threads wait for the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from runstate import Entry, ExecutionRecord, ExecutionTracker, RunstateError

from ._refusals import RefusedError, refusal_of

P = ParamSpec("P")
T = TypeVar("T")

_BUSY: Final = "more requests wait for the journal than it can answer soon; try again in a second"


class Reads:
    """Runs calls in threads.

    Args:
        threads: How many at once.
        waiting: How many requests may wait for one.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self._threads = threads
        self._waiting = waiting
        self._answering = 0
        self._executor: ThreadPoolExecutor | None = None

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call *function* in a thread, however many wait: for streams, which are bounded themselves."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self._threads, "runstate-web")
        return await asyncio.get_running_loop().run_in_executor(self._executor, lambda: function(*args, **kwargs))

    async def answer(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call *function* in a thread for a request.

        Raises:
            RefusedError: Too many wait already, or the tracker has refused.
        """
        if self._answering >= self._waiting:
            raise RefusedError(503, "busy", _BUSY, {"Retry-After": "1"})
        self._answering += 1
        try:
            return await self.run(function, *args, **kwargs)
        except RunstateError as error:
            raise refusal_of(error) from error
        finally:
            self._answering -= 1

    def close(self) -> None:
        """Let the threads end; the next call makes new ones."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)


class Unseen:
    """Reads from the journal what a stream has not seen come by.

    Args:
        tracker: Whose journal.
        reads: Where the calls are made.
    """

    def __init__(self, tracker: ExecutionTracker, reads: Reads) -> None:
        self._tracker = tracker
        self._reads = reads

    async def log(self, execution_id: str) -> Sequence[Entry]:
        """Read the whole log of an execution.

        Raises:
            RunstateError: It is not there, or cannot be read.
        """
        return await self._reads.run(self._tracker.timeline, execution_id)

    async def chain(self, execution_id: str) -> Sequence[ExecutionRecord]:
        """Read all attempts of the chain that an execution is in.

        Raises:
            RunstateError: It is not there, or cannot be read.
        """
        return await self._reads.run(self._tracker.attempts, execution_id)
