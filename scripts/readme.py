"""Writes the generated blocks of the README and of `docs/` anew, or checks that they are what they would be.

Three kinds of fenced block in `README.md` are generated or used here; all others are left alone:

- a block below `<!-- file: NAME -->` is written to a file NAME in an empty directory;
- a `console` block is a transcript: each line that begins with `$ ` is run in that directory by bash, and the lines after
  it are what it printed;
- a block below `<!-- $ COMMAND -->` is what that command printed.

The directory's own path is cut from what commands print. Their exit codes are not judged: a transcript may show an error.

In both documents, what stands between `<!-- mistakes: NAME -->` and `<!-- end -->` is what `python -m tests.mistakes` says of
the type checkers.

The table below `<!-- make bench -->` in `docs/performance.md` is measured, so it is only replaced on demand, by the one that `make bench` printed.

    .venv/bin/python scripts/readme.py [--check | --table FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
README: Final = ROOT / "README.md"
PERFORMANCE: Final = ROOT / "docs" / "performance.md"
STATIC: Final = ROOT / "docs" / "static.md"

_FENCED: Final = re.compile(
    r"(?:^<!-- (?P<note>[^\n]+) -->\n)?^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
_TABLE: Final = re.compile(r"(?<=^<!-- make bench -->\n)(?:\|.*\n)*", re.MULTILINE)
_MISTAKES: Final = re.compile(r"(^<!-- mistakes: (\w+) -->\n).*?(?=^<!-- end -->$)", re.MULTILINE | re.DOTALL)
_PROMPT: Final = re.compile(r"^\$ (.+)\n", re.MULTILINE)


class Transcript(NamedTuple):
    """A command and what the README says that it prints."""

    command: str
    printed: str
    start: int
    """Where the printed text begins in the README, in characters."""


def files(text: str) -> dict[str, str]:
    """Return the files that a README shows, by name."""
    found: dict[str, str] = {}
    for block in _FENCED.finditer(text):
        if (block["note"] or "").startswith("file: "):
            found[block["note"].removeprefix("file: ")] = block["body"]
    return found


def transcripts(text: str) -> list[Transcript]:
    """Return every command of a README, in order, with what it is said to print."""
    found: list[Transcript] = []
    for block in _FENCED.finditer(text):
        if (block["note"] or "").startswith("$ "):
            found.append(Transcript(block["note"].removeprefix("$ "), block["body"], block.start("body")))
        elif block["language"] == "console":
            prompts = list(_PROMPT.finditer(text, block.start("body"), block.end("body")))
            ends = [prompt.start() for prompt in prompts[1:]] + [block.end("body")]
            found += [Transcript(p[1], text[p.end() : end], p.end()) for p, end in zip(prompts, ends, strict=True)]
    return found


def printed_by(command: str, shown: dict[str, str]) -> str:
    """Run a command in a directory that holds the files shown, and return what it printed on either stream."""
    with tempfile.TemporaryDirectory(prefix="readme-") as name:
        directory = Path(name).resolve()
        for file, content in shown.items():
            (directory / file).write_text(content, encoding="utf-8")
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=directory,
            env={**os.environ, "PATH": programs, "PYTHONWARNINGS": "error", "NO_COLOR": "1", "COLUMNS": "120"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        printed = done.stdout.replace(f"{directory}/", "")
    return printed if printed.endswith("\n") else f"{printed}\n"


def renewed(text: str) -> str:
    """Return the README with every transcript run again."""
    shown = files(text)
    for transcript in reversed(transcripts(text)):  # from the end, so that the earlier places stay true
        end = transcript.start + len(transcript.printed)
        text = text[: transcript.start] + printed_by(transcript.command, shown) + text[end:]
    return text


def mistakes() -> dict[str, str]:
    """Run the type checkers over the mistakes, and return the blocks that tell of it, by name."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.mistakes"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    blocks: dict[str, str] = json.loads(done.stdout)
    return blocks


def with_mistakes(text: str, blocks: dict[str, str]) -> str:
    """Return a document with its blocks about mistakes.

    Raises:
        KeyError: It names a block that there is not.
    """
    return _MISTAKES.sub(lambda block: block[1] + blocks[block[2]], text)


def with_table(text: str, printed: str) -> str:
    """Return a document with the table that is in what `make bench` printed.

    Raises:
        ValueError: There is no table in it.
    """
    rows = "".join(line for line in printed.splitlines(keepends=True) if line.startswith("|"))
    if not rows:
        raise ValueError("no line of the file begins with `|`; give a file with the output of `make bench`")
    return _TABLE.sub(lambda _: rows, text, count=1)


def main() -> int:
    """Write the documents anew; with `--check` only say which would change."""
    parser = argparse.ArgumentParser(description="Write the documents' generated blocks anew.")
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--check", action="store_true", help="change nothing; exit code 1 when it would change")
    either.add_argument("--table", type=Path, metavar="FILE", help="put in the table that `make bench` printed to FILE")
    options = parser.parse_args()
    old = {path: path.read_text(encoding="utf-8") for path in (README, STATIC, PERFORMANCE)}
    if options.table is None:
        blocks = mistakes()
        new = {path: with_mistakes(text, blocks) for path, text in old.items()}
        new[README] = renewed(new[README])
    else:
        new = old | {PERFORMANCE: with_table(old[PERFORMANCE], options.table.read_text(encoding="utf-8"))}
    changed = [path for path in old if new[path] != old[path]]
    for path in changed:
        name = path.relative_to(ROOT)
        if options.check:
            print(f"{name} is out of date; run `make readme`", file=sys.stderr)
        else:
            path.write_text(new[path], encoding="utf-8")
            print(f"{name}: written anew")
    return 1 if changed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
