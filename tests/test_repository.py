"""Rules that hold for the repository as a whole: texts, sizes, tests' own form, and the tools around the code."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import runstate

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _files() -> list[Path]:
    """The files that are tracked, or would be once added."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = [ROOT / name for name in names.split("\0") if name]
    return [path for path in found if path.is_file()]  # a deletion that is not committed yet is still listed


BYTES = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in _files()}
TEXTS = {name: content.decode("utf-8") for name, content in BYTES.items() if b"\0" not in content}
PYTHON = {name: text for name, text in TEXTS.items() if name.endswith((".py", ".pyi"))}
TESTS = {name: text for name, text in PYTHON.items() if re.search(r"^tests/(.+/)?test_[^/]+\.py$", name)}


def _lines_with(pattern: str, texts: dict[str, str] = TEXTS) -> list[str]:
    found = re.compile(pattern)
    return [
        f"{name}:{number}: {line.strip()}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if found.search(line)
    ]


def _test_functions() -> list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    return [
        (f"{name}::{node.name}", node)
        for name, text in TESTS.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]


def test_files_are_found() -> None:
    """The rules below look at the whole repository: sources, tests and the files around them."""
    assert {"pyproject.toml", "core/runstate/_states.py", "tests/test_repository.py", ".ci/run"} <= TEXTS.keys()
    assert len(_test_functions()) > 20


def test_file_length() -> None:
    """No Python file has more than 400 lines."""
    lengths = {name: len(text.splitlines()) for name, text in PYTHON.items()}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_docstrings_of_tests() -> None:
    """Every test has a docstring of one sentence that states its claim."""
    wrong = {}
    for name, node in _test_functions():
        claim = ast.get_docstring(node) or ""
        one_sentence = re.fullmatch(r"\S[^\n]*(\n[^\n]+)*[.]", claim) and not re.search(r"[.?!]\s+[A-Z]", claim)
        if not one_sentence:
            wrong[name] = claim
    assert wrong == {}


def test_names_of_files() -> None:
    """No file hides what it is for behind a name that says nothing."""
    vague = {"manager", "helper", "helpers", "util", "utils", "service", "engine", "context", "misc", "common"}
    assert [name for name in TEXTS if vague & set(re.split(r"[^a-z]+", Path(name).name.lower()))] == []


def test_notes_to_self() -> None:
    """Nothing is put off in a comment."""
    assert _lines_with(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b") == []


def test_machine_paths() -> None:
    """No file names a directory of the machine that it was written on."""
    homes = [re.escape(f"{path}/") for path in {str(Path.home()), str(ROOT)} if path != "/"]
    assert _lines_with("|".join([*homes, r"/ho" r"me/\w+/", r"/Us" r"ers/\w+/"])) == []


def test_index_addresses() -> None:
    """No file names the address of a package index: which one is used is the machine's business."""
    assert _lines_with(r"(index|registry)[-_]?(url)?[ =:\"]+https?://|https?://[^ \"]*/sim" r"ple\b") == []


def test_bare_ignores() -> None:
    """Every silenced warning of a checker or linter names which one."""
    assert _lines_with(r"#\s*(type|pyright|pyrefly|ty): ?ignore(?!\[)|#\s*no" r"qa(?!: ?[A-Z])", PYTHON) == []


def test_skips() -> None:
    """No test is skipped or expected to fail without a reason beside it."""
    marks = _lines_with(r"pytest\.(mark\.)?(ski" r"p|skipif|xfa" r"il|importors" r"kip)\b", PYTHON)
    assert [line for line in marks if "reason=" not in line] == []


def test_skips_fail_the_run(tmp_path: Path) -> None:
    """A skipped test, an expected failure and a module that skips itself fail the run, unless they are listed."""
    tests = tmp_path / "tests"
    (tests / "plugins").mkdir(parents=True)
    (tests / "plugins" / "skips.py").write_text(TEXTS["tests/plugins/skips.py"])
    (tests / "allowed_skips.txt").write_text("tests/test_one.py::test_listed # a reason\n")
    (tmp_path / "pyproject.toml").write_text(TEXTS["pyproject.toml"])
    (tests / "test_one.py").write_text(
        "import pytest\n"
        "@pytest.mark.skipif(True, reason='x')\ndef test_listed(): pass\n"
        "@pytest.mark.skipif(True, reason='x')\ndef test_marked(): pass\n"
        "@pytest.mark.xfail(reason='x')\ndef test_expected(): assert False\n"
        "def test_inside(): pytest.skip(reason='x')\n"
        "def test_run(): pass\n"
    )
    (tests / "test_two.py").write_text("import pytest\npytest.skip(reason='x', allow_module_level=True)\n")
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "--continue-on-collection-errors", "-p", "no:benchmark"]
    wide = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")} | {"COLUMNS": "400"}
    done = subprocess.run(command, cwd=tmp_path, env=wide, stdout=subprocess.PIPE, text=True, check=False)
    said = dict(re.findall(r"^(?:FAILED|ERROR|PASSED) (\S+)( - .*)?$", done.stdout, re.MULTILINE))
    refused = {name.removeprefix("tests/") for name, why in said.items() if "did not run" in why}
    assert refused == {
        "test_one.py::test_marked",
        "test_one.py::test_expected",
        "test_one.py::test_inside",
        "test_two.py",
    }
    assert "1 passed, 1 skipped" in done.stdout
    assert done.returncode == 1


def test_links() -> None:
    """Every relative link in a Markdown file leads to a file."""
    broken = [
        f"{name}: {target}"
        for name, text in TEXTS.items()
        if name.endswith(".md")
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", text)
        if not (ROOT / name).parent.joinpath(target).exists()
    ]
    assert broken == []


def test_layout() -> None:
    """CONTRIBUTING's layout names every module of the package, and nothing that is not there."""
    named = set(re.findall(r"`((?:core|stubs|tests|bench|scripts)/[\w./]*)`", TEXTS["CONTRIBUTING.md"]))
    assert {name for name in named if not (ROOT / name).exists()} == set()
    unnamed = [
        name
        for name in PYTHON
        if name.startswith("core/")
        and not any(name == one or (one.endswith("/") and name.startswith(one)) for one in named)
    ]
    assert unnamed == []


def test_version() -> None:
    """The newest entry of the changelog is this version."""
    newest = re.search(r"^## \[(\d[^\]]*)\]", TEXTS["CHANGELOG.md"], re.MULTILINE)
    assert newest is not None
    assert newest[1] == runstate.__version__


def test_dependency_ranges() -> None:
    """Every run-time dependency has a floor, which the lowest leg installs, and a ceiling."""
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *(name for names in extras.values() for name in names)]
    assert [name for name in wanted if not re.fullmatch(r"[\w.-]+>=[\d.]+,<[\d.]+", name)] == []


def test_pydantic_core_is_not_required() -> None:
    """No range of ours stands on pydantic-core, because pydantic pins the one that fits it."""
    assert [name for name in PROJECT["project"]["dependencies"] if name.startswith("pydantic-core")] == []


def test_make_help() -> None:
    """`make help` lists every target that a person calls."""
    said = subprocess.run(["make", "-C", str(ROOT), "help"], check=True, stdout=subprocess.PIPE, text=True).stdout
    (phony,) = re.findall(r"^\.PHONY: (.+)$", TEXTS["Makefile"], re.MULTILINE)
    assert set(re.findall(r"^make ([a-z-]+) +\S", said, re.MULTILINE)) == set(phony.split())


@pytest.mark.parametrize("name", [".ci/run", "scripts/find-python", "scripts/make-venv"])
def test_shell_scripts(name: str) -> None:
    """Every shell script may be executed, parses, and stops at the first error."""
    assert os.access(ROOT / name, os.X_OK)
    assert "\nset -euo pipefail\n" in TEXTS[name]
    subprocess.run(["bash", "-n", str(ROOT / name)], check=True)


def test_a_missing_python_is_said(tmp_path: Path) -> None:
    """`scripts/find-python` prints nothing and fails for a version that is not there, and finds the one that runs this."""
    find = str(ROOT / "scripts" / "find-python")
    missing = subprocess.run([find, "3.2"], cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=False)
    assert (missing.returncode, missing.stdout) == (1, "")
    ours = "{}.{}".format(*sys.version_info[:2])
    found = subprocess.run([find, "3.2", ours], cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True)
    assert Path(found.stdout.strip()).is_file()
