"""Opening a tracker and creating executions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import runstate
from runstate import ExecutionTracker, Limits


def user_is_none(tracker: ExecutionTracker) -> None:
    """None is given as the user."""
    tracker.create(agent="airline", thread_id="t-1", user_id=None).cancel()  # wrong


def user_is_missing(tracker: ExecutionTracker) -> None:
    """No user is given."""
    tracker.create(agent="airline", thread_id="t-1").cancel()  # wrong


def user_by_another_name(tracker: ExecutionTracker) -> None:
    """The user is given by a keyword that does not exist."""
    tracker.create(agent="airline", thread_id="t-1", user="u-1").cancel()  # wrong


def without_keywords(tracker: ExecutionTracker) -> None:
    """Agent, thread and user are given by position."""
    tracker.create("airline", "t-1", "u-1").cancel()  # wrong


def swapped_names(tracker: ExecutionTracker, thread_id: str, user_id: str) -> None:
    """Thread and user are mixed up.

    Why: both are texts, and so is what is in them.

    Unchecked: any text may be the id of a thread, or of a user.
    """
    tracker.create(agent="airline", thread_id=user_id, user_id=thread_id).cancel()  # wrong


def empty_agent(tracker: ExecutionTracker) -> None:
    """The agent's name is empty.

    Why: the type of texts has no type for those that are not empty.
    """
    tracker.create(agent="", thread_id="t-1", user_id="u-1").cancel()  # wrong


def timeout_is_text(tracker: ExecutionTracker) -> None:
    """The time limit is a text."""
    tracker.create(agent="airline", thread_id="t-1", user_id="u-1", timeout="25").cancel()  # wrong


def timeout_is_timedelta(tracker: ExecutionTracker) -> None:
    """The time limit is a `timedelta`."""
    tracker.create(agent="airline", thread_id="t-1", user_id="u-1", timeout=timedelta(seconds=25)).cancel()  # wrong


def timeout_is_negative(tracker: ExecutionTracker) -> None:
    """The time limit is negative.

    Why: Python's types have no ranges.
    """
    tracker.create(agent="airline", thread_id="t-1", user_id="u-1", timeout=-25.0).cancel()  # wrong


def timeout_is_nan(tracker: ExecutionTracker) -> None:
    """The time limit is not a number.

    Why: NaN is a float.
    """
    tracker.create(agent="airline", thread_id="t-1", user_id="u-1", timeout=float("nan")).cancel()  # wrong


def timeout_is_bool(tracker: ExecutionTracker) -> None:
    """The time limit is a bool.

    Why: a bool is an int, and an int is accepted where a float is.
    """
    tracker.create(agent="airline", thread_id="t-1", user_id="u-1", timeout=True).cancel()  # wrong


def metadata_is_a_list(tracker: ExecutionTracker) -> None:
    """The metadata are a list."""
    tracker.create(agent="airline", thread_id="t-1", user_id="u-1", metadata=["free"]).cancel()  # wrong


def metadata_with_number_keys(tracker: ExecutionTracker) -> None:
    """The metadata have keys that are no texts."""
    tracker.create(agent="airline", thread_id="t-1", user_id="u-1", metadata={1: "free"}).cancel()  # wrong


def metadata_is_no_json(tracker: ExecutionTracker) -> None:
    """There is a `datetime` in the metadata.

    Why: whether a value comes back from JSON as it was cannot be said by a type that users' own mappings fit into.
    """
    metadata = {"at": datetime(2026, 1, 1, tzinfo=UTC)}
    tracker.create(agent="airline", thread_id="t-1", user_id="u-1", metadata=metadata).cancel()  # wrong


def block_with_unknown_limit(tracker: ExecutionTracker) -> None:
    """A block is given its time limit by a keyword that does not exist."""
    with tracker.execution(agent="airline", thread_id="t-1", user_id="u-1", deadline=3.0) as run:  # wrong
        run.complete()  # wrong


def url_is_a_number() -> None:
    """A number is given as the journal's address."""
    runstate.open(7).close()  # wrong


def url_of_an_unknown_store() -> None:
    """The journal's address names a store that does not exist.

    Why: an address is a text.
    """
    runstate.open("mysql://runs").close()  # wrong


def limits_by_position() -> None:
    """A budget is given without its keyword."""
    Limits(1_000)  # wrong


def limit_is_zero() -> None:
    """A budget is 0.

    Why: Python's types have no ranges.
    """
    Limits(result_bytes=0)  # wrong


def looser_subclass() -> None:
    """A subclass takes a text as the state.

    Unchecked: a subclass replaces a method, its checks included; its states never reach the journal.
    """

    class Loose(ExecutionTracker):
        def update_execution_state(self, execution_id: str, state: str) -> bool:  # wrong
            return bool(execution_id and state)

    print(Loose)
