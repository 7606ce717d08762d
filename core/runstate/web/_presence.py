"""Which conversations have clients here, and what was handed to them: the one place that knows both.

A client is *present* in a thread from the moment from which on it misses no event of it, until its connection has ended. A final event
is *handed* to it when the server has taken it for sending, which is as much as can be known on this side: whether it was received, only an
acknowledgement of the client's own can tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from runstate import Event


class Handed(NamedTuple):
    """A final event that a client was handed."""

    event: Event
    """The end of the execution."""
    user_id: str | None
    """Whose client it was; None is an operator's."""
    to_conversation: bool = True
    """Whether the client follows this conversation, or an execution in it, and not everything."""


class Presence:
    """Counts clients by thread, and tells who asks of each final event that one was handed. For the event loop's thread only.

    Reading is safe in any thread: each call is one step of the interpreter's over names that are text.
    """

    def __init__(self) -> None:
        self._threads: Counter[str] = Counter()
        self._places: dict[str, dict[str | None, int]] = {}
        """By conversation and user: how far that user's clients had read it when they came; the farthest. None are operators."""
        self._listeners: list[Callable[[Handed], None]] = []
        self._hosts: list[Callable[[str, int], None]] = []

    def is_connected(self, thread_id: str) -> bool:
        """Say whether a client follows a conversation, or an execution in it, here and now."""
        return thread_id in self._threads

    def threads(self) -> frozenset[str]:
        """Return the conversations that clients follow here."""
        return frozenset(self._threads)

    def listen(self, listener: Callable[[Handed], None]) -> None:
        """Have *listener* called with each final event that a client was handed; it must neither block nor raise."""
        self._listeners.append(listener)

    def welcome(self, host: Callable[[str, int], None]) -> None:
        """Have *host* called with each conversation that a client has come to, and how far it had read it; it must neither block nor raise."""
        self._hosts.append(host)

    def read_to(self, thread_id: str, user_id: str | None) -> int:
        """Return up to which position of the journal a user, or an operator, had read a conversation when coming to it; 0: nothing."""
        return self._places.get(thread_id, {}).get(user_id, 0)

    def came(self, thread_id: str, user_id: str | None = None, place: int = 0) -> None:
        """Note that a client follows a conversation, or an execution in it, and how far it has read the conversation."""
        self._threads[thread_id] += 1
        if place:
            places = self._places.setdefault(thread_id, {})
            places[user_id] = max(place, places.get(user_id, 0))
        for host in self._hosts:
            host(thread_id, place)

    def went(self, thread_id: str) -> None:
        """Note that a client does so no longer."""
        self._threads[thread_id] -= 1
        if self._threads[thread_id] <= 0:
            del self._threads[thread_id]
            self._places.pop(thread_id, None)

    def handed(self, event: Event, user_id: str | None, *, to_conversation: bool) -> None:
        """Note that a client was handed a final event."""
        for listener in self._listeners:
            listener(Handed(event, user_id, to_conversation))
