"""Blocks, tracked agents and their outcomes."""

from __future__ import annotations

from collections.abc import Iterator

from runstate import Cancelled, Completed, ExecutionTracker, Failed, Outcome, TimedOut


def block_without_an_outcome(tracker: ExecutionTracker) -> None:
    """A block is left without saying how it ended.

    Why: what a block's body does is not in its type, and by the end of a `with` no checker asks.
    """
    with tracker.execution(agent="airline", thread_id="t-1", user_id="u-1") as run:  # wrong
        run.heartbeat()


def block_never_entered(tracker: ExecutionTracker) -> None:
    """The `with` is forgotten.

    Unchecked: nothing has been created yet, so there is nothing to end.
    """
    tracker.execution(agent="airline", thread_id="t-1", user_id="u-1")  # wrong


def block_kept_and_never_entered(tracker: ExecutionTracker) -> None:
    """The block is given a name, and never entered.

    Unchecked: nothing has been created yet, so there is nothing to end.
    """
    block = tracker.execution(agent="airline", thread_id="t-1", user_id="u-1")  # wrong  # noqa: F841


def block_moved_before_it_is_entered(tracker: ExecutionTracker) -> None:
    """A block is used as if it were its handle."""
    tracker.execution(agent="airline", thread_id="t-1", user_id="u-1").heartbeat()  # wrong


def bind_forgotten(tracker: ExecutionTracker) -> None:
    """An agent is called without `bind`."""

    @tracker.agent("airline")
    def airline(message: str) -> str:
        return message

    airline("hello")  # wrong


def bind_without_a_user(tracker: ExecutionTracker) -> None:
    """An agent is bound to a thread, but not to a user."""

    @tracker.agent("airline")
    def airline(message: str) -> str:
        return message

    airline.bind(thread_id="t-1")("hello")  # wrong


def wrong_message(tracker: ExecutionTracker) -> None:
    """An agent is called with an argument of the wrong type.

    Unchecked: the agent's own parameters are its author's; runstate hands them on.
    """

    @tracker.agent("airline")
    def airline(message: str) -> str:
        return message

    airline.bind(thread_id="t-1", user_id="u-1")(7)  # wrong


def missing_message(tracker: ExecutionTracker) -> None:
    """An agent is called without its argument."""

    @tracker.agent("airline")
    def airline(message: str) -> str:
        return message

    airline.bind(thread_id="t-1", user_id="u-1")()  # wrong


def outcome_as_result(tracker: ExecutionTracker) -> None:
    """An outcome is used as if it were the result."""

    @tracker.agent("airline")
    def airline(message: str) -> str:
        return message

    print(airline.bind(thread_id="t-1", user_id="u-1")("hello").upper())  # wrong


def agent_without_a_name(tracker: ExecutionTracker) -> None:
    """The decorator is used without a name."""

    @tracker.agent  # wrong
    def airline(message: str) -> str:
        return message

    print(airline)


def generator_as_agent(tracker: ExecutionTracker) -> None:
    """A generator is made an agent.

    Why: a generator function is a callable that returns an iterator, and so may a good agent be.
    """

    @tracker.agent("airline")  # wrong
    def airline(message: str) -> Iterator[str]:
        yield message

    print(airline)


async def await_forgotten(tracker: ExecutionTracker) -> None:
    """An async agent is called and not awaited."""

    @tracker.agent("airline")
    async def airline(message: str) -> str:
        return message

    airline.bind(thread_id="t-1", user_id="u-1")("hello")  # wrong


async def coroutine_as_outcome(tracker: ExecutionTracker) -> None:
    """What an async agent returns is matched and not awaited."""

    @tracker.agent("airline")
    async def airline(message: str) -> str:
        return message

    def tell(outcome: Outcome[str]) -> None:
        print(outcome)

    tell(airline.bind(thread_id="t-1", user_id="u-1")("hello"))  # wrong


async def flush_forgotten(tracker: ExecutionTracker) -> None:
    """`aflush` is called and not awaited."""
    tracker.aflush()  # wrong


async def await_too_many(tracker: ExecutionTracker) -> None:
    """What is not async is awaited."""
    await tracker.sweep()  # wrong


def result_without_a_match(outcome: Outcome[str]) -> None:
    """The result is read before it is clear that there is one."""
    print(outcome.result)  # wrong


def outcome_left_out(outcome: Outcome[str]) -> None:
    """A match leaves one outcome out.

    Unchecked: a match in which no case fits does nothing.
    """
    match outcome:  # wrong
        case Completed(result):
            print(result)
        case Failed(error) | TimedOut(error) | Cancelled(error):
            print(error)


def outcome_left_out_of_a_function(outcome: Outcome[str]) -> None:
    """A match that returns a value leaves one outcome out."""

    def text(outcome: Outcome[str]) -> str:  # wrong
        match outcome:  # wrong
            case Completed(result):
                return result
            case Failed(error) | TimedOut(error) | Cancelled(error):
                return error

    print(len(text(outcome)))


def success_by_truth(outcome: Outcome[str]) -> None:
    """An outcome is taken for a bool.

    Unchecked: an object is true, whatever it stands for.
    """
    if outcome:  # wrong
        print("done")


def wait_without_a_limit(tracker: ExecutionTracker, execution_id: str) -> None:
    """An end is waited for without a limit."""
    tracker.wait(execution_id)  # wrong
