"""What is the case: asked of the trackers of a program when somebody collects.

An observable instrument exists once for each meter, with the callbacks that it was made with: the SDK passes over those of a second
one of the same name. So the instruments of a meter ask everybody who is open now, and add up or compare what they hear.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias
from weakref import WeakKeyDictionary

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from runstate import TRANSITIONS, ExecutionTracker, JournalError, Statistics, WorkerState

from . import _conventions as names
from ._life import Life, seconds_between

logger: Final = logging.getLogger("runstate.otel")

NAMES: Final = 100
"""Agents, and types of errors, that have a label of their own."""
DEPARTED: Final = 100
"""Workers gone that are looked at when somebody collects: more deaths between two collections are not all counted."""
_LIVE: Final = tuple(state for state, targets in TRANSITIONS.items() if targets)

Labels: TypeAlias = tuple[tuple[str, str], ...]
Answer: TypeAlias = Mapping[Labels, float]


class Names:
    """The first so many names that come; all others are `_OTHER`."""

    def __init__(self, limit: int = NAMES) -> None:
        self._limit = limit
        self.known: dict[str, None] = {}

    def label(self, name: str) -> str:
        """Return the label of a name."""
        if name in self.known:
            return name
        if len(self.known) >= self._limit:
            return names.OTHER
        self.known[name] = None
        return name


class State:
    """One tracker, as it is asked.

    Args:
        tracker: Whose state it is.
        lives: Returns the live executions of this process.
        own: Returns the incarnations that this process has had.
        is_open: Whether the tracker may still be asked.
        agents: The agents that have a label.
    """

    def __init__(
        self,
        tracker: ExecutionTracker,
        lives: Callable[[], Sequence[Life]],
        own: Callable[[], frozenset[str]],
        is_open: Callable[[], bool],
        agents: Names,
    ) -> None:
        self._tracker = tracker
        self._lives = lives
        self._own = own
        self._agents = agents
        self._lock = threading.Lock()
        self._fenced: set[int] = set()
        self._fenced_count = 0
        self.is_open: Callable[[], bool] = is_open

    def statistics(self) -> Statistics:
        """What the tracker has done."""
        return self._tracker.statistics()

    def live(self) -> Answer:
        """The live executions by agent and state, with the zeros."""
        counts = Counter((self._agents.label(life.created.agent), life.state) for life in self._lives())
        agents = [*self._agents.known, *({agent for agent, _ in counts} - self._agents.known.keys())]
        return {
            ((names.AGENT, agent), (names.STATE, state.value)): counts[agent, state]
            for agent in agents
            for state in _LIVE
        }

    def oldest(self) -> Answer:
        """The age of the oldest live execution in seconds."""
        now_ns = time.time_ns()
        return {(): seconds_between(min((life.created.at_ns for life in self._lives()), default=now_ns), now_ns)}

    def workers(self) -> Answer:
        """The processes that share the journal, by state."""
        try:
            counts = Counter(worker.state for worker in self._tracker.workers())
        except JournalError as error:
            logger.warning("runstate: the workers cannot be counted now: %s", error)
            return {}
        return {((names.WORKER_STATE, state.value),): counts[state] for state in WorkerState}

    def deaths(self) -> Answer:
        """How many workers this process has held for dead."""
        try:
            workers = self._tracker.workers(departed=DEPARTED)
        except JournalError as error:
            logger.warning("runstate: the workers that died cannot be counted now: %s", error)
            return {(): self._fenced_count}
        own = self._own()
        fenced = {worker.number for worker in workers if worker.fence is not None and worker.fence.by in own}
        with self._lock:
            self._fenced_count += len(fenced - self._fenced)
            self._fenced = fenced
            return {(): self._fenced_count}


_asked: Final[WeakKeyDictionary[Meter, list[State]]] = WeakKeyDictionary()
_lock: Final = threading.Lock()


def observe(meter: Meter, state: State) -> None:
    """Have the instruments of a meter ask a tracker, until it is open no more."""
    with _lock:
        states = _asked.get(meter)
        if states is not None:
            states[:] = [*(one for one in states if one.is_open()), state]
            return
        _asked[meter] = states = [state]

    def add(name: str, unit: str, description: str, ask: Callable[[State], Answer]) -> None:
        meter.create_observable_gauge(name, [_callback(states, ask, sum)], unit, description)

    def greatest(name: str, unit: str, description: str, ask: Callable[[State], Answer]) -> None:
        meter.create_observable_gauge(name, [_callback(states, ask, max)], unit, description)

    def count(name: str, unit: str, description: str, ask: Callable[[State], Answer]) -> None:
        meter.create_observable_counter(name, [_callback(states, ask, sum)], unit, description)

    add("runstate.executions.live", "{execution}", "Executions that have not ended", State.live)
    greatest("runstate.executions.oldest_live", "s", "Age of the oldest live execution", State.oldest)
    greatest("runstate.workers", "{worker}", "Processes that share the journal", State.workers)
    count("runstate.workers.fenced", "{worker}", "Workers held for dead by this process", State.deaths)
    greatest(
        "runstate.journal.failing",
        "",
        "1 while the journal cannot be written",
        _told(lambda said: int(said.journal_failure is not None)),
    )
    add("runstate.journal.pending", "{entry}", "Entries not yet durable", _told(lambda said: said.pending))
    count("runstate.journal.written", "{entry}", "Entries made durable", _told(lambda said: said.written))
    count("runstate.journal.commits", "{commit}", "Batches of such entries", _told(lambda said: said.commits))
    count("runstate.moves.refused", "{move}", "Illegal, stale and fenced calls", _told(lambda said: said.refused))
    count("runstate.executions.rejected", "{execution}", "Lost to other writers", _told(lambda said: said.rejected))


def _told(fact: Callable[[Statistics], int]) -> Callable[[State], Answer]:
    return lambda state: {(): fact(state.statistics())}


def _callback(
    states: Sequence[State], ask: Callable[[State], Answer], combine: Callable[[Iterable[float]], float]
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def answer(_: CallbackOptions) -> Iterable[Observation]:
        heard: dict[Labels, list[float]] = {}
        for state in list(states):
            if state.is_open():
                for labels, value in ask(state).items():
                    heard.setdefault(labels, []).append(value)
        return [Observation(combine(values), dict(labels)) for labels, values in heard.items()]

    return answer
