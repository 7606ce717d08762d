"""Values that should not reach a parameter, and what each annotation says about each of them.

The verdicts are derived here from the annotation alone, by rules written down a second time, not from the code under
test: a value of another type is a `StateTypeError`; one of the right type that is impossible belongs to the family of
`InvalidValueError`; everything else must be accepted. An annotation that has no rule here is an error, so a new public
parameter cannot come in unnoticed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Mapping
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from runstate import (
    CAUSES,
    Breaker,
    Cause,
    Clock,
    DuplicateMessageError,
    Evidence,
    ExecutionState,
    InvalidValueError,
    JournalError,
    Limits,
    Notice,
    NoticeState,
    NotJsonError,
    Phase,
    ResultTooLargeError,
    Retry,
    RunstateError,
    StateTypeError,
    UnknownExecutionError,
)
from runstate.journal import Journal


class LegacyState(Enum):
    """Another enumeration with the same names and values, as the replaced trackers had."""

    RUNNING = "running"
    FAILED = "failed"


class LegacyTextState(StrEnum):
    """The same as text."""

    RUNNING = "running"


class Unprintable:
    """An object whose `repr` raises, which must not hide the refusal."""

    def __repr__(self) -> str:
        raise UnprintableError


class UnprintableError(Exception):
    """An exception without a text."""

    def __str__(self) -> str:
        raise RuntimeError("no str")


def _recursive_list() -> list[object]:
    value: list[object] = [1]
    value.append(value)
    return value


def _recursive_dict() -> dict[str, object]:
    value: dict[str, object] = {}
    value["self"] = value
    return value


def _nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


HUGE_TEXT = "x" * 2_000_000

VALUES: dict[str, Callable[[], object]] = {
    "dict": lambda: {"success": False, "completed": True},
    "empty dict": dict,
    "int keys": lambda: {1: "a"},
    "dict of an object": lambda: {"when": object()},
    "dict of a tuple": lambda: {"pair": (1, 2)},
    "dict of NaN": lambda: {"deep": [{"x": math.nan}]},
    "dict of a surrogate": lambda: {"text": "\ud800"},
    "huge dict": lambda: {"text": HUGE_TEXT},
    "recursive dict": _recursive_dict,
    "list": lambda: ["running"],
    "empty list": list,
    "recursive list": _recursive_list,
    "tuple": lambda: (1, 2),
    "empty tuple": tuple,
    "set": lambda: {1},
    "str of a state": lambda: "running",
    "str of a state's name": lambda: "RUNNING",
    "empty str": lambda: "",
    "NUL": lambda: "a\0b",
    "lone surrogate": lambda: "\ud800",
    "huge str": lambda: HUGE_TEXT,
    "other enum": lambda: LegacyState.RUNNING,
    "other text enum": lambda: LegacyTextState.RUNNING,
    "state": lambda: ExecutionState.COMPLETING,
    "class of states": lambda: ExecutionState,
    "phase": lambda: Phase.THINKING,
    "cause of another state": lambda: Cause.RETURNED,
    "None": lambda: None,
    "int": lambda: 5,
    "zero": lambda: 0,
    "negative int": lambda: -1,
    "huge int": lambda: 10**400,
    "True": lambda: True,
    "False": lambda: False,
    "float": lambda: 1.5,
    "negative float": lambda: -0.5,
    "negative zero": lambda: -0.0,
    "huge float": lambda: 1e300,
    "NaN": lambda: math.nan,
    "inf": lambda: math.inf,
    "negative inf": lambda: -math.inf,
    "complex": lambda: 1j,
    "bytes": lambda: b"running",
    "path": lambda: Path("of a path.db"),
    "object": object,
    "function": lambda: len,
    "exception": lambda: ValueError("broken"),
    "unprintable exception": UnprintableError,
    "class of exceptions": lambda: ValueError,
    "tuple like evidence": lambda: ("owner", 0, None, None, None, None, None),
    "evidence of the wrong type": lambda: Evidence(5),  # type: ignore[arg-type]
    "evidence with a true count": lambda: Evidence("me", beats=True),
    "evidence with a text phase": lambda: Evidence("me", last_phase="thinking"),  # type: ignore[arg-type]
    "evidence with a negative count": lambda: Evidence("me", beats=-1),
    "evidence with a NaN age": lambda: Evidence("me", last_beat_age=math.nan),
    "evidence with a surrogate": lambda: Evidence("me", reason="\ud800"),
}
"""What is tried on every parameter. Made anew for each try, as some are mutable."""

UNPRINTABLE: dict[str, Callable[[], object]] = {
    "object without a repr": Unprintable,
    "list nested too deeply for a repr": lambda: _nested(5_000),
    "dict of an object without a repr": lambda: {"a": Unprintable()},
}
"""Values that cannot even be shown in a message."""

ACCEPTED = None
Verdict = type[RunstateError] | tuple[type[RunstateError], ...] | None


class Parameter(NamedTuple):
    """A parameter of a public callable."""

    owner: str
    """The callable, such as `ExecutionTracker.create`."""
    name: str
    annotation: Any


FREE_TEXT = {("Execution.phase", "detail")}
"""Texts that may be empty."""
ANY_TEXT = {("Execution.time_out", "error"), ("Execution.cancel", "reason"), ("ExecutionTracker.cancel", "reason")}
"""Texts of which nothing is refused, since an end must be recordable: they are escaped and cut instead."""
ONCE = {("ExecutionTracker.create", "message_id"), ("ExecutionTracker.execution", "message_id")}
"""Texts that are taken once: the text of the enumeration is that of a state, which was tried before it."""
FUTURE_IDS = {("ExecutionTracker.subscribe", "execution_id"), ("ExecutionTracker.find", "retry_of")}
"""Ids of executions that need not be there yet."""
OPEN_OUTBOXES = {("ExecutionTracker.retry_notice", "outbox"), ("ExecutionTracker.remove_outbox", "outbox")}
"""Names of outboxes that must be open; none that is tried is."""
REPORTED = {("verify", "path")}
"""Paths that may lead nowhere: what is wrong with the file is the answer, not an error."""
FOUND = {("diagnose", "url")}
"""Paths that must lead to a journal; none that is tried does."""
RANGES = {
    ("Breaker", "failures"): (1, 1_000),
    ("Retry", "attempts"): (1, 1_000),
    ("ExecutionTracker.find", "limit"): (1, 1_000_000),
    ("ExecutionTracker.subscribe", "after"): (0, 2**63 - 1),
    ("ExecutionTracker.workers", "departed"): (0, 1_000_000),
    ("ExecutionTracker.notices", "limit"): (1, 1_000_000),
    ("ExecutionTracker.deliver", "attempts"): (1, 1_000),
    ("ExecutionTracker.deliver", "concurrency"): (1, 1_000),
}
"""The integers that each int parameter takes; a new one has to be added here. Those of `Limits` are 1 to 2**62."""


def verdict(parameter: Parameter, value: object) -> Verdict:
    """Say what must happen to *value*: None if it is accepted, else the error.

    Raises:
        LookupError: The annotation has no rule.
    """
    rule = RULES.get(parameter.annotation)
    if rule is None:
        raise LookupError(
            f"{parameter.owner}({parameter.name}: {parameter.annotation}): no rule for this annotation; add one to RULES"
        )
    return rule(parameter, value)


def _optional(rule: Callable[[Parameter, object], Verdict]) -> Callable[[Parameter, object], Verdict]:
    return lambda parameter, value: ACCEPTED if value is None else rule(parameter, value)


def _is_unicode(text: str) -> bool:
    return not any(0xD800 <= ord(char) < 0xE000 for char in text)


def _text(parameter: Parameter, value: object) -> Verdict:
    place = (parameter.owner, parameter.name)
    if not isinstance(value, str):
        return StateTypeError
    if parameter.name in {"execution_id", "notice_id", "retry_of"} and place not in FUTURE_IDS:
        return (InvalidValueError, UnknownExecutionError)
    if place in ANY_TEXT:
        return ACCEPTED
    if place in ONCE and isinstance(value, StrEnum):
        return DuplicateMessageError
    if len(value) > 1_024:
        return ResultTooLargeError
    if "\0" in value or not _is_unicode(value) or (not value and place not in FREE_TEXT):
        return InvalidValueError
    return InvalidValueError if place in OPEN_OUTBOXES else ACCEPTED


def _seconds(parameter: Parameter, value: object) -> Verdict:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return StateTypeError
    return ACCEPTED if 0 < value <= 3.2e9 else InvalidValueError


def _count(parameter: Parameter, value: object) -> Verdict:
    if isinstance(value, bool) or not isinstance(value, int):
        return StateTypeError
    lowest, highest = (1, 2**62) if parameter.owner == "Limits" else RANGES[parameter.owner, parameter.name]
    return ACCEPTED if lowest <= value <= highest else InvalidValueError


def _member(enumeration: type[Enum]) -> Callable[[Parameter, object], Verdict]:
    return lambda parameter, value: ACCEPTED if type(value) is enumeration else StateTypeError


def _cause(parameter: Parameter, value: object) -> Verdict:
    if type(value) is not Cause:
        return StateTypeError
    accepted = CAUSES[ExecutionState.DEAD] if parameter.owner == "Execution.die" else CAUSES[ExecutionState.FAILED]
    return ACCEPTED if value in accepted else InvalidValueError


def _json(parameter: Parameter, value: object) -> Verdict:
    if not _is_json(value, 0):
        return NotJsonError
    too_large = value is HUGE_TEXT or (isinstance(value, dict) and value.get("text") is HUGE_TEXT)
    return ResultTooLargeError if too_large else ACCEPTED


def _is_json(value: object, depth: int) -> bool:
    if depth > 200:
        return False
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return _is_unicode(value)
    if isinstance(value, list):
        return all(_is_json(item, depth + 1) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json([key, item], depth + 1) for key, item in value.items())
    return value is None or isinstance(value, int)


def _metadata(parameter: Parameter, value: object) -> Verdict:
    if not isinstance(value, Mapping) or any(not isinstance(key, str) for key in value):
        return StateTypeError
    return _json(parameter, value)


def _error(parameter: Parameter, value: object) -> Verdict:
    return ACCEPTED if isinstance(value, str | BaseException) else StateTypeError


def _evidence(parameter: Parameter, value: object) -> Verdict:
    if type(value) is not Evidence or type(value.observer) is not str or type(value.beats) is not int:
        return StateTypeError
    return StateTypeError if type(value.last_phase) is str else InvalidValueError


def _url(parameter: Parameter, value: object) -> Verdict:
    if not isinstance(value, str | os.PathLike):
        return StateTypeError
    text = os.fspath(value)
    if not text or "\0" in text or not _is_unicode(text):
        return InvalidValueError
    if (parameter.owner, parameter.name) in FOUND:
        return JournalError
    if len(text) > 4_096 and (parameter.owner, parameter.name) not in REPORTED:
        return JournalError
    return ACCEPTED


def _function(parameter: Parameter, value: object) -> Verdict:
    return ACCEPTED if callable(value) else StateTypeError


def _only(*types: type) -> Callable[[Parameter, object], Verdict]:
    return lambda parameter, value: ACCEPTED if isinstance(value, types) else StateTypeError


def _callable(parameter: Parameter, value: object) -> Verdict:
    return ACCEPTED if callable(value) else StateTypeError


RULES: dict[Any, Callable[[Parameter, object], Verdict]] = {
    str: _text,
    str | None: _optional(_text),
    float: _seconds,
    float | None: _optional(_seconds),
    int: _count,
    bool: _only(bool),
    object: _json,
    Mapping[str, object] | None: _optional(_metadata),
    ExecutionState: _member(ExecutionState),
    ExecutionState | None: _optional(_member(ExecutionState)),
    NoticeState | None: _optional(_member(NoticeState)),
    Callable[[Notice], object]: _callable,
    Callable[[], Collection[str]] | None: _optional(_callable),
    Phase: _member(Phase),
    Cause: _cause,
    Cause | None: _optional(_cause),
    Evidence | None: _optional(_evidence),
    str | BaseException: _error,
    str | BaseException | None: _optional(_error),
    str | os.PathLike[str]: _url,
    Limits | None: _optional(_only()),
    Clock | None: _optional(_only()),
    Journal: _only(),
    Retry | None: _optional(_only()),
    Breaker | None: _optional(_only()),
    tuple[type[Exception], ...]: _only(),
    Callable[..., Any] | None: _optional(_function),
    Callable[[], Mapping[str, object]]: _function,
}
"""What each annotation that a public callable uses says about a value."""
