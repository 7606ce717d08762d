"""What may be said about the executions of an adapter, and what all runs of one adapter object share.

Options are checked when they are given: by the time of a run they could only cost each run its record. What a name and a limit may be
the tracker itself says, `tracker.agent`, which creates nothing. Its budget for metadata alone is known when a run has added its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias, TypedDict, cast

from runstate import (
    ExecutionTracker,
    FencedError,
    InvalidValueError,
    NotOwnerError,
    ResultTooLargeError,
    StateTypeError,
)

from ._ledger import Ledger, ledger_of
from ._results import check_json

OnError: TypeAlias = Literal["log", "raise"]
Verdict: TypeAlias = FencedError | NotOwnerError
"""The news that somebody else has ended an execution: it stops the run."""


class Options(TypedDict, total=False):
    """What may be said about the executions, beside whose they are."""

    agent: str
    """Their agent; else the framework's own name for what runs."""
    timeout: float | None
    """Seconds until TIMEOUT; else the tracker's `default_timeout`."""
    heartbeat_timeout: float | None
    """Seconds without a phase or heartbeat until DEAD; else no limit."""
    metadata: Mapping[str, object] | None
    """Facts to keep with them, beside the framework's name and run id; JSON."""
    result: Callable[[Any], object]
    """Makes of a run's output what is recorded as its result; else its JSON form is."""
    resumes: str | None
    """The execution that the run goes on from; else the newest one of the thread that has paused, if the run is a resumed one."""
    on_error: OnError
    """What happens to a run that cannot be recorded: "log" lets it go on, which is the default; "raise" fails it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`Options` with its defaults."""

    agent: str | None = None
    timeout: float | None = None
    heartbeat_timeout: float | None = None
    metadata: Mapping[str, object] | None = None
    result: Callable[[Any], object] | None = None
    resumes: str | None = None
    on_error: OnError = "log"


class Tracking:
    """Where the runs of one adapter object are recorded, and what becomes of what cannot be.

    Args:
        framework: Its name in metadata, counts and log lines.
        tracker: Where executions are recorded.
        ids: `thread_id` and `user_id`, each a text, a function, or None.
        options: See `Options`.

    Raises:
        StateTypeError: *tracker* is no tracker, an id is neither a text nor a function, there is no such option, or one has the
            wrong type.
        InvalidValueError: One has an impossible value; `NotJsonError` for metadata, `ResultTooLargeError` for a name.
    """

    def __init__(self, framework: str, tracker: ExecutionTracker, ids: Mapping[str, object], options: Options) -> None:
        if not isinstance(tracker, ExecutionTracker):
            raise StateTypeError(f"track() takes an ExecutionTracker, as runstate.open() gives it, not {tracker!r:.80}")
        _check(tracker, ids, options)
        self.framework: str = framework
        self.tracker: ExecutionTracker = tracker
        self.settings: Settings = Settings(**options)
        self.ledger: Ledger = ledger_of(tracker)
        self.guard: Guard = Guard(self)

    def trouble(self, step: str, error: Exception, leaving: BaseException | None = None) -> None:
        """Count and log what could not be done, or raise it if that is wanted, unless something *leaving* the run goes first."""
        if self.settings.on_error == "raise":
            if leaving is None:
                raise error
            leaving.add_note(f"runstate: not all of it is recorded ({step}): {error}")
        self.ledger.trouble(self.framework, step, error)


class Guard:
    """A block in which an error of ours costs the record and not the run; verdicts pass. One serves all blocks of its owner.

    Args:
        tracking: Where errors are counted, or who wants them raised.
    """

    __slots__ = ("_tracking",)

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception) or isinstance(error, Verdict):
            return False
        self._tracking.trouble("event", error)
        return True


def _check(tracker: ExecutionTracker, ids: Mapping[str, object], options: Options) -> None:
    """Accept ids and options that a run can be recorded with."""
    for name, value in ids.items():
        if value is not None and not isinstance(value, str) and not callable(value):
            raise StateTypeError(f"{name} must be a str, or a function that tells it from the run, not {value!r:.80}")
    given: dict[str, object] = {**options}
    for name, value in given.items():
        if name not in _EXPECTED:
            known = ", ".join(sorted(_EXPECTED))
            raise StateTypeError(f"track() has no option {name!r}; beside thread_id and user_id it has: {known}")
        expected, fits = _EXPECTED[name]
        if not fits(value):
            raise StateTypeError(f"{name} must be {expected}, not {type(value).__qualname__}: {value!r:.80}")
    if given.get("on_error", "log") not in ("log", "raise"):
        raise InvalidValueError("on_error", given["on_error"], '"log" or "raise"')
    texts = {**ids, "agent": given.get("agent"), "resumes": given.get("resumes")}
    _check_names(tracker, {name: value for name, value in texts.items() if isinstance(value, str)})
    limits = options.get("timeout"), options.get("heartbeat_timeout")
    if limits != (None, None):
        tracker.agent("-", timeout=limits[0], heartbeat_timeout=limits[1])
    check_json("metadata", options.get("metadata") or {})


def _check_names(tracker: ExecutionTracker, names: Mapping[str, str]) -> None:
    """Accept what the tracker accepts as a name: all at once where that will do, as each question has its price."""
    if not names:
        return
    if all(names.values()):
        try:
            tracker.agent("".join(names.values()))
        except InvalidValueError:
            pass  # one of them is wrong, or together they are too long
        else:
            return
    for name, value in names.items():
        try:
            tracker.agent(value)
        except ResultTooLargeError as error:
            raise ResultTooLargeError(name, error.size, error.limit) from None
        except InvalidValueError as error:
            raise InvalidValueError(name, value, error.expected) from None


def _is_seconds(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _is_mapping(value: object) -> bool:
    if not isinstance(value, Mapping):
        return value is None
    return all(isinstance(key, str) for key in cast("Iterable[object]", value))


_EXPECTED: Final[dict[str, tuple[str, Callable[[object], bool]]]] = {
    "agent": ("a str", lambda value: isinstance(value, str)),
    "timeout": ("a number of seconds", _is_seconds),
    "heartbeat_timeout": ("a number of seconds", _is_seconds),
    "metadata": ("a mapping with str keys", _is_mapping),
    "result": ("a function that makes of the output what is recorded", callable),
    "resumes": ("a str", lambda value: value is None or isinstance(value, str)),
    "on_error": ('"log" or "raise"', lambda value: isinstance(value, str)),
}
"""What each option has to be, and whether something is that."""
