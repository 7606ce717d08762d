"""The verdicts on silence by the machine's own clock: loops that are really blocked, a GIL that is really held, a process that is stopped.

Pings are sent more often here than in production, so that nobody waits long; the rules are tested with a clock in `test_verdicts`.
"""

# ruff: noqa: PT012, ASYNC110, ASYNC251 - what is proven is what leaves a whole block, and how a blocked loop is survived
from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import trio

from runstate import (
    Cause,
    Execution,
    ExecutionState,
    ExecutionTracker,
    FencedError,
    Outcome,
    Warned,
    _verdicts,
    current,
)
from runstate.journal.memory import MemoryJournal

from .gated import WHO

RUN: dict[str, Callable[..., object]] = {"asyncio": lambda main: asyncio.run(main()), "trio": trio.run}
PING = 0.2


@pytest.fixture(autouse=True)
def _pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_verdicts, "PING", int(PING * 1e9))


def opened(blocked_timeout: float | None = None) -> ExecutionTracker:
    """A tracker with the machine's clock."""
    return ExecutionTracker(MemoryJournal(), blocked_timeout=blocked_timeout)


async def rest(library: str, seconds: float) -> None:
    """Wait as one should in a loop."""
    if library == "asyncio":
        await asyncio.sleep(seconds)
    else:
        await trio.sleep(seconds)


@contextmanager
def beating(run: Execution[ExecutionState], every: float = 0.02) -> Iterator[None]:
    """Have a thread give signs of life."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(every):
            run.heartbeat()

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def hold_gil(seconds: float) -> None:
    """Call into C without giving the GIL back, as a long `sorted` or a regular expression that backtracks does."""
    ctypes.PyDLL(None).usleep(round(seconds * 1e6))


def eventually(is_so: Callable[[], bool]) -> None:
    """Wait until something holds; fail after half a minute."""
    until = time.monotonic() + 30.0
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("library", RUN)
def test_a_loop_that_is_blocked_is_named_and_survived(library: str) -> None:
    """A blocked loop is warned of with the call that blocks it; nobody in it dies of its silence."""

    def search_without_await() -> None:
        time.sleep(1.2)

    async def main() -> str:
        async with tracker.execution(**WHO, heartbeat_timeout=0.5) as run:
            await rest(library, 0.1)
            run.heartbeat()
            search_without_await()
            run.heartbeat()
            await rest(library, 0.1)
            run.complete()
        return run.execution_id

    with opened() as tracker:
        execution_id = str(RUN[library](main))
        [warned] = [entry for entry in tracker.timeline(execution_id) if isinstance(entry, Warned)]
        assert tracker.get(execution_id).state is ExecutionState.COMPLETED
    assert warned.cause is Cause.LOOP_BLOCKED
    assert warned.detail is not None
    assert "search_without_await\n    time.sleep(1.2)" in warned.detail


@pytest.mark.parametrize("library", RUN)
def test_past_the_limit_the_body_is_cancelled_once_its_loop_turns(library: str) -> None:
    """Past `blocked_timeout` others see the end while the loop is still blocked; once it turns, FencedError leaves the block."""
    seen: list[Outcome[object]] = []

    def wait(execution_id: str) -> None:
        seen.append(tracker.wait(execution_id, timeout=30.0))

    async def main() -> None:
        with pytest.raises(FencedError) as left_by:
            async with tracker.execution(**WHO) as run:
                waiting = threading.Thread(target=wait, args=(run.execution_id,))
                waiting.start()
                waiting.join()  # returns when the execution has ended, and until then blocks the loop
                assert len(seen) == 1
                await rest(library, 30.0)
        assert (left_by.value.cause, left_by.value.observer) == (Cause.LOOP_BLOCKED, "loop watch")
        evidence = tracker.get(run.execution_id).evidence
        assert evidence is not None
        assert evidence.stack is not None
        assert "waiting.join()" in evidence.stack

    with opened(blocked_timeout=0.5) as tracker:
        RUN[library](main)


def test_a_held_gil_is_nobodys_silence() -> None:
    """A call into C that holds the GIL for longer than the heartbeat limit kills nobody, in a thread or in a loop."""

    async def main() -> None:
        async with tracker.execution(**WHO, heartbeat_timeout=0.6) as inside:
            beats = asyncio.create_task(beat(inside))
            await asyncio.sleep(0.3)
            await asyncio.to_thread(hold_gil, 1.5)
            await asyncio.sleep(0.3)
            beats.cancel()
            inside.complete()

    async def beat(run: Execution[ExecutionState]) -> None:
        while True:
            run.heartbeat()
            await asyncio.sleep(0.1)

    with opened() as tracker:
        outside = tracker.create(**WHO, heartbeat_timeout=0.6).run()
        with beating(outside, 0.1):
            asyncio.run(main())
        assert outside.state is ExecutionState.RUNNING
        outcome = tracker.wait(outside.execution_id, timeout=30.0)  # now that nobody beats
        assert type(outcome).__name__ == "Died"


STOPPED = """
import sys, threading, time, runstate
with runstate.open("memory:") as tracker:
    run = tracker.create(agent="a", thread_id="t", user_id="u", heartbeat_timeout=0.6).run()
    done = threading.Event()
    def beat():
        while not done.wait(0.1):
            run.heartbeat()
    thread = threading.Thread(target=beat)
    thread.start()
    time.sleep(0.3)
    print("ready", flush=True)
    sys.stdin.readline()
    time.sleep(0.8)
    done.set()
    thread.join()
    print(run.state.name, flush=True)
"""


def test_a_stopped_process_kills_nobody_when_it_goes_on() -> None:
    """A process that was stopped for longer than the heartbeat limit and continued finds its execution alive."""
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        os.kill(child.pid, signal.SIGSTOP)
        time.sleep(1.5)
        os.kill(child.pid, signal.SIGCONT)
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "RUNNING\n"


def test_sync_code_in_threads_is_judged_without_a_loop() -> None:
    """While a loop is blocked, a sync agent in a thread that beats lives, and one that is silent is DEAD by its own limit."""

    async def main() -> tuple[object, object]:
        @tracker.agent("beating", heartbeat_timeout=0.3)
        def beating_agent() -> str:
            with beating(current()):
                blocked.wait(30)
                time.sleep(0.5)
            return "done"

        @tracker.agent("silent", heartbeat_timeout=0.3)
        def silent_agent() -> str:
            blocked.wait(30)
            eventually(lambda: current().state is ExecutionState.DEAD)
            over.set()
            return "too late"

        who = {"thread_id": "t-1", "user_id": "u-1"}
        tasks = [asyncio.create_task(asyncio.to_thread(one.bind(**who))) for one in (beating_agent, silent_agent)]
        await asyncio.sleep(0.1)
        blocked.set()
        over.wait(30)  # blocks the loop until the silent one is dead
        return await tasks[0], await tasks[1]

    blocked, over = threading.Event(), threading.Event()
    with opened() as tracker:
        lived, died = asyncio.run(main())
    assert (type(lived).__name__, type(died).__name__) == ("Completed", "Died")


def test_beats_from_a_thread_spare_what_waits_in_a_blocked_loop() -> None:
    """Past `blocked_timeout` an execution that a thread beats for lives on, though its loop is blocked."""

    async def main() -> None:
        run = tracker.create(**WHO).run()
        silent = tracker.create(**WHO).run()
        with beating(run):
            eventually(lambda: silent.state is ExecutionState.DEAD)
            time.sleep(2 * PING)
        assert run.state is ExecutionState.RUNNING
        run.complete()

    with opened(blocked_timeout=0.5) as tracker:
        asyncio.run(main())


def test_a_loop_is_asked_once_for_all_its_executions() -> None:
    """A thousand live executions cost their loop one callback a ping."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        runs = [tracker.create(**WHO).run() for _ in range(1_000)]
        began = time.monotonic()
        given = loop.call_soon_threadsafe

        def count(*args: object, **kwargs: object) -> object:
            if threading.current_thread().name == "runstate-limits":
                counted.append(None)
            return given(*args, **kwargs)  # type: ignore[arg-type]

        loop.call_soon_threadsafe = count  # type: ignore[method-assign, assignment]
        while len(counted) < 3:
            await asyncio.sleep(0.01)
        assert len(counted) <= (time.monotonic() - began) / PING + 1
        for run in runs:
            run.complete()

    counted: list[None] = []
    with opened() as tracker:
        asyncio.run(main())


def test_the_watch_rests_while_nothing_may_be_silent() -> None:
    """No thread is started for executions without a limit outside of loops, and it rests again when nothing is live."""

    async def main() -> None:
        run = tracker.create(**WHO).run()
        assert not tracker._deadlines.idle
        eventually(lambda: tracker._watch._thread is not None)
        run.complete()
        await asyncio.to_thread(eventually, lambda: tracker._deadlines.idle)

    with ExecutionTracker(MemoryJournal(), default_timeout=None) as tracker:
        tracker.create(**WHO).run()
        assert tracker._watch._thread is None
    with ExecutionTracker(MemoryJournal(), default_timeout=None) as tracker:
        asyncio.run(main())


def test_a_forked_child_asks_its_own_loops_only() -> None:
    """A child forked out of a loop knows none of its parent's loops, and is warned of its own."""
    code = (
        "import asyncio, os, threading, time, runstate\n"
        "from runstate import Warned, _verdicts\n"
        "_verdicts.PING = 200_000_000\n"
        "tracker = runstate.open('memory:')\n"
        "async def main():\n"
        "    run = tracker.create(agent='a', thread_id='t', user_id='u').run()\n"
        "    if os.fork():\n"
        "        assert os.waitstatus_to_exitcode(os.wait()[1]) == 0\n"
        "        run.complete()\n"
        "        return\n"
        "    asyncio.events._set_running_loop(None)\n"
        "    assert tracker._decider.loops.probes() == []\n"
        "    asyncio.run(child())\n"
        "    tracker.close()\n"
        "    os._exit(0)\n"
        "async def child():\n"
        "    run = tracker.create(agent='a', thread_id='t', user_id='u').run()\n"
        "    assert len(tracker._decider.loops.probes()) == 1\n"
        "    time.sleep(0.9)\n"
        "    run.complete()\n"
        "    assert [type(entry) for entry in tracker.timeline(run.execution_id)].count(Warned) == 1\n"
        "asyncio.run(main())\n"
        "tracker.close()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
