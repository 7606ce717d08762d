"""Runs the mypy plugin's tests under every mypy of its range: the floor, and the last release of each minor version since.

Each mypy has an environment of its own below `.venvs/` that holds it and this checkout's runstate. The tests themselves run in
`.venv`, whose own mypy is the newest: that one they test in `make suite`.

    .venv/bin/python scripts/checkers.py [VERSION…]      # such as 1.19.0; all of them by default
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
VERSIONS: Final = ("1.19.0", "1.20.2", "2.0.0", "2.1.0", "2.2.0", "2.3.1")
"""The minor releases from November 2025 to November 2026, but the newest."""


def environment(version: str) -> Path:
    """Make the environment of one mypy, unless it is there; return its interpreter."""
    venv = ROOT / ".venvs" / f"mypy-{version}"
    python = venv / "bin/python"
    made = venv / ".made"
    if not made.exists():
        print(f"making {venv.relative_to(ROOT)}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", venv], check=True)
        pip = [sys.executable, "-m", "pip", "--python", str(python)]
        subprocess.run([*pip, "install", "-qq", f"mypy=={version}", "--editable", str(ROOT)], check=True)
        made.touch()
    return python


def passes(version: str) -> bool:
    """Run the tests under one mypy, and print what they printed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/mypy_plugin/test_cases.py"],
        check=False,
        cwd=ROOT,
        env={**os.environ, "RUNSTATE_MYPY": str(environment(version))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    print(f"mypy {version}\n{done.stdout}", flush=True)
    return done.returncode == 0


def main(wanted: list[str]) -> int:
    """Run the tests under the versions named, or all; return 1 where some fail."""
    unknown = set(wanted) - set(VERSIONS)
    if unknown:
        print(f"no such mypy: {', '.join(sorted(unknown))}; there are: {', '.join(VERSIONS)}", file=sys.stderr)
        return 2
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        passed = list(pool.map(passes, [version for version in VERSIONS if not wanted or version in wanted]))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
