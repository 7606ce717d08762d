"""Presence on one host: locks, bells and vigils, between real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runstate import _presence
from runstate._presence import Lookout, Presence, is_gone, names, remove, ring

WORKER = """
import sys
from pathlib import Path
from runstate._presence import Presence
presence = Presence(Path(sys.argv[1]), sys.argv[2])
print("there", flush=True)
for line in sys.stdin:
    print("leaving", flush=True)
    presence.leave()
    break
"""

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder where the workers of a test meet."""
    return tmp_path / "runs.db-workers"


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start a process that is present under a name, and wait until it is."""
    started: list[subprocess.Popen[str]] = []

    def one(name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", WORKER, str(folder), name]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        return process

    yield one
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def here(folder: Path) -> Iterator[Presence]:
    """This process's own presence."""
    presence = Presence(folder, "here")
    yield presence
    presence.leave()


@pytest.fixture(params=["pidfd", "lock"])
def vigil(here: Presence, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lookout]:
    """A vigil by each of the two ways to learn that a process is gone."""
    if request.param == "lock":
        monkeypatch.setattr(_presence, "_open_pidfd", lambda: None)
    one = Lookout(here)
    yield one
    one.close()


def test_a_killed_process_is_gone(vigil: Lookout, folder: Path, start: Start) -> None:
    """A vigil ends when a watched process is killed, and names it; who lives is not named."""
    victim, other = start("victim"), start("other")
    assert vigil.watch("victim")
    assert vigil.watch("other")
    assert vigil.wait(0) == (False, [])
    assert not is_gone(folder, "victim")
    victim.kill()
    gone: list[str] = []
    while not gone:
        gone = vigil.wait(60)[1]
    assert gone == ["victim"]
    assert is_gone(folder, "victim")
    assert vigil.watched == {"other"}
    remove(folder, "victim")
    assert vigil.wait(0) == (False, [])
    assert names(folder) == ["here", "other"]
    assert other.poll() is None


def test_a_stopped_process_is_there(vigil: Lookout, folder: Path, start: Start) -> None:
    """A process that only stands still is not gone."""
    stopped = start("stopped")
    assert vigil.watch("stopped")
    stopped.send_signal(signal.SIGSTOP)
    try:
        assert vigil.wait(0.2) == (False, [])
        assert not is_gone(folder, "stopped")
    finally:
        stopped.send_signal(signal.SIGCONT)


def test_leaving_is_not_being_gone(vigil: Lookout, folder: Path, start: Start) -> None:
    """Who leaves takes its files away first, so that nobody takes it for dead."""
    leaving = start("leaving")
    assert vigil.watch("leaving")
    leaving.communicate("leave\n")
    while vigil.watched:
        assert vigil.wait(60)[1] == []
    assert not is_gone(folder, "leaving")
    assert names(folder) == ["here"]


def test_a_pid_of_another_process_proves_nothing(here: Presence, folder: Path, start: Start) -> None:
    """A pid that was given to somebody else, or means somebody else in another container, is not watched; the lock is."""
    worker = start("worker")
    (folder / "worker").write_text(f"[{os.getpid()}, 1]")
    vigil = Lookout(here)
    assert vigil.watch("worker")
    assert vigil.wait(0) == (False, [])
    worker.kill()
    gone: list[str] = []
    while not gone:
        gone = vigil.wait(60)[1]
    assert gone == ["worker"]
    vigil.close()


def test_the_bell(here: Presence, folder: Path) -> None:
    """A ring wakes whoever waits, many rings are one, and no ring blocks."""
    vigil = Lookout(here)
    heard: list[bool] = []
    thread = threading.Thread(target=lambda: heard.append(vigil.wait(60)[0]))
    thread.start()
    assert ring(folder, "here")
    thread.join(60)
    assert heard == [True]
    for _ in range(100_000):
        assert ring(folder, "here")
    assert vigil.wait(0)[0]
    assert vigil.wait(0) == (False, [])


def test_nobody_hears_a_bell_of_the_dead(here: Presence, folder: Path, start: Start) -> None:
    """Ringing for one who is gone, or was never there, says so."""
    victim = start("victim")
    assert ring(folder, "victim")
    victim.kill()
    victim.wait()
    assert not ring(folder, "victim")
    assert not ring(folder, "nobody")
    assert here.answer() is False


def _settle(folder: Path, seconds_ago: float) -> None:
    """Have a folder as it is when it last changed some time ago."""
    then_ns = time.time_ns() - int(seconds_ago * 1e9)
    os.utime(folder, ns=(then_ns, then_ns))


def test_who_comes_or_goes_changes_whom_a_ring_reaches(here: Presence, folder: Path, start: Start) -> None:
    """A ring for all reaches who has come since the last one, and nobody who has left, however long the folder was as it is."""
    _settle(folder, 60)
    assert not here.ring_others()
    other = start("other")
    _settle(folder, 30)  # it changes again before it is read
    assert here.ring_others()
    assert here.ring_others()
    other.communicate("leave\n", timeout=60)
    _settle(folder, 10)
    assert not here.ring_others()


def test_a_ring_reads_the_folder_only_when_it_has_changed(
    here: Presence, folder: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rings in a folder where nobody comes or goes read it once, and each rings all the same."""
    start("other")
    _settle(folder, 60)
    read: list[object] = []

    def scandir(path: Path) -> Iterator[os.DirEntry[str]]:
        read.append(path)
        return _scandir(path)

    _scandir = os.scandir
    monkeypatch.setattr(_presence.os, "scandir", scandir)
    assert [here.ring_others() for _ in range(5)] == [True] * 5
    assert read == [folder]
    start("third")
    assert here.ring_others()
    assert read == [folder] * 2


@pytest.mark.parametrize("granularity_ns", [10_000_000, 1_000_000_000])
def test_who_comes_within_one_tick_of_the_files_clock_is_rung(
    here: Presence, folder: Path, granularity_ns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that bears the same time as the one before it, as clocks of file systems tick, leaves nobody unrung."""
    tick_ns = time.time_ns() // granularity_ns * granularity_ns
    if granularity_ns < 1_000_000_000 and tick_ns % 1_000_000_000 == 0:
        tick_ns += granularity_ns
    monkeypatch.setattr(_presence.time, "time_ns", lambda: tick_ns + granularity_ns - 1)
    os.utime(folder, ns=(tick_ns, tick_ns))
    assert not here.ring_others()
    other = Presence(folder, "other")
    try:
        os.utime(folder, ns=(tick_ns, tick_ns))
        assert here.ring_others()
    finally:
        other.leave()


def test_without_a_folder_nobody_is_rung(here: Presence, folder: Path) -> None:
    """Where somebody has taken the whole folder away, a ring says that nobody hears it."""
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert not here.ring_others()


def test_a_forked_child_holds_nothing(folder: Path) -> None:
    """A child that outlives its parent does not keep the parent's lock."""
    program = """
import os, sys, time
from pathlib import Path
from runstate._presence import Presence
presence = Presence(Path(sys.argv[1]), "parent")
if os.fork() == 0:
    print(os.getpid(), flush=True)
    time.sleep(60)
    os._exit(0)
time.sleep(60)
"""
    command = [sys.executable, "-c", program, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            assert not is_gone(folder, "parent")
            parent.kill()
            parent.wait()
            assert is_gone(folder, "parent")
        finally:
            os.kill(child, signal.SIGKILL)


def test_names_of_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """Where no worker ever was, nobody is."""
    assert names(tmp_path / "none") == []
    assert not is_gone(tmp_path / "none", "nobody")


WITHOUT_ROOM = """
import os
import resource
import sys
from pathlib import Path
from runstate._presence import Presence

folder, limit = Path(sys.argv[1]), getattr(resource, sys.argv[2])
soft, hard = resource.getrlimit(limit)
files = len(os.listdir("/proc/self/fd"))
for more in (0, 1):
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(limit, (more if limit == resource.RLIMIT_FSIZE else lowest + more, hard))
    try:
        Presence(folder, "one")
        print("there")
    except OSError:
        resource.setrlimit(limit, (soft, hard))
        print(folder.exists(), len(os.listdir("/proc/self/fd")) - files)
resource.setrlimit(limit, (soft, hard))
presence = Presence(folder, "one")
print(sorted(file.name for file in folder.iterdir()))
presence.leave()
print(folder.exists(), len(os.listdir("/proc/self/fd")) - files)
"""


@pytest.mark.parametrize("limit", ["RLIMIT_FSIZE", "RLIMIT_NOFILE"])
def test_an_attempt_without_room(folder: Path, limit: str) -> None:
    """On a full disk, or without a free descriptor, an attempt takes back all that it made; the next succeeds under the same name."""
    command = [sys.executable, "-c", WITHOUT_ROOM, str(folder), limit]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = ["False 0", "False 0", "['one', 'one.bell']", "False 0"]
    assert (done.stdout.splitlines(), done.stderr) == (said, "")
