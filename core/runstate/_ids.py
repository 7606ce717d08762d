"""Execution ids: UUIDs of version 7 (RFC 9562), which sort by creation time.

`uuid.uuid4` asks the kernel for randomness each time (about 2 µs). An execution id is a name, not a secret: the time, bits
that were random once per process, and a counter make it unique as well, as section 6.2 of the RFC describes. A forked child takes
new random bits. The text is the 32 digits without hyphens, which `uuid.UUID` and PostgreSQL read as well.
"""

from __future__ import annotations

import os
from itertools import count
from typing import Final

_LAST_DIGITS: Final = [f"{number:03x}" for number in range(0x1000)]
"""Looked up, because formatting a number costs more than the rest of an id."""


class _Ids:
    """Makes ids: the time, 38 random bits of this process, and a counter of 36 bits that starts at a random number."""

    def __init__(self) -> None:
        self.prefix: tuple[int, int, str] = (-1, -1, "")
        """A millisecond, the counter without its last three digits, and all but those three digits of the id."""
        self.seed()

    def seed(self) -> None:
        """Take new randomness from the kernel."""
        random = int.from_bytes(os.urandom(10))
        self.process = f"7{random >> 68:03x}{8 | random >> 66 & 3:x}{random >> 42 & 0xFFFFFF:06x}"
        self.next = count((random & 0x7_FFFF_FFFF) + 1).__next__
        self.prefix = (-1, -1, "")


_ids: Final = _Ids()


def new_execution_id(now_ns: int) -> str:
    """Make an id for an execution created at *now_ns* (nanoseconds since the Unix epoch)."""
    ids, ms = _ids, now_ns // 1_000_000
    number = ids.next()
    prefix_ms, high, prefix = ids.prefix  # one load: other threads replace it
    if ms != prefix_ms or number >> 12 != high:
        high = number >> 12
        prefix = f"{ms:012x}{ids.process}{high:06x}"
        ids.prefix = (ms, high, prefix)
    return prefix + _LAST_DIGITS[number & 0xFFF]


def new_incarnation() -> str:
    """Name one boot of one worker: host, process id and 64 random bits, never used again."""
    import socket

    return f"{socket.gethostname()}:{os.getpid()}:{os.urandom(8).hex()}"


os.register_at_fork(after_in_child=_ids.seed)
