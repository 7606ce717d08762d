"""Counting: every store counts what reading one by one would give."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runstate import Census, Ends, ExecutionRecord, ExecutionState, ExecutionTracker, InvalidValueError, JournalError
from runstate._records import Selection
from runstate.journal import Page

from ..calling import AT_ONCE, Agent
from ..clock import SECOND, FakeClock
from ..stores import Store

LIVES = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob"]),
        st.sampled_from(list(ExecutionState)),
        st.integers(0, 400),
    ),
    max_size=12,
)
"""Whose, the state that it comes to, and how many seconds pass before."""


def live(tracker: ExecutionTracker, user_id: str, state: ExecutionState) -> str:
    """Make an execution that has come to a state."""
    run = tracker.create(agent="a", thread_id="t", user_id=user_id, timeout=100_000.0)
    path = [ExecutionState.STARTING, ExecutionState.RUNNING, ExecutionState.COMPLETING]
    if state is ExecutionState.COMPLETED:
        path = [ExecutionState.RUNNING, state]
    elif state in path:
        path = path[: path.index(state) + 1]
    else:
        path = [] if state is ExecutionState.PENDING else [state]
    for one in path:
        tracker.update_execution_state(run.execution_id, one)
    return run.execution_id


def counted(tracker: ExecutionTracker, since_ns: int, span_ns: int, user_id: str | None) -> Census:
    """Count by reading every execution."""
    records = [one for one in tracker.find(limit=1_000) if user_id is None or one.user_id == user_id]
    living = [one for one in records if not one.is_terminal]
    spans = Counter(
        (one.updated_at_ns // span_ns * span_ns, one.state)
        for one in records
        if one.is_terminal and one.updated_at_ns >= since_ns
    )
    order = list(ExecutionState)
    return Census(
        dict(Counter(one.state for one in living)),
        living[-1].execution_id if living else None,
        tuple(Ends(*key, spans[key]) for key in sorted(spans, key=lambda key: (key[0], order.index(key[1])))),
    )


@given(lives=LIVES, user_id=st.sampled_from([None, "ann"]), span=st.integers(1, 300), within=st.integers(1, 2_000))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_census_is_what_reading_everything_gives(
    store: Store,
    clock: FakeClock,
    lives: list[tuple[str, ExecutionState, int]],
    user_id: str | None,
    span: int,
    within: int,
) -> None:
    """Live executions by state, the oldest of them, and ends by span are those that a reading of every execution finds."""
    with ExecutionTracker(store.journal(), clock=clock) as tracker:
        for whose, state, seconds in lives:
            live(tracker, whose, state)
            clock.advance(float(seconds) or 0.001)
        now_ns = clock.time_ns()
        since_ns = (now_ns - within * SECOND) // (span * SECOND) * (span * SECOND)
        census = tracker.census(within=float(within), span=float(span), user_id=user_id)
        assert census == counted(tracker, since_ns, span * SECOND, user_id)


def test_an_attempt_that_another_follows_is_no_end(store: Store) -> None:
    """A call that is tried again counts once, as its last attempt ended, whatever became of those before."""
    with ExecutionTracker(store.journal()) as tracker:
        Agent(tracker, "sync", ConnectionError("one"), ConnectionError("two"), "answer", retry=AT_ONCE)()
        Agent(tracker, "sync", *[TimeoutError("again")] * 3, retry=AT_ONCE)(user_id="u-2")
        Agent(tracker, "sync", ValueError("at once"))()
        assert sum(one.is_terminal for one in tracker.find()) == 7
        whole, theirs = tracker.census(), tracker.census(user_id="u-2")
        assert Counter({one.state: one.number for one in whole.ended}) == {
            ExecutionState.COMPLETED: 1,
            ExecutionState.FAILED: 2,
        }
        assert [(one.state, one.number) for one in theirs.ended] == [(ExecutionState.FAILED, 1)]


def test_an_empty_journal_counts_nothing(store: Store) -> None:
    """Without executions nothing is live, nothing is the oldest, and nothing has ended."""
    with ExecutionTracker(store.journal()) as tracker:
        assert tracker.census() == Census({}, None, ())


@pytest.mark.parametrize(("within", "span"), [(0.0, 1.0), (1.0, 0.0), (10_001.0, 1.0), (float("inf"), 1.0)])
def test_spans_are_bounded(tracker: ExecutionTracker, within: float, span: float) -> None:
    """A census of no time, of all time, or in more than ten thousand spans is refused."""
    with pytest.raises(InvalidValueError):
        tracker.census(within=within, span=span)


class CountsNot:
    """A journal of somebody's own that has the four verbs and no more."""

    def append(self, batch: object, /) -> None:
        """Take nothing."""

    def read(self, after: int, limit: int, selection: Selection, /) -> Page:
        """Hold nothing."""
        return Page([], after)

    def executions(self, selection: Selection, limit: int, /) -> list[ExecutionRecord]:
        """Hold nothing."""
        return []

    def close(self) -> None:
        """Hold nothing open."""


def test_a_journal_that_cannot_count_says_so() -> None:
    """A store without the verb is refused with what to do, rather than read as a whole."""
    with ExecutionTracker(CountsNot()) as tracker, pytest.raises(JournalError, match="give it a method count"):
        tracker.census()
