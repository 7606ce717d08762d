"""What an agent of the other process does when it is asked: it writes down that it was called, and then as it is told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from runstate import Breaker, Cause, Completed, ExecutionTracker, Outcome

WHOSE: dict[str, Any] = {"thread_id": "t-1", "user_id": "u-1"}
BREAKER = Breaker(failures=3, window=3_600.0, cooldown=3_600.0)


def _note(calls: str, deed: str) -> None:
    with Path(calls).open("a", encoding="utf-8") as file:
        file.write(f"{deed}\n")


def agent_of(tracker: ExecutionTracker, calls: str, **options: Any) -> Any:
    """Track an async agent that adds a line to *calls* and answers, hangs, or fails."""

    @tracker.agent("answering", **options)
    async def answer(deed: str) -> str:
        _note(calls, deed)
        if deed == "hang":
            print(json.dumps("begun"), flush=True)
            await asyncio.sleep(600.0)
        if deed.startswith("open "):  # waits until somebody has opened the other end of this FIFO
            print(json.dumps("begun"), flush=True)
            await asyncio.to_thread(Path(deed.partition(" ")[2]).read_text)
        if deed == "fail":
            raise ConnectionError(deed)
        return f"answer to {deed}"

    return answer


def described(outcome: Outcome[Any]) -> list[Any]:
    """Describe an outcome as JSON."""
    if isinstance(outcome, Completed):
        return ["Completed", outcome.result, outcome.execution_id]
    return [type(outcome).__name__, outcome.cause.value, outcome.execution_id]


def ask(
    tracker: ExecutionTracker, calls: str, deed: str, message_ids: list[str | None], user_id: str = "u-1"
) -> list[list[Any]]:
    """Ask for each message of a user, all at once; say what comes of it, in order."""
    whose = {**WHOSE, "user_id": user_id}
    answer = agent_of(tracker, calls)

    async def main() -> list[Outcome[Any]]:
        return list(await asyncio.gather(*(answer.bind(**whose, message_id=one)(deed) for one in message_ids)))

    return [described(outcome) for outcome in asyncio.run(main())]


def fail(tracker: ExecutionTracker, calls: str, times: int) -> list[str]:
    """Fail so often, one call after the other, with a breaker; say why each has ended."""
    answer = agent_of(tracker, calls, breaker=BREAKER)

    async def main() -> list[str]:
        causes: list[Cause] = [(await answer.bind(**WHOSE)("fail")).cause for _ in range(times)]
        return [cause.value for cause in causes]

    return asyncio.run(main())
