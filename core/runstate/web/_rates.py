"""How often one client may ask, and how many streams it may have open. Both tables are bounded, whoever comes."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final

from ._refusals import RefusedError
from ._settings import Principal, WebLimits

_KNOWN: Final = 10_000
"""Clients that are remembered; who has not asked for longest is forgotten, and with it what it has used up."""


class Allowance:
    """A bucket of requests for each client, which fills with time.

    Args:
        per_second: How many come in.
        burst: How many it holds.
        clock: Monotonic seconds.
    """

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, client: str) -> float:
        """Take one request out of a client's bucket; return 0, or in how many seconds there is one, and take none."""
        left = self.left(client)
        if left < 1:
            return (1 - left) / self._per_second
        self._left[client] = (left - 1, self._clock())
        self._left.move_to_end(client)
        if len(self._left) > _KNOWN:
            self._left.popitem(last=False)
        return 0.0

    def left(self, client: str) -> float:
        """Return how many requests a client's bucket holds."""
        left, at = self._left.get(client, (float(self._burst), 0.0))
        return min(float(self._burst), left + (self._clock() - at) * self._per_second)


class Places:
    """The streams that may be open at once."""

    def __init__(self, limits: WebLimits) -> None:
        self._limits = limits
        self._open = 0
        self._of_users: Counter[str] = Counter()

    def take(self, principal: Principal) -> None:
        """Take a place.

        Raises:
            RefusedError: There is none left.
        """
        limits, user = self._limits, principal.user_id
        if self._open >= limits.streams:
            raise RefusedError(503, "too_many_streams", f"{limits.streams} streams are open, which is all; try again later",
                          {"Retry-After": "5"})  # fmt: skip
        if user is not None:
            if self._of_users[user] >= limits.streams_per_user:
                message = f"{limits.streams_per_user} streams of this user are open, which is all; close one first"
                raise RefusedError(429, "too_many_streams", message, {"Retry-After": "5"})
            self._of_users[user] += 1
        self._open += 1

    def give_back(self, principal: Principal) -> None:
        """Give a place back."""
        self._open -= 1
        user = principal.user_id
        if user is not None:
            self._of_users[user] -= 1
            if self._of_users[user] <= 0:
                del self._of_users[user]
