"""How deliveries end: what they wait for, what they give back, what a tracker still tells."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

import runstate
from runstate import (
    ExecutionState,
    ExecutionTracker,
    InvalidValueError,
    Notice,
    TrackerClosedError,
)
from runstate import _deliverer as deliverer_module

from .delivering import DELIVERED, PATIENCE, PENDING, WHO, complete, the
from .journal.servers import wait_until
from .stores import Store


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


def test_a_closed_delivery_leaves_no_thread(local: ExecutionTracker) -> None:
    """Once a delivery is closed, none of its threads is left, however many calls it had under way, and whichever kind."""

    async def atell(notice: Notice) -> None:
        """Be told in a loop of its own."""

    def tell(notice: Notice) -> None:
        """Be told in a thread."""

    for function in (tell, atell):
        before = set(threading.enumerate())
        with local.deliver(function, concurrency=8):
            for _ in range(30):
                complete(local)
            wait_until(lambda: local.outboxes()[0].pending == 0)
        left = {thread for thread in threading.enumerate() if thread not in before}
        assert {thread for thread in left if "deliver" in thread.name} == set()
