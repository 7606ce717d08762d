"""Delivering notices: who is told of which end, where, how often, and what happens when telling fails."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import runstate
from runstate import (
    Completed,
    ExecutionState,
    ExecutionTracker,
    InvalidValueError,
    JournalError,
    JournalUnavailableError,
    Notice,
    NoticeRecord,
    NoticeState,
    StateTypeError,
    TrackerClosedError,
    UnknownExecutionError,
)
from runstate import _deliverer as deliverer_module
from runstate._deliverer import FIRST_PAUSE, JITTER, LONGEST_PAUSE, Deliverer
from runstate.journal.memory import MemoryJournal
from runstate.journal.sqlite import SqliteJournal

from .clock import FakeClock
from .journal.servers import wait_until
from .moves import bring_to
from .stores import Store

PENDING, DELIVERED, PARKED = NoticeState.PENDING, NoticeState.DELIVERED, NoticeState.PARKED
PATIENCE = 30.0
WHO = {"agent": "airline", "thread_id": "t-1", "user_id": "u-1"}


@pytest.fixture
def tracker(store: Store) -> Iterator[ExecutionTracker]:
    """An open tracker on each store in turn, in which time passes."""
    with ExecutionTracker(store.journal()) as tracker:
        yield tracker


@pytest.fixture
def local() -> Iterator[ExecutionTracker]:
    """An open tracker on a journal in memory, for what has nothing to do with the store."""
    with runstate.open("memory:") as tracker:
        yield tracker


def complete(tracker: ExecutionTracker, **options: str) -> str:
    """Have an execution completed, durably; its id."""
    run = tracker.create(**{**WHO, **options}).run()
    run.complete({"text": "done"})
    tracker.flush()
    return run.execution_id


def the(tracker: ExecutionTracker, notice_id: str, outbox: str = "default") -> NoticeRecord:
    """One notice."""
    (found,) = [one for one in tracker.notices(outbox=outbox) if one.notice_id == notice_id]
    return found


def has(tracker: ExecutionTracker, notice_id: str, state: NoticeState) -> Callable[[], bool]:
    """Whether a notice is in a state, to be asked again and again."""
    return lambda: the(tracker, notice_id).state is state


# -- telling -------------------------------------------------------------------------------------------------------------


def test_every_end_is_told_once(tracker: ExecutionTracker) -> None:
    """The function gets each execution that ends from then on, once, with its outcome, and the statistics count it."""
    complete(tracker)
    told: list[Notice] = []
    delivery = tracker.deliver(told.append)
    ends = [state for state in ExecutionState if state.is_terminal]
    runs = [bring_to(tracker, state) for state in ends]
    tracker.flush()
    wait_until(lambda: tracker.statistics().notices_delivered == len(ends))
    assert {notice.notice_id: notice.record.state for notice in told} == {
        run.execution_id: state for run, state in zip(runs, ends, strict=True)
    }
    assert len(told) == len(ends)
    assert all(notice.attempt == 1 for notice in told)
    done = next(notice for notice in told if notice.record.state is ExecutionState.COMPLETED)
    assert isinstance(done.outcome, Completed)
    assert {one.state for one in tracker.notices()} == {DELIVERED}
    statistics = tracker.statistics()
    assert (statistics.notices_retried, statistics.notices_parked) == (0, 0)
    assert statistics.notice_delay_p50 is not None
    assert statistics.notice_delay_p99 is not None
    assert statistics.notice_delay_max is not None
    assert 0 <= statistics.notice_delay_p50 <= statistics.notice_delay_p99 <= statistics.notice_delay_max < PATIENCE
    delivery.close()
    assert delivery.is_closed


def test_without_deliveries_there_are_no_figures(local: ExecutionTracker) -> None:
    """Whoever has delivered nothing has no delays, and no outbox either."""
    statistics = local.statistics()
    assert (statistics.notices_delivered, statistics.notice_delay_p50, statistics.notice_delay_max) == (0, None, None)
    assert (local.outboxes(), local.notices()) == ((), ())


def test_what_waits_is_told_at_once(store: Store) -> None:
    """What ended while nobody delivered is delivered to whoever comes, from the first tracker or another one."""
    with ExecutionTracker(store.journal()) as first:
        first.deliver(print, threads=list).close()
        names = {complete(first) for _ in range(40)}
    told: list[str] = []
    with ExecutionTracker(store.journal()) as second:
        assert len(second.notices(state=PENDING)) == 40
        second.deliver(lambda notice: told.append(notice.notice_id))
        wait_until(lambda: second.statistics().notices_delivered == 40)
        assert second.outboxes()[0].pending == 0
    assert (sorted(told), len(told)) == (sorted(names), 40)


def test_only_what_can_be_reached_is_told(tracker: ExecutionTracker) -> None:
    """Of conversations that are not connected here nothing is taken; it waits, visibly, until the delivery is told of them."""
    told: list[str] = []
    connected = {"here"}
    delivery = tracker.deliver(lambda notice: told.append(notice.record.thread_id), threads=lambda: connected)
    there = complete(tracker, thread_id="there")
    here = complete(tracker, thread_id="here")
    wait_until(has(tracker, here, DELIVERED))
    assert told == ["here"]
    (waiting,) = tracker.notices(state=PENDING)
    assert (waiting.notice_id, waiting.attempts, waiting.due_in) == (there, 0, 0.0)
    assert waiting.age >= 0
    connected.add("there")
    delivery.wake()
    wait_until(has(tracker, there, DELIVERED))
    assert [one.notice_id for one in tracker.notices(thread_id="there")] == [there]


def test_outboxes_are_told_apart(tracker: ExecutionTracker) -> None:
    """Each outbox has its own function, and every end reaches each of them; what one fails at, the other has delivered."""
    told: list[str] = []

    def fail(notice: Notice) -> None:
        raise ConnectionError(notice.notice_id)

    tracker.deliver(lambda notice: told.append(notice.notice_id))
    tracker.deliver(fail, outbox="audit", attempts=1)
    name = complete(tracker)
    wait_until(lambda: tracker.statistics().notices_parked == 1)
    wait_until(has(tracker, name, DELIVERED))
    assert told == [name]
    assert the(tracker, name, "audit").state is PARKED
    assert [one.name for one in tracker.outboxes()] == ["default", "audit"]


# -- failing -------------------------------------------------------------------------------------------------------------


def test_what_fails_is_tried_again_then_parked_then_tried_by_hand(
    tracker: ExecutionTracker, caplog: pytest.LogCaptureFixture
) -> None:
    """Every attempt gets the same id; the last failure parks the notice, an error in the log says so, and a person has it delivered."""
    attempts: list[int] = []
    is_broken = True

    def tell(notice: Notice) -> None:
        attempts.append(notice.attempt)
        if is_broken:
            raise ConnectionError("the client is gone")

    tracker.deliver(tell, attempts=2)
    name = complete(tracker)
    wait_until(has(tracker, name, PARKED))
    parked = the(tracker, name)
    assert (attempts, parked.attempts, parked.error) == ([1, 2], 2, "ConnectionError: the client is gone")
    assert (parked.claimed_by, parked.due_in) == (None, None)
    assert tracker.outboxes()[0].parked == 1
    (said,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert name in said.getMessage()
    assert "--retry" in said.getMessage()
    assert tracker.statistics().notices_retried == tracker.statistics().notices_parked == 1
    is_broken = False
    tracker.retry_notice(name)
    wait_until(has(tracker, name, DELIVERED))
    assert attempts == [1, 2, 1]
    with pytest.raises(InvalidValueError, match="not delivered"):
        tracker.retry_notice(name)


def test_a_retry_is_of_a_notice_that_is_there(tracker: ExecutionTracker) -> None:
    """Who retries an unknown execution, or one without a notice in the outbox, is told which it is."""
    early = complete(tracker)
    tracker.deliver(print, threads=list)
    with pytest.raises(UnknownExecutionError):
        tracker.retry_notice("nothing")
    with pytest.raises(InvalidValueError, match="outbox default"):
        tracker.retry_notice(early)
    late = complete(tracker)
    tracker.retry_notice(late)
    with pytest.raises(InvalidValueError, match="outbox another"):
        tracker.retry_notice(late, outbox="another")


class ByHand:
    """A delivery without a thread, on a journal whose clock stands still: each turn is the test's."""

    def __init__(self, tracker: ExecutionTracker, function: Callable[[Notice], object], **options: int) -> None:
        self.tracker = tracker
        tracker.deliver(function, **options)  # type: ignore[arg-type]
        self.deliverer = tracker._deliverers["default"]

    def turn(self) -> None:
        """Begin what is due, wait until it has ended, and say what came of it."""
        self.deliverer._wake.clear()
        self.deliverer.wake()
        self.deliverer._wake.clear()
        self.deliverer.turn()
        while self.deliverer._under_way:
            assert self.deliverer._wake.wait(PATIENCE)
            self.deliverer._wake.clear()
            self.deliverer._claims_from = float("inf")
            self.deliverer.turn()
        self.deliverer.turn()


@pytest.fixture
def by_hand(
    monkeypatch: pytest.MonkeyPatch, clock: FakeClock, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[ExecutionTracker]:
    """A tracker whose deliveries have no thread, on a clock that stands still."""
    monkeypatch.setattr(Deliverer, "begin", lambda deliverer: None)
    with ExecutionTracker(SqliteJournal(tmp_path / "runs.db", clock=clock), clock=clock) as tracker:
        yield tracker
        for one in tracker._deliverers.values():
            one.abandon()


def test_pauses_double_up_to_a_minute(by_hand: ExecutionTracker, clock: FakeClock) -> None:
    """The pause after each failure is twice the last one, with jitter, up to the longest; before it is over nothing is tried."""
    attempts: list[int] = []

    def fail(notice: Notice) -> None:
        attempts.append(notice.attempt)
        raise ConnectionError

    hand = ByHand(by_hand, fail, attempts=14)
    name = complete(by_hand)
    pauses: list[float] = []
    for attempt in range(1, 14):
        hand.turn()
        assert attempts[-1] == attempt
        found = the(by_hand, name)
        assert found.state is PENDING
        assert found.due_in is not None
        expected = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1))
        assert JITTER[0] * expected <= found.due_in + 1e-6
        assert found.due_in <= JITTER[1] * expected + 1e-6
        pauses.append(found.due_in / expected)
        clock.advance(found.due_in * 0.99)
        hand.turn()
        assert attempts[-1] == attempt  # it is not due yet
        clock.advance(found.due_in * 0.02)
    hand.turn()
    assert attempts == list(range(1, 15))
    assert the(by_hand, name).state is PARKED
    clock.advance(3_600.0)
    hand.turn()
    assert len(attempts) == 14
    assert len(set(pauses)) > 1  # jitter


def test_delays_are_counted_by_the_trackers_clock(by_hand: ExecutionTracker, clock: FakeClock) -> None:
    """The time from an end to its telling is what the clock says, and median, 99th percentile and maximum are told apart."""
    hand = ByHand(by_hand, lambda notice: None, concurrency=200)
    for second in range(100):
        complete(by_hand)
        if second in {1, 98}:
            clock.advance(float(second))
        hand.turn()
    statistics = by_hand.statistics()
    assert statistics.notices_delivered == 100
    assert statistics.notice_delay_p50 == pytest.approx(0.0)
    assert statistics.notice_delay_p99 == pytest.approx(1.0)
    assert statistics.notice_delay_max == pytest.approx(98.0)


def test_a_notice_that_kills_its_deliverers_is_parked(
    by_hand: ExecutionTracker, caplog: pytest.LogCaptureFixture
) -> None:
    """What was begun as often as it may be, and never ended, is parked without being tried once more."""
    told: list[str] = []
    hand = ByHand(by_hand, lambda notice: told.append(notice.notice_id), attempts=3)
    name = complete(by_hand)
    journal = by_hand._journal
    assert isinstance(journal, SqliteJournal)
    by_hand._member.join()
    own = by_hand._decider.incarnation
    for attempt in (1, 2, 3):
        assert [one.attempt for one in journal.claim("default", own, 1)] == [attempt]
    hand.turn()
    assert told == []
    assert the(by_hand, name).state is PARKED
    assert "has died" in str(the(by_hand, name).error)
    assert any(name in record.getMessage() for record in caplog.records if record.levelno == logging.ERROR)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), StopIteration()])
def test_whatever_is_raised_is_a_failure(local: ExecutionTracker, error: BaseException) -> None:
    """No exception of a plain function ends the delivery or passes for success."""
    told: list[str] = []

    def tell(notice: Notice) -> None:
        told.append(notice.notice_id)
        if len(told) == 1:
            raise error

    local.deliver(tell, attempts=1)
    first = complete(local)
    wait_until(has(local, first, PARKED))
    second = complete(local)
    wait_until(has(local, second, DELIVERED))
    assert str(the(local, first).error).startswith(type(error).__name__)


def test_a_forgotten_await_is_a_failure(local: ExecutionTracker) -> None:
    """A plain function that returns a coroutine has told nobody: the notice is not delivered, and the error says what to give."""

    async def tell(notice: Notice) -> None:
        """Tell nobody."""

    local.deliver(lambda notice: tell(notice), attempts=1)
    name = complete(local)
    wait_until(has(local, name, PARKED))
    assert "async def" in str(the(local, name).error)


class StumblingJournal(MemoryJournal):
    """A journal whose next verbs about notices fail."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[str] = []

    def claim(self, *asked: object, **options: object) -> list[Notice]:  # type: ignore[override]
        """Fail if told to."""
        self._stumble("claim")
        return list(super().claim(*asked, **options))  # type: ignore[arg-type]

    def settle(self, *asked: object) -> list[str]:  # type: ignore[override]
        """Fail if told to."""
        self._stumble("settle")
        return list(super().settle(*asked))  # type: ignore[arg-type]

    def _stumble(self, verb: str) -> None:
        if self.failures[:1] == [verb]:
            raise JournalError(f"{self.failures.pop(0)} failed")


@pytest.mark.parametrize("verb", ["claim", "settle"])
def test_a_journal_that_stumbles_is_asked_again(verb: str, caplog: pytest.LogCaptureFixture) -> None:
    """When nothing can be claimed or acknowledged, the log says so once, it is done again, and the function is not called twice."""
    journal = StumblingJournal()
    told: list[str] = []
    with ExecutionTracker(journal) as tracker:
        tracker.deliver(lambda notice: told.append(notice.notice_id))
        journal.failures = [verb] * 3
        name = complete(tracker)
        wait_until(has(tracker, name, DELIVERED))
    assert told == [name]
    assert len([record for record in caplog.records if f"{verb} failed" in record.getMessage()]) == 1


# -- time limits and bounds -----------------------------------------------------------------------------------------------


def test_a_coroutine_that_takes_too_long_is_cancelled(local: ExecutionTracker) -> None:
    """Past its time limit a coroutine is cancelled and has failed; the next attempt is a new call."""
    cancelled: list[str] = []

    async def tell(notice: Notice) -> None:
        if notice.attempt == 1:
            try:
                await asyncio.sleep(3_600.0)
            except asyncio.CancelledError:
                cancelled.append(notice.notice_id)
                raise

    local.deliver(tell, timeout=0.05)
    name = complete(local)
    wait_until(has(local, name, DELIVERED))
    assert cancelled == [name]
    assert the(local, name).error == "TimeoutError: it took longer than 0.05 s"


def test_a_function_that_takes_too_long_keeps_its_thread(
    local: ExecutionTracker, caplog: pytest.LogCaptureFixture
) -> None:
    """A plain function past its limit has failed and is tried again; as long as it does not return it counts as under way."""
    gate = threading.Event()
    calls: list[int] = []

    def tell(notice: Notice) -> None:
        calls.append(notice.attempt)
        if notice.attempt == 1:
            assert gate.wait(PATIENCE)

    local.deliver(tell, timeout=0.05, concurrency=1)
    name = complete(local)
    wait_until(lambda: the(local, name).error == "TimeoutError: it took longer than 0.05 s")
    assert calls == [1]
    gate.set()
    wait_until(has(local, name, DELIVERED))
    assert calls == [1, 2]
    assert "returned at last" in caplog.text


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "coroutine"])
def test_no_more_calls_are_under_way_than_asked_for(local: ExecutionTracker, is_async: bool) -> None:
    """However many notices wait, so many are claimed and called at once, and all are delivered in the end."""
    lock, most, now = threading.Lock(), 0, 0
    gate = threading.Event()

    def begin() -> None:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
            if now == 3:
                gate.set()

    def end() -> None:
        nonlocal now
        with lock:
            now -= 1

    def tell(notice: Notice) -> None:
        begin()
        assert gate.wait(PATIENCE)
        end()

    async def atell(notice: Notice) -> None:
        begin()
        assert await asyncio.to_thread(gate.wait, PATIENCE)
        end()

    opening = local.deliver(print, threads=list)
    for _ in range(25):
        complete(local)
    opening.close()
    local.deliver(atell if is_async else tell, concurrency=3)
    wait_until(lambda: local.statistics().notices_delivered == 25)
    assert most == 3


# -- where functions run ---------------------------------------------------------------------------------------------------


def test_a_coroutine_runs_where_it_was_given(local: ExecutionTracker) -> None:
    """Given inside a running loop, a coroutine function runs in that loop, where its locks and connections are."""

    async def main() -> None:
        told: asyncio.Queue[tuple[str, int]] = asyncio.Queue()

        async def tell(notice: Notice) -> None:
            assert asyncio.get_running_loop() is loop
            await told.put((notice.notice_id, threading.get_ident()))

        loop = asyncio.get_running_loop()
        delivery = local.deliver(tell)
        names = []
        for _ in range(5):
            async with local.execution(**WHO) as run:
                run.complete("done")
            names.append(run.execution_id)
        found = [await asyncio.wait_for(told.get(), PATIENCE) for _ in names]
        assert sorted(found) == sorted((name, threading.get_ident()) for name in names)
        await asyncio.to_thread(delivery.close)
        assert local.statistics().notices_delivered == 5

    asyncio.run(main())


def test_a_coroutine_given_outside_of_any_loop_has_its_own(local: ExecutionTracker) -> None:
    """Given outside, a coroutine function runs in one loop of its own, in another thread, which ends with the delivery."""
    loops: set[object] = set()
    threads: set[threading.Thread] = set()

    class Receiver:
        async def __call__(self, notice: Notice, greeting: str = "") -> None:
            loops.add(asyncio.get_running_loop())
            threads.add(threading.current_thread())

    delivery = local.deliver(partial(Receiver().__call__, greeting="hello"))
    for _ in range(3):
        complete(local)
    wait_until(lambda: local.statistics().notices_delivered == 3)
    delivery.close()
    local.deliver(Receiver())
    complete(local)
    wait_until(lambda: local.statistics().notices_delivered == 4)
    assert len(loops) == len(threads) == 2
    assert threading.current_thread() not in threads
    assert sum(thread.is_alive() for thread in threads) == 1


def test_a_coroutine_runs_in_trio(local: ExecutionTracker) -> None:
    """Given inside trio, a coroutine function runs there, is cancelled there when it takes too long, and fails alone."""
    import trio

    async def main() -> None:
        send, receive = trio.open_memory_channel[str](100)
        calls: list[int] = []

        async def tell(notice: Notice) -> None:
            trio.lowlevel.current_task()
            calls.append(len(calls))
            if len(calls) == 1:
                raise ConnectionError
            if len(calls) == 2:
                await trio.sleep_forever()
            await send.send(notice.notice_id)

        delivery = local.deliver(tell, timeout=0.2)
        async with local.execution(**WHO) as run:
            run.complete("done")
        with trio.fail_after(PATIENCE):
            assert await receive.receive() == run.execution_id
        await trio.to_thread.run_sync(delivery.close)
        assert (len(calls), local.statistics().notices_delivered) == (3, 1)
        assert local.statistics().notices_retried == 2

    trio.run(main)


def test_when_its_loop_ends_a_delivery_ends(local: ExecutionTracker, caplog: pytest.LogCaptureFixture) -> None:
    """A coroutine function whose loop is closed tells nobody any more: the log says so, and its notices are free for others."""

    async def tell(notice: Notice) -> None:
        """Never called."""

    async def main() -> runstate.Delivery:
        return local.deliver(tell)

    delivery = asyncio.run(main())
    name = complete(local)
    wait_until(lambda: delivery.is_closed)
    delivery.close()
    assert (the(local, name).state, the(local, name).attempts, the(local, name).claimed_by) == (PENDING, 0, None)
    assert "event loop" in caplog.text
    told: list[str] = []
    local.deliver(lambda notice: told.append(notice.notice_id))
    wait_until(has(local, name, DELIVERED))


def test_a_task_that_is_cancelled_gives_its_notice_back(local: ExecutionTracker) -> None:
    """A loop that cancels all its tasks has not failed at telling: the attempt does not count, and the notice is told again."""

    async def main() -> None:
        begun: asyncio.Queue[int] = asyncio.Queue()

        async def tell(notice: Notice) -> None:
            await begun.put(notice.attempt)
            if begun.qsize() + len(seen) == 1:
                await asyncio.sleep(3_600.0)

        seen: list[int] = []
        local.deliver(tell)
        async with local.execution(**WHO) as run:
            run.complete("done")
        seen.append(await asyncio.wait_for(begun.get(), PATIENCE))
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        seen.append(await asyncio.wait_for(begun.get(), PATIENCE))
        assert seen == [1, 1]
        await asyncio.to_thread(wait_until, lambda: local.statistics().notices_delivered == 1)
        assert local.statistics().notices_retried == 0

    asyncio.run(main())


# -- closing ---------------------------------------------------------------------------------------------------------------


def test_closing_waits_for_what_is_under_way(local: ExecutionTracker) -> None:
    """Closing returns when the calls under way have ended and are acknowledged; what nobody had begun stays for others."""
    gate, begun = threading.Event(), threading.Event()

    def tell(notice: Notice) -> None:
        begun.set()
        assert gate.wait(PATIENCE)

    delivery = local.deliver(tell, concurrency=1)
    first, second = complete(local), complete(local)
    assert begun.wait(PATIENCE)
    closing = threading.Thread(target=delivery.close)
    closing.start()
    wait_until(lambda: delivery.is_closed)
    gate.set()
    closing.join(PATIENCE)
    assert not closing.is_alive()
    assert (the(local, first).state, the(local, second).state) == (DELIVERED, PENDING)
    assert the(local, second).claimed_by is None
    delivery.close()


def test_closing_waits_no_longer_than_it_says(local: ExecutionTracker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has not ended in time is interrupted and given back, with its attempt taken back."""
    monkeypatch.setattr(deliverer_module, "CLOSE_WITHIN", 0.05)
    begun = threading.Event()

    async def tell(notice: Notice) -> None:
        begun.set()
        await asyncio.sleep(3_600.0)

    with local.deliver(tell) as delivery:
        name = complete(local)
        assert begun.wait(PATIENCE)
    assert delivery.is_closed
    assert (the(local, name).state, the(local, name).attempts, the(local, name).claimed_by) == (PENDING, 0, None)


def test_the_tracker_tells_of_what_ends_with_it(store: Store) -> None:
    """Closing the tracker delivers what has just ended, also what ends because of it."""
    told: dict[str, ExecutionState] = {}
    with ExecutionTracker(store.journal()) as tracker:
        tracker.deliver(lambda notice: told.setdefault(notice.notice_id, notice.record.state))
        done, live = tracker.create(**WHO).run(), tracker.create(**WHO).run()
        done.complete("done")
    assert told == {done.execution_id: ExecutionState.COMPLETED, live.execution_id: ExecutionState.CANCELLED}
    with ExecutionTracker(store.journal()) as tracker:
        assert {one.state for one in tracker.notices()} == {DELIVERED}
    with pytest.raises(TrackerClosedError):
        tracker.deliver(print)


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "coroutine"])
def test_a_function_may_close_its_delivery(local: ExecutionTracker, is_async: bool) -> None:
    """Closed from inside the function, a delivery does not wait for itself."""
    closed = threading.Event()

    def tell(notice: Notice) -> None:
        delivery.close()
        closed.set()

    async def atell(notice: Notice) -> None:
        tell(notice)

    delivery = local.deliver(atell if is_async else tell)
    name = complete(local)
    assert closed.wait(PATIENCE)
    delivery.close()
    assert the(local, name).claimed_by is None or the(local, name).state is DELIVERED


def test_a_loop_may_close_its_tracker() -> None:
    """A tracker that is closed in the loop in which its coroutine function runs does not wait for what cannot run meanwhile."""

    async def main() -> None:
        begun = asyncio.Event()

        async def tell(notice: Notice) -> None:
            begun.set()
            await asyncio.sleep(3_600.0)

        with runstate.open("memory:") as tracker:
            tracker.deliver(tell)
            tracker.create(**WHO).run().complete("done")
            await asyncio.wait_for(begun.wait(), PATIENCE)
        assert tracker.notices()[0].state is PENDING

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_an_async_with_tells_everybody() -> None:
    """`async with` on the tracker leaves the loop free to deliver what is left, before it lets go of the journal."""

    async def main() -> None:
        told: list[str] = []

        async def tell(notice: Notice) -> None:
            await asyncio.sleep(0)
            told.append(notice.notice_id)

        async with runstate.open("memory:") as tracker:
            tracker.deliver(tell)
            runs = [tracker.create(**WHO).run() for _ in range(50)]
            for run in runs:
                run.complete("done")
        assert sorted(told) == sorted(run.execution_id for run in runs)

    asyncio.run(main())


def test_a_removed_outbox_ends_its_delivery(tracker: ExecutionTracker, caplog: pytest.LogCaptureFixture) -> None:
    """Removing an outbox says how much was not delivered and ends whoever delivers it, with an error in the log."""
    delivery = tracker.deliver(print, threads=list)
    complete(tracker)
    other = tracker.deliver(print, outbox="other")
    assert tracker.remove_outbox("default") == 1
    assert tracker.remove_outbox("other") in {0, 1}
    wait_until(lambda: other.is_closed)
    assert "was removed" in caplog.text
    with pytest.raises(InvalidValueError, match="open"):
        tracker.remove_outbox("default")
    assert tracker.outboxes() == ()
    delivery.close()


# -- refusals -------------------------------------------------------------------------------------------------------------


def test_an_outbox_is_delivered_once_in_a_tracker(local: ExecutionTracker) -> None:
    """A second function for the same outbox is refused until the first delivery is closed."""
    with local.deliver(print) as delivery:
        with pytest.raises(InvalidValueError, match="close that delivery"):
            local.deliver(print)
        assert repr(delivery).startswith("<delivery of outbox 'default' to <built-in function print>")
        assert delivery.outbox == "default"
    local.deliver(print)


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("outbox", "", InvalidValueError),
        ("outbox", None, StateTypeError),
        ("attempts", 0, InvalidValueError),
        ("attempts", True, StateTypeError),
        ("concurrency", 1_001, InvalidValueError),
        ("timeout", 0.0, InvalidValueError),
        ("timeout", float("nan"), InvalidValueError),
        ("threads", {"t-1"}, StateTypeError),
    ],
)
def test_what_makes_no_sense_is_refused(
    local: ExecutionTracker, option: str, value: object, error: type[Exception]
) -> None:
    """An impossible setting is refused, and no outbox is opened."""
    with pytest.raises(error, match=option):
        local.deliver(print, **{option: value})  # type: ignore[arg-type]
    assert local.outboxes() == ()


def test_who_only_reads_delivers_nothing(tmp_path: Path) -> None:
    """A read-only tracker shows notices and outboxes, and refuses to deliver, retry and remove."""
    path = tmp_path / "runs.db"
    with runstate.open(path) as tracker:
        tracker.deliver(print, threads=list)
        name = complete(tracker)
    with runstate.open(path, read_only=True) as reader:
        assert the(reader, name).state is PENDING
        assert reader.outboxes()[0].pending == 1
        for change in (
            lambda: reader.deliver(print),
            lambda: reader.retry_notice(name),
            lambda: reader.remove_outbox("default"),
        ):
            with pytest.raises(JournalUnavailableError, match="read-only"):
                change()


def test_a_journal_without_notices_says_so() -> None:
    """On somebody's own journal, which keeps no notices, delivering is refused, and there are none to see."""

    class Plain:
        """A journal with the four verbs and no more."""

        def __init__(self) -> None:
            inner = MemoryJournal()
            self.append, self.read = inner.append, inner.read
            self.executions, self.close = inner.executions, inner.close

    with ExecutionTracker(Plain()) as tracker:
        assert (tracker.notices(), tracker.outboxes()) == ((), ())
        with pytest.raises(JournalUnavailableError, match="keeps no notices"):
            tracker.deliver(print)
