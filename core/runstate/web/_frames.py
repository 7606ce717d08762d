"""An event on its way to clients: in either vocabulary, for operators or for users, encoded once for however many clients there are."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, NamedTuple

from runstate import Event, Transition

from ._encoding import encode
from ._plain import KINDS, event_data
from ._vocabulary import ClientEvent


class Vocabulary(Enum):
    """In which words a stream tells what happens."""

    JOURNAL = "journal"
    """Each entry of the journal as it is."""
    CLIENT = "client"
    """The seven events that chat front ends know."""


class Frame(NamedTuple):
    """One message of a stream."""

    name: str
    """What kind of message it is: the `event:` of an event stream."""
    id: str | None
    """Where to resume after it; None for what is no event of the journal."""
    data: bytes
    """JSON without a line break."""

    def as_sse(self) -> bytes:
        """The message as an event stream carries it."""
        place = b"" if self.id is None else b"id: %s\n" % self.id.encode()
        return b"event: %s\n%sdata: %s\n\n" % (self.name.encode(), place, self.data)


class Told:
    """One event of the journal, with its client events.

    Args:
        event: The event.
        client: What it is to chat front ends.
    """

    __slots__ = ("_client", "_made", "event", "position", "size")

    def __init__(self, event: Event, client: tuple[ClientEvent, ...]) -> None:
        self.event = event
        self.position = event.position
        self.size = _size(event)
        """About how many bytes it keeps, however many clients it waits for."""
        self._client = client
        self._made: dict[tuple[Vocabulary, bool], tuple[Frame, ...]] = {}

    @property
    def is_end(self) -> bool:
        """Whether it is an execution's end."""
        return isinstance(self.event.entry, Transition) and self.event.entry.target.is_terminal

    @property
    def is_final(self) -> bool:
        """Whether it is an end that no other attempt follows."""
        return self.is_end and not any(one.is_passing for one in self._client)

    def frames(self, vocabulary: Vocabulary, *, full: bool, of_one: bool = False) -> tuple[Frame, ...]:
        """Return the messages that tell of it.

        Args:
            vocabulary: In which words.
            full: For an operator, rather than for the user.
            of_one: For who follows this one execution, rather than a conversation.
        """
        key = (vocabulary, of_one if vocabulary is Vocabulary.CLIENT else full)
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = self._make(vocabulary, full=full, of_one=of_one)
        return made

    def _make(self, vocabulary: Vocabulary, *, full: bool, of_one: bool) -> tuple[Frame, ...]:
        if vocabulary is Vocabulary.CLIENT:
            told = [one for one in self._client if of_one or not one.is_passing]
            return tuple(Frame(one.name, one.id, encode(_client_data(self.event, one))) for one in told)
        place = str(self.position)
        data = encode({"id": place, **event_data(self.event, full=full)})
        return (Frame(KINDS[type(self.event.entry)], place, data),)


def _size(event: Event) -> int:
    entry = event.entry
    parts = (
        *(getattr(entry, "result_json", None), getattr(entry, "metadata_json", None)),
        *(getattr(entry, "error", None), getattr(entry, "detail", None)),
    )
    return 512 + sum(len(part) for part in parts if part)


def _client_data(event: Event, told: ClientEvent) -> dict[str, Any]:
    return {
        "event": told.name,
        "id": told.id,
        "execution_id": event.entry.execution_id,
        "thread_id": event.thread_id,
        "user_id": event.user_id,
        "agent": event.agent,
        "at_ns": event.entry.at_ns,
        **told.facts,
    }


class Ending(NamedTuple):
    """Why a stream ends. The client may come back and resume, unless it says otherwise."""

    reason: str
    """For programs."""
    code: int
    """The close code of a WebSocket."""
    message: str
    """For people, within the 123 bytes of a close frame."""

    def frame(self) -> Frame:
        """The last message of an event stream."""
        return Frame("closed", None, encode({"event": "closed", "reason": self.reason, "message": self.message}))


ENDED: Final = Ending("ended", 1000, "the execution has ended; nothing comes after its end")
SLOW: Final = Ending(
    "slow", 1013, "too many events wait for this client; read faster, and resume after the last one read"
)
LAGGED: Final = Ending(
    "lagged", 4410, "what comes next has been removed by retention; look at the present state and follow anew"
)
RENEW: Final = Ending("renew", 4401, "the stream has reached its age; connect again and resume")
SHUTDOWN: Final = Ending("shutdown", 1001, "the server is going away; connect again and resume")
BROKEN: Final = Ending("broken", 1011, "the server has made a mistake, which is in its log; connect again and resume")
UNREADABLE: Final = Ending("unreadable", 1013, "the journal cannot be read now; connect again and resume")
TALKS: Final = Ending("unsupported", 1003, "this stream only sends; give what is wanted in the address")
TOO_LONG: Final = Ending("too_large", 1009, "the message is too large, and this stream only sends")
GONE: Final = Ending("gone", 1000, "the client has gone")


def interrupted(reason: str) -> Frame:
    """Tell that the journal cannot be read now. Nothing is lost: what happens meanwhile comes later."""
    return Frame("interrupted", None, encode({"event": "interrupted", "reason": reason}))


RESUMED: Final = Frame("resumed", None, encode({"event": "resumed"}))
"""Tells that the journal can be read again."""

ENDINGS: Final = [one.reason for one in (ENDED, SLOW, LAGGED, RENEW, SHUTDOWN, BROKEN, UNREADABLE)]
"""What the last message of an event stream may give as its reason."""
