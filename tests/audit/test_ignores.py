"""What is ignored on purpose, and what was known before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runstate import InvalidValueError
from runstate.audit import Finding, Level, audit, new_findings, write_baseline

from .projects import write
from .snippets import SNIPPETS

LINES = (
    "from netra_backend.app.core.agent_execution_tracker import get_execution_tracker\n"
    "tracker = get_execution_tracker()\n"
)
CALL = "tracker.update_execution_state('x', {})"


def rules(folder: Path) -> list[str]:
    """The rules of all findings, in their order."""
    return [one.rule for one in audit([folder], jobs=1).findings]


@pytest.mark.parametrize(
    ("line", "left"),
    [
        (CALL, ["ignored-refusal", "dict-state"]),
        (f"{CALL}  # runstate: ignore", []),
        (f"{CALL}  #runstate:ignore", []),
        (f"{CALL}  # runstate: ignore[dict-state]", ["ignored-refusal"]),
        (f"{CALL}  # runstate: ignore[dict-state, ignored-refusal]", []),
        (f"{CALL}  # noqa: X100  # runstate: ignore[dict-state,ignored-refusal]  # because", []),
        (f"{CALL}  # runstate: ignore[str-state]", ["ignored-refusal", "dict-state", "unused-ignore"]),
        (f"{CALL}  # runstate: ignore[dict-state, str-state]", ["ignored-refusal", "unused-ignore"]),
        (f"{CALL}  # runstate: ignored", ["ignored-refusal", "dict-state"]),
        (f"{CALL}; x = '# runstate: ignore'", ["ignored-refusal", "dict-state"]),
        ("x = 1  # runstate: ignore", ["unused-ignore"]),
        ("x = 1  # runstate: ignore[no-such-rule]", ["unused-ignore"]),
    ],
)  # fmt: skip
def test_a_comment_ignores_its_line(tmp_path: Path, line: str, left: list[str]) -> None:
    """Bare it ignores every rule, with names those; what it does not ignore is reported as a note."""
    write(tmp_path, {"module.py": f"{LINES}{line}\n"})
    assert rules(tmp_path) == left
    assert all(one.level is Level.NOTE for one in audit([tmp_path], jobs=1).findings if one.rule == "unused-ignore")


def test_definitions_can_be_ignored(tmp_path: Path) -> None:
    """The line of a class is where its definition is ignored."""
    text = "from enum import Enum\nclass JobState(Enum):  # runstate: ignore[state-lookalike]\n"
    write(tmp_path, {"module.py": f"{text}    PENDING = 1\n    RUNNING = 2\n    FAILED = 3\n"})
    assert rules(tmp_path) == []


# -- baseline ---------------------------------------------------------------------------------------------------------


def _audited(folder: Path, text: str) -> tuple[Finding, ...]:
    write(folder, {"module.py": text})
    return audit([folder], jobs=1).findings


def test_only_new_findings_are_left(tmp_path: Path) -> None:
    """What a baseline knows is left out, however far its lines have moved; one more of the same is new."""
    known = f"{LINES}def f():\n    {CALL}\n"
    baseline = tmp_path / "baseline.json"
    write_baseline(baseline, _audited(tmp_path, known))
    assert new_findings(baseline, _audited(tmp_path, known)) == ()
    moved = f"# one\n# two\n{LINES}\n\ndef g(): ...\n\ndef f():\n        {CALL}\n"
    assert new_findings(baseline, _audited(tmp_path, moved)) == ()
    twice = f"{known}    {CALL}\n"
    assert [one.line for one in new_findings(baseline, _audited(tmp_path, twice))] == [5, 5]
    elsewhere = f"{known}def g():\n    {CALL}\n"
    assert [one.line for one in new_findings(baseline, _audited(tmp_path, elsewhere))] == [6, 6]


def test_a_baseline_is_as_good_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in it are relative to its own folder, so it can be checked in, and does not depend on where the audit starts."""
    write(tmp_path, {"app/module.py": SNIPPETS["dict: issue 305"]})
    baseline = tmp_path / "baseline.json"
    monkeypatch.chdir(tmp_path)
    write_baseline("baseline.json", audit(["app"], jobs=1).findings)
    monkeypatch.chdir(tmp_path / "app")
    assert new_findings(baseline, audit(["module.py"], jobs=1).findings) == ()
    assert str(tmp_path) not in baseline.read_text()


def test_a_baseline_is_stable(tmp_path: Path) -> None:
    """Written again for the same findings it is the same file."""
    findings = _audited(tmp_path, SNIPPETS["swallowed: in every way"])
    for name in ("one", "two"):
        write_baseline(tmp_path / name, reversed(findings) if name == "two" else findings)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize(
    "content", [None, "", "[]", "{}", '{"version": 99, "findings": []}', '{"version": 1, "findings": [1]}']
)
def test_what_is_no_baseline_is_refused(tmp_path: Path, content: str | None) -> None:
    """A baseline that is missing, empty, newer or something else is an error, and never an empty one."""
    file = tmp_path / "baseline.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InvalidValueError, match=r"baseline must be a (file that can be read|baseline that)"):
        new_findings(file, ())


def test_a_baseline_can_be_read(tmp_path: Path) -> None:
    """It says for each finding which file, which rule and what."""
    write_baseline(tmp_path / "b.json", _audited(tmp_path, SNIPPETS["dict: issue 305"]))
    (one,) = json.loads((tmp_path / "b.json").read_text())["findings"]
    assert (one["path"], one["rule"]) == ("module.py", "dict-state")
    assert one["message"].startswith("a dict is given")
