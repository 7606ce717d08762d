"""A message that is sent again while the breaker of its agent is open: it still has the one answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import runstate
from runstate import AsyncAgent, Breaker, Completed, ExecutionTracker


def agent_of(tracker: ExecutionTracker) -> AsyncAgent[[str], str]:
    """An agent that fails when told to, with a breaker and a fallback."""

    async def canned(message: str) -> str:
        return "canned"

    @tracker.agent("air", breaker=Breaker(failures=2, window=60.0, cooldown=60.0), fallback=canned)
    async def air(message: str) -> str:
        if message == "fail":
            raise ValueError(message)
        return message

    return air


def test_a_resent_message_gets_its_answer_through_an_open_breaker(tmp_path: Path) -> None:
    """Another process whose breaker is open returns the recorded outcome of a message that was answered before, and refuses nothing."""

    async def ask() -> None:
        path = tmp_path / "journal.db"
        async with runstate.open(path) as first, runstate.open(path) as second:
            before = await agent_of(first).bind(thread_id="t", user_id="u", message_id="m")("answer")
            agent = agent_of(second)
            for number in range(2):
                await agent.bind(thread_id="t", user_id="u", message_id=f"fails-{number}")("fail")
            new = await agent.bind(thread_id="t", user_id="u", message_id="new")("answer")
            again = await agent.bind(thread_id="t", user_id="u", message_id="m")("answer")
        assert isinstance(new, Completed)
        assert (new.result, new.is_fallback) == ("canned", True)
        assert again == before

    asyncio.run(ask())
