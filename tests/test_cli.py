"""`runstate`: what the commands print, for people and as JSON, and their errors and exit codes."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import runstate
from runstate import TRANSITIONS, ExecutionState, ExecutionTracker, Phase
from runstate._codec import decode_record_json
from runstate.cli import main

from .commands import Output, fill, ids, run
from .forging import forge, small_journal


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tracker's journal is."""
    return tmp_path_factory.mktemp("cli") / "runs.db"


@pytest.fixture(scope="module")
def tracker(journal: Path) -> Iterator[ExecutionTracker]:
    """An open tracker with executions in several states; the commands read its file from outside."""
    with runstate.open(journal) as tracker:
        fill(tracker)
        yield tracker


@pytest.fixture
def path(tracker: ExecutionTracker, journal: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of the tracker's journal, which the environment also names."""
    monkeypatch.setenv("RUNSTATE_JOURNAL", str(journal))
    return str(journal)


# -- ls ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "filters"),
    [
        ((), {}),
        (("--state", "failed"), {"state": ExecutionState.FAILED}),
        (("--state", "pending"), {"state": ExecutionState.PENDING}),
        (("--agent", "hotel"), {"agent": "hotel"}),
        (("--thread-id", "t-2"), {"thread_id": "t-2"}),
        (("--user-id", "omar"), {"user_id": "omar"}),
        (("--user-id", "omar", "--agent", "hotel", "--state", "running"),
         {"user_id": "omar", "agent": "hotel", "state": ExecutionState.RUNNING}),
        (("--limit", "2"), {"limit": 2}),
        (("--message-id", "m-1"), {"message_id": "m-1"}),
        (("--agent", "nobody"), {"agent": "nobody"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_ls_filters_as_find_does(
    tracker: ExecutionTracker,
    path: str,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    filters: dict[str, Any],
) -> None:
    """Every option of ls is the filter of the same name, and the newest comes first."""
    found = [record.execution_id for record in tracker.find(**filters)]
    assert ids(run(capsys, "ls", *options, "--json")) == found
    shown = run(capsys, "ls", *options)
    assert [one for one in shown.split() if one in set(found)] == found
    assert f"{len(found)} execution{'' if len(found) == 1 else 's'}" in shown


def test_the_json_of_a_record_can_be_decoded_strictly(
    tracker: ExecutionTracker, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ls and show print as JSON decodes, strictly, to the record that the tracker itself gives."""
    for data in json.loads(run(capsys, "ls", "--json")):
        assert decode_record_json(json.dumps(data)) == tracker.get(data["execution_id"])
        shown = json.loads(run(capsys, "show", data["execution_id"], "--json"))
        assert shown["execution"] == data


@pytest.mark.parametrize("columns", ["20", "80", "200"])
def test_ids_are_never_cut(
    tracker: ExecutionTracker,
    path: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: str,
) -> None:
    """However narrow the terminal, every id can be copied whole."""
    monkeypatch.setenv("COLUMNS", columns)
    printed = run(capsys, "ls")
    assert all(record.execution_id in printed for record in tracker.find())


@pytest.mark.parametrize(
    "arguments",
    [("ls", "{}"), ("ls", "--journal", "{}"), ("ls", "-j", "{}"), ("ls", "sqlite:///{}"), ("verify", "-j", "{}")],
)
def test_the_journal_is_named_the_same_way_everywhere(
    path: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """As an argument, as an option, as a URL; and what is named comes before the environment."""
    monkeypatch.setenv("RUNSTATE_JOURNAL", "nowhere.db")
    run(capsys, *(argument.format(path) for argument in arguments))


def test_without_a_name_the_journal_is_runs_db(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With neither an argument nor the environment it is runs.db here."""
    monkeypatch.delenv("RUNSTATE_JOURNAL", raising=False)
    monkeypatch.chdir(tmp_path)
    small_journal(tmp_path / "runs.db")
    assert len(ids(run(capsys, "ls", "--json"))) == 3


# -- show -------------------------------------------------------------------------------------------------------------


def test_show_tells_the_whole_story(tracker: ExecutionTracker, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A completed execution: facts, limits, every move and phase in order with its time, the evidence and the result."""
    (record,) = tracker.find(state=ExecutionState.COMPLETED)
    printed = run(capsys, "show", record.execution_id)
    story = [
        f"execution {record.execution_id} COMPLETED RETURNED", "agent airline", "thread t-1", "user mia",
        "limits 25.00 s in all, 10.00 s without a beat", 'metadata {"tier": "free"}',
        "1 20", "created", "PENDING → STARTING", "STARTING → RUNNING", "TOOL_EXECUTION get_user_details",
        "RUNNING → COMPLETING", "COMPLETING → COMPLETED RETURNED", 'result {"text": "booked", "seats": [1, null, 2.5]}',
        "evidence decided by owner; 1 heartbeat,", "in phase TOOL_EXECUTION get_user_details",
    ]  # fmt: skip
    at = 0
    for part in story:
        assert part in printed.squeezed[at:], f"{part!r} is missing, or comes too early, in:\n{printed}"
        at = printed.squeezed.index(part, at)


def test_show_says_why_it_ended(tracker: ExecutionTracker, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A cancelled one has its reason, one that died its cause, a live one no end, a pending one only its creation."""
    by_state = {record.state: record.execution_id for record in tracker.find()}
    assert "reason given: the client left" in run(capsys, "show", by_state[ExecutionState.CANCELLED]).squeezed
    assert "PENDING → DEAD PROCESS_EXITED" in run(capsys, "show", by_state[ExecutionState.DEAD]).squeezed
    live = run(capsys, "show", by_state[ExecutionState.RUNNING]).squeezed
    assert "LLM_INTERACTION gpt-4o" in live
    assert "evidence" not in live
    assert "→" not in run(capsys, "show", by_state[ExecutionState.PENDING])


def test_the_json_of_a_history_has_every_entry(
    tracker: ExecutionTracker, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The timeline has a line for each entry, with its kind, time, and what belongs to its kind."""
    (record,) = tracker.find(state=ExecutionState.COMPLETED)
    timeline = json.loads(run(capsys, "show", record.execution_id, "--json"))["timeline"]
    log = tracker.timeline(record.execution_id)
    assert [(entry["seq"], entry["at_ns"]) for entry in timeline] == [(entry.seq, entry.at_ns) for entry in log]
    assert [entry["kind"] for entry in timeline] == ["created", *["transition"] * 2, "phase", *["transition"] * 2]
    assert timeline[3]["phase"] == "tool_execution"
    assert timeline[-1]["cause"] == "returned"
    assert timeline[-1]["result"] == record.result
    assert timeline[-1]["evidence"]["last_phase"] == "tool_execution"


# -- states -----------------------------------------------------------------------------------------------------------


def test_the_diagram_has_exactly_the_moves_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Every arrow of the mermaid diagram is a pair of the table, and every pair is an arrow."""
    first, *lines = run(capsys, "states", "--mermaid").splitlines()
    assert first == "flowchart LR"
    arrows = [
        (source, target)
        for source, targets in (line.strip().split(" --> ") for line in lines)
        for target in targets.split(" & ")
    ]
    assert len(arrows) == len(set(arrows))
    assert set(arrows) == {(source.name, target.name) for source, targets in TRANSITIONS.items() for target in targets}


def test_the_table_is_printed_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """Each state with what it may become, each end with its causes; the same as JSON."""
    printed = run(capsys, "states").squeezed
    assert "COMPLETING COMPLETED, FAILED, TIMEOUT, DEAD, CANCELLED" in printed
    assert "FAILED nothing: an end is final RAISED, REPORTED, NO_OUTCOME" in printed
    assert "22 of 81 pairs are legal" in printed
    data = json.loads(run(capsys, "states", "--json"))
    assert {
        ExecutionState(source): frozenset(map(ExecutionState, targets))
        for source, targets in data["transitions"].items()
    } == dict(TRANSITIONS)
    assert data["phases"] == [phase.value for phase in Phase]


# -- verify -----------------------------------------------------------------------------------------------------------


def test_verify_says_sound_or_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sound journal is exit code 0; each finding is a row and an object, and exit code 1."""
    journal = str(small_journal(tmp_path / "runs.db"))
    assert run(capsys, "verify", journal).startswith("sound: every invariant holds")
    assert json.loads(run(capsys, "verify", journal, "--json")) == {"journal": journal, "findings": []}
    forge(Path(journal), "UPDATE executions SET state = 'failed' WHERE number = 1", "CREATE TABLE mine (x)")
    assert main(["verify", journal]) == 1
    printed = Output(capsys.readouterr().out).squeezed
    assert "2 found wrong" in printed
    assert "schema table 'mine' does not belong to a journal" in printed
    assert main(["verify", journal, "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert findings == [finding._asdict() for finding in runstate.verify(journal)]
    assert {finding["rule"] for finding in findings} == {"schema", "fold"}


# -- errors and exit codes --------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Files that are no journal that could be read, and one that is."""
    made = {
        name: str(tmp_path / name)
        for name in ("sound", "newer", "text", "other", "undecodable", "missing", "directory")
    }
    small_journal(Path(made["sound"]))
    for name in ("newer", "undecodable"):
        shutil.copy(made["sound"], made[name])
    with closing(sqlite3.connect(made["newer"])) as connection:
        connection.execute("PRAGMA user_version = 99")
    with closing(sqlite3.connect(made["other"])) as connection:
        connection.execute("CREATE TABLE t (x)")
    forge(Path(made["undecodable"]), "UPDATE executions SET state = 'limbo' WHERE number = 1")
    Path(made["text"]).write_text("no journal\n" * 100)
    Path(made["directory"]).mkdir()
    return made


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("show", "nobody", "{sound}"), 3, "no execution 'nobody'"),
        *((("ls", f"{{{name}}}"), 4, says) for name, says in [
            ("missing", "does not exist"), ("newer", "upgrade runstate"), ("text", "not a database"),
            ("other", "no runstate journal"), ("directory", "is a directory"), ("undecodable", "not a valid record at state")]),
        *((("verify", f"{{{name}}}"), 4, says) for name, says in [
            ("missing", "does not exist"), ("newer", "upgrade runstate"), ("text", "no SQLite file"),
            ("other", "no runstate journal"), ("directory", "no regular file")]),
        (("show", "nobody", "{missing}"), 4, "does not exist"),
        (("ls", "-j", "memory:"), 2, "memory:"),
        (("ls", "mysql://host/db"), 2, "no other store is known here"),
        (("verify", "memory:"), 2, "memory:"),
        (("ls", "--state", "sleeping", "{sound}"), 2, "sleeping"),
        (("ls", "--limit", "0", "{sound}"), 2, "limit must be between"),
        (("ls", "--limit", "many", "{sound}"), 2, "many"),
        (("ls", "--agent", "", "{sound}"), 2, "agent must be"),
        (("ls", "--colour", "{sound}"), 2, "--colour"),
        (("ls", "{sound}", "{sound}"), 2, ""),
        (("show",), 2, "ID"),
        (("show", "", "{sound}"), 2, "execution_id must be"),
        (("states", "--mermaid", "--json"), 2, "not both"),
        (("lsx",), 2, "lsx"),
        (("demo", "--journal", "{sound}"), 2, "already there"),
        (("demo", "--journal", "{directory}"), 2, "already there"),
        (("demo", "--journal", "memory:"), 2, "memory:"),
        (("demo", "--journal", "{missing}/deeper/runs.db"), 4, "unable to open"),
        (("demo", "--speed", "0"), 2, "--speed"),
        (("demo", "--speed", "nan"), 2, "--speed"),
        (("demo", "--faults", "2"), 2, "--faults"),
        (("demo", "--faults", "nan"), 2, "--faults"),
        (("demo", "--faults", "some"), 2, "some"),
        (("demo", "--seed", "x"), 2, "x"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_an_error_is_one_line_and_a_code(
    files: dict[str, str], capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, says: str
) -> None:
    """Nothing on standard output, one line on standard error that says what was wrong, and the exit code of its kind."""
    given = main([argument.format(**files) for argument in arguments])
    out, err = capsys.readouterr()
    assert (given, out) == (code, "")
    assert err.count("\n") == 1
    assert err.startswith("runstate: ")
    assert says in err


def test_the_real_commands_errors_are_the_same(files: dict[str, str]) -> None:
    """Outside of this process too: one line, no traceback, the exit code; as a module and as the installed script."""
    script = Path(sys.executable).with_name("runstate")
    for start in ([sys.executable, "-m", "runstate"], [str(script)]):
        for arguments, code in [(("show", "x", files["sound"]), 3), (("ls", files["text"]), 4), (("ls", "--no"), 2)]:
            done = subprocess.run([*start, *arguments], capture_output=True, text=True, check=False)
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), done
        assert subprocess.run([*start, "verify", files["sound"]], capture_output=True, check=False).returncode == 0


def test_what_cannot_be_read_as_json_is_still_json(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """`verify --json` prints its finding also where there is no journal to check."""
    assert main(["verify", files["missing"], "--json"]) == 4
    out, err = capsys.readouterr()
    assert [finding["rule"] for finding in json.loads(out)["findings"]] == ["file"]
    assert err.count("\n") == 1


def test_the_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` lists every exit code and command; each command has a help of its own; --version is the package's."""
    text = run(capsys, "--help")
    assert [int(code) for code in re.findall(r"^ +(\d+) {2,}\w", text, re.MULTILINE)] == [0, 1, 2, 3, 4, 130, 141]
    for name in ("ls", "show", "states", "verify", "demo"):
        assert re.search(rf"\b{name}\b", text)
        assert "--json" in run(capsys, name, "--help")
    assert run(capsys, "--version").strip() == runstate.__version__
    assert "RUNSTATE_JOURNAL" in run(capsys, "ls", "--help")
