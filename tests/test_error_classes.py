"""Every error: its place in the tree, its fields, and that it survives the way through a process pool."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

import runstate
from runstate import Cause, ExecutionState, RunstateError, _errors

from .docstrings import entries

ERRORS = {
    error.__class__: error
    for error in (
        RunstateError("broken"),
        runstate.StateTypeError("state must be an ExecutionState"),
        runstate.InvalidValueError("limit", -1, "positive"),
        runstate.NotJsonError("result", {1}, "$.items", "set is not a JSON type"),
        runstate.ResultTooLargeError("result", 11, 10),
        runstate.InvalidTransitionError("e-1", ExecutionState.FAILED, ExecutionState.RUNNING, ExecutionState.PENDING),
        runstate.FencedError("e-1", ExecutionState.DEAD, Cause.NO_HEARTBEAT, "heartbeat watch", 7),
        runstate.ExecutionTimeoutError("e-1", ExecutionState.TIMEOUT, Cause.DEADLINE, "deadline watch", 7),
        runstate.NotOwnerError("e-1", "w-2"),
        runstate.DuplicateMessageError("t-1", "u-1", "m-1", "e-1", "airline"),
        runstate.UnknownExecutionError("e-1"),
        runstate.NoOutcomeError("e-1"),
        runstate.NotBoundError("airline"),
        runstate.NoExecutionError(),
        runstate.WaitTimeoutError("execution e-1 has not ended", 2.5),
        runstate.TrackerClosedError(),
        runstate.RecordDecodeError("state", "one of nine", "bogus"),
        runstate.JournalError("broken"),
        runstate.JournalUnavailableError("locked"),
        runstate.JournalConflictError(["e-1", "e-2", "e-1"], "another writer"),
        runstate.JournalFullError("the buffer is full", 10),
        runstate.JournalVersionError("runs.db", 9, 1),
        runstate.JournalCorruptError("runs.db is no journal"),
        runstate.SubscriptionLaggedError(3, 9),
    )
}
"""One of each kind."""

every_error = pytest.mark.parametrize("cls", ERRORS, ids=lambda cls: cls.__name__)


def documented_tree() -> dict[str, set[str]]:
    """Read the tree of errors in the module's text: each name with its bases."""
    bases: dict[str, set[str]] = {}
    path: list[str] = []
    for line in (_errors.__doc__ or "").splitlines():
        found = re.match(r"([│├└─ ]*)(\w+Error)(?: \((\w+)\))?(?:\s|$)", line)
        if found and (not path or found[1].strip()):
            depth = (len(found[1]) - 4) // 4 if path else 0
            del path[depth:]
            bases[found[2]] = set(path[-1:]) | ({found[3]} if found[3] else set())
            path.append(found[2])
    return bases


def test_the_tree_of_errors() -> None:
    """The tree in the documentation is the tree that there is, and every error is public."""
    actual = {cls.__name__: {base.__name__ for base in cls.__bases__} - {"Exception"} for cls in ERRORS}
    public = {
        name for name, value in vars(runstate).items() if inspect.isclass(value) and issubclass(value, RunstateError)
    }
    assert documented_tree() == actual
    assert public == actual.keys()
    assert all(issubclass(cls, Exception) for cls in ERRORS)


@every_error
def test_errors_document_their_fields(cls: type[RunstateError]) -> None:
    """Every field that an error carries is explained, there or where it comes from, and no other is."""
    text = "\n\n".join(inspect.getdoc(base) or "" for base in cls.__mro__ if base.__module__ == cls.__module__)
    told = {name for part in text.split("\n\nAttributes:")[1:] for name in entries(f"Attributes:{part}", "Attributes")}
    assert {name for name in told if not hasattr(ERRORS[cls], name)} == set()
    assert {name for name in vars(ERRORS[cls]) if not name.startswith("_")} <= told


@every_error
def test_errors_survive_pickling_and_copying(cls: type[RunstateError]) -> None:
    """An error crosses a process border, and is copied, with its type, text, fields and notes."""
    error = copy.copy(ERRORS[cls])
    error.add_note("a note")
    again = [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for twin in (*again, copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is cls
        assert str(twin) == str(error)
        assert twin.args == error.args
        assert vars(twin) == vars(error)
    assert "__notes__" not in vars(ERRORS[cls])


@every_error
def test_errors_tell_something(cls: type[RunstateError]) -> None:
    """An error's text is one for people: more than a word, with its facts in it."""
    facts = [value for name, value in vars(ERRORS[cls]).items() if isinstance(value, str) and name != "expected"]
    assert all(fact in str(ERRORS[cls]) for fact in facts)
    assert str(ERRORS[cls])
