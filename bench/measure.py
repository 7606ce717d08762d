"""Runs one case in this process and writes its rows as JSON: `python -m bench.measure CASE FILE`."""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from pathlib import Path


def main(case: str, out: str) -> None:
    """Measure *case* and write its rows to *out*."""
    module = importlib.import_module(f"bench.cases.{case}")
    with tempfile.TemporaryDirectory(prefix="runstate-bench-") as folder:
        rows = module.measure(Path(folder))
    Path(out).write_text(json.dumps([row.as_json() for row in rows]))


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # the case of the sweep leaves a million live executions behind; nobody needs to see them end
