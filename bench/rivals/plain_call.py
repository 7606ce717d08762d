"""No check at all: what the call itself costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runstate import Phase


class _Handle:
    def phase(self, phase: Phase, detail: str | None = None) -> None:
        return None


@contextmanager
def checked_calls(_: Path) -> Iterator[Callable[[int], None]]:
    """Calls of an empty method with the signature of `Execution.phase`."""
    call = _Handle().phase

    def batch(count: int) -> None:
        for _ in range(count):
            call(Phase.TOOL_EXECUTION, "get_user_details")

    yield batch
