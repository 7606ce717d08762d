"""A worker process: answers the messages that the chat server hands to it, as executions of its own in the journal that all share.

    python -m tests.golden.worker URL SOCKET SETTINGS

The two talk over a Unix socket in lines of JSON. The server says `message`; the worker says

| word | when |
|---|---|
| `there` | it has opened the journal; names its incarnation |
| `begun` | the execution that answers the message is durable: the agent, or its fallback, has been called |
| `ended` | the call has returned; also of a message that was begun before, by anybody |
| `failed` | the call could not be recorded, so somebody else shall have it |

It ends with the socket on SIGTERM, and connects again when the server is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import runstate
from runstate import (
    Breaker,
    Completed,
    ExecutionTracker,
    FencedError,
    JournalError,
    JournalUnavailableError,
    Phase,
    Retry,
    TrackerClosedError,
)

from .plan import Agent, Step

FOREVER: Final = 3_600.0
LIMIT: Final = 1 << 22
"""Bytes of a line."""


def outage_at(path: str | Path) -> Path:
    """The file that is there while the model is away, beside the socket."""
    return Path(path).with_name("outage")


class Turn:
    """One message to answer, and what will happen meanwhile.

    Args:
        data: The turn, as `Message.turn` has made it.
        beat: Seconds between two heartbeats.
        outage: The file that is there while the model is away.
        begun: Called with the execution's id once it is durable.
    """

    def __init__(self, data: dict[str, Any], beat: float, outage: Path, begun: Callable[[str], None]) -> None:
        self.steps = [Step(*step) for step in data["steps"]]
        self.answer: int | None = data["answer"]
        self.fault = None if data["agent"] is None else Agent[data["agent"]]
        self.at: int = data["at"]
        self.seconds: float = data["seconds"]
        self.attempts = 0
        self._beat = beat
        self._outage = outage
        self._begun = begun

    def begin(self) -> None:
        """Say that it is durable."""
        self._begun(runstate.current().execution_id)

    async def replay(self) -> str:
        """Go through the steps; raise what is to be raised."""
        self.begin()
        self.attempts += 1
        run = runstate.current()
        for number, step in enumerate(self.steps):
            phase = Phase(step.phase)
            run.phase(phase, step.detail)
            if self._outage.exists():
                raise ConnectionError("the model is away")
            if number == self.at and self.fault is not None:
                await self._befall(phase)
            await self.pause(step.seconds)
        if self.answer is None:
            raise ValueError("the agent has stopped without an answer")
        run.phase(Phase.RESULT_PROCESSING)
        return "y" * self.answer

    async def pause(self, seconds: float) -> None:
        """Take time, with a sign of life now and then."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            runstate.current().heartbeat()
            await asyncio.sleep(min(left, self._beat))

    async def _befall(self, phase: Phase) -> None:
        match self.fault:
            case Agent.RAISES if self.attempts == 1:
                raise ConnectionError("the model is out of reach")
            case Agent.RAISES_ON:
                raise ConnectionError("the model is out of reach, again")
            case Agent.REFUSES | Agent.HOPELESS:
                raise ValueError("the model refuses")
            case Agent.STALLS if self.attempts == 1:
                await self.pause(FOREVER)
            case Agent.TOOL if self.attempts == 1:
                raise TimeoutError("the tool does not answer")
            case Agent.TOOL_SAYS:
                runstate.current().phase(Phase.TOOL_EXECUTION, "get_reservation_details")
                await self.pause(0.01)
                runstate.current().phase(phase, "the tool's error is read")
            case Agent.BLOCKS if self.attempts == 1:
                time.sleep(self.seconds)  # noqa: ASYNC251 - that is the fault
            case Agent.SILENT:
                await asyncio.sleep(FOREVER)
            case _:
                pass


async def canned_answer(turn: Turn) -> str:
    """Answer in the agent's place."""
    turn.begin()
    if turn.fault is Agent.HOPELESS:
        raise ValueError("there is no canned answer to this")
    return "We are sorry, please try again in a while."


class Worker:
    """Takes messages from one connection to the server after the other.

    Args:
        tracker: Where executions go.
        path: The server's socket.
        settings: Limits in seconds, from the command line.
    """

    def __init__(self, tracker: ExecutionTracker, path: str, settings: dict[str, float]) -> None:
        self.tracker = tracker
        self._path = path
        self._beat = settings["heartbeat_timeout"] / 5
        self._tasks: set[asyncio.Task[None]] = set()
        self._writer: asyncio.StreamWriter | None = None

        @tracker.agent(
            "airline",
            timeout=settings["timeout"],
            heartbeat_timeout=settings["heartbeat_timeout"],
            retry=Retry(attempts=3, on=(ConnectionError, TimeoutError), attempt_timeout=settings["attempt_timeout"]),
            breaker=Breaker(failures=8, window=10.0, cooldown=2.0),
            fallback=canned_answer,
        )
        async def airline(turn: Turn) -> str:
            return await turn.replay()

        self._airline = airline

    async def serve(self) -> None:
        """Work for whoever listens, for ever."""
        while True:
            with contextlib.suppress(OSError):  # the server is being started again
                reader, self._writer = await asyncio.open_unix_connection(self._path, limit=LIMIT)
                self._say(word="there", incarnation=self.tracker.incarnation)
                while line := await reader.readline():
                    task = asyncio.create_task(self._answer(json.loads(line)))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
            self._writer = None
            await asyncio.sleep(0.05)

    def _say(self, **facts: object) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(json.dumps(facts).encode() + b"\n")

    async def _answer(self, message: dict[str, Any]) -> None:
        number = message["number"]

        def begun(execution_id: str) -> None:
            self._say(word="begun", number=number, execution_id=execution_id)

        turn = Turn(message["turn"], self._beat, outage_at(self._path), begun)
        call = self._airline.bind(
            thread_id=message["thread_id"], user_id=message["user_id"], message_id=message["message_id"]
        )
        try:
            outcome = await call(turn)
        except (JournalError, FencedError, TrackerClosedError) as error:
            self._say(word="failed", number=number, error=f"{type(error).__name__}: {error}")
        else:
            self._say(
                word="ended",
                number=number,
                execution_id=outcome.execution_id,
                is_answered=isinstance(outcome, Completed),
            )


async def opened(url: str, lease: float) -> ExecutionTracker:
    """Open the journal, again if the server happens to be away."""
    while True:
        try:
            return runstate.open(url, lease=lease)
        except JournalUnavailableError:
            await asyncio.sleep(0.1)


async def main(url: str, path: str, settings: dict[str, float]) -> None:
    """Work until SIGTERM."""
    tracker = await opened(url, settings["lease"])
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    serving = asyncio.create_task(Worker(tracker, path, settings).serve())
    await asyncio.wait([serving, asyncio.create_task(stopping.wait())], return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
    serving.cancel()
    await asyncio.to_thread(tracker.close)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
