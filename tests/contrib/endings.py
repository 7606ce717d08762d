"""What every adapter promises, whatever its framework: each adapter's tests inherit these and say how to run a program of theirs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import runstate
from runstate import (
    Cause,
    ExecutionState,
    ExecutionTimeoutError,
    ExecutionTracker,
    FencedError,
    InvalidValueError,
    JournalFullError,
    NotJsonError,
    Phase,
    ResultTooLargeError,
    StateTypeError,
    TrackerClosedError,
)
from runstate.contrib import UNRECORDED, counts, current
from tests.clock import FakeClock

from .runs import ended, only, steps, stored, tracking

Tool = Callable[[], Awaitable[str]]

LOOK_UP = [(Phase.LLM_INTERACTION, None), (Phase.TOOL_EXECUTION, "look_up"), (Phase.LLM_INTERACTION, None)]


async def _found() -> str:
    return "found"


class Hanging:
    """A tool that hangs until it is let go."""

    def __init__(self) -> None:
        self.called = asyncio.Event()
        self.let_go = asyncio.Event()
        self.interrupted = False

    async def __call__(self) -> str:
        self.called.set()
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.interrupted = True
            raise
        return "at last"


class Endings:
    """The promises. A subclass is the tests of one framework."""

    framework: str
    """Its name in metadata and counts."""
    stops_at_once = True
    """Whether a run that hangs is stopped when somebody else ends its execution, or only at its next event."""

    waits = True
    """Whether a run that has returned is durable."""

    async def run(self, tracker: ExecutionTracker, tool: Tool = _found, **options: Any) -> object:
        """Run agent "bob", whose model calls the tool `look_up` and then answers "done"; return its answer."""
        raise NotImplementedError

    async def run_failing(self, tracker: ExecutionTracker, error: Exception, **options: Any) -> object:
        """Run an agent whose model raises."""
        raise NotImplementedError

    def source_thread(self) -> Callable[[Any], str]:
        """A function from what the framework hands to callables to a thread: "told"."""
        return lambda source: "told" if source is not None else "nothing"

    # -- how it ends --------------------------------------------------------------------------------------------------

    def test_a_run_that_returns_is_completed(self, tracker: ExecutionTracker) -> None:
        """A run that returns is COMPLETED with its answer, durable by then, and its model requests and tools are its phases."""

        async def main() -> tuple[object, list[ExecutionState]]:
            return await self.run(tracker), stored(tracker)

        said, states = asyncio.run(main())
        assert said == "done"
        assert states == [ExecutionState.COMPLETED] or not self.waits
        record = only(tracker)
        assert ended(record) == (ExecutionState.COMPLETED, Cause.RETURNED)
        assert record.result == "done"
        assert (record.agent, record.thread_id, record.user_id) == ("bob", "t-1", "u-1")
        assert steps(tracker) == LOOK_UP
        assert counts(tracker) == (1, 0, 0, {})

    def test_a_run_that_raises_is_failed(self, tracker: ExecutionTracker) -> None:
        """A run that raises is FAILED with its exception, which goes on unchanged."""
        error = RuntimeError("the model is away")
        with pytest.raises(RuntimeError, match="the model is away") as raised:
            asyncio.run(self.run_failing(tracker, error))
        assert raised.value is error
        record = only(tracker)
        assert ended(record) == (ExecutionState.FAILED, Cause.RAISED)
        assert "the model is away" in str(record.error)

    def test_a_cancelled_run_is_cancelled(self, tracker: ExecutionTracker) -> None:
        """A run whose task is cancelled is CANCELLED, not failed, and what comes after that is no error."""

        async def main() -> None:
            tool = Hanging()
            task = asyncio.create_task(self.run(tracker, tool))
            await tool.called.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        assert ended(only(tracker)) == (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER)
        assert counts(tracker).troubles == {}

    def test_a_callers_timeout_is_a_cancellation(self, tracker: ExecutionTracker) -> None:
        """The run cannot know that its cancellation is its caller's timeout: it is CANCELLED."""

        async def main() -> None:
            tool = Hanging()
            async with asyncio.timeout(None) as limit:
                called = asyncio.create_task(tool.called.wait())
                called.add_done_callback(lambda _: limit.reschedule(0))
                await self.run(tracker, tool)

        with pytest.raises(TimeoutError):
            asyncio.run(main())
        assert ended(only(tracker)) == (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER)

    # -- when somebody else ends it -----------------------------------------------------------------------------------

    def _ended_meanwhile(
        self, tracker: ExecutionTracker, end: Callable[[str], object], **options: Any
    ) -> tuple[BaseException, Hanging]:
        """Run, end the execution while the tool hangs, and return what leaves the run."""

        async def main() -> tuple[BaseException, Hanging]:
            tool = Hanging()
            task = asyncio.create_task(self.run(tracker, tool, **options))
            await tool.called.wait()
            end(only(tracker).execution_id)
            if not self.stops_at_once:
                tool.let_go.set()
            with pytest.raises(FencedError) as raised:
                await task
            return raised.value, tool

        return asyncio.run(main())

    def test_a_passed_deadline_stops_the_run(self, tracker: ExecutionTracker, clock: FakeClock) -> None:
        """When the time limit of the execution passes, it is TIMEOUT, and the run is stopped with an error that says so."""

        def pass_deadline(_: str) -> None:
            clock.advance(26.0)
            tracker.sweep()

        error, tool = self._ended_meanwhile(tracker, pass_deadline, timeout=25.0)
        assert isinstance(error, ExecutionTimeoutError)
        assert tool.interrupted is self.stops_at_once
        assert ended(only(tracker)) == (ExecutionState.TIMEOUT, Cause.DEADLINE)

    def test_a_request_to_cancel_stops_the_run(self, tracker: ExecutionTracker) -> None:
        """`tracker.cancel` ends the execution as CANCELLED, and the run is stopped."""
        error, tool = self._ended_meanwhile(tracker, lambda one: tracker.cancel(one, "the user left"))
        assert isinstance(error, FencedError)
        assert error.cause is Cause.CANCELLED_BY_CALLER
        assert tool.interrupted is self.stops_at_once
        assert only(tracker).error == "the user left"

    def test_closing_the_tracker_stops_nobody(self) -> None:
        """A run goes on and returns when the tracker is closed meanwhile."""

        async def main(tracker: ExecutionTracker) -> object:
            tool = Hanging()
            task = asyncio.create_task(self.run(tracker, tool))
            await tool.called.wait()
            await asyncio.to_thread(tracker.close)
            tool.let_go.set()
            return await task

        with tracking() as tracker:
            assert asyncio.run(main(tracker)) == "done"
            assert any("FencedError" in kind for kind in counts(tracker).troubles)

    # -- inside another execution -------------------------------------------------------------------------------------

    def test_a_nested_run_is_part_of_the_outer_one(self, tracker: ExecutionTracker) -> None:
        """A run inside a tool of another run is no execution of its own: what it does are phases of the outer one."""

        async def ask() -> str:
            return str(await self.run(tracker, agent="inner", thread_id="t-2"))

        assert asyncio.run(self.run(tracker, ask)) == "done"
        assert ended(only(tracker)) == (ExecutionState.COMPLETED, Cause.RETURNED)
        found = steps(tracker)
        assert found[:2] == LOOK_UP[:2]
        assert [one for one in found if one[0] is Phase.LLM_INTERACTION] == [LOOK_UP[0]] * 4
        assert counts(tracker)[:3] == (1, 1, 0)

    def test_a_run_in_a_tracked_block_is_part_of_it(self, tracker: ExecutionTracker) -> None:
        """A run inside `tracker.execution(…)` gives phases to that execution and leaves its end to it, also when it fails."""

        async def main() -> None:
            async with tracker.execution(agent="chat", thread_id="t-9", user_id="u-9") as execution:
                with pytest.raises(RuntimeError):
                    await self.run_failing(tracker, RuntimeError("away"))
                await self.run(tracker)
                execution.complete("sent")

        asyncio.run(main())
        record = only(tracker)
        assert (record.agent, record.result) == ("chat", "sent")
        assert steps(tracker)[-3:] == LOOK_UP
        assert counts(tracker)[:2] == (0, 2)

    def test_runs_one_after_the_other_are_not_nested(self, tracker: ExecutionTracker) -> None:
        """A run leaves nothing behind: the next one, from the same task, is an execution of its own, also after a failure."""

        async def main() -> None:
            await self.run(tracker)
            with pytest.raises(RuntimeError):
                await self.run_failing(tracker, RuntimeError("away"))
            await self.run(tracker)

        asyncio.run(main())
        assert len(tracker.find()) == 3
        assert counts(tracker).nested == 0

    def test_runs_beside_each_other_are_told_apart(self, tracker: ExecutionTracker) -> None:
        """Many runs at the same time are one execution each, with its own phases."""

        async def main() -> None:
            await asyncio.gather(*(self.run(tracker, thread_id=f"t-{number}") for number in range(10)))

        asyncio.run(main())
        records = tracker.find()
        assert {record.thread_id for record in records} == {f"t-{number}" for number in range(10)}
        assert all(record.state is ExecutionState.COMPLETED for record in records)
        assert all(steps(tracker, record) == LOOK_UP for record in records)

    def test_tools_reach_their_execution(self, tracker: ExecutionTracker) -> None:
        """`contrib.current()` inside a tool is the handle of the run's execution; `runstate.current()` knows blocks only."""
        seen: list[str] = []

        async def look() -> str:
            seen.append(current().execution_id)
            current().heartbeat()
            with pytest.raises(runstate.NoExecutionError):
                runstate.current()
            return "seen"

        asyncio.run(self.run(tracker, look))
        assert seen == [only(tracker).execution_id]
        with pytest.raises(runstate.NoExecutionError):
            current()

    def test_an_end_by_hand_stands(self, tracker: ExecutionTracker) -> None:
        """A tool that completes the execution itself has the last word; what comes after is counted and no error."""

        async def look() -> str:
            current().complete("by hand")
            return "seen"

        assert asyncio.run(self.run(tracker, look)) == "done"
        assert only(tracker).result == "by hand"
        assert counts(tracker).dropped >= 1
        assert counts(tracker).troubles == {}

    # -- when it cannot be recorded -----------------------------------------------------------------------------------

    def test_a_closed_tracker_costs_no_answer(self, caplog: pytest.LogCaptureFixture) -> None:
        """Runs on a closed tracker return all the same; that is logged once and counted each time."""
        with tracking() as tracker:
            tracker.close()
            with caplog.at_level(logging.WARNING, "runstate"):
                assert [asyncio.run(self.run(tracker)) for _ in range(3)] == ["done"] * 3
            assert counts(tracker) == (0, 0, 0, {f"{self.framework} begin: TrackerClosedError": 3})
        assert [record.name for record in caplog.records].count("runstate") == 1

    def test_a_full_journal_costs_no_answer(self) -> None:
        """A run whose phases are refused returns all the same, and its end is recorded."""
        with tracking(entries=3) as tracker:
            assert asyncio.run(self.run(tracker)) == only(tracker).result == "done"
            assert list(counts(tracker).troubles) == [f"{self.framework} phase: JournalFullError"]

    def test_an_answer_that_cannot_be_kept_is_no_failure(self) -> None:
        """A run whose answer is too large, or cannot be made JSON, is COMPLETED, and its result says why it is not there."""
        with tracking(result_bytes=300) as tracker:
            for make in (lambda _: "x" * 301, lambda _: 1 / 0):
                assert asyncio.run(self.run(tracker, result=make)) == "done"
            results = [record.result for record in reversed(tracker.find())]
            assert all(isinstance(result, dict) and list(result) == [UNRECORDED] for result in results)
            assert ["ResultTooLargeError" in str(results[0]), "ZeroDivisionError" in str(results[1])] == [True, True]
            assert sum(counts(tracker).troubles.values()) == 2

    def test_whoever_wants_errors_gets_them(self) -> None:
        """With `on_error="raise"` a run that cannot be recorded fails with the reason."""
        with tracking(entries=3) as tracker:
            with pytest.raises(JournalFullError):
                asyncio.run(self.run(tracker, on_error="raise"))
            assert only(tracker).state is ExecutionState.FAILED
            tracker.close()
            with pytest.raises(TrackerClosedError):
                asyncio.run(self.run(tracker, on_error="raise"))

    def test_an_answer_that_nobody_gets_is_a_failure(self) -> None:
        """With `on_error="raise"` a run whose answer cannot be kept fails with the reason, and so does its execution."""
        with tracking(result_bytes=300) as tracker:
            for make, why in ((lambda _: "x" * 301, ResultTooLargeError), (lambda _: 1 / 0, ZeroDivisionError)):
                with pytest.raises(why):
                    asyncio.run(self.run(tracker, result=make, on_error="raise"))
            assert {one.cause for one in tracker.find(state=ExecutionState.FAILED)} == {Cause.RAISED}

    # -- whose it is --------------------------------------------------------------------------------------------------

    def test_ids_may_be_told_by_functions(self, tracker: ExecutionTracker) -> None:
        """Thread and user may be functions of what the framework knows; one that raises costs the record, not the run."""

        def broken(_: object) -> str:
            raise LookupError("no such user")

        assert asyncio.run(self.run(tracker, thread_id=self.source_thread(), user_id=lambda _: "u-7")) == "done"
        assert (only(tracker).thread_id, only(tracker).user_id) == ("told", "u-7")
        assert asyncio.run(self.run(tracker, user_id=broken)) == "done"
        assert counts(tracker).troubles == {f"{self.framework} identify: LookupError": 1}
        assert len(tracker.find()) == 1

    def test_options_reach_the_execution(self, tracker: ExecutionTracker) -> None:
        """Agent, limits, metadata and the execution that it resumes are recorded as told."""
        options = {"agent": "other", "timeout": 9.0, "heartbeat_timeout": 8.0, "resumes": "e-1", "metadata": {"a": [1]}}
        asyncio.run(self.run(tracker, **options))
        record = only(tracker)
        assert (record.agent, record.timeout, record.heartbeat_timeout) == ("other", 9.0, 8.0)
        assert isinstance(record.metadata, dict)
        assert record.metadata.items() >= {"framework": self.framework, "resumes": "e-1"}.items()
        assert record.metadata["a"] == [1]

    def test_wrong_arguments_are_refused(self, tracker: ExecutionTracker) -> None:
        """What is no tracker, thread or user is refused when the adapter is made."""
        for wrong, error in ((None, StateTypeError), ("runs.db", StateTypeError)):
            with pytest.raises(error, match="takes an ExecutionTracker"):
                asyncio.run(self.run(wrong))  # type: ignore[arg-type]
        for name in ("thread_id", "user_id"):
            with pytest.raises(StateTypeError, match=f"{name} must be a str, or a function"):
                asyncio.run(self.run(tracker, **{name: 7}))
        assert tracker.find() == ()

    @pytest.mark.parametrize(
        ("options", "error", "text"),
        [
            (
                {"retries": 3},
                StateTypeError,
                r"track\(\) has no option 'retries'; .* agent, heartbeat_timeout, metadata",
            ),
            ({"agent": ""}, InvalidValueError, "agent must be a non-empty str; got ''"),
            ({"agent": None}, StateTypeError, "agent must be a str, not NoneType: None"),
            ({"agent": "a" * 1025}, ResultTooLargeError, "agent must be at most 1024 bytes"),
            ({"thread_id": ""}, InvalidValueError, "thread_id must be a non-empty str"),
            ({"user_id": "u\0"}, InvalidValueError, "user_id must be text without NUL"),
            ({"timeout": 0}, InvalidValueError, "timeout must be a positive, finite number of seconds"),
            ({"timeout": "5"}, StateTypeError, "timeout must be a number of seconds, not str: '5'"),
            ({"timeout": True}, StateTypeError, "timeout must be a number of seconds, not bool"),
            ({"heartbeat_timeout": -1}, InvalidValueError, "heartbeat_timeout must be a positive, finite number of"),
            ({"heartbeat_timeout": float("nan")}, InvalidValueError, "heartbeat_timeout must be a positive, finite"),
            ({"metadata": 3}, StateTypeError, "metadata must be a mapping with str keys, not int: 3"),
            ({"metadata": 0}, StateTypeError, "metadata must be a mapping with str keys, not int: 0"),
            ({"metadata": {1: 2}}, StateTypeError, "metadata must be a mapping with str keys, not dict"),
            ({"metadata": {"a": {1}}}, NotJsonError, r"metadata at \$\.a must be JSON that reads back equal"),
            ({"metadata": {"a": object}}, NotJsonError, r"metadata at \$\.a must be JSON that reads back equal"),
            ({"result": 3}, StateTypeError, "result must be a function that makes of the output"),
            ({"result": None}, StateTypeError, "result must be a function that makes of the output"),
            ({"resumes": ""}, InvalidValueError, "resumes must be a non-empty str"),
            ({"resumes": 7}, StateTypeError, "resumes must be a str, not int: 7"),
            ({"on_error": "ignore"}, InvalidValueError, 'on_error must be "log" or "raise"; got'),
            ({"on_error": []}, StateTypeError, 'on_error must be "log" or "raise", not list'),
        ],
    )
    def test_wrong_options_are_refused(
        self, tracker: ExecutionTracker, options: dict[str, Any], error: type[Exception], text: str
    ) -> None:
        """An option that no run could be recorded with is refused when the adapter is made, and the text names it: no model is asked."""
        asked: list[object] = []

        async def tool() -> str:
            asked.append(None)
            return "found"

        with pytest.raises(error, match=text):
            asyncio.run(self.run(tracker, tool, **options))
        assert (asked, tracker.find(), counts(tracker)) == ([], (), (0, 0, 0, {}))
