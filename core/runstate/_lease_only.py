"""The vigil of a worker that the store cannot show to the others: they have only its lease to go by, and it theirs."""

from __future__ import annotations

from collections.abc import Collection

from ._wake import Wake
from .journal import Seen


class LeaseOnly:
    """A vigil that sees nothing, where the store has no means to see who is there."""

    def __init__(self) -> None:
        self._wake = Wake()

    def watch(self, names: Collection[str], /) -> None:
        """Watch nobody."""

    def wait(self, timeout: float, /) -> Seen:
        """Wait for `wake`."""
        rung = self._wake.wait(timeout)
        self._wake.clear()
        return Seen(rung, {})

    def ring(self, name: str | None = None, /) -> bool:  # noqa: ARG002 - as `Vigil` has it
        """Ring for nobody."""
        return False

    def wake(self) -> None:
        """End a wait."""
        self._wake.set()

    def leave(self) -> None:
        """Nothing is held."""
