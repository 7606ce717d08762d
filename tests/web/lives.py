"""Executions for streams to tell of, and what they must tell."""

from __future__ import annotations

import random
from typing import Any

from runstate import Event, Execution, ExecutionState, ExecutionTracker, Phase, WaitTimeoutError
from runstate.web._frames import Told, Vocabulary
from runstate.web._vocabulary import Fold

ENDS = [state for state in ExecutionState if state.is_terminal]


def begin(
    tracker: ExecutionTracker, thread_id: str = "t-1", user_id: str = "ann", agent: str = "air"
) -> Execution[Any]:
    """An execution that runs."""
    return tracker.create(agent=agent, thread_id=thread_id, user_id=user_id, timeout=3_600.0).start().run()


def end(tracker: ExecutionTracker, run: Execution[Any], state: ExecutionState = ExecutionState.COMPLETED) -> None:
    """End it."""
    if state is ExecutionState.COMPLETED:
        tracker.update_execution_state(run.execution_id, state, result={"text": "done"})
    else:
        tracker.update_execution_state(run.execution_id, state, error="went wrong")


def live(tracker: ExecutionTracker, thread_id: str = "t-1", user_id: str = "ann") -> str:
    """A whole life with a tool in it, on the journal when this returns; return its id."""
    run = begin(tracker, thread_id, user_id)
    run.phase(Phase.THINKING)
    run.phase(Phase.TOOL_EXECUTION, "look_up")
    run.phase(Phase.RESULT_PROCESSING)
    end(tracker, run)
    tracker.flush()
    return run.execution_id


class Traffic:
    """Several executions at once, each taking random steps from a seed.

    Args:
        tracker: Where.
        seed: Decides everything.
        threads: Of these conversations.
    """

    def __init__(self, tracker: ExecutionTracker, seed: int, threads: tuple[str, ...] = ("t-1", "t-2")) -> None:
        self._tracker = tracker
        self._random = random.Random(seed)
        self._threads = threads
        self._runs: list[Execution[Any]] = []
        self.ids: list[str] = []

    def step(self) -> None:
        """One step of one execution."""
        choose = self._random
        if not self._runs or choose.random() < 0.15:
            thread_id = choose.choice(self._threads)
            run: Execution[Any] = self._tracker.create(
                agent=choose.choice(["air", "sea"]),
                thread_id=thread_id,
                user_id=f"user of {thread_id}",
                timeout=3_600.0,
            )
            self._runs.append(run)
            self.ids.append(run.execution_id)
            return
        index = choose.randrange(len(self._runs))
        run = self._runs[index]
        state = self._tracker.get(run.execution_id).state
        happy = {
            ExecutionState.PENDING: [ExecutionState.STARTING, ExecutionState.RUNNING],
            ExecutionState.STARTING: [ExecutionState.RUNNING],
            ExecutionState.RUNNING: [ExecutionState.COMPLETING, ExecutionState.COMPLETED],
            ExecutionState.COMPLETING: [ExecutionState.COMPLETED],
        }[state]
        roll = choose.random()
        if roll < 0.6:
            tool = choose.choice(["look_up", "book", None])
            self._tracker.handle(run.execution_id).phase(choose.choice(list(Phase)), tool)
        else:
            target = choose.choice(ENDS) if roll > 0.95 else choose.choice(happy)
            target = target if target in happy or target is not ExecutionState.COMPLETED else ExecutionState.FAILED
            self._tracker.update_execution_state(run.execution_id, target)
            if target.is_terminal:
                self._runs.pop(index)

    def finish(self) -> None:
        """End all that is live."""
        for run in self._runs:
            self._tracker.update_execution_state(run.execution_id, ExecutionState.CANCELLED)
        self._runs = []
        self._tracker.flush()


def stored(tracker: ExecutionTracker, **whose: str) -> list[Event]:
    """Everything that the journal holds of somebody."""
    found: list[Event] = []
    tracker.flush()
    with tracker.subscribe(**whose) as subscription:
        while True:
            try:
                found.append(subscription.get(1e-9))
            except WaitTimeoutError:
                return found


def expected(events: list[Event], vocabulary: str) -> list[tuple[str, str]]:
    """The names and ids that a stream of these events must give, folded from the beginning in one go."""

    class Nothing:
        async def log(self, execution_id: str) -> list[Any]:
            raise AssertionError(f"the beginning of {execution_id} is among them")

        chain = log

    async def fold() -> list[tuple[str, str]]:
        folding = Fold(Nothing())
        told = [Told(event, await folding.tell(event)) for event in events]
        return [(frame.name, frame.id or "") for one in told for frame in one.frames(Vocabulary(vocabulary), full=True)]

    coroutine = fold()
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits for nothing")
