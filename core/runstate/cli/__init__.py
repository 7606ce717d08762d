"""The command line, `runstate`. Needs the extra `cli`: `pip install "runstate[cli]"`.

`main` is the console script. It imports the libraries of the extra only when it is called, so that a missing one becomes a
clear line instead of a traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

_EXTRA = frozenset({"cyclopts", "rich"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; `runstate --help` lists the codes.

    Args:
        arguments: What follows the program's name; None takes `sys.argv`.
    """
    try:
        from ._app import run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write(
            f"runstate: the command line needs {error.name}, which is not installed; "
            f'install the extra: pip install "runstate[cli]"\n'
        )
        return 2
    return run(sys.argv[1:] if arguments is None else arguments)
