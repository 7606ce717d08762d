"""Prints the generated blocks of `docs/static.md` as JSON; `scripts/readme.py` puts them there."""

from __future__ import annotations

import json
import sys

from .tables import measured

if __name__ == "__main__":
    json.dump(measured(), sys.stdout)
