"""The checker of the guarantee finds each thing that can be wrong, and nothing in a journal that is well."""

from __future__ import annotations

import pytest

from runstate import Cause, Created, Entry, Evidence, ExecutionState, Phase, PhaseChange, Transition
from runstate._fleet import Fence, Worker

from . import schedule
from .faults import Harm
from .guarantee import Check, Story, tell
from .sidelog import Said

PENDING, RUNNING, COMPLETED, DEAD, CANCELLED = (
    ExecutionState.PENDING, ExecutionState.RUNNING, ExecutionState.COMPLETED, ExecutionState.DEAD, ExecutionState.CANCELLED,
)  # fmt: skip
FENCED_AT = 10_000_000_000
LEFT = Worker(1, "left", 0, pid=11, left_at_ns=1)
KILLED = Worker(2, "killed", 0, pid=12, fence=Fence("left", Cause.PROCESS_EXITED, "gone", FENCED_AT, 3))
HARMS = {11: [], 12: [Harm(schedule.KILL, 1)], 13: [Harm(schedule.END, 1)]}


def log(
    owner: str, by: str, target: ExecutionState = COMPLETED, cause: Cause = Cause.RETURNED, result: bytes | None = b"1"
) -> list[Entry]:
    """A life with one phase."""
    return [
        Created("x", 1, 0, "a", "t", "u", owner, None, None, None),
        Transition("x", 2, 0, PENDING, RUNNING, owner),
        PhaseChange("x", 3, 0, Phase.THINKING, "0", owner),
        Transition("x", 4, 0, RUNNING, target, by, cause, Evidence(by), None, result),
    ]


WELL = log("left", "left")
BURIED = log("killed", "left", DEAD, Cause.PROCESS_EXITED, None)


def found(entries: list[Entry], *said: Said, workers: tuple[Worker, ...] = (LEFT, KILLED)) -> list[str]:
    """What the checker finds."""
    stories: dict[str, Story] = {}
    for entry in entries:
        tell(stories, entry)
    return Check(stories, workers, HARMS).all(said)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (WELL, [Said("live", "x", ()), Said("phases", "x", (1,)), Said("ended", "x", ("completed", 1))]),
        (
            BURIED,
            [
                Said("live", "x", ()),
                Said("fenced", "x", ("dead", "PROCESS_EXITED", 1, True)),
                Said("seen", "x", ("Died",)),
            ],
        ),
        (BURIED, [Said("asked", "x", (FENCED_AT - 1,)), Said("unsure", "x", (1, "?")), Said("heard", "x", (0.1,))]),
    ],
)
def test_what_is_well_is_found_well(entries: list[Entry], said: list[Said]) -> None:
    """Promises that are kept, and a burial of a killed worker, are no findings."""
    assert found(entries, *said) == []


@pytest.mark.parametrize(
    ("entries", "finding"),
    [
        (WELL[:3], "has 0 ends"),
        ([*WELL, WELL[3]], "has 2 ends"),
        ([*WELL, WELL[2]], "goes on after its end"),
        ([WELL[0], *WELL], "created twice"),
        ([WELL[0], *WELL[2:]], "it moves from RUNNING, and was PENDING"),
        (WELL[1:], "it begins with"),
        (log("left", "killed", DEAD, Cause.PROCESS_EXITED, None), "was not dead"),
        (log("left", "left", DEAD, Cause.LEASE_EXPIRED, None), "says itself that its worker is gone"),
        (log("left", "left", DEAD, Cause.NO_HEARTBEAT, None), "is DEAD by its own worker"),
    ],
)
def test_a_log_that_is_wrong_is_found(entries: list[Entry], finding: str) -> None:
    """No end, two ends, an end of somebody's who is alive, and logs that do not hang together are found."""
    assert any(finding in one for one in found(entries))


@pytest.mark.parametrize(
    ("entries", "said", "finding"),
    [
        (WELL, Said("live", "y", ()), "does not exist"),
        (WELL, Said("phases", "x", (2,)), "was promised phases"),
        (WELL, Said("ended", "x", ("completed", 2)), "was promised to be completed with 2"),
        (WELL, Said("ended", "x", ("failed", None)), "was promised to be failed"),
        (BURIED, Said("ended", "x", ("completed", 1)), "was promised to be completed"),
        (WELL, Said("seen", "x", ("Died",)), "was seen as Died"),
        (WELL, Said("fenced", "x", ("dead", "LEASE_EXPIRED", 1, True)), "was fenced as dead"),
        (BURIED, Said("asked", "x", (0,)), "asked to be cancelled in time"),
        (WELL, Said("broken", "x", ("KeyError",)), "must not be told"),
    ],
)
def test_a_promise_that_is_broken_is_found(entries: list[Entry], said: Said, finding: str) -> None:
    """Each kind of promise is found broken where it is."""
    assert any(finding in one for one in found(entries, said))


@pytest.mark.parametrize(
    ("worker", "finding"),
    [
        (LEFT._replace(left_at_ns=None), "still ALIVE"),
        (LEFT._replace(live=1), "1 live executions"),
        (KILLED._replace(pid=11), "false death"),
        (KILLED._replace(fence=Fence("left", Cause.PROCESS_EXITED, "gone", 0, 3)), "false death"),
        (KILLED._replace(fence=Fence("left", Cause.LEASE_EXPIRED, "late", FENCED_AT, 3)), "missed"),
    ],
)
def test_a_worker_that_is_wrongly_there_or_dead_is_found(worker: Worker, finding: str) -> None:
    """Who should be gone, who was held for dead and had suffered nothing, and whose death was seen late are found."""
    assert any(finding in one for one in found(WELL, workers=(LEFT, worker)))


def test_who_left_while_the_store_was_away_is_no_false_death_unless_it_lost_something() -> None:
    """A worker that ended in good order, and could not say so, may be found gone; not with anything of its own to be buried."""
    ended = KILLED._replace(pid=13)
    assert found(WELL, workers=(LEFT, ended)) == []
    assert any("false death" in one for one in found(BURIED, workers=(LEFT, ended)))
    expired = ended._replace(fence=Fence("left", Cause.LEASE_EXPIRED, "late", FENCED_AT, 3))
    assert any("false death" in one for one in found(WELL, workers=(LEFT, expired)))
