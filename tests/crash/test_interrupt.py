"""Ctrl-C at any moment, in a program that goes on afterwards: the tracker is as good as before, and so is the file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from ..soundness import findings

INTERRUPTING: Final = Path(__file__).with_name("interrupting.py")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_interrupts(tmp_path: Path, store: str, seed: int) -> None:
    """After 150 interrupts nothing hangs, no promise is broken, no other thread has noticed, and everything has an end."""
    url = "memory:" if store == "memory" else str(tmp_path / "runs.db")
    command = [sys.executable, str(INTERRUPTING), url, str(seed), "150"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert (done.stderr, done.returncode) == ("", 0)
    told = json.loads(done.stdout)
    assert told["errors"] == []
    assert told["hanging"] == []
    assert (told["failure"], told["rejected"], told["without an end"]) == (None, 0, 0)
    assert told["kept"] == told["promised"]
    assert told["interrupted"] > 20
    if store == "sqlite":
        assert findings(Path(url)) == []
