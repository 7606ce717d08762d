"""Subscriptions: everything once, in order, from any position, however slow the reader; and no event before it is durable."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest

from runstate import (
    Created,
    Event,
    ExecutionState,
    ExecutionTracker,
    InvalidValueError,
    Limits,
    Phase,
    PhaseChange,
    SubscriptionLaggedError,
    Transition,
    WaitTimeoutError,
)
from runstate._records import Selection

from .gated import WHO, GatedJournal
from .stores import Store


def live_through(tracker: ExecutionTracker, **details: str) -> str:
    """Run one execution with five log entries: created, two moves, a phase, the end."""
    starting = tracker.create(**{**WHO, **details}).start()
    running = starting.run()
    running.phase(Phase.THINKING, "deeply")
    running.complete("done")
    return running.execution_id


def read(tracker: ExecutionTracker, count: int, **selection: Any) -> list[Event]:
    """Read *count* events from a new subscription."""
    with tracker.subscribe(**selection) as subscription:
        return [subscription.get(30.0) for _ in range(count)]


def test_replay_is_the_log(tracker: ExecutionTracker) -> None:
    """A subscription from 0 replays each execution's whole log, in order, with positions that grow."""
    first, second = live_through(tracker), live_through(tracker, agent="other")
    events = read(tracker, 10)
    positions = [event.position for event in events]
    assert positions == sorted(set(positions))
    assert min(positions) > 0
    for execution_id, agent in ((first, "airline"), (second, "other")):
        mine = [event for event in events if event.entry.execution_id == execution_id]
        assert tuple(event.entry for event in mine) == tracker.timeline(execution_id)
        assert [event.entry.seq for event in mine] == [1, 2, 3, 4, 5]
        assert [type(event.entry) for event in mine] == [Created, Transition, Transition, PhaseChange, Transition]
        assert {(event.agent, event.thread_id, event.user_id) for event in mine} == {(agent, "t-1", "u-1")}


def test_follow_after_replay(tracker: ExecutionTracker) -> None:
    """When the replay is read the same subscription goes on with what is written next."""
    live_through(tracker)
    with tracker.subscribe() as subscription:
        replayed = [subscription.get(30.0) for _ in range(5)]
        with pytest.raises(WaitTimeoutError):
            subscription.get(0.01)
        execution_id = live_through(tracker)
        followed = [subscription.get(30.0) for _ in range(5)]
    assert {event.entry.execution_id for event in followed} == {execution_id}
    assert followed[0].position > replayed[-1].position


def test_resume_by_position(tracker: ExecutionTracker) -> None:
    """`subscribe(after=subscription.position)` goes on exactly behind what was handed out last."""
    for _ in range(4):
        live_through(tracker)
    everything = read(tracker, 20)
    resumed: list[Event] = []
    position = 0
    while len(resumed) < 20:
        with tracker.subscribe(after=position) as subscription:
            assert subscription.position == position
            resumed += [subscription.get(30.0) for _ in range(min(3, 20 - len(resumed)))]
            position = subscription.position
            assert position == resumed[-1].position
    assert resumed == everything


FILTERS: dict[str, Callable[[str], dict[str, str]]] = {
    "execution_id": lambda execution_id: {"execution_id": execution_id},
    "agent": lambda _: {"agent": "wanted"},
    "thread_id": lambda _: {"thread_id": "wanted"},
    "user_id": lambda _: {"user_id": "wanted"},
    "all of them": lambda execution_id: {
        "execution_id": execution_id,
        "agent": "wanted",
        "thread_id": "wanted",
        "user_id": "wanted",
    },
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters(tracker: ExecutionTracker, name: str) -> None:
    """A filter lets through all events of what it names and none of anything else, replayed and followed."""
    live_through(tracker)
    wanted = live_through(tracker, agent="wanted", thread_id="wanted", user_id="wanted")
    live_through(tracker, agent="unwanted")
    with tracker.subscribe(**FILTERS[name](wanted)) as subscription:
        assert {subscription.get(30.0).entry.execution_id for _ in range(5)} == {wanted}
        live_through(tracker)
        with pytest.raises(WaitTimeoutError):
            subscription.get(0.01)


def test_a_filter_that_contradicts_itself_lets_nothing_through(tracker: ExecutionTracker) -> None:
    """Every filter given must match, so two that exclude each other give nothing."""
    wanted = live_through(tracker, agent="wanted")
    with tracker.subscribe(execution_id=wanted, agent="other") as subscription, pytest.raises(WaitTimeoutError):
        subscription.get(0.01)


def write_from_threads(tracker: ExecutionTracker, threads: int, each: int) -> list[threading.Thread]:
    """Start threads that each run *each* executions through."""

    def work(number: int) -> None:
        for _ in range(each):
            live_through(tracker, thread_id=f"t-{number}")

    started = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in started:
        thread.start()
    return started


def check_all(events: list[Event], executions: int) -> None:
    """Check that nothing is missing, repeated or out of order."""
    assert len(events) == executions * 5
    positions = [event.position for event in events]
    assert positions == sorted(set(positions))
    seqs: dict[str, list[int]] = {}
    for event in events:
        seqs.setdefault(event.entry.execution_id, []).append(event.entry.seq)
    assert len(seqs) == executions
    assert all(numbers == [1, 2, 3, 4, 5] for numbers in seqs.values())


def test_a_slow_subscriber_misses_and_repeats_nothing(tracker: ExecutionTracker) -> None:
    """While eight threads write, a subscriber that starts in the middle and a lazy one both read everything once."""
    lazy = tracker.subscribe()
    threads = write_from_threads(tracker, threads=8, each=40)
    events = [lazy.get(30.0)]
    late = tracker.subscribe()
    late_events = [late.get(30.0) for _ in range(8 * 40 * 5)]
    for thread in threads:
        thread.join()
    tracker.flush()
    events += [lazy.get(30.0) for _ in range(8 * 40 * 5 - 1)]
    check_all(events, 8 * 40)
    check_all(late_events, 8 * 40)
    for subscription in (lazy, late):
        with subscription, pytest.raises(WaitTimeoutError):
            subscription.get(0.01)


def test_iterating(tracker: ExecutionTracker, store: Store) -> None:
    """A `for` loop reads while eight threads write, and ends once the tracker is closed and all is read."""
    writer = ExecutionTracker(store.journal())
    subscription = writer.subscribe()
    threads = write_from_threads(writer, threads=8, each=10)

    def close() -> None:
        for thread in threads:
            thread.join()
        writer.close()

    closer = threading.Thread(target=close)
    closer.start()
    check_all(list(subscription), 80)
    closer.join()


def test_iterating_asynchronously(tracker: ExecutionTracker) -> None:
    """Several `async for` loops read while threads write; each sees everything once, and the event loop keeps turning."""

    async def collect(count: int) -> list[Event]:
        events: list[Event] = []
        with tracker.subscribe() as subscription:
            async for event in subscription:
                events.append(event)
                if len(events) == count:
                    break
        return events

    async def main() -> list[list[Event]]:
        collecting = [asyncio.create_task(collect(400)) for _ in range(3)]
        threads = write_from_threads(tracker, threads=8, each=10)
        collected = await asyncio.gather(*collecting)
        for thread in threads:
            await asyncio.to_thread(thread.join)
        return collected

    for events in asyncio.run(main()):
        check_all(events, 80)


def test_closing_ends_iteration(tracker: ExecutionTracker) -> None:
    """Closing a subscription from another thread ends a loop that waits in it."""
    live_through(tracker)
    subscription = tracker.subscribe()
    events: list[Event] = []
    read_all = threading.Event()

    def work() -> None:
        for event in subscription:
            events.append(event)
            if len(events) == 5:
                read_all.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert read_all.wait(30)
    subscription.close()
    thread.join(30)
    assert not thread.is_alive()
    assert len(events) == 5


def test_closing_ends_asynchronous_iteration(tracker: ExecutionTracker) -> None:
    """Closing a subscription ends an `async for` that waits in it."""

    async def main() -> int:
        live_through(tracker)
        subscription = tracker.subscribe()
        seen = 0
        loop = asyncio.get_running_loop()
        async for _ in subscription:
            seen += 1
            if seen == 5:
                loop.call_soon(subscription.close)
        return seen

    assert asyncio.run(asyncio.wait_for(main(), 30)) == 5


def test_a_closed_tracker_still_replays(store: Store) -> None:
    """Subscriptions of a closed tracker read what is there and end."""
    with ExecutionTracker(store.journal()) as tracker:
        live_through(tracker)
    assert len(list(tracker.subscribe())) == 5


def test_no_event_before_it_is_durable(store: Store) -> None:
    """An event is handed out only once the journal has stored it."""
    journal = GatedJournal(store.journal())
    with ExecutionTracker(journal) as tracker:
        subscription = tracker.subscribe()
        journal.shut()
        run = tracker.create(**WHO)
        assert journal.reached.wait(30)
        assert run.state is ExecutionState.PENDING
        with pytest.raises(WaitTimeoutError):
            subscription.get(0.05)
        journal.open()
        assert subscription.get(30.0).entry.execution_id == run.execution_id


def test_another_processs_events_are_seen(store: Store, tracker: ExecutionTracker) -> None:
    """A subscription also follows what another tracker writes to the same store."""
    with tracker.subscribe() as subscription, ExecutionTracker(store.journal()) as other:
        execution_id = live_through(other)
        assert {subscription.get(30.0).entry.execution_id for _ in range(5)} == {execution_id}


@pytest.fixture
def forgetful(store: Store) -> Any:
    """A tracker that keeps only the newest ended execution."""
    limits = Limits(retained_executions=1)
    with ExecutionTracker(store.journal(limits), limits=limits) as tracker:
        yield tracker


def kept(tracker: ExecutionTracker) -> set[int]:
    """The positions of all events that the journal still has."""
    tracker.flush()
    return {event.position for event in tracker._journal.read(0, 10_000, Selection()).events}


def prune(tracker: ExecutionTracker) -> None:
    """Write until what was written first has been pruned."""
    before = kept(tracker)
    for _ in range(200):
        live_through(tracker)
        tracker.flush()
        if not before <= kept(tracker):
            return
    pytest.fail("nothing was pruned")


def test_a_reader_that_retention_overtook_is_told(forgetful: ExecutionTracker) -> None:
    """A subscriber whose next events were pruned gets an error with both positions, and can start again from 0."""
    live_through(forgetful)
    subscription = forgetful.subscribe(after=read(forgetful, 1)[0].position)
    prune(forgetful)
    with pytest.raises(SubscriptionLaggedError) as lagged:
        subscription.get(30.0)
    assert lagged.value.position == subscription.position
    assert lagged.value.pruned > subscription.position
    assert read(forgetful, 1)[0].position > lagged.value.position


def test_a_reader_that_keeps_up_is_not_called_lagged(forgetful: ExecutionTracker) -> None:
    """A subscriber with a filter that has read all there was loses nothing when others' events are pruned."""
    quiet = forgetful.create(**{**WHO, "agent": "quiet"}).run()
    with forgetful.subscribe(agent="quiet") as subscription:
        assert [subscription.get(30.0).entry.seq for _ in range(2)] == [1, 2]
        for _ in range(3):
            live_through(forgetful)
            forgetful.flush()
            with pytest.raises(WaitTimeoutError):
                subscription.get(0.01)
        prune(forgetful)
        quiet.complete()
        assert subscription.get(30.0).entry.seq == 3


@pytest.mark.parametrize("after", [-1, 1 << 63])
def test_a_position_that_cannot_be(tracker: ExecutionTracker, after: int) -> None:
    """A negative or absurd position is refused."""
    with pytest.raises(InvalidValueError):
        tracker.subscribe(after=after)


def test_a_position_in_the_future_waits(tracker: ExecutionTracker) -> None:
    """Subscribing behind what is written hands out nothing that came before."""
    live_through(tracker)
    tracker.flush()
    last = read(tracker, 5)[-1].position
    with tracker.subscribe(after=last) as subscription:
        with pytest.raises(WaitTimeoutError):
            subscription.get(0.01)
        execution_id = live_through(tracker)
        assert subscription.get(30.0).entry.execution_id == execution_id


def test_a_dropped_subscription_is_forgotten(tracker: ExecutionTracker) -> None:
    """A subscription that was neither closed nor kept leaves nothing behind in the tracker."""
    subscription = tracker.subscribe()
    assert len(tracker._news._listeners) == 1
    del subscription
    gc.collect()
    assert len(tracker._news._listeners) == 0


def test_a_cancelled_read_repeats_nothing(store: Store) -> None:
    """Cancelling `anext` while the store is read neither repeats an event nor loses one, and `position` only grows."""
    journal = GatedJournal(store.journal())

    async def follow(tracker: ExecutionTracker) -> list[int]:
        reading, go_on = threading.Event(), threading.Event()
        read, first = journal.read, [True]

        def slow_read(*arguments: Any) -> Any:
            page = read(*arguments)
            if first and first.pop():
                reading.set()
                go_on.wait(30)
            return page

        journal.read = slow_read  # type: ignore[method-assign]
        subscription = tracker.subscribe()
        call = asyncio.ensure_future(anext(subscription))
        assert await asyncio.to_thread(reading.wait, 30)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
        positions = [(await anext(subscription)).position]
        go_on.set()
        while len(positions) < 3:
            positions.append((await anext(subscription)).position)
        tracker.create(**WHO)
        await tracker.aflush()
        positions.append((await anext(subscription)).position)
        return positions

    with ExecutionTracker(journal) as tracker:
        for _ in range(3):
            tracker.create(**WHO)
        tracker.flush()
        positions = asyncio.run(follow(tracker))
    assert positions == sorted(set(positions))
    assert len(positions) == 4
