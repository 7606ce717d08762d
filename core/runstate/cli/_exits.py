"""How a command ends: its exit code, and one line on standard error for what is somebody's to mend."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from cyclopts import CycloptsError

from runstate import InvalidValueError, JournalError, RecordDecodeError, RunstateError, UnknownExecutionError

from ._console import UsageError, printable

OK: Final = 0
WRONG: Final = 1
USAGE: Final = 2
UNKNOWN: Final = 3
UNREADABLE: Final = 4
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141


def ended(command: Callable[[], int]) -> int:
    """Run one command and return its exit code. Errors that are somebody's to mend become one line."""
    _survive_narrow_encodings()
    try:
        code = command()
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return BROKEN_PIPE
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except UnknownExecutionError as error:
        return complain(str(error), UNKNOWN)
    except (JournalError, RecordDecodeError) as error:
        return complain(str(error), UNREADABLE)
    except (CycloptsError, UsageError, InvalidValueError) as error:
        return complain(f"{error} (see runstate --help)", USAGE)
    except RunstateError as error:
        return complain(str(error), WRONG)
    except OSError as error:  # standard output cannot be written: a full disk, for example
        _discard_output()
        return complain(str(error), WRONG)
    return code


def complain(message: str, code: int = UNREADABLE) -> int:
    """Write one line on standard error, and return the exit code."""
    with suppress(BrokenPipeError):
        sys.stderr.write(f"runstate: {printable(' '.join(message.split()))}\n")
        sys.stderr.flush()
    return code


def _survive_narrow_encodings() -> None:
    """Escape what the terminal's encoding cannot carry: an arrow must not end a listing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Point standard output at nothing, so that the interpreter's last flush is quiet too."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
