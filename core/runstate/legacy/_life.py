"""`Life`: what a legacy record shows of one execution and the core does not keep.

Legacy records were mutable and alive: code read `record.state` long after it got the record, and set `record.last_heartbeat`
back to see what happens. The state, the end and its evidence are the core's and are read from it each time. Here is only
the rest: limits that change on the way, times that were set by hand, answers as objects, the facade's own facts.

All times are kept on the monotonic clock and shown as wall times by one offset per execution, taken when it is created:
a step of the wall clock changes neither an age nor a limit.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from .. import Execution, ExecutionRecord, ExecutionState, InvalidValueError, LiveState
from ._arguments import positive

NEVER: Final = 1 << 63
"""Later than any clock will say, in nanoseconds."""

SETTLE: Final = 5.0
"""Seconds that a result may follow the word that an execution is complete; see `Life.settle`."""

HAND_SET_GRACE: Final = 2.0
"""Seconds that a time set by hand can be looked at before it has consequences; the old monitors came by as often."""

BEATS_PROMISE: Final = 2
"""Heartbeats after which more are expected. Legacy code need not beat, and some beats once before and once after its work."""


class Unset:
    """Stands for "was never given", where None, 0, "" and [] are answers."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()


@dataclass(frozen=True)
class Facade:
    """One legacy module, as far as the shared part must know it."""

    name: str
    """Its name, such as `execution_tracker`."""
    timeout_error: str
    """Text of the error at a passed time limit; `{limit}` is the limit in seconds."""
    death_error: str
    """Text of the error at a passed heartbeat limit; `{age}` is the age of the last beat, `{limit}` the limit, in seconds."""
    ended: Callable[[Life, bool], None] = lambda _life, _observed: None
    """Called once when an execution that it created has ended, outside of all locks. The flag says that its own code did
    not report the end: a limit passed, or somebody else ended it as TIMEOUT or DEAD."""


@dataclass(eq=False)
class Life:
    """One execution as the facades see it. Made by `Book`, never by hand."""

    execution_id: str
    """Runstate's own id: 32 hexadecimal digits."""
    facade: Facade | None
    """Who created it; None for one that was not created through a facade."""
    execution: Execution[LiveState] | None
    """The core's handle; None when it had ended, or another process owned it, before it was looked at here."""
    read: Callable[[], ExecutionRecord]
    """Asks the core; for those without a handle."""
    clock: Callable[[], int]
    """The monotonic clock, in nanoseconds."""
    offset_ns: int
    """Wall clock minus monotonic clock."""
    started_ns: int
    beat_ns: int
    timeout: float
    """Seconds from the start to TIMEOUT."""
    heartbeat_timeout: float | None = None
    """Seconds without a sign of life to DEAD, where silence counts (see `promised`); None is no limit."""
    beats_expected: bool = False
    """Somebody has asked for heartbeats, so silence counts whether or not any came."""
    more_beats: int = 0
    """Heartbeats beside those that the core has counted on the handle: read from its journal, or set by hand."""
    beats_are_watched: bool = False
    """Whether the watch was told that silence counts from now on."""
    beat_set_ns: int | None = None
    """When the last beat's time was set by hand, if no sign of life came since: then it counts, however many came."""
    patient_until_ns: int = 0
    """No limit is enforced before: a time was just set by hand."""
    settle: tuple[ExecutionState, int] | None = None
    """An end that was announced, and when it is taken as it stands; a result may follow until then."""
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    error: object = UNSET
    """What was reported beside a state that keeps no error in the core."""
    result: object = UNSET
    """The answer as the object that it was."""
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    """The facade's own, by its own keys."""
    views: dict[type, Any] = field(default_factory=dict[type, Any])
    """Its record for each facade: the same object each time."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    """Keeps the facade's own facts together. Never held while foreign code runs."""
    endings: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    """Called once when it has ended, before `Facade.ended`: for what was set up on the way."""
    retired: bool = False
    """Its end was noticed here."""
    alarm: Callable[[Life], None] = lambda _life: None
    """To be called when one of its limits may pass sooner than was known."""

    @property
    def state(self) -> ExecutionState:
        """The state it is in now."""
        return self.execution.state if self.execution is not None else self.read().state

    @property
    def record(self) -> ExecutionRecord:
        """What the core knows of it now."""
        return self.execution.record if self.execution is not None else self.read()

    @property
    def now_ns(self) -> int:
        """The wall time, in nanoseconds since the Unix epoch, as this execution counts it."""
        return self.clock() + self.offset_ns

    @property
    def beats(self) -> int:
        """Heartbeats so far, from whoever gave them; may be set by hand."""
        return self.more_beats + (0 if self.execution is None else self.execution.beats)

    @beats.setter
    def beats(self, count: int) -> None:
        self.more_beats += count - self.beats

    @property
    def start_time_ns(self) -> int:
        """When it started, as a wall time; may be set back."""
        return self.started_ns + self.offset_ns

    @start_time_ns.setter
    def start_time_ns(self, wall_ns: int) -> None:
        self.started_ns = wall_ns - self.offset_ns
        self._be_patient()

    @property
    def beat_time_ns(self) -> int:
        """When its last sign of life came, as a wall time; may be set back."""
        return self._sign_ns() + self.offset_ns

    @beat_time_ns.setter
    def beat_time_ns(self, wall_ns: int) -> None:
        self.beat_ns = wall_ns - self.offset_ns
        self.beat_set_ns = self.clock()
        self._be_patient()

    @property
    def end_time_ns(self) -> int | None:
        """When it ended, as a wall time; None while live."""
        record = self.record
        return record.updated_at_ns if record.is_terminal else None

    def limit(self, timeout: float) -> None:
        """Give it another time limit, in seconds from its start.

        Raises:
            StateTypeError: It is no number.
            InvalidValueError: It is not positive, or longer than the core's own limit.
        """
        positive("timeout", timeout)
        ceiling = self.record.timeout
        if ceiling is not None and timeout > ceiling:
            raise InvalidValueError("timeout", timeout, f"at most {ceiling} s, where the core ends it")
        self.timeout = timeout
        self.alarm(self)

    def sign(self) -> None:
        """Note a sign of life that is no heartbeat: a move or a phase."""
        self.beat_ns, self.beat_set_ns = self.clock(), None

    def expect_beats(self, limit: float) -> None:
        """Expect heartbeats: from now on silence counts, whether or not any came, and whatever state it is in.

        Args:
            limit: Seconds without a sign of life to DEAD.
        """
        self.heartbeat_timeout, self.beats_expected = limit, True
        self.sign()
        self.alarm(self)

    def expect_no_beats(self) -> None:
        """Have silence mean nothing any more."""
        self.heartbeat_timeout, self.beats_expected = None, False

    def elapsed(self) -> float:
        """Seconds from its start to its end, or to now."""
        end_ns = self.end_time_ns
        return ((self.now_ns if end_ns is None else end_ns) - self.start_time_ns) / 1e9

    def silent(self) -> float:
        """Seconds since its last sign of life, up to its end: an end does not destroy the evidence for it."""
        record = self.record
        if record.is_terminal:
            evidence = record.evidence
            return 0.0 if evidence is None or evidence.last_beat_age is None else evidence.last_beat_age
        return (self.clock() - self._sign_ns()) / 1e9

    @property
    def promised(self) -> bool:
        """Whether silence counts: beats are expected, it has shown that it beats, or its last beat was set by hand."""
        shown = self.beats >= BEATS_PROMISE and self.state is not ExecutionState.PENDING
        return self.beats_expected or shown or self._beat_is_set()

    def is_late(self, limit: float) -> bool:
        """Whether it is live, its silence counts, and it is longer than so many seconds: a tracker's own verdict."""
        return not self.state.is_terminal and self.promised and self.silent() > limit

    def is_silent(self, limit: float) -> bool:
        """Whether it is live and has been silent for longer than so many seconds: the answer to one who names a limit.

        Waiting for its turn is no silence, unless heartbeats are expected of it or its last one was set by hand.
        """
        state = self.state
        begun = state is not ExecutionState.PENDING or self.promised
        return not state.is_terminal and begun and self.silent() > limit

    def deadline_ns(self) -> int:
        """When its time limit passes, by the monotonic clock."""
        return NEVER if self.timeout == math.inf else self.started_ns + int(self.timeout * 1e9)

    def silence_ns(self) -> int:
        """When its heartbeat limit passes, by the monotonic clock; `NEVER` while silence does not count."""
        limit = self.heartbeat_timeout
        return NEVER if limit is None or not self.promised else self._sign_ns() + int(limit * 1e9)

    def due_ns(self) -> int:
        """When it has to be looked at next, by the monotonic clock."""
        settled_ns = NEVER if self.settle is None else self.settle[1]
        return max(self.patient_until_ns, min(self.deadline_ns(), self.silence_ns(), settled_ns))

    def _sign_ns(self) -> int:
        """When its last sign of life came, by the monotonic clock: from here or from elsewhere."""
        if self._beat_is_set():
            return self.beat_ns
        if self.execution is not None and not self.state.is_terminal:
            return max(self.beat_ns, self.execution.last_beat_ns)
        record = self.record
        known_ns = record.updated_at_ns - self.offset_ns
        if record.is_terminal:
            age = None if record.evidence is None else record.evidence.last_beat_age
            return self.beat_ns if age is None else max(self.beat_ns, known_ns - int(age * 1e9))
        return max(self.beat_ns, known_ns)

    def _beat_is_set(self) -> bool:
        set_ns, execution = self.beat_set_ns, self.execution
        return set_ns is not None and (execution is None or execution.last_beat_ns <= set_ns)

    def _be_patient(self) -> None:
        self.patient_until_ns = self.clock() + int(HAND_SET_GRACE * 1e9)
        self.alarm(self)
