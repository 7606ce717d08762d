"""Any thread may call anything at any time: one winner, no lost entry, nothing half done.

The switch interval is a microsecond here, so that threads change places as often as the interpreter lets them.
"""

# ruff: noqa: PT012 - a loop that only its own error ends
from __future__ import annotations

import functools
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runstate import (
    Cause,
    Created,
    Execution,
    ExecutionState,
    ExecutionTracker,
    FencedError,
    InvalidTransitionError,
    JournalFullError,
    Limits,
    Phase,
    TrackerClosedError,
    Transition,
)

from .clock import FakeClock
from .gated import WHO, GatedJournal, stored
from .stores import Store

TERMINAL = frozenset(state for state in ExecutionState if state.is_terminal)


@pytest.fixture(autouse=True)
def switch_often() -> Iterator[None]:
    """Let threads change places about every microsecond."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Team:
    """Threads that run rounds of calls at the same moment, again and again."""

    def __init__(self, size: int) -> None:
        self._barrier = threading.Barrier(size)
        self._size = size
        self.errors: list[BaseException] = []

    def run(self, work: Callable[[int], object]) -> None:
        """Run work(0) … work(size - 1), one in each thread, all started at once; raise what one of them raised."""

        def run_one(number: int) -> None:
            self._barrier.wait(60)
            try:
                work(number)
            except BaseException as error:
                self.errors.append(error)

        threads = [threading.Thread(target=run_one, args=(number,)) for number in range(self._size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        if self.errors:
            raise self.errors[0]


ENDS: tuple[Callable[[Execution[Any]], object], ...] = (
    lambda run: run.complete(0),
    lambda run: run.fail("lost the race?"),
    lambda run: run.cancel(),
    lambda run: run.time_out(),
    lambda run: run.die(),
)


def race_once(tracker: ExecutionTracker, clock: FakeClock, size: int, first: int) -> None:
    """Have *size* threads end one execution, each in another way: by handle, by id or by its limit."""
    run = tracker.create(**WHO, timeout=25.0).run()
    clock.advance(26.0)
    winners: list[ExecutionState] = []

    def by_handle(end: Callable[[Execution[Any]], object]) -> ExecutionState:
        end(run)
        return run.state

    ways: tuple[Callable[[], ExecutionState | None], ...] = (
        *(functools.partial(by_handle, end) for end in ENDS),
        lambda: tracker.update_execution_state(run.execution_id, ExecutionState.FAILED, error="by id").target,
        lambda: tracker.update_execution_state(run.execution_id, ExecutionState.COMPLETED, result=1).target,
        lambda: ExecutionState.TIMEOUT if tracker.sweep() else None,
    )

    def end(place: int) -> None:
        try:
            state = ways[(place + first) % len(ways)]()
        except (InvalidTransitionError, FencedError):
            return
        if state is not None:
            winners.append(state)

    Team(size).run(end)
    assert len(winners) == 1
    assert run.state is winners[0]
    assert [move.target for move in tracker.history(run.execution_id)] == [ExecutionState.RUNNING, winners[0]]


@pytest.mark.parametrize(("size", "rounds"), [(2, 400), (8, 100)])
def test_a_race_for_the_end_has_one_winner(tracker: ExecutionTracker, clock: FakeClock, size: int, rounds: int) -> None:
    """However many threads end an execution at once, exactly one wins, and state and journal agree on who."""
    for first in range(rounds):
        race_once(tracker, clock, size, first)
    statistics = tracker.statistics()
    assert (statistics.created, statistics.live, sum(statistics.ended.values())) == (rounds, 0, rounds)


def test_a_tight_race_for_the_end(tracker: ExecutionTracker) -> None:
    """Two threads that complete and fail the same thousands of executions never both win one."""
    runs = [tracker.create(**WHO).run() for _ in range(3_000)]
    won: tuple[list[str], list[str]] = ([], [])

    def end_all(number: int) -> None:
        for run in runs:
            try:
                ENDS[number](run)
            except (InvalidTransitionError, FencedError):
                continue
            won[number].append(run.execution_id)

    Team(2).run(end_all)
    assert Counter([*won[0], *won[1]]) == Counter(run.execution_id for run in runs)
    for ids, state in zip(won, (ExecutionState.COMPLETED, ExecutionState.FAILED), strict=True):
        assert {record.execution_id for record in tracker.find(state=state, limit=10_000)} == set(ids)


def test_a_race_for_every_move(tracker: ExecutionTracker) -> None:
    """Each move of a whole life is won by one of four threads; the log has every move once."""
    path = (ExecutionState.STARTING, ExecutionState.RUNNING, ExecutionState.COMPLETING, ExecutionState.COMPLETED)
    for _ in range(50):
        execution_id = tracker.create(**WHO).execution_id
        won: Counter[ExecutionState] = Counter()

        def walk(_: int, execution_id: str = execution_id, won: Counter[ExecutionState] = won) -> None:
            for state in path:
                try:
                    won[tracker.update_execution_state(execution_id, state).target] += 1
                except InvalidTransitionError:
                    continue

        Team(4).run(walk)
        targets = [move.target for move in tracker.history(execution_id)]
        assert Counter(targets) == won
        assert [state for state in path if state in won] == targets


def test_concurrent_creation_and_reading(tracker: ExecutionTracker) -> None:
    """Creating, moving, finding, getting and counting from eight threads at once raises nothing and loses nothing."""
    ids: list[str] = []
    each = 60

    def work(number: int) -> None:
        for _ in range(each):
            run = tracker.create(**{**WHO, "thread_id": f"t-{number}"}).run()
            run.phase(Phase.THINKING)
            run.heartbeat()
            ids.append(run.execution_id)
            if number % 2:
                run.complete(number)
            record = tracker.get(ids[len(ids) // 2])
            assert record.execution_id in ids
            assert {one.thread_id for one in tracker.find(thread_id=f"t-{number}", limit=5)} == {f"t-{number}"}
            statistics = tracker.statistics()
            assert 0 <= statistics.live <= statistics.created <= 8 * each

    Team(8).run(work)
    tracker.flush()
    assert len(set(ids)) == 8 * each
    assert {record.execution_id for record in tracker.find(limit=10_000)} == set(ids)
    statistics = tracker.statistics()
    assert (statistics.created, statistics.live, statistics.refused) == (8 * each, 4 * each, 0)
    assert statistics.written == 8 * each * 3 + 4 * each


def test_phases_and_beats_race_with_the_end(store: Store) -> None:
    """No phase gets behind the end: the log's last entry is the end, its numbers have no gap, and late calls raise."""
    limits = Limits(entries=10_000_000, pending_entries=10_000_000)
    with ExecutionTracker(store.journal(limits), limits=limits) as tracker:
        for _ in range(60):
            run = tracker.create(**WHO).run()
            refused: list[FencedError] = []

            def work(number: int, run: Execution[Any] = run, refused: list[FencedError] = refused) -> None:
                if number == 0:
                    run.complete()
                    return
                with pytest.raises(FencedError) as late:
                    while True:
                        run.phase(Phase.THINKING)
                        run.heartbeat()
                refused.append(late.value)

            Team(3).run(work)
            log = tracker.timeline(run.execution_id)
            assert [entry.seq for entry in log] == list(range(1, len(log) + 1))
            assert isinstance(log[-1], Transition)
            assert log[-1].target is ExecutionState.COMPLETED
            assert [error.cause for error in refused] == [Cause.RETURNED] * 2


def test_reading_waits_for_what_is_being_written(store: Store) -> None:
    """An execution whose entries are on their way into the store is found, complete, by every reading call."""
    journal = GatedJournal(store.journal())
    with ExecutionTracker(journal) as tracker:
        journal.shut()
        run = tracker.create(**WHO).run()
        run.complete("the answer")
        assert journal.reached.wait(30)
        calls: tuple[Callable[[], Any], ...] = (
            lambda: tracker.get(run.execution_id).result,
            lambda: tracker.wait(run.execution_id, timeout=30.0).result,
            lambda: tracker.history(run.execution_id)[-1].result,
            lambda: tracker.timeline(run.execution_id)[-1].result,
            lambda: tracker.find(agent="airline")[0].result,
            lambda: tracker.find(state=ExecutionState.COMPLETED)[0].result,
        )
        threading.Timer(0.02, journal.open).start()
        results: dict[int, Any] = {}
        Team(len(calls)).run(lambda number: results.update({number: calls[number]()}))
        assert results == dict.fromkeys(range(len(calls)), "the answer")


def test_every_flush_covers_what_came_before_it(store: Store, tracker: ExecutionTracker) -> None:
    """After each thread's own flush, with others flushing all the time, what it had decided is in the store."""

    def work(_: int) -> None:
        for _ in range(25):
            run = tracker.create(**WHO).run()
            run.complete()
            tracker.flush()
            assert stored(store, run.execution_id).state is ExecutionState.COMPLETED

    Team(4).run(work)


def test_closing_while_others_create(store: Store) -> None:
    """Whatever was created before or during `close` has an end in the store; what came too late was refused."""
    for _ in range(25):
        tracker = ExecutionTracker(store.journal())
        ids: list[str] = []

        def work(number: int, tracker: ExecutionTracker = tracker, ids: list[str] = ids) -> None:
            if number == 0:
                while len(ids) < 20:
                    pass
                tracker.close()
                return
            with pytest.raises(TrackerClosedError):
                ids.extend(tracker.create(**WHO).execution_id for _ in range(100_000))

        Team(4).run(work)
        with ExecutionTracker(store.journal(), read_only=True) as reader:
            ended = {record.execution_id for record in reader.find(state=ExecutionState.CANCELLED, limit=1_000_000)}
            assert set(ids) <= ended
            for state in set(ExecutionState) - TERMINAL:
                assert reader.find(state=state) == ()


def test_a_full_buffer_refuses_and_loses_nothing(store: Store) -> None:
    """With a tiny buffer and eight threads every call either is stored or was refused, never half of it."""
    limits = Limits(pending_entries=8)
    with ExecutionTracker(store.journal(), limits=limits) as tracker:
        done: list[str] = []
        refused: list[JournalFullError] = []

        def work(_: int) -> None:
            for _ in range(100):
                try:
                    run = tracker.create(**WHO)
                except JournalFullError as error:
                    refused.append(error)
                    tracker.flush()
                    continue
                done.append(run.execution_id)

        Team(8).run(work)
        tracker.flush()
        assert {record.execution_id for record in tracker.find(limit=10_000)} == set(done)
        assert {error.limit for error in refused} <= {8}
        assert tracker.statistics().refused == len(refused)
        assert all(isinstance(tracker.timeline(execution_id)[0], Created) for execution_id in done[:20])
