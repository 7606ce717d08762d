"""What the migration has written is what a strict type checker accepts, also with the plugin."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from hypothesis import Phase, given, settings

from runstate.migrate import migrate

from .programs import Program, programs
from .rewrites import REWRITES, REWRITES_OF_C

UNTYPED = {"nothing to do", "imports: modules"}
"""Programs that stay as they were, or import modules that are not there."""


def assert_checked(folder: Path, texts: Iterable[str]) -> None:
    """Fail if mypy, strict and with the plugin, finds anything in one of the programs."""
    (folder / "mypy.ini").write_text("[mypy]\nstrict = True\nplugins = runstate.mypy_plugin\n")
    names = [
        f"after_{number}.py" for number, text in enumerate(texts) if (folder / f"after_{number}.py").write_text(text)
    ]
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--cache-dir", "cache"]
    done = subprocess.run([*command, *names], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert f"no issues found in {len(names)} source files" in done.stdout


def test_what_was_written_passes_mypy(tmp_path: Path) -> None:
    """There is nothing to find in any rewritten program."""
    assert_checked(tmp_path, [after for name, (_, after) in (REWRITES | REWRITES_OF_C).items() if name not in UNTYPED])


def test_what_was_generated_and_rewritten_passes_mypy(tmp_path: Path) -> None:
    """There is nothing to find in generated programs either, once all of them is proven."""
    path = tmp_path / "before.py"
    texts: list[str] = []

    @settings(max_examples=50, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
    @given(programs())
    def rewrite(program: Program) -> None:
        path.write_text(program.found, encoding="utf-8")
        (change,) = migrate([path]).changes
        if not program.unproven:
            texts.append(change.after.decode())

    rewrite()
    assert len(texts) > 20
    assert_checked(tmp_path, texts)
