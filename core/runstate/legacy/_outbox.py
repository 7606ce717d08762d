"""Sends an execution's events to a websocket bridge: in order, each once, and never silently in vain.

Events are put into a queue where they happen, from any thread, and one task at a time sends them. Whoever awaits what `post`
returns learns whether *its* event arrived; one that cannot be sent stops no other.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from .. import RunstateError
from ._callbacks import deliveries
from ._refusals import logger


class EventNotSentError(RunstateError):
    """An event did not reach the websocket bridge. What it tells of has happened all the same.

    Attributes:
        event: The event's name.
    """

    def __init__(self, event: str, execution_id: str, reason: str) -> None:
        super().__init__(f"the event {event} of execution {execution_id} was not sent: {reason}")
        self.event = event


class Event(NamedTuple):
    """One call of a bridge, `notify_<name>`."""

    name: str
    keywords: Mapping[str, Any]
    positional: tuple[object, ...] = ()
    """For those whose parameters bridges name differently."""


class _Letter(NamedTuple):
    bridge: Any
    event: Event
    arrived: Future[None]


class Outbox:
    """The events of one execution.

    Args:
        execution_id: Whose; for messages.
    """

    def __init__(self, execution_id: str) -> None:
        self._execution_id = execution_id
        self._lock = threading.Lock()
        self._letters: deque[_Letter] = deque()
        self._sender: asyncio.AbstractEventLoop | None = None
        """The loop whose task is sending."""

    def post(
        self, loop: asyncio.AbstractEventLoop | None, bridge: object, events: Sequence[Event]
    ) -> list[Future[None]]:
        """Send events after all that were posted before, without waiting, from any thread.

        Args:
            loop: The event loop to send them on.
            bridge: What has the methods `notify_<name>`, sync or async.
            events: What to send.

        Returns:
            A future for each, which fails with `EventNotSentError` if it does not arrive. That is logged at ERROR as well.
        """
        letters = [_Letter(bridge, event, Future()) for event in events]
        for letter in letters:
            letter.arrived.add_done_callback(_log_failure)
        if loop is None or not loop.is_running():
            for letter in letters:
                letter.arrived.set_exception(
                    EventNotSentError(letter.event.name, self._execution_id, "its event loop no longer runs")
                )
            return [letter.arrived for letter in letters]
        with self._lock:
            self._letters += letters
            if letters and (self._sender is None or self._sender.is_closed()):
                self._sender = loop
                deliveries.add(asyncio.run_coroutine_threadsafe(self._send_all(), loop))
        return [letter.arrived for letter in letters]

    async def _send_all(self) -> None:
        while True:
            with self._lock:
                if not self._letters:
                    self._sender = None
                    return
                letter = self._letters.popleft()
            reason = "the sending task was cancelled"
            try:
                reason = await _call(letter.bridge, letter.event)
            except Exception as error:  # noqa: BLE001 - foreign code may raise anything; it is passed on
                reason = f"{type(error).__name__}: {error}"
            except BaseException:
                with self._lock:
                    self._sender = None
                raise
            finally:
                if reason:
                    letter.arrived.set_exception(EventNotSentError(letter.event.name, self._execution_id, reason))
                else:
                    letter.arrived.set_result(None)


async def _call(bridge: Any, event: Event) -> str:
    """Call the bridge; return why it did not take the event, or nothing."""
    method = getattr(bridge, f"notify_{event.name}", None)
    if method is None:
        return f"{type(bridge).__qualname__} has no notify_{event.name}"
    outcome = method(*event.positional, **event.keywords)
    if inspect.isawaitable(outcome):
        outcome = await outcome
    return "the bridge answered False" if outcome is False else ""


def _log_failure(arrived: Future[None]) -> None:
    if (error := arrived.exception()) is not None:
        logger.error("%s", error)


async def all_arrived(arrivals: Sequence[Future[None]]) -> None:
    """Wait for everything that was posted.

    Raises:
        EventNotSentError: One was not sent; the others were.
    """
    failures = [error for arrived in arrivals if (error := await _failure(arrived)) is not None]
    if failures:
        raise failures[0]


async def _failure(arrived: Future[None]) -> EventNotSentError | None:
    try:
        await asyncio.shield(asyncio.wrap_future(arrived))
    except EventNotSentError as error:
        return error
    return None
