"""What the laboratory holds against a run: each promise, broken by hand in what a sound run has left."""

from __future__ import annotations

import pytest

import runstate
from runstate import Cause, Entry, ExecutionState, Finding, Transition
from runstate.testing import Fault
from runstate.testing._channel import Ended, Found
from runstate.testing._judge import problems

from ..moves import create

ENDED = Ended(None, ())


@pytest.fixture
def found() -> Found:
    """What a run of one execution has left that was completed."""
    with runstate.open("memory:") as tracker:
        execution_id = create(tracker).run().complete("done").execution_id
        return Found([tracker.get(execution_id)], [tracker.timeline(execution_id)], [])


def said(
    found: Found,
    stored: tuple[Entry, ...] = (),
    fault: Fault | None = None,
    exit_code: int | None = 0,
    ended: Ended | None = ENDED,
    stalled: bool = False,
) -> list[str]:
    """All problems."""
    return list(problems(found, stored, fault, exit_code, ended, stalled=stalled))


def test_a_sound_run_is_sound(found: Found) -> None:
    """Nothing is held against a run that kept every promise, nor against one that was killed."""
    assert said(found, stored=tuple(found.timelines[0])) == []
    assert said(found, fault=Fault.KILL, exit_code=-9, ended=None) == []


def test_a_live_execution() -> None:
    """An execution that nobody ended is named with its state."""
    with runstate.open("memory:") as tracker:
        running = create(tracker).run()
        open_one = Found([tracker.get(running.execution_id)], [tracker.timeline(running.execution_id)], [])
    (problem,) = said(open_one)
    assert "is still RUNNING, and nobody is left to end it" in problem


def test_two_ends(found: Found) -> None:
    """A second end is one too many, and so is anything after the end."""
    *_, end = found.timelines[0]
    assert isinstance(end, Transition)
    second = end._replace(seq=end.seq + 1, target=ExecutionState.DEAD)
    (problem,) = said(found._replace(timelines=[[*found.timelines[0], second]]))
    assert "exactly one end" in problem
    assert "COMPLETED, DEAD" in problem


def test_a_promise_that_was_not_kept(found: Found) -> None:
    """An entry that is not there, or is another than was promised, is shown beside what is there."""
    *_, end = found.timelines[0]
    (missing,) = said(found, stored=(end._replace(execution_id="other"),))
    assert "execution other is not in the journal" in missing
    (changed,) = said(found, stored=(end._replace(at_ns=1),))
    assert "had said that this is durable" in changed


@pytest.mark.parametrize(
    ("fault", "stalled", "count"), [(Fault.BLOCK, False, 1), (Fault.BLOCK, True, 0), (Fault.STOP, False, 0)]
)
def test_a_blocked_process_is_no_dead_one(fault: Fault, stalled: bool, count: int) -> None:
    """Given up for a block is a broken promise, unless the machine had held the process up; for a stop it is right."""
    with runstate.open("memory:") as tracker:
        execution_id = create(tracker).run().die(Cause.LEASE_EXPIRED).execution_id
        dead = Found([tracker.get(execution_id)], [tracker.timeline(execution_id)], [])
    assert len(said(dead, fault=fault, stalled=stalled)) == count


@pytest.mark.parametrize(
    ("exit_code", "expected"),
    [(None, "did not end in time"), (-11, "was killed by signal 11"), (3, "exited with code 3")],
)
def test_a_process_that_ends_wrongly(found: Found, exit_code: int | None, expected: str) -> None:
    """A process that hangs, crashes or goes without a word is held against the run."""
    (problem,) = said(found, fault=Fault.STOP, exit_code=exit_code, ended=None)
    assert expected in problem


def test_an_unsound_journal(found: Found) -> None:
    """What the verifier finds is a broken promise."""
    (problem,) = said(found._replace(findings=[Finding("fence", None, "it wrote after its fence")]))
    assert "the journal is not sound" in problem
    assert "it wrote after its fence" in problem
