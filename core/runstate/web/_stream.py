"""One client's stream: its past from the journal, then its present from the fan-out, as batches of messages to send.

See `_fanout` for how the two are joined without gap or repeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Final, NamedTuple

from runstate import (
    Event,
    ExecutionRecord,
    ExecutionTracker,
    RunstateError,
    Subscription,
    SubscriptionLaggedError,
    UnknownExecutionError,
)

from ._fanout import Fanout, Queue, Wanted
from ._frames import ENDED, GONE, LAGGED, RENEW, UNREADABLE, Frame, Told, Vocabulary
from ._place import Place
from ._presence import Presence
from ._reading import Page, newest_position, read_page
from ._reads import Reads, Unseen
from ._refusals import RefusedError, refusal_of
from ._settings import Principal, WebLimits
from ._vocabulary import Fold

_CHUNK: Final = 65_536
"""Bytes of messages that are sent at once, if as many wait."""


class Batch(NamedTuple):
    """What is to be sent next; nothing, if it is time for a sign of life."""

    frames: list[Frame]
    finals: list[Event]
    """The ends among them that no other attempt follows."""


class Sources(NamedTuple):
    """What all streams of an app share."""

    tracker: ExecutionTracker
    fanout: Fanout
    reads: Reads
    presence: Presence
    limits: WebLimits


class Stream:
    """Messages for one client: `open`, then `batches`; `queue.ending` says why they have ended. Always `close` it.

    Args:
        sources: Where they come from.
        principal: Who reads; the caller has made sure that it may.
        wanted: Whose events.
        vocabulary: In which words.
        place: Where to begin.
        record: The one execution that is followed, if it is one.
    """

    def __init__(
        self,
        sources: Sources,
        principal: Principal,
        wanted: Wanted,
        vocabulary: Vocabulary,
        place: Place,
        record: ExecutionRecord | None = None,
    ) -> None:
        self._sources = sources
        self._principal = principal
        self._wanted = wanted
        self._vocabulary = vocabulary
        self._place = place
        self._record = record
        self._thread = wanted.thread_id if record is None else record.thread_id
        self._is_present = False
        self._last = place.after
        self._has_ended = False
        self._until = asyncio.get_running_loop().time() + sources.limits.stream_seconds
        self._fold = Fold(Unseen(sources.tracker, sources.reads), of_one=wanted.execution_id is not None)
        self._past: Subscription | None = None
        self._first: list[Told] = []
        self._first_is_all = True
        self.queue = Queue(wanted, sources.limits)

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left to tell: the execution has ended, and its client has seen it end. Known once it is open."""
        return self._has_ended and not self._first

    async def open(self) -> None:
        """Join, and read as much of the past as one page holds.

        Raises:
            RefusedError: The journal cannot be read from there.
        """
        try:
            position = await self._sources.fanout.join(self.queue)
            await self._check_place(position)
            if self._place.position is None:
                self._last = position
                self.queue.caught_up = True
                self._has_ended = self._record is not None and self._record.is_terminal
            else:
                self._past = self._wanted.subscribe(self._sources.tracker, self._place.after)
                page = await self._sources.reads.run(read_page, self._past)
                self._first = await self._tell(page)
                self._first_is_all = page.is_last
                self._has_ended = page.is_last and self._record is not None and self._record.is_terminal
        except RunstateError as error:
            raise refusal_of(error) from error
        if self._thread is not None:
            self._is_present = True
            follows_all_of_it = self._record is None
            place = self._place.after if follows_all_of_it else 0
            self._sources.presence.came(self._thread, self._principal.user_id, place)

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """Give what is to be sent, piece by piece, until `queue.ending` is set and told there."""
        queue = self.queue
        for batch in self._pack(self._first):
            yield batch
        self._first = []
        try:
            while not queue.caught_up and queue.ending is None:
                async for batch in self._rest_of_past():
                    yield batch
                await self._settle_in()
        except (SubscriptionLaggedError, UnknownExecutionError):
            queue.end(LAGGED)
        except RunstateError:
            queue.end(UNREADABLE)
        while queue.ending is None:
            async for batch in self._present():
                yield batch

    def handed(self, batch: Batch) -> None:
        """Note that the client was handed a batch. What is sent to one that has gone, servers take without a word."""
        if self.queue.ending is GONE:
            return
        for event in batch.finals:
            self._sources.presence.handed(event, self._principal.user_id, to_conversation=self._thread is not None)

    def close(self) -> None:
        """Leave."""
        self._sources.fanout.leave(self.queue)
        if self._past is not None:
            self._past.close()
        if self._is_present and self._thread is not None:
            self._is_present = False
            self._sources.presence.went(self._thread)

    async def _check_place(self, position: int) -> None:
        """Refuse a place that the journal has not come to: it is another journal's, and waiting for it would leave out events."""
        after = self._place.position
        if after is None or after <= position:
            return
        newest = await self._sources.reads.run(
            newest_position, self._sources.tracker
        )  # the follower may be a little behind
        if after > newest:
            message = f"this journal ends at {newest}, before {after}; look at the present state and follow anew"
            raise RefusedError(410, "lagged", message)

    async def _rest_of_past(self) -> AsyncIterator[Batch]:
        past = self._past
        is_last = self._first_is_all
        self._first_is_all = False
        while past is not None and not is_last and self.queue.ending is None:
            page = await self._sources.reads.run(read_page, past)
            for batch in self._pack(await self._tell(page)):
                yield batch
            is_last = page.is_last

    async def _settle_in(self) -> None:
        """Live from the queue from now on, unless it has overflowed meanwhile; then the past is read on."""
        queue = self.queue
        if self._has_ended:
            queue.end(ENDED)
        elif queue.overflowed:
            self._sources.fanout.leave(queue)
            queue.overflowed = False
            await self._sources.fanout.join(queue)
        else:
            queue.caught_up = True
            if self._past is not None:
                self._past.close()

    async def _present(self) -> AsyncIterator[Batch]:
        """Give what waits in the queue; or wait for it, and give an empty batch after a long silence."""
        queue = self.queue
        now = asyncio.get_running_loop().time()
        if now >= self._until:
            queue.end(RENEW)
            return
        queue.wake.clear()
        waiting: list[Told | Frame] = []
        size = 0
        while size < _CHUNK and (item := queue.take()) is not None:
            if isinstance(item, Frame) or item.position > self._last:
                waiting.append(item)
                size += item.size if isinstance(item, Told) else len(item.data)
        for batch in self._pack(waiting):
            yield batch
        if self._has_ended:
            queue.end(ENDED)
        elif not waiting and queue.ending is None and not queue.wake.is_set():
            try:
                async with asyncio.timeout(min(self._sources.limits.ping_seconds, self._until - now)):
                    await queue.wake.wait()
            except TimeoutError:
                yield Batch([], [])

    async def _tell(self, page: Page) -> list[Told]:
        return [Told(event, await self._fold.tell(event)) for event in page.events]

    def _pack(self, items: list[Told] | list[Told | Frame]) -> Iterator[Batch]:
        """Make batches of about a chunk each."""
        frames: list[Frame] = []
        finals: list[Event] = []
        size = 0
        for item in items:
            for frame in self._frames(item):
                frames.append(frame)
                size += len(frame.data)
            if isinstance(item, Told) and item.is_final:
                finals.append(item.event)
            if size >= _CHUNK:
                yield Batch(frames, finals)
                frames, finals, size = [], [], 0
        if frames:
            yield Batch(frames, finals)

    def _frames(self, item: Told | Frame) -> tuple[Frame, ...]:
        if isinstance(item, Frame):
            return (item,)
        self._last = item.position
        of_one = self._record is not None
        if item.is_end and of_one:
            self._has_ended = True
        frames = item.frames(self._vocabulary, full=self._principal.is_operator, of_one=of_one)
        if self._place.told is not None and item.position == self._place.position:
            return frames[self._place.told + 1 :]
        return frames
