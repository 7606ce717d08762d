"""Moving an execution by its handle."""

# ruff: noqa: B018 - one of the mistakes

from __future__ import annotations

from typing import Any, Literal

from runstate import Cause, Execution, ExecutionState, ExecutionTracker, Phase

Pending = Execution[Literal[ExecutionState.PENDING]]
Starting = Execution[Literal[ExecutionState.STARTING]]
Running = Execution[Literal[ExecutionState.RUNNING]]
Completed = Execution[Literal[ExecutionState.COMPLETED]]


def complete_what_is_pending(pending: Pending) -> None:
    """PENDING -> COMPLETED."""
    pending.complete("too early")  # wrong


def finish_what_is_starting(starting: Starting) -> None:
    """STARTING -> COMPLETING."""
    starting.finish()  # wrong


def start_what_is_running(running: Running) -> None:
    """RUNNING -> STARTING."""
    running.start()  # wrong


def run_twice(pending: Pending) -> None:
    """RUNNING -> RUNNING."""
    pending.run().run()  # wrong


def fail_what_has_ended(completed: Completed) -> None:
    """COMPLETED -> FAILED."""
    completed.fail("after the end")  # wrong


def beat_after_the_end(completed: Completed) -> None:
    """A sign of life of an execution that has ended."""
    completed.heartbeat()  # wrong


def phase_after_the_end(completed: Completed) -> None:
    """A phase of an execution that has ended."""
    completed.phase(Phase.THINKING)  # wrong


def one_of_two_may_not(either: Pending | Running) -> None:
    """A move that one member of a union of handles may not make."""
    either.start()  # wrong


def handle_by_id_not_narrowed(tracker: ExecutionTracker, execution_id: str) -> None:
    """A handle got by its id is moved before `expect` has said in which state it is."""
    tracker.handle(execution_id).complete()  # wrong


def expected_and_forgotten(tracker: ExecutionTracker, execution_id: str) -> None:
    """A handle is expected to be PENDING, and completed."""
    tracker.handle(execution_id).expect(ExecutionState.PENDING).complete()  # wrong


def expect_a_text(tracker: ExecutionTracker, execution_id: str) -> None:
    """A text is given as the state to expect."""
    tracker.handle(execution_id).expect("running")  # wrong


def handle_in_the_wrong_state(pending: Pending) -> None:
    """A function that takes a running handle is given one that is pending."""

    def work(run: Running) -> None:
        run.complete("done")

    work(pending)  # wrong


def handle_of_any_state(pending: Pending) -> None:
    """A parameter is a handle of no state in particular, so that its moves are not checked."""

    def work(run: Execution) -> None:  # wrong
        run.complete("done")  # wrong

    work(pending)


def handle_of_state_any(pending: Execution[Any]) -> None:  # wrong
    """The state of a handle is Any, so that its moves are not checked."""
    pending.complete("done")  # wrong


def state_is_assigned(running: Running) -> None:
    """The state is assigned."""
    running.state = ExecutionState.COMPLETED  # wrong


def move_by_another_name(running: Running) -> None:
    """A move that does not exist."""
    running.transition(ExecutionState.COMPLETED)  # wrong


def stale_handle(pending: Pending) -> None:
    """The variable from before a move is used after it.

    Why: no type of Python's can say that a variable may be used once.
    """
    pending.start().cancel()
    pending.run()  # wrong


def stale_handle_in_a_loop(pending: Pending) -> None:
    """A move is made once more for each turn of a loop.

    Why: no type of Python's can say that a variable may be used once.
    """
    for _ in range(2):
        pending.cancel()  # wrong


def created_and_dropped(tracker: ExecutionTracker) -> None:
    """An execution is created, started, and forgotten."""
    run = tracker.create(agent="airline", thread_id="t-1", user_id="u-1").run()  # wrong
    seats = run.agent.upper()
    del seats


def created_and_only_beaten(tracker: ExecutionTracker) -> None:
    """An execution is forgotten in a function whose last statement is a call."""
    run = tracker.create(agent="airline", thread_id="t-1", user_id="u-1").run()  # wrong
    run.heartbeat()


def dropped_on_one_path(tracker: ExecutionTracker, *, answer: str | None = None) -> None:
    """An execution is created, and forgotten on an early return."""
    run = tracker.create(agent="airline", thread_id="t-1", user_id="u-1").run()  # wrong
    if answer is None:
        return
    run.complete(answer)


def dropped_by_a_handler(tracker: ExecutionTracker, text: str) -> None:
    """An execution is forgotten where an error is handled (issue #305)."""
    run = tracker.create(agent="airline", thread_id="t-1", user_id="u-1").run()  # wrong
    try:
        seats = int(text)
    except ValueError:
        return
    run.complete(seats)


def dropped_by_another(tracker: ExecutionTracker) -> None:
    """The only variable that holds an execution is given another."""
    run = tracker.create(agent="airline", thread_id="t-1", user_id="u-1").run()  # wrong
    run = tracker.create(agent="hotel", thread_id="t-1", user_id="u-1").run()
    run.complete("LH 400")


def ended_by_a_loop_that_may_be_empty(tracker: ExecutionTracker, names: tuple[str, ...] = ()) -> None:
    """An execution is ended in the body of a loop, which need not run.

    Why: that a loop has something to go through is mostly known by whoever wrote it, so the plugin takes it to be so.
    """
    run = tracker.create(agent="airline", thread_id="t-1", user_id="u-1").run()  # wrong
    for name in names:
        run.complete(name)
        break


def move_not_called(tracker: ExecutionTracker) -> None:
    """The parentheses of the last move are forgotten."""
    run = tracker.create(agent="airline", thread_id="t-1", user_id="u-1").run()  # wrong
    run.complete  # wrong


def text_as_phase(running: Running) -> None:
    """A text is given as the phase."""
    running.phase("thinking")  # wrong


def state_as_phase(running: Running) -> None:
    """A state is given as the phase."""
    running.phase(ExecutionState.COMPLETING)  # wrong


def detail_is_a_dict(running: Running) -> None:
    """A dict is given as a phase's detail."""
    running.phase(Phase.TOOL_EXECUTION, {"tool": "search"})  # wrong


def beat_with_an_argument(running: Running) -> None:
    """A heartbeat is given an argument."""
    running.heartbeat(1)  # wrong


def fail_without_an_error(running: Running) -> None:
    """An execution fails, and nobody says why."""
    running.fail(None)  # wrong


def fail_with_a_class(running: Running) -> None:
    """An exception's class is given as the error."""
    running.fail(ValueError)  # wrong


def die_of_a_text(running: Running) -> None:
    """A text is given as the cause of death."""
    running.die("gone")  # wrong


def die_of_a_deadline(running: Running) -> None:
    """The cause of death is one of another state's.

    Why: `die` takes a `Cause`; which of them go with DEAD is said by `CAUSES`, a value.
    """
    running.die(Cause.DEADLINE)  # wrong


def result_is_a_set(running: Running) -> None:
    """The result is a set, which JSON cannot carry.

    Why: a result may be anything that comes back equal, and whether it does is seen when it is encoded.
    """
    running.complete({"LH 400", "LH 401"})  # wrong


def result_is_cyclic(running: Running) -> None:
    """The result contains itself.

    Why: a cycle is a property of the value.
    """
    result: list[object] = []
    result.append(result)
    running.complete(result)  # wrong


def result_by_another_name(running: Running) -> None:
    """The result is given by a keyword that does not exist."""
    running.complete(value="LH 400")  # wrong


def handle_made_by_hand() -> None:
    """A handle is made without a tracker."""
    Execution(ExecutionState.RUNNING)  # wrong
