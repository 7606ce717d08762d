"""The recorded conversations, and the plan of their replay.

A recording has no times and knows no outages, so the plan adds both, from one seed: how long each step takes, and which turns
are hit by which fault. It is made before anything runs and says how every turn will end. Nothing in the replay is left to
timing, so the same seed gives the same counts on a fast machine and on a slow one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from importlib.resources import files
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import Discriminator, TypeAdapter

from runstate import Phase

LLM_SECONDS: Final = 0.13
TOOL_SECONDS: Final = 0.05
"""Median durations of a step at speed 1."""
SPREAD: Final = 0.5
"""Standard deviation of the durations' logarithm."""
HANDOVER: Final = "transfer_to_human_agents"


@dataclass(frozen=True, slots=True)
class RecordedLlmStep:
    """The model spoke: to the user, to tools, or both."""

    kind: Literal["llm"]
    chars: int
    calls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecordedToolStep:
    """A tool answered."""

    kind: Literal["tool"]
    name: str
    chars: int
    error: bool


@dataclass(frozen=True, slots=True)
class RecordedTurn:
    """One message of the user, and what the agent did about it."""

    user_chars: int
    steps: tuple[Annotated[RecordedLlmStep | RecordedToolStep, Discriminator("kind")], ...]


@dataclass(frozen=True, slots=True)
class RecordedConversation:
    """One conversation: its turns, in order."""

    thread_id: str
    user_id: str
    agent: str
    model: str
    reward: float
    turns: tuple[RecordedTurn, ...]


class Ending(Enum):
    """How a recorded turn ends."""

    ANSWER = "answer"
    """With a text for the user."""
    HANDOVER = "handover"
    """Without a text: it hands the user over to a human."""
    STOP = "stop"
    """Without a text and without anything else: it just stops."""


class Fault(Enum):
    """What can be injected into a turn."""

    RAISE = "exception in a step"
    HANG = "hang past the deadline"
    CANCEL = "the client cancels"
    NOT_JSON = "a result that is not JSON"
    DICT_STATE = "a dict passed as a state"


class Step(NamedTuple):
    """One step as it will be replayed."""

    phase: Phase
    detail: str | None
    seconds: float
    is_tool_error: bool


class Turn(NamedTuple):
    """One turn as it will be replayed."""

    number: int
    user_chars: int
    steps: tuple[Step, ...]
    ending: Ending
    answer_chars: int
    fault: Fault | None
    fault_at: int
    """The step at which the fault strikes; a wrong result or state comes after the last."""


class Conversation(NamedTuple):
    """One conversation as it will be replayed."""

    thread_id: str
    user_id: str
    agent: str
    turns: tuple[Turn, ...]


def recorded() -> tuple[RecordedConversation, ...]:
    """Read the recorded conversations that come with the package.

    Raises:
        ValueError: The file is damaged.
    """
    conversation = TypeAdapter(RecordedConversation)
    text = (files("runstate.cli") / "data" / "airline_runs.jsonl").read_text(encoding="utf-8")
    return tuple(conversation.validate_json(line, strict=True) for line in text.splitlines())


def plan(seed: int, fault_rate: float) -> tuple[Conversation, ...]:
    """Decide everything that the replay will do.

    Args:
        seed: Decides durations and faults.
        fault_rate: The share of the turns with an answer that get a fault, 0 to 1. A turn that hands over or just stops gets
            none: its end is a fact of the recording.
    """
    paces = random.Random(f"{seed} paces")  # noqa: S311 - a replay, not a secret
    faults = random.Random(f"{seed} faults")  # noqa: S311
    return tuple(
        Conversation(
            conversation.thread_id,
            conversation.user_id,
            conversation.agent,
            tuple(_turn(number, turn, paces, faults, fault_rate) for number, turn in enumerate(conversation.turns, 1)),
        )
        for conversation in recorded()
    )


def _turn(number: int, turn: RecordedTurn, paces: random.Random, faults: random.Random, fault_rate: float) -> Turn:
    last = turn.steps[-1]
    ending, chars = Ending.STOP, 0
    if isinstance(last, RecordedLlmStep) and not last.calls and last.chars:
        ending, chars = Ending.ANSWER, last.chars
    elif isinstance(last, RecordedToolStep) and last.name == HANDOVER:
        ending = Ending.HANDOVER
    struck, kind, where = faults.random() < fault_rate, faults.random(), faults.random()
    fault = list(Fault)[int(kind * len(Fault))] if struck and ending is Ending.ANSWER else None
    # A hang strikes at once: on a slow machine its short deadline might otherwise pass in an earlier step.
    fault_at = 0 if fault is Fault.HANG else int(where * len(turn.steps))
    return Turn(number, turn.user_chars, tuple(_steps(turn, paces)), ending, chars, fault, fault_at)


def _steps(turn: RecordedTurn, paces: random.Random) -> Iterator[Step]:
    for step in turn.steps:
        pace = paces.lognormvariate(0.0, SPREAD)
        if isinstance(step, RecordedToolStep):
            yield Step(Phase.TOOL_EXECUTION, step.name, TOOL_SECONDS * pace, step.error)
        elif step.calls:
            yield Step(Phase.THINKING, f"calls {', '.join(step.calls)}", LLM_SECONDS * pace, is_tool_error=False)
        else:
            yield Step(Phase.LLM_INTERACTION, None, LLM_SECONDS * pace, is_tool_error=False)
