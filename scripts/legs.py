"""Builds the distributions and runs the suite on the wheel, once for each leg, with the sources away.

A leg is one Python and one end of the dependency ranges in `pyproject.toml`. Each has a new virtual environment below
`.venvs/` that holds the built wheel and the test tools, and a copy of the tests in a temporary directory from which no
source of runstate can be imported. It leaves out the tests in `LEFT_OUT`, which `make suite` runs, and replays the demo
once. The lowest leg pins every run-time dependency to its floor and lets pip choose the rest.

    .venv/bin/python scripts/legs.py [LEG…]      # such as "3.11 lowest"; all of them by default
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
VENVS: Final = ROOT / ".venvs"
IN_MEMORY: Final = Path("/dev/shm")
"""Where the legs work if there is room: an fsync costs nothing there, and what must survive a crash `make suite` tests on
a disk."""
COPIED: Final = ("tests", "bench", "deploy", "scripts", "docs", "pyproject.toml", "mypy.ini", "Makefile", "README.md")
PLACES: Final = {
    "core/runstate": "runstate",
    "core/pytest_runstate": "pytest_runstate",
    "stubs/netra_backend": "share/runstate/stubs/netra_backend",
}
"""What the wheel holds, and where: each file as it is in the sources, and no other."""
LEFT_OUT: Final = (
    *("crash", "chaos", "golden", "typing", "test_typing.py", "mistakes", "legacy_stubs", "mypy_plugin/test_plugin.py"),
    *("test_architecture.py", "test_exports.py", "test_repository.py"),
    *("audit/test_repository.py", "audit/test_silence.py", "audit/test_speed.py"),
    "otel/test_frameworks.py",  # needs frameworks, which have floors of their own
    *("web/dashboard", "web/test_openapi.py"),  # need a browser, and schemathesis, which has floors of its own
    "contrib",  # `make frameworks` runs them, each with its framework
    "test_demo.py",  # a leg runs the demo itself, once
)
"""Names below `tests/` that take their time, need a browser or every type checker, or judge the checkout."""

APART: Final = {"mypy", "pydantic-ai", "langchain", "openai-agents"}
"""Extras whose floors others run on: `make checkers` and `make frameworks`."""


class Leg(NamedTuple):
    """One Python at one end of the dependency ranges."""

    python: str
    """Version, such as `3.11`."""
    dependencies: str
    """`newest` or `lowest`."""

    def __str__(self) -> str:
        return f"{self.python} {self.dependencies}"


LEGS: Final = (Leg("3.11", "newest"), Leg("3.11", "lowest"), Leg("3.12", "newest"), Leg("3.13", "newest"))


class LegError(Exception):
    """A leg failed; the text says why."""


def run(
    *command: str | os.PathLike[str], cwd: Path = ROOT, env: dict[str, str] | None = None, log: Path | None = None
) -> str:
    """Run a command and return what it printed, which also goes to *log* while it runs.

    Raises:
        LegError: Its exit code was not 0; holds all that it printed.
    """
    with tempfile.TemporaryFile("w+") if log is None else log.open("w+") as output:
        done = subprocess.run(
            command, check=False, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        output.seek(0)
        printed = output.read()
    if done.returncode:
        words = " ".join(str(word) for word in command)
        raise LegError(f"{printed}\nexit code {done.returncode} from: {words}")
    return printed


def build(into: Path) -> Path:
    """Build the sdist, and from it the wheel; check what is in them; return the wheel's path."""
    run(sys.executable, "-m", "build", "--outdir", into)
    (wheel,) = into.glob("*.whl")
    (sdist,) = into.glob("*.tar.gz")
    tracked = run("git", "ls-files", "--cached", "--others", "--exclude-standard", *PLACES).split()
    sources = {
        place + name.removeprefix(source): (ROOT / name).read_bytes()
        for source, place in PLACES.items()
        for name in tracked
        if name.startswith(f"{source}/") and (ROOT / name).exists()
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = {
            name.partition(".data/data/")[2] or name: archive.read(name)
            for name in archive.namelist()
            if ".dist-info/" not in name
        }
        if not any(name.endswith("/licenses/LICENSE") for name in archive.namelist()):
            raise LegError(f"{wheel.name} lacks the licence")
    wrong = sorted(name for name in packed.keys() | sources.keys() if packed.get(name) != sources.get(name))
    if wrong:
        raise LegError(f"{wheel.name} and {' and '.join(PLACES)} differ in: {', '.join(wrong)}")
    if "runstate/py.typed" not in packed:
        raise LegError(f"{wheel.name} lacks py.typed: type checkers would ignore its annotations")
    with tarfile.open(sdist) as archive:
        shipped = {name.partition("/")[2] for name in archive.getnames()}
    absent = sorted({"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", *tracked} - shipped)
    if absent:
        raise LegError(f"{sdist.name} lacks: {', '.join(absent)}")
    print(f"built {wheel.name}: {len(packed)} files, each as in the sources; {sdist.name}: {len(shipped)}", flush=True)
    return wheel


def floors() -> dict[str, str]:
    """Return the lowest allowed version of each run-time dependency, read from `pyproject.toml`.

    Raises:
        LegError: A dependency names no floor.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra, names in project["optional-dependencies"].items() for name in names if extra not in APART),
    ]
    found: dict[str, str] = {}
    for requirement in wanted:
        match = re.fullmatch(r"([\w.-]+)(?:\[[\w,-]+\])?\s*>=\s*([\w.]+)\s*,.*", requirement)
        if match is None:
            raise LegError(f"{requirement!r} must read `name>=floor,<ceiling`")
        found[match[1]] = match[2]
    return found


def interpreter(version: str) -> str | None:
    """Return the path of the Python of *version*, or None."""
    found = subprocess.run([ROOT / "scripts/find-python", version], stdout=subprocess.PIPE, text=True, check=False)
    return found.stdout.strip() or None


def run_leg(leg: Leg, python: str, wheel: Path, work: Path) -> str:
    """Make the leg's environment, run the suite in it, and return one line that says what came of it."""
    began = time.monotonic()
    venv = VENVS / str(leg).replace(" ", "-")
    shutil.rmtree(venv, ignore_errors=True)
    run(python, "-m", "venv", "--without-pip", venv)
    inside = venv / "bin/python"
    pip = (sys.executable, "-m", "pip", "--python", inside)
    pins = work / f"{leg}.txt"
    pins.write_text(
        "".join(f"{name}=={floor}\n" for name, floor in floors().items()) if leg.dependencies == "lowest" else ""
    )
    run(
        *pip,
        "install",
        "-qq",
        "--constraint",
        pins,
        f"{wheel}[cli,migrate,otel,postgres,web]",
        "--group",
        "test",
        "--group",
        "demo",
    )
    run(*pip, "check")

    away = work / str(leg)
    away.mkdir()
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, away / name)
    for name in LEFT_OUT:
        path = away / "tests" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV", "MYPYPATH"}}
    clean["TMPDIR"] = str(work)
    where = run(inside, "-W", "error", "-c", "import runstate; print(runstate.__file__)", cwd=away, env=clean).strip()
    if not Path(where).is_relative_to(venv):
        raise LegError(f"runstate was imported from {where}, not from the wheel in {venv}")
    said = run(
        inside, "-m", "pytest", "-m", "not checkers", cwd=away, env=clean, log=venv.with_name(f"{venv.name}.log")
    )

    run(venv / "bin/runstate", "demo", "--speed", "1000", cwd=away, env=clean)

    names = ", ".join(f"{name} {version}" for name, version in installed(inside).items())
    return (
        f"leg {leg}: {said.strip().splitlines()[-1].strip('= ')}; {time.monotonic() - began:.0f} s in all; with {names}"
    )


def installed(python: Path) -> dict[str, str]:
    """Return the versions of the run-time dependencies that *python* has."""
    code = "import sys; from importlib.metadata import version; print(*(version(name) for name in sys.argv[1:]))"
    return dict(zip(floors(), run(python, "-c", code, *floors()).split(), strict=True))


def main(wanted: list[str]) -> int:
    """Run the legs named, or all; return 1 when one failed."""
    unknown = set(wanted) - {str(leg) for leg in LEGS}
    if unknown:
        print(f"no such leg: {', '.join(sorted(unknown))}; there are: {', '.join(map(str, LEGS))}", file=sys.stderr)
        return 2
    pythons: dict[Leg, str] = {}
    for leg in LEGS:
        if not wanted or str(leg) in wanted:
            if (python := interpreter(leg.python)) is not None:
                pythons[leg] = python
            else:
                print(f"leg {leg}: left out, Python {leg.python} was not found", flush=True)
    roomy = os.access(IN_MEMORY, os.W_OK) and shutil.disk_usage(IN_MEMORY).free > 2 << 30
    with (
        tempfile.TemporaryDirectory(prefix="runstate-legs-", dir=IN_MEMORY if roomy else None) as work,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        wheel = build(Path(work))
        running = {pool.submit(run_leg, leg, python, wheel, Path(work)): leg for leg, python in pythons.items()}
        failed = 0
        for future in as_completed(running):
            try:
                print(future.result(), flush=True)
            except LegError as error:
                failed += 1
                print(f"leg {running[future]}: FAILED\n{error}", file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LegError as error:
        sys.exit(str(error))
