"""Reads Google-style docstrings, so that tests can compare them with what they describe."""

from __future__ import annotations

import inspect
import re
import textwrap


def section(text: str, title: str) -> str:
    """Return one section of a Google-style docstring, dedented; empty when there is none."""
    found = re.search(rf"^{title}:\n((?:[ \t]+.*\n|\n(?=[ \t]))*)", f"{inspect.cleandoc(text)}\n", re.MULTILINE)
    return textwrap.dedent(found[1]) if found else ""


def entries(text: str, title: str) -> list[str]:
    """List the names that a section of a docstring explains."""
    return re.findall(r"^\*{0,2}(\w+)(?: \(.*\))?: \S", section(text, title), re.MULTILINE)
