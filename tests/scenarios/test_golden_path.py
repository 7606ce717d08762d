"""The golden path: many users talk to one agent at once, and for every message somebody can say how it ended.

The turns are of the kinds that a recorded airline agent had: it answers, hands over to a human, fails in a tool, just stops,
hangs, is called off, and returns something that is no JSON.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

from runstate import (
    Cancelled,
    Cause,
    Completed,
    Died,
    Event,
    ExecutionState,
    ExecutionTracker,
    Failed,
    NoOutcomeError,
    Outcome,
    Phase,
    PhaseChange,
    TimedOut,
    Transition,
    current,
)

from ..clock import FakeClock
from ..gated import stored
from ..stores import Store

TOOLS: Final = ("get_user_details", "search_direct_flight", "book_reservation")
KINDS: Final = ("answers", "hands over", "fails in a tool", "hangs", "is called off", "returns no JSON")
TURNS: Final = 10
"""Of each kind."""


async def steps() -> None:
    """What every turn does first: think, and use tools, with a sign of life at each step."""
    run = current()
    for tool in TOOLS:
        run.phase(Phase.THINKING)
        await asyncio.sleep(0)
        run.phase(Phase.TOOL_EXECUTION, tool)
        run.heartbeat()
        await asyncio.sleep(0)
    run.phase(Phase.RESULT_PROCESSING)


async def turn(kind: str, hanging: asyncio.Semaphore) -> Any:
    """One turn of the agent."""
    await steps()
    if kind == "hands over":
        return {"text": None, "handed_over": True}
    if kind == "fails in a tool":
        raise LookupError("no such reservation")
    if kind in {"hangs", "is called off"}:
        hanging.release()
        await asyncio.Event().wait()
    if kind == "returns no JSON":
        return {"flights": {"HAT1", "HAT2"}}
    return {"text": "Your flight is booked.", "handed_over": False}


def describe(outcome: Outcome[Any]) -> str:
    """What the chat user is told. Leaving an outcome out would be a type error."""
    match outcome:
        case Completed(result):
            return "a colleague takes over" if result["handed_over"] else result["text"]
        case Failed(error) | TimedOut(error) | Died(error) | Cancelled(error):
            return f"sorry: {error}"


def test_every_user_is_told(store: Store, tracker: ExecutionTracker, clock: FakeClock) -> None:
    """Sixty concurrent turns of six kinds: each has the outcome of its kind, in the call, in the store and in the counts."""
    agent = tracker.agent("airline", timeout=25.0)(turn)

    async def main() -> dict[tuple[str, int], Outcome[Any]]:
        hanging = asyncio.Semaphore(0)
        tasks = {
            (kind, number): asyncio.create_task(
                agent.bind(thread_id=f"t-{number}", user_id=f"u-{kind}")(kind, hanging), name=f"{kind} {number}"
            )
            for kind in KINDS
            for number in range(TURNS)
        }
        for _ in range(2 * TURNS):
            await hanging.acquire()
        for record in await asyncio.to_thread(tracker.find, user_id="u-is called off", limit=1_000):
            tracker.update_execution_state(record.execution_id, ExecutionState.CANCELLED, error="the user left")
        await asyncio.wait([task for (kind, _), task in tasks.items() if kind != "hangs"])
        clock.advance(26.0)
        assert await asyncio.to_thread(tracker.sweep) == TURNS
        return {key: await task for key, task in tasks.items()}

    outcomes = asyncio.run(main())
    told = Counter((kind, describe(outcome)) for (kind, _), outcome in outcomes.items())
    assert told["answers", "Your flight is booked."] == TURNS
    assert told["hands over", "a colleague takes over"] == TURNS
    assert told["fails in a tool", "sorry: LookupError: no such reservation"] == TURNS
    assert told["hangs", "sorry: the time limit of 25.0 s passed"] == TURNS
    assert told["is called off", "sorry: the user left"] == TURNS
    assert (
        sum(count for (kind, words), count in told.items() if kind == "returns no JSON" and "NotJson" in words) == TURNS
    )
    statistics = tracker.statistics()
    assert (statistics.created, statistics.live, statistics.journal_failure) == (len(outcomes), 0, None)
    assert statistics.ended == {
        (ExecutionState.COMPLETED, Cause.RETURNED): 2 * TURNS,
        (ExecutionState.FAILED, Cause.RAISED): 2 * TURNS,
        (ExecutionState.TIMEOUT, Cause.DEADLINE): TURNS,
        (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER): TURNS,
    }
    for outcome in outcomes.values():
        record = stored(store, outcome.execution_id)
        assert record.state.name == {
            Completed: "COMPLETED", Failed: "FAILED", TimedOut: "TIMEOUT", Died: "DEAD", Cancelled: "CANCELLED"
        }[type(outcome)]  # fmt: skip
        assert record.evidence is not None


def test_a_turn_that_just_stops_is_not_silent(store: Store, tracker: ExecutionTracker) -> None:
    """A turn that ends without a word, which vanished in the wild, is FAILED, NO_OUTCOME, and its caller hears of it."""

    async def main() -> list[str]:
        stopped = []
        for number in range(3):
            try:
                async with tracker.execution(agent="airline", thread_id=f"t-{number}", user_id="u-1"):
                    await steps()
            except NoOutcomeError as error:
                stopped.append(error.execution_id)
        return stopped

    stopped = asyncio.run(main())
    assert len(stopped) == 3
    for execution_id in stopped:
        record = stored(store, execution_id)
        assert (record.state, record.cause) == (ExecutionState.FAILED, Cause.NO_OUTCOME)
        assert record.evidence is not None
        assert (record.evidence.beats, record.evidence.last_phase) == (3, Phase.RESULT_PROCESSING)


def test_what_a_client_sees(tracker: ExecutionTracker) -> None:
    """A client that subscribes to its conversation sees each step of its own turn, in order, while it runs."""
    agent = tracker.agent("airline")(turn)

    async def main() -> list[Event]:
        seen: list[Event] = []
        with tracker.subscribe(thread_id="t-1") as subscription:
            calls = [
                asyncio.create_task(agent.bind(thread_id=f"t-{number}", user_id="u-1")("answers", asyncio.Semaphore()))
                for number in range(3)
            ]
            async for event in subscription:
                seen.append(event)
                if isinstance(event.entry, Transition) and event.entry.target.is_terminal:
                    break
            await asyncio.gather(*calls)
        return seen

    seen = asyncio.run(main())
    assert {event.thread_id for event in seen} == {"t-1"}
    assert [event.entry.seq for event in seen] == list(range(1, len(seen) + 1))
    steps_seen = [event.entry.detail for event in seen if isinstance(event.entry, PhaseChange) and event.entry.detail]
    assert steps_seen == list(TOOLS)


def test_the_next_process_knows_it_all(store: Store, clock: FakeClock) -> None:
    """After a restart every execution, its history, its phases and its answer are there to be read."""
    with ExecutionTracker(store.journal(), clock=clock) as first:
        agent = first.agent("airline")(turn)
        outcome = asyncio.run(agent.bind(thread_id="t-1", user_id="u-1")("answers", asyncio.Semaphore()))
        timeline = first.timeline(outcome.execution_id)
        before = first.get(outcome.execution_id)
    with ExecutionTracker(store.journal(), clock=clock) as second:
        assert second.get(outcome.execution_id) == before
        assert second.timeline(outcome.execution_id) == timeline
        assert second.find(thread_id="t-1") == (before,)
        told = second.wait(outcome.execution_id, timeout=30.0)
        assert isinstance(told, Completed)
        assert told.result == {"text": "Your flight is booked.", "handed_over": False}
