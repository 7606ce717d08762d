"""The plugin itself: what it stands on in mypy, what it makes of code at large, and that nothing else stands on it."""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
import sys
from concurrent.futures import Executor
from pathlib import Path

import mypy.nodes
import mypy.patterns
import pytest
from mypy.nodes import Expression, Statement
from mypy.options import Options
from mypy.patterns import Pattern
from mypy.plugin import ReportConfigContext

import runstate
from runstate import Execution, ExecutionState, ExecutionTracker
from runstate.mypy_plugin import RunstatePlugin, _names, plugin
from runstate.mypy_plugin._known import reachable
from runstate.mypy_plugin._walk import PARTS

from ..documents import stubs_folder

CHECKOUT = Path(__file__).resolve().parents[2]

LEAVES = {
    *("BytesExpr", "ComplexExpr", "EllipsisExpr", "FloatExpr", "IntExpr", "NameExpr", "StrExpr", "TempNode"),
    *("BreakStmt", "ContinueStmt", "GlobalDecl", "Import", "ImportAll", "ImportFrom", "NonlocalDecl", "PassStmt"),
    "SingletonPattern",
}
"""Nodes without parts, or whose parts are only names."""
DECLARING = {
    *(
        "EnumCallExpr",
        "NamedTupleExpr",
        "NewTypeExpr",
        "ParamSpecExpr",
        "PromoteExpr",
        "TypeAliasExpr",
        "TypeAliasStmt",
    ),
    *("TypeFormExpr", "TypedDictExpr", "TypeVarExpr", "TypeVarTupleExpr"),
}
"""Nodes that declare types: no value passes through them."""
ABSTRACT = {
    "Expression",
    "FakeExpression",
    "ImportBase",
    "Lvalue",
    "Pattern",
    "RefExpr",
    "Statement",
    "TypeVarLikeExpr",
}
WALKED_BY_HAND = {"OverloadedFuncDef"}

FORWARDING_METHODS = {
    **dict.fromkeys(
        ("call_at", "call_later", "call_soon", "call_soon_threadsafe", "run_in_executor"), asyncio.AbstractEventLoop
    ),
    "submit": Executor,
}
"""What calls what it is given, and whose it is."""

LEFT_OPEN = {
    *("tests/commands.py", "tests/gated.py", "tests/test_agents.py", "tests/test_flush.py", "tests/test_scope.py"),
    *("tests/test_scope_journal.py", "tests/doctor/test_file.py", "tests/test_trio_reading.py"),
    *("tests/test_cli_tail.py", "tests/test_cli_top.py"),
}
"""Our tests in which a function leaves an execution open, or a block unentered, on purpose."""
MOVED_UNSEEN = {
    *(
        "tests/test_scope_handles.py",
        "tests/test_verdicts_live.py",
        "tests/test_cli_top.py",
        "tests/test_cli_top_terminal.py",
    ),
    *("tests/web/lives.py", "tests/web/dashboard/scenes.py", "tests/web/dashboard/test_dashboard_rows.py"),
}
"""Our tests that move a handle without saying from which state."""
(BORDERS,) = re.findall(
    r"^\[mypy-(runstate\._codec,.+)\]$", (CHECKOUT / "mypy.ini").read_text(encoding="utf-8"), re.MULTILINE
)
"""Our modules where what comes from outside, which is Any, is made into records."""
OURS = ("scripts", "bench", "tests")
MADE_OF_MISTAKES = ("tests/mistakes/", "tests/typing/negative.py")

CORPUS = ("_pytest", "attr", "attrs", "cyclopts", "hypothesis", "pluggy", "pydantic", "pytest", "rich")
"""Typed packages of others that the development environment has."""


def test_every_kind_of_node_is_walked() -> None:
    """Whatever this mypy parses, the plugin knows its parts, so that nothing is overlooked in it."""
    kinds = {
        kind.__name__
        for module in (mypy.nodes, mypy.patterns)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Expression | Statement | Pattern)
    }
    unknown = kinds - {kind.__name__ for kind in PARTS} - LEAVES - DECLARING - ABSTRACT - WALKED_BY_HAND
    assert unknown == set()


def test_names_are_those_of_runstate() -> None:
    """The names that are written out are names of what they are meant for, and the others are found by inspection."""
    assert {_names.BLOCK, _names.CREATE, _names.UPDATE} <= set(dir(ExecutionTracker))
    update = inspect.signature(inspect.unwrap(inspect.getattr_static(ExecutionTracker, _names.UPDATE)))
    assert [*update.parameters][1:3] == [_names.ID, _names.STATE_ARGUMENT]
    assert set(dir(ExecutionTracker)) >= _names.OF_ONE
    assert {_names.ID, *_names.FACTS} <= {name for name in dir(Execution) if not name.startswith("_")}
    assert {"runstate._open.open", "runstate._verify.verify"} <= _names.FUNCTIONS
    assert {"get", "complete", "bind", "expect", "create"} <= _names.METHODS
    assert {_names.TRACKER, _names.HANDLE, "runstate._records.Limits"} <= _names.CLASSES
    assert {"builtins.TimeoutError", "runstate._errors.FencedError"} <= _names.SAYING_ENDED
    assert {"builtins.ValueError", "builtins.TypeError"}.isdisjoint(_names.SAYING_ENDED)
    forwarding = [asyncio.to_thread, *(getattr(kind, name) for name, kind in FORWARDING_METHODS.items())]
    named = {*_names.FORWARDING, *(f"{kind}.{name}" for name, kind in _names.FORWARDING_METHODS.items())}
    assert {f"{one.__module__}.{one.__qualname__}" for one in forwarding} == named


def test_what_a_cache_depends_on(tmp_path: Path) -> None:
    """The cache key of a module tells the plugin's own sources, runstate's version, the whole transition table and the codes that are on, and is the same for every module."""
    ours = RunstatePlugin(Options())
    told = ours.report_config_data(ReportConfigContext("a", "a.py", is_check=False))
    assert told == ours.report_config_data(ReportConfigContext("b", "b.py", is_check=True))
    assert runstate.__version__ in str(told)
    assert all(state.name in str(told) for state in ExecutionState)
    assert re.search(r"[0-9a-f]{64}", str(told))
    assert "runstate-any" in str(told)
    assert "runstate-ignored" not in str(told)
    (tmp_path / "mypy.ini").write_text(
        "[runstate-mypy]\nenable_error_code = runstate-ignored\ndisable_error_code = runstate-any", encoding="utf-8"
    )
    options = Options()
    options.config_file = str(tmp_path / "mypy.ini")
    other = RunstatePlugin(options).report_config_data(ReportConfigContext("a", "a.py", is_check=False))
    assert "runstate-ignored" in str(other)
    assert "runstate-any" not in str(other)
    assert plugin("2.4") is RunstatePlugin


def test_reachable_states() -> None:
    """What can be reached from a state is all that the table leads to, in any number of moves, and the state itself."""
    assert reachable(frozenset({ExecutionState.PENDING})) == frozenset(ExecutionState)
    assert ExecutionState.STARTING not in reachable(frozenset({ExecutionState.RUNNING}))
    assert reachable(frozenset({ExecutionState.DEAD})) == {ExecutionState.DEAD}


def test_runstate_does_not_import_mypy() -> None:
    """Whoever imports runstate, and all of its public names, does not import mypy."""
    code = "import sys; from runstate import *; sys.exit(any(name.partition('.')[0] == 'mypy' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def complaints(folder: Path, settings: str, *what: str, base: Path) -> tuple[int, list[str]]:
    """Run mypy; return how many files it checked, and what the plugin said of them."""
    (folder / "mypy.ini").write_text(f"[mypy]\nshow_traceback = True\n{settings}", encoding="utf-8")
    command = ("-P", "-m", "mypy", "--config-file", str(folder / "mypy.ini"), "--cache-dir", str(folder / "cache"))
    done = subprocess.run([sys.executable, *command, *what], cwd=base, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    checked = re.search(r"(?:checked |in )(\d+) source file", done.stdout)
    assert checked is not None, done.stdout
    return int(checked[1]), [line for line in done.stdout.splitlines() if "[runstate-" in line or "netra_" in line]


@pytest.mark.checkers
def test_code_at_large(tmp_path: Path) -> None:
    """On hundreds of files of others plugin and stubs say nothing, and what their functions do is followed to an end."""
    following = Path(__file__).with_name("everywhere.py")
    settings = f"plugins = {following}\nmypy_path = {stubs_folder()}\nfollow_imports = silent\n"
    packages = [word for package in CORPUS for word in ("-p", package)]
    checked, said = complaints(tmp_path, settings, *packages, base=tmp_path)
    assert checked >= 300
    assert said == []


@pytest.mark.checkers
def test_our_own_code(tmp_path: Path) -> None:
    """In runstate, its scripts and examples the plugin finds nothing; in its tests and benchmarks only what is there on purpose."""
    blocks = re.findall(
        r"^```python\n(.*?)^```$", (CHECKOUT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    examples = [tmp_path / f"example_{number}.py" for number in range(len(blocks))]
    for path, block in zip(examples, blocks, strict=True):
        path.write_text(block, encoding="utf-8")
    settings = (
        f"plugins = runstate.mypy_plugin\nstrict = True\nmypy_path = {CHECKOUT / 'core'}\n"
        f"[mypy-tests.*,bench.*,{BORDERS}]\ndisable_error_code = runstate-any\n"
    )
    checked, said = complaints(tmp_path, settings, "core/runstate", *OURS, *map(str, examples), base=CHECKOUT)
    assert checked > 200
    found = [line for line in said if not line.startswith(MADE_OF_MISTAKES)]
    assert {line.partition(":")[0] for line in found if "[runstate-unfinished]" in line} == LEFT_OPEN
    assert {line.partition(":")[0] for line in found if "[runstate-transition]" in line} == MOVED_UNSEEN
    assert [line for line in found if "[runstate-any]" in line or "[runstate-ignored]" in line] == []
