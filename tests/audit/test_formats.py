"""`runstate audit`: text, JSON and SARIF, the exit codes, and the progress bar."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from runstate.audit import RULES, audit
from runstate.cli import main

from ..commands import CONTROL, HOSTILE
from .code_bases import PROJECTS
from .projects import write
from .snippets import SNIPPETS


@pytest.fixture
def wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A code base with findings of every level, which is the current directory."""
    write(tmp_path, PROJECTS["three truths"])
    write(tmp_path, {"app/module.py": SNIPPETS["swallowed: in every way"], "app/issue.py": SNIPPETS["dict: issue 305"]})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> str:
    """Run the command in this process; return what it printed on standard output."""
    assert main(["audit", *arguments]) == code
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


# -- SARIF ------------------------------------------------------------------------------------------------------------


class Part(BaseModel):
    """A part of SARIF 2.1.0 (OASIS), as far as it is used here; required where the standard requires it."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Message(Part):
    """§3.11."""

    text: Annotated[str, Field(min_length=1)]


class Location(Part):
    """§3.4: a relative URI reference needs a base."""

    uri: Annotated[str, Field(pattern=r"^[A-Za-z0-9\-._~!$&'()*+,;=:@/%]+$")]
    uriBaseId: str | None = None  # noqa: N815 - the standard's name


class Region(Part):
    """§3.30."""

    startLine: Annotated[int, Field(ge=1)]  # noqa: N815 - the standard's name
    startColumn: Annotated[int, Field(ge=1)]  # noqa: N815 - the standard's name


class Physical(Part):
    """§3.29."""

    artifactLocation: Location  # noqa: N815 - the standard's name
    region: Region


class Place(Part):
    """§3.28."""

    physicalLocation: Physical  # noqa: N815 - the standard's name


class Configuration(Part):
    """§3.50."""

    level: Literal["none", "note", "warning", "error"]


class Descriptor(Part):
    """§3.49."""

    id: Annotated[str, Field(pattern=r"^[a-z]+(-[a-z]+)*$")]
    shortDescription: Message  # noqa: N815 - the standard's name
    help: Message
    defaultConfiguration: Configuration  # noqa: N815 - the standard's name


class Result(Part):
    """§3.27."""

    ruleId: str  # noqa: N815 - the standard's name
    ruleIndex: Annotated[int, Field(ge=0)]  # noqa: N815 - the standard's name
    level: Literal["none", "note", "warning", "error"]
    message: Message
    locations: Annotated[list[Place], Field(min_length=1)]
    partialFingerprints: dict[str, Annotated[str, Field(min_length=1)]]  # noqa: N815 - the standard's name


class Driver(Part):
    """§3.19."""

    name: Annotated[str, Field(min_length=1)]
    semanticVersion: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+")]  # noqa: N815 - the standard's name
    rules: list[Descriptor]


class Tool(Part):
    """§3.18."""

    driver: Driver


class Run(Part):
    """§3.14."""

    tool: Tool
    columnKind: Literal["utf16CodeUnits", "unicodeCodePoints"]  # noqa: N815 - the standard's name
    results: list[Result]


class Log(Part):
    """§3.13."""

    schema_: Annotated[str, Field(alias="$schema", pattern=r"^https://.*sarif-schema-2\.1\.0\.json$")]
    version: Literal["2.1.0"]
    runs: Annotated[list[Run], Field(min_length=1)]


def test_sarif_is_what_the_standard_asks_for(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything that the standard requires is there, refers to a rule that is there, and points to the right lines."""
    log = Log.model_validate_json(run(capsys, ".", "--sarif", code=1))
    (one,) = log.runs
    rules = one.tool.driver.rules
    assert [rule.id for rule in rules] == [rule.id for rule in RULES]
    assert all(rules[result.ruleIndex].id == result.ruleId for result in one.results)
    expected = audit(["."], jobs=1).findings
    located = [(result.locations[0].physicalLocation, result.ruleId, result.level) for result in one.results]
    assert [
        (at.artifactLocation.uri, at.region.startLine, at.region.startColumn, rule, level)
        for at, rule, level in located
    ] == [(found.path, found.line, found.column, found.rule, found.level.value) for found in expected]
    assert {at.artifactLocation.uriBaseId for at, _, _ in located} == {"%SRCROOT%"}
    fingerprints = [
        (at.artifactLocation.uri, result.ruleId, *result.partialFingerprints.values())
        for (at, _, _), result in zip(located, one.results, strict=True)
    ]
    assert len(set(fingerprints)) == len(fingerprints)


def test_sarif_of_a_file_elsewhere_and_with_an_odd_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path outside of the current directory is a file URI, and what is special in URIs is escaped."""
    write(tmp_path, {"a b/ä%?#.py": SNIPPETS["dict: issue 305"], "here/empty.py": ""})
    for here, uri in ((tmp_path, "a%20b/%C3%A4%25%3F%23.py"), (tmp_path / "here", f"{(tmp_path / 'a b').as_uri()}/")):
        monkeypatch.chdir(here)
        log = Log.model_validate_json(run(capsys, str(tmp_path), "--sarif", code=1))
        assert log.runs[0].results[0].locations[0].physicalLocation.artifactLocation.uri.startswith(uri)


# -- text and JSON ----------------------------------------------------------------------------------------------------


def test_text_has_a_line_for_each_finding(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each finding is one line that an editor can jump to; below are the competing definitions with their mapping."""
    printed = run(capsys, ".", code=1)
    findings = audit(["."], jobs=1).findings
    for one in findings:
        start = f"{one.path}:{one.line}:{one.column}: {one.level.value} {one.rule}: {one.message}; {one.remedy}"
        assert start in printed.splitlines()
    assert "4 definitions of an execution's states in 3 modules, and there should be one" in printed
    squeezed = " ".join(printed.split())
    assert "COMPLETED SUCCESS – done –" in squeezed
    assert re.search(r"1 error, \d+ warnings, \d notes in 6 files\n$", printed)


def test_json_has_everything(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON document holds each field of each finding and definition."""
    data = json.loads(run(capsys, ".", "--json", code=1))
    report = audit(["."], jobs=1)
    assert data["files"] == report.files
    assert data["findings"] == [{**one._asdict(), "level": one.level.value} for one in report.findings]
    by_name = {f"{one['module']}.{one['name']}": one for one in data["definitions"]}
    assert by_name["app.a.ExecutionState"]["members"] == {
        "PENDING": "pending", "RUNNING": "running", "SUCCESS": "completed",
    }  # fmt: skip


def test_foreign_text_reaches_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names of files and texts in code are shown escaped."""
    source = SNIPPETS["text: spelled"].replace('"completed"', repr(HOSTILE))
    write(tmp_path, {"a\x1b[31m.py": source})
    for options in ((), ("--json",), ("--sarif",)):
        assert not CONTROL.search(run(capsys, str(tmp_path), *options, code=1).replace("\n", ""))


# -- exit codes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "options", "code"),
    [
        ("", (), 0),
        ("dict: issue 305", (), 1),
        ("dict: issue 305", ("--fail-on", "error"), 1),
        ("dict: issue 305", ("--rule", "str-state"), 0),
        ("dict: issue 305", ("--rule", "str-state", "--rule", "dict-state"), 1),
        ("dict: issue 305", ("--exclude", "app"), 0),
        ("refusal: ignored", (), 1),
        ("refusal: ignored", ("--fail-on", "error"), 0),
    ],
)
def test_the_exit_code_says_whether_something_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, options: tuple[str, ...], code: int
) -> None:
    """1 for a finding of the level that fails, or a worse one, and 0 for none."""
    write(tmp_path, {"app/module.py": SNIPPETS[source] if source else "x = 1\n"})
    run(capsys, str(tmp_path), *options, "--jobs", "1", code=code)


def test_notes_fail_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A look-alike that stands alone is shown, and does not fail unless notes shall."""
    write(tmp_path, {"a.py": PROJECTS["three truths"]["app/a.py"]})
    assert "note state-lookalike" in run(capsys, str(tmp_path), code=0)
    run(capsys, str(tmp_path), "--fail-on", "note", code=1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "PATH"),
        (("nowhere",), "PATH must be a file or directory that exists"),
        ((".", "--rule", "no-rule"), "rule must be one of"),
        ((".", "--jobs", "0"), "jobs must be"),
        ((".", "--jobs", "many"), "many"),
        ((".", "--sarif", "--json"), "not both"),
        ((".", "--fail-on", "worst"), "worst"),
        ((".", "--write-baseline"), "--baseline FILE"),
        ((".", "--baseline", "nowhere.json"), "baseline must be"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_code_2(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    says: str,
) -> None:
    """Nothing on standard output, one line on standard error, exit code 2."""
    monkeypatch.chdir(tmp_path)
    assert main(["audit", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert says in err


def test_a_baseline_in_ci(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Written once, what is there does not fail any more; what is added does."""
    assert "written to known.json" in run(capsys, "app", "--baseline", "known.json", "--write-baseline", code=0)
    assert re.search(r"nothing found in 6 files; \d+ known", run(capsys, "app", "--baseline", "known.json", code=0))
    write(wrong, {"app/new.py": SNIPPETS["dict: issue 305"]})
    found = json.loads(run(capsys, "app", "--baseline", "known.json", "--json", code=1))["findings"]
    assert [(one["path"], one["rule"]) for one in found] == [("app/new.py", "dict-state")]


def test_the_progress_bar_is_for_terminals(wrong: Path) -> None:
    """On a terminal a bar is drawn on standard error, and taken away; in a pipe there is none."""
    command = [sys.executable, "-m", "runstate", "audit", ".", "--json"]
    piped = subprocess.run(command, capture_output=True, check=False)
    assert (piped.returncode, piped.stderr) == (1, b"")
    master, slave = pty.openpty()
    try:
        shown = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=slave, check=False, env={**os.environ, "TERM": "xterm"}
        )
        drawn = os.read(master, 65_536).decode()
    finally:
        os.close(slave)
        os.close(master)
    assert shown.stdout == piped.stdout
    assert "auditing" in drawn


@pytest.mark.parametrize("form", [(), ("--json",), ("--sarif",)])
def test_a_closed_pipe_is_quiet(wrong: Path, form: tuple[str, ...]) -> None:
    """When the reader has gone, the audit stops without a word, with the exit code of a broken pipe."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "runstate", "audit", ".", *form]
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run(command, cwd=wrong, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (141, "")
