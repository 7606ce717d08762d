"""Where the stubs of the legacy trackers are.

A checkout has them in `stubs`, at its root. A wheel brings them as data, outside of `site-packages`, because mypy refuses a
`mypy_path` that leads into it.
"""

from __future__ import annotations

from importlib import metadata, resources
from pathlib import Path
from typing import Final

from runstate import RunstateError

LEGACY: Final = "netra_backend"
_SHARED: Final = ("share", "runstate", "stubs", LEGACY, "__init__.pyi")
"""Where a wheel puts the first of them, below the environment's own folder."""


PACKAGE: Final = Path(str(resources.files("runstate")))
"""The folder of runstate itself."""


class StubsMissingError(RunstateError):
    """This installation lacks the stubs; the message says what to do, in one line."""


def stubs_folder() -> Path:
    """Return the folder that holds the stubs' top package.

    Raises:
        StubsMissingError: It is not there.
    """
    checkout = PACKAGE.parents[1] / "stubs"
    for folder in (checkout, *_installed()):
        if (folder / LEGACY).is_dir():
            return folder
    raise StubsMissingError(
        f"no stubs in {checkout}, where a checkout has them, nor among the files that were installed with runstate; "
        f"install it again: pip install --force-reinstall runstate"
    )


def _installed() -> list[Path]:
    try:
        files = metadata.files("runstate") or []
    except metadata.PackageNotFoundError:  # the package was copied here, not installed
        return []
    return [Path(str(file.locate())).resolve().parents[1] for file in files if file.parts[-5:] == _SHARED]
