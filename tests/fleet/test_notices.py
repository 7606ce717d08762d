"""Notices between real processes: who dies before, while or after it tells, and who then tells in its stead."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import runstate
from runstate import Cause, ExecutionState, ExecutionTracker, Notice, NoticeState

from .. import cluster
from ..journal.servers import wait_until
from .processes import WHO, Other

PENDING, DELIVERED, PARKED = NoticeState.PENDING, NoticeState.DELIVERED, NoticeState.PARKED


@pytest.fixture
def third(place: str) -> Iterator[Other]:
    """A third process that has opened `place`."""
    third = Other(place)
    yield third
    third.end()


class Told:
    """What a function here was told, and which conversations it can reach."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.reached = {"t-1"}

    def __call__(self, notice: Notice) -> None:
        """Be told."""
        self.notices.append(notice)

    def names(self) -> list[str]:
        """The ids, sorted."""
        return sorted(notice.notice_id for notice in self.notices)


@pytest.fixture
def told() -> Told:
    """A function to be told."""
    return Told()


def begun(path: Path) -> list[str]:
    """What another process's function was told."""
    return path.read_text().split() if path.exists() else []


def by(tracker: ExecutionTracker) -> dict[str, tuple[NoticeState, str | None]]:
    """What has become of each notice, and through whom."""
    return {one.notice_id: (one.state, one.claimed_by) for one in tracker.notices(limit=1_000)}


def test_the_death_of_an_owner_is_told_by_another(tracker: ExecutionTracker, other: Other, told: Told) -> None:
    """A process killed with executions live tells nobody; each of them is told by another as DEAD, and acknowledged exactly once."""
    tracker.deliver(told)
    names = other.ask("begin", 5)
    other.kill()
    wait_until(
        lambda: set(by(tracker).values()) == {(DELIVERED, tracker._decider.incarnation)} and len(told.notices) >= 5
    )
    assert told.names() == sorted(names)
    assert {notice.record.state for notice in told.notices} == {ExecutionState.DEAD}
    assert {notice.record.cause for notice in told.notices} == {Cause.PROCESS_EXITED}
    assert {notice.attempt for notice in told.notices} == {1}
    assert tracker.statistics().notices_delivered == 5


def test_the_last_words_of_the_dead_are_told(tracker: ExecutionTracker, other: Other, told: Told) -> None:
    """What a process had durably completed when it was killed, before it or anybody has told, is told by another."""
    tracker.deliver(told, threads=list).close()
    names = other.ask("finish", 20)
    other.kill()
    assert len(tracker.notices(state=PENDING)) == 20
    tracker.deliver(told)
    wait_until(lambda: tracker.statistics().notices_delivered == 20)
    assert told.names() == sorted(names)
    assert {notice.record.result for notice in told.notices} == {"done"}


def test_another_goes_on_where_a_deliverer_was_killed(
    tracker: ExecutionTracker, other: Other, told: Told, tmp_path: Path
) -> None:
    """A notice whose deliverer is killed in the middle is told again by another, under the same id, as the next attempt."""
    other.ask("deliver", "wait", str(tmp_path / "told"), ["t-1"])
    (name,) = other.ask("finish", 1)
    wait_until(lambda: begun(tmp_path / "told") == [name])
    tracker.deliver(told)
    assert by(tracker) == {name: (PENDING, other.incarnation)}
    own = tracker.create(**{**WHO, "thread_id": "t-2"}).run()
    own.complete("mine")
    tracker.flush()
    wait_until(lambda: own.execution_id in told.names())  # it has looked, and has left the other's alone
    assert name not in told.names()
    other.kill()
    wait_until(lambda: by(tracker)[name] == (DELIVERED, tracker._decider.incarnation))
    (again,) = [notice for notice in told.notices if notice.notice_id == name]
    assert again.attempt == 2


def test_two_processes_never_tell_the_same(
    tracker: ExecutionTracker, other: Other, third: Other, tmp_path: Path
) -> None:
    """Of three processes that deliver one outbox each notice is told by exactly one, whoever has ended its execution."""
    tracker.deliver(lambda notice: None, threads=list)
    for process, file in ((other, "one"), (third, "two")):
        process.ask("deliver", "take", str(tmp_path / file))
    other.tell("finish", 60)
    third.tell("finish", 60)
    names = [*other._answer(), *third._answer()]
    wait_until(lambda: Counter(state for state, _ in by(tracker).values()) == {DELIVERED: 120})
    assert sorted([*begun(tmp_path / "one"), *begun(tmp_path / "two")]) == sorted(names)
    told_by = {other.incarnation: len(begun(tmp_path / "one")), third.incarnation: len(begun(tmp_path / "two"))}
    assert Counter(who for _, who in by(tracker).values()) == +Counter(told_by)  # one may have been faster with all


def test_a_restart_of_everything_finds_what_is_left(place: str, other: Other, told: Told, tmp_path: Path) -> None:
    """When all are killed, whoever starts next tells at once what was not told, of the living as of the dead."""
    other.ask("deliver", "wait", str(tmp_path / "told"), [])
    done, live = other.ask("finish", 3), other.ask("begin", 2)
    other.kill()
    with runstate.open(place) as tracker:
        tracker.deliver(told)
        wait_until(lambda: tracker.statistics().notices_delivered == 5)
        assert {notice.notice_id: notice.record.state for notice in told.notices} == {
            **dict.fromkeys(done, ExecutionState.COMPLETED),
            **dict.fromkeys(live, ExecutionState.DEAD),
        }


def test_what_one_process_parks_another_has_retried(
    tracker: ExecutionTracker, other: Other, third: Other, tmp_path: Path
) -> None:
    """A notice that a process has given up is seen from any other, and tried again at once by whoever delivers, when any says so."""
    other.ask("deliver", "raise", str(tmp_path / "told"))
    (name,) = other.ask("finish", 1)
    wait_until(lambda: by(tracker) == {name: (PARKED, None)})
    assert begun(tmp_path / "told") == [name, name]
    (parked,) = tracker.notices(state=PARKED)
    assert (parked.attempts, parked.error) == (2, "ConnectionError: nobody is there")
    other.kill()
    third.ask("deliver", "take", str(tmp_path / "third"))
    tracker.retry_notice(name)
    wait_until(lambda: by(tracker) == {name: (DELIVERED, third.incarnation)})
    assert begun(tmp_path / "third") == [name]


def test_a_notice_that_kills_its_deliverers(tracker: ExecutionTracker, place: str, tmp_path: Path) -> None:
    """A notice that has killed as many deliverers as it may be tried is PARKED by the next, with those attempts and no other."""
    others = [Other(place) for _ in range(3)]
    run = tracker.create(**WHO).run()
    tracker.deliver(lambda notice: None, threads=list)
    run.complete("done")
    tracker.flush()
    for other in others:
        other.tell("deliver", "die", str(tmp_path / "told"))
        if other is not others[-1]:
            other.wait()
    wait_until(lambda: by(tracker) == {run.execution_id: (PARKED, None)})
    (parked,) = tracker.notices(state=PARKED)
    assert (parked.attempts, len(begun(tmp_path / "told"))) == (2, 2)
    for other in others:
        other.kill()
        other.end()


def test_a_conversation_is_told_where_it_is_connected(
    tracker: ExecutionTracker, other: Other, third: Other, tmp_path: Path
) -> None:
    """Each process tells the conversations of its own clients, whoever has run them; what is connected nowhere waits."""
    tracker.deliver(lambda notice: None, threads=list)
    for process, file, threads in ((other, "one", ["t-1"]), (third, "two", ["t-2"])):
        process.ask("deliver", "take", str(tmp_path / file), threads)
    first, second = other.ask("finish", 10, "t-2"), third.ask("finish", 10, "t-1")
    (nowhere,) = third.ask("finish", 1, "t-3")
    wait_until(lambda: Counter(state for state, _ in by(tracker).values()) == {DELIVERED: 20, PENDING: 1})
    assert sorted(begun(tmp_path / "one")) == sorted(second)
    assert sorted(begun(tmp_path / "two")) == sorted(first)
    assert by(tracker)[nowhere] == (PENDING, None)


def test_who_stood_still_can_acknowledge_nothing(place: str, told: Told, tmp_path: Path) -> None:
    """A deliverer that is stopped past its lease is held for dead; another tells, and what the first says afterwards changes nothing."""
    lease = 1.0
    other = Other(place, lease)
    try:
        with runstate.open(place, lease=lease) as tracker:
            other.ask("deliver", "wait", str(tmp_path / "told"))
            (name,) = other.ask("finish", 1)
            wait_until(lambda: begun(tmp_path / "told") == [name])
            other.send(signal.SIGSTOP)
            tracker.deliver(told)
            wait_until(lambda: by(tracker) == {name: (DELIVERED, tracker._decider.incarnation)})
            other.send(signal.SIGCONT)
            (tmp_path / "told.go").touch()
            assert other.ask("rest") == "resting"
            assert by(tracker)[name] == (DELIVERED, tracker._decider.incarnation)
            assert told.names().count(name) == 1
    finally:
        other.kill()
        other.end()


def test_telling_goes_on_when_the_server_comes_back(private: cluster.Cluster, told: Told) -> None:
    """A server that crashes and comes back costs no notice: what ended before, meanwhile and afterwards is told."""
    place = private.journal()
    with runstate.open(place) as tracker:
        delivery = tracker.deliver(told, threads=lambda: told.reached)
        told.reached = set()
        names = [tracker.create(**WHO).run() for _ in range(3)]
        names[0].complete("before")
        tracker.flush()
        private.crash()
        names[1].complete("meanwhile")
        private.start()
        names[2].complete("afterwards")
        told.reached = {"t-1"}
        delivery.wake()
        wait_until(lambda: tracker.statistics().notices_delivered == 3)
    assert set(told.names()) == {run.execution_id for run in names}
    private.drop(place)


def test_a_forked_child_tells_nobody(tracker: ExecutionTracker, told: Told) -> None:
    """A forked child has none of its parent's deliveries, can close them, and may deliver by itself; the parent goes on."""
    import os

    delivery = tracker.deliver(told)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            delivery.close()
            tracker.deliver(lambda notice: None).close()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    run = tracker.create(**WHO).run()
    run.complete("done")
    tracker.flush()
    wait_until(lambda: by(tracker) == {run.execution_id: (DELIVERED, tracker._decider.incarnation)})
