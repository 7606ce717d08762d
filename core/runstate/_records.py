"""The facts that flow through runstate: what a journal stores and what a caller reads.

Four kinds of *entry* make up the log of one execution, numbered by `seq` from 1 without a gap: `Created` (always seq 1),
`Transition` (a move), `PhaseChange`, and `Warned` (a verdict threatens: neither state nor phase changes). They are made on
the hot path, so they are NamedTuples: a quarter of the price of a frozen dataclass. Access their fields by name; a later
version may add fields at the end. `ExecutionRecord` is what folding those entries gives, and is only built when somebody
asks.

Results and metadata travel as encoded JSON (`…_json`), from the moment they are handed in: the caller may change its
dict afterwards without changing history, and no store needs to know more than bytes. All `…_ns` fields are integer
nanoseconds; wall times count from the Unix epoch. Within one execution they are taken from the monotonic clock, anchored
once at its creation, so differences between them are true durations even when the wall clock steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from ._checks import seconds
from ._errors import InvalidValueError, wrong_type
from ._json import Json, decode_json
from ._states import Cause, ExecutionState, Phase

_TABLE_ORDER: Final = {state: number for number, state in enumerate(ExecutionState)}


class Evidence(NamedTuple):
    """What was known about an execution at the moment it ended."""

    observer: str
    """Who decided the end: `owner`, `deadline watch`, `heartbeat watch`, `loop watch`, `shutdown`, or another worker."""
    beats: int = 0
    """Heartbeats received."""
    last_beat_age: float | None = None
    """Seconds between the last sign of life (a beat, a phase or a move) and the end; None if there was none, or if whoever buried it
    could not tell, as the clocks of its worker and of the store are apart."""
    last_phase: Phase | None = None
    """The phase that it was in."""
    last_phase_detail: str | None = None
    """The detail of that phase, such as the tool's name."""
    stack: str | None = None
    """The blocking stack, where one was taken."""
    reason: str | None = None
    """What the caller gave as its reason."""


class Created(NamedTuple):
    """An execution was registered; always seq 1."""

    execution_id: str
    seq: int
    at_ns: int
    agent: str
    thread_id: str
    user_id: str
    incarnation: str
    timeout: float | None
    heartbeat_timeout: float | None
    metadata_json: bytes | None
    retry_of: str | None = None
    """The first execution of the chain that this one continues; None for the first itself."""
    attempt: int = 1
    """Its place in that chain, from 1."""
    message_id: str | None = None
    """The client's own key of the user's message that it answers. A chain has one, and a thread has each once."""


class Transition(NamedTuple):
    """An execution moved from one state to another."""

    execution_id: str
    seq: int
    at_ns: int
    source: ExecutionState
    target: ExecutionState
    incarnation: str
    cause: Cause | None = None
    evidence: Evidence | None = None
    error: str | None = None
    result_json: bytes | None = None

    @property
    def result(self) -> Json:
        """The decoded result of a move to COMPLETED, else None."""
        return None if self.result_json is None else decode_json(self.result_json)


class PhaseChange(NamedTuple):
    """A live execution entered a phase."""

    execution_id: str
    seq: int
    at_ns: int
    phase: Phase
    detail: str | None
    incarnation: str


class Warned(NamedTuple):
    """A verdict threatens a live execution: said by its owner before it is passed, and no sign of life."""

    execution_id: str
    seq: int
    at_ns: int
    cause: Cause
    """The cause that the verdict would have; one that DEAD accepts."""
    detail: str | None
    """What was seen, such as the blocking stack."""
    incarnation: str


Entry: TypeAlias = Created | Transition | PhaseChange | Warned
"""One line of an execution's log."""


class Event(NamedTuple):
    """An entry that the journal has stored, with its place in the order of all entries of all executions."""

    position: int
    """Place in the journal's global order: positive, increasing, not necessarily without gaps."""
    entry: Entry
    agent: str
    thread_id: str
    user_id: str


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """Everything known of one execution at the moment of asking."""

    execution_id: str
    agent: str
    thread_id: str
    user_id: str
    state: ExecutionState
    seq: int
    """How many entries its log has."""
    created_at_ns: int
    updated_at_ns: int
    """Time of its newest entry."""
    incarnation: str
    """The worker boot that owns it."""
    timeout: float | None = None
    """Seconds from creation to TIMEOUT; None is no limit."""
    heartbeat_timeout: float | None = None
    """Seconds without a sign of life until DEAD; None is no limit."""
    phase: Phase | None = None
    phase_detail: str | None = None
    cause: Cause | None = None
    evidence: Evidence | None = None
    error: str | None = None
    metadata_json: bytes | None = field(default=None, repr=False)
    result_json: bytes | None = field(default=None, repr=False)
    retry_of: str | None = None
    """The first execution of the chain that this one continues; None for the first itself."""
    attempt: int = 1
    """Its place in that chain, from 1."""
    message_id: str | None = None
    """The client's own key of the user's message that it answers."""

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended."""
        return self.state.is_terminal

    @property
    def metadata(self) -> Json:
        """The decoded metadata given at creation, or None."""
        return None if self.metadata_json is None else decode_json(self.metadata_json)

    @property
    def result(self) -> Json:
        """The decoded result of a COMPLETED execution, else None."""
        return None if self.result_json is None else decode_json(self.result_json)

    @property
    def duration(self) -> float | None:
        """Seconds from creation to the end, by the monotonic clock; None while live."""
        return (self.updated_at_ns - self.created_at_ns) / 1e9 if self.state.is_terminal else None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which executions, or whose events, are wanted. Every field that is not None must match."""

    execution_id: str | None = None
    state: ExecutionState | None = None
    agent: str | None = None
    thread_id: str | None = None
    user_id: str | None = None
    retry_of: str | None = None
    message_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Budgets that keep a journal bounded. Sizes are bytes of UTF-8 JSON or text."""

    result_bytes: int = 1_048_576
    """Of one result."""
    metadata_bytes: int = 65_536
    """Of one execution's metadata."""
    error_bytes: int = 65_536
    """Of an error text; a longer one is cut, and says so at its end."""
    name_bytes: int = 1_024
    """Of an agent, thread or user id, and of a phase's detail."""
    entries: int = 10_000
    """Log entries of one execution after which phases are refused (moves never are)."""
    pending_entries: int = 65_536
    """Entries decided but not yet written; past it moves are refused with `JournalFullError`."""
    pending_bytes: int = 67_108_864
    """Results and metadata decided but not yet written."""
    retention: float = 30 * 86_400.0
    """Seconds that an ended execution is kept, and a worker that is gone."""
    retained_executions: int = 1_000_000
    """How many ended executions are kept, the newest first."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if name == "retention":
                object.__setattr__(self, name, seconds(name, value))
            elif isinstance(value, bool) or not isinstance(value, int):
                raise wrong_type(name, value, "an int")
            elif not 1 <= value < 1 << 62:
                raise InvalidValueError(name, value, "1 or more")


class Ends(NamedTuple):
    """How many executions ended in one way in one span of time."""

    from_ns: int
    """When the span began: a multiple of its length, in nanoseconds since the Unix epoch."""
    state: ExecutionState
    """The end."""
    number: int
    """How many executions."""


def by_time(ended: Iterable[Ends]) -> tuple[Ends, ...]:
    """Sort counts by span, and within one by state in table order."""
    return tuple(sorted(ended, key=lambda ends: (ends.from_ns, _TABLE_ORDER[ends.state])))


class Census(NamedTuple):
    """The executions of a journal, counted at one moment."""

    live: dict[ExecutionState, int]
    """Those that have not ended, by state; states that none is in are left out."""
    oldest: str | None
    """The id of the live execution that was created first, or None if none is live."""
    ended: tuple[Ends, ...]
    """Those that have ended lately, and that no other attempt of their call follows, by span, the oldest first, and within it by state in table order."""


class Statistics(NamedTuple):
    """What a tracker has done since it was opened, and how its journal is doing."""

    created: int
    """Executions created."""
    live: int
    """Executions that have not ended."""
    ended: dict[tuple[ExecutionState, Cause], int]
    """Ends by state and cause."""
    refused: int
    """Calls refused: illegal or stale moves, fenced calls, full buffers."""
    rejected: int
    """Executions whose entries the journal refused because another writer was first."""
    pending: int
    """Entries decided and not yet durable."""
    written: int
    """Entries that are durable."""
    commits: int
    """Batches that they were written in."""
    journal_failure: str | None
    """Why the journal cannot be written now, or None."""
    notices_delivered: int = 0
    """Notices that this tracker has delivered."""
    notices_retried: int = 0
    """Attempts to deliver that failed and are followed by another."""
    notices_parked: int = 0
    """Notices that were given up here."""
    notice_delay_p50: float | None = None
    """Seconds from an end to the return of the function that was told of it, the median of the newest 1,024 deliveries; None without any."""
    notice_delay_p99: float | None = None
    """The same, which 99 of 100 do not exceed."""
    notice_delay_max: float | None = None
    """The same, the longest."""
