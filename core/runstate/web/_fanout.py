"""One follower of the journal for all clients.

The follower reads each event once and puts it into the queue of every client that wants it; what a client costs is a queue. How a client
comes in without gap or repeat:

1. It joins. From then on each event after `position`, the place of the follower at that moment, goes into its queue.
2. It reads the journal itself, from where it was, until there is no more. That covers at least everything up to `position`, because the
   follower has read that from the same journal before.
3. It goes on with its queue, and leaves out what it has read in step 2 already, by position.

If its queue overflows during step 2 it was not slow, its past was long: it leaves, goes on reading, and joins again. If it overflows later,
it is cut off. Nobody waits for anybody: putting something into a queue never blocks.

When the journal cannot be read the clients are told, and told again when it can; the follower goes on where it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from runstate import (
    ExecutionTracker,
    RunstateError,
    Subscription,
    SubscriptionLaggedError,
    TrackerClosedError,
    UnknownExecutionError,
)

from ._frames import BROKEN, LAGGED, RESUMED, SHUTDOWN, SLOW, Ending, Frame, Told, interrupted
from ._reading import newest_position
from ._reads import Reads, Unseen
from ._settings import WebLimits
from ._vocabulary import Fold

_logger = logging.getLogger("runstate.web")
_RETRY: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between tries to read a journal that cannot be read."""


class Wanted:
    """Whose events a client wants: every field that is not None must match."""

    __slots__ = ("execution_id", "thread_id", "user_id")

    def __init__(self, execution_id: str | None, thread_id: str | None, user_id: str | None) -> None:
        self.execution_id = execution_id
        self.thread_id = thread_id
        self.user_id = user_id

    def subscribe(self, tracker: ExecutionTracker, after: int) -> Subscription:
        """Begin to read these events from the journal."""
        return tracker.subscribe(
            after=after, execution_id=self.execution_id, thread_id=self.thread_id, user_id=self.user_id
        )


class Queue:
    """What waits for one client. For the event loop's thread only.

    Args:
        wanted: Whose events it wants.
        limits: How much may wait.
    """

    __slots__ = ("_bytes", "_limits", "_waiting", "caught_up", "ending", "overflowed", "wake", "wanted", "when_ended")

    def __init__(self, wanted: Wanted, limits: WebLimits) -> None:
        self.wanted = wanted
        self.wake = asyncio.Event()
        self.ending: Ending | None = None
        """Why the client gets nothing more."""
        self.when_ended: Callable[[], None] | None = None
        """Called when that is decided."""
        self.caught_up = False
        """Whether it has read its past, and lives from this queue."""
        self.overflowed = False
        """Whether something was left out of the queue; only while it reads its past."""
        self._limits = limits
        self._waiting: deque[tuple[Told | Frame, int]] = deque()
        self._bytes = 0

    def put(self, item: Told | Frame, size: int) -> None:
        """Have one more thing wait for the client, or cut it off."""
        if self.ending is not None or self.overflowed:
            return
        is_full = len(self._waiting) >= self._limits.queued_events or self._bytes + size > self._limits.queued_bytes
        if self._waiting and is_full:
            self.clear()
            if self.caught_up:
                self.end(SLOW)
            else:
                self.overflowed = True
            return
        self._waiting.append((item, size))
        self._bytes += size
        self.wake.set()

    def take(self) -> Told | Frame | None:
        """Take what has waited longest; None if nothing waits."""
        if not self._waiting:
            return None
        item, size = self._waiting.popleft()
        self._bytes -= size
        return item

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self._bytes = 0

    def end(self, ending: Ending) -> None:
        """Have the client told why it gets nothing more. The first reason stands."""
        if self.ending is None:
            self.ending = ending
            if self.when_ended is not None:
                self.when_ended()
        self.wake.set()


class Fanout:
    """Follows the journal for as long as there are clients, and a while longer.

    Args:
        tracker: Whose journal.
        reads: Where calls that block are made.
        limits: How much may wait for one client.
    """

    def __init__(self, tracker: ExecutionTracker, reads: Reads, limits: WebLimits) -> None:
        self._tracker = tracker
        self._reads = reads
        self._limits = limits
        self._by_execution: defaultdict[str, set[Queue]] = defaultdict(set)
        self._by_thread: defaultdict[str, set[Queue]] = defaultdict(set)
        self._all: set[Queue] = set()
        self._count = 0
        self._position = 0
        self._trouble: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._beginning: asyncio.Future[int] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def clients(self) -> int:
        """How many clients there are."""
        return self._count

    async def position(self) -> int:
        """Return the place of the follower: it has handed on every event up to there. Begins to follow, if nobody has.

        Raises:
            RunstateError: The journal cannot be read.
        """
        if self._closed:
            raise TrackerClosedError
        task = self._task
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            await self._begin()
        self._linger()
        return self._position

    async def join(self, queue: Queue) -> int:
        """Put each event after the position that is returned into a client's queue, until it leaves.

        Raises:
            RunstateError: The journal cannot be read.
        """
        position = await self.position()
        self._count += 1
        self._place(queue).add(queue)
        if self._trouble is not None:
            queue.put(interrupted(self._trouble), 0)
        return position

    def leave(self, queue: Queue) -> None:
        """Put no more into a client's queue."""
        place = self._place(queue)
        if queue in place:
            place.discard(queue)
            self._count -= 1
            wanted = queue.wanted
            for key, index in ((wanted.execution_id, self._by_execution), (wanted.thread_id, self._by_thread)):
                if key is not None and not index.get(key):
                    index.pop(key, None)
        self._linger()

    def reopen(self) -> None:
        """Take clients again after `close`."""
        self._closed = False

    async def close(self) -> None:
        """End every client's stream, and follow no more."""
        self._closed = True
        self._end_all(SHUTDOWN)
        await self._stop()

    def _place(self, queue: Queue) -> set[Queue]:
        wanted = queue.wanted
        if wanted.execution_id is not None:
            return self._by_execution[wanted.execution_id]
        return self._all if wanted.thread_id is None else self._by_thread[wanted.thread_id]

    def _queues(self) -> Iterable[Queue]:
        yield from list(self._all)
        for index in (self._by_execution, self._by_thread):
            for queues in list(index.values()):
                yield from list(queues)

    def _end_all(self, ending: Ending) -> None:
        for queue in self._queues():
            queue.end(ending)

    def _tell_all(self, frame: Frame) -> None:
        for queue in self._queues():
            queue.put(frame, len(frame.data))

    # -- the follower -------------------------------------------------------------------------------------------------

    async def _begin(self) -> None:
        """Find the journal's end once, whoever asks meanwhile, and follow from there."""
        beginning = self._beginning
        if beginning is None or beginning.get_loop() is not asyncio.get_running_loop():
            beginning = self._beginning = asyncio.ensure_future(self._reads.run(newest_position, self._tracker))
            beginning.add_done_callback(self._started)
        await asyncio.shield(beginning)

    def _started(self, beginning: asyncio.Future[int]) -> None:
        self._beginning = None
        if beginning.cancelled() or beginning.exception() is not None:
            return  # told to all who wait for it
        self._position = beginning.result()
        self._trouble = None
        self._task = beginning.get_loop().create_task(self._run(), name="runstate-web-follower")

    def _linger(self) -> None:
        """Stop following a while after the last client has gone."""
        if self._idle is not None:
            self._idle.cancel()
        self._idle = None
        if self._count == 0 and self._task is not None:
            self._idle = asyncio.get_running_loop().call_later(self._limits.linger_seconds, self._stop_if_idle)

    def _stop_if_idle(self) -> None:
        task, self._idle = self._task, None
        if self._count == 0 and task is not None:
            self._task = None
            task.cancel()

    async def _stop(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = None
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        try:
            while await self._follow():
                await self._until_readable()
        except Exception:
            _logger.exception("the follower of the journal failed; its clients are told to connect again")
            self._end_all(BROKEN)

    async def _follow(self) -> bool:
        """Hand on events until the journal cannot be read; return whether to go on then."""
        fold = Fold(Unseen(self._tracker, self._reads))
        subscription = self._tracker.subscribe(after=self._position)
        try:
            async for event in subscription:
                told = Told(event, await fold.tell(event))
                self._position = event.position
                self._hand_on(told)
                await asyncio.sleep(0)  # every client that is ready sends before the next event comes
        except (SubscriptionLaggedError, UnknownExecutionError) as error:
            _logger.warning("retention has overtaken the follower of the journal; its clients begin anew: %s", error)
            self._end_all(LAGGED)
            return False
        except TrackerClosedError:
            pass
        except RunstateError as error:
            self._trouble = str(error)
            _logger.warning("the journal cannot be read for its clients; trying again: %s", error)
            self._tell_all(interrupted("the journal cannot be read now; what happens meanwhile comes later"))
            return True
        finally:
            subscription.close()
        self._end_all(SHUTDOWN)  # the tracker is closed
        return False

    async def _until_readable(self) -> None:
        tries = 0
        while True:
            await asyncio.sleep(_RETRY[min(tries, len(_RETRY) - 1)])
            tries += 1
            try:
                await self._reads.run(self._tracker.find, limit=1)
            except TrackerClosedError:
                break
            except RunstateError as error:
                self._trouble = str(error)
            else:
                break
        self._trouble = None
        self._tell_all(RESUMED)

    def _hand_on(self, told: Told) -> None:
        event = told.event
        self._put(self._by_execution.get(event.entry.execution_id), told)
        self._put(self._by_thread.get(event.thread_id), told)
        self._put(self._all, told)

    def _put(self, queues: set[Queue] | None, told: Told) -> None:
        if not queues:
            return
        user_id = told.event.user_id
        for queue in queues:
            wanted = queue.wanted
            if (wanted.user_id is None or wanted.user_id == user_id) and (
                wanted.thread_id is None or wanted.thread_id == told.event.thread_id
            ):
                queue.put(told, told.size)
