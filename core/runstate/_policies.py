"""What an agent may be told to do about failures: try again, and for a while not to try at all."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, cast

from ._checks import seconds
from ._errors import InvalidValueError, StateTypeError, wrong_type

_random: Final = random.SystemRandom()
"""Not the program's own, which somebody may have seeded, nor one that forked children share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Which failures of an agent's attempt are followed by another attempt, and when.

    An attempt that raised one of `on`, or ran out of `attempt_timeout` while `on` has `TimeoutError`, is followed by another one. What was
    cancelled, has died, left no outcome, or was not called because of a breaker is not.

    The pauses between attempts double from `wait_initial` up to `wait_max`, and each is cut by a random part of up to a half, so that
    those who failed together do not come back together. None is begun that would outlast the time limit of the whole call.

    Raises:
        StateTypeError: A value has the wrong type: `on` names exceptions, and only such that derive from `Exception`.
        InvalidValueError: A value is out of its range.
    """

    attempts: int = 3
    """How many there are at most, the first included; 1 to 1,000."""
    on: tuple[type[Exception], ...] = (ConnectionError, TimeoutError)
    """The exceptions after which it is worth trying again."""
    wait_initial: float = 0.1
    """Seconds before the second attempt."""
    wait_max: float = 5.0
    """Seconds before any attempt, at most."""
    attempt_timeout: float | None = None
    """Seconds that one attempt may take; None leaves it all that is left of the whole call's."""

    def __post_init__(self) -> None:
        _check_count("attempts", self.attempts)
        given: object = self.on
        if not isinstance(given, tuple) or not given:
            raise wrong_type("on", given, "a tuple of exception classes, at least one")
        for one in cast("tuple[object, ...]", given):
            if not isinstance(one, type) or not issubclass(one, Exception):
                raise StateTypeError(f"on must name subclasses of Exception, not {one!r}")
        object.__setattr__(self, "wait_initial", seconds("wait_initial", self.wait_initial))
        object.__setattr__(self, "wait_max", seconds("wait_max", self.wait_max))
        if self.attempt_timeout is not None:
            object.__setattr__(self, "attempt_timeout", seconds("attempt_timeout", self.attempt_timeout))


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """When an agent that keeps failing is left alone for a while, by all processes of the journal.

    Raises:
        StateTypeError: A value has the wrong type.
        InvalidValueError: A value is out of its range.
    """

    failures: int = 5
    """How many failures, without a success between them, open it; 1 to 1,000."""
    window: float = 60.0
    """Seconds within which they happen."""
    cooldown: float = 30.0
    """Seconds for which it then stays open; after them one call at a time is let through as a probe."""

    def __post_init__(self) -> None:
        _check_count("failures", self.failures)
        object.__setattr__(self, "window", seconds("window", self.window))
        object.__setattr__(self, "cooldown", seconds("cooldown", self.cooldown))


def pause_after(retry: Retry, attempt: int) -> float:
    """Choose the seconds to wait after an attempt, which is given by its number, from 1."""
    longest = min(retry.wait_max, retry.wait_initial * 2.0 ** min(attempt - 1, 64))
    return longest * _random.uniform(0.5, 1.0)


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(name, value, "an int")
    if not 1 <= value <= 1_000:
        raise InvalidValueError(name, value, "between 1 and 1,000")
