"""Replays the plan: every conversation an agent of its own and a user who waits for answers, all at the same time.

The two sides of a turn are kept apart, as in a chat. The *agent* works inside `async with tracker.execution(…)`. The *asker*
knows only the execution's id and waits for its outcome; whatever happens to the agent, the asker must get one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from runstate import (
    Execution,
    ExecutionState,
    ExecutionTimeoutError,
    ExecutionTracker,
    Json,
    NoOutcomeError,
    NotJsonError,
    Outcome,
    StateTypeError,
    WaitTimeoutError,
)

from ._recording import Conversation, Ending, Fault, Turn

Running: TypeAlias = Execution[Literal[ExecutionState.RUNNING]]

PATIENCE: Final = 300.0
"""Seconds that anything may take which is not meant to fail: generous, so that a slow machine changes no count."""
HANG_DEADLINE: Final = 1.0
"""Seconds of the deadline of a turn that is going to hang for `PATIENCE`."""

_FILLER: Final = "The words of this answer are not part of the recording. "

_LEAVES: Final[dict[Fault | Ending, type[BaseException] | None]] = {
    Fault.RAISE: ConnectionResetError,
    Fault.HANG: ExecutionTimeoutError,
    Fault.CANCEL: asyncio.CancelledError,
    Fault.NOT_JSON: NotJsonError,
    Fault.DICT_STATE: StateTypeError,
    Ending.ANSWER: None,
    Ending.HANDOVER: None,
    Ending.STOP: NoOutcomeError,
}
"""What must leave the agent's block, by what was planned for the turn."""


@dataclass(slots=True)
class Replay:
    """What the replay did, as seen by the askers and by a clock."""

    asked: dict[str, Outcome[Json] | None] = field(default_factory=dict[str, Outcome[Json] | None])
    """By execution: the outcome that its asker got."""
    unheard: int = 0
    """Turns whose asker did not even get an execution."""
    unplanned: list[str] = field(default_factory=list[str])
    """Ends that differ from the plan."""
    injected: dict[Fault, int] = field(default_factory=lambda: dict.fromkeys(Fault, 0))
    tool_errors: int = 0
    handovers: int = 0
    steps: int = 0
    seconds: float = 0.0
    move_ns: list[int] = field(default_factory=list[int])
    """How long each move by a handle took."""
    end_ns: list[int] = field(default_factory=list[int])
    """How long each block took to leave, end durable."""


async def replay(
    tracker: ExecutionTracker,
    conversations: tuple[Conversation, ...],
    speed: float,
    on_end: Callable[[], None],
) -> Replay:
    """Replay conversations, all at the same time, the turns of each in order.

    Args:
        tracker: Where to.
        conversations: The plan.
        speed: By what the planned durations are divided.
        on_end: Called after each turn.
    """
    result = Replay()
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for conversation in conversations:
            group.create_task(_Chat(tracker, conversation, speed, result, on_end).run())
    result.seconds = time.perf_counter() - started
    return result


class _Chat:
    """One conversation."""

    def __init__(
        self,
        tracker: ExecutionTracker,
        conversation: Conversation,
        speed: float,
        result: Replay,
        on_end: Callable[[], None],
    ) -> None:
        self.tracker = tracker
        self.conversation = conversation
        self.speed = speed
        self.result = result
        self.on_end = on_end

    async def run(self) -> None:
        for turn in self.conversation.turns:
            await self._ask(turn)
            self.on_end()

    async def _ask(self, turn: Turn) -> None:
        """Be the asker of one turn."""
        if turn.fault is not None:
            self.result.injected[turn.fault] += 1
        loop = asyncio.get_running_loop()
        begun: asyncio.Future[str] = loop.create_future()
        reached: asyncio.Future[None] = loop.create_future()
        agent = asyncio.create_task(self._answer(turn, begun, reached))
        try:
            await asyncio.wait((agent, begun), return_when=asyncio.FIRST_COMPLETED)
            if not begun.done():
                self.result.unheard += 1
            else:
                if turn.fault is Fault.CANCEL:
                    await asyncio.wait((agent, reached), return_when=asyncio.FIRST_COMPLETED)
                    agent.cancel()
                await self._hear(begun.result())
        except (
            asyncio.CancelledError
        ):  # the demo is interrupted: the agent goes first, and what it raises is of no interest
            agent.cancel()
            await asyncio.gather(agent, return_exceptions=True)
            raise
        (left,) = await asyncio.gather(agent, return_exceptions=True)
        expected = _LEAVES[turn.fault or turn.ending]
        as_planned = left is None if expected is None else isinstance(left, expected)
        if not as_planned:
            wanted = "an answer" if expected is None else expected.__name__
            where = f"{self.conversation.thread_id} turn {turn.number}"
            self.result.unplanned.append(f"{where}: {wanted} was planned, {left!r} came")

    async def _hear(self, execution_id: str) -> None:
        self.result.asked[execution_id] = None
        try:
            self.result.asked[execution_id] = await self.tracker.await_outcome(execution_id, timeout=PATIENCE)
        except WaitTimeoutError:
            return  # nothing came: it stays None, and is counted as silent

    async def _answer(self, turn: Turn, begun: asyncio.Future[str], reached: asyncio.Future[None]) -> None:
        """Be the agent of one turn."""
        leaving = 0
        try:
            async with self.tracker.execution(
                agent=self.conversation.agent,
                thread_id=self.conversation.thread_id,
                user_id=self.conversation.user_id,
                timeout=HANG_DEADLINE if turn.fault is Fault.HANG else PATIENCE,
                heartbeat_timeout=PATIENCE,
                metadata={"turn": turn.number, "user_chars": turn.user_chars},
            ) as run:
                begun.set_result(run.execution_id)
                try:
                    tool_errors = await self._work(turn, run, reached)
                    self._end(turn, run, tool_errors)
                finally:
                    leaving = time.perf_counter_ns()
        finally:
            if leaving:
                self.result.end_ns.append(time.perf_counter_ns() - leaving)

    async def _work(self, turn: Turn, run: Running, reached: asyncio.Future[None]) -> int:
        """Take the steps; return how many tool calls failed. A failed tool call is no failed run: the agent goes on."""
        tool_errors = 0
        for number, step in enumerate(turn.steps):
            run.phase(step.phase, step.detail)
            run.heartbeat()
            self.result.steps += 1
            if number == turn.fault_at:
                await self._strike(turn.fault, reached)
            await asyncio.sleep(step.seconds / self.speed)
            tool_errors += step.is_tool_error
            self.result.tool_errors += step.is_tool_error
        return tool_errors

    async def _strike(self, fault: Fault | None, reached: asyncio.Future[None]) -> None:
        """Inject what strikes within a step."""
        if fault is None or fault is Fault.NOT_JSON or fault is Fault.DICT_STATE:
            return
        if fault is Fault.RAISE:
            raise ConnectionResetError("the model's server closed the connection")
        if fault is Fault.CANCEL:
            reached.set_result(None)
        await asyncio.sleep(10 * PATIENCE)

    def _end(self, turn: Turn, run: Running, tool_errors: int) -> None:
        """End the execution as recorded, or with what strikes at the end."""
        if turn.ending is Ending.STOP:
            return  # as in the wild: nobody says how it ended
        answer: dict[str, object] = {"text": (_FILLER * (turn.answer_chars // len(_FILLER) + 1))[: turn.answer_chars]}
        if turn.ending is Ending.HANDOVER:
            self.result.handovers += 1
            answer = {"text": None, "handed_over_to": "a human"}
        answer["tool_errors"] = tool_errors
        if turn.fault is Fault.NOT_JSON:
            answer["answered_at"] = datetime.now(UTC)
        if turn.fault is Fault.DICT_STATE:
            self.tracker.update_execution_state(run.execution_id, {"success": False})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # runstate: ignore[dict-state]
        begun = time.perf_counter_ns()
        completing = run.finish()
        done = time.perf_counter_ns()
        completing.complete(answer)
        self.result.move_ns += (done - begun, time.perf_counter_ns() - done)
