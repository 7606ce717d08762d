"""A baseline: the findings that a code base is known to have, so that only new ones fail.

A file of JSON beside the code. A finding is known by its file, relative to the baseline's folder, and its fingerprint,
which moves with the lines; each known finding excuses one.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from runstate import InvalidValueError

from ._model import Finding

_VERSION: Final = 1


def write_baseline(path: str | os.PathLike[str], findings: Iterable[Finding]) -> None:
    """Write findings as a new baseline, sorted, so that its changes can be read."""
    file = Path(path)
    known = [
        {"path": _relative(one.path, file), "rule": one.rule, "fingerprint": one.fingerprint, "message": one.message}
        for one in findings
    ]
    known.sort(key=lambda one: (one["path"], one["rule"], one["fingerprint"]))
    text = json.dumps({"version": _VERSION, "findings": known}, indent=1, ensure_ascii=True)
    file.write_text(f"{text}\n", encoding="utf-8")


def new_findings(path: str | os.PathLike[str], findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings that a baseline does not know.

    Raises:
        InvalidValueError: The file is not there, or is no baseline.
    """
    file = Path(path)
    known = _known(file)
    new: list[Finding] = []
    for one in findings:
        key = (_relative(one.path, file), one.rule, one.fingerprint)
        if known[key]:
            known[key] -= 1
        else:
            new.append(one)
    return tuple(new)


def _known(file: Path) -> Counter[tuple[str, str, str]]:
    expected = "a baseline that --write-baseline has written"
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
        if content["version"] != _VERSION:
            raise InvalidValueError(
                "baseline", f"{file}, version {content['version']}", f"{expected}, version {_VERSION}"
            )
        return Counter((str(one["path"]), str(one["rule"]), str(one["fingerprint"])) for one in content["findings"])
    except OSError as error:
        raise InvalidValueError("baseline", str(file), f"a file that can be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InvalidValueError):
            raise
        raise InvalidValueError("baseline", str(file), expected) from None


def _relative(path: str, file: Path) -> str:
    return Path(os.path.relpath(path, file.absolute().parent)).as_posix()
