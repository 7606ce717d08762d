"""`Delivery`: what `tracker.deliver` returns. All that it does is done by its deliverer."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from ._deliverer import Deliverer


class Delivery:
    """The notices of one outbox are being delivered to a function. Made by `tracker.deliver`."""

    def __init__(self, deliverer: Deliverer) -> None:
        self._deliverer = deliverer

    def __repr__(self) -> str:
        return f"<{self._deliverer}>"

    @property
    def outbox(self) -> str:
        """The name of the outbox."""
        return self._deliverer.outbox

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is delivered: it was closed, its outbox was removed, or the loop has ended that its function runs in."""
        return self._deliverer.is_closed

    def wake(self) -> None:
        """Have it look at once, because `threads` would say something else now. From any thread; never blocks."""
        self._deliverer.wake()

    def close(self) -> None:
        """Claim nothing any more, wait up to 5 s for what is under way, and leave the rest to others. Safe to call again.

        Called in the very loop or thread that the function runs in, it does not wait: what is under way is interrupted and given back.
        """
        self._deliverer.finish(drain=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
