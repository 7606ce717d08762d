"""What mypy says with the plugin, in every way in which it can be run, is what each case says that it must say.

All cases are modules of one run. `make checkers` does the same with each mypy of the plugin's range.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from ..documents import shown_file, stubs_folder
from .programs import Program, Said, as_expected, read

PROGRAMS = read()
PYTHON = os.environ.get("RUNSTATE_MYPY", sys.executable)
"""The interpreter whose mypy is tested: this one, or the one that `make checkers` names."""

SETTINGS = f"[mypy]\nstrict = True\nmypy_path = {stubs_folder()}\n"
OPTED_IN = ",".join(program.module for program in PROGRAMS if program.module.startswith("ignored_"))
PLUGIN = f"plugins = runstate.mypy_plugin\n[mypy-{OPTED_IN}]\nenable_error_code = runstate-ignored\n"


class Mypy:
    """One mypy, with a folder that holds all cases as modules."""

    def __init__(self, python: str, folder: Path) -> None:
        self.python = python
        self.folder = folder
        self.write(edited=False)
        self.configure(PLUGIN)

    def write(self, *, edited: bool) -> None:
        """Write every case down, as it is first or as it is edited to be."""
        for program in PROGRAMS:
            path = self.folder / f"{program.module}.py"
            text = program.source(edited=edited)
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8")

    def configure(self, more: str) -> None:
        """Write the configuration down."""
        (self.folder / "mypy.ini").write_text(SETTINGS + more, encoding="utf-8")

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a module of mypy's in the folder."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MYPY")}
        return subprocess.run(
            [self.python, "-P", "-m", *words],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, *options: str) -> str:
        """Check all cases; return what was said."""
        return self.said("mypy", *options)

    def said(self, *words: str) -> str:
        """Check all cases with a command; return what was said."""
        files = [f"{program.module}.py" for program in PROGRAMS]
        done = self.command(*words, "--no-error-summary", "--show-traceback", *files)
        assert done.returncode == 1, f"{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture
def mypy(tmp_path: Path) -> Mypy:
    """The mypy that is tested; it has seen nothing yet."""
    return Mypy(PYTHON, tmp_path)


@pytest.fixture
def daemon(mypy: Mypy) -> Iterator[Mypy]:
    """A mypy whose daemon is stopped in the end."""
    yield mypy
    mypy.command("mypy.dmypy", "kill")


def differences(
    output: str, *, edited: bool = False, without: Collection[str] = ()
) -> dict[str, tuple[list[Said], list[Said]]]:
    """For each case of which something else was said than must be: what was said instead of what.

    Of the modules in *without* nothing must be said by the code after which their files are named.
    """
    found: dict[str, tuple[list[Said], list[Said]]] = {}
    for program in PROGRAMS:
        own = f"[runstate-{program.module.partition('_')[0]}]"
        must = program.expected(edited=edited)
        expected = sorted(one for one in must if program.module not in without or not one.text.endswith(own))
        said = as_expected(expected, program.said(output))
        if said != expected:
            found[program.module] = (
                [one for one in said if one not in expected],
                [one for one in expected if one not in said],
            )
    return found


def is_edited(program: Program) -> bool:
    """Whether a case has a second version."""
    return program.first != program.second


def test_there_are_cases_of_every_code() -> None:
    """Each code is expected somewhere, and of each some case expects nothing; some cases are edited both ways."""
    texts = [said.text for program in PROGRAMS for said in program.expected(edited=False)]
    for code in ("any", "transition", "unfinished", "ignored"):
        assert len([text for text in texts if text.endswith(f"[runstate-{code}]")]) >= 7
        assert any(program.module.startswith(code) and not program.expected(edited=False) for program in PROGRAMS)
    edits = [(len(one.expected(edited=False)), len(one.expected(edited=True))) for one in PROGRAMS if is_edited(one)]
    assert any(before > after for before, after in edits)
    assert any(before < after for before, after in edits)


def test_cold_and_warm(mypy: Mypy) -> None:
    """Every case gets what it must, without a cache, with a warm one, after an edit, and after the edit is taken back."""
    assert differences(mypy.run()) == {}
    assert differences(mypy.run()) == {}
    mypy.write(edited=True)
    assert differences(mypy.run(), edited=True) == {}
    mypy.write(edited=False)
    assert differences(mypy.run()) == {}


def test_a_cache_that_was_written_without_the_plugin(mypy: Mypy) -> None:
    """Once the plugin is switched on it is heard, although everything had been checked and cached without it."""
    mypy.configure("")
    assert "  [runstate-" not in mypy.run()
    mypy.configure(PLUGIN)
    assert differences(mypy.run()) == {}


def test_in_the_daemon(daemon: Mypy) -> None:
    """The daemon says the same, and follows an edit and its taking back."""
    run = ("mypy.dmypy", "run", "--", "--config-file", "mypy.ini")
    assert differences(daemon.said(*run)) == {}
    daemon.write(edited=True)
    assert differences(daemon.said(*run), edited=True) == {}
    daemon.write(edited=False)
    assert differences(daemon.said(*run)) == {}


def test_with_parallel_workers(mypy: Mypy) -> None:
    """Two workers say the same as one, cold, warm and after an edit."""
    if "--num-workers" not in mypy.command("mypy", "--help").stdout:
        return  # this mypy has none
    parallel = ("--num-workers", "2")
    assert differences(mypy.run(*parallel)) == {}
    assert differences(mypy.run(*parallel)) == {}
    mypy.write(edited=True)
    assert differences(mypy.run(*parallel), edited=True) == {}


@pytest.mark.parametrize(
    "off",
    ["", "disable_error_code = runstate-any, runstate-transition\n"],
    ids=["as_documented", "with_codes_off"],
)
def test_settings_of_its_own(daemon: Mypy, off: str) -> None:
    """What `docs/static.md` shows switches codes on, and off, in every way in which mypy can be run."""
    shown = shown_file("static.md", "mypy.ini").replace("/path/printed/by/runstate/stubs", str(stubs_folder()))
    (daemon.folder / "mypy.ini").write_text(shown + off, encoding="utf-8")
    ways = [("mypy",), ("mypy",), ("mypy.dmypy", "run", "--"), ("mypy.dmypy", "run", "--")]
    if "--num-workers" in daemon.command("mypy", "--help").stdout:
        ways.append(("mypy", "--num-workers", "2"))
    opted_in = [program for program in PROGRAMS if program.module in OPTED_IN.split(",")]
    ours = [[said for said in one.expected(edited=False) if "[runstate-" in said.text] for one in opted_in]
    ours = [[said for said in must if not off or "[runstate-any]" not in said.text] for must in ours]
    for way in ways:
        output = daemon.said(*way)
        said = [[said for said in one.said(output) if "[runstate-" in said.text] for one in opted_in]
        assert [as_expected(must, found) for must, found in zip(ours, said, strict=True)] == ours


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mypy.ini", "[mypy]\nplugins = runstate.mypy_plugin\n[runstate-mypy]\n{} = {}\n"),
        ("pyproject.toml", "[tool.mypy]\nplugins = ['runstate.mypy_plugin']\n[tool.runstate-mypy]\n{} = ['{}']\n"),
    ],
)
def test_settings_that_do_not_exist(mypy: Mypy, name: str, text: str) -> None:
    """A key or code that does not exist ends the run with what there is, wherever the section stands; a right one does not."""
    (mypy.folder / "mypy.ini").unlink()
    code = "from typing import Any\nfrom runstate import open\nx: Any = 1\nopen(x)\n"
    for key, value, status, said in (
        ("enable_error_code", "runstate-eny", 2, "no such code: runstate-eny; there are runstate-any, "),
        (
            "enable_error_codes",
            "runstate-any",
            2,
            'no such key: "enable_error_codes"; there are enable_error_code and ',
        ),
        ("enable_error_code", "runstate-ignored", 1, "[runstate-any]"),
        ("disable_error_code", "runstate-any", 0, "Success"),
    ):
        (mypy.folder / name).write_text(text.format(key, value), encoding="utf-8")
        done = mypy.command("mypy", "-c", code)
        assert done.returncode == status
        assert said in done.stdout + done.stderr


def test_codes_can_be_switched_off(mypy: Mypy) -> None:
    """Each code can be disabled by its name for some modules, and only its own findings in these go."""
    off = {
        code: [one.module for one in PROGRAMS if one.module.startswith(f"{code}_") and "type: ignore" not in one.first]
        for code in ("any", "transition", "unfinished")
    }
    sections = [f"[mypy-{','.join(off[code])}]\ndisable_error_code = runstate-{code}\n" for code in off]
    mypy.configure(PLUGIN + "".join(sections))
    assert differences(mypy.run(), without=[module for modules in off.values() for module in modules]) == {}
