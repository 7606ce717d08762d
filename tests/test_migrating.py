"""The migration guide: followed from its first line to its last on a code base that the test writes, it does what it says."""

from __future__ import annotations

import ast
import importlib
import json
import re
from pathlib import Path

import pytest

import runstate
import runstate.legacy
import runstate.migrate

from .documents import DOCS, shown_file
from .guide import GUIDE, STEPS, renewed


def is_pyright(command: str) -> bool:
    """Whether a command needs what only the development environment has."""
    return command.startswith("pyright")


def test_the_guide_from_end_to_end(tmp_path: Path) -> None:
    """Every command prints what the guide quotes; the SARIF that it makes is a log of one run."""
    assert renewed(tmp_path.resolve(), lambda command: not is_pyright(command)) == GUIDE
    assert len(json.loads((tmp_path / "runstate.sarif").read_text())["runs"]) == 1


@pytest.mark.checkers
def test_pyright_says_what_the_guide_quotes(tmp_path: Path) -> None:
    """With the settings of the guide pyright prints what it quotes."""
    assert renewed(tmp_path.resolve(), is_pyright) == GUIDE


def test_all_three_steps_are_followed() -> None:
    """The guide shows each tool at work: stubs, two checkers, the audit, the codemod, a program, the verifier."""
    programs = {step.text.split()[0] for step in STEPS if step.file is None}
    commands = {" ".join(step.text.split()[:2]) for step in STEPS if step.text.startswith("runstate")}
    assert {"mypy", "pyright", "python", "echo"} <= programs
    assert commands == {"runstate stubs", "runstate audit", "runstate migrate", "runstate verify"}


def test_the_settings_are_those_that_were_measured() -> None:
    """The guide sets mypy and pyright up as on the page that says what they find."""
    for name in ("mypy.ini", "pyrightconfig.json"):
        assert shown_file("migrating.md", name) == shown_file("static.md", f"legacy/{name}")


def test_the_reasons_are_those_of_the_list() -> None:
    """Each reason that the guide explains is one that `runstate migrate` gives, word for word between its gaps."""
    (home,) = runstate.migrate.__path__
    source = "".join(path.read_text(encoding="utf-8") for path in Path(home).glob("*.py"))
    table = GUIDE.partition("| the list says |")[2].partition("\n\n")[0]
    reasons = re.findall(r"^\| (.+?) \| ", table, re.MULTILINE)
    parts = [part.strip() for reason in reasons for part in re.split(r"…|\(.+?\)", reason) if part.strip(" *")]
    assert len(parts) >= len(reasons) >= 8
    assert [part for part in parts if part not in source] == []


def test_the_hook_is_ours() -> None:
    """The pre-commit hook that the guide configures is one of our manifest."""
    (config,) = (step.text for step in STEPS if step.file == ".pre-commit-config.yaml")
    (hook,) = re.findall(r"- id: (\S+)", config)
    manifest = DOCS.parent / ".pre-commit-hooks.yaml"
    if manifest.is_file():  # a wheel's leg has no manifest
        assert f"- id: {hook}\n" in manifest.read_text(encoding="utf-8")


def test_facades_are_there() -> None:
    """Each facade that the guide names, C's modules included, can be imported, and says what it exports."""
    (modules,) = re.findall(r"^\| C \| `agents\.execution_tracking\.tracker`, (.+?) \|", GUIDE, re.MULTILINE)
    inner = [f"runstate.legacy.execution_tracking.{name}" for name in ("tracker", *re.findall(r"\.(\w+)", modules))]
    named = re.findall(r"`(runstate\.legacy\.\w*track\w*)`", GUIDE)
    assert len(inner) == 4
    for name in {*named, *inner}:
        assert importlib.import_module(name).__all__


def test_every_legacy_call_has_its_native_name() -> None:
    """The table has each call of the facades exactly once, and what it names instead is there."""
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (.+) \|$", GUIDE.partition("<!-- legacy names -->")[2], re.MULTILINE)
    names = [name for legacy, _ in rows for name in re.findall(r"`(\w+)`", legacy)]
    assert sorted(names) == sorted(legacy_calls())
    for native in (name for _, cell in rows for name in re.findall(r"`((?:runstate\.)?[A-Z]\w+(?:\.\w+)*)", cell)):
        found: object = runstate
        for part in native.removeprefix("runstate.").split(".")[:2]:
            found = getattr(found, part)


def legacy_calls() -> set[str]:
    """The names of all public calls of the facades that name a replacement."""
    (home,) = runstate.legacy.__path__
    return {
        node.name
        for path in Path(home).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for one in node.decorator_list
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id == "legacy_call"
    }
