"""A worker under load: agents that begin, go through phases, hand over, cancel each other's work and wait for it, until it is ended.

    python -m tests.chaos.worker URL SIDE-LOG SEED LEASE AGENTS

It prints `there` when it has begun, and closes its tracker on SIGTERM. Whatever the journal raises, the agents go on with the next
execution, as the agents of a user would: only what runstate must not do ends up in the side log as `broken`.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

import runstate
from runstate import (
    Completed,
    ExecutionState,
    ExecutionTracker,
    FencedError,
    InvalidTransitionError,
    JournalConflictError,
    JournalError,
    JournalUnavailableError,
    Phase,
    TrackerClosedError,
    UnknownExecutionError,
    WaitTimeoutError,
)

from . import sidelog
from .sidelog import SideLog
from .silences import tell_silences

PHASES = tuple(Phase)
PATIENCE = 60.0
"""Seconds in which every execution that somebody waits for must end."""
CHILD_LIVES = 5.0
"""Leases for which a forked child lives, whatever becomes of its parent."""


class Load:
    """What the agents of one worker do.

    Args:
        tracker: Theirs.
        log: Where promises go.
        randomness: What decides.
        child_lives: Seconds that a forked child lives.
    """

    def __init__(self, tracker: ExecutionTracker, log: SideLog, randomness: random.Random, child_lives: float) -> None:
        self.child_lives = child_lives
        self.tracker = tracker
        self.log = log
        self.randomness = randomness
        self.stopping = asyncio.Event()

    async def agent(self, number: int) -> None:
        """Do one thing after the other."""
        ways: list[Callable[[str], Awaitable[object]]] = [
            self.block, self.block, self.decorated, self.handover, self.handles, self.in_a_thread, self.short_of_time,
        ]  # fmt: skip
        while not self.stopping.is_set():
            try:
                await self.randomness.choice(ways)(f"t-{number}")
            except TrackerClosedError:
                return
            except (FencedError, JournalError):
                await asyncio.sleep(0.05)  # said where it was raised
            except Exception:
                self.broken()
                await asyncio.sleep(0.05)

    async def think(self) -> None:
        """Take the time that a model would."""
        await asyncio.sleep(self.randomness.expovariate(20.0))

    async def block(self, thread_id: str, metadata: dict[str, str] | None = None, to: str | None = None) -> str:
        """Run one execution in a block; return its id."""
        execution_id, wanted = "", {"text": "x" * self.randomness.randrange(500), "to": to}
        try:
            async with self.tracker.execution(
                agent="block", thread_id=thread_id, user_id="u", metadata=metadata
            ) as run:
                execution_id = run.execution_id
                self.log.say(sidelog.LIVE, execution_id)
                for number in range(self.randomness.randrange(6)):
                    run.phase(PHASES[number], str(number))
                    await self.think()
                    run.heartbeat()
                    if self.randomness.random() < 0.2:
                        await self.tracker.aflush()
                        self.log.say(sidelog.PHASES, execution_id, number + 1)
                if self.randomness.random() < 0.1:
                    raise ValueError("this one fails")
                run.complete(wanted)
        except ValueError as error:
            if noted := getattr(
                error, "__notes__", None
            ):  # the body's own exception goes on, and says what was refused
                self.log.say(sidelog.UNSURE, execution_id, None, noted)
            else:
                self.log.say(sidelog.ENDED, execution_id, "failed", None)
        except BaseException as error:
            self.refused(execution_id, error, wanted)
            raise
        else:
            self.log.say(sidelog.ENDED, execution_id, "completed", wanted)
        return execution_id

    async def decorated(self, thread_id: str) -> None:
        """Call a tracked agent; believe its outcome."""
        seen: list[str] = []

        @self.tracker.agent("decorated")
        async def agent(length: int) -> str:
            seen.append(runstate.current().execution_id)
            self.log.say(sidelog.LIVE, seen[0])
            await self.think()
            return "y" * length

        length = self.randomness.randrange(300)
        try:
            outcome = await agent.bind(thread_id=thread_id, user_id="u")(length)
        except BaseException as error:
            self.refused(seen[0] if seen else "", error, "y" * length)
            raise
        if isinstance(outcome, Completed):
            self.log.say(sidelog.ENDED, outcome.execution_id, "completed", outcome.result)
        else:
            self.log.say(sidelog.SEEN, outcome.execution_id, type(outcome).__name__)

    async def handover(self, thread_id: str) -> None:
        """Let one agent end by handing over to the next, which begins where it ended."""
        before = await self.block(thread_id, to="next")
        async with self.tracker.execution(agent="parent", thread_id=thread_id, user_id="u") as parent:
            self.log.say(sidelog.LIVE, parent.execution_id)
            await self.block(thread_id, metadata={"from": before})
            parent.complete(before)

    async def handles(self, thread_id: str) -> None:
        """Move several executions at once; what is durable together is promised together."""
        pending = [self.tracker.create(agent="handles", thread_id=thread_id, user_id="u") for _ in range(5)]
        running = [one.start().run() for one in pending]
        await self._promise({one.execution_id: None for one in running})
        await self.think()
        tried: dict[str, list[int] | None] = {}
        for number, one in enumerate(running):
            try:
                one.finish().complete([number])
            except (FencedError, InvalidTransitionError, JournalConflictError) as error:
                self.refused(one.execution_id, error, [number])
            else:
                tried[one.execution_id] = [number]
        await self._promise(tried)

    async def _promise(self, facts: dict[str, list[int] | None]) -> None:
        try:
            await self.tracker.aflush()
        except (FencedError, JournalError) as error:
            for execution_id, wanted in facts.items():
                self.log.say(sidelog.UNSURE, execution_id, wanted, repr(error))
            raise
        for execution_id, wanted in facts.items():
            if wanted is None:
                self.log.say(sidelog.LIVE, execution_id)
            else:
                self.log.say(sidelog.ENDED, execution_id, "completed", wanted)

    async def in_a_thread(self, thread_id: str) -> None:
        """Run a sync block beside the loop."""
        pause = self.randomness.expovariate(20.0)

        def work() -> None:
            execution_id = ""
            try:
                with self.tracker.execution(agent="thread", thread_id=thread_id, user_id="u") as run:
                    execution_id = run.execution_id
                    self.log.say(sidelog.LIVE, execution_id)
                    run.phase(Phase.THINKING, "0")
                    time.sleep(pause)
                    run.complete("done")
            except BaseException as error:
                self.refused(execution_id, error, "done")
                raise
            self.log.say(sidelog.ENDED, execution_id, "completed", "done")

        await asyncio.to_thread(work)

    async def short_of_time(self, thread_id: str) -> None:
        """Run past a limit."""
        execution_id = ""
        try:
            async with self.tracker.execution(agent="late", thread_id=thread_id, user_id="u", timeout=0.02) as run:
                execution_id = run.execution_id
                self.log.say(sidelog.LIVE, execution_id)
                await asyncio.sleep(self.randomness.uniform(0.0, 0.1))
                run.complete(None)
        except BaseException as error:
            self.refused(execution_id, error, None)
            raise
        self.log.say(sidelog.ENDED, execution_id, "completed", None)

    async def canceller(self) -> None:
        """Cancel what others run, and own work too; see it end."""
        while not self.stopping.is_set():
            await asyncio.sleep(self.randomness.expovariate(2.0))
            await self.watch(self.cancel_one)

    async def waiter(self) -> None:
        """Wait for what others run."""
        while not self.stopping.is_set():
            await asyncio.sleep(self.randomness.expovariate(2.0))
            await self.watch(self.wait_for_one)

    async def watch(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something about somebody's execution, which may end, or be unreachable, at any moment."""
        try:
            await work()
        except (FencedError, InvalidTransitionError, JournalError, UnknownExecutionError, TrackerClosedError):
            return
        except Exception:
            self.broken()

    async def cancel_one(self) -> None:
        """Cancel any running execution."""
        if (execution_id := await self.any_running()) is None:
            return
        await asyncio.to_thread(self.tracker.cancel, execution_id, "enough")
        await self.tracker.aflush()  # one of its own it has cancelled itself, and only decided so far
        asked = time.monotonic()
        self.log.say(sidelog.ASKED, execution_id, time.time_ns())
        await self.see_the_end(execution_id)
        self.log.say(sidelog.HEARD, execution_id, time.monotonic() - asked)

    async def wait_for_one(self) -> None:
        """Wait for any running execution."""
        if (execution_id := await self.any_running()) is not None:
            await self.see_the_end(execution_id)

    async def any_running(self) -> str | None:
        """Choose one of the newest executions that run anywhere."""
        found = await asyncio.to_thread(lambda: self.tracker.find(state=ExecutionState.RUNNING, limit=20))
        return self.randomness.choice(found).execution_id if found else None

    async def see_the_end(self, execution_id: str) -> None:
        """Wait for an outcome, which must come."""
        try:
            outcome = await self.tracker.await_outcome(execution_id, timeout=PATIENCE)
        except WaitTimeoutError as error:
            if not self.stopping.is_set():
                self.log.say(sidelog.UNSURE, execution_id, None, repr(error))
            return
        self.log.say(sidelog.SEEN, execution_id, type(outcome).__name__)

    async def forker(self) -> None:
        """Leave children behind, which inherit everything and outlive a kill: a program, and a copy of this process."""
        while not self.stopping.is_set():
            await asyncio.sleep(self.randomness.uniform(1.0, 4.0))
            leave_children(self.child_lives)

    def refused(self, execution_id: str, error: BaseException, wanted: object) -> None:
        """Say what a caller was told instead of success."""
        if isinstance(error, FencedError) and getattr(error, "__notes__", None):
            self.log.say(
                sidelog.UNSURE, execution_id, wanted, error.__notes__
            )  # what it names was decided, and was refused
        elif isinstance(error, FencedError):
            cause = None if error.cause is None else error.cause.name
            is_own = execution_id in {
                "",
                error.execution_id,
            }  # a flush tells of any execution that the process has lost
            self.log.say(
                sidelog.FENCED, error.execution_id, error.state.value, cause, wanted if is_own else None, is_own
            )
            if not is_own:
                self.log.say(sidelog.UNSURE, execution_id, wanted, repr(error))
        elif isinstance(error, JournalConflictError):
            self.broken(execution_id)  # whoever has lost an execution is told who has taken it
        elif isinstance(error, InvalidTransitionError | JournalError | asyncio.CancelledError | TrackerClosedError):
            self.log.say(sidelog.UNSURE, execution_id, wanted, repr(error))

    def broken(self, execution_id: str = "") -> None:
        """Say what must not happen."""
        self.log.say(sidelog.BROKEN, execution_id, traceback.format_exc())


def leave_children(seconds: float) -> None:
    """Start a program and a copy of this process, which live for so long and do nothing."""
    os.posix_spawnp("sleep", ["sleep", str(seconds)], os.environ)
    if os.fork() == 0:
        time.sleep(seconds)
        os._exit(0)


async def opened(url: str, lease: float) -> ExecutionTracker:
    """Open the journal, again if the server happens to be away."""
    while True:
        try:
            return runstate.open(url, lease=lease)
        except JournalUnavailableError:
            await asyncio.sleep(0.2)


async def main(url: str, log: Path, seed: int, lease: float, agents: int) -> None:
    """Work until SIGTERM."""
    tracker = await opened(url, lease)
    side_log = SideLog(log)
    threading.Thread(target=tell_silences, args=(side_log, lease), daemon=True).start()
    load = Load(tracker, side_log, random.Random(seed), CHILD_LIVES * lease)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, load.stopping.set)
    work = [load.agent(number) for number in range(agents)]
    tasks = [asyncio.create_task(one) for one in (*work, load.canceller(), load.waiter(), load.forker())]
    print("there", flush=True)
    await load.stopping.wait()
    await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    while True:
        try:
            await asyncio.to_thread(tracker.close)
        except JournalError:
            await asyncio.sleep(0.2)  # what is left to write is kept, and tried again
        else:
            return


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])))
