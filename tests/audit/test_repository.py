"""The audit of this repository, and the hook by which others run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from runstate.audit import Level, audit

from .projects import write
from .snippets import SNIPPETS

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

DELIBERATE = {
    "tests/mistakes": "each line is a mistake, for the checkers to find",
    "tests/legacy_stubs": "wrong calls, for the checkers to find",
    "tests/typing/negative.py": "wrong calls, for the checkers to find",
    "tests/test_errors.py": "gives a dict, to read the error",
    "tests/chaos/sluggish.py": "beats and does nothing else, to see that this is no death",
    "tests/test_verdicts_live.py": "beats and does nothing else, to see that this is no death",
    "tests/legacy": "ignores refusals and gives dicts, as the callers of the legacy trackers do",
}
"""Files of ours whose business is to do what the audit finds."""


def test_silent_on_our_own_code() -> None:
    """In our package, tests, benchmarks and scripts nothing is found but what is done on purpose."""
    folders = [ROOT / name for name in ("core", "tests", "bench", "scripts", "docs") if (ROOT / name).is_dir()]
    report = audit(folders)
    loud = [one for one in report.findings if one.level is not Level.NOTE]
    unexpected = [
        f"{one.path}:{one.line}: {one.rule}: {one.message}"
        for one in loud
        if not any(Path(one.path).is_relative_to(ROOT / name) for name in DELIBERATE)
    ]
    assert unexpected == []
    assert report.files > 50


def test_notes_on_our_own_code() -> None:
    """The only notes name what our tests do on purpose: enums that look like ours, and the error of issue #305, logged away."""
    notes = [one for one in audit([ROOT / "core", ROOT / "tests"]).findings if one.level is Level.NOTE]
    assert {one.rule for one in notes} <= {"state-lookalike", "string-comparison", "swallowed-error"}
    assert [one for one in notes if Path(one.path).is_relative_to(ROOT / "core")] == []


def test_the_hook_of_pre_commit_runs_the_audit(tmp_path: Path) -> None:
    """pre-commit runs the hook of our manifest in somebody's repository; only the environment is ours, not one made for it."""
    manifest = (ROOT / ".pre-commit-hooks.yaml").read_text()
    assert manifest.count("language: python\n") == 1
    hook = manifest.replace("language: python\n", "language: system\n")
    ours = write(tmp_path / "ours", {".pre-commit-hooks.yaml": re.sub(r"  additional_dependencies: .+\n", "", hook)})
    theirs = write(tmp_path / "theirs", {"app/module.py": SNIPPETS["dict: issue 305"]})
    for folder in (ours, theirs):
        _run(folder, "git", "init", "--quiet")
        _run(folder, "git", "add", ".")
    _run(ours, "git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "--message", "hooks")
    done = _run(theirs, "pre-commit", "try-repo", str(ours), "runstate-audit", "--all-files", fails=True)
    assert "- exit code: 1\n\napp/module.py:10:" in done
    (theirs / "app/module.py").write_text("x = 1\n")
    assert "Passed" in _run(theirs, "pre-commit", "try-repo", str(ours), "runstate-audit", "--all-files")


def _run(folder: Path, *command: str, fails: bool = False) -> str:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"PATH": programs, "PRE_COMMIT_HOME": str(folder.parent / "cache")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == int(fails), done.stdout + done.stderr
    return done.stdout


def test_the_hook_installs_what_the_command_line_needs() -> None:
    """The environment that pre-commit makes has the extra `cli`: the manifest names the same ranges."""
    manifest = ROOT / ".pre-commit-hooks.yaml"
    _run(ROOT, "pre-commit", "validate-manifest", str(manifest))
    wanted = re.findall(r'"([a-z]+>=[^"]+)"', manifest.read_text())
    assert wanted == PROJECT["project"]["optional-dependencies"]["cli"]
