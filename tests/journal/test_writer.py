"""The writer, driven through the tracker: order, barriers, group commit, bounds, failures, conflicts and the end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from runstate import (
    Entry,
    ExecutionState,
    ExecutionTracker,
    JournalError,
    JournalFullError,
    JournalUnavailableError,
    Limits,
    Phase,
    RunstateError,
    TrackerClosedError,
    WaitTimeoutError,
)

from ..clock import FakeClock
from ..moves import bring_to, create
from .doubles import SwitchableJournal, held_up, in_threads


def test_entries_are_stored_in_the_order_of_their_decisions(
    tracker: ExecutionTracker, switchable: SwitchableJournal
) -> None:
    """What one thread decides, of whatever executions, is stored in exactly that order."""
    decided: list[tuple[str, int]] = []
    handles = [create(tracker, agent=f"a{number}") for number in range(20)]
    decided += [(handle.execution_id, 1) for handle in handles]
    for step, verb in enumerate(("start", "run", "finish", "complete"), start=2):
        for place, handle in enumerate(handles):
            handles[place] = getattr(handle, verb)()
            decided.append((handle.execution_id, step))
    tracker.flush()
    assert [(entry.execution_id, entry.seq) for entry in switchable.entries()] == decided


def test_threads_keep_each_executions_order(tracker: ExecutionTracker, switchable: SwitchableJournal) -> None:
    """Of executions moved by eight threads at once, each log is stored whole and without a gap."""

    def work(place: int) -> None:
        for _ in range(50):
            running = create(tracker, agent=f"a{place}").run()
            running.phase(Phase.THINKING)
            running.complete(place)

    in_threads(8, work)
    tracker.flush()
    logs: dict[str, list[int]] = {}
    for entry in switchable.entries():
        logs.setdefault(entry.execution_id, []).append(entry.seq)
    assert len(logs) == 400
    assert all(seqs == [1, 2, 3, 4] for seqs in logs.values())
    statistics = tracker.statistics()
    assert (statistics.created, statistics.written) == (400, 1_600)


def test_after_a_flush_everything_decided_before_is_stored(
    tracker: ExecutionTracker, switchable: SwitchableJournal
) -> None:
    """In each of several threads, what that thread decided before its flush is in the journal when it returns."""

    def work(place: int) -> None:
        for _ in range(20):
            handle = create(tracker).run()
            tracker.flush()
            stored = [entry.seq for entry in switchable.entries() if entry.execution_id == handle.execution_id]
            assert stored == [1, 2]

    in_threads(4, work)
    assert tracker.statistics().pending == 0


def test_a_flush_of_nothing_returns(tracker: ExecutionTracker, switchable: SwitchableJournal) -> None:
    """Flushing an unused tracker, and flushing again, writes nothing."""
    tracker.flush()
    create(tracker)
    tracker.flush()
    attempts = switchable.attempts
    tracker.flush()
    tracker.flush(timeout=1)
    asyncio.run(tracker.aflush())
    assert switchable.attempts == attempts
    assert tracker.statistics().commits == len(switchable.batches)


def test_what_waits_together_is_committed_together(tracker: ExecutionTracker, switchable: SwitchableJournal) -> None:
    """A thousand moves made while the journal is busy need one more commit, not a thousand."""
    held_up(switchable, tracker)
    for _ in range(500):
        create(tracker).run()
    switchable.open.set()
    tracker.flush()
    statistics = tracker.statistics()
    assert (statistics.written, statistics.commits) == (1_001, 2)
    assert [len(batch) for batch in switchable.batches] == [1, 1_000]


def test_one_commit_serves_many_tasks(tracker: ExecutionTracker, switchable: SwitchableJournal) -> None:
    """A hundred tasks that all wait for durability need far fewer commits than there are tasks."""

    async def task() -> None:
        create(tracker).run()
        await tracker.aflush()

    async def main() -> None:
        await asyncio.gather(*(task() for _ in range(100)))

    asyncio.run(main())
    assert len(switchable.entries()) == 200
    assert len(switchable.batches) <= 50


def test_no_batch_is_without_bounds(tracker: ExecutionTracker, switchable: SwitchableJournal) -> None:
    """Ten thousand waiting entries are written in several bounded batches."""
    held_up(switchable, tracker)
    for _ in range(5_000):
        create(tracker).run()
    switchable.open.set()
    tracker.flush()
    assert sum(len(batch) for batch in switchable.batches) == 10_001
    assert max(len(batch) for batch in switchable.batches) <= 4_096


def fill(tracker: ExecutionTracker) -> tuple[int, JournalFullError]:
    """Create executions until one is refused; return how many were taken, and the refusal."""
    for taken in range(1_000):
        try:
            create(tracker)
        except JournalFullError as error:
            return taken, error
    raise AssertionError("the buffer has no bound")


def test_a_full_buffer_refuses_and_nothing_changed(clock: FakeClock) -> None:
    """Past `pending_entries` a creation, a move and a phase are refused, change nothing, and work again once there is room."""
    switchable = SwitchableJournal()
    with ExecutionTracker(switchable, clock=clock, limits=Limits(pending_entries=10)) as tracker:
        held_up(switchable, tracker)
        handle = create(tracker)
        accepted, error = fill(tracker)
        assert error.limit == 10
        accepted += 2
        assert accepted <= 12, "ten wait, and what is being written"
        before = (handle.record, tracker.statistics()._replace(refused=0))
        refused = tracker.statistics().refused
        for call in (lambda: create(tracker), handle.start, lambda: handle.phase(Phase.THINKING)):
            with pytest.raises(JournalFullError):
                call()
        assert (handle.record, tracker.statistics()._replace(refused=0)) == before
        assert tracker.statistics().refused == refused + 3
        assert tracker.statistics().created == accepted
        switchable.open.set()
        tracker.flush()
        assert len(switchable.entries()) == accepted
        handle.start().phase(Phase.THINKING)
        create(tracker)
        tracker.flush()
        assert len(switchable.entries()) == accepted + 3


def test_waiting_payloads_have_a_budget(clock: FakeClock) -> None:
    """Past `pending_bytes` of metadata a creation is refused and changes nothing; one without metadata still goes through."""
    switchable = SwitchableJournal()
    big = {"text": "x" * 40_000}
    with ExecutionTracker(switchable, clock=clock, limits=Limits(pending_bytes=100_000)) as tracker:
        held_up(switchable, tracker)
        create(tracker, metadata=big)
        create(tracker, metadata=big)
        before = tracker.statistics()._replace(refused=0)
        with pytest.raises(JournalFullError) as caught:
            create(tracker, metadata=big)
        assert caught.value.limit == 100_000
        assert tracker.statistics()._replace(refused=0) == before
        create(tracker)
        switchable.open.set()
        tracker.flush()
        create(tracker, metadata=big)
        tracker.flush()
        assert [entry.metadata_json is not None for entry in switchable.entries() if entry.seq == 1] == [
            False, True, True, False, True,
        ]  # fmt: skip


def test_a_payload_over_the_whole_budget_is_taken_when_nothing_waits(clock: FakeClock) -> None:
    """The budget bounds what waits together; it does not make a single allowed payload impossible."""
    switchable = SwitchableJournal()
    with ExecutionTracker(switchable, clock=clock, limits=Limits(pending_bytes=10)) as tracker:
        running = create(tracker, metadata={"text": "x" * 5_000}).run()
        tracker.flush()
        running.complete("y" * 5_000)
        tracker.flush()
        assert len(switchable.entries()) == 3


def test_a_flush_that_waits_too_long_says_so_and_loses_nothing(
    tracker: ExecutionTracker, switchable: SwitchableJournal
) -> None:
    """A flush reaches its own limit while the journal is busy: WaitTimeoutError, and what it waited for is still written."""
    held_up(switchable, tracker)
    running = create(tracker).run()
    with pytest.raises(WaitTimeoutError) as caught:
        tracker.flush(timeout=0.05)
    assert caught.value.timeout == 0.05
    assert isinstance(caught.value, TimeoutError)
    switchable.open.set()
    tracker.flush()
    assert [entry.seq for entry in switchable.entries() if entry.execution_id == running.execution_id] == [1, 2]


def test_a_flush_with_a_limit_never_waits_longer_for_its_own_write(
    tracker: ExecutionTracker, switchable: SwitchableJournal
) -> None:
    """Also when nobody else is writing, a flush with a limit does not begin a write that may outlast it."""
    create(tracker)
    tracker.flush()
    switchable.hold()
    releasing = threading.Timer(3, switchable.open.set)
    releasing.start()
    try:
        create(tracker)
        with pytest.raises(WaitTimeoutError):
            tracker.flush(timeout=0.05)
    finally:
        releasing.cancel()
        switchable.open.set()


def test_closing_writes_everything(switchable: SwitchableJournal, clock: FakeClock) -> None:
    """Whatever waits when the tracker is closed is stored, live executions end first, and closing again does nothing."""
    tracker = ExecutionTracker(switchable, clock=clock)
    held_up(switchable, tracker)
    handles = [bring_to(tracker, ExecutionState.RUNNING) for _ in range(200)]
    releasing = threading.Timer(0.05, switchable.open.set)
    releasing.start()
    tracker.close()
    releasing.join()
    entries = switchable.entries()
    assert len(entries) == 2 + 3 * len(handles)
    assert all(handle.state is ExecutionState.CANCELLED for handle in handles)
    tracker.close()
    assert switchable.entries() == entries
    for call in (lambda: create(tracker), handles[0].complete, lambda: handles[0].phase(Phase.THINKING)):
        with pytest.raises(RunstateError):
            call()
    with pytest.raises(TrackerClosedError):
        create(tracker)


def test_closing_says_what_could_not_be_written(switchable: SwitchableJournal, clock: FakeClock) -> None:
    """When the journal fails to the end, `close` raises why; nothing is said to be stored that is not."""
    tracker = ExecutionTracker(switchable, clock=clock)
    create(tracker)
    tracker.flush()
    switchable.failure = JournalUnavailableError("disk full")
    with pytest.raises(JournalError, match="disk full"):
        tracker.close()
    assert len(switchable.entries()) == 1


def test_what_was_accepted_while_closing_is_stored(clock: FakeClock) -> None:
    """Threads create and move while another closes: every call that returned is in the journal, every other raised."""
    for _ in range(20):
        switchable = SwitchableJournal()
        accepted = closed_under_load(ExecutionTracker(switchable, clock=clock))
        stored = {(entry.execution_id, entry.seq) for entry in switchable.entries()}
        assert accepted <= stored
        ends = [entry for entry in switchable.entries() if _is_end(entry)]
        assert len(ends) == len({entry.execution_id for entry in switchable.entries()})


def closed_under_load(tracker: ExecutionTracker) -> set[tuple[str, int]]:
    """Close a tracker while four threads use it; return what they were told was decided."""
    accepted: list[tuple[str, int]] = []
    start = threading.Barrier(5)

    def work() -> None:
        start.wait()
        try:
            while True:
                handle = create(tracker)
                accepted.append((handle.execution_id, 1))
                running = handle.run()
                accepted.append((handle.execution_id, 2))
                running.complete()
                accepted.append((handle.execution_id, 3))
        except RunstateError:
            return

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    start.wait()
    while len(accepted) < 50:
        threading.Event().wait(0.001)
    tracker.close()
    for thread in threads:
        thread.join()
    return set(accepted)


def _is_end(entry: Entry) -> bool:
    target = getattr(entry, "target", None)
    return target is not None and target.is_terminal
