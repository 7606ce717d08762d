"""Faults: what the laboratory does to a process, each the real thing."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Fault(Enum):
    """What happens to the process at a point."""

    KILL = "kill"
    """SIGKILL: nothing more of it runs, as when the machine runs out of memory."""
    STOP = "stop"
    """SIGSTOP until its peers have given it up, then SIGCONT: it comes back as a zombie and goes on as if nothing had happened."""
    BLOCK = "block"
    """The thread that is there sleeps for two leases: an event loop that is blocked, or a disk that takes its time. Not a death."""
    CUT = "cut"
    """All connections to PostgreSQL are cut, and for two leases and a half there are no new ones: a partition. PostgreSQL only."""
    DISK_FULL = "disk_full"
    """No file of this process takes another byte, for good. SQLite only."""


ON_SQLITE: Final = (Fault.KILL, Fault.STOP, Fault.BLOCK, Fault.DISK_FULL)
ON_POSTGRES: Final = (Fault.KILL, Fault.STOP, Fault.BLOCK, Fault.CUT)
SURVIVED: Final = frozenset({Fault.STOP, Fault.BLOCK, Fault.CUT})
"""What a process lives through, so that its peers must see it meanwhile."""
BLOCKED: Final = 2.0
"""Leases that a block takes."""
CUT_OFF: Final = 2.5
"""Leases that a partition lasts."""
