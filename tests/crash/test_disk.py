"""Disks that are full, read-only, locked or damaged: typed errors, no answer lost, no promise broken, and recovery."""

# ruff: noqa: PT012 - what is proven here is what leaves a whole block
from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import runstate
from runstate import (
    Completed,
    ExecutionState,
    ExecutionTracker,
    JournalUnavailableError,
    Phase,
)

from ..gated import WHO
from ..soundness import findings, states
from .disks import (
    can_mount,
    can_set_immutable,
    make_read_only,
    public_directory,
    refusing_writes,
    small_disk,
    write_protected,
)

FILLING: Final = Path(__file__).with_name("filling.py")
NEEDS_MOUNT: Final = pytest.mark.skipif(not can_mount(), reason="this machine lets nobody mount a file system")
NEEDS_IMMUTABLE: Final = pytest.mark.skipif(not can_set_immutable(), reason="no file can be made immutable here")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have SQLite wait only a moment for a lock."""
    monkeypatch.setattr("runstate.journal._sqlite_file.BUSY_TIMEOUT", 0.05)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the file's write lock, as another process does that writes for long."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("way", ["limit", pytest.param("ballast", marks=NEEDS_MOUNT)])
def test_a_full_disk(tmp_path: Path, way: str) -> None:
    """On a full disk the block raises, the answer stays in hand, every promise is readable, and room heals everything."""
    with small_disk(tmp_path / "disk", "1m") if way == "ballast" else contextlib.nullcontext(tmp_path) as disk:
        path = disk / "runs.db"
        if way == "ballast":
            (disk / "ballast").write_bytes(b"\0" * 300_000)
        done = subprocess.run(
            [sys.executable, str(FILLING), str(path), way], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stderr == ""
        told = json.loads(done.stdout)
        assert len(told["promised"]) > 3
        assert told["readable"] == len(told["promised"]) - 1
        assert "full" in told["error"] or "disk I/O error" in told["error"]
        assert told["failure"] is not None
        assert told["healthy"] is None
        assert told["late"] in {True, None}
        stored = states(path)
        assert {stored[one] for one in told["promised"]} == {ExecutionState.COMPLETED}
        assert all(state.is_terminal for state in stored.values())
        assert findings(path) == []


@pytest.mark.parametrize("way", ["file", "directory", pytest.param("remounted", marks=NEEDS_MOUNT)])
def test_a_read_only_disk(tmp_path: Path, way: str) -> None:
    """A journal that may not be written can be read by who asks for no more, and refuses, typed, whoever wants to write."""
    with small_disk(tmp_path / "disk", "4m") if way == "remounted" else public_directory() as disk:
        path = disk / "runs.db"
        with runstate.open(path) as tracker:
            tracker.create(**WHO).run().complete("the answer")
        assert runstate.verify(path) == ()
        before = path.read_bytes()
        with contextlib.ExitStack() as protected:
            if way == "remounted":
                make_read_only(disk)
            else:
                protected.enter_context(write_protected(path, *([disk] if way == "directory" else [])))
            with pytest.raises(JournalUnavailableError), runstate.open(path) as tracker, tracker.execution(**WHO):
                pytest.fail("the body must not run")
            with runstate.open(path, read_only=True) as reader:
                (record,) = reader.find()
                assert record.result == "the answer"
                assert len(reader.history(record.execution_id)) == 2
            assert runstate.verify(path) == ()
        assert path.read_bytes() == before


@pytest.mark.parametrize("way", ["limit", pytest.param("immutable", marks=NEEDS_IMMUTABLE)])
def test_a_file_that_becomes_read_only(tmp_path: Path, way: str) -> None:
    """When a file in use becomes read-only the block raises with its answer in hand; writable again, all is written."""
    path = tmp_path / "runs.db"
    with runstate.open(path) as tracker:
        with tracker.execution(**WHO) as promised:
            promised.complete("promised")
        with contextlib.ExitStack() as protected:
            with pytest.raises(JournalUnavailableError), tracker.execution(**WHO) as run:
                protected.enter_context(refusing_writes([path, path.with_name("runs.db-wal")], way))
                run.complete("the answer")
            with runstate.open(path, read_only=True) as reader:
                assert reader.get(promised.execution_id).result == "promised"
                assert reader.get(run.execution_id).state is ExecutionState.RUNNING
        tracker.flush()
        assert tracker.get(run.execution_id).result == "the answer"
    assert findings(path) == []


@pytest.mark.usefixtures("impatient")
def test_a_locked_file(tmp_path: Path) -> None:
    """A file locked beyond the busy timeout: blocks and flushes raise, statistics say why, nothing promised is lost."""
    path = tmp_path / "runs.db"
    with runstate.open(path) as tracker:
        with tracker.execution(**WHO) as promised:
            promised.complete("promised")
        with locked(path):
            with pytest.raises(JournalUnavailableError, match="locked"):
                in_block(tracker)
            assert "locked" in (tracker.statistics().journal_failure or "")
            with pytest.raises(JournalUnavailableError):
                tracker.flush()
            with runstate.open(path, read_only=True) as reader:
                assert reader.get(promised.execution_id).result == "promised"
        tracker.flush()
        assert tracker.statistics().journal_failure is None
        with tracker.execution(**WHO) as run:
            run.complete("afterwards")
    stored = states(path)
    assert {state.is_terminal for state in stored.values()} == {True}
    assert stored[run.execution_id] is ExecutionState.COMPLETED
    assert findings(path) == []


def in_block(tracker: ExecutionTracker) -> None:
    """Track one block."""
    with tracker.execution(**WHO) as run:
        run.complete()


@pytest.mark.usefixtures("impatient")
def test_a_locked_file_during_the_work(tmp_path: Path) -> None:
    """An agent whose file is locked when it finishes gets its answer with the error, and the file gets it later."""
    path = tmp_path / "runs.db"
    with runstate.open(path) as tracker:
        locking = contextlib.ExitStack()

        @tracker.agent("airline")
        def agent() -> str:
            locking.enter_context(locked(path))
            return "the answer"

        with locking:
            with pytest.raises(JournalUnavailableError) as left_by:
                agent.bind(thread_id="t-1", user_id="u-1")()
            assert left_by.value.result == "the answer"
        tracker.flush()
        (record,) = tracker.find()
        outcome = tracker.wait(record.execution_id, timeout=30.0)
        assert isinstance(outcome, Completed)
        assert outcome.result == "the answer"
    assert findings(path) == []


@pytest.mark.usefixtures("impatient")
def test_the_writer_recovers_by_itself(tmp_path: Path) -> None:
    """Once the lock is gone what was pending is written though nobody flushes, and a subscriber sees it."""
    path = tmp_path / "runs.db"
    with runstate.open(path) as tracker, tracker.subscribe() as subscription:
        run = tracker.create(**WHO).run()
        tracker.flush()
        with locked(path):
            run.phase(Phase.THINKING)
            with pytest.raises(JournalUnavailableError):
                tracker.flush()
        assert [subscription.get(30.0).entry.seq for _ in range(3)] == [1, 2, 3]
        assert tracker.statistics().journal_failure is None
        run.complete()


def test_a_short_lock_is_waited_for(tmp_path: Path) -> None:
    """A lock that goes away within the busy timeout is not noticed at all."""
    path = tmp_path / "runs.db"
    with runstate.open(path) as tracker:
        lock = contextlib.ExitStack()
        run = tracker.create(**WHO).run()
        tracker.flush()
        lock.enter_context(locked(path))
        run.complete()
        threading.Timer(0.05, lock.close).start()
        tracker.flush()
    assert states(path) == {run.execution_id: ExecutionState.COMPLETED}


@pytest.mark.usefixtures("impatient")
def test_closing_on_a_locked_file(tmp_path: Path) -> None:
    """Closing on a locked file raises what could not be written; closing again, once it is unlocked, writes it."""
    path = tmp_path / "runs.db"
    tracker = runstate.open(path)
    with tracker.execution(**WHO) as promised:
        promised.complete("promised")
    run = tracker.create(**WHO)
    tracker.flush()
    with locked(path):
        with pytest.raises(JournalUnavailableError, match="locked"):
            tracker.close()
        assert states(path)[promised.execution_id] is ExecutionState.COMPLETED
    tracker.close()
    assert states(path)[run.execution_id] is ExecutionState.CANCELLED
    assert findings(path) == []


@pytest.mark.parametrize("place", ["missing/runs.db", "a-file/runs.db", "a-directory"])
def test_a_place_where_no_file_can_be(tmp_path: Path, place: str) -> None:
    """A missing directory, a file in place of one and a directory are refused when the journal is opened."""
    (tmp_path / "a-file").write_text("")
    (tmp_path / "a-directory").mkdir()
    with pytest.raises(JournalUnavailableError):
        runstate.open(tmp_path / place)


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    """A device and a FIFO are refused for what they are, when they are opened, to write or to read."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (Path(os.devnull), fifo):
        for read_only in (False, True):
            with pytest.raises(JournalUnavailableError, match=f"^{path} is no regular file; give the path of a file$"):
                runstate.open(path, read_only=read_only)


def test_a_first_open_speaks_of_no_loss(tmp_path: Path) -> None:
    """Who cannot open a journal is told why, and nothing about what was acknowledged, as nothing was."""
    for url in (tmp_path / "missing" / "runs.db", "postgresql://nobody@127.0.0.1:1/runs"):
        with pytest.raises(JournalUnavailableError) as refused:
            runstate.open(url)
        assert "acknowledged" not in str(refused.value)


DESTROYED_IN_USE: Final = """
import contextlib, sys
from pathlib import Path
import runstate
path = Path(sys.argv[1])
who = {"agent": "airline", "thread_id": "t-1", "user_id": "u-1"}
tracker = runstate.open(path)
with tracker.execution(**who) as run:
    run.complete("before")
for name in sys.argv[2:]:
    with open(f"{path}{name}", "r+b") as file:
        file.truncate(0)
for number in range(5):
    answer = number
    with contextlib.suppress(runstate.JournalError), tracker.execution(**who) as run:
        run.complete(answer)
    print(answer, end=" ")
for read in (tracker.find, lambda: tracker.timeline(run.execution_id), lambda: tracker.get(run.execution_id)):
    with contextlib.suppress(runstate.JournalError, runstate.UnknownExecutionError, runstate.RecordDecodeError):
        read()
with contextlib.suppress(runstate.JournalError):
    tracker.close()
print("closed")
"""


@pytest.mark.parametrize("files", [("",), ("-wal",), ("", "-wal")], ids=["file", "wal", "both"])
def test_a_file_destroyed_in_use(tmp_path: Path, files: tuple[str, ...]) -> None:
    """When the file is truncated under a tracker nothing but typed errors is raised, and the answers stay in hand."""
    command = [sys.executable, "-c", DESTROYED_IN_USE, str(tmp_path / "runs.db"), *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("0 1 2 3 4 closed\n", "", 0)
