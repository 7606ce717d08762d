"""What may be said about the executions of an adapter, and what all runs of one adapter object share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, TypeAlias, TypedDict

from runstate import ExecutionTracker, FencedError, InvalidValueError, NotOwnerError, StateTypeError

from ._ledger import Ledger, ledger_of

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
        options: See `Options`.

    Raises:
        StateTypeError: *tracker* is no tracker.
        InvalidValueError: `on_error` is neither "log" nor "raise".
        TypeError: There is no such option.
    """

    def __init__(self, framework: str, tracker: ExecutionTracker, options: Options) -> None:
        if not isinstance(tracker, ExecutionTracker):
            raise StateTypeError(f"track() takes an ExecutionTracker, as runstate.open() gives it, not {tracker!r:.80}")
        self.framework: str = framework
        self.tracker: ExecutionTracker = tracker
        self.settings: Settings = Settings(**options)
        if self.settings.on_error not in ("log", "raise"):
            raise InvalidValueError("on_error", self.settings.on_error, '"log" or "raise"')
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
