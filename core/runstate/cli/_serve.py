"""`runstate serve`: the web app on one journal, on a server of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import runstate
from runstate.web import app, serve

from ._console import UsageError, printable, without_password
from ._exits import OK


def serve_journal(journal: str, *, host: str, port: int, token_file: str | None, read_only: bool) -> int:
    """Serve a journal until a signal comes; return the exit code."""
    token = None if token_file is None else _token(token_file)

    def ready(url: str) -> None:
        sys.stdout.write(f"serving {printable(without_password(journal))} on {url}\n")
        sys.stdout.flush()

    with runstate.open(journal, read_only=read_only) as tracker:
        serve(app(tracker, token=token), host=host, port=port, ready=ready)
    return OK


def _token(path: str) -> str:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(f"--token-file {path} cannot be read: {error}") from error
    if len(lines) != 1 or not lines[0].strip():
        raise UsageError(f"--token-file {path} must hold one line, the token")
    return lines[0].strip()
