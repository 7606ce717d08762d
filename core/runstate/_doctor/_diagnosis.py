"""What `diagnose` says, and in which words; apart from the looking, which is imported only when it is done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import Enum
from typing import Final, NamedTuple

from .._errors import describe

LISTED: Final = 5
"""Ids that a text names; the others are counted."""


class Severity(Enum):
    """How bad it is."""

    OK = "ok"
    """As it should be; nothing is to be done."""
    WARNING = "warning"
    """Not as it should be, or not to be seen from here; it can wait for the morning."""
    PROBLEM = "problem"
    """Executions hang, or will be lost or refused: look at it now."""


class Diagnosis(NamedTuple):
    """One thing that was looked at."""

    severity: Severity
    topic: str
    """What was looked at: a key of the table in `runstate._doctor`, such as `worker`."""
    found: str
    """What was found, and where."""
    expected: str
    """What it would be like in a journal and a fleet that are well."""
    advice: str | None = None
    """What to do next; None where nothing is to be done."""
    execution_ids: tuple[str, ...] = ()
    """The executions that it concerns, the oldest first; at most 100."""


def fine(topic: str, found: str, expected: str) -> Diagnosis:
    """Say that something is as it should be."""
    return Diagnosis(Severity.OK, topic, found, expected)


def warning(topic: str, found: str, expected: str, advice: str, execution_ids: Sequence[str] = ()) -> Diagnosis:
    """Say that something should be looked at."""
    return Diagnosis(Severity.WARNING, topic, found, expected, advice, tuple(execution_ids))


def problem(topic: str, found: str, expected: str, advice: str, execution_ids: Sequence[str] = ()) -> Diagnosis:
    """Say that something must be looked at."""
    return Diagnosis(Severity.PROBLEM, topic, found, expected, advice, tuple(execution_ids))


def worst_first(diagnoses: Sequence[Diagnosis]) -> tuple[Diagnosis, ...]:
    """Put problems before warnings, and those before what is fine."""
    order = list(reversed(Severity))
    return tuple(sorted(diagnoses, key=lambda one: order.index(one.severity)))


def span(seconds: float) -> str:
    """A duration, for people."""
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 120 else str(timedelta(seconds=round(seconds))).removesuffix(", 0:00:00")


def size(count: int) -> str:
    """A number of bytes, for people."""
    return f"{count:,} bytes" if count < 1 << 20 else f"{count / (1 << 20):,.1f} MiB"


def counted(count: int, noun: str) -> str:
    """A number of things, for people."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def listed(execution_ids: Sequence[str], count: int) -> str:
    """Name some executions of so many."""
    names = ", ".join(name if name.isprintable() else describe(name) for name in execution_ids[:LISTED])
    return names if count <= LISTED else f"{names} and {count - LISTED:,} more"
