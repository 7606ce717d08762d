"""No death unseen: what a process leaves live is ended by another, at once, or by whoever opens the journal next."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

import runstate
from runstate import Cause, Died, ExecutionState, ExecutionTracker, WorkerState

from .processes import WHO, Other

PATIENCE = 60.0


def test_a_killed_process(tracker: ExecutionTracker, other: Other) -> None:
    """All that a killed process had live is DEAD, PROCESS_EXITED, with what was seen and by whom."""
    ids = other.ask("begin", 100)
    other.kill()
    for execution_id in ids:
        outcome = tracker.wait(execution_id, timeout=PATIENCE)
        assert isinstance(outcome, Died)
        assert outcome.cause is Cause.PROCESS_EXITED
        assert outcome.evidence.observer == tracker._decider.incarnation
        assert outcome.evidence.reason is not None
        assert outcome.evidence.last_beat_age is not None
        assert [move.target for move in tracker.history(execution_id)] == [ExecutionState.RUNNING, ExecutionState.DEAD]
    worker = tracker.worker(other.incarnation)
    assert worker is not None
    assert (worker.state, worker.live) == (WorkerState.FENCED, 0)
    assert worker.fence is not None
    assert worker.fence.by == tracker._decider.incarnation


def test_its_forked_child_lives_on(tracker: ExecutionTracker, other: Other) -> None:
    """A child that a killed process had forked keeps nothing of it alive: the death is seen, not only its lease's end."""
    children = [other.ask("fork") for _ in range(3)]
    (execution_id,) = other.ask("begin", 1)
    other.send(signal.SIGKILL)
    try:
        assert tracker.wait(execution_id, timeout=PATIENCE).cause is Cause.PROCESS_EXITED  # type: ignore[union-attr]
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)


def test_who_could_not_be_watched_at_first(tmp_path: Path) -> None:
    """Workers that could not be present when they joined are so as soon as it is possible: then the kernel tells of a death."""
    place, workers = tmp_path / "runs.db", tmp_path / "runs.db-workers"
    workers.write_text("stands in the way")
    other = Other(str(place))
    with runstate.open(place) as tracker:
        (execution_id,) = other.ask("begin", 1)
        workers.unlink()
        while not all((workers / name).exists() for name in (other.incarnation, tracker._decider.incarnation)):
            time.sleep(0.01)
        other.kill()
        outcome = tracker.wait(execution_id, timeout=PATIENCE)
        assert isinstance(outcome, Died)
        assert outcome.cause is Cause.PROCESS_EXITED
        while (workers / other.incarnation).exists():  # what it has left goes with the next look at who is there
            time.sleep(0.01)
    other.end()
    assert not workers.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_how_a_child_has_died(tracker: ExecutionTracker, other: Other, number: signal.Signals) -> None:
    """Who has started the process that died says what it died of, as nobody else can."""
    (execution_id,) = other.ask("begin", 1)
    other.send(number)
    outcome = tracker.wait(execution_id, timeout=PATIENCE)
    assert isinstance(outcome, Died)
    assert outcome.evidence.reason is not None
    assert outcome.evidence.reason.startswith(f"its process was killed by {number.name}; its lease had been renewed ")


def test_nobody_else_was_alive(place: str, other: Other) -> None:
    """When nobody saw a process die, the next to open the journal has settled everything when it is open."""
    ids = other.ask("begin", 3)
    other.kill()
    with runstate.open(place, read_only=True) as reader:
        assert {record.state for record in map(reader.get, ids)} == {ExecutionState.RUNNING}
        assert [worker.incarnation for worker in reader.workers()] == [other.incarnation], "a reader is no worker"
    with runstate.open(place) as tracker:
        if not place.startswith(
            "postgresql:"
        ):  # a server may just have been started anew: it takes a moment to be sure
            assert {record.state for record in map(tracker.get, ids)} == {ExecutionState.DEAD}
        for execution_id in ids:
            assert isinstance(tracker.wait(execution_id, timeout=PATIENCE), Died)


def test_a_process_that_leaves(tracker: ExecutionTracker, other: Other) -> None:
    """A process that closes its tracker has left: what it had live is CANCELLED by itself, and nobody is fenced."""
    (execution_id,) = other.ask("begin", 1)
    other.end()
    assert tracker.get(execution_id).cause is Cause.SHUTDOWN
    worker = tracker.worker(other.incarnation)
    assert worker is not None
    assert worker.state is WorkerState.LEFT
    assert other.incarnation not in [one.incarnation for one in tracker.workers()]
    assert other.incarnation in [one.incarnation for one in tracker.workers(departed=10)]


@pytest.mark.parametrize("count", [2, 4])
def test_several_see_it(place: str, other: Other, count: int) -> None:
    """However many see a death, each execution is ended once."""
    trackers = [runstate.open(place) for _ in range(count)]
    ids = other.ask("begin", 20)
    other.kill()
    for tracker in trackers:
        for execution_id in ids:
            assert isinstance(tracker.wait(execution_id, timeout=PATIENCE), Died)
    for execution_id in ids:
        assert [move.target for move in trackers[0].history(execution_id)] == [
            ExecutionState.RUNNING,
            ExecutionState.DEAD,
        ]
    for tracker in trackers:
        tracker.close()


def test_a_forked_child_is_another_worker(tracker: ExecutionTracker) -> None:
    """What a forked child has begun ends when the child is killed; its parent's executions go on."""
    own = tracker.create(**WHO).run()
    tracker.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        run = tracker.create(**WHO).run()
        tracker.flush()
        os.write(writing, run.execution_id.encode())
        signal.pause()
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        execution_id = os.read(pipe.fileno(), 100).decode()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    outcome = tracker.wait(execution_id, timeout=PATIENCE)
    assert isinstance(outcome, Died)
    own.heartbeat()
    own.finish().complete("alive")
    tracker.flush()
    assert tracker.get(own.execution_id).result == "alive"
