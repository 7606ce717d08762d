"""The README: what it shows is what happens."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from runstate import TRANSITIONS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PERFORMANCE = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
BIN_ONLY_IN_DEVELOPMENT = ("pyright",)


def _load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("readme_script", ROOT / "scripts" / "readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = _load_script()
FILES: dict[str, str] = script.files(README)
TRANSCRIPTS = script.transcripts(README)


def _param(command: str, printed: str) -> object:
    marks = [pytest.mark.checkers] if command.startswith(BIN_ONLY_IN_DEVELOPMENT) else []
    return pytest.param(command, printed, id=command, marks=marks)


@pytest.mark.parametrize(("command", "printed"), [_param(one.command, one.printed) for one in TRANSCRIPTS])
def test_commands(command: str, printed: str) -> None:
    """Every command that the README shows with its output prints exactly that."""
    assert script.printed_by(command, FILES) == printed


def test_commands_are_found() -> None:
    """The README shows its example's output, what two type checkers and production say of a dict, and the diagram."""
    shown = [one.command.split()[0] for one in TRANSCRIPTS]
    assert shown == ["python", "mypy", "pyright", "python", "runstate"]


def test_example_is_typed() -> None:
    """The README's example passes mypy in strict mode, with exhaustive matches demanded."""
    said = script.printed_by("mypy --strict --enable-error-code exhaustive-match example.py", FILES)
    assert said == "Success: no issues found in 1 source file\n"


def test_example_without_an_outcome() -> None:
    """Leaving an outcome out of the example's match is an error that names it, as the example's comment says."""
    shorter = {"example.py": FILES["example.py"].replace(" | Died()", "")}
    assert shorter != {"example.py": FILES["example.py"]}
    said = script.printed_by("mypy --strict --enable-error-code exhaustive-match example.py", shorter)
    assert 'unhandled case for values of type "Died"' in said


def test_example_is_short() -> None:
    """The README's first example has about twenty lines of code."""
    code = [line for line in FILES["example.py"].splitlines() if line.strip()]
    assert len(code) <= 22


def test_diagram() -> None:
    """The README's diagram has an arrow for each legal move, and none beside."""
    (diagram,) = re.findall(r"^```mermaid\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    arrows = {
        (source, target)
        for sources, targets in re.findall(r"^ *(\S.*?) --> (.+)$", diagram, re.MULTILINE)
        for source in sources.split(" & ")
        for target in targets.split(" & ")
    }
    legal = {(source.name, target.name) for source, targets in TRANSITIONS.items() for target in targets}
    assert {arrow for arrow in arrows if "[*]" not in arrow} == legal


def test_figures() -> None:
    """docs/performance.md has a measured figure for each budget of the benchmarks, in their order."""
    budgets = tomllib.loads((ROOT / "bench" / "budgets.toml").read_text(encoding="utf-8"))
    (rows,) = re.findall(r"^<!-- make bench -->\n((?:\|.*\n)*)", PERFORMANCE, re.MULTILINE)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in rows.splitlines()[2:]]
    assert [row[:2] for row in cells] == [[budget["case"], budget["against"]] for budget in budgets.values()]
    assert [row for row in cells if not re.search(r"\d", row[2])] == []


def test_make_targets() -> None:
    """Every `make` target that the README names is one of the Makefile's."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", README))
    assert {"test", "demo", "bench"} <= named
    assert named <= targets


def test_length() -> None:
    """The README has at most 120 lines."""
    assert len(README.splitlines()) <= 120
