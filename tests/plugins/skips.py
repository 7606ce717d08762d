"""Makes a skipped or expected-to-fail test fail, unless `tests/allowed_skips.txt` lists it.

A suite that skips proves less than it says, and nobody reads a count of skips. Loaded by `-p skips` in `pyproject.toml`.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest

ALLOWED = Path(__file__).parent.parent / "allowed_skips.txt"

AnyReport = TypeVar("AnyReport", pytest.TestReport, pytest.CollectReport)


def allowed_skips() -> set[str]:
    """Return the node ids that may be skipped."""
    lines = (line.partition(" # ")[0].strip() for line in ALLOWED.read_text(encoding="utf-8").splitlines())
    return {line for line in lines if line and not line.startswith("#")}


def _refused(report: AnyReport) -> AnyReport:
    if report.outcome == "skipped" and report.nodeid not in allowed_skips():
        # A skip carries (path, line, reason); an expected failure has its reason in `wasxfail`.
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else getattr(report, "wasxfail", report.longrepr)
        report.outcome = "failed"
        report.longrepr = (
            f"{report.nodeid} did not run ({why}). Make it run, or list it with its reason in {ALLOWED.name}."
        )
        vars(report).pop("wasxfail", None)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge each test's report after pytest's own plugins have."""
    return _refused((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Judge modules that skip themselves as a whole."""
    return _refused((yield))
