"""Loop probes: which loop code runs in, whether it turns, and what its thread does when it does not."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import trio

from runstate._deadlines import NEVER
from runstate._loops import LoopProbe, Loops

from .clock import SECOND, FakeClock

RUN: dict[str, Callable[..., object]] = {"asyncio": lambda main: asyncio.run(main()), "trio": trio.run}


async def pass_turn(library: str) -> None:
    """Let the loop take a turn."""
    if library == "asyncio":
        await asyncio.sleep(0)
    else:
        await trio.lowlevel.checkpoint()


def in_a_thread(function: Callable[[], object]) -> object:
    """What a function returns in a thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


@pytest.fixture
def loops(clock: FakeClock) -> Loops:
    """No loop known yet."""
    return Loops(clock.monotonic_ns)


@pytest.mark.parametrize("library", RUN)
def test_a_loop_has_one_probe(loops: Loops, library: str) -> None:
    """All code of a loop has the same probe, a thread beside it has none, and outside of any loop there is none."""

    async def main() -> None:
        probe = loops.current()
        await pass_turn(library)
        assert probe is not None
        assert loops.current() is probe
        assert in_a_thread(loops.current) is None
        assert loops.probes() == [probe]

    assert loops.current() is None
    RUN[library](main)
    assert loops.current() is None


def test_loops_of_several_threads_are_told_apart(loops: Loops) -> None:
    """Two loops that run at once in two threads have two probes."""
    meet = threading.Barrier(2)
    found: list[LoopProbe | None] = []

    async def main() -> None:
        found.append(loops.current())
        meet.wait(30)

    threads = [threading.Thread(target=RUN[library], args=(main,)) for library in RUN]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert None not in found
    assert len(set(found)) == 2


@pytest.mark.parametrize("library", RUN)
def test_a_ping_is_answered_when_the_loop_turns(loops: Loops, clock: FakeClock, library: str) -> None:
    """A ping is out until the loop takes a turn; asked twice, it is sent once; the time of the answer is kept."""

    async def main() -> None:
        probe = loops.current()
        assert probe is not None
        in_a_thread(probe.ask)
        asked_ns = probe.asked_ns
        clock.advance(2.0)
        in_a_thread(probe.ask)
        assert (probe.asked_ns, probe.turns.late_ns(clock.monotonic_ns())) == (asked_ns, 2 * SECOND)
        while probe.asked_ns != NEVER:
            await pass_turn(library)
        assert probe.turns.last_ns == clock.monotonic_ns()
        assert probe.turns.lapses(clock.monotonic_ns()) == [(asked_ns, asked_ns + 2 * SECOND)]

    RUN[library](main)


@pytest.mark.parametrize("library", RUN)
def test_a_loop_that_has_ended_is_forgotten(loops: Loops, library: str) -> None:
    """Once a run is over, its probe neither runs nor excuses anybody, and is no longer asked."""

    async def main() -> LoopProbe | None:
        return loops.current()

    probe = RUN[library](main)
    assert isinstance(probe, LoopProbe)
    probe.ask()
    assert not probe.runs()
    assert probe.asked_ns == NEVER
    assert loops.probes() == []


def test_a_stopped_loop_is_not_blocked(loops: Loops) -> None:
    """A loop between two runs does not answer, and nobody waits for it to; when it runs again it is asked anew."""

    async def look() -> LoopProbe:
        probe = loops.current()
        assert probe is not None
        return probe

    async def ask(probe: LoopProbe) -> None:
        probe.ask()
        await asyncio.sleep(0)
        assert probe.asked_ns == NEVER

    with asyncio.Runner() as runner:
        probe = runner.run(look())
        probe.ask()
        assert not probe.runs()
        assert probe.asked_ns == NEVER
        assert loops.probes() == [probe]
        runner.run(ask(probe))
        assert loops.current() is None


@pytest.mark.parametrize("library", RUN)
def test_the_stack_is_that_of_the_loops_thread(loops: Loops, library: str) -> None:
    """The stack names what the loop's thread is in, the most recent call first, and no more than thirty calls."""

    def block() -> str:
        return str(in_a_thread(probe.stack))

    def deep(depth: int) -> str:
        return deep(depth - 1) if depth else block()

    async def main() -> None:
        nonlocal probe
        found = loops.current()
        assert found is not None
        probe = found
        lines = deep(100).splitlines()
        calls = [line for line in lines if line.startswith("File ")]
        assert len(calls) == 30
        assert any("block" in call for call in calls[:10])
        assert calls[-1].endswith("deep")
        assert "    return str(in_a_thread(probe.stack))" in lines

    probe: LoopProbe
    RUN[library](main)


def test_the_stack_of_a_thread_that_is_gone(loops: Loops) -> None:
    """A loop whose thread has ended has no stack."""

    async def main() -> LoopProbe | None:
        return loops.current()

    probe = in_a_thread(lambda: asyncio.run(main()))
    assert isinstance(probe, LoopProbe)
    assert probe.stack() == ""


def test_nothing_is_imported_to_find_a_loop() -> None:
    """Looking for the running loop imports neither asyncio nor trio; who never imported them runs in no loop of theirs."""
    code = (
        "import sys, time\n"
        "from runstate._loops import Loops\n"
        "assert Loops(time.monotonic_ns).current() is None\n"
        "assert not {'asyncio', 'trio'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
