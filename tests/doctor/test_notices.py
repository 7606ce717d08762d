"""`diagnose` on notices: what was given up, what waits for long, what retention has removed."""

from __future__ import annotations

from runstate import ExecutionState, diagnose
from runstate._notices import Verdict
from runstate.journal import Outbox

from ..journal.entries import WORKER, life
from ..journal.outboxes import BOX, settled
from .wards import OK, PROBLEM, WARNING, Ward, ago, amiss, the


def opened(here: Ward) -> Outbox:
    """The journal, in which this process is a worker and an outbox is open."""
    journal = here.journal
    assert isinstance(journal, Outbox)
    journal.open_outbox(BOX)
    here.journal.vigil(WORKER)
    here.journal.join(WORKER, 10.0)
    return journal


def end(here: Ward, name: str, seconds_ago: float) -> None:
    """Have an execution completed some time ago."""
    here.journal.append(life(name, ExecutionState.COMPLETED, at_ns=ago(seconds_ago)))


def test_what_is_told_soon_is_well(here: Ward) -> None:
    """An outbox whose notices are young, delivered or being delivered is fine, and so is a journal that has none."""
    assert [one.found for one in diagnose(here.place) if one.topic == "notice"] == ["no outbox is open"]
    journal = opened(here)
    for name in ("old", "young"):
        end(here, name, 3_600.0 if name == "old" else 1.0)
    journal.claim(BOX, WORKER, 1)
    settled(journal, Verdict.DELIVERED, "old")
    assert amiss(here.place, "notice") == []
    (one,) = [one for one in diagnose(here.place) if one.topic == "notice"]
    assert (one.severity, one.found) == (OK, "outbox default: nothing is parked, and nothing waits for long")


def test_what_was_given_up_is_a_problem(here: Ward) -> None:
    """Parked notices are a problem: each is named, with the error of the oldest and what to do."""
    journal = opened(here)
    for number in range(7):
        end(here, f"x{number}", 1.0)
    journal.claim(BOX, WORKER, 9)
    settled(journal, Verdict.PARKED, *(f"x{number}" for number in range(7)))
    one = the(here.place, "notice")
    assert (one.severity, one.execution_ids) == (PROBLEM, tuple(f"x{number}" for number in range(7)))
    assert "7 notices parked" in one.found
    assert "and 2 more" in one.found
    assert "ConnectionError: gone" in one.found
    assert "--retry" in str(one.advice)


def test_what_nobody_is_told_of_for_long_is_named(here: Ward) -> None:
    """What waits for more than a minute is a warning, which says for how long, what failed, and who is at it."""
    journal = opened(here)
    end(here, "first", 600.0)
    end(here, "second", 300.0)
    end(here, "young", 1.0)
    one = the(here.place, "notice")
    assert (one.severity, one.execution_ids) == (WARNING, ("first", "second"))
    assert "2 notices undelivered for more than 60 s" in one.found
    assert "nobody has tried it" in one.found
    assert "remove_outbox" in str(one.advice)
    journal.claim(BOX, WORKER, 1)
    settled(journal, Verdict.LATER, "first")
    journal.claim(BOX, WORKER, 1)
    one = the(here.place, "notice")
    assert "the last attempt failed, ConnectionError: gone" in one.found
    assert f"worker {WORKER} is at it" in one.found


def test_what_was_removed_untold_is_named(here: Ward) -> None:
    """What retention has removed before anybody was told is a warning for as long as the outbox is open."""
    opened(here)
    here.forge("UPDATE outboxes SET lost = 3")
    one = the(here.place, "notice")
    assert one.severity is WARNING
    assert "removed 3 notices that were never delivered" in one.found
