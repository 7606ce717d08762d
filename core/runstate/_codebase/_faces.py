"""What is known without being part of the code base: runstate itself, its facades, and the legacy trackers' stubs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ._stubs import LEGACY, PACKAGE, stubs_folder

_ADAPTERS = frozenset({"audit", "cli", "migrate", "mypy_plugin", "_codebase"})


class Faces:
    """Files that stand for modules from elsewhere, read when they are first asked for.

    Args:
        files: The file of each module, by its dotted name.
    """

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = dict(files)
        self._paths = frozenset(self._files.values())

    def path(self, module: str) -> str | None:
        """Return the file that stands for a module."""
        return self._files.get(module)

    def stub(self, module: str) -> str | None:
        """Return the stub of a module whose source may be part of the code base."""
        path = self._files.get(module)
        return path if path is not None and path.endswith(".pyi") else None

    def has(self, path: str) -> bool:
        """Whether a file is a face."""
        return path in self._paths


@cache
def known_faces() -> Faces:
    """Return the faces of everything that runstate knows.

    Raises:
        StubsMissingError: The stubs of the legacy trackers are not installed.
    """
    files = _modules(PACKAGE, PACKAGE.parent, ".py")
    stubs = stubs_folder()
    return Faces(files | _modules(stubs / LEGACY, stubs, ".pyi"))


def _modules(folder: Path, root: Path, suffix: str) -> dict[str, str]:
    modules: dict[str, str] = {}
    for directory, below, names in os.walk(folder):
        below[:] = [name for name in below if name not in _ADAPTERS and name != "__pycache__"]
        for name in names:
            if name.endswith(suffix):
                path = Path(directory, name)
                parts = path.relative_to(root).with_suffix("").parts
                modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = str(path)
    return modules
