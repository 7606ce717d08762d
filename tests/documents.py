"""Reads what the documents show, so that it is tested as it stands there, and what they refer to."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

from runstate.cli import main

DOCS = Path(__file__).resolve().parent.parent / "docs"


def shown_file(document: str, name: str) -> str:
    """Return the file that a document shows in the block below `<!-- file: NAME -->`."""
    text = (DOCS / document).read_text(encoding="utf-8")
    (body,) = re.findall(rf"^<!-- file: {re.escape(name)} -->\n```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(body)


def stubs_folder() -> Path:
    """Return the folder that `runstate stubs` prints."""
    with redirect_stdout(io.StringIO()) as printed:
        assert main(["stubs"]) == 0
    return Path(printed.getvalue().removesuffix("\n"))
