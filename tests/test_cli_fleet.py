"""`runstate` and a fleet: workers, doctor, cancel, and what show says of an execution's owner and of ends that came too late."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import runstate
from runstate import Cancelled, ExecutionState, FencedError, Severity
from runstate.cli import main
from runstate.journal.sqlite import SqliteJournal

from .commands import CONTROL, HOSTILE, Output, run
from .fleet.processes import Other
from .forging import fleet_journal, forge, small_journal
from .journal.servers import wait_until


@pytest.fixture
def fleet(tmp_path: Path) -> str:
    """A journal of four workers: one fenced, with something live and an end that came too late, three alive."""
    return str(fleet_journal(tmp_path / "fleet.db"))


@pytest.fixture
def place(tmp_path: Path) -> str:
    """The address of an empty journal."""
    return str(tmp_path / "runs.db")


@pytest.fixture
def other(place: str) -> Iterator[Other]:
    """Another process that works on `place`."""
    other = Other(place)
    yield other
    other.end()


def fails(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> tuple[Output, str]:
    """Run a command that must end with a code; return what it printed, and its error."""
    assert main(arguments) == code
    printed = capsys.readouterr()
    return Output(printed.out), printed.err


# -- workers ----------------------------------------------------------------------------------------------------------


def test_workers_says_what_the_tracker_says(fleet: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each worker with its facts as JSON, and with --departed those that have gone too."""
    journal = SqliteJournal(fleet)
    journal.leave("fourth")
    journal.close()
    for options, departed in (((), 0), (("--departed", "5"), 5)):
        with runstate.open(fleet, read_only=True) as tracker:
            wanted = tracker.workers(departed=departed)
        found = json.loads(run(capsys, "workers", fleet, *options, "--json"))
        facts = ("incarnation", "state", "live", "host", "pid", "lease", "started_at_ns", "left_at_ns")
        assert [tuple(worker[name] for name in facts) for worker in found] == [
            tuple(worker.state.value if name == "state" else getattr(worker, name) for name in facts)
            for worker in wanted
        ]
        assert len(found) == 3 + (departed > 0)
    assert found[0]["fence"]["cause"] == "process_exited"
    assert found[0]["fence"]["by"] == found[1]["incarnation"]
    assert found[1]["fence"] is None
    assert 0 <= found[1]["renewed_age"] < 1e5


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_workers_is_readable_at_any_width(
    fleet: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """No line is longer than the terminal, no name is cut, and who fenced whom and why is there in full."""
    monkeypatch.setenv("COLUMNS", str(columns))
    printed = run(capsys, "workers", fleet)
    assert max(map(len, printed.splitlines())) <= columns
    assert all(name in printed for name in ("host:1:0123456789abcdef", "host:2:fedcba9876543210", "third", "fourth"))
    assert "by host:2:fedcba9876543210, PROCESS_EXITED: killed" in printed.squeezed
    assert "FENCED 1" in printed.squeezed
    assert "4 workers" in printed
    if columns >= 80:
        assert "10.00 s" in printed
        assert " ago" in printed


def test_a_killed_worker_is_not_called_alive(other: Other, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whose process was killed with nobody near is GONE, in the list and as an owner, with what shows it; the doctor counts it out."""
    (execution_id,) = other.ask("begin", 1)
    assert "ALIVE" in run(capsys, "workers", place)
    other.kill()
    said = "its process is gone: the kernel has let go of its lock; nobody has fenced it yet"
    for command in (("workers", place), ("show", execution_id, place)):
        printed = run(capsys, *command).squeezed
        assert f"{other.incarnation} GONE" in printed
        assert said in printed
        assert "ALIVE" not in printed
    (worker,) = json.loads(run(capsys, "workers", place, "--json"))
    assert (worker["state"], worker["gone"]) == ("alive", said.partition(";")[0])
    printed, _ = fails(capsys, 1, "doctor", place)
    assert "0 workers alive, 1 gone or silent, 1 live execution;" in printed.squeezed


def test_a_lease_that_has_run_out_is_not_called_alive(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A worker that stands still is ALIVE with a question mark, and under the list is when its lease ran out; the doctor counts it out."""
    other = Other(place, lease=0.2)
    (execution_id,) = other.ask("begin", 1)
    other.send(signal.SIGSTOP)
    try:
        wait_until(lambda: "ALIVE?" in run(capsys, "workers", place))
        for command in (("workers", place), ("show", execution_id, place)):
            printed = run(capsys, *command).squeezed
            assert f"{other.incarnation} ALIVE?" in printed
            assert re.search(r"its lease ran out .* ago: gone unless it comes back", printed)
        printed, _ = fails(capsys, 1, "doctor", place)
        assert "0 workers alive, 1 gone or silent, 1 live execution;" in printed.squeezed
    finally:
        other.end()


def test_nobody_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A journal that nobody writes has no workers."""
    assert run(capsys, "workers", str(small(tmp_path))) == "0 workers\n"


def small(tmp_path: Path) -> Path:
    """A closed, sound journal without anything live."""
    path = tmp_path / "small.db"
    with runstate.open(path) as tracker:
        tracker.create(agent="a", thread_id="t", user_id="u").run().complete("done")
    return path


# -- show -------------------------------------------------------------------------------------------------------------


def test_show_tells_what_others_have_to_do_with_it(fleet: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The owner's state and its fence, an end that came too late with its result, a request that stands."""
    late = run(capsys, "show", "late", fleet)
    assert "owner host:1:0123456789abcdef FENCED fenced " in late.squeezed
    assert "PROCESS_EXITED: killed" in late.squeezed
    assert "too late COMPLETED RETURNED tried" in late.squeezed
    assert 'result {"text": "done"}' in late.squeezed
    asked = run(capsys, "show", "z", fleet).squeezed
    assert "owner third ALIVE, its lease renewed" in asked
    assert "by a user" in asked
    data = json.loads(run(capsys, "show", "late", fleet, "--json"))
    assert (data["owner"]["state"], data["request"]) == ("fenced", None)
    assert (data["rejected"]["move"]["target"], data["rejected"]["move"]["result"]) == ("completed", {"text": "done"})
    data = json.loads(run(capsys, "show", "z", fleet, "--json"))
    assert (data["owner"]["state"], data["request"]["by"], data["rejected"]) == ("alive", "a user", None)


def test_foreign_text_of_a_fleet_reaches_no_terminal(fleet: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A fence's reason, a host's name and a request's reason are shown as text."""
    quoted = HOSTILE.replace("'", "''")
    forge(Path(fleet), f"UPDATE workers SET fence_reason = '{quoted}' WHERE number = 1",
          f"UPDATE workers SET host = '{quoted}' WHERE number = 2", f"UPDATE requests SET reason = '{quoted}'",
          f"UPDATE rejected SET error = '{quoted}', target = 'failed', cause = 'raised', result_json = NULL")  # fmt: skip
    for arguments in (("workers", fleet), ("show", "late", fleet), ("show", "z", fleet)):
        printed = run(capsys, *arguments)
        assert not CONTROL.search(printed)
        assert "[bold]loud[/bold]" in printed.squeezed
    said, _ = fails(capsys, 1, "doctor", fleet)
    assert not CONTROL.search(said)


# -- doctor -----------------------------------------------------------------------------------------------------------


def test_doctor_says_that_all_is_well(other: Other, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """While a worker works: exit code 0, each topic with its figures, and a last line that says so."""
    other.ask("begin", 2)
    said = run(capsys, "doctor", place)
    assert said.splitlines()[-1].startswith("well: nothing is amiss in ")
    assert "1 worker alive, 2 live executions" in said
    data = json.loads(run(capsys, "doctor", place, "--json"))
    assert data["journal"] == place
    assert {one["severity"] for one in data["diagnoses"]} == {"ok"}


def test_doctor_says_what_is_amiss(
    fleet: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A problem is exit code 1, comes first, with what was expected and what to do, at 80 columns; and the same as JSON."""
    monkeypatch.setenv("COLUMNS", "80")
    said, err = fails(capsys, 1, "doctor", fleet)
    assert err == ""
    assert max(map(len, said.splitlines())) <= 80
    assert said.startswith("PROBLEM  worker")
    found = runstate.diagnose(fleet)
    worst = found[0]
    for part in (worst.expected, f"do: {worst.advice}"):
        assert part in said.squeezed
    problems = sum(one.severity is Severity.PROBLEM for one in found)
    assert f" {problems} problem" in said.squeezed[-300:]
    out, _ = fails(capsys, 1, "doctor", fleet, "--json")
    data = json.loads(out)["diagnoses"]
    assert [(one["severity"], one["topic"]) for one in data] == [(one.severity.value, one.topic) for one in found]
    assert data[0]["execution_ids"] == ["x"]


@pytest.mark.parametrize("command", [("doctor",), ("workers",), ("show", "x"), ("cancel", "x")])
def test_an_error_is_one_line_and_a_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    """What is no journal: 4, and none is made; what lives in a process: 2; each in one line and nothing else."""
    (tmp_path / "text").write_text("no journal\n" * 100)
    newer = small_journal(tmp_path / "newer")
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("PRAGMA user_version = 99")
    cases = {"missing": (4, "does not exist"), "text": (4, "not a database"), "newer": (4, "upgrade runstate")}
    for name, (code, says) in cases.items():
        out, err = fails(capsys, code, *command, str(tmp_path / name))
        assert (out, err.count("\n"), says in err) == ("", 1, True), err
    assert not (tmp_path / "missing").exists()
    out, err = fails(capsys, 2, *command, "memory:")
    assert (out, "memory:" in err) == ("", True)


# -- cancel -----------------------------------------------------------------------------------------------------------


def test_cancel_has_another_process_cancel(other: Other, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The owner ends it as CANCELLED with the reason; --wait waits for that; once it has ended there is nothing to cancel."""
    first, second = other.ask("begin", 2)
    said = run(capsys, "cancel", first, place, "--reason", "too dear", "--wait", "30").squeezed
    assert f"cancelling {first}: asked for" in said
    assert said.endswith("too dear it is CANCELLED CANCELLED_BY_CALLER")
    with runstate.open(place, read_only=True) as reader:
        assert reader.get(first).state is ExecutionState.CANCELLED
        data = json.loads(run(capsys, "cancel", second, place, "--json"))
        assert (data["request"]["execution_id"], data["request"]["owner"]) == (second, other.incarnation)
        assert isinstance(reader.wait(second, timeout=30.0), Cancelled)
    _, err = fails(capsys, 1, "cancel", first, place)
    assert err.count("\n") == 1
    assert "CANCELLED" in err


def test_cancel_says_when_nobody_does_it_in_time(other: Other, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An owner that stands still does not cancel in time: exit code 1; the request stands, and is the first one's."""
    (execution_id,) = other.ask("begin", 1)
    other.send(signal.SIGSTOP)
    try:
        out, err = fails(capsys, 1, "cancel", execution_id, place, "--reason", "first", "--wait", "0.1")
        assert (out, "has not ended" in err, err.count("\n")) == ("", True, 1)
        assert ": first" in run(capsys, "cancel", execution_id, place, "--reason", "second")
        assert ": first" in run(capsys, "show", execution_id, place)
    finally:
        other.send(signal.SIGCONT)


def test_cancel_does_it_for_the_dead(other: Other, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a worker that was killed an execution that somebody wanted cancelled ends, one way or the other, without anybody else."""
    (execution_id,) = other.ask("begin", 1)
    other.kill()
    main(["cancel", execution_id, place, "--wait", "30"])
    capsys.readouterr()
    assert json.loads(run(capsys, "show", execution_id, place, "--json"))["execution"]["state"] in {"dead", "cancelled"}


def test_cancelling_the_dead_gives_no_advice_to_the_owner(
    other: Other, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who cancels an execution that was found dead hears what became of it, and not what its owner should do."""
    (execution_id,) = other.ask("begin", 1)
    other.kill()
    with runstate.open(place) as tracker:
        tracker.wait(execution_id, timeout=30.0)
        with pytest.raises(FencedError) as refused:
            tracker.cancel(execution_id)
        with pytest.raises(FencedError, match="Stop the work"):
            tracker.handle(execution_id)
    assert str(refused.value).endswith("; this call changed nothing")
    assert main(["cancel", execution_id, place]) != 0
    said = capsys.readouterr().err
    assert "DEAD" in said
    assert "Stop the work" not in said


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("nobody", "{}"), 3, "no execution 'nobody'"),
        (("late", "{}", "--wait", "-1"), 2, "--wait must be"),
        (("late", "{}", "--wait", "long"), 2, "long"),
        ((), 2, "ID"),
    ],
)
def test_what_cannot_be_cancelled(
    fleet: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, says: str
) -> None:
    """An execution that is not there, and a wait that is none, are refused."""
    before: Callable[[], bytes] = Path(fleet).read_bytes
    was = before()
    out, err = fails(capsys, code, "cancel", *(argument.format(fleet) for argument in arguments))
    assert (out, err.count("\n"), says in err) == ("", 1, True), err
    assert before() == was
