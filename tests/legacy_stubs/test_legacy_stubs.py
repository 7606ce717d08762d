"""The stubs of the legacy trackers: what mypy and pyright say of a code base that has not been moved over yet."""

from __future__ import annotations

import ast
import json
from importlib import metadata
from pathlib import Path

import pytest

from runstate._codebase import _stubs
from runstate.cli import main

from .. import checkers
from ..documents import shown_file, stubs_folder
from . import checking
from .code_base import FILES, write
from .wrong_calls import WRONG

RIGHT_CALLS = "netra_backend/app/services/right.py"
WRONG_CALLS = "netra_backend/app/services/wrong.py"
CALLS = [RIGHT_CALLS, WRONG_CALLS]
LEGACY = ("core/execution_tracker.py", "core/agent_execution_tracker.py", "agents/execution_tracking/")
"""What the settings leave to the stubs."""


@pytest.fixture(scope="module")
def stubs() -> Path:
    """The folder that `runstate stubs` prints."""
    return stubs_folder()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, stubs: Path) -> Path:
    """The code base, with the settings that `docs/static.md` shows."""
    folder = tmp_path_factory.mktemp("code_base")
    write(folder, {**FILES, WRONG_CALLS: WRONG})
    for name in ("mypy.ini", "pyrightconfig.json"):
        settings = shown_file("static.md", f"legacy/{name}")
        (folder / name).write_text(settings.replace("/path/printed/by/runstate/stubs", str(stubs)), encoding="utf-8")
    with_plugin, section, _ = folder.joinpath("mypy.ini").read_text(encoding="utf-8").partition("[runstate-mypy]")
    assert section
    (folder / "default.ini").write_text(with_plugin, encoding="utf-8")
    plain = with_plugin.replace("plugins = runstate.mypy_plugin\n", "")
    (folder / "plain.ini").write_text(plain, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def plain(folder: Path) -> checking.Rules:
    """What mypy says without the plugin."""
    return checking.mypy(folder, "--config-file", "plain.ini", "netra_backend")


def of_calls(rules: checking.Rules) -> checking.Rules:
    """What was said of the files with calls."""
    return {place: said for place, said in rules.items() if place[0] in CALLS}


def test_mypy_says_what_is_marked(folder: Path, plain: checking.Rules) -> None:
    """With the stubs mypy finds every wrong call by its kind, and nothing in right calls but the two imports that cannot be found."""
    assert of_calls(plain) == checking.marked(folder, CALLS, {"mypy"})
    assert len([place for place in plain if place[0] == WRONG_CALLS]) > 50
    assert len([place for place in plain if place[0] == RIGHT_CALLS]) == 2


def test_mypy_with_the_plugin_says_more(folder: Path) -> None:
    """With the plugin mypy also finds each Any and each ignored refusal, and still nothing in right calls."""
    said = checking.mypy(folder, "netra_backend")
    assert of_calls(said) == checking.marked(folder, CALLS, {"mypy", "plugin", "ignored"})


def test_ignored_refusals_are_asked_for(folder: Path) -> None:
    """Ignored refusals are reported only where `runstate-ignored` is switched on."""
    said = checking.mypy(folder, "--config-file", "default.ini", "netra_backend")
    assert of_calls(said) == checking.marked(folder, CALLS, {"mypy", "plugin"})


@pytest.mark.checkers
def test_pyright_says_what_is_marked(folder: Path) -> None:
    """With the stubs pyright finds every wrong call by its kind, and nothing in right calls but the two imports that cannot be found."""
    assert of_calls(checking.pyright(folder)) == checking.marked(folder, CALLS, {"pyright"})


def test_mypy_on_single_files(folder: Path) -> None:
    """Naming files instead of the folder gives the same, but that mypy then takes no module of the package for missing."""
    said = checking.mypy(folder, "--config-file", "plain.ini", *CALLS)
    ours = checking.marked(folder, CALLS, {"mypy"}, lambda rule: rule != "import-not-found")
    assert {
        place: rules - {"import-not-found"} for place, rules in said.items() if rules != {"import-not-found"}
    } == ours


def test_the_sources_alone_say_next_to_nothing(folder: Path) -> None:
    """Without the stubs mypy reads the trackers' own sources and lets nearly every wrong call pass."""
    settings = (folder / "plain.ini").read_text(encoding="utf-8")
    lines = [line for line in settings.splitlines() if not line.startswith("mypy_path")]
    (folder / "bare.ini").write_text("\n".join(lines), encoding="utf-8")
    said = checking.mypy(folder, "--config-file", "bare.ini", WRONG_CALLS)
    found = {place for place, rules in said.items() if not rules & {"import-not-found"}}
    assert len(found) < len(checking.marked(folder, [WRONG_CALLS], {"mypy"})) / 4


def test_other_modules_come_from_their_sources(folder: Path) -> None:
    """Whichever way it is imported, a module that has no stub keeps its own types, and one that has gets the stub's."""
    (folder / "revealed.py").write_text(
        "import netra_backend.app.core.clock\n"
        "from netra_backend.app.core import clock, execution_tracker\n"
        "from netra_backend.app.core.clock import seconds\n"
        "import netra_backend.app.core.agent_execution_tracker as b\n"
        "reveal_type(netra_backend.app.core.clock.seconds(1))\n"
        "reveal_type(clock.seconds(1))\n"
        "reveal_type(seconds(1))\n"
        "reveal_type(execution_tracker.get_execution_tracker())\n"
        "reveal_type(b.get_execution_tracker())\n",
        encoding="utf-8",
    )
    said = checkers.output("mypy", "--config-file", "plain.ini", "revealed.py", folder=folder)
    legacy = "netra_backend.app.core"
    types = ["float"] * 3 + [
        f"{legacy}.execution_tracker.ExecutionTracker",
        f"{legacy}.agent_execution_tracker.AgentExecutionTracker",
    ]
    assert [line.partition('"')[2].removesuffix('"') for line in said.splitlines() if "Revealed" in line] == types


def test_relative_imports(folder: Path) -> None:
    """A relative import of a tracker leads mypy to the stub too."""
    (folder / "netra_backend/app/services/relative.py").write_text(
        "from ..core.agent_execution_tracker import AgentExecutionTracker\n"
        'assert AgentExecutionTracker().update_execution_state("e-1", "failed")\n',
        encoding="utf-8",
    )
    said = checking.mypy(folder, "--config-file", "plain.ini", "netra_backend/app/services/relative.py")
    assert said == {("netra_backend/app/services/relative.py", 2): {"arg-type"}}


def test_a_tracker_that_is_not_excluded(folder: Path) -> None:
    """A source that mypy is told to check wins over its stub, which is why the settings exclude the trackers."""
    settings = (folder / "plain.ini").read_text(encoding="utf-8")
    lines = settings.splitlines()
    kept = [line for line in lines if not line.startswith(("exclude", " "))]
    assert len(kept) < len(lines)
    (folder / "greedy.ini").write_text("\n".join(kept), encoding="utf-8")
    said = checking.mypy(folder, "--config-file", "greedy.ini", "netra_backend")
    assert len(of_calls(said)) < len(checking.marked(folder, CALLS, {"mypy"})) / 2


@pytest.mark.checkers
def test_pyright_and_relative_imports(folder: Path) -> None:
    """A relative import of a tracker leads pyright past the stub, as the document warns."""
    text = (folder / RIGHT_CALLS).read_text(encoding="utf-8")
    assert "from .." not in text
    name = "netra_backend/app/services/relative.py"
    (folder / name).write_text(
        "from ..core.agent_execution_tracker import AgentExecutionTracker\n"
        'assert AgentExecutionTracker().update_execution_state("e-1", "failed")\n',
        encoding="utf-8",
    )
    assert {place for place in checking.pyright(folder) if place[0] == name} == set()


@pytest.mark.checkers
@pytest.mark.parametrize("checker", ["basedpyright", "ty", "pyrefly"])
def test_other_checkers(checker: str, folder: Path, stubs: Path) -> None:
    """Of the others basedpyright and ty find the stubs beside the sources; pyrefly finds the stubs, and then not the other sources."""
    unknown = {line for (name, line) in checking.marked(folder, [RIGHT_CALLS], {"mypy"}) if name == RIGHT_CALLS}
    if checker == "basedpyright":
        found = checkers.pyright(folder, RIGHT_CALLS, WRONG_CALLS, tool="basedpyright")
        rejected = [one for one in found if "reportArgumentType" in one.rule]
        found = [one for one in found if one.rule == "reportMissingImports"]
    else:
        settings = shown_file("static.md", f"{checker}.toml").replace("/path/printed/by/runstate/stubs", str(stubs))
        (folder / f"{checker}.toml").write_text(settings, encoding="utf-8")
        found = (checkers.ty if checker == "ty" else checkers.pyrefly)(folder, RIGHT_CALLS, WRONG_CALLS)
        rejected = [one for one in found if one.rule in {"invalid-argument-type", "bad-argument-type"}]
    in_right = {one.line for one in found if one.path.name == Path(RIGHT_CALLS).name}
    assert len(rejected) > 25
    assert (in_right == unknown) is (checker != "pyrefly")
    assert in_right >= unknown


# -- the stubs themselves ---------------------------------------------------------------------------------------------


def test_stubs_are_typed(stubs: Path) -> None:
    """The stubs pass mypy in strict mode."""
    settings = ("--strict", "--config-file", "", "--cache-dir", "/dev/null")
    said = checkers.output("mypy", *settings, "netra_backend", folder=stubs)
    assert said.startswith("Success: no issues found in 11 source files")


def test_the_enums_are_three(stubs: Path) -> None:
    """Each tracker has an `ExecutionState` of its own, with the members and values that its source has."""
    members: dict[str, tuple[str, list[str]]] = {}
    for name in ("core/execution_tracker", "core/agent_execution_tracker", "agents/execution_tracking/registry"):
        tree = ast.parse((stubs / "netra_backend/app" / f"{name}.pyi").read_text(encoding="utf-8"))
        (enum,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "ExecutionState")
        members[name] = (ast.unparse(enum.bases[0]), [ast.unparse(node) for node in enum.body])
        source = ast.parse(FILES[f"netra_backend/app/{name}.py"])
        (original,) = (n for n in source.body if isinstance(n, ast.ClassDef) and n.name == "ExecutionState")
        assert ast.unparse(enum) == ast.unparse(original)
    assert {base for base, _ in members.values()} == {"Enum", "str"}
    assert [len(names) for _, names in members.values()] == [6, 9, 8]


def test_no_stub_of_our_own(stubs: Path) -> None:
    """There is no stub of runstate: its types are in its sources."""
    assert [path.name for path in stubs.iterdir() if path.is_dir()] == ["netra_backend"]


# -- the command ------------------------------------------------------------------------------------------------------


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`runstate stubs` prints the folder and nothing else, `--json` the same as a document."""
    assert main(["stubs"]) == 0
    folder = Path(capsys.readouterr().out.removesuffix("\n"))
    assert (folder / "netra_backend/app/core/execution_tracker.pyi").is_file()
    assert main(["stubs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"path": str(folder)}


def test_command_without_stubs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installation without the stubs says where it looked and what to do."""
    package = tmp_path / "lib" / "site-packages" / "runstate"

    def nothing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(_stubs, "PACKAGE", package)
    monkeypatch.setattr(metadata, "files", nothing)
    assert main(["stubs"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"runstate: no stubs in {tmp_path / 'lib' / 'stubs'}")
    assert said.err.count("\n") == 1
    assert "pip install" in said.err


def test_the_folder_is_not_in_site_packages(stubs: Path) -> None:
    """The folder is one that mypy takes: none below a `site-packages`."""
    assert "site-packages" not in stubs.parts
