"""The plugin's own section of mypy's configuration, which switches its codes on and off.

    [runstate-mypy]
    enable_error_code = runstate-ignored

In `pyproject.toml` it is `[tool.runstate-mypy]`, with a text or a list. The keys are mypy's own. But what stands in `[mypy]` is
read by the daemon's server and by parallel workers before they load a plugin: then they do not know its codes, and fail. Where mypy
can, it takes them in `[mypy]` and `[mypy-…]` too, and what these say of a code goes before what is said here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from configparser import RawConfigParser
from pathlib import Path
from typing import Final, cast

from mypy.errors import CompileError

from . import _codes

SECTION: Final = "runstate-mypy"
ENABLE: Final = "enable_error_code"
DISABLE: Final = "disable_error_code"
_ON: Final = frozenset(code.code for code in _codes.ALL if code.default_enabled)
"""The codes that are on of themselves."""


def configure(path: str | None) -> list[str]:
    """Switch the codes as a configuration file says; return those that are on.

    Args:
        path: The file that mypy has read; None if there is none.

    Raises:
        CompileError: The section has a key or names a code that does not exist.
    """
    section: Mapping[str, frozenset[str]] = {}
    if path is not None and Path(path).is_file():
        section = _read(Path(path))
    known = {code.code for code in _codes.ALL}
    for key, names in section.items():
        if key not in {ENABLE, DISABLE}:
            raise CompileError([f'{path}: [{SECTION}]: no such key: "{key}"; there are {ENABLE} and {DISABLE}'])
        if wrong := sorted(names - known):
            raise CompileError(
                [f"{path}: [{SECTION}]: {key}: no such code: {', '.join(wrong)}; there are {_listed(known)}"]
            )
    on = (_ON - section.get(DISABLE, frozenset())) | section.get(ENABLE, frozenset())
    for code in _codes.ALL:
        code.default_enabled = code.code in on
    return sorted(on)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _read(path: Path) -> Mapping[str, frozenset[str]]:
    """Read the codes that each key of the section names."""
    text = path.read_text(encoding="utf-8")
    section: object = {}
    if path.suffix.lower() == ".toml":
        section = tomllib.loads(text).get("tool", {}).get(SECTION, {})
    else:
        parser = RawConfigParser()
        parser.read_string(text)
        if parser.has_section(SECTION):
            section = dict(parser.items(SECTION))
    return {
        key: frozenset(name for part in _parts(value) for name in re.split(r"[,\s]+", part) if name)
        for key, value in cast("Mapping[str, object]", section).items()
    }


def _parts(value: object) -> Iterable[str]:
    return map(str, cast("Iterable[object]", value)) if isinstance(value, list) else [str(value)]
