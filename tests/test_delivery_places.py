"""Where functions run that are told of ends, how long they may take, and how many run at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from functools import partial

import pytest

import runstate
from runstate import (
    ExecutionTracker,
    Notice,
)

from .delivering import DELIVERED, PATIENCE, PENDING, WHO, complete, has, the
from .journal.servers import wait_until


@pytest.fixture
def local() -> Iterator[ExecutionTracker]:
    """An open tracker on a journal in memory, for what has nothing to do with the store."""
    with runstate.open("memory:") as tracker:
        yield tracker


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
    wait_until(lambda: "all 1 calls" in caplog.text)
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
