"""The guide to telling users: what it shows works as it stands there, and its figures are the code's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from runstate import _deliverer, _notices, _pauses
from runstate.cli import main

from .documents import DOCS, shown_file

GUIDE = (DOCS / "notices.md").read_text(encoding="utf-8")


def test_what_it_shows(tmp_path: Path) -> None:
    """The program of the guide prints what the guide says."""
    (tmp_path / "telling.py").write_text(shown_file("notices.md", "telling.py"), encoding="utf-8")
    (printed,) = re.findall(r"^```console\n\$ python telling\.py\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    run = subprocess.run(
        [sys.executable, "-W", "error", "telling.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert (run.stdout, run.stderr) == (printed, "")


def test_its_figures() -> None:
    """Attempts, limits, pauses, bounds and the window of the statistics are those of the code."""
    for said in (
        f"`timeout` ({_deliverer.TIMEOUT:g} s)",
        f"`attempts` ({_deliverer.ATTEMPTS}, after some four minutes)",
        f"`concurrency` ({_deliverer.CONCURRENCY})",
        f"{_pauses.FIRST_PAUSE:g} s, doubling to {_pauses.LONGEST_PAUSE:g} s, with ±{(_pauses.JITTER[1] - 1) * 100:.0f} % jitter",
        f"for {_deliverer.CLOSE_WITHIN:g} s at most",
        f"over the newest {_notices.RECENT:,}",
    ):
        assert said in GUIDE
    pauses = [min(_pauses.LONGEST_PAUSE, _pauses.FIRST_PAUSE * 2**number) for number in range(_deliverer.ATTEMPTS - 1)]
    assert 210 < sum(pauses) < 270


def test_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """The options that the guide names are those of the command."""
    assert main(["notices", "--help"]) == 0
    offered = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    named = set(re.findall(r"--[a-z-]+", GUIDE.partition("```sh")[2].partition("```")[0]))
    assert named <= offered
    assert len(named) == 6
