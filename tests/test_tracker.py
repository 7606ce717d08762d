"""The tracker's face: creating, finding, reading and counting. Moves, limits, blocks and agents have files of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import runstate
from runstate import (
    Cause,
    Created,
    Evidence,
    Execution,
    ExecutionState,
    ExecutionTracker,
    FencedError,
    InvalidTransitionError,
    InvalidValueError,
    JournalFullError,
    Limits,
    NotJsonError,
    Phase,
    PhaseChange,
    ResultTooLargeError,
    StateTypeError,
    TrackerClosedError,
    Transition,
    UnknownExecutionError,
)
from runstate.journal.memory import MemoryJournal

from .clock import FakeClock
from .gated import WHO, bury, stored
from .stores import Store


def test_a_whole_life(store: Store, tracker: ExecutionTracker, clock: FakeClock) -> None:
    """Everything that was said about an execution is in its record, its history and its timeline, with true times."""
    born = clock.time_ns()
    pending = tracker.create(**WHO, timeout=25.0, heartbeat_timeout=10.0, metadata={"tier": "free"})
    clock.advance(1.0)
    starting = pending.start()
    clock.advance(1.0)
    running = starting.run()
    running.phase(Phase.TOOL_EXECUTION, "get_user_details")
    clock.advance(1.0)
    running.heartbeat()
    completing = running.finish()
    clock.advance(1.0)
    completed = completing.complete({"text": "done"})
    tracker.flush()
    record = stored(store, completed.execution_id)
    assert record == tracker.get(completed.execution_id) == completed.record
    assert (record.agent, record.thread_id, record.user_id) == ("airline", "t-1", "u-1")
    assert (record.timeout, record.heartbeat_timeout, record.metadata) == (25.0, 10.0, {"tier": "free"})
    assert (record.state, record.cause, record.error) == (ExecutionState.COMPLETED, Cause.RETURNED, None)
    assert (record.seq, record.phase, record.phase_detail) == (6, Phase.TOOL_EXECUTION, "get_user_details")
    assert (record.created_at_ns, record.duration, record.result) == (born, 4.0, {"text": "done"})
    assert record.evidence == Evidence("owner", 1, 1.0, Phase.TOOL_EXECUTION, "get_user_details")
    timeline = tracker.timeline(record.execution_id)
    assert [type(entry) for entry in timeline] == [
        Created,
        Transition,
        Transition,
        PhaseChange,
        Transition,
        Transition,
    ]
    assert [(entry.at_ns - born) / 1e9 for entry in timeline] == [0.0, 1.0, 2.0, 2.0, 3.0, 4.0]
    moves = tracker.history(record.execution_id)
    assert moves == tuple(entry for entry in timeline if isinstance(entry, Transition))
    assert [(move.source.name, move.target.name) for move in moves] == [
        ("PENDING", "STARTING"),
        ("STARTING", "RUNNING"),
        ("RUNNING", "COMPLETING"),
        ("COMPLETING", "COMPLETED"),
    ]


def test_a_pending_execution_has_no_history(tracker: ExecutionTracker) -> None:
    """An execution that has only been created has no moves, and a timeline of one entry."""
    pending = tracker.create(**WHO)
    assert tracker.history(pending.execution_id) == ()
    (created,) = tracker.timeline(pending.execution_id)
    assert isinstance(created, Created)
    assert tracker.get(pending.execution_id).state is ExecutionState.PENDING


def test_ids_are_unique_and_sort_by_creation(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """Ten thousand ids made in the same instant differ, and later ones sort behind earlier ones."""
    early = [tracker.create(**WHO).execution_id for _ in range(10_000)]
    clock.advance(1.0)
    late = tracker.create(**WHO).execution_id
    assert len(set(early)) == 10_000
    assert max(early) < late


def test_what_is_handed_in_is_kept_as_it_was(store: Store, tracker: ExecutionTracker) -> None:
    """Changing metadata or a result after handing it in changes nothing that is recorded."""
    metadata: dict[str, Any] = {"tags": ["a"]}
    result: dict[str, Any] = {"rows": [1]}
    run = tracker.create(**WHO, metadata=metadata).run()
    metadata["tags"].append("b")
    run.complete(result)
    result["rows"].append(2)
    tracker.flush()
    record = stored(store, run.execution_id)
    assert (record.metadata, record.result) == ({"tags": ["a"]}, {"rows": [1]})


@pytest.fixture
def found(tracker: ExecutionTracker) -> list[Execution[Any]]:
    """Twelve executions of two agents, three threads and two users, every third one completed."""
    runs: list[Execution[Any]] = []
    for number in range(12):
        run = tracker.create(agent=f"a-{number % 2}", thread_id=f"t-{number % 3}", user_id=f"u-{number % 2}").run()
        if number % 3 == 0:
            run.complete(number)
        runs.append(run)
    return runs


FILTERS: dict[str, tuple[dict[str, Any], Callable[[int], bool]]] = {
    "nothing": ({}, lambda number: True),
    "state": ({"state": ExecutionState.COMPLETED}, lambda number: number % 3 == 0),
    "another state": ({"state": ExecutionState.DEAD}, lambda number: False),
    "agent": ({"agent": "a-1"}, lambda number: number % 2 == 1),
    "thread": ({"thread_id": "t-2"}, lambda number: number % 3 == 2),
    "user": ({"user_id": "u-0"}, lambda number: number % 2 == 0),
    "agent and thread": ({"agent": "a-0", "thread_id": "t-0"}, lambda number: number % 6 == 0),
    "all": (
        {"state": ExecutionState.RUNNING, "agent": "a-1", "thread_id": "t-1", "user_id": "u-1"},
        lambda number: number % 6 == 1,
    ),
    "a contradiction": ({"agent": "a-0", "user_id": "u-1"}, lambda number: False),
}


@pytest.mark.parametrize("name", FILTERS)
def test_find(tracker: ExecutionTracker, found: list[Execution[Any]], name: str) -> None:
    """`find` gives exactly what matches every filter, the newest first, as it stands now."""
    filters, matches = FILTERS[name]
    expected = [run.record for number, run in enumerate(found) if matches(number)]
    assert list(tracker.find(**filters)) == expected[::-1]


def test_find_gives_at_most_its_limit(tracker: ExecutionTracker, found: list[Execution[Any]]) -> None:
    """`limit` gives the newest ones, and a limit out of range is refused."""
    assert [record.execution_id for record in tracker.find(limit=5)] == [run.execution_id for run in found[:-6:-1]]
    for limit in (0, -1, 1_000_001):
        with pytest.raises(InvalidValueError):
            tracker.find(limit=limit)


def test_unknown_ids(tracker: ExecutionTracker) -> None:
    """Every call by id says that it knows no such execution, and none makes one."""
    calls: tuple[Callable[[str], object], ...] = (
        tracker.get,
        tracker.history,
        tracker.timeline,
        tracker.handle,
        lambda one: tracker.update_execution_state(one, ExecutionState.RUNNING),
    )
    for call in calls:
        with pytest.raises(UnknownExecutionError) as refused:
            call("nobody")
        assert refused.value.execution_id == "nobody"
    assert tracker.find() == ()


def test_a_handle_by_id(tracker: ExecutionTracker) -> None:
    """`handle` gives a handle of the state now; `expect` narrows it or says what the state is instead."""
    run = tracker.create(**WHO).run()
    handle = tracker.handle(run.execution_id)
    assert handle.known_state is ExecutionState.RUNNING
    with pytest.raises(InvalidTransitionError) as refused:
        handle.expect(ExecutionState.COMPLETING)
    assert refused.value.source is ExecutionState.RUNNING
    handle.expect(ExecutionState.RUNNING).complete("by the handle")
    assert run.state is ExecutionState.COMPLETED
    with pytest.raises(FencedError):
        tracker.handle(run.execution_id)


def test_signs_of_life_on_a_handle(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """A handle tells how often the execution has beaten, and when it last gave any sign of life, also one given elsewhere."""
    run = tracker.create(**WHO).run()
    seen = [(run.beats, run.last_beat_ns - clock.monotonic_ns())]
    signs = (
        run.heartbeat,
        lambda: run.phase(Phase.THINKING),
        tracker.handle(run.execution_id).expect(ExecutionState.RUNNING).heartbeat,
    )
    for sign in signs:
        clock.advance(1.0)
        before = run.last_beat_ns
        sign()
        assert run.last_beat_ns - before == 1_000_000_000
        seen.append((run.beats, run.last_beat_ns - clock.monotonic_ns()))
    assert seen == [(0, 0), (1, 0), (1, 0), (2, 0)]
    run.complete()


def test_a_stale_handle(tracker: ExecutionTracker) -> None:
    """The old variable still exists after a move; using it raises and says what to use instead."""
    pending = tracker.create(**WHO)
    running = pending.run()
    with pytest.raises(InvalidTransitionError, match="handle") as refused:
        pending.run()
    assert (refused.value.source, refused.value.target) == (ExecutionState.RUNNING, ExecutionState.RUNNING)
    assert tracker.statistics().refused == 1
    running.complete()


def test_statistics(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """Every figure counts what it says."""
    runs = [tracker.create(**WHO, timeout=25.0).run() for _ in range(6)]
    runs[0].complete()
    runs[1].fail("x")
    runs[2].fail(ValueError("x"))
    runs[3].cancel()
    with pytest.raises(InvalidTransitionError):
        runs[0].complete()
    with pytest.raises(FencedError):
        runs[0].heartbeat()
    clock.advance(26.0)
    assert tracker.sweep() == 2
    tracker.flush()
    statistics = tracker.statistics()
    assert (statistics.created, statistics.live, statistics.refused, statistics.rejected) == (6, 0, 2, 0)
    assert statistics.ended == {
        (ExecutionState.COMPLETED, Cause.RETURNED): 1,
        (ExecutionState.FAILED, Cause.REPORTED): 1,
        (ExecutionState.FAILED, Cause.RAISED): 1,
        (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER): 1,
        (ExecutionState.TIMEOUT, Cause.DEADLINE): 2,
    }
    assert (statistics.pending, statistics.written, statistics.journal_failure) == (0, 18, None)
    assert 1 <= statistics.commits <= 18
    statistics.ended.clear()
    assert len(tracker.statistics().ended) == 5


def test_several_event_loops(store: Store) -> None:
    """Loops in several threads share one tracker: each awaits its own outcomes."""
    results: dict[int, list[str]] = {}

    async def main(number: int) -> list[str]:
        @tracker.agent("airline")
        async def agent(message: str) -> str:
            await asyncio.sleep(0)
            return message.upper()

        bound = agent.bind(thread_id=f"t-{number}", user_id="u-1")
        outcomes = await asyncio.gather(*(bound(f"{number}-{one}x") for one in range(20)))
        return [outcome.result for outcome in outcomes]

    with ExecutionTracker(store.journal()) as tracker:
        threads = [
            threading.Thread(target=lambda number=number: results.update({number: asyncio.run(main(number))}))
            for number in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert results == {number: [f"{number}-{one}X" for one in range(20)] for number in range(4)}


def test_budgets(store: Store, clock: FakeClock) -> None:
    """What is over its byte budget, or beyond an execution's entries, is refused and changes nothing; an error is cut."""
    limits = Limits(result_bytes=100, metadata_bytes=50, error_bytes=60, name_bytes=20, entries=5)
    with ExecutionTracker(store.journal(limits), limits=limits, clock=clock) as tracker:
        with pytest.raises(ResultTooLargeError) as refused:
            tracker.create(**WHO, metadata={"k": "x" * 50})
        assert (refused.value.limit, refused.value.name) == (50, "metadata")
        with pytest.raises(ResultTooLargeError):
            tracker.create(agent="é" * 11, thread_id="t", user_id="u")
        run = tracker.create(**WHO).run()
        with pytest.raises(ResultTooLargeError):
            run.complete("x" * 100)
        with pytest.raises(NotJsonError) as not_json:
            run.complete({"rows": [1, {2}]})
        assert not_json.value.path == "$.rows[1]"
        for _ in range(3):
            run.phase(Phase.THINKING)
        with pytest.raises(JournalFullError):
            run.phase(Phase.THINKING)
        assert (run.state, run.record.seq) == (ExecutionState.RUNNING, 5)
        run.fail("x" * 1_000)
        error = run.record.error
        assert error is not None
        assert len(error.encode()) <= 60
        assert error.endswith("limit 60]")


def test_an_execution_lost_to_another_writer(store: Store, tracker: ExecutionTracker) -> None:
    """When another writer has continued an execution's log, its owner is refused loudly and everywhere, and counts it."""
    run = tracker.create(**WHO).run()
    other = tracker.create(**WHO).run()
    tracker.flush()
    bury(store, run.record)
    run.phase(Phase.THINKING)
    other.complete("not lost")
    with pytest.raises(FencedError) as told:
        tracker.flush()
    assert (told.value.execution_id, told.value.cause) == (run.execution_id, Cause.LEASE_EXPIRED)
    calls: tuple[Callable[[], object], ...] = (run.heartbeat, run.finish, lambda: run.phase(Phase.THINKING), run.cancel)
    for call in calls:
        with pytest.raises(FencedError):
            call()
    tracker.flush()
    assert tracker.statistics().rejected == 1
    assert tracker.get(run.execution_id).cause is Cause.LEASE_EXPIRED
    assert stored(store, other.execution_id).result == "not lost"


@pytest.mark.parametrize("url", ["", "postgres://host/db", "http://x", "memory:x://"])
def test_urls_that_name_no_store(url: str) -> None:
    """A URL of a store that is not known here is refused."""
    with pytest.raises(InvalidValueError):
        runstate.open(url)


def test_a_closed_tracker_is_entered_no_more() -> None:
    """Neither `with` nor `async with` begins on a tracker that is closed; while it is open both do."""
    tracker = ExecutionTracker(MemoryJournal())

    async def enter() -> None:
        async with tracker:
            raise AssertionError("entered")

    with tracker as entered:
        assert entered is tracker
    with pytest.raises(TrackerClosedError), tracker:
        raise AssertionError("entered")
    with pytest.raises(TrackerClosedError):
        asyncio.run(enter())


@pytest.mark.parametrize(("name", "shortest"), [("lease", 0.1), ("blocked_timeout", 0.05)])
def test_times_too_short_to_keep(name: str, shortest: float, tmp_path: Path) -> None:
    """A lease or a limit on blocking that no thread could keep is refused before a file is made, with the shortest that there is."""
    path = tmp_path / "runs.db"
    for value in (1e-9, shortest * 0.99):
        options: dict[str, Any] = {name: value}
        with pytest.raises(InvalidValueError, match=f"{name} must be at least {shortest:g} seconds"):
            runstate.open(path, **options)
        with pytest.raises(InvalidValueError, match=name):
            ExecutionTracker(MemoryJournal(), **options)
    assert not path.exists()
    options = {name: shortest}
    runstate.open(path, **options).close()


def test_urls_of_the_same_file(tmp_path: Any) -> None:
    """A path, a str and an `sqlite:///` URL open the same file."""
    path = tmp_path / "runs.db"
    ids = []
    for url in (path, str(path), f"sqlite:///{path}"):
        with runstate.open(url) as tracker:
            ids.append(tracker.create(**WHO).execution_id)
            assert {record.execution_id for record in tracker.find()} == set(ids)
    with pytest.raises(StateTypeError):
        runstate.open(3)
