"""Runs the tests of the adapters under the lowest and the newest version of each framework that they support.

Each end has an environment of its own below `.venvs/`, with this checkout's runstate, the test tools and nothing of the other
frameworks. The newest ones are made anew each time, so that they are the newest; the lowest ones are kept.

What a framework's old version depends on is mostly not pinned by it, and old OpenAI Agents with today's `openai` fails at run time, so
the lowest leg says which one it takes.

    .venv/bin/python scripts/frameworks.py [LEG…]      # such as "langchain lowest"; all of them by default
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent


class Leg(NamedTuple):
    """One framework at one end of its range."""

    framework: str
    """The extra, and the name of the tests."""
    end: str
    """`lowest` or `newest`."""
    packages: tuple[str, ...]
    """What is installed beside the extra: the floor of `pyproject.toml`, and what must be as old as that."""

    def __str__(self) -> str:
        return f"{self.framework} {self.end}"


LEGS: Final = (
    Leg("pydantic-ai", "lowest", ("pydantic-ai-slim==1.89.0",)),
    Leg("pydantic-ai", "newest", ()),
    Leg("langchain", "lowest", ("langchain-core==1.0.0", "langgraph==1.0.0")),
    Leg("langchain", "newest", ("langgraph",)),
    Leg("openai-agents", "lowest", ("openai-agents==0.8.0", "openai==2.9.0")),
    Leg("openai-agents", "newest", ()),
)
SHOWN: Final = ("pydantic-ai-slim", "langchain-core", "langgraph", "openai-agents", "openai", "pydantic")
"""Whose versions are printed."""


class LegError(Exception):
    """A leg failed; the text says why."""


def run(*command: str | Path) -> str:
    """Run a command at the root of the checkout and return what it printed.

    Raises:
        LegError: Its exit code was not 0; holds all that it printed.
    """
    done = subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise LegError(f"{done.stdout}\nexit code {done.returncode} from: {' '.join(map(str, command))}")
    return done.stdout


def environment(leg: Leg) -> Path:
    """Make the environment of a leg, unless it is a lowest one and there; return its interpreter."""
    venv = ROOT / ".venvs" / str(leg).replace(" ", "-")
    python, made = venv / "bin/python", venv / ".made"
    wanted = "\n".join((*leg.packages, (ROOT / "pyproject.toml").read_text()))
    if leg.end == "newest" or not made.exists() or made.read_text() != wanted:
        shutil.rmtree(venv, ignore_errors=True)
        run(sys.executable, "-m", "venv", "--without-pip", venv)
        pip = (sys.executable, "-m", "pip", "--python", python, "install", "-qq")
        run(*pip, "--editable", f".[postgres,{leg.framework}]", *leg.packages, "--group", "test")
        made.write_text(wanted)
    return python


def run_leg(leg: Leg) -> str:
    """Run the tests of a leg, and return one line that says what came of it."""
    began = time.monotonic()
    python = environment(leg)
    tests = sorted(ROOT.glob(f"tests/contrib/test_{leg.framework.replace('-', '_')}*.py"))
    said = run(python, "-m", "pytest", "-q", *tests).strip().splitlines()[-1].strip("= ")
    return f"{leg}: {said}; {time.monotonic() - began:.0f} s in all; with {', '.join(versions(python))}"


def versions(python: Path) -> list[str]:
    """Name the versions of what an environment has of `SHOWN`."""
    code = "import sys; from importlib.metadata import distributions as d; print(*(f'{x.name.lower()} {x.version}' for x in d()), sep='\\n')"
    return sorted(line for line in run(python, "-c", code).splitlines() if line.split(" ")[0] in SHOWN)


def main(wanted: list[str]) -> int:
    """Run the legs named, or all; return 1 when one failed."""
    unknown = set(wanted) - {str(leg) for leg in LEGS}
    if unknown:
        print(f"no such leg: {', '.join(sorted(unknown))}; there are: {', '.join(map(str, LEGS))}", file=sys.stderr)
        return 2
    failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = {pool.submit(run_leg, leg): leg for leg in LEGS if not wanted or str(leg) in wanted}
        for future in as_completed(running):
            try:
                print(future.result(), flush=True)
            except LegError as error:
                failed += 1
                print(f"{running[future]}: FAILED\n{error}", file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
