"""Processes of this machine, as the kernel knows them: which one a pid means, whether it runs, and how it ended."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from ._clock import boot_id

_THREADS_END: Final = 50
"""Milliseconds in which the last threads of a killed process end: the kernel does not tell how it died before."""


def began_at(pid: int) -> int | None:
    """When a process began, in the kernel's ticks since boot; None where there is no such process or no /proc."""
    try:
        after_the_name = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2]
    except OSError:
        return None
    return int(after_the_name.split()[19])


def process_name() -> str:
    """What tells this process from every other of its machine: the boot, the namespace of its pid, and when it began.

    Empty where the kernel does not tell.
    """
    began = began_at(os.getpid())
    try:
        namespace = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - what it names is no path
    except OSError:
        return ""
    return "" if began is None else f"{boot_id()} {namespace} {began}"


def is_running(pid: int, name: str) -> bool | None:
    """Whether the process that had this pid and `process_name` runs; None if it cannot be told from here."""
    here, began = process_name().rpartition(" ")[0], name.rpartition(" ")[2]
    if not here or name.rpartition(" ")[0] != here:
        return None  # another machine or container, or another boot of this one
    try:
        after_the_name = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:  # there is none, or it is hidden
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return None
        return None
    return after_the_name[19].decode() == began and after_the_name[0] not in {b"Z", b"X"}


def exit_status(pid: int) -> int | None:
    """How a process has ended, as `subprocess` puts it; None unless it is a child of this one that nobody has waited for yet."""
    for _ in range(_THREADS_END):
        try:
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except (AttributeError, OSError):
            return None
        if ended is not None:
            return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        time.sleep(0.001)
    return None
