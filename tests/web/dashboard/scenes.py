"""An hour of a busy fleet, in a journal on disk, for a browser to look at.

Ends of every kind, spread over the last hour; live executions of every state and age, one of them warned of; and one that died of a blocked loop.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from runstate import Cause, Entry, Evidence, Execution, ExecutionState, ExecutionTracker, Phase
from runstate.journal.sqlite import SqliteJournal

from ...clock import SECOND, FakeClock
from ...journal.entries import created, moved, phased, warned

HOUR = 3_600.0
LONG = 86_400.0
"""Seconds of a lease that nobody has to renew meanwhile."""
AGENTS = ("airline", "airline", "airline", "retail", "retail", "support-triage", "summarizer")
TOOLS = ("get_user_details", "search_direct_flight", "book_reservation", "lookup_order", "update_ticket", "calculate")
ERRORS = (
    "ModelHTTPError: status 529, the model is overloaded\n\nTraceback (most recent call last):\n"
    '  File "agents/airline.py", line 88, in answer\n    reply = await model.request(messages)\n'
    "ModelHTTPError: status 529, the model is overloaded",
    "KeyError: 'reservation_id'",
    "ToolError: book_reservation: the payment was refused",
    "ValidationError: 1 validation error for Answer",
)


@contextmanager
def busy_fleet(path: Path, *, live: int = 60, ended: int = 1_400, seed: int = 5) -> Iterator[ExecutionTracker]:
    """Give a tracker of this moment on a journal whose last hour was busy; the worker of that hour is still there.

    Args:
        path: Where the journal is made.
        live: How many executions are live.
        ended: How many have ended.
        seed: Decides everything.
    """
    choose = random.Random(seed)
    began = time.time_ns() - int(HOUR * SECOND)
    clock = FakeClock(monotonic_ns=time.monotonic_ns() - int(HOUR * SECOND), time_ns=began)
    with ExitStack() as stack:
        past = stack.enter_context(ExecutionTracker(SqliteJournal(path), clock=clock, lease=LONG))
        oldest: Execution[Any] | None = None
        running: list[Execution[Any]] = []
        for number in range(ended):
            if number > 0.9 * ended and number % 3 == 0 and len(running) < live // 2:
                running.append(_begin(past, choose, number, LONG))
                _phases(running[-1], choose)
            run = _begin(past, choose, number)
            clock.advance(choose.uniform(0.5, 1.5) * HOUR / ended / 2)
            _phases(run, choose)
            clock.advance(choose.uniform(0.5, 1.5) * HOUR / ended / 2)
            _end(past, run, choose, is_bad=0.62 < number / ended < 0.68)
            if oldest is None and clock.time_ns() - began > 0.2 * HOUR * SECOND:
                oldest = past.create(agent="support-triage", thread_id="t-1187", user_id="u-204", timeout=LONG)
                oldest.start().run().phase(Phase.TOOL_EXECUTION, "update_ticket")
        past.flush()
        tracker = stack.enter_context(ExecutionTracker(SqliteJournal(path), lease=LONG))
        for number in range(live - len(running) - 2):
            run = tracker.create(
                agent=choose.choice(AGENTS),
                thread_id=f"t-{choose.randrange(900, 1400)}",
                user_id=f"u-{choose.randrange(100, 400)}",
                timeout=choose.choice([25.0, 120.0, HOUR]) + 600.0,
            )
            if number % 9:
                starting = run.start()
                if number % 7:
                    going = starting.run()
                    if number % 11 == 0:
                        going.finish()
                    else:
                        tracker.handle(run.execution_id).phase(*_phase(choose))
        tracker.flush()
        journal = stack.enter_context(closing(SqliteJournal(path)))
        journal.append(_blocked(time.time_ns() - 42 * SECOND, ends=False))
        journal.append(_blocked(time.time_ns() - 95 * SECOND, ends=True))
        yield tracker


def _begin(tracker: ExecutionTracker, choose: random.Random, number: int, timeout: float = 25.0) -> Execution[Any]:
    return tracker.create(
        agent=choose.choice(AGENTS),
        thread_id=f"t-{1_000 + number // 3}",
        user_id=f"u-{choose.randrange(100, 400)}",
        timeout=timeout,
        metadata={"tier": choose.choice(["free", "pro"]), "message": number},
    )


def _phase(choose: random.Random) -> tuple[Phase, str | None]:
    phase = choose.choice([Phase.LLM_INTERACTION, Phase.TOOL_EXECUTION, Phase.THINKING, Phase.TOOL_EXECUTION])
    if phase is Phase.TOOL_EXECUTION:
        return phase, choose.choice(TOOLS)
    return phase, "gpt-5" if phase is Phase.LLM_INTERACTION else None


def _phases(run: Execution[Any], choose: random.Random) -> None:
    running = run.start().run()
    for _ in range(choose.randrange(1, 4)):
        running.phase(*_phase(choose))


def _end(tracker: ExecutionTracker, run: Execution[Any], choose: random.Random, *, is_bad: bool) -> None:
    roll = choose.random()
    odds = (0.84, 0.95, 0.97, 0.99) if is_bad else (0.975, 0.99, 0.995, 0.998)
    if roll < odds[0]:
        tracker.update_execution_state(run.execution_id, ExecutionState.COMPLETED, result={"text": "LH 400, 10:55"})
    elif roll < odds[1]:
        tracker.update_execution_state(run.execution_id, ExecutionState.FAILED, error=choose.choice(ERRORS))
    elif roll < odds[2]:
        tracker.update_execution_state(run.execution_id, ExecutionState.TIMEOUT, error="the time limit of 25 s passed")
    elif roll < odds[3]:
        tracker.update_execution_state(run.execution_id, ExecutionState.CANCELLED, error="the user asked again")
    else:
        tracker.update_execution_state(run.execution_id, ExecutionState.DEAD, error="its process is gone")


STACK = """File "agents/retail.py", line 141, in answer
    quote = self.pricing.quote(order)
  File "agents/pricing.py", line 57, in quote
    response = requests.post(self.url, json=payload)
  File "urllib3/connection.py", line 198, in _new_conn
    sock = connection.create_connection(self._dns_host)"""


def _blocked(at_ns: int, *, ends: bool) -> list[Entry]:
    """The log of one whose event loop does not turn, up to its end or not yet."""
    pending, running, dead = ExecutionState.PENDING, ExecutionState.RUNNING, ExecutionState.DEAD
    whose = f"{at_ns // 1_000_000:012x}7bd28f4e5a6b7c8d9e0f"
    whose = f"{whose[:31]}{int(ends)}"
    ms = SECOND // 1_000
    log: list[Entry] = [
        created(
            whose,
            at_ns=at_ns,
            agent="retail",
            thread_id="t-1302",
            user_id="u-117",
            timeout=None,
            heartbeat_timeout=30.0,
        ),
        moved(whose, 2, pending, running, at_ns=at_ns + 3 * ms),
        phased(whose, 3, Phase.CONTEXT_VALIDATION, at_ns=at_ns + 4 * ms),
        phased(whose, 4, Phase.LLM_INTERACTION, detail="gpt-5", at_ns=at_ns + 210 * ms),
        phased(whose, 5, Phase.TOOL_EXECUTION, detail="quote_price", at_ns=at_ns + 3_840 * ms),
        warned(whose, 6, Cause.LOOP_BLOCKED, detail=STACK, at_ns=at_ns + 13_900 * ms),
    ]
    if ends:
        evidence = Evidence("loop watch", 7, 31.2, Phase.TOOL_EXECUTION, "quote_price", STACK, None)
        error = "the event loop did not turn for 31.2 s"
        end = moved(whose, 7, running, dead, at_ns=at_ns + 35_040 * ms, cause=Cause.LOOP_BLOCKED, evidence=evidence)
        log.append(end._replace(error=error))
    return log
