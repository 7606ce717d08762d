"""The crash laboratory: it does what it says to real processes, and says what it finds."""

from __future__ import annotations

import functools
import os
import re
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest

from runstate import Cause, ExecutionState, InvalidValueError, StateTypeError
from runstate.testing import BrokenGuaranteeError, CrashLab, CrashRun, Fault, Point, ScenarioError
from runstate.testing._lab import schedule

from .. import cluster
from . import agents

LEASE = 0.5
ROOMY = 1.5
"""Where a busy machine must not let it run out."""


@pytest.fixture
def lab(tmp_path: Path) -> CrashLab:
    """A laboratory on SQLite files, with a short lease."""
    return CrashLab(directory=tmp_path, lease=LEASE)


def states(run: CrashRun) -> Counter[ExecutionState]:
    """How many executions ended how."""
    return Counter(record.state for record in run.executions)


UNDISTURBED = Counter([ExecutionState.COMPLETED, ExecutionState.FAILED, ExecutionState.CANCELLED])


# -- the guarantee ------------------------------------------------------------------------------------------------------


def test_killed_at_every_point(lab: CrashLab) -> None:
    """Killed at each of its points in turn, an agent leaves no execution without its end, and the kill is a real one."""
    report = lab.run(functools.partial(agents.by_hand, answers=1), faults=[Fault.KILL], runs=1_000)
    first, *killed = report.runs
    assert first.exit_code == 0
    assert {run.point for run in killed} >= {point for point in report.points if point.name.startswith("before commit")}
    assert len(killed) == len(report.points)
    assert {run.exit_code for run in killed} == {-signal.SIGKILL}
    causes = {record.cause for run in killed for record in run.executions}
    assert causes == {Cause.RETURNED, Cause.PROCESS_EXITED}


def test_an_agent_on_sqlite(lab: CrashLab) -> None:
    """A demo-like agent keeps every promise, whatever happens to its process wherever the seed chose."""
    report = lab.run(agents.airline, runs=12)
    assert states(report.runs[0]) == UNDISTURBED
    assert Counter(run.fault for run in report.runs[1:]) == dict.fromkeys(
        (Fault.KILL, Fault.STOP, Fault.BLOCK, Fault.DISK_FULL), 3
    )


def test_an_agent_on_postgres(tmp_path: Path) -> None:
    """The same holds on PostgreSQL, where connections are cut instead of a disk filled."""
    url = cluster.server().journal()
    report = CrashLab(url, directory=tmp_path, lease=LEASE).run(agents.airline, runs=4)
    cluster.server().drop(url)
    assert states(report.runs[0]) == UNDISTURBED
    assert [run.fault for run in report.runs[1:]] == [Fault.KILL, Fault.STOP, Fault.BLOCK, Fault.CUT]


def test_a_message_on_postgres(tmp_path: Path) -> None:
    """Runs of a scenario that names its message do not find it answered by one another: each has a database, which goes with it."""
    url = cluster.server().empty_database()
    lab = CrashLab(url, directory=tmp_path, lease=LEASE)
    for _ in range(2):
        report = lab.run(agents.one_message, faults=[Fault.KILL], runs=3)
        assert [len(run.executions) for run in report.runs if run.exit_code == 0] == [1]
        assert report.missed == []
    with cluster.server().connect(url) as connection:
        left = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'runstate_lab_%'").fetchall()
        schemas = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'runstate'").fetchall()
    cluster.server().drop(url)
    assert [name for (name,) in left if f"_{os.getpid()}_" in name] == []
    assert schemas == []


def test_a_server_without_room_for_runs(tmp_path: Path) -> None:
    """A user who may not create databases is told that the laboratory needs it, without a password being shown."""
    server = cluster.server()
    role = f"poor_{os.getpid()}"
    server.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    try:
        parts = urlsplit(server.url)
        url = parts._replace(netloc=f"{role}:secret@{parts.netloc.rpartition('@')[2]}").geturl()
        with pytest.raises(ScenarioError, match="CREATEDB") as caught:
            CrashLab(url, directory=tmp_path).run(agents.one_message)
    finally:
        server.execute(f"DROP ROLE {role}")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "cause", "raised"),
    [
        (Fault.KILL, Cause.PROCESS_EXITED, None),
        (Fault.STOP, Cause.LEASE_EXPIRED, "FencedError"),
        (Fault.BLOCK, Cause.RETURNED, None),
        (Fault.DISK_FULL, Cause.PROCESS_EXITED, "JournalUnavailableError"),
    ],
)
def test_what_a_fault_does(tmp_path: Path, fault: Fault, cause: Cause, raised: str | None) -> None:
    """Before the commit of an answer, each fault has its own end, and the agent that lives on is told."""
    lab = CrashLab(directory=tmp_path, lease=ROOMY if fault is Fault.BLOCK else LEASE)
    run = lab.replay(functools.partial(agents.by_hand, answers=1), point="before commit 1.4", fault=fault)
    assert [record.cause for record in run.executions] == [cause]
    assert (run.error or "").partition(":")[0] == (raised or "")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_agent_of_anyio(tmp_path: Path, backend: Literal["asyncio", "trio"]) -> None:
    """An agent that anyio runs is stopped at its own awaits, on either library, and keeps every promise."""
    lab = CrashLab(directory=tmp_path, lease=LEASE, backend=backend)
    report = lab.run(agents.with_anyio, faults=[Fault.KILL], runs=4)
    assert states(report.runs[0]) == Counter({ExecutionState.COMPLETED: 2})
    assert any(
        point.name.startswith("await") and "with_anyio.<locals>.answer" in point.where for point in report.points
    )


# -- points --------------------------------------------------------------------------------------------------------------


def test_points_are_where_the_report_says(lab: CrashLab) -> None:
    """Awaits are named by task and step with the agent's own line, commits by execution and entry with what is stored."""
    points = {point.name: point.where for point in lab.run(agents.airline, runs=0).points}
    assert re.fullmatch(r"agents\.py:\d+ in airline", points["await 1.1"])
    assert any(re.fullmatch(r"agents\.py:\d+ in airline\.<locals>\.answer", where) for where in points.values())
    assert points["before commit 1.1"] == "creation of airline"
    assert points["after commit 1.2"] == "PENDING → RUNNING"
    assert {"before join", "after join", "before leave", "after leave"} <= points.keys()


def test_a_seed_chooses_the_same_again() -> None:
    """The same seed makes the same schedule, another one another; each fault has its turn, at any point once."""
    points = [Point(f"await 1.{number}", "") for number in range(20)]
    faults = [Fault.KILL, Fault.STOP]
    chosen = schedule(points, faults, 6, 1)
    assert chosen == schedule(points, faults, 6, 1) != schedule(points, faults, 6, 2)
    assert [fault for _, fault in chosen] == [Fault.KILL, Fault.STOP] * 3
    assert set(schedule(points, faults, 1_000, 1)) == {(point, fault) for point in points for fault in faults}


def test_a_seed_makes_the_same_agent(lab: CrashLab) -> None:
    """What a scenario draws at random is the same in each run of a seed."""
    report = lab.run(agents.by_hand, faults=[Fault.KILL], runs=0, seed=3)
    again = lab.replay(agents.by_hand, point="after leave", fault=Fault.KILL, seed=3)
    results = [record.result for record in report.runs[0].executions]
    assert results == [record.result for record in again.executions]
    assert len({str(result) for result in results}) == 2


# -- what it finds -------------------------------------------------------------------------------------------------------


def test_a_lost_entry_is_found(lab: CrashLab) -> None:
    """A journal that promises what it does not keep is found out, without any fault."""
    with pytest.raises(BrokenGuaranteeError, match="is not in the journal, which had said that its entry") as caught:
        lab.run(agents.forgetting)
    assert len(caught.value.report.broken) == 1


def test_an_agent_that_never_ends_is_found(tmp_path: Path) -> None:
    """An agent that hangs is ended, and the failure says where it hung and how to run that again."""
    lab = CrashLab(directory=tmp_path, lease=LEASE, patience=3.0)
    with pytest.raises(BrokenGuaranteeError) as caught:
        lab.replay(agents.stubborn, point="before commit 1.2", fault=Fault.DISK_FULL, seed=7)
    said = str(caught.value)
    assert "the process did not end in time" in said
    assert "in stubborn" in said
    assert "crash_lab.replay(scenario, point='before commit 1.2', fault=Fault.DISK_FULL, seed=7)" in said
    (run,) = caught.value.report.runs
    assert run.exit_code is None
    assert [record.cause for record in run.executions] in ([], [Cause.PROCESS_EXITED])


def test_a_process_that_just_goes_is_found(lab: CrashLab) -> None:
    """A process that ends itself before its tracker is closed has broken off, and that is said."""
    with pytest.raises(BrokenGuaranteeError, match="exited with code 3 before its tracker was closed"):
        lab.replay(agents.vanishing, point="before commit 1.3", fault=Fault.DISK_FULL)


# -- what proves nothing ---------------------------------------------------------------------------------------------------


def test_a_scenario_that_fails_by_itself_is_refused(lab: CrashLab) -> None:
    """A scenario that raises undisturbed proves nothing; its traceback is shown."""
    with pytest.raises(ScenarioError, match="must not raise") as caught:
        lab.run(agents.raising)
    assert "it never worked" in str(caught.value)


def test_a_scenario_without_executions_is_refused(lab: CrashLab) -> None:
    """A scenario that tracks nothing proves nothing."""
    with pytest.raises(ScenarioError, match="tracked no execution"):
        lab.run(agents.idle)


def test_a_point_that_is_not_there_is_refused(lab: CrashLab) -> None:
    """A replay that never comes by its point has proven nothing, and says so."""
    with pytest.raises(ScenarioError, match=r"never came by 'await 9\.9'"):
        lab.replay(agents.by_hand, point="await 9.9", fault=Fault.KILL)


def test_runs_that_mostly_miss_their_points_are_warned_of(tmp_path: Path, lab: CrashLab) -> None:
    """A scenario of which most runs take another path is not passed over without a word."""
    scenario = functools.partial(agents.once_only, marker=str(tmp_path / "been-here"))
    with pytest.warns(RuntimeWarning, match="never came by their point: they prove nothing") as warned:
        report = lab.run(scenario, faults=[Fault.KILL], runs=1_000)
    assert warned[0].filename == __file__
    assert 0 < len(report.missed) < len(report.points)
    assert report.proves_little
    assert "they prove nothing" in str(report)


def test_what_no_other_process_can_import_is_refused(lab: CrashLab) -> None:
    """A function inside a function is refused before anything runs, with what to do instead."""
    with pytest.raises(InvalidValueError, match=r"top of a module.*functools\.partial"):
        lab.run(lambda tracker: agents.by_hand(tracker))


@pytest.mark.parametrize("faults", [[], [Fault.CUT], [Fault.KILL, Fault.CUT]])
def test_a_fault_that_cannot_happen_is_refused(lab: CrashLab, faults: list[Fault]) -> None:
    """A fault that this journal cannot meet is refused, and so is none at all."""
    with pytest.raises(InvalidValueError, match="KILL"):
        lab.run(agents.by_hand, faults=faults)


WRONG_TYPES: dict[str, Callable[[CrashLab], object]] = {
    "runs must be an int, not float": lambda lab: lab.run(agents.by_hand, runs=1.5),  # type: ignore[arg-type]
    "runs must be an int, not str": lambda lab: lab.run(agents.by_hand, runs="x"),  # type: ignore[arg-type]
    "runs must be an int, not bool": lambda lab: lab.run(agents.by_hand, runs=True),
    "seed must be an int, not str": lambda lab: lab.run(agents.by_hand, seed="x"),  # type: ignore[arg-type]
    "scenario must be a function.*not int: 5": lambda lab: lab.run(5),  # type: ignore[arg-type]
    "scenario must be a function.*not str": lambda lab: lab.replay("mod.func", point="x", fault=Fault.KILL),  # type: ignore[arg-type]
    "point must be the name of a point": lambda lab: lab.replay(agents.by_hand, point=5, fault=Fault.KILL),  # type: ignore[arg-type]
    "faults must be a collection": lambda lab: lab.run(agents.by_hand, faults=Fault.KILL),  # type: ignore[arg-type]
    "lease must be a number": lambda lab: CrashLab(lease="1"),  # type: ignore[arg-type]
    "url must be a str": lambda lab: CrashLab(5),  # type: ignore[arg-type]
}
WRONG_VALUES: dict[str, Callable[[CrashLab], object]] = {
    "runs must be 0 or more; got -1": lambda lab: lab.run(agents.by_hand, runs=-1),
    "faults must be some of": lambda lab: lab.run(agents.by_hand, faults="KILL"),  # type: ignore[arg-type]
    "patience must be a positive": lambda lab: CrashLab(patience=float("nan")),
    "backend must be 'asyncio'": lambda lab: CrashLab(backend="twisted"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("message", WRONG_TYPES)
def test_arguments_of_a_wrong_type_are_refused(lab: CrashLab, message: str) -> None:
    """An argument of a wrong type is refused before anything runs, by name."""
    with pytest.raises(StateTypeError, match=message):
        WRONG_TYPES[message](lab)


@pytest.mark.parametrize("message", WRONG_VALUES)
def test_arguments_of_no_meaning_are_refused(lab: CrashLab, message: str) -> None:
    """An argument that means nothing is refused before anything runs, with what would be accepted."""
    with pytest.raises(InvalidValueError, match=message):
        WRONG_VALUES[message](lab)


def test_only_a_server_is_shared() -> None:
    """The path of one file for all runs is refused: each run has its own."""
    with pytest.raises(InvalidValueError, match="file of its own"):
        CrashLab("runs.db")
