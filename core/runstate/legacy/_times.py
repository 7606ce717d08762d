"""Wall times as legacy records show them: aware datetimes in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from .. import StateTypeError

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def when(wall_ns: int) -> datetime:
    """Turn nanoseconds since the Unix epoch into an aware datetime."""
    return EPOCH + timedelta(microseconds=wall_ns // 1_000)


def wall_ns(name: str, time: object) -> int:
    """Turn an aware datetime into nanoseconds since the Unix epoch.

    Raises:
        StateTypeError: It is no datetime with a time zone.
    """
    if not isinstance(time, datetime) or time.tzinfo is None:
        raise StateTypeError(f"{name} must be a datetime with a time zone, not {time!r:.80}; use datetime.now(UTC)")
    return (time - EPOCH) // timedelta(microseconds=1) * 1_000
