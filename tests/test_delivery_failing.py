"""What happens when telling fails: pauses, parking, retries by hand, notices that kill, journals that stumble."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

import runstate
from runstate import (
    ExecutionTracker,
    InvalidValueError,
    JournalError,
    Notice,
    UnknownExecutionError,
)
from runstate._deliverer import Deliverer
from runstate._pauses import FIRST_PAUSE, JITTER, LONGEST_PAUSE
from runstate.journal.memory import MemoryJournal
from runstate.journal.sqlite import SqliteJournal

from .clock import FakeClock
from .delivering import DELIVERED, PARKED, PENDING, ByHand, complete, has, the
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
            one._place.close()


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
    assert the(by_hand, name).attempts == 3
    assert by_hand.statistics().notices_parked == 1
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
