"""`diagnose` on what every store can have: workers that are gone, executions that hang, requests, clocks, what is kept."""

from __future__ import annotations

import re
import signal

import pytest

import runstate
from runstate import Cause, ExecutionState, _doctor, diagnose
from runstate._burial import bury
from runstate._clock import SystemClock

from ..fleet.processes import Other
from ..forging import populate_fleet
from ..journal.entries import OTHER_WORKER, WORKER, created, life
from ..journal.servers import wait_until
from .wards import OK, PROBLEM, WARNING, Ward, ago, amiss, the

RUNNING = ExecutionState.RUNNING


def enter(here: Ward) -> None:
    """Make this process a worker that is well."""
    here.journal.vigil(WORKER)
    here.journal.join(WORKER, 10.0)


def test_what_is_well_is_said_to_be(place: str, other: Other) -> None:
    """While another process works, every topic of the documentation that the store has is there, and nothing is amiss."""
    other.ask("begin", 3)
    found = {one.topic: one for one in diagnose(place)}
    assert amiss(place) == []
    documented = set(re.findall(r"^\| `(\w+)` \|", _doctor.__doc__ or "", re.MULTILINE))
    assert found.keys() == documented - {"rights"} - ({"session"} if "://" not in place else set())
    assert found["worker"].found.startswith("1 worker alive, 3 live executions")


def test_who_is_killed_with_nobody_near_is_named(place: str, other: Other) -> None:
    """A killed worker whom nobody is there to bury is a problem with its executions; the next that opens the journal cures it."""
    left = other.ask("begin", 7)
    other.kill()
    one = the(place)
    assert (one.severity, one.topic, one.execution_ids) == (PROBLEM, "worker", tuple(left))
    assert f"worker {other.incarnation} is gone" in one.found
    assert "7 live executions" in one.found
    assert "and 2 more" in one.found
    with runstate.open(place):
        wait_until(lambda: not amiss(place))


def test_who_stands_still_is_named(place: str) -> None:
    """A stopped worker whose lease has run out is there all the same, and its process is named."""
    other = Other(place, lease=0.2)
    other.ask("begin", 1)
    other.send(signal.SIGSTOP)
    try:
        wait_until(lambda: amiss(place))
        one = the(place)
        assert (one.severity, one.topic) == (PROBLEM, "worker")
        assert "it stands still" in one.found
        assert str(other.pid) in str(one.advice)
    finally:
        other.end()


def test_a_burial_that_stopped_halfway_is_named(here: Ward) -> None:
    """Who was fenced and still has something live is named with who fenced it and why; the journal is not touched by looking."""
    populate_fleet(here.journal)
    before = here.journal.workers(10)
    one = next(one for one in amiss(here.place, "worker") if "fenced" in one.found)
    assert (one.severity, one.execution_ids) == (PROBLEM, ("x",))
    assert "by host:2:fedcba9876543210, PROCESS_EXITED (killed)" in one.found
    assert [worker.fence for worker in here.journal.workers(10)] == [worker.fence for worker in before]


def test_an_expired_lease_is_named(here: Ward) -> None:
    """A worker that is nowhere to be seen and has not renewed in time is a problem if it has left something, else a warning."""
    for name in (WORKER, "idle"):
        here.journal.join(name, 10.0)
    here.journal.append(life("x", RUNNING, at_ns=ago(1)))
    here.forge("UPDATE workers SET renewed_at_ns = renewed_at_ns - 100000000000")
    if "://" in here.place:  # where a session that is not there says more than a lease
        here.forge("UPDATE workers SET process = 'elsewhere'")
    worse, better = amiss(here.place)
    assert (worse.severity, worse.execution_ids) == (PROBLEM, ("x",))
    assert (better.severity, better.execution_ids) == (WARNING, ())
    assert "worker idle" in better.found


def test_who_never_joined_is_named(here: Ward) -> None:
    """A worker that only writes, as one of an older version, is a warning: nobody would see its end."""
    here.journal.append(life("x", RUNNING, at_ns=ago(1)))
    one = the(here.place)
    assert (one.severity, one.topic, one.execution_ids) == (WARNING, "worker", ("x",))
    assert "never joined" in one.found


def test_what_hangs_though_its_owner_is_well_is_named(here: Ward) -> None:
    """Past its limit is a problem, silent a warning, a request that nobody carries out a problem; each names what and whose."""
    enter(here)
    here.journal.append(
        [*life("late", RUNNING, at_ns=ago(100)), *life("silent", RUNNING, at_ns=ago(1_000), timeout=None)]
    )
    here.journal.append([*life("well", RUNNING, at_ns=ago(5), timeout=None), created("new", at_ns=ago(0))])
    here.forge("UPDATE workers SET started_at_ns = started_at_ns - 2000000000000")
    for name in ("well", "new"):
        here.journal.request_cancel(name, "a user")
    assert {one.topic for one in amiss(here.place)} == {"execution"}
    here.forge("UPDATE requests SET asked_at_ns = asked_at_ns - 60000000000 WHERE asked_by = 'a user' AND number = "
               "(SELECT number FROM executions WHERE execution_id = 'well')")  # fmt: skip
    found = {(one.severity, one.topic): one for one in amiss(here.place)}
    assert {key: one.execution_ids for key, one in found.items()} == {
        (PROBLEM, "execution"): ("late",),
        (PROBLEM, "request"): ("well",),
        (WARNING, "execution"): ("silent",),
    }
    assert all(WORKER in one.found for one in found.values())


@pytest.mark.parametrize(("seconds", "said"), [(60.0, "ahead"), (-3_600.0, "behind")])
def test_a_workers_wrong_clock_is_named(here: Ward, seconds: float, said: str) -> None:
    """A worker that writes times to come, or times from long before it joined, has a clock that is wrong by at least so much."""
    enter(here)
    here.journal.append([created("x", at_ns=ago(-seconds), timeout=None)])
    one = the(here.place, "clock")
    assert one.severity is WARNING
    assert f"worker {WORKER}" in one.found
    assert said in one.found
    assert re.search(r"59\.\d s|60 s" if seconds > 0 else r"1:00:0\d|0:59:59", one.found)


def test_what_a_clock_behind_makes_look_late_is_no_problem(here: Ward) -> None:
    """An execution that has just begun is not past its limit because its owner's clock is behind; one that is, by it, is a warning."""
    enter(here)
    here.journal.append(life("new", RUNNING, at_ns=ago(3_600)))
    assert [(one.severity, one.topic) for one in amiss(here.place)] == [(WARNING, "clock")]
    here.forge("UPDATE workers SET started_at_ns = started_at_ns - 60000000000")
    clock, late = sorted(amiss(here.place), key=lambda one: one.topic)
    assert (late.severity, late.topic, late.execution_ids) == (WARNING, "execution", ("new",))
    assert "the clock of its owner is wrong" in late.found
    assert (clock.severity, clock.topic) == (WARNING, "clock")


def test_the_clock_of_who_buries_is_not_blamed_for_that_of_the_dead(here: Ward) -> None:
    """A burial that is not before the dead worker's last entry says nothing of the burier's clock, but names whose it is."""
    for name in (WORKER, OTHER_WORKER):
        here.journal.join(name, 10.0)
    here.journal.append(life("x", RUNNING, at_ns=ago(-3_600)))
    (end,) = bury(here.journal, WORKER, OTHER_WORKER, Cause.PROCESS_EXITED, None, SystemClock())
    assert end.at_ns > ago(-3_500)
    one = the(here.place, "clock")
    assert one.found.startswith(f"the clock of worker {WORKER} is at least ")
    assert WORKER not in {worker.incarnation for worker in here.journal.workers()}


def test_what_was_kept_for_too_long_is_named(here: Ward) -> None:
    """Executions that ended long before the default retention are a warning, with their number and age."""
    here.journal.append(life("old", ExecutionState.COMPLETED, at_ns=ago(1.0)))
    assert next(one for one in diagnose(here.place) if one.topic == "retention").severity is OK
    column = "updated_at_ns = updated_at_ns" if "://" not in here.place else "ended_at_ns = ended_at_ns"
    here.forge(f"UPDATE executions SET {column} - {60 * 86_400 * 10**9}")
    one = the(here.place, "retention")
    assert one.severity is WARNING
    assert "1 execution that has ended, the oldest 60 days" in one.found


def test_the_worst_comes_first(here: Ward) -> None:
    """Problems come before warnings, and those before what is fine; a thousand of them are counted, and a hundred carried."""
    enter(here)
    names = [f"x{number:04}" for number in range(1_000)]
    here.journal.append([created(name, at_ns=ago(100)) for name in names])
    here.journal.append(life("silent", RUNNING, at_ns=ago(1_000), timeout=None))
    here.forge("UPDATE workers SET started_at_ns = started_at_ns - 2000000000000")
    found = diagnose(here.place)
    order = [OK, WARNING, PROBLEM]
    assert [one.severity for one in found] == sorted((one.severity for one in found), key=order.index, reverse=True)
    assert found[0].execution_ids == tuple(names[:100])
    assert "1,000 executions are past" in found[0].found
