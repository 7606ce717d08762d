"""What is counted: each event as the journal tells it. What is the case now is in `_state`.

Each process counts what it has written itself: the executions that it created, and the ends that it recorded, those of the dead
that it buried among them. So sums over all processes count everything once, and no process has to be told from another.

No label holds an id. Agents and types of errors are names that a program makes up; of each the first `NAMES` in a process have
a label of their own, and all others share `_OTHER`. Each end that an agent can have is shown as 0 from the moment on that the
agent is known: a counter that appears with its first death would show no increase for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from opentelemetry.metrics import Meter
from opentelemetry.util.types import AttributeValue

from runstate import CAUSES, ExecutionState, ExecutionTracker, Transition, Warned

from . import _conventions as names
from ._life import Life, error_type, seconds_between
from ._state import Names, State, observe

Labels: TypeAlias = dict[str, AttributeValue]


class Meters:
    """All instruments of one tracker.

    Args:
        meter: Makes them.
        tracker: Is asked when somebody collects.
        lives: Returns the live executions of this process.
        own: Returns the incarnations that this process has had.
        is_open: Whether the journal may still be read.
    """

    def __init__(
        self,
        meter: Meter,
        tracker: ExecutionTracker,
        lives: Callable[[], Sequence[Life]],
        own: Callable[[], frozenset[str]],
        is_open: Callable[[], bool],
    ) -> None:
        self._agents = Names()
        self._errors = Names()
        self._created = meter.create_counter("runstate.executions.created", "{execution}", "Executions created")
        self._ended = meter.create_counter("runstate.executions.ended", "{execution}", "Executions ended")
        self._retried = meter.create_counter(
            "runstate.executions.retried", "{execution}", "Ends that another attempt follows"
        )
        self._warned = meter.create_counter("runstate.executions.warned", "{warning}", "Verdicts that threatened")
        buckets = names.AGENT_BUCKETS
        self._durations = meter.create_histogram(
            "runstate.execution.duration", "s", "From creation to end", explicit_bucket_boundaries_advisory=buckets
        )
        self._agent_durations = meter.create_histogram(
            names.INVOKE_AGENT_DURATION, "s", "Of agents invoked", explicit_bucket_boundaries_advisory=buckets
        )
        self._verdicts = meter.create_histogram(
            "runstate.verdict.delay",
            "s",
            "From the last sign of life of a dead execution to the verdict",
            explicit_bucket_boundaries_advisory=names.VERDICT_BUCKETS,
        )
        self._lag = meter.create_histogram(
            "runstate.journal.lag",
            "s",
            "From an end to its being read from the journal",
            explicit_bucket_boundaries_advisory=names.VERDICT_BUCKETS,
        )
        observe(meter, State(tracker, lives, own, is_open, self._agents))

    # -- what happens -------------------------------------------------------------------------------------------------

    def know(self, agent: str) -> str:
        """Return the label of an agent, having shown all its ends as 0 when it is a new one."""
        count = len(self._agents.known)
        label = self._agents.label(agent)
        if len(self._agents.known) != count:
            for state, causes in CAUSES.items():
                for cause in causes:
                    labels: Labels = {names.AGENT: label, names.STATE: state.value, names.CAUSE: cause.value}
                    self._ended.add(0, labels)
                self._retried.add(0, {names.AGENT: label, names.STATE: state.value})
        return label

    def begun(self, life: Life) -> None:
        """An execution of this process was created."""
        self._created.add(1, {names.AGENT: self.know(life.created.agent)})

    def warned(self, life: Life, warning: Warned) -> None:
        """A verdict threatens one."""
        self._warned.add(1, {names.AGENT: self.know(life.created.agent), names.CAUSE: warning.cause.value})

    def ended(self, life: Life, end: Transition, *, is_agent_span: bool, is_followed: bool) -> None:
        """This process has recorded an end."""
        agent, cause = self.know(life.created.agent), "" if end.cause is None else end.cause.value
        seconds = seconds_between(life.created.at_ns, end.at_ns)
        self._lag.record(seconds_between(end.at_ns, time.time_ns()))
        self._ended.add(1, {names.AGENT: agent, names.STATE: end.target.value, names.CAUSE: cause})
        if is_followed:
            self._retried.add(1, {names.AGENT: agent, names.STATE: end.target.value})
        self._durations.record(seconds, {names.AGENT: agent, names.STATE: end.target.value})
        if is_agent_span:
            labels: Labels = {names.AGENT: agent}
            kind = error_type(end)
            if kind is not None:
                labels[names.ERROR_TYPE] = self._errors.label(kind)
            self._agent_durations.record(seconds, labels)
        age = None if end.evidence is None else end.evidence.last_beat_age
        if end.target is ExecutionState.DEAD and age is not None:
            self._verdicts.record(max(0.0, age), {names.AGENT: agent, names.CAUSE: cause})
