"""What every journal that is shared promises of a vigil: a peer's death and a ring are seen at once, and nothing else is."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from runstate.journal import Fleet, Vigil

from .doubles import PATIENCE
from .entries import OTHER_WORKER, WORKER
from .fleets import LEASE, Pair, SharedStore

PROGRAM = """
import sys
from threading import Thread
from tests.journal.fleets import reopened
kind, place, name, lease = sys.argv[1:]
journal = reopened(kind, place)
vigil = journal.vigil(name)
journal.join(name, float(lease))

def live():
    while not left:
        if vigil.wait(float(lease) / 4).rung:
            continue
        journal.renew(name)

left = []
living = Thread(target=live, daemon=True)
living.start()
print("there", flush=True)
if sys.stdin.readline() == "leave\\n":
    left.append(True)
    vigil.wake()
    living.join()
    journal.leave(name)
    vigil.leave()
    print("left", flush=True)
    sys.stdin.readline()
"""


class Start(Protocol):
    """Starts a worker in a process of its own, and waits until it is present."""

    def __call__(self, incarnation: str, lease: float = LEASE) -> subprocess.Popen[str]:
        """Start it, under a name."""
        ...


@pytest.fixture
def vigil(pair: Pair) -> Iterator[Vigil]:
    """The vigil of OTHER_WORKER, who watches in these tests."""
    vigil = pair.other.vigil(OTHER_WORKER)
    yield vigil
    vigil.leave()


@pytest.fixture
def start(shared: SharedStore) -> Iterator[Start]:
    """Start a worker in a process of its own, and wait until it is present."""
    with starting(shared.name, shared.place) as start:
        yield start


@contextmanager
def starting(kind: str, place: str) -> Generator[Start]:
    """Give what starts workers of a journal; kill them in the end."""
    started: list[subprocess.Popen[str]] = []

    def one(incarnation: str, lease: float = LEASE) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PROGRAM, kind, place, incarnation, str(lease)]
        root = Path(__file__).resolve().parent.parent.parent
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        return process

    yield one
    for process in started:
        process.kill()
        process.communicate()


def wait_for_death(vigil: Vigil) -> dict[str, str]:
    """Wait until somebody is gone."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if gone := vigil.wait(1.0).gone:
            return dict(gone)
    raise AssertionError("nobody was seen to go")


def test_a_killed_peer_is_seen_at_once(vigil: Vigil, start: Start) -> None:
    """A killed peer is named with what was seen, at every look until it is watched no longer; who lives is not named."""
    victim, other = start("victim"), start("other")
    vigil.watch(["victim", "other", OTHER_WORKER])
    victim.kill()
    gone = wait_for_death(vigil)
    assert list(gone) == ["victim"]
    assert gone["victim"] == "its process was killed by SIGKILL"
    began = time.monotonic()
    assert vigil.wait(0.2).gone == gone
    assert time.monotonic() - began >= 0.15, "what was told before ends no wait"
    vigil.watch(["other"])
    assert vigil.wait(0).gone == {}
    other.kill()
    assert list(wait_for_death(vigil)) == ["other"]


def test_all_who_are_killed_at_once_are_seen(vigil: Vigil, start: Start) -> None:
    """Of five peers four are killed at the same time: all four are named, and not the fifth."""
    processes = {name: start(name) for name in ("a", "b", "c", "d", "e")}
    vigil.watch(list(processes))
    for name in "abde":
        processes[name].kill()
    gone: set[str] = set()
    while gone != set("abde"):
        gone = set(wait_for_death(vigil))
        assert "c" not in gone


def test_who_died_before_the_vigil_began_is_seen(pair: Pair, start: Start) -> None:
    """A worker that begins to watch learns at once of a peer that is gone already."""
    victim = start("victim")
    victim.kill()
    victim.wait()
    vigil = pair.other.vigil(OTHER_WORKER)
    vigil.watch(["victim"])
    assert list(wait_for_death(vigil)) == ["victim"]
    vigil.leave()


def test_leaving_is_no_death(vigil: Vigil, start: Start) -> None:
    """Who leaves in good order is not taken for dead, before its process ends and after."""
    leaving, other = start("leaving"), start("other")
    vigil.watch(["leaving", "other"])
    assert leaving.stdin is not None
    assert leaving.stdout is not None
    leaving.stdin.write("leave\n")
    leaving.stdin.flush()
    assert leaving.stdout.readline() == "left\n"
    assert vigil.wait(0.1).gone == {}
    leaving.communicate()
    assert vigil.wait(0.1).gone == {}
    other.kill()
    assert list(wait_for_death(vigil)) == ["other"], "the others are watched all the same"


def test_standing_still_is_no_death(vigil: Vigil, start: Start) -> None:
    """A stopped process is not gone."""
    stopped = start("stopped")
    vigil.watch(["stopped"])
    stopped.send_signal(signal.SIGSTOP)
    try:
        assert vigil.wait(0.3).gone == {}
    finally:
        stopped.send_signal(signal.SIGCONT)


def test_who_is_not_there_is_not_dead(vigil: Vigil) -> None:
    """A peer that was never present, or that nobody knows, is left to its lease."""
    vigil.watch(["nobody", WORKER])
    assert vigil.wait(0.3).gone == {}


def test_a_ring_ends_a_wait(pair: Pair, vigil: Vigil) -> None:
    """A ring by a peer, by one who is no worker, and by oneself ends a wait; without one nothing is rung."""
    peer = pair.one.vigil(WORKER)
    vigil.wait(0)
    assert not vigil.wait(0).rung
    for ring in (lambda: peer.ring(OTHER_WORKER), lambda: pair.one.ring(OTHER_WORKER)):
        assert in_another_thread(vigil, ring)
    assert in_another_thread(vigil, vigil.wake)
    vigil.wake()
    assert vigil.wait(PATIENCE).rung, "a ring that nobody waits for is kept"
    peer.leave()


def in_another_thread(vigil: Vigil, ring: Callable[[], object]) -> bool:
    """Whether a wait that has begun is ended by a ring."""
    heard: list[bool] = []
    thread = threading.Thread(target=lambda: heard.append(vigil.wait(PATIENCE).rung))
    thread.start()
    ring()
    thread.join()
    return heard == [True]


def test_nobody_hears_what_is_rung_for_nobody(pair: Pair, vigil: Vigil) -> None:
    """Ringing for one who is not known does nothing and says so."""
    assert not vigil.ring("nobody")
    assert not pair.one.ring("nobody")


def test_a_vigil_comes_before_its_worker_joins(shared: SharedStore) -> None:
    """One can be present before one joins, and its name may hold what no file's name holds."""
    journal: Fleet = shared.journal()
    name = "höst/1:..:%2F " + "x" * 100
    vigil = journal.vigil(name)
    journal.join(name, LEASE)
    assert journal.ring(name)
    assert vigil.wait(PATIENCE).rung
    journal.leave(name)
    vigil.leave()
    journal.close()
