"""Breakers: an agent that keeps failing is left alone for a while, by every process of the journal.

There is no second truth. Whether an agent's breaker is open follows from the ends of its executions, which the journal has in one order
for all; each process adds them up for itself:

| breaker | what is seen | it becomes |
|---|---|---|
| closed | `failures` failures without a success between them, within `window` seconds | open |
| open | `cooldown` seconds | half open: a first attempt may be let through, as a probe |
| half open | a probe completes | closed |
| half open | a probe fails | open, for another `cooldown` |

*Failures* are FAILED, TIMEOUT and DEAD, each attempt for itself, but not what says nothing about the agent: that it was not called
(BREAKER_OPEN), what its fallback did (FALLBACK), that its process ended or its lease ran out. What was cancelled counts for nothing.
*Probes* are the first attempts that began after the breaker had opened, in the order of the journal; what began before cannot close it.
An attempt that is a retry is never a probe.

**What is guaranteed.** A probe is durable before it is let through, and it is let through only if the journal shows no other before it
that is live and younger than `cooldown`. So in all processes together one probe is under way at a time, or, if it hangs, one in each
`cooldown`. A process that has not yet heard of an opening (milliseconds) lets calls through meanwhile; they count as probes.

**What it costs.** A call of an agent whose breaker is closed asks one attribute. The journal is read behind its back: by one thread for
all breakers of a tracker, woken when something was written, at most every `EVERY` seconds; and by an agent's first call
in a process, by calls that have failed, and by those that are to probe.

Time is each process's own. When an end was written is taken from the writer's clock, but never to be before this process last looked
at the journal, nor later than now: so a wrong clock elsewhere cannot keep a breaker open.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from enum import Enum
from itertools import islice
from typing import Final

from ._clock import Clock
from ._errors import JournalError, SubscriptionLaggedError
from ._events import POLL, News
from ._policies import Breaker
from ._records import Created, Entry, Selection, Transition
from ._states import CAUSES, Cause, ExecutionState
from ._wake import Wake
from .journal import Journal

EVERY: Final = 0.02
"""Seconds between two looks at the journal, at least."""
_PAGE: Final = 512
_NOTHING: Final = Selection(execution_id="-")
"""Selects no event, as no execution has this id: the journal then says where it ends."""
_SAYS_NOTHING: Final = frozenset({Cause.BREAKER_OPEN, Cause.FALLBACK, Cause.PROCESS_EXITED, Cause.LEASE_EXPIRED})
FAILURES: Final = frozenset(
    (state, cause)
    for state in (ExecutionState.FAILED, ExecutionState.TIMEOUT, ExecutionState.DEAD)
    for cause in CAUSES[state] - _SAYS_NOTHING
)
"""The ends that are an agent's own failures."""
_SUCCESS: Final = (ExecutionState.COMPLETED, Cause.RETURNED)

logger: Final = logging.getLogger("runstate")


class Admission(Enum):
    """Whether an attempt may be made."""

    OPEN_DOOR = "open door"
    """The breaker is closed."""
    PROBE = "probe"
    """If it is the first that the journal knows of."""
    REFUSED = "refused"


class Circuit:
    """Adds up what is seen of one agent. Times are nanoseconds of this process's monotonic clock."""

    def __init__(self, breaker: Breaker) -> None:
        self.breaker: Breaker = breaker
        self.opened_ns: int | None = None
        """When it opened, or a probe failed; None while it is closed."""
        self._window_ns = int(breaker.window * 1e9)
        self._cooldown_ns = int(breaker.cooldown * 1e9)
        self._failed_ns: deque[int] = deque(maxlen=breaker.failures)
        """The newest failures in a row."""
        self._probes: dict[str, int] = {}
        """Those that are live, in the order of the journal, and when they began."""
        self.is_certain: bool = False
        """Whether it is known what it was before. While it is not, a refusal tells that it had opened."""

    def take(self, entry: Entry, at_ns: int) -> None:
        """Take the next entry of the agent's executions, which was written at *at_ns*."""
        if type(entry) is Created:
            if self.opened_ns is not None and entry.attempt == 1:
                self._probes[entry.execution_id] = at_ns
        elif type(entry) is Transition and entry.cause is not None:
            end = entry.target, entry.cause
            if self.opened_ns is None:
                self._take_end(end, at_ns)
            elif self._probes.pop(entry.execution_id, None) is not None:
                if end == _SUCCESS:
                    self.opened_ns = None
                    self._probes.clear()
                    self._failed_ns.clear()
                elif end in FAILURES:
                    self.opened_ns = at_ns

    def _take_end(self, end: tuple[ExecutionState, Cause], at_ns: int) -> None:
        if end == _SUCCESS:
            self.is_certain = True
            self._failed_ns.clear()
        elif end in FAILURES:
            self._failed_ns.append(at_ns)
            if len(self._failed_ns) == self.breaker.failures and at_ns - self._failed_ns[0] <= self._window_ns:
                self.opened_ns = at_ns
        elif end[1] is Cause.BREAKER_OPEN and not self.is_certain:
            self.opened_ns = at_ns

    def admit(self, attempt: int, now_ns: int) -> Admission:
        """Say whether an attempt may be made, as far as is known."""
        if self.opened_ns is None:
            return Admission.OPEN_DOOR
        if attempt > 1 or now_ns < self.opened_ns + self._cooldown_ns or self._first_probe(now_ns) is not None:
            return Admission.REFUSED
        return Admission.PROBE

    def may_probe(self, execution_id: str, now_ns: int) -> bool:
        """Say whether an execution that is known here may go on."""
        if self.opened_ns is None:
            return True
        return now_ns >= self.opened_ns + self._cooldown_ns and self._first_probe(now_ns) == execution_id

    def _first_probe(self, now_ns: int) -> str | None:
        young = (name for name, begun_ns in self._probes.items() if now_ns < begun_ns + self._cooldown_ns)
        return next(islice(young, 1), None)

    def left(self, now_ns: int) -> float:
        """Seconds until a probe may be let through; 0.0 if one may, or is under way."""
        return 0.0 if self.opened_ns is None else max(0.0, (self.opened_ns + self._cooldown_ns - now_ns) / 1e9)


class Gate:
    """One agent's breaker in one process: what the journal says about it, read up to some position."""

    def __init__(self, agent: str, breaker: Breaker, journal: Journal, clock: Clock) -> None:
        self.agent: str = agent
        self.circuit: Circuit = Circuit(breaker)
        self._journal = journal
        self._clock = clock
        self._selection = Selection(agent=agent)
        self._lock = threading.Lock()
        """Of the circuit. Nobody reads the journal meanwhile, so calls may wait for it."""
        self._look_lock = threading.Lock()
        self._position: int | None = None
        self._looked_ns = -(1 << 62)
        """When the journal was last seen to its end."""

    @property
    def is_new(self) -> bool:
        """Whether the journal was never looked at."""
        return self._position is None

    def admit(self, attempt: int) -> Admission:
        """Say whether an attempt may be made, as far as is known."""
        if self.circuit.opened_ns is None:
            return Admission.OPEN_DOOR
        with self._lock:
            return self.circuit.admit(attempt, self._clock.monotonic_ns())

    def may_probe(self, execution_id: str) -> bool:
        """Look at the journal, and say whether an execution, which is durable, may be made as a probe.

        Raises:
            JournalError: It cannot be read.
        """
        self.look()
        with self._lock:
            return self.circuit.may_probe(execution_id, self._clock.monotonic_ns())

    def refusal(self) -> str:
        """Say why the agent is not called."""
        breaker = self.circuit.breaker
        with self._lock:
            left = self.circuit.left(self._clock.monotonic_ns())
        after = f"in {left:.3g} s" if left else "when the probe that is under way has ended"
        return (
            f"agent {self.agent!r} was not called: its breaker has opened after {breaker.failures} failures in a row "
            f"within {breaker.window:g} s; it is tried again {after}"
        )

    def look(self) -> None:
        """Take what the journal has got since the last look.

        Raises:
            JournalError: It cannot be read.
        """
        with self._look_lock:
            after = self._first_position() if self._position is None else self._position
            now_ns = self._clock.monotonic_ns()
            offset_ns = self._clock.time_ns() - now_ns
            is_read = False
            while not is_read:
                try:
                    page = self._journal.read(after, _PAGE, self._selection)
                except SubscriptionLaggedError as lagged:
                    after = lagged.pruned
                    continue
                is_read = len(page.events) < _PAGE
                with self._lock:
                    for event in page.events:
                        at_ns = min(max(event.entry.at_ns - offset_ns, self._looked_ns), now_ns)
                        self.circuit.take(event.entry, at_ns)
                    self.circuit.is_certain |= is_read
                    self._position = after = page.up_to
            self._looked_ns = now_ns

    def _first_position(self) -> int:
        """Find by halving where the part of the journal begins that still matters."""
        breaker = self.circuit.breaker
        oldest_ns = self._clock.time_ns() - int((breaker.window + breaker.cooldown) * 1e9)
        low, high = 0, self._journal.read(0, 1, _NOTHING).up_to
        while low < high:
            middle = (low + high) // 2
            try:
                events = self._journal.read(middle, 1, Selection()).events
            except SubscriptionLaggedError as lagged:
                low = lagged.pruned
                continue
            if events and events[0].entry.at_ns < oldest_ns:
                low = events[0].position
            else:
                high = middle
        return low

    def after_fork(self) -> None:
        """Start afresh in a forked child: the locks may have been taken."""
        self._lock = threading.Lock()
        self._look_lock = threading.Lock()


class Breakers:
    """The gates of one tracker, and the thread that looks at the journal for them.

    Args:
        journal: What is read.
        news: Tells when something was written.
        clock: This process's clocks.
        threaded: Whether to look by itself; with a clock that a test moves, `look` is called by hand.
    """

    def __init__(self, journal: Journal, news: News, clock: Clock, *, threaded: bool) -> None:
        self._journal = journal
        self._news = news
        self._clock = clock
        self._threaded = threaded
        self._gates: dict[tuple[str, Breaker], Gate] = {}
        self._trouble: str | None = None
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._wake = Wake()

    def gate(self, agent: str, breaker: Breaker) -> Gate:
        """Return the gate of an agent; agents of one name that are told the same have one."""
        with self._lock:
            key = agent, breaker
            if key not in self._gates:
                self._gates[key] = Gate(agent, breaker, self._journal, self._clock)
            return self._gates[key]

    def start(self) -> None:
        """Look by itself from now on, unless that is done already."""
        if self._threaded and self._thread is None:
            self._start()

    def look(self) -> None:
        """Look at the journal for each gate. What cannot be read now is said once, and read later."""
        for gate in list(self._gates.values()):
            try:
                gate.look()
            except JournalError as error:
                if str(error) != self._trouble:
                    self._trouble = str(error)
                    logger.warning("runstate: breakers cannot be followed, trying again: %s", error)
                return
        self._trouble = None

    def close(self) -> None:
        """Look no more."""
        self._closed.set()
        self._wake.set()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._news.discard(self._wake)

    def after_fork(self) -> None:
        """Start afresh in a forked child, with the first call."""
        self._begin()
        for gate in self._gates.values():
            gate.after_fork()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed.is_set():
                self._news.add(self._wake)
                thread = threading.Thread(target=self._run, name="runstate-breakers", daemon=True)
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while not self._closed.is_set():
            self._wake.clear()
            self.look()
            self._wake.wait(POLL)
            self._closed.wait(EVERY)
