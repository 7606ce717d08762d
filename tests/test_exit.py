"""How a tracker ends: by `close`, by leaving its block, or by a program that forgot about it and is told so."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import runstate
from runstate import (
    Cause,
    ExecutionState,
    ExecutionTracker,
    FencedError,
    JournalUnavailableError,
    Phase,
    TrackerClosedError,
)

from .gated import WHO, GatedJournal, stored
from .soundness import findings, states
from .stores import Store

PRELUDE = """
import os, sys
import runstate
from runstate import Phase
WHO = {"agent": "airline", "thread_id": "t-1", "user_id": "u-1"}
path = sys.argv[1]
"""
WARNING = "a runstate tracker was still open at exit"


def run(path: Path, program: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a program that ends in its own way."""
    command = [sys.executable, *options, "-c", PRELUDE + textwrap.dedent(program), str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


ENDINGS: dict[str, tuple[str, int]] = {
    "by its end": ("", 0),
    "by sys.exit": ("sys.exit(3)", 3),
    "by an exception": ("raise ValueError('boom')", 1),
    "by Ctrl-C": ("raise KeyboardInterrupt", -2),
    "by dropping the tracker": ("import gc; del tracker; gc.collect()", 0),
    "in another thread's hands": ("import threading; threading.Thread(target=lambda: tracker.flush()).start()", 0),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_program_that_forgot_to_close(tmp_path: Path, ending: str) -> None:
    """However a program ends without `close`, it is warned on stderr, and what was live is CANCELLED, SHUTDOWN, on disk."""
    path = tmp_path / "runs.db"
    statement, code = ENDINGS[ending]
    done = run(
        path,
        f"""
        tracker = runstate.open(path)
        tracker.create(**WHO)
        tracker.create(**WHO).run().phase(Phase.THINKING)
        tracker.create(**WHO).run().complete("in time")
        {statement}
        """,
    )
    assert done.returncode == code
    assert WARNING in done.stderr
    assert sorted(state.name for state in states(path).values()) == ["CANCELLED", "CANCELLED", "COMPLETED"]
    with runstate.open(path, read_only=True) as reader:
        for record in reader.find(state=ExecutionState.CANCELLED):
            assert record.cause is Cause.SHUTDOWN
            assert record.evidence is not None
            assert record.evidence.observer == "shutdown"
    assert findings(path) == []


def test_warnings_as_errors_do_not_stop_the_closing(tmp_path: Path) -> None:
    """Under `python -W error` the warning is an error, and the executions still get their end."""
    path = tmp_path / "runs.db"
    done = run(path, "tracker = runstate.open(path); tracker.create(**WHO).run()", "-W", "error")
    assert WARNING in done.stderr
    assert [state.name for state in states(path).values()] == ["CANCELLED"]


@pytest.mark.parametrize("options", [(), ("-W", "error")], ids=["warned", "warnings are errors"])
def test_several_forgotten_trackers(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Each forgotten tracker is closed, although the first one cannot write any more, and that is said."""
    done = run(
        tmp_path,
        """
        import runstate.journal._sqlite_file
        runstate.journal._sqlite_file.BUSY_TIMEOUT = 0.1
        trackers = [runstate.open(os.path.join(path, f"{number}.db")) for number in range(4)]
        for tracker in trackers:
            tracker.create(**WHO).run()
            tracker.flush()
        import sqlite3
        locking = sqlite3.connect(os.path.join(path, "1.db"), isolation_level=None)
        locking.execute("BEGIN IMMEDIATE")
        """,
        *options,
    )
    assert WARNING in done.stderr
    assert "database is locked" in done.stderr
    ended = [state.name for number in range(4) for state in states(tmp_path / f"{number}.db").values()]
    assert ended == ["CANCELLED", "RUNNING", "CANCELLED", "CANCELLED"]


def test_a_closed_tracker_is_not_complained_about(tmp_path: Path) -> None:
    """A program that closes, or uses the tracker as a block, ends in silence, and so does one that only reads."""
    path = tmp_path / "runs.db"
    done = run(
        path,
        """
        with runstate.open(path) as tracker:
            tracker.create(**WHO).run().complete("hello")
        tracker = runstate.open(path)
        tracker.close()
        """,
        "-W",
        "error",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [state.name for state in states(path).values()] == ["COMPLETED"]


EXITS: dict[str, tuple[str, int, str, str]] = {
    "sys.exit": ("sys.exit(3)", 3, "CANCELLED", "shutdown"),
    "an exception": ("raise ValueError('boom')", 1, "FAILED", "raised"),
    "Ctrl-C": ("raise KeyboardInterrupt", -2, "CANCELLED", "cancelled_by_caller"),
}


@pytest.mark.parametrize("leaving", EXITS)
def test_leaving_a_program_inside_a_block(tmp_path: Path, leaving: str) -> None:
    """`sys.exit`, an exception or Ctrl-C inside a tracked block give the execution its own cause, and the program its code."""
    path = tmp_path / "runs.db"
    statement, code, state, cause = EXITS[leaving]
    done = run(
        path,
        f"""
        with runstate.open(path) as tracker:
            with tracker.execution(**WHO):
                {statement}
        """,
    )
    assert done.returncode == code
    assert WARNING not in done.stderr
    with runstate.open(path, read_only=True) as reader:
        (record,) = reader.find()
    assert record.cause is not None
    assert (record.state.name, record.cause.value) == (state, cause)


INTERRUPTED: dict[str, str] = {
    "sync": """
        with tracker.execution(**WHO):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)
    """,
    "async": """
        async def main():
            async with tracker.execution(**WHO):
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.sleep(60)
        asyncio.run(main())
    """,
    "a task": """
        async def work(inside):
            async with tracker.execution(**WHO):
                inside.set()
                await asyncio.sleep(60)
        async def main():
            inside = asyncio.Event()
            task = asyncio.create_task(work(inside))
            await inside.wait()
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)
        asyncio.run(main())
    """,
}


@pytest.mark.parametrize("where", INTERRUPTED)
def test_a_real_interrupt(tmp_path: Path, where: str) -> None:
    """SIGINT, as Ctrl-C sends it, ends a sync block, an async one and one in another task as CANCELLED."""
    path = tmp_path / "runs.db"
    start = "import asyncio, os, signal, time\nwith runstate.open(path) as tracker:\n"
    done = run(path, start + textwrap.indent(textwrap.dedent(INTERRUPTED[where]), "    "))
    assert done.returncode == -signal.SIGINT
    with runstate.open(path, read_only=True) as reader:
        (record,) = reader.find()
    assert (record.state, record.cause) == (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER)
    assert findings(path) == []


def test_the_interpreter_does_not_wait_for_limits(tmp_path: Path) -> None:
    """A program with hours left on its limits ends at once when it ends."""
    done = run(tmp_path / "runs.db", "runstate.open(path).create(**WHO, timeout=3600.0)")
    assert done.returncode == 0


def test_close_ends_what_is_live(store: Store) -> None:
    """`close` ends every live state as CANCELLED, SHUTDOWN, leaves what has ended alone, and wakes its handles."""
    tracker = ExecutionTracker(store.journal())
    pending = tracker.create(**WHO)
    starting = tracker.create(**WHO).start()
    running = tracker.create(**WHO).run()
    completing = tracker.create(**WHO).run().finish()
    completed = tracker.create(**WHO).run().complete()
    tracker.close()
    for handle in (pending, starting, running, completing):
        record = stored(store, handle.execution_id)
        assert (record.state, record.cause) == (ExecutionState.CANCELLED, Cause.SHUTDOWN)
        with pytest.raises(FencedError) as refused:
            handle.heartbeat()
        assert refused.value.cause is Cause.SHUTDOWN
    assert stored(store, completed.execution_id).state is ExecutionState.COMPLETED
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("runstate")]


def test_close_may_be_called_again(store: Store) -> None:
    """Closing again, by call, in a block, from many threads or from a loop, does nothing."""
    tracker = ExecutionTracker(store.journal())
    run = tracker.create(**WHO).run()

    async def main() -> None:
        async with tracker:
            threads = [threading.Thread(target=tracker.close) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    with tracker:
        asyncio.run(main())
    tracker.close()
    assert stored(store, run.execution_id).seq == 3


def test_an_async_block_closes_without_blocking_the_loop(store: Store) -> None:
    """`async with tracker` drains in another thread while the event loop goes on."""
    journal = GatedJournal(store.journal())

    async def main() -> str:
        async with ExecutionTracker(journal) as tracker:
            run = tracker.create(**WHO).run()
            journal.shut()
            run.complete("the answer")
            asyncio.get_running_loop().call_later(0.01, journal.open)  # runs only if the loop turns
        return run.execution_id

    assert stored(store, asyncio.run(main())).result == "the answer"


def test_a_closed_tracker_refuses(store: Store) -> None:
    """After `close` whatever would write raises `TrackerClosedError`, and whatever reads still works."""
    tracker = ExecutionTracker(store.journal())
    run = tracker.create(**WHO).run().complete("hello")
    tracker.close()

    @tracker.agent("airline")
    def agent() -> None:
        pytest.fail("the body must not run")

    async def enter() -> None:
        async with tracker.execution(**WHO):
            pytest.fail("the body must not run")

    writing: tuple[Callable[[], Any], ...] = (
        lambda: tracker.create(**WHO),
        lambda: tracker.execution(**WHO).__enter__(),
        lambda: asyncio.run(enter()),
        lambda: agent.bind(thread_id="t", user_id="u")(),
    )
    for call in writing:
        with pytest.raises(TrackerClosedError):
            call()
    tracker.flush()
    asyncio.run(asyncio.wait_for(tracker.aflush(), 30.0))
    assert tracker.sweep() == 0
    assert tracker.get(run.execution_id).result == "hello"
    assert len(tracker.find()) == 1
    assert len(tracker.history(run.execution_id)) == 2
    assert tracker.wait(run.execution_id, timeout=1.0).execution_id == run.execution_id
    assert tracker.statistics().created == 1


def test_a_reader_refuses_to_write(store: Store, tracker: ExecutionTracker) -> None:
    """A tracker opened read-only reads everything and takes nothing."""
    run = tracker.create(**WHO).run()
    tracker.flush()
    with ExecutionTracker(store.journal(), read_only=True) as reader:
        with pytest.raises(JournalUnavailableError, match="read-only"):
            reader.create(**WHO)
        assert reader.get(run.execution_id) == run.record


def test_close_tells_what_it_could_not_write(store: Store) -> None:
    """When the journal fails, `close` raises its error each time instead of pretending, until all can be written."""
    journal = GatedJournal(store.journal())
    tracker = ExecutionTracker(journal)
    run = tracker.create(**WHO).run()
    tracker.flush()
    journal.failure = JournalUnavailableError("database or disk is full")
    run.phase(Phase.THINKING)
    with pytest.raises(JournalUnavailableError, match="disk is full"):
        tracker.close()
    with pytest.raises(JournalUnavailableError, match="disk is full"):
        tracker.close()
    assert stored(store, run.execution_id).state is ExecutionState.RUNNING
    journal.failure = None
    tracker.close()
    assert stored(store, run.execution_id).state is ExecutionState.CANCELLED
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("runstate")]


def test_close_after_a_trouble_that_is_over(store: Store) -> None:
    """When the journal failed and works again, `close` writes everything, the SHUTDOWN of what is live too."""
    journal = GatedJournal(store.journal())
    tracker = ExecutionTracker(journal)
    run = tracker.create(**WHO).run()
    tracker.flush()
    journal.failure = JournalUnavailableError("database is locked")
    run.phase(Phase.THINKING)
    with pytest.raises(JournalUnavailableError):
        tracker.flush()
    journal.failure = None
    tracker.close()
    record = stored(store, run.execution_id)
    assert (record.state, record.cause, record.phase) == (ExecutionState.CANCELLED, Cause.SHUTDOWN, Phase.THINKING)
