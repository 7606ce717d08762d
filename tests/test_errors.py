"""The errors: the tree that callers catch by, the facts that each carries, and messages that say what to do next."""

from __future__ import annotations

import inspect

import pytest

import runstate
from runstate import (
    Cause,
    DuplicateMessageError,
    ExecutionState,
    ExecutionTimeoutError,
    ExecutionTracker,
    FencedError,
    InvalidTransitionError,
    InvalidValueError,
    JournalConflictError,
    JournalCorruptError,
    JournalError,
    JournalFullError,
    JournalUnavailableError,
    JournalVersionError,
    NoExecutionError,
    NoOutcomeError,
    NotBoundError,
    NotJsonError,
    NotOwnerError,
    RecordDecodeError,
    ResultTooLargeError,
    RunstateError,
    StateTypeError,
    SubscriptionLaggedError,
    TrackerClosedError,
    UnknownExecutionError,
    WaitTimeoutError,
)
from runstate._errors import describe, wrong_type

from .moves import create

PENDING, RUNNING, COMPLETED = ExecutionState.PENDING, ExecutionState.RUNNING, ExecutionState.COMPLETED

TREE: dict[type[RunstateError], tuple[type[Exception], ...]] = {
    RunstateError: (Exception,),
    StateTypeError: (RunstateError, TypeError),
    InvalidValueError: (RunstateError, ValueError),
    NotJsonError: (InvalidValueError,),
    ResultTooLargeError: (InvalidValueError,),
    InvalidTransitionError: (RunstateError,),
    FencedError: (RunstateError,),
    ExecutionTimeoutError: (FencedError, TimeoutError),
    NotOwnerError: (RunstateError,),
    DuplicateMessageError: (RunstateError,),
    UnknownExecutionError: (RunstateError, LookupError),
    NoOutcomeError: (RunstateError,),
    NotBoundError: (RunstateError, TypeError),
    NoExecutionError: (RunstateError, LookupError),
    WaitTimeoutError: (RunstateError, TimeoutError),
    TrackerClosedError: (RunstateError,),
    RecordDecodeError: (RunstateError, ValueError),
    JournalError: (RunstateError,),
    JournalUnavailableError: (JournalError,),
    JournalConflictError: (JournalError,),
    JournalFullError: (JournalError,),
    JournalVersionError: (JournalError,),
    JournalCorruptError: (JournalError,),
    SubscriptionLaggedError: (JournalError,),
}

SAMPLES: dict[RunstateError, tuple[dict[str, object], tuple[str, ...]]] = {
    InvalidValueError("timeout", -1, "a positive number"): (
        {"name": "timeout", "expected": "a positive number"},
        ("timeout must be a positive number", "-1"),
    ),
    NotJsonError("result", (1, 2), "$.a[0]", "tuple is not a JSON type"): (
        {"name": "result at $.a[0]", "path": "$.a[0]"},
        ("$.a[0]", "tuple is not a JSON type", "(1, 2)", "convert it"),
    ),
    ResultTooLargeError("result", 2_000, 1_000): (
        {"name": "result", "size": 2_000, "limit": 1_000},
        ("2000 bytes", "1000 bytes", "store the bulk elsewhere", "Limits"),
    ),
    InvalidTransitionError("x-1", RUNNING, PENDING): (
        {
            "execution_id": "x-1",
            "source": RUNNING,
            "target": PENDING,
            "legal": tuple(ExecutionState)[3:],
        },
        ("x-1", "RUNNING -> PENDING", "may become: COMPLETING, COMPLETED, FAILED, TIMEOUT, DEAD, CANCELLED"),
    ),
    InvalidTransitionError("x-1", COMPLETED, RUNNING): (
        {"source": COMPLETED, "target": RUNNING, "legal": ()},
        ("COMPLETED -> RUNNING", "an end is final"),
    ),
    InvalidTransitionError("x-1", RUNNING, RUNNING, PENDING): (
        {"source": RUNNING, "target": RUNNING},
        ("knows PENDING", "moved on to RUNNING", "use the handle that the last move returned"),
    ),
    FencedError("x-1", ExecutionState.DEAD, Cause.NO_HEARTBEAT, "heartbeat watch", 17): (
        {
            "execution_id": "x-1",
            "state": ExecutionState.DEAD,
            "cause": Cause.NO_HEARTBEAT,
            "observer": "heartbeat watch",
            "ended_at_ns": 17,
        },
        ("x-1", "DEAD", "NO_HEARTBEAT", "heartbeat watch", "changed nothing", "Stop the work"),
    ),
    DuplicateMessageError("t-1", "u-1", "m-1", "x-1", "airline"): (
        {"thread_id": "t-1", "user_id": "u-1", "message_id": "m-1", "execution_id": "x-1", "agent": "airline"},
        ("'m-1'", "'u-1'", "'t-1'", "agent 'airline'", "x-1", "tracker.attempts('x-1')"),
    ),
    NotOwnerError("x-1", "host:1:ab"): ({"execution_id": "x-1", "owner": "host:1:ab"}, ("x-1", "host:1:ab", "owner")),
    UnknownExecutionError("x-1"): ({"execution_id": "x-1"}, ("'x-1'", "check the id")),
    NoOutcomeError("x-1"): ({"execution_id": "x-1"}, ("x-1", "FAILED", "complete()")),
    NotBoundError("airline"): ({"agent": "airline"}, ("'airline'", "bind(thread_id=", "user_id=")),
    NoExecutionError(): ({}, ("with tracker.execution(",)),
    WaitTimeoutError("no event came", 2.5): (
        {"what": "no event came", "timeout": 2.5},
        ("no event came within 2.5 s",),
    ),
    TrackerClosedError(): ({}, ("closed", "runstate.open(")),
    RecordDecodeError("evidence.beats", "an int", "many"): (
        {"path": "evidence.beats", "reason": "an int"},
        ("evidence.beats", "an int", "'many'"),
    ),
    JournalConflictError(["x-1", "x-2", "x-1"], "they differ"): (
        {"execution_ids": ("x-1", "x-2")},
        ("x-1, x-2", "they differ"),
    ),
    JournalFullError("too many entries wait", 5): ({"limit": 5}, ("too many entries wait", "5", "flush()", "Limits")),
    JournalVersionError("runs.db", 7, 1): ({"found": 7, "supported": 1}, ("runs.db", "7", "1", "upgrade runstate")),
    SubscriptionLaggedError(3, 9): ({"position": 3, "pruned": 9}, ("3", "9", "after=0", "retention")),
}


def test_the_tree_is_the_documented_one() -> None:
    """Every public error has exactly its documented parents, and no public error is missing here."""
    public = (getattr(runstate, name) for name in runstate.__all__)
    assert {one for one in public if inspect.isclass(one) and issubclass(one, Exception)} == set(TREE)
    for error, parents in TREE.items():
        assert error.__bases__ == parents
        assert error.__module__ == "runstate._errors"
        assert error.__doc__


def test_every_error_of_the_tree_stands_in_the_modules_picture() -> None:
    """The picture of the tree in the module's docstring names every error, and no other."""
    picture = (inspect.getmodule(RunstateError).__doc__ or "").partition("::")[2]
    named = {word for line in picture.splitlines() for word in line.split() if word.endswith("Error")}
    assert {error.__name__ for error in TREE} == {word.strip("()") for word in named} - {"TypeError", "ValueError"} - {
        "TimeoutError", "LookupError",
    }  # fmt: skip


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: f"{type(error).__name__}-{len(str(error))}")
def test_an_error_carries_its_facts_and_says_what_to_do(error: RunstateError) -> None:
    """Each error's fields hold the facts with their types, and its message names them and the next step."""
    fields, phrases = SAMPLES[error]
    for name, value in fields.items():
        assert getattr(error, name) == value
        assert type(getattr(error, name)) is type(value)
    for phrase in phrases:
        assert phrase in str(error)
    assert str(error)[-1] not in ".!"


def test_every_error_that_carries_facts_is_sampled() -> None:
    """No error with fields of its own is left out of the samples."""
    with_fields = {one for one in TREE if "__init__" in vars(one)}
    assert with_fields <= {type(error) for error in SAMPLES}


def test_the_parents_catch(tracker: ExecutionTracker) -> None:
    """Callers may catch by Python's own classes: TypeError, ValueError, LookupError, TimeoutError."""
    execution_id = create(tracker).execution_id
    for parent, call in (
        (TypeError, lambda: tracker.update_execution_state(execution_id, {"success": False})),
        (ValueError, lambda: create(tracker, timeout=-1)),
        (LookupError, lambda: tracker.get("nobody")),
        (LookupError, runstate.current),
        (TimeoutError, lambda: tracker.wait(execution_id, timeout=0.01)),
    ):
        with pytest.raises(parent) as caught:
            call()
        assert isinstance(caught.value, RunstateError)


def test_issue_305_is_a_state_type_error(tracker: ExecutionTracker) -> None:
    """The line that once killed runs in silence now names the function, the parameter, the type wanted and the value given."""
    execution_id = create(tracker).execution_id
    with pytest.raises(StateTypeError) as caught:
        tracker.update_execution_state(execution_id, {"success": False, "completed": True})  # type: ignore[arg-type]
    for phrase in ("update_execution_state", "state", "ExecutionState", "{'success': False, 'completed': True}"):
        assert phrase in str(caught.value)
    assert tracker.get(execution_id).state is PENDING


class Unprintable:
    """An object whose `repr` raises."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@pytest.mark.parametrize(
    "value", [Unprintable(), "\ud800" * 10, "x" * 10_000, b"\xff", {"a": Unprintable()}, "\0", "🎈" * 500]
)
def test_any_value_can_be_described(value: object) -> None:
    """A description never raises, is short, and can be printed anywhere."""
    text = describe(value)
    assert 0 < len(text) <= 80
    text.encode()
    assert text in str(InvalidValueError("name", value, "better"))


def test_a_value_too_deep_to_show_can_be_described() -> None:
    """A structure whose `repr` recurses without end is described by its type."""
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    assert "list" in describe(value)


def test_a_wrong_type_is_named_with_the_value() -> None:
    """What no decorator has caught still says parameter, type wanted, type given and value."""
    error = wrong_type("state", "running", "an ExecutionState")
    assert type(error) is StateTypeError
    assert str(error) == "state must be an ExecutionState, not str: 'running'"


def test_an_unknown_ids_message_is_no_repr() -> None:
    """LookupError's subclasses often print their message in quotes; this one prints it plainly."""
    assert str(UnknownExecutionError("x-1")).startswith("no execution 'x-1' in this journal")
