"""What will happen: every message of every conversation, and everything that goes wrong, decided from one seed before anything runs.

The conversations are the recorded ones that `runstate demo` replays, again and again under new ids until there are as many messages
as wanted. To a message happens at most one thing in the worker (`Agent`) and one at its client (`Client`): first each kind once, so that
no run is without one, then each with its share. Blows to processes (`Blow`) come when so many messages are answered, not at a time,
so they meet the same load on every machine.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple

from runstate import Phase
from runstate.cli._recording import Ending
from runstate.cli._recording import plan as recorded_plan

LONGEST: Final = 3.2
"""How often the mean of all turns the longest turn may take; a longer one is replayed faster."""
LAST: Final = 400
"""Conversations, the last ones, of which the longest begin first, so that few are left alone at the end."""
BLOCKS: Final = (0.3, 1.0)
"""Seconds for which code blocks its event loop."""
AWAY: Final = (0.0, 0.5)
"""Seconds after which a client that was cut off is back."""


class Agent(Enum):
    """What goes wrong in the worker while it answers."""

    RAISES = "the model raises ConnectionError, once"
    RAISES_ON = "the model raises ConnectionError, each time"
    REFUSES = "the model raises ValueError"
    STALLS = "the model stalls past the attempt's limit"
    TOOL = "a tool raises TimeoutError, once"
    TOOL_SAYS = "a tool answers with an error"
    BLOCKS = "code blocks the worker's event loop"
    SILENT = "the agent stops heartbeating"
    HOPELESS = "the agent fails, and its fallback as well"


class Client(Enum):
    """What goes wrong at the client that waits."""

    CLOSES = "the client closes its stream and comes back"
    ABORTS = "the client's connection is cut hard, and it comes back"
    AWAY = "the client is away when the answer comes"
    TWICE = "the client sends the message twice at once"
    AGAIN = "the client sends the message again after its end"


class Blow(Enum):
    """What befalls a process."""

    KILL = "kill -9 of a worker"
    DATABASE = "the database is crashed and restarted"
    SERVER = "kill -9 of the chat server"
    OUTAGE = "the model is away for everybody"


SHARES: Final[dict[Agent | Client, float]] = {
    Agent.RAISES: 0.02,
    Agent.RAISES_ON: 0.003,
    Agent.REFUSES: 0.01,
    Agent.STALLS: 0.004,
    Agent.TOOL: 0.01,
    Agent.TOOL_SAYS: 0.01,
    Agent.BLOCKS: 0.003,
    Agent.SILENT: 0.004,
    Agent.HOPELESS: 0.003,
    Client.CLOSES: 0.03,
    Client.ABORTS: 0.03,
    Client.AWAY: 0.01,
    Client.TWICE: 0.02,
    Client.AGAIN: 0.02,
}
"""The share of all messages that each happens to."""


class Step(NamedTuple):
    """One step of a turn."""

    phase: str
    """A phase's value."""
    detail: str | None
    seconds: float


@dataclass(slots=True)
class Message:
    """One message of a user, and what will happen to it. All that the worker needs goes with it."""

    message_id: str
    text: str
    steps: list[Step]
    answer: int | None
    """How many characters the answer has; None: the agent ends without one."""
    agent: str | None = None
    """The name of the `Agent` fault, if there is one."""
    at: int = 0
    """The step at which it happens."""
    seconds: float = 0.0
    """For how long code blocks."""
    client: str | None = None
    """The name of the `Client` fault, if there is one."""
    moment: float = 0.0
    """When that happens: a share of the time that the steps take."""
    away: float = 0.0
    """Seconds until the client is back."""

    @property
    def duration(self) -> float:
        """Seconds that the steps take."""
        return sum(step.seconds for step in self.steps)

    def turn(self) -> dict[str, Any]:
        """What the worker replays, as JSON."""
        return {"steps": self.steps, "answer": self.answer, "agent": self.agent, "at": self.at, "seconds": self.seconds}


@dataclass(slots=True)
class Conversation:
    """One conversation: its messages, each sent when the one before is answered."""

    thread_id: str
    user_id: str
    messages: list[Message] = field(default_factory=list)


class Strike(NamedTuple):
    """A blow, and when it comes."""

    after: int
    """Messages that have been answered."""
    blow: Blow
    slot: int
    """Which worker, for a kill."""


class Plan(NamedTuple):
    """All of it."""

    conversations: list[Conversation]
    strikes: list[Strike]

    @property
    def messages(self) -> dict[tuple[str, str], Conversation]:
        """Whose each message is, by thread and message."""
        return {(one.thread_id, m.message_id): one for one in self.conversations for m in one.messages}

    def faults(self) -> dict[Agent | Client | Blow, int]:
        """How often each fault is planned."""
        counts: dict[Agent | Client | Blow, int] = dict.fromkeys([*Agent, *Client, *Blow], 0)
        for one in self.conversations:
            for message in one.messages:
                if message.agent is not None:
                    counts[Agent[message.agent]] += 1
                if message.client is not None:
                    counts[Client[message.client]] += 1
        for strike in self.strikes:
            counts[strike.blow] += 1
        return counts


def plan(
    seed: int, messages: int, *, pace: float, workers: int, kills: int, restarts: int, servers: int, outages: int
) -> Plan:
    """Decide everything.

    Args:
        seed: What decides.
        messages: How many.
        pace: Seconds that a turn takes on average.
        workers: How many processes there are to kill.
        kills: How many of them are killed, one after the other.
        restarts: How often the database is crashed.
        servers: How often the chat server is killed.
        outages: How often the model is away for everybody.

    Raises:
        ValueError: There are too few messages to have every kind of fault.
    """
    randomness = random.Random(f"{seed} golden")
    conversations = _conversations(seed, messages, pace)
    _strike_agents(_all(conversations), randomness)
    _strike_clients(_all(conversations), randomness)
    blows = [Blow.KILL] * kills + [Blow.DATABASE] * restarts + [Blow.SERVER] * servers
    blows += [Blow.OUTAGE] * outages
    randomness.shuffle(blows)
    slots = [slot % workers for slot in range(kills)]
    randomness.shuffle(slots)
    strikes = []
    for number, blow in enumerate(blows, 1):  # evenly from a tenth on, so that each finds the world mended
        after = int(messages * (0.08 + 0.78 * (number - randomness.uniform(0.3, 0.7)) / len(blows)))
        strikes.append(Strike(after, blow, slots.pop() if blow is Blow.KILL else 0))
    return Plan(conversations, strikes)


def as_json(conversations: Iterable[Conversation]) -> list[dict[str, Any]]:
    """Turn conversations into what `from_json` reads."""
    return [asdict(one) for one in conversations]


def from_json(data: Iterable[dict[str, Any]]) -> list[Conversation]:
    """Read conversations again."""
    conversations = []
    for one in data:
        messages = [Message(**{**m, "steps": [Step(*step) for step in m["steps"]]}) for m in one["messages"]]
        conversations.append(Conversation(one["thread_id"], one["user_id"], messages))
    return conversations


def _all(conversations: list[Conversation]) -> list[Message]:
    return [message for one in conversations for message in one.messages]


def _conversations(seed: int, messages: int, pace: float) -> list[Conversation]:
    recorded = recorded_plan(seed, 0.0)
    durations = [sum(step.seconds for step in turn.steps) for one in recorded for turn in one.turns]
    mean = sum(durations) / len(durations)
    conversations: list[Conversation] = []
    count = again = 0
    while count < messages:
        for one in recorded:
            if count == messages:
                break
            conversation = Conversation(f"{one.thread_id}/{again}", one.user_id)
            for turn in one.turns[: messages - count]:
                scale = pace / mean
                scale *= min(1.0, LONGEST * mean / sum(step.seconds for step in turn.steps))
                steps = [Step(step.phase.value, step.detail, step.seconds * scale) for step in turn.steps]
                answer = None if turn.ending is Ending.STOP else turn.answer_chars
                conversation.messages.append(Message(f"m-{turn.number}", "x" * turn.user_chars, steps, answer))
                count += 1
            conversations.append(conversation)
        again += 1
    last = conversations[-LAST:]
    return conversations[:-LAST] + sorted(last, key=_duration, reverse=True)


def _duration(conversation: Conversation) -> float:
    return sum(message.duration for message in conversation.messages)


def _strike_agents(messages: list[Message], randomness: random.Random) -> None:
    for kind in Agent:
        wanted = [
            m
            for m in messages
            if m.agent is None and m.answer is not None and (kind is not Agent.TOOL or _tool_steps(m))
        ]
        for message in _some(kind, wanted, len(messages), randomness):
            message.agent = kind.name
            steps = _tool_steps(message) if kind is Agent.TOOL else list(range(len(message.steps)))
            message.at = randomness.choice(steps)
            message.seconds = randomness.uniform(*BLOCKS)


def _strike_clients(messages: list[Message], randomness: random.Random) -> None:
    for kind in Client:
        free = [message for message in messages if message.client is None]
        for message in _some(kind, free, len(messages), randomness):
            message.client = kind.name
            message.moment = randomness.uniform(0.1, 0.9)
            message.away = randomness.uniform(*AWAY)


def _some(kind: Agent | Client, among: list[Message], total: int, randomness: random.Random) -> list[Message]:
    number = max(1, round(SHARES[kind] * total))
    if len(among) < number:
        raise ValueError(f"{total} messages are too few for every kind of fault; {kind.name} finds none")
    return randomness.sample(among, number)


def _tool_steps(message: Message) -> list[int]:
    return [number for number, step in enumerate(message.steps) if step.phase == Phase.TOOL_EXECUTION.value]
