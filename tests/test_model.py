"""The tracker and its journal, driven at random against a model of thirty lines that knows only the table.

Whatever is done in whatever order, by handles new and stale, by id, by clocks, by several threads at once and across
reopenings, three things say the same: the model, the tracker, and the journal.
"""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from runstate import (
    TRANSITIONS,
    Cause,
    Execution,
    ExecutionRecord,
    ExecutionState,
    ExecutionTracker,
    FencedError,
    InvalidTransitionError,
    Phase,
    PhaseChange,
    RunstateError,
    Transition,
)

from .clock import SECOND, FakeClock
from .moves import VERBS, move
from .stores import STORES, Store

STATES = st.sampled_from(ExecutionState)
ENDS = [state for state in ExecutionState if state.is_terminal]
PHASES = st.sampled_from(Phase)
AGENTS = st.sampled_from(["one", "two"])
LIMITS = st.none() | st.integers(1, 30)


@dataclass
class Model:
    """What one execution must be: the whole specification of a life."""

    agent: str
    now: float
    timeout: int
    heartbeat_timeout: int | None
    log: list[ExecutionState | Phase] = field(default_factory=lambda: [ExecutionState.PENDING])
    ended_by: str = ""

    def __post_init__(self) -> None:
        self.deadline = self.now + self.timeout
        self.sign_of_life = self.updated = self.now
        self.silence = 0.0

    @property
    def state(self) -> ExecutionState:
        """The newest state in the log."""
        return next(entry for entry in reversed(self.log) if isinstance(entry, ExecutionState))

    def enter(self, entry: ExecutionState | Phase, now: float, by: str = "owner") -> None:
        """Take a legal move or a phase."""
        self.log.append(entry)
        self.updated, self.silence = now, now - self.sign_of_life
        self.sign_of_life = now
        if self.state.is_terminal:
            self.ended_by = by

    def refusal(
        self, target: ExecutionState | Phase | None, by: str, known: ExecutionState | None
    ) -> type[Exception] | None:
        """Which error a move, a phase or a beat (None) must give; None if it must be taken."""
        state = self.state
        is_move = isinstance(target, ExecutionState)
        if state.is_terminal and (
            not is_move or self.ended_by not in ({"owner"} if by == "owner" else {"owner", "caller"})
        ):
            return FencedError
        if is_move and (target not in TRANSITIONS[state] or (by == "owner" and known is not state)):
            return InvalidTransitionError
        return None

    def passed(self, now: float) -> set[ExecutionState]:
        """Which verdicts its passed limits allow."""
        if self.state.is_terminal:
            return set()
        verdicts = {ExecutionState.TIMEOUT} if now >= self.deadline else set()
        limit = self.heartbeat_timeout
        if limit is not None and self.state is not ExecutionState.PENDING and now >= self.sign_of_life + limit:
            verdicts.add(ExecutionState.DEAD)
        return verdicts


class Machine(RuleBasedStateMachine):
    """Drives one tracker after the other on one store."""

    store_name: str
    handles = Bundle("handles")

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.store: Store = STORES[self.store_name](Path(self.directory.name))
        self.clock = FakeClock()
        self.began_ns = self.clock.time_ns()
        self.now = 0.0
        self.models: dict[str, Model] = {}
        self.foreign: set[str] = set()
        """Executions of earlier trackers; their ends have other observers for the tracker of today."""
        self.tracker = ExecutionTracker(self.store.journal(), clock=self.clock)
        self.created = self.refused = 0

    def teardown(self) -> None:
        """Compare everything a last time."""
        self.reopen()
        self.tracker.close()
        self.directory.cleanup()

    @initialize(target=handles, count=st.integers(1, 4))
    def begin(self, count: int) -> Any:
        """Begin with some executions, so that no step lacks one."""
        return multiple(*(self.new("one", 20 + place, None)[0] for place in range(count)))

    @rule(
        target=handles,
        agent=AGENTS,
        timeout=st.integers(1, 60),
        heartbeat_timeout=LIMITS,
        through=st.sampled_from([(), (ExecutionState.STARTING,), (ExecutionState.RUNNING,)]),
    )
    def create(
        self, agent: str, timeout: int, heartbeat_timeout: int | None, through: tuple[ExecutionState, ...]
    ) -> Any:
        """Create an execution, perhaps move it on; every handle on the way is kept, also the stale one."""
        handle, model = self.new(agent, timeout, heartbeat_timeout)
        handles = [handle]
        for target in through:
            handles.append(move(handles[-1], target))
            model.enter(target, self.now)
        return multiple(*handles)

    def new(self, agent: str, timeout: int, heartbeat_timeout: int | None) -> tuple[Execution[Any], Model]:
        """Create an execution and its model."""
        handle: Execution[Any] = self.tracker.create(
            agent=agent, thread_id="t", user_id="u", timeout=timeout, heartbeat_timeout=heartbeat_timeout
        )
        self.created += 1
        model = self.models[handle.execution_id] = Model(agent, self.now, timeout, heartbeat_timeout)
        return handle, model

    def expect(
        self, model: Model, call: Any, target: ExecutionState | Phase | None, by: str, handle: Any = None
    ) -> Any:
        """Call something; check that it is refused or taken as the model says, and have the model follow."""
        expected = model.refusal(target, by, None if handle is None else handle.known_state)
        refusal, result = None, None
        try:
            result = call()
        except RunstateError as error:
            refusal = error
        if expected is not None:
            assert isinstance(refusal, expected), f"must raise {expected}, not {refusal!r}"
            self.refused += handle is None or handle.execution_id not in self.foreign
            return None
        assert refusal is None, f"must be taken, but raised {refusal!r}"
        if target is None:
            model.sign_of_life = self.now
        else:
            model.enter(target, self.now, by)
        return result

    @rule(target=handles, handle=handles, choice=st.integers(0, 5))
    def move_on(self, handle: Execution[Any], choice: int) -> Any:
        """Take a fresh handle, which only a live execution has, and make a legal move with it."""
        model = self.models[handle.execution_id]
        if model.state.is_terminal:
            with pytest.raises(FencedError):
                self.tracker.handle(handle.execution_id)
            return multiple()
        fresh: Execution[Any] = self.tracker.handle(handle.execution_id)
        assert fresh.known_state is model.state
        legal = [state for state in ExecutionState if state in TRANSITIONS[model.state]]
        to = legal[choice % len(legal)]
        return self.expect(model, lambda: move(fresh.expect(model.state), to), to, "owner", fresh)

    @rule(target=handles, handle=handles, to=st.sampled_from(sorted(VERBS, key=lambda state: state.name)))
    def move_by_handle(self, handle: Execution[Any], to: ExecutionState) -> Any:
        """Call any verb on any handle, new or stale, of this tracker or of one that was closed."""
        moved = self.expect(self.models[handle.execution_id], lambda: move(handle, to), to, "owner", handle)
        if moved is None:
            return multiple()
        assert moved.known_state is to
        return moved

    @rule(handle=handles, to=STATES)
    def move_by_id(self, handle: Execution[Any], to: ExecutionState) -> None:
        """Move any execution by its id to any state."""
        execution_id = handle.execution_id
        self.expect(
            self.models[execution_id], lambda: self.tracker.update_execution_state(execution_id, to), to, "caller"
        )

    @rule(handle=handles, phase=PHASES, detail=st.none() | st.text(max_size=3).filter(lambda text: "\0" not in text))
    def change_phase(self, handle: Execution[Any], phase: Phase, detail: str | None) -> None:
        """Enter a phase through any handle."""
        self.expect(self.models[handle.execution_id], lambda: handle.phase(phase, detail), phase, "owner", handle)

    @rule(handle=handles)
    def beat(self, handle: Execution[Any]) -> None:
        """Give a sign of life through any handle."""
        self.expect(self.models[handle.execution_id], handle.heartbeat, None, "owner", handle)

    @rule(seconds=st.integers(1, 25), sweeps=st.booleans())
    def let_time_pass(self, seconds: int, sweeps: bool) -> None:
        """Advance the clock; a sweep ends exactly the executions with a passed limit, each by a limit that has passed."""
        self.clock.advance(seconds)
        self.now += seconds
        if not sweeps:
            return
        passed = {
            execution_id: verdicts
            for execution_id, model in self.models.items()
            if (verdicts := model.passed(self.now))
        }
        assert self.tracker.sweep() == len(passed)
        for execution_id, verdicts in passed.items():
            record = self.tracker.get(execution_id)
            assert record.state in verdicts
            assert record.cause is (Cause.DEADLINE if record.state is ExecutionState.TIMEOUT else Cause.NO_HEARTBEAT)
            self.models[execution_id].enter(record.state, self.now, "watch")
        assert self.tracker.sweep() == 0

    @rule(handle=handles, ends=st.lists(st.sampled_from(ENDS), min_size=2, max_size=4), by_id=st.booleans())
    def race(self, handle: Execution[Any], ends: list[ExecutionState], by_id: bool) -> None:
        """End one execution from several threads at once: if the first of them could end it, exactly one does."""
        model, before = self.models[handle.execution_id], len(self.won(handle))
        start = threading.Barrier(len(ends))
        taken: list[ExecutionState] = []
        errors: list[Exception] = []

        def end(target: ExecutionState) -> None:
            start.wait()
            try:
                if by_id:
                    self.tracker.update_execution_state(handle.execution_id, target)
                else:
                    move(handle, target)
                taken.append(target)
            except Exception as error:
                errors.append(error)

        by = "caller" if by_id else "owner"
        possible = {one for one in ends if model.refusal(one, by, handle.known_state) is None}
        threads = [threading.Thread(target=end, args=(target,)) for target in ends]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(isinstance(error, InvalidTransitionError | FencedError) for error in errors), errors
        assert len(taken) == bool(possible)
        assert set(taken) <= possible
        for winner in taken:
            model.enter(winner, self.now, by)
        assert len(self.won(handle)) == before + len(taken)
        if by_id or handle.execution_id not in self.foreign:
            self.refused += len(errors)

    def won(self, handle: Execution[Any]) -> list[Transition]:
        """The ends in an execution's history: never more than one."""
        ends = [entry for entry in self.tracker.history(handle.execution_id) if entry.target.is_terminal]
        assert len(ends) <= 1
        return ends

    @rule()
    def flush(self) -> None:
        """Make everything durable: then the journal itself, read past the tracker, says the same as the model."""
        self.tracker.flush()
        assert self.tracker.statistics().pending == 0
        assert self.models.keys() == {record.execution_id for record in self.tracker.find(limit=10_000)}
        for execution_id, model in self.models.items():
            entries = self.tracker.timeline(execution_id)
            assert [entry.seq for entry in entries] == list(range(1, len(model.log) + 1))
            log = [
                entry.phase if isinstance(entry, PhaseChange) else getattr(entry, "target", None) for entry in entries
            ]
            assert log == [None, *model.log[1:]]
            self.check(self.tracker.get(execution_id), model)

    @rule()
    def reopen(self) -> None:
        """Close the tracker, which ends what is live, and open another on the same store."""
        self.flush()
        self.tracker.close()
        for model in self.models.values():
            if not model.state.is_terminal:
                model.enter(ExecutionState.CANCELLED, self.now, "shutdown")
        self.foreign |= self.models.keys()
        self.tracker = ExecutionTracker(self.store.journal(), clock=self.clock)
        self.created = self.refused = 0
        self.flush()
        for execution_id, model in self.models.items():
            self.check(self.tracker.get(execution_id), model)

    @rule(state=st.none() | STATES, agent=st.none() | AGENTS, limit=st.integers(1, 5))
    def find(self, state: ExecutionState | None, agent: str | None, limit: int) -> None:
        """Finding gives the newest executions that match, and no others."""
        matching = [
            execution_id
            for execution_id, model in reversed(self.models.items())
            if (state is None or model.state is state) and (agent is None or model.agent == agent)
        ]
        found = self.tracker.find(state=state, agent=agent, limit=limit)
        assert [record.execution_id for record in found] == matching[:limit]
        for record in found:
            self.check(record, self.models[record.execution_id])

    @invariant()
    def memory_agrees(self) -> None:
        """After every step the tracker says of each live execution, and in its counts, what the model says."""
        live = {execution_id: model for execution_id, model in self.models.items() if not model.state.is_terminal}
        for execution_id, model in live.items():
            self.check(self.tracker.get(execution_id), model)
        statistics = self.tracker.statistics()
        assert (statistics.live, statistics.created, statistics.refused) == (len(live), self.created, self.refused)
        assert sum(statistics.ended.values()) == self.created - len(live)

    def check(self, record: ExecutionRecord, model: Model) -> None:
        """Compare a record with the model."""
        assert (record.state, record.seq, record.agent) == (model.state, len(model.log), model.agent)
        assert record.phase is next((entry for entry in reversed(model.log) if isinstance(entry, Phase)), None)
        assert (record.cause is not None) == (record.evidence is not None) == model.state.is_terminal
        if record.evidence is not None:
            assert model.ended_by in record.evidence.observer
            assert record.evidence.last_beat_age == model.silence
        assert record.updated_at_ns == self.began_ns + model.updated * SECOND


class MemoryMachine(Machine):
    """On the journal in memory."""

    store_name = "memory"


class SqliteMachine(Machine):
    """On a file."""

    store_name = "sqlite"


class PostgresMachine(Machine):
    """On a database."""

    store_name = "postgres"


QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

TestMemoryModel = MemoryMachine.TestCase
TestMemoryModel.__doc__ = "On the journal in memory, model, tracker and journal agree after every step."
TestMemoryModel.settings = settings(
    max_examples=250, stateful_step_count=50, deadline=None, suppress_health_check=QUIET
)

TestSqliteModel = SqliteMachine.TestCase
TestSqliteModel.__doc__ = "On an SQLite file, model, tracker and journal agree after every step."
TestSqliteModel.settings = settings(max_examples=60, stateful_step_count=50, deadline=None, suppress_health_check=QUIET)

TestPostgresModel = PostgresMachine.TestCase
TestPostgresModel.__doc__ = "In a PostgreSQL database, model, tracker and journal agree after every step."
TestPostgresModel.settings = settings(
    max_examples=15, stateful_step_count=50, deadline=None, suppress_health_check=QUIET
)


def test_every_store_has_a_machine() -> None:
    """No store is left out of the model check."""
    assert {machine.store_name for machine in Machine.__subclasses__()} == set(STORES)
