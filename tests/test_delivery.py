"""Delivering notices: who is told of which end, what can be told, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import runstate
from runstate import (
    Completed,
    ExecutionState,
    ExecutionTracker,
    InvalidValueError,
    JournalUnavailableError,
    Notice,
    StateTypeError,
)
from runstate.journal.memory import MemoryJournal

from .calling import AT_ONCE, Agent
from .delivering import DELIVERED, PARKED, PATIENCE, PENDING, complete, has, the
from .journal.servers import wait_until
from .moves import bring_to
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


def test_a_chain_is_told_once(tracker: ExecutionTracker) -> None:
    """Of a call that is tried again its user hears one end, the last: an answer, a fallback's answer, or why there is none."""
    told: list[Notice] = []
    tracker.deliver(told.append)
    agents = [
        Agent(tracker, "sync", ConnectionError("one"), ConnectionError("two"), "answer", retry=AT_ONCE),
        Agent(tracker, "sync", ConnectionError("one"), ValueError("two"), retry=AT_ONCE, fallback=lambda: "sorry"),
        Agent(tracker, "sync", *[ConnectionError("again")] * 3, retry=AT_ONCE),
    ]
    answers = [agent(message_id=f"m-{number}").execution_id for number, agent in enumerate(agents)]
    wait_until(lambda: tracker.statistics().notices_delivered == len(answers))
    assert [one.notice_id for one in sorted(told, key=lambda one: one.notice_id)] == answers
    assert [(one.record.message_id, one.record.attempt) for one in sorted(told, key=lambda one: one.notice_id)] == [
        ("m-0", 3),
        ("m-1", 3),
        ("m-2", 3),
    ]
    assert [len(tracker.attempts(one)) for one in answers] == [3, 3, 3]


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
