"""Where time comes from. A test replaces it; nothing else in runstate reads a clock."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol, runtime_checkable


@runtime_checkable
class Clock(Protocol):
    """Two clocks: one for limits and durations, one to say when an execution was created."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since an arbitrary start; never goes back."""
        ...

    def time_ns(self) -> int:
        """Nanoseconds since the Unix epoch; may step."""
        ...


class SystemClock:
    """The clocks of this machine."""

    monotonic_ns = staticmethod(time.monotonic_ns)
    time_ns = staticmethod(time.time_ns)


def boot_id() -> str:
    """What tells this boot of the machine, from which its monotonic clock counts, from every other; empty where nothing does.

    Containers share the boot of their machine, and its monotonic clock.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
