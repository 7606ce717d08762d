"""The executions that are live in this process: found by id, counted, waited for, given up.

Live executions are here and nowhere else; one that ends leaves, and is read from the journal from then on. What may happen to
them is decided in `_decider`.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from ._deadlines import Deadlines
from ._errors import FencedError, NotOwnerError, RunstateError
from ._live import Live, Loss, fenced
from ._states import CAUSES, Cause, ExecutionState

_TAKEN_AT_MOST: Final = 1_000


class Counts(NamedTuple):
    """How many executions were created, live and have ended, by end, and how many calls were refused."""

    created: int
    live: int
    ended: dict[tuple[ExecutionState, Cause], int]
    refused: int


class Registry:
    """What is live in one tracker, and how much was.

    Args:
        deadlines: Told of what leaves.
        incarnation: The worker that everything here belongs to.
    """

    def __init__(self, deadlines: Deadlines[Live], incarnation: str) -> None:
        self.incarnation: str = incarnation
        self.live: dict[str, Live] = {}
        self._in_blocks: dict[str, Live] = {}
        """Those that a block waits for: their ends may be refused after they have left."""
        self._taken: dict[str, Live] = {}
        """The newest of those that a fence has taken: their owner may still try to end them, by id too."""
        self._late: set[str] = set()
        """Of which an end is on its way that the journal will refuse. Who tried it has been told."""
        self._deadlines = deadlines
        self._closing = False
        self._counts_lock = threading.Lock()
        self._refused: int = 0
        self._lost: int = 0
        self._ended: dict[tuple[ExecutionState, Cause], int] = {
            (state, cause): 0 for state, causes in CAUSES.items() for cause in causes
        }

    def counts(self) -> Counts:
        """Count what has happened, all at one moment."""
        with self._counts_lock:
            ended = {end: count for end, count in self._ended.items() if count}
            live = len(self.live)
            return Counts(sum(ended.values()) + self._lost + live, live, ended, self._refused)

    def watch(self, live: Live, callback: Callable[[], None]) -> None:
        """Call *callback*, which must neither block nor raise, once when the execution ends or is lost; now if it has."""
        with live.lock:
            if not live.closed:
                if live.watchers is None:
                    live.watchers = []
                live.watchers.append(callback)
                return
        callback()

    def unwatch(self, live: Live, callback: Callable[[], None]) -> None:
        """Take a callback back; nothing happens if it has been called."""
        with live.lock:
            if live.watchers is not None and callback in live.watchers:
                live.watchers.remove(callback)

    def late(self, live: Live) -> RunstateError:
        """Count, and build the error for, a call on an execution that can no longer change."""
        end = live.end
        if live.lost is not None or end is None:
            lost = live.lost or NotOwnerError(live.execution_id, "another process")
            return self._refuse(copy.copy(lost))  # one object raised in many threads would share its traceback
        return self._refuse(fenced(live.execution_id, end.target, end.cause, end.evidence, end.at_ns))

    def lose(self, losses: Mapping[str, Loss]) -> None:
        """Give up executions that were taken from this process."""
        for execution_id, loss in losses.items():
            live = self.live.get(execution_id)
            if live is not None:
                live.lose(loss)
                self._forget(live)
                if isinstance(loss.error, FencedError):
                    self._taken[execution_id] = live
                    if len(self._taken) > _TAKEN_AT_MOST:
                        del self._taken[next(iter(self._taken))]
                with self._counts_lock:
                    self._lost += 1
                self._notify(live)
            elif (ended := self._in_blocks.get(execution_id)) is not None:
                ended.lose(loss)

    def taken(self, execution_id: str) -> Live | None:
        """One that a fence has taken, if that is remembered."""
        return self._taken.get(execution_id)

    def is_told(self, execution_id: str) -> bool:
        """Whether who tried the end that the journal has refused now was told so by the call."""
        if execution_id not in self._late:
            return False
        self._late.discard(execution_id)
        return True

    def enter_block(self, live: Live) -> None:
        """A block waits for this execution, also when it has ended, until that is durable. Its body has not begun."""
        live.is_entering = True
        self._in_blocks[live.execution_id] = live

    def begin_block(self, live: Live, now_ns: int) -> None:
        """The body of its block begins, and with it the heartbeat limit: a journal that is slow is nobody's silence."""
        live.beat_ns = now_ns
        live.is_entering = False  # only now: else the watch would see the silence of the wait
        limit = live.created.heartbeat_timeout
        if limit is not None:
            self._deadlines.add(live, now_ns + limit * 1e9)

    def is_in_block(self, execution_id: str) -> bool:
        """Whether a block waits for an execution."""
        return execution_id in self._in_blocks

    def leave_block(self, live: Live) -> None:
        """No block waits for it any more."""
        self._in_blocks.pop(live.execution_id, None)

    def close(self) -> None:
        """Let nothing begin any more; what is live may still end."""
        with self._counts_lock:
            self._closing = True

    def abandon(self, incarnation: str) -> None:
        """Start afresh in a forked child: the executions stay the parent's. Locks are replaced, as others held them."""
        abandoned, self.live = self.live, {}
        self._in_blocks = {}
        self._taken = {}
        self._late = set()
        for live in abandoned.values():
            live.lock = threading.Lock()
            live.lost = NotOwnerError(live.execution_id, self.incarnation)
            live.closed = True
        self._counts_lock = threading.Lock()
        self.incarnation = incarnation
        self._closing = False
        self._refused = self._lost = 0
        self._ended = dict.fromkeys(self._ended, 0)

    def _forget(self, live: Live) -> None:
        with self._counts_lock:
            self.live.pop(live.execution_id, None)
        self._deadlines.left += 1

    def _notify(self, live: Live) -> None:
        with live.lock:
            watchers, live.watchers = live.watchers, None
        for callback in watchers or ():
            callback()

    def count_refusal(self) -> None:
        """Count a refused call."""
        with self._counts_lock:
            self._refused += 1

    def _refuse(self, error: RunstateError) -> RunstateError:
        self.count_refusal()
        return error
