"""Breakers: what opens and closes one, for whom, and what a call gets meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runstate import (
    Breaker,
    Cause,
    Completed,
    Created,
    Evidence,
    ExecutionState,
    ExecutionTracker,
    Failed,
    Limits,
    Outcome,
    Retry,
    Transition,
)
from runstate._breaker import Admission, Circuit

from .calling import WHOSE, checkpoint, run
from .clock import SECOND, FakeClock
from .gated import WHO
from .stores import Store

BREAKER = Breaker(failures=3, window=60.0, cooldown=30.0)
COMPLETED, FAILED, DEAD = ExecutionState.COMPLETED, ExecutionState.FAILED, ExecutionState.DEAD
CANCELLED, TIMEOUT, RUNNING = ExecutionState.CANCELLED, ExecutionState.TIMEOUT, ExecutionState.RUNNING

# -- the rules, entry by entry ----------------------------------------------------------------------------------------


class Story:
    """What one process sees of an agent, told entry by entry."""

    def __init__(self) -> None:
        self.circuit = Circuit(BREAKER)
        self.circuit.is_certain = True
        self.now = 0.0
        self.count = 0

    def begin(self, attempt: int = 1) -> str:
        """An execution is created now."""
        self.count += 1
        name = f"x-{self.count}"
        first = None if attempt == 1 else "x"
        created = Created(name, 1, 0, "a", "t", "u", "w", None, None, None, first, attempt)
        self.circuit.take(created, int(self.now * SECOND))
        return name

    def end(self, name: str, state: ExecutionState, cause: Cause) -> None:
        """An execution ends now."""
        self.circuit.take(Transition(name, 3, 0, RUNNING, state, "w", cause, Evidence("owner")), int(self.now * SECOND))

    def fail(self, times: int = 1) -> None:
        """Executions begin and fail now."""
        for _ in range(times):
            self.end(self.begin(), FAILED, Cause.RAISED)

    def admit(self, attempt: int = 1) -> Admission:
        """Ask for one now."""
        return self.circuit.admit(attempt, int(self.now * SECOND))

    def may_probe(self, name: str) -> bool:
        """Ask for one that is known now."""
        return self.circuit.may_probe(name, int(self.now * SECOND))


@pytest.fixture
def story() -> Story:
    """A story that has not begun."""
    return Story()


COUNTED = {(FAILED, Cause.RAISED), (FAILED, Cause.REPORTED), (FAILED, Cause.NO_OUTCOME), (TIMEOUT, Cause.DEADLINE),
           (TIMEOUT, Cause.REPORTED), (DEAD, Cause.NO_HEARTBEAT), (DEAD, Cause.LOOP_BLOCKED), (DEAD, Cause.REPORTED)}  # fmt: skip
IGNORED = {(FAILED, Cause.BREAKER_OPEN), (FAILED, Cause.FALLBACK), (COMPLETED, Cause.FALLBACK), (DEAD, Cause.PROCESS_EXITED),
           (DEAD, Cause.LEASE_EXPIRED), (CANCELLED, Cause.CANCELLED_BY_CALLER), (CANCELLED, Cause.SHUTDOWN)}  # fmt: skip


@pytest.mark.parametrize("end", sorted(COUNTED | IGNORED, key=str), ids=lambda end: f"{end[0].name}-{end[1].name}")
def test_what_counts_as_a_failure(story: Story, end: tuple[ExecutionState, Cause]) -> None:
    """An agent's own failures open its breaker; ends that say nothing about the agent neither open it nor break the row."""
    story.fail(2)
    story.end(story.begin(), *end)
    assert (story.admit() is Admission.REFUSED) == (end in COUNTED)
    story.fail()
    assert story.admit() is Admission.REFUSED


def test_failures_in_a_row_and_in_time(story: Story) -> None:
    """A success between failures breaks the row, and failures that are further apart than the window do not add up."""
    story.fail(2)
    story.end(story.begin(), COMPLETED, Cause.RETURNED)
    story.fail(2)
    assert story.admit() is Admission.OPEN_DOOR
    story.now = 60.5
    story.fail(2)
    assert story.admit() is Admission.OPEN_DOOR
    story.now = 100.0
    story.fail()
    assert story.admit() is Admission.REFUSED


def test_open_then_half_open(story: Story) -> None:
    """Open, nothing is let through; after the cooldown one first attempt at a time may be, in the order of the journal."""
    story.fail(3)
    story.now = 29.9
    assert story.admit() is Admission.REFUSED
    story.now = 30.0
    assert (story.admit(), story.admit(attempt=2)) == (Admission.PROBE, Admission.REFUSED)
    first, second = story.begin(), story.begin()
    assert (story.may_probe(first), story.may_probe(second), story.admit()) == (True, False, Admission.REFUSED)


def test_a_probe_that_succeeds_closes(story: Story) -> None:
    """After it everything is let through, and failures are counted from none."""
    late = story.begin()
    story.fail(3)
    story.now = 30.0
    story.end(late, COMPLETED, Cause.RETURNED)
    assert story.admit() is Admission.PROBE, "what had begun before it opened cannot close it"
    story.end(story.begin(), COMPLETED, Cause.RETURNED)
    story.fail(2)
    assert story.admit() is Admission.OPEN_DOOR


def test_a_probe_that_fails_opens_anew(story: Story) -> None:
    """The cooldown begins again with its failure; what fails meanwhile without being a probe does not lengthen it."""
    late = story.begin()
    story.fail(3)
    story.now = 30.0
    story.end(story.begin(), TIMEOUT, Cause.DEADLINE)
    story.now = 59.9
    story.end(late, FAILED, Cause.RAISED)
    assert story.admit() is Admission.REFUSED
    story.now = 60.0
    assert story.admit() is Admission.PROBE


@pytest.mark.parametrize(
    ("state", "cause"), [(CANCELLED, Cause.SHUTDOWN), (DEAD, Cause.PROCESS_EXITED), (FAILED, Cause.BREAKER_OPEN)]
)
def test_a_probe_that_says_nothing(story: Story, state: ExecutionState, cause: Cause) -> None:
    """A probe that was cancelled, or died with its process, makes room for the next one and changes nothing else."""
    story.fail(3)
    story.now = 30.0
    probe = story.begin()
    assert story.admit() is Admission.REFUSED
    story.end(probe, state, cause)
    assert story.admit() is Admission.PROBE


def test_a_probe_that_hangs(story: Story) -> None:
    """One that is older than the cooldown keeps nobody else from trying."""
    story.fail(3)
    story.now = 30.0
    hanging = story.begin()
    story.now = 59.9
    assert story.admit() is Admission.REFUSED
    story.now = 60.0
    assert story.admit() is Admission.PROBE
    second = story.begin()
    assert (story.may_probe(hanging), story.may_probe(second)) == (False, True)


# -- calls ------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["sync", "async", "trio"])
def colour(request: pytest.FixtureRequest) -> str:
    """Whether the agent is a `def`, or an `async def` under asyncio or trio."""
    return str(request.param)


class Agent:
    """An agent with a breaker, on one tracker. It fails when it is told so."""

    def __init__(self, tracker: ExecutionTracker, colour: str = "sync", **options: Any) -> None:
        self.calls = 0
        self.is_broken = False
        self.meanwhile: Callable[[], object] = lambda: None

        def work() -> str:
            self.calls += 1
            self.meanwhile()
            if self.is_broken:
                raise ConnectionError("no model")
            return "answer"

        async def awork() -> str:
            await checkpoint(colour)
            return work()

        self._colour = colour
        options = {"breaker": BREAKER, **options}
        self._agent = tracker.agent("airline", **options)(work if colour == "sync" else awork)

    def __call__(self, *, fails: bool = False, **bound: Any) -> Outcome[Any]:
        """Make one call."""
        self.is_broken = fails
        call: Any = self._agent.bind(**{**WHOSE, **bound})
        outcome: Outcome[Any] = run(self._colour, call)
        return outcome


def is_refused(outcome: Outcome[Any]) -> bool:
    """Whether the agent was not called."""
    return isinstance(outcome, Failed) and outcome.cause is Cause.BREAKER_OPEN


def test_a_call_while_it_is_open(tracker: ExecutionTracker, clock: FakeClock, colour: str) -> None:
    """It is an execution of its own that ends FAILED, BREAKER_OPEN without having begun, and says when there will be a probe."""
    agent = Agent(tracker, colour)
    for _ in range(3):
        agent(fails=True)
    clock.advance(10.0)
    outcome = agent()
    assert is_refused(outcome)
    assert outcome.error == (
        "agent 'airline' was not called: its breaker has opened after 3 failures in a row within 60 s; it is tried again in 20 s"
    )
    assert [move.target for move in tracker.history(outcome.execution_id)] == [FAILED]
    assert agent.calls == 3
    assert tracker.wait(outcome.execution_id, timeout=1.0) == outcome


def test_it_closes_again(tracker: ExecutionTracker, clock: FakeClock, colour: str) -> None:
    """After the cooldown a call that succeeds closes it, and one that fails leaves it open for another cooldown."""
    agent = Agent(tracker, colour)
    for _ in range(3):
        agent(fails=True)
    clock.advance(30.0)
    assert agent(fails=True).cause is Cause.RAISED  # type: ignore[union-attr]
    assert is_refused(agent())
    clock.advance(30.0)
    assert isinstance(agent(), Completed)
    assert not any(is_refused(agent(fails=True)) for _ in range(3))
    assert is_refused(agent())


def test_while_a_probe_is_under_way(store: Store, clock: FakeClock) -> None:
    """Other calls are refused meanwhile, in its own process and in others, and let through once it has succeeded."""
    with ExecutionTracker(store.journal(), clock=clock) as one, ExecutionTracker(store.journal(), clock=clock) as two:
        agent, other = Agent(one), Agent(two)
        other()
        for _ in range(3):
            agent(fails=True)
        two.sweep()  # looks, as its thread would
        clock.advance(30.0)
        refused: list[bool] = []
        second = Agent(one)
        agent.meanwhile = lambda: refused.extend(is_refused(call()) for call in (second, other))
        assert isinstance(agent(), Completed)
        assert refused == [True, True]
        two.sweep()
        assert isinstance(other(), Completed)


def test_one_agent_in_several_trackers(store: Store, clock: FakeClock) -> None:
    """Failures in one tracker open the breaker of the agent in another, and of no agent of another name."""
    with ExecutionTracker(store.journal(), clock=clock) as one, ExecutionTracker(store.journal(), clock=clock) as two:
        agent, other = Agent(one), Agent(two)
        other()
        other.meanwhile = lambda: None
        for _ in range(3):
            agent(fails=True)
        two.sweep()
        assert is_refused(other())
        assert isinstance(two.agent("hotel", breaker=BREAKER)(lambda: "answer").bind(**WHOSE)(), Completed)


def test_a_process_that_comes_later(store: Store, clock: FakeClock) -> None:
    """A tracker that is opened while the breaker is open knows it with its first call, also when only refusals are young enough."""
    with ExecutionTracker(store.journal(), clock=clock) as one:
        agent = Agent(one)
        for _ in range(3):
            agent(fails=True)
        for _ in range(3):  # three probes that fail: the failures that opened it are far back by then
            clock.advance(30.0)
            agent(fails=True)
        clock.advance(20.0)
        assert is_refused(agent())
        with ExecutionTracker(store.journal(), clock=clock) as two:
            assert is_refused(Agent(two)())


def test_old_failures_are_history(store: Store, clock: FakeClock) -> None:
    """A tracker that is opened long after counts nothing of what is older than window and cooldown."""
    with ExecutionTracker(store.journal(), clock=clock) as one:
        agent = Agent(one)
        for _ in range(3):
            agent(fails=True)
        for _ in range(300):
            one.create(**WHO).cancel()
    clock.advance(91.0)
    with ExecutionTracker(store.journal(), clock=clock) as two:
        two.create(**WHO).cancel()
        agent = Agent(two)
        assert isinstance(agent(), Completed)
        agent(fails=True)
        assert isinstance(agent(), Completed)


def test_a_journal_that_has_been_pruned(store: Store, clock: FakeClock) -> None:
    """What retention has removed is no trouble: the breaker goes on from what is there."""
    limits = Limits(retained_executions=2)
    with ExecutionTracker(store.journal(limits), limits=limits, clock=clock) as tracker:
        agent = Agent(tracker)
        for _ in range(20):
            agent()
        for _ in range(3):
            agent(fails=True)
        assert is_refused(agent())
    with ExecutionTracker(store.journal(limits), limits=limits, clock=clock) as tracker:
        assert is_refused(Agent(tracker)())


def test_wrong_clocks_elsewhere(store: Store, clock: FakeClock) -> None:
    """Failures that another process has written with a clock that is hours ahead or behind open the breaker for one cooldown."""
    for ahead in (7_200.0, -7_200.0):
        wrong = FakeClock()
        wrong.step_wall(ahead)
        with (
            ExecutionTracker(store.journal(), clock=clock) as one,
            ExecutionTracker(store.journal(), clock=wrong) as two,
        ):
            agent, other = Agent(one), Agent(two)
            agent()
            other()
            for _ in range(3):
                other(fails=True)
            one.sweep()
            assert is_refused(agent())
            clock.advance(30.0)
            assert isinstance(agent(), Completed)


def test_retries_of_what_is_left_alone(tracker: ExecutionTracker, colour: str) -> None:
    """Each attempt counts; once it is open a chain makes no more of them, and its fallback answers."""
    agent = Agent(tracker, colour, retry=Retry(attempts=9, wait_initial=1e-9, wait_max=1e-9), fallback=lambda: "sorry")
    outcome = agent(fails=True)
    assert isinstance(outcome, Completed)
    assert (outcome.result, outcome.is_fallback, agent.calls) == ("sorry", True, 3)
    assert [one.cause for one in tracker.attempts(outcome.execution_id)] == [
        Cause.RAISED, Cause.RAISED, Cause.RAISED, Cause.BREAKER_OPEN, Cause.FALLBACK,
    ]  # fmt: skip
    outcome = agent()
    assert isinstance(outcome, Completed)
    assert outcome.is_fallback
    assert [one.cause for one in tracker.attempts(outcome.execution_id)] == [Cause.BREAKER_OPEN, Cause.FALLBACK]


def test_fallbacks_keep_no_probe_away(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """A fallback that is under way is no probe, and its answer closes nothing."""
    agent = Agent(tracker, fallback=lambda: "sorry")
    for _ in range(3):
        agent(fails=True)
    probes: list[Outcome[Any]] = []
    probing = Agent(tracker)

    def sorry() -> str:
        clock.advance(30.0)
        probes.append(probing())
        return "sorry"

    assert isinstance(Agent(tracker, fallback=sorry)(), Completed)
    assert [(type(one), one.is_fallback) for one in probes] == [(Completed, False)]  # type: ignore[union-attr]


@pytest.mark.parametrize("advance", [1.0, 30.0])
def test_a_message_that_was_answered_before(tracker: ExecutionTracker, clock: FakeClock, advance: float) -> None:
    """A message that is sent again while the breaker is open, or half open, gets its answer, and no refusal is left of it."""
    agent = Agent(tracker, fallback=lambda: "sorry")
    answer = agent(message_id="m-1")
    for _ in range(3):
        agent(fails=True)
    clock.advance(advance)
    count = len(tracker.find())
    assert agent(message_id="m-1") == answer
    assert (len(tracker.find()), tracker.statistics().live) == (count, 0)
    tracker.flush()
