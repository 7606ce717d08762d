"""The guide to testing: what it shows works as it stands there, and what it names is there."""

from __future__ import annotations

import re

import pytest

from runstate.testing import Fault

from ..documents import DOCS, shown_file

pytest_plugins = ["pytester"]

GUIDE = (DOCS / "testing.md").read_text(encoding="utf-8")


def test_what_it_shows(pytester: pytest.Pytester) -> None:
    """Every test module of the guide passes, but for the one that forgets its execution, and that fails for it."""
    names = re.findall(r"^<!-- file: (\S+) -->$", GUIDE, re.MULTILINE)
    assert len(names) == 5
    for name in names:
        (pytester.path / name).write_text(shown_file("testing.md", name), encoding="utf-8")
    result = pytester.runpytest_inprocess("-W", "error", "-p", "no:cacheprovider", "-p", "no:anyio")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["FAILED test_forgotten.py::test_an_answer*"])


def test_every_fault_is_explained() -> None:
    """The table has each fault once."""
    assert re.findall(r"^\| `([A-Z_]+)` \|", GUIDE, re.MULTILINE) == [fault.name for fault in Fault]
