"""Wrong uses, each of which a type checker must reject. Read by type checkers, never run.

On each wrong line the ignores say what mypy and pyright report there; both report an ignore that is not needed (mypy by
`warn_unused_ignores`, pyright by `reportUnnecessaryTypeIgnoreComment`), so a mistake that stops being an error is one. The
tests also check this file with all its ignores taken away: then basedpyright, ty and pyrefly too must reject the lines
that carry one, and no others. `unseen:` names those that do not look for that kind of mistake.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

from enum import Enum
from typing import Literal

import runstate
from runstate import (
    TRANSITIONS,
    Breaker,
    Cause,
    Completed,
    Died,
    Evidence,
    Execution,
    ExecutionRecord,
    ExecutionState,
    ExecutionTracker,
    Failed,
    Json,
    Limits,
    LiveState,
    Outcome,
    Phase,
    Retry,
    TimedOut,
    Transition,
)

S = ExecutionState


class LegacyState(Enum):
    """Another tracker's enum with the same names."""

    PENDING = "pending"
    RUNNING = "running"
    FAILED = "failed"


def wrong_state_by_id(tracker: ExecutionTracker, execution_id: str) -> None:
    """The issue's line, and its relatives: nothing but an `ExecutionState` is a state."""
    tracker.update_execution_state(execution_id, {"success": False, "completed": True})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tracker.update_execution_state(execution_id, "failed")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tracker.update_execution_state(execution_id, LegacyState.FAILED)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tracker.update_execution_state(execution_id, None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tracker.update_execution_state(execution_id, True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tracker.update_execution_state(execution_id, ExecutionState)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tracker.update_execution_state(execution_id, Phase.THINKING)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tracker.update_execution_state(execution_id, S.FAILED.value)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tracker.update_execution_state(execution_id)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    tracker.update_execution_state(execution_id, status=S.FAILED)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    tracker.update_execution_state(execution_id, S.FAILED, "too late")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    tracker.update_execution_state(execution_id, S.FAILED, error={"code": 1})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tracker.update_execution_state(execution_id, S.FAILED, cause="raised")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tracker.update_execution_state(execution_id, S.DEAD, evidence={"observer": "me"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tracker.update_execution_state(7, S.FAILED)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def wrong_states_elsewhere(tracker: ExecutionTracker, execution_id: str) -> None:
    """States, causes and phases are checked wherever they go in."""
    tracker.find(state="running")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tracker.find(state=LegacyState.RUNNING)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tracker.handle(execution_id).expect("running")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    tracker.handle(execution_id).expect(LegacyState.RUNNING)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    print(S.running)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    print(S.SUCCESS)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    print(TRANSITIONS["running"])  # type: ignore[index]  # pyright: ignore[reportArgumentType]
    TRANSITIONS[S.COMPLETED] = frozenset({S.PENDING})  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
    TRANSITIONS[S.RUNNING].add(S.PENDING)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


class MoreStates(ExecutionState):  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    """An enum with members cannot be extended."""

    PAUSED = "paused"


def compared_with_text(run: Execution[Literal[S.RUNNING]]) -> bool:
    """A comparison that is always false is an error, because the enum is no `str`."""
    return run.state == "running"  # type: ignore[comparison-overlap]  # pyright: ignore[reportUnnecessaryComparison]  # unseen: ty, pyrefly


def compared_with_another_enum(record: ExecutionRecord) -> bool:
    """Members of two enums are never equal."""
    return record.state == LegacyState.RUNNING  # type: ignore[comparison-overlap]  # pyright: ignore[reportUnnecessaryComparison]  # unseen: ty, pyrefly


def compared_with_its_own_value(moved: Transition) -> bool:
    """A state is not its value."""
    return moved.target is S.FAILED.value  # type: ignore[comparison-overlap]  # pyright: ignore[reportUnnecessaryComparison]  # unseen: ty, pyrefly


def compared_although_optional(record: ExecutionRecord) -> bool:
    """A phase that may be missing is still no `str`."""
    return record.phase == "thinking"  # type: ignore[comparison-overlap]  # pyright: ignore[reportUnnecessaryComparison]  # unseen: ty, pyrefly


def compared_outcome(outcome: Outcome[str]) -> bool:
    """An outcome is no `str` either."""
    return outcome == "completed"  # type: ignore[comparison-overlap]  # pyright: ignore[reportUnnecessaryComparison]  # unseen: ty, pyrefly


def create(tracker: ExecutionTracker) -> None:
    """Wrong, missing and positional arguments."""
    tracker.create(agent="a", thread_id="t")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    tracker.create("a", "t", "u")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    tracker.create(agent="a", thread_id="t", user="u")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    tracker.create(agent="a", thread_id="t", user_id=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tracker.create(agent="a", thread_id="t", user_id="u", timeout="25")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tracker.create(agent="a", thread_id="t", user_id="u", metadata=["tier"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tracker.create(agent="a", thread_id="t", user_id="u", metadata={1: "tier"})  # type: ignore[dict-item, runstate-unfinished]  # pyright: ignore[reportArgumentType]
    tracker.execution(agent="a", thread_id="t", user_id="u", deadline=3.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    runstate.open(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    runstate.open("memory:", Limits())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Limits(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def takes_running(run: Execution[Literal[S.RUNNING]]) -> None:
    """Takes a handle that knows RUNNING."""
    run.heartbeat()


def takes_live(run: Execution[LiveState], state: LiveState) -> None:
    """Takes a handle of a live execution: it may beat and end unhappily, and no more."""
    run.heartbeat()
    run.complete(state.name)  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def handles(
    tracker: ExecutionTracker,
    pending: Execution[Literal[S.PENDING]],
    run: Execution[Literal[S.RUNNING]],
    ended: Execution[Literal[S.COMPLETED]],
    either: Execution[Literal[S.PENDING]] | Execution[Literal[S.RUNNING]],
    wide: Execution[ExecutionState],
) -> None:
    """A handle may only do what the state that it knows may do."""
    pending.complete("too early")  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    pending.start().finish()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    ended.heartbeat()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    ended.phase(Phase.THINKING)  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    run.complete().fail("after the end")  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    either.start()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    wide.run()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    wide.heartbeat()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    tracker.handle("e").complete()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    tracker.handle("e").expect(S.PENDING).complete()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    runstate.current().start()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    takes_running(pending)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    takes_running(wide)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    pending = run  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    run.state = S.COMPLETED  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    run.known_state = S.COMPLETED  # type: ignore[assignment, misc]  # pyright: ignore[reportAttributeAccessIssue]
    takes_live(ended, S.RUNNING)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    takes_live(wide, S.RUNNING)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    takes_live(run, S.COMPLETED)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    run.transition(S.COMPLETED)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def details(run: Execution[Literal[S.RUNNING]]) -> None:
    """What goes with a move is typed too."""
    run.phase("thinking")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    run.phase()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    run.phase(Phase.TOOL_EXECUTION, {"tool": "search"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    run.heartbeat(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    run.fail()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    run.fail(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    run.fail({"error": "x"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    run.fail(ValueError)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    run.die("gone")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    run.die(Cause.NO_HEARTBEAT, {"observer": "me"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    run.cancel(KeyboardInterrupt())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    run.complete(value="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Evidence()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def bare(run: Execution) -> None:  # type: ignore[type-arg]  # pyright: ignore[reportMissingTypeArgument]  # unseen: ty, pyrefly
    """A handle of unknown state is no type."""


def of_no_state(run: Execution[str]) -> None:  # type: ignore[type-var]  # pyright: ignore[reportInvalidTypeArguments]
    """A handle knows an `ExecutionState`."""


def frozen(record: ExecutionRecord, moved: Transition, outcome: Completed[int]) -> None:
    """Records do not change."""
    record.state = S.COMPLETED  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    moved.target = S.COMPLETED  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    outcome.result = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def optional(record: ExecutionRecord, moved: Transition) -> float:
    """What may be missing must be looked at first."""
    print(record.phase.name)  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    print(record.cause.name)  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    print(moved.evidence.beats)  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    print(record.result["text"])  # type: ignore[call-overload, index]  # pyright: ignore[reportArgumentType, reportCallIssue, reportIndexIssue, reportOptionalSubscript]
    return record.duration + 1.0  # type: ignore[operator]  # pyright: ignore[reportOptionalOperand]


def takes_number(number: int) -> None:
    """Takes what the agent returns, not its outcome."""
    print(number)


def takes_number_or_not(outcome: Outcome[int]) -> None:
    """Takes an outcome that may hold a number."""
    print(outcome)


def sync_agents(tracker: ExecutionTracker) -> None:
    """A tracked function must be bound, and keeps its parameters."""

    @tracker.agent("a")
    def agent(message: str, *, retries: int = 0) -> int:
        return len(message) + retries

    agent("hello")  # type: ignore[operator]  # pyright: ignore[reportCallIssue]
    agent.bind("t", "u")("hello")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    agent.bind(thread_id="t")("hello")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    agent.bind(thread_id="t", user_id="u")()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    agent.bind(thread_id="t", user_id="u")(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    agent.bind(thread_id="t", user_id="u")("hello", 3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    agent.bind(thread_id="t", user_id="u")("hello", tries=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    takes_number(agent.bind(thread_id="t", user_id="u")("hello"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tracker.agent(timeout=3.0)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]

    @tracker.agent  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    def forgot_the_name() -> None:
        return None


async def async_agents(tracker: ExecutionTracker, execution_id: str) -> None:
    """A tracked coroutine function must be bound and awaited."""

    @tracker.agent("a")
    async def agent(message: str) -> str:
        return message

    @tracker.agent("b")
    async def counting(message: str) -> int:
        return len(message)

    await agent("hello")  # type: ignore[operator]  # pyright: ignore[reportCallIssue]
    agent.bind(thread_id="t", user_id="u")("hello")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]  # unseen: ty
    await agent.bind(thread_id="t", user_id="u")(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    takes_number_or_not(counting.bind(thread_id="t", user_id="u")("hello"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    takes_number_or_not(await agent.bind(thread_id="t", user_id="u")("hello"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tracker.aflush()  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    tracker.await_outcome(execution_id, timeout=1)  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    await tracker.sweep()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    tracker.wait(execution_id)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def methods(tracker: ExecutionTracker) -> None:
    """A tracked method has its instance filled in, and nothing else."""

    class Desk:
        @tracker.agent("a")
        def answer(self, message: str, *, retries: int = 0) -> int:
            return len(message) + retries

        @tracker.agent("b")
        async def answer_later(self, message: str) -> str:
            return message

    desk = Desk()
    desk.answer("hello")  # type: ignore[operator]  # pyright: ignore[reportCallIssue]
    desk.answer.bind(thread_id="t")("hello")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    desk.answer.bind(thread_id="t", user_id="u")()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    desk.answer.bind(thread_id="t", user_id="u")(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    desk.answer.bind(thread_id="t", user_id="u")("hello", 3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    desk.answer.bind(thread_id="t", user_id="u")("hello", retries="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    desk.answer.bind(thread_id="t", user_id="u")(desk, "hello")  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    Desk.answer.bind(thread_id="t", user_id="u")("hello")  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    takes_number(desk.answer.bind(thread_id="t", user_id="u")("hello"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await desk.answer_later.bind(thread_id="t", user_id="u")(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    takes_number_or_not(await desk.answer_later.bind(thread_id="t", user_id="u")("hello"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def chains(tracker: ExecutionTracker) -> None:
    """What an agent does about failures is said in types of its own, and its fallback has its parameters and its result."""

    def sorry(message: str) -> str:
        return message

    tracker.agent("a", retry=3)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    tracker.agent("a", fallback="sorry")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    Retry(on=(5,))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Breaker(failures="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tracker.create(agent="a", thread_id="t", user_id="u", message_id=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    def takes_a_number(number: int) -> str:
        return str(number)

    tracker.agent("a", fallback=sorry)(takes_a_number)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]


def by_hand(tracker: ExecutionTracker) -> None:
    """What an agent without a return value has recorded by hand is not known to be None."""

    @tracker.agent("a")
    def agent() -> None:
        runstate.current().complete("said by hand")

    nothing: Outcome[None] = agent.bind(thread_id="t", user_id="u")()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(nothing)


def outcomes(outcome: Outcome[str]) -> None:
    """An outcome says nothing before it is matched, and every member must be."""
    print(outcome.result)  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue]
    print(outcome.error)  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue]
    match outcome:  # type: ignore[exhaustive-match]  # pyright: ignore[reportMatchNotExhaustive]  # unseen: ty, pyrefly
        case Completed(result):
            print(result)
        case Failed(error) | TimedOut(error) | Died(error):
            print(error)


def json(result: Json) -> dict[str, str]:
    """A result that was read back is JSON, not what went in."""
    return result  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


def subscriptions(tracker: ExecutionTracker) -> None:
    """Subscribing is by keyword, and reading has a limit."""
    tracker.subscribe(5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    tracker.subscribe(after="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tracker.subscribe(state=S.RUNNING)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    tracker.subscribe().get()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    for event in tracker.subscribe():
        print(event.entry.target)  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue]
