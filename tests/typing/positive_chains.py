"""Right uses of what an agent is told about failures, and of messages. Read by type checkers, never run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, assert_type

from runstate import Breaker, Execution, ExecutionRecord, ExecutionState, ExecutionTracker, Outcome, Retry


async def chains(tracker: ExecutionTracker) -> None:
    """An agent that is told what to do about failures keeps its parameters and its result, and its fallback has both."""

    def sorry(message: str, *, retries: int = 0) -> str:
        return message * retries

    async def sorry_later(message: str) -> list[str]:
        return [message]

    @tracker.agent("retried", retry=Retry(attempts=3, on=(ConnectionError,)), breaker=Breaker(failures=5))
    def retried(message: str, *, retries: int = 0) -> bytes:
        return message.encode() * retries

    @tracker.agent("with fallback", retry=Retry(), fallback=sorry)
    def with_fallback(message: str, *, retries: int = 0) -> str:
        return message * retries

    @tracker.agent("later", fallback=sorry_later)
    async def later(message: str) -> list[str]:
        return [message]

    assert_type(retried.bind(thread_id="t", user_id="u", message_id="m")("hello", retries=2), Outcome[bytes])
    assert_type(with_fallback.bind(thread_id="t", user_id="u")("hello", retries=2), Outcome[str])
    assert_type(await later.bind(thread_id="t", user_id="u", message_id="m")("hello"), Outcome[list[str]])
    assert_type(tracker.attempts("x"), tuple[ExecutionRecord, ...])
    again = tracker.create(agent="a", thread_id="t", user_id="u", message_id="m", retry_of="x")
    assert_type(again, Execution[Literal[ExecutionState.PENDING]])
    assert_type(again.record.attempt, int)
    assert_type(tracker.annotate(lambda: {"trace": "a"}), Callable[[], None])
