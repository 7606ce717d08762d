"""The users: so many conversations at a time, each with a stream of its own, which send, wait for the final event, and send again.

    python -m tests.golden.client ADDRESS SECRET AT-ONCE PATIENCE < CONVERSATIONS

They believe nothing that they have not read from their stream, and say all of it, one JSON line each, on standard output:

| word | what |
|---|---|
| `final` | a final event has come, with what it says, when, and since when its stream was connected |
| `answered` | the message's first final event was read |
| `silent` | it was waited for too long |
| `wrong` | something that must not be |
| `count` | how often a stream was connected again, a message was sent again, or refused |

Streams are read to their end and a while beyond it, so that an event that comes twice is seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter
from typing import Any, Final

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from .plan import Client, Conversation, Message, from_json
from .server import token_of

LINGER: Final = 1.0
"""Seconds for which a conversation's stream is read after its last message."""
FINAL: Final = frozenset({"agent_completed", "agent_error", "agent_death"})
RAMP: Final = 2.0
"""Seconds over which the first conversations begin."""


class Users:
    """All of them.

    Args:
        address: The server's host and port.
        secret: What their tokens are signed with.
        patience: Seconds until a message counts as silent.
    """

    def __init__(self, address: str, secret: str, patience: float) -> None:
        self.address = address
        self.secret = secret
        self.patience = patience
        self.counts: Counter[str] = Counter()
        self.http = httpx.AsyncClient(
            base_url=f"http://{address}",
            timeout=None,
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
        )

    def say(self, word: str, **facts: object) -> None:
        """Tell whoever started this."""
        sys.stdout.write(json.dumps({"word": word, **facts}) + "\n")
        sys.stdout.flush()

    def headers(self, user_id: str) -> dict[str, str]:
        """What a user shows."""
        return {"authorization": f"Bearer {token_of(user_id, self.secret)}"}

    async def talk(self, conversation: Conversation) -> None:
        """Go through a conversation."""
        stream = Stream(self, conversation)
        following = asyncio.create_task(stream.follow())
        for message in conversation.messages:
            await self._one(stream, conversation, message)
        await asyncio.sleep(LINGER)
        await stream.back.wait()  # who is cut off in the end comes back once more
        following.cancel()
        await asyncio.wait([following])
        if not following.cancelled():
            following.result()

    async def _one(self, stream: Stream, conversation: Conversation, message: Message) -> None:
        wait = stream.wait_for(message.message_id)
        fault = None if message.client is None else Client[message.client]
        sent = [self._send(conversation, message) for _ in range(2 if fault is Client.TWICE else 1)]
        sending = asyncio.gather(*sent)
        disturbing = asyncio.create_task(self._disturb(stream, message, fault))
        try:
            async with asyncio.timeout(self.patience):
                await wait.wait()
                ids = set(await sending)
                await disturbing
                if fault is Client.AGAIN:
                    ids.add(await self._send(conversation, message))
        except TimeoutError:
            sending.cancel()
            disturbing.cancel()
            self.say("silent", thread_id=conversation.thread_id, message_id=message.message_id, heard=wait.is_set())
            return
        first = stream.executions[message.message_id]
        if not ids <= first:
            what = f"{conversation.thread_id} {message.message_id}: accepted as {ids}, answered by {first}"
            self.say("wrong", what=what)
        self.say("answered", thread_id=conversation.thread_id, message_id=message.message_id)

    async def _send(self, conversation: Conversation, message: Message) -> str:
        body = {"thread_id": conversation.thread_id, "message_id": message.message_id, "text": message.text}
        while True:
            try:
                answer = await self.http.post(
                    "/messages", json={**body, "turn": message.turn()}, headers=self.headers(conversation.user_id)
                )
            except httpx.TransportError:
                self.counts["messages sent again, as the server was gone"] += 1
                await asyncio.sleep(0.1)
                continue
            if answer.status_code != 202:
                self.counts[f"messages sent again after {answer.status_code}"] += 1
                await asyncio.sleep(0.1)
                continue
            execution_id: str = answer.json()["execution_id"]
            return execution_id

    async def _disturb(self, stream: Stream, message: Message, fault: Client | None) -> None:
        if fault in {Client.CLOSES, Client.ABORTS, Client.AWAY}:
            at = 0.0 if fault is Client.AWAY else message.moment * message.duration
            await asyncio.sleep(at)
            await stream.cut(message.away + (message.duration if fault is Client.AWAY else 0.0), fault)


async def follow_as_stranger(users: Users) -> None:
    """Follow everything as a user who has no conversation: nothing may come. Without a token nobody comes in at all."""
    while True:
        try:
            async with connect(f"ws://{users.address}/runs/ws/events?after=0&events=client", proxy=None):
                users.say("wrong", what="somebody without a token may follow everything")
        except InvalidHandshake:
            pass  # as it must be
        except (ConnectionClosed, OSError, EOFError, TimeoutError):
            await asyncio.sleep(0.1)
            continue
        try:
            url = f"ws://{users.address}/runs/ws/events?after=0&events=client"
            async with connect(url, additional_headers=users.headers("a stranger"), proxy=None) as connection:
                async for text in connection:
                    if "id" in json.loads(text):
                        users.say("wrong", what=f"a stranger was told {text!r}")
        except (ConnectionClosed, InvalidHandshake, OSError, EOFError, TimeoutError):
            await asyncio.sleep(0.1)


class Stream:
    """One user's stream of one conversation, connected again from the last place whenever it is cut.

    Args:
        users: Whose.
        conversation: Which.
    """

    def __init__(self, users: Users, conversation: Conversation) -> None:
        self._users = users
        self._conversation = conversation
        self._after: str | None = None
        self._by_header = False
        self._away_until = 0.0
        self._connection: ClientConnection | None = None
        self._since = 0.0
        self._waits: dict[str, asyncio.Event] = {}
        self.back = asyncio.Event()
        """Set while it is connected."""
        self.executions: dict[str, set[str]] = {}
        """The executions that were seen for each message."""

    def wait_for(self, message_id: str) -> asyncio.Event:
        """What is set when the message's final event has come."""
        return self._waits.setdefault(message_id, asyncio.Event())

    async def cut(self, seconds: float, fault: Client) -> None:
        """Lose the connection, and be away for so long."""
        self._away_until = time.monotonic() + seconds
        self._by_header = fault is not Client.CLOSES
        connection = self._connection
        if connection is None:
            return
        if fault is Client.ABORTS:
            connection.transport.abort()
        else:
            await connection.close()

    async def follow(self) -> None:
        """Read, for ever."""
        thread_id = self._conversation.thread_id
        while True:
            if (left := self._away_until - time.monotonic()) > 0:
                await asyncio.sleep(left)
            headers = self._users.headers(self._conversation.user_id)
            url = f"ws://{self._users.address}/runs/ws/threads/{thread_id}"
            if self._after is not None and self._by_header:
                headers["last-event-id"] = self._after
            elif self._after is not None:
                url += f"?after={self._after}"
            try:
                async with connect(
                    url, additional_headers=headers, compression=None, max_size=None, ping_interval=None, proxy=None
                ) as connection:
                    self._connection, self._since = connection, time.monotonic()
                    self.back.set()
                    async for text in connection:
                        self._read(json.loads(text))
                    self._users.counts[f"streams ended with {connection.close_code}"] += 1
            except (ConnectionClosed, InvalidHandshake, OSError, EOFError, TimeoutError) as error:
                self._users.counts[f"streams lost by {type(error).__name__}"] += 1
                await asyncio.sleep(0.02)
            finally:
                self._connection = None
                self.back.clear()

    def _read(self, event: dict[str, Any]) -> None:
        now, now_ns = time.monotonic(), time.time_ns()
        if "id" not in event:
            self._users.counts[f"streams were told {event.get('event') or event.get('kind')}"] += 1
            return
        self._after = event["id"]
        message_id, whose = event["message_id"], (self._conversation.thread_id, self._conversation.user_id)
        if (event["thread_id"], event["user_id"]) != whose or message_id not in self._waits:
            self._users.say("wrong", what=f"{whose} was told of somebody else's or an unknown message: {event}")
            return
        self.executions.setdefault(message_id, set()).add(event["execution_id"])
        if event["event"] not in FINAL:
            return
        told = {name: event[name] for name in ("execution_id", "message_id", "state", "cause", "attempt", "is_final")}
        self._users.say(
            "final", thread_id=whose[0], **told, event=event["event"], at=now, since=self._since,
            delay=(now_ns - event["at_ns"]) / 1e9,
        )  # fmt: skip
        self._waits[message_id].set()


async def main(address: str, secret: str, at_once: int, patience: float) -> None:
    """Have all conversations."""
    users = Users(address, secret, patience)
    waiting = from_json(json.load(sys.stdin))[::-1]

    async def place(number: int) -> None:
        await asyncio.sleep(RAMP * number / at_once)
        while waiting:
            await users.talk(waiting.pop())

    stranger = asyncio.create_task(follow_as_stranger(users))
    async with asyncio.TaskGroup() as group:
        for number in range(at_once):
            group.create_task(place(number))
    if stranger.done():
        stranger.result()
    stranger.cancel()
    for what, number in sorted(users.counts.items()):
        users.say("count", what=what, number=number)
    with contextlib.suppress(httpx.TransportError):
        await users.http.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
