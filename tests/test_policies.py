"""`Retry` and `Breaker`: what they take, and the pauses that follow from it."""

from __future__ import annotations

from typing import Any

import pytest

from runstate import Breaker, InvalidValueError, Retry, StateTypeError
from runstate._policies import pause_after

WRONG: list[tuple[type[Any], dict[str, Any], type[Exception]]] = [
    (Retry, {"attempts": 0}, InvalidValueError),
    (Retry, {"attempts": 2.0}, StateTypeError),
    (Retry, {"on": ()}, StateTypeError),
    (Retry, {"on": ConnectionError}, StateTypeError),
    (Retry, {"on": (KeyboardInterrupt,)}, StateTypeError),
    (Retry, {"on": (ConnectionError("no"),)}, StateTypeError),
    (Retry, {"wait_initial": 0}, InvalidValueError),
    (Retry, {"wait_max": float("inf")}, InvalidValueError),
    (Retry, {"attempt_timeout": "1"}, StateTypeError),
    (Breaker, {"failures": 1_001}, InvalidValueError),
    (Breaker, {"failures": True}, StateTypeError),
    (Breaker, {"window": -1.0}, InvalidValueError),
    (Breaker, {"cooldown": None}, StateTypeError),
]


@pytest.mark.parametrize(("policy", "fields", "error"), WRONG)
def test_impossible_policies_are_refused(policy: type[Any], fields: dict[str, Any], error: type[Exception]) -> None:
    """A value of the wrong type or out of its range is refused when the policy is made, also under `python -O`."""
    with pytest.raises(error):
        policy(**fields)


def test_pauses_grow_and_differ() -> None:
    """A pause is between half of its length and all of it, doubles with each attempt, and never passes `wait_max`."""
    retry = Retry(attempts=1_000, wait_initial=0.1, wait_max=5.0)
    for attempt, longest in ((1, 0.1), (2, 0.2), (3, 0.4), (6, 3.2), (7, 5.0), (999, 5.0)):
        pauses = [pause_after(retry, attempt) for _ in range(200)]
        assert longest / 2 <= min(pauses) <= max(pauses) <= longest
        assert len(set(pauses)) > 100
