"""What every public callable gives, pinned with `assert_type`. Read by type checkers, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Literal, assert_never, assert_type

import runstate
from runstate import (
    CAUSES,
    TRANSITIONS,
    AsyncAgent,
    Cancelled,
    CancelRequest,
    Cause,
    Census,
    Clock,
    Completed,
    Created,
    Diagnosis,
    Died,
    Entry,
    Event,
    Evidence,
    Execution,
    ExecutionRecord,
    ExecutionScope,
    ExecutionState,
    ExecutionTimeoutError,
    ExecutionTracker,
    Failed,
    FencedError,
    Finding,
    Json,
    Limits,
    LiveState,
    Outcome,
    Phase,
    PhaseChange,
    RejectedMove,
    Statistics,
    Subscription,
    SyncAgent,
    TimedOut,
    Transition,
    Warned,
    Worker,
)

S = ExecutionState


def opening(path: Path) -> None:
    """Every way to name a journal gives a tracker."""
    assert_type(runstate.open("memory:"), ExecutionTracker)
    assert_type(runstate.open(path, limits=Limits(retention=60.0), default_timeout=None), ExecutionTracker)
    assert_type(runstate.open(path, read_only=True), ExecutionTracker)


class StoppedClock:
    """Anything with these two methods is a clock."""

    def monotonic_ns(self) -> int:
        return 0

    def time_ns(self) -> int:
        return 0


def clocks() -> None:
    """A clock tells nanoseconds."""
    clock: Clock = StoppedClock()
    assert_type(clock.monotonic_ns(), int)
    assert_type(clock.time_ns(), int)


def verifying(path: Path) -> None:
    """Verifying gives findings, each with its rule."""
    assert_type(runstate.verify(path), tuple[Finding, ...])
    for finding in runstate.verify("runs.db"):
        assert_type(finding.rule, str)
        assert_type(finding.execution_id, str | None)
        assert_type(finding.message, str)


def states() -> None:
    """The table and the enums keep their types."""
    assert_type(TRANSITIONS, Mapping[ExecutionState, frozenset[ExecutionState]])
    assert_type(CAUSES, Mapping[ExecutionState, frozenset[Cause]])
    assert_type(ExecutionState("running"), ExecutionState)
    assert_type(S.RUNNING.is_terminal, bool)
    assert_type(list(ExecutionState), list[ExecutionState])
    assert_type({state: state.name for state in S}, dict[ExecutionState, str])
    assert_type(set(Phase), set[Phase])
    assert_type({cause: cause.value for cause in Cause}, dict[Cause, str])


def moves(tracker: ExecutionTracker) -> None:
    """Each verb gives a handle that knows the state it leads to."""
    pending = tracker.create(agent="a", thread_id="t", user_id="u")
    assert_type(pending, Execution[Literal[ExecutionState.PENDING]])
    assert_type(pending.start(), Execution[Literal[ExecutionState.STARTING]])
    assert_type(pending.start().run(), Execution[Literal[ExecutionState.RUNNING]])
    running = pending.run()
    assert_type(running, Execution[Literal[ExecutionState.RUNNING]])
    assert_type(running.finish(), Execution[Literal[ExecutionState.COMPLETING]])
    assert_type(running.finish().complete(), Execution[Literal[ExecutionState.COMPLETED]])
    assert_type(running.complete([1, "two", None]), Execution[Literal[ExecutionState.COMPLETED]])
    assert_type(running.fail("no seat"), Execution[Literal[ExecutionState.FAILED]])
    assert_type(running.fail(KeyboardInterrupt()), Execution[Literal[ExecutionState.FAILED]])
    assert_type(running.time_out("the model"), Execution[Literal[ExecutionState.TIMEOUT]])
    assert_type(running.die(Cause.NO_HEARTBEAT, Evidence("watch")), Execution[Literal[ExecutionState.DEAD]])
    assert_type(running.cancel("the user left"), Execution[Literal[ExecutionState.CANCELLED]])


def facts(run: Execution[Literal[ExecutionState.RUNNING]]) -> None:
    """A handle's `known_state` is what its last move says; its `state` is any state."""
    assert_type(run.known_state, Literal[ExecutionState.RUNNING])
    assert_type(run.state, ExecutionState)
    assert_type(run.execution_id, str)
    assert_type(run.agent, str)
    assert_type(run.thread_id, str)
    assert_type(run.user_id, str)
    assert_type(run.record, ExecutionRecord)
    if run.state is ExecutionState.TIMEOUT:
        assert_type(run.record.cause, Cause | None)


def wide(run: Execution[ExecutionState], either: Execution[Literal[S.PENDING, S.STARTING]]) -> None:
    """A handle that may know several states may do what all of them may; S is covariant."""
    assert_type(either.run(), Execution[Literal[ExecutionState.RUNNING]])
    assert_type(either.fail("x"), Execution[Literal[ExecutionState.FAILED]])
    run = either
    run = either.run()
    run.expect(S.RUNNING).heartbeat()
    run.expect(S.RUNNING).phase(Phase.THINKING)


def live(run: Execution[LiveState], state: LiveState) -> LiveState:
    """A function that takes any live execution names its type by `LiveState`, and may do what all live states may."""
    run.heartbeat()
    run.phase(Phase.THINKING)
    assert_type(run.known_state, LiveState)
    assert_type(run.cancel(), Execution[Literal[ExecutionState.CANCELLED]])
    return state


def gives_live(tracker: ExecutionTracker) -> None:
    """Every live handle is a handle of a live state."""
    pending = tracker.create(agent="a", thread_id="t", user_id="u")
    running = pending.run()
    assert_type(live(pending, S.PENDING), LiveState)
    assert_type(live(pending.start(), S.STARTING), LiveState)
    assert_type(live(running, S.RUNNING), LiveState)
    assert_type(live(running.finish(), S.COMPLETING), LiveState)


def narrowing(tracker: ExecutionTracker, execution_id: str) -> None:
    """`expect` narrows a handle to each of the nine states."""
    handle = tracker.handle(execution_id)
    assert_type(handle, Execution[ExecutionState])
    assert_type(handle.expect(S.PENDING), Execution[Literal[ExecutionState.PENDING]])
    assert_type(handle.expect(S.STARTING), Execution[Literal[ExecutionState.STARTING]])
    assert_type(handle.expect(S.RUNNING), Execution[Literal[ExecutionState.RUNNING]])
    assert_type(handle.expect(S.COMPLETING), Execution[Literal[ExecutionState.COMPLETING]])
    assert_type(handle.expect(S.COMPLETED), Execution[Literal[ExecutionState.COMPLETED]])
    assert_type(handle.expect(S.FAILED), Execution[Literal[ExecutionState.FAILED]])
    assert_type(handle.expect(S.TIMEOUT), Execution[Literal[ExecutionState.TIMEOUT]])
    assert_type(handle.expect(S.DEAD), Execution[Literal[ExecutionState.DEAD]])
    assert_type(handle.expect(S.CANCELLED), Execution[Literal[ExecutionState.CANCELLED]])


def sync_block(tracker: ExecutionTracker) -> None:
    """A block is RUNNING inside, and a checker knows that code after it is reached."""
    scope = tracker.execution(agent="a", thread_id="t", user_id="u", heartbeat_timeout=3, metadata={"tier": 1})
    assert_type(scope, ExecutionScope)
    with scope as run:
        assert_type(run, Execution[Literal[ExecutionState.RUNNING]])
        assert_type(runstate.current(), Execution[Literal[ExecutionState.RUNNING]])
        run.complete(1)
    assert_type(tracker.statistics(), Statistics)
    assert_type(tracker.cancel("e", "enough"), CancelRequest)
    assert_type(tracker.cancel_request("e"), CancelRequest | None)
    assert_type(tracker.census(within=60.0), Census)
    assert_type(tracker.rejected("e"), RejectedMove | None)
    assert_type(tracker.worker("w"), Worker | None)
    assert_type(tracker.workers(departed=1), tuple[Worker, ...])
    assert_type(tracker.census(within=60.0, span=1.0, user_id="u").live, dict[ExecutionState, int])
    assert_type(runstate.diagnose("runs.db"), tuple[Diagnosis, ...])


async def async_block(tracker: ExecutionTracker) -> None:
    """The same block, asynchronously."""
    async with tracker.execution(agent="a", thread_id="t", user_id="u") as run:
        assert_type(run, Execution[Literal[ExecutionState.RUNNING]])
        run.complete(1)


def agents(tracker: ExecutionTracker) -> None:
    """A tracked function keeps its parameters (names, kinds, defaults) and its return type."""

    @tracker.agent("sync", timeout=1)
    def sync_agent(message: str, /, *parts: bytes, retries: int = 0, **extra: float) -> int:
        return len(message) + len(parts) + retries + len(extra)

    assert_type(sync_agent.name, str)
    bound = sync_agent.bind(thread_id="t", user_id="u", timeout=2.5, metadata={})
    assert_type(bound("hello"), Outcome[int])
    assert_type(bound("hello", b"a", b"b", retries=2, temperature=0.1), Outcome[int])

    @tracker.agent("nothing", heartbeat_timeout=1.0)
    def without_parameters() -> None:
        return None

    assert_type(without_parameters, SyncAgent[[], Json])  # it may complete by hand, with anything
    assert_type(without_parameters.bind(thread_id="t", user_id="u")(), Outcome[Json])

    @tracker.agent("optional")
    def optional(message: str) -> str | None:
        return message or None

    assert_type(optional.bind(thread_id="t", user_id="u")("hello"), Outcome[str | None])


async def async_agents(tracker: ExecutionTracker) -> None:
    """A tracked coroutine function gives its outcome when awaited."""

    @tracker.agent("async")
    async def async_agent(message: str, *, retries: int = 0) -> list[str]:
        return [message] * retries

    @tracker.agent("nothing")
    async def without_parameters() -> dict[str, int]:
        return {}

    assert_type(without_parameters, AsyncAgent[[], dict[str, int]])
    bound = async_agent.bind(thread_id="t", user_id="u")
    assert_type(await bound("hello"), Outcome[list[str]])
    assert_type(await bound(message="hello", retries=3), Outcome[list[str]])
    assert_type(await without_parameters.bind(thread_id="t", user_id="u")(), Outcome[dict[str, int]])

    @tracker.agent("by hand")
    async def by_hand() -> None:
        runstate.current().complete("said by hand")

    assert_type(by_hand, AsyncAgent[[], Json])


async def methods(tracker: ExecutionTracker) -> None:
    """A tracked method has its instance filled in, and takes it as an argument where it is looked up on the class."""

    class Desk:
        @tracker.agent("method")
        def answer(self, message: str, *, retries: int = 0) -> int:
            return len(message) + retries

        @tracker.agent("async method")
        async def answer_later(self, message: str, *, retries: int = 0) -> list[str]:
            return [message] * retries

        @tracker.agent("nothing")
        def without_parameters(self) -> bytes:
            return b""

    desk = Desk()
    assert_type(desk.without_parameters, SyncAgent[[], bytes])
    assert_type(desk.answer.bind(thread_id="t", user_id="u")("hello"), Outcome[int])
    assert_type(desk.answer.bind(thread_id="t", user_id="u")(message="hello", retries=2), Outcome[int])
    assert_type(Desk.answer.bind(thread_id="t", user_id="u")(desk, "hello", retries=2), Outcome[int])
    assert_type(await desk.answer_later.bind(thread_id="t", user_id="u")("hello"), Outcome[list[str]])
    assert_type(
        await desk.answer_later.bind(thread_id="t", user_id="u")(message="hello", retries=2), Outcome[list[str]]
    )
    assert_type(await Desk.answer_later.bind(thread_id="t", user_id="u")(desk, "hello"), Outcome[list[str]])


def outcomes(outcome: Outcome[bytes]) -> bytes:
    """Each member of an outcome has its fields, and five arms are all there are."""
    match outcome:
        case Completed(result, execution_id=execution_id):
            assert_type(result, bytes)
            assert_type(execution_id, str)
            return result
        case Failed(error, cause=cause, evidence=evidence, exception=exception):
            assert_type(error, str)
            assert_type(cause, Cause)
            assert_type(evidence, Evidence)
            assert_type(exception, BaseException | None)
            return b"failed"
        case TimedOut(error):
            assert_type(error, str)
            return b"timed out"
        case Died(error):
            assert_type(error, str)
            return b"died"
        case Cancelled(error):
            assert_type(error, str)
            return b"cancelled"


def by_id(tracker: ExecutionTracker, done: str, failed: str, dead: str) -> None:
    """Moving by id gives the transition."""
    assert_type(tracker.update_execution_state(done, S.COMPLETED, result={"a": 1}), Transition)
    assert_type(tracker.update_execution_state(failed, S.FAILED, error=ValueError("x")), Transition)
    moved = tracker.update_execution_state(dead, S.DEAD, cause=Cause.PROCESS_EXITED, evidence=Evidence("me"))
    assert_type(moved.source, ExecutionState)
    assert_type(moved.target, ExecutionState)
    assert_type(moved.cause, Cause | None)
    assert_type(moved.evidence, Evidence | None)
    assert_type(moved.result, Json)
    assert_type(moved.at_ns, int)


def reading(tracker: ExecutionTracker, execution_id: str) -> None:
    """Reads give typed records."""
    record = tracker.get(execution_id)
    assert_type(record, ExecutionRecord)
    assert_type(record.state, ExecutionState)
    assert_type(record.phase, Phase | None)
    assert_type(record.duration, float | None)
    assert_type(record.is_terminal, bool)
    assert_type(record.result, Json)
    assert_type(record.metadata, Json)
    assert_type(tracker.history(execution_id), tuple[Transition, ...])
    assert_type(tracker.timeline(execution_id), tuple[Entry, ...])
    assert_type(tracker.find(), tuple[ExecutionRecord, ...])
    assert_type(
        tracker.find(state=S.RUNNING, agent="a", thread_id="t", user_id="u", limit=5), tuple[ExecutionRecord, ...]
    )
    for entry in tracker.timeline(execution_id):
        match entry:
            case Created():
                assert_type(entry.metadata_json, bytes | None)
            case Transition():
                assert_type(entry.target, ExecutionState)
            case PhaseChange():
                assert_type(entry.phase, Phase)
            case Warned():
                assert_type(entry.cause, Cause)
            case _:
                assert_never(entry)


async def waiting(tracker: ExecutionTracker, execution_id: str) -> None:
    """Waiting gives an outcome whose result is JSON."""
    assert_type(tracker.wait(execution_id, timeout=1), Outcome[Json])
    assert_type(await tracker.await_outcome(execution_id, timeout=1), Outcome[Json])


async def subscribing(tracker: ExecutionTracker) -> None:
    """A subscription iterates over events, synchronously and asynchronously."""
    with tracker.subscribe(after=0, execution_id="e", agent="a", thread_id="t", user_id="u") as subscription:
        assert_type(subscription, Subscription)
        assert_type(iter(subscription), Iterator[Event])
        assert_type(aiter(subscription), AsyncIterator[Event])
        assert_type(subscription.get(1.0), Event)
        assert_type(subscription.get(timeout=1).entry, Entry)
        assert_type(subscription.position, int)
        for event in subscription:
            assert_type(event, Event)
        async for event in subscription:
            assert_type(event.position, int)


async def ending(tracker: ExecutionTracker) -> None:
    """Statistics name their counters; a sweep counts; flushes give nothing."""
    statistics = tracker.statistics()
    assert_type(statistics.live, int)
    assert_type(statistics.ended, dict[tuple[ExecutionState, Cause], int])
    assert_type(statistics.journal_failure, str | None)
    assert_type(tracker.sweep(), int)
    tracker.flush()
    tracker.flush(2)
    await tracker.aflush()
    tracker.close()


def errors(tracker: ExecutionTracker, execution_id: str) -> None:
    """Errors carry typed fields."""
    try:
        tracker.update_execution_state(execution_id, S.FAILED)
    except runstate.InvalidTransitionError as error:
        assert_type(error.source, ExecutionState)
        assert_type(error.target, ExecutionState)
        assert_type(error.legal, tuple[ExecutionState, ...])
    except ExecutionTimeoutError as error:
        assert_type(error.ended_at_ns, int)
    except FencedError as error:
        assert_type(error.state, ExecutionState)
        assert_type(error.cause, Cause | None)
        assert_type(error.observer, str)
    except runstate.RecordDecodeError as error:
        assert_type(error.path, str)
    except runstate.JournalConflictError as error:
        assert_type(error.execution_ids, tuple[str, ...])
