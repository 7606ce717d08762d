"""Reads the cases: programs with what mypy must say of them, in mypy's own notation.

A file `x.test` below `cases` holds cases. `[case name]` begins one, and becomes the module `x_name`; `[edit]` begins what the
program is changed to; `[prelude]` at the top of the file is put before each. What must be said of a line stands behind it:
`# E: text  [code]` is an error, with its whole text or just its code, and `# N: text` a note. Nothing else may be said.
A line number in a text counts from the case's own first line.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

CASES = Path(__file__).parent / "cases"
_SAID = re.compile(r"^(?P<file>[^:\n]+):(?P<line>\d+): (?P<kind>error|note): (?P<text>.*)$", re.MULTILINE)
_EXPECTED = re.compile(r"# (?P<kind>[EN]): (?P<text>.*?)(?=\s*# [EN]: |$)")
_AFTERTHOUGHT = re.compile(r"See https:|Error code |Are you missing |.* defined in ")
_KINDS = {"E": "error", "N": "note"}


class Said(NamedTuple):
    """One thing that mypy says, or must say: of a line of a case, counted from 1."""

    line: int
    kind: str
    text: str


class Program(NamedTuple):
    """One case."""

    module: str
    prelude: str
    first: str
    second: str
    """What it is edited to; the same where nothing is edited."""

    def source(self, *, edited: bool) -> str:
        """The text of the module."""
        return self.prelude + (self.second if edited else self.first)

    def expected(self, *, edited: bool) -> list[Said]:
        """What mypy must say."""
        return [
            Said(number, _KINDS[found["kind"]], found["text"])
            for number, line in enumerate((self.second if edited else self.first).splitlines(), 1)
            for found in _EXPECTED.finditer(line)
        ]

    def said(self, output: str) -> list[Said]:
        """What mypy has said of it, but for hints, which differ from version to version."""
        before = self.prelude.count("\n")
        return [
            Said(int(found["line"]) - before, found["kind"], _shifted(found["text"], before))
            for found in _SAID.finditer(output)
            if Path(found["file"]).stem == self.module and not _AFTERTHOUGHT.match(found["text"])
        ]


def _shifted(text: str, before: int) -> str:
    """Count the lines that a message of ours names from the case's own first line."""
    return re.sub(r"(?<=path through line )\d+", lambda found: str(int(found[0]) - before), text)


def as_expected(expected: list[Said], said: list[Said]) -> list[Said]:
    """What was said, in the words in which it was expected where these are only a code."""
    bare = {(one.line, one.kind, one.text) for one in expected if one.text.startswith("[")}
    return sorted(
        one._replace(text=code) if (one.line, one.kind, code := one.text.rpartition("  ")[2]) in bare else one
        for one in said
    )


def read() -> list[Program]:
    """Read all cases."""
    found: list[Program] = []
    for path in sorted(CASES.glob("*.test")):
        prelude, *cases = re.split(r"^\[case (\w+)\]\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        prelude = prelude.removeprefix("[prelude]\n")
        for name, text in zip(cases[::2], cases[1::2], strict=True):
            first, _, second = text.partition("[edit]\n")
            found.append(Program(f"{path.stem}_{name}", prelude, first, second or first))
    return found
