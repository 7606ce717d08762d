"""`python -m bench`: measures every case in a process of its own and prints the table. See README.md."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.table import Gate, Result, gates, notes, table

ROOT = Path(__file__).parent.parent
ATTEMPTS = 5
"""How often a case is measured before its budget counts as missed: other work on the machine only ever makes it slower."""
TIMEOUT = 300
"""Seconds that one case may take."""


def main() -> int:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="a case or gate of budgets.toml; may be repeated"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured to FILE")
    parser.add_argument("--gate", action="store_true", help="exit with 1 when a budget is missed")
    options = parser.parse_args()

    wanted = gates()
    if options.only:
        unknown = set(options.only) - {name for gate in wanted for name in (gate.name, gate.module)}
        if unknown:
            parser.error(f"no such case: {', '.join(sorted(unknown))}; there are: {', '.join(modules(wanted))}")
        wanted = [gate for gate in wanted if gate.name in options.only or gate.module in options.only]

    begin = time.monotonic()
    results: list[Result] = []
    for module in modules(wanted):
        results += measure_case(module, [gate for gate in wanted if gate.module == module])
    print(table(results))
    print()
    print(notes(results))
    missed = [result.gate.name for result in results if not result.passed]
    broken = [result.gate.name for result in results if not result.tolerated]
    print(
        f"\n{len(results) - len(missed)} of {len(results)} budgets kept in {time.monotonic() - begin:.0f} s"
        + (f"; missed: {', '.join(missed)}" if missed else "")
        + (f"; not declared, so broken: {', '.join(broken)}" if broken else "")
    )
    if options.json is not None:
        options.json.write_text(json.dumps(as_json(results), indent=2) + "\n")
    return 1 if options.gate and broken else 0


def modules(wanted: list[Gate]) -> list[str]:
    """The cases of some gates, in order."""
    return list(dict.fromkeys(gate.module for gate in wanted))


def measure_case(module: str, wanted: list[Gate]) -> list[Result]:
    """Measure a case; again, twice at most, while a budget is missed. The best attempt of each gate counts."""
    results: dict[str, Result] = {}
    for attempt in range(1, ATTEMPTS + 1):
        _say(f"{module} …" if attempt == 1 else f"{module}: missed, measuring again ({attempt} of {ATTEMPTS}) …")
        rows, problem = run_case(module)
        for gate in wanted:
            row = rows.get(gate.name)
            best = results.setdefault(
                gate.name, Result(gate, row, problem or ("" if row else "the case has no such row"))
            )
            if attempt > 1 and not best.tolerated:
                best.attempts = attempt
                if row is not None and (best.row is None or gate.better(row["value"], best.row["value"])):
                    best.row, best.problem = row, ""
        if problem or all(result.tolerated for result in results.values()):
            break
    return [results[gate.name] for gate in wanted]


def run_case(module: str) -> tuple[dict[str, dict[str, Any]], str]:
    """Measure a case in a process of its own; return its rows by gate, and what went wrong."""
    with tempfile.TemporaryDirectory(prefix="runstate-bench-") as folder:
        out = Path(folder) / "rows.json"
        command = [sys.executable, "-m", "bench.measure", module, str(out)]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        except subprocess.TimeoutExpired:
            return {}, f"took longer than {TIMEOUT} s"
        if done.returncode:
            _say(done.stderr)
            lines = done.stderr.strip().splitlines()
            missing = "; install the dependency group `bench`" if "ModuleNotFoundError" in done.stderr else ""
            return {}, (lines[-1] if lines else f"exit code {done.returncode}") + missing
        return {row["gate"]: row for row in json.loads(out.read_text())}, ""


def as_json(results: list[Result]) -> dict[str, Any]:
    """Everything measured, as plain data."""
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "results": [
            {
                "gate": result.gate.name,
                "case": result.gate.case,
                "against": result.gate.against,
                "bound": result.gate.bound,
                "limit": result.gate.limit,
                "unit": result.gate.unit,
                "passed": result.passed,
                "attempts": result.attempts,
                "problem": result.problem,
                "measured": result.row,
            }
            for result in results
        ],
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
