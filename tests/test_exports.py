"""The public names: which there are, that they are typed, documented and checked, and what importing them costs."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, get_type_hints

import pytest

import runstate
from runstate import ExecutionTracker, Limits

from .checkers import output
from .docstrings import entries
from .surface import public_callables, public_classes

NAMES = [
    "AsyncAgent",
    "Breaker",
    "CAUSES",
    "CancelRequest",
    "Cancelled",
    "Cause",
    "Census",
    "Clock",
    "Completed",
    "Created",
    "Delivery",
    "Diagnosis",
    "Died",
    "DuplicateMessageError",
    "Ends",
    "Entry",
    "Event",
    "Evidence",
    "Execution",
    "ExecutionRecord",
    "ExecutionScope",
    "ExecutionState",
    "ExecutionTimeoutError",
    "ExecutionTracker",
    "Failed",
    "Fence",
    "FencedError",
    "Finding",
    "InvalidTransitionError",
    "InvalidValueError",
    "JournalConflictError",
    "JournalCorruptError",
    "JournalError",
    "JournalFullError",
    "JournalUnavailableError",
    "JournalVersionError",
    "Json",
    "Limits",
    "LiveState",
    "NoExecutionError",
    "NoOutcomeError",
    "NotBoundError",
    "NotJsonError",
    "NotOwnerError",
    "Notice",
    "NoticeRecord",
    "NoticeState",
    "OutboxRecord",
    "Outcome",
    "Phase",
    "PhaseChange",
    "RecordDecodeError",
    "RejectedMove",
    "ResultTooLargeError",
    "Retry",
    "RunstateError",
    "Severity",
    "StateTypeError",
    "Statistics",
    "Subscription",
    "SubscriptionLaggedError",
    "SyncAgent",
    "TRANSITIONS",
    "TimedOut",
    "TrackerClosedError",
    "Transition",
    "UnknownExecutionError",
    "WaitTimeoutError",
    "Warned",
    "Worker",
    "WorkerState",
    "__version__",
    "current",
    "diagnose",
    "open",
    "verify",
]
"""The interface. Whoever changes it changes it here too, knowingly, and in the changelog."""

ELSEWHERE: dict[str, tuple[Callable[..., Any], str]] = {
    "ExecutionTracker.create": (
        ExecutionTracker._create,
        "hands its keywords on by position, which is what beartype checks in half the time",
    ),
}
"""What beartype does not check itself, the function that it checks instead, and why."""

HEAVY = {
    "asyncio",
    "email",
    "http",
    "logging",
    "multiprocessing",
    "sqlite3",
    "subprocess",
    "unittest",
    "xml",
}
"""What of Python's own library `import runstate` must not bring along: asyncio comes with a tracker, sqlite3 with a file."""

CALLABLES = dict(public_callables())

every_callable = pytest.mark.parametrize("name", CALLABLES)


def parameters(function: Callable[..., Any]) -> list[str]:
    """List the parameters that a caller gives."""
    return [name for name in inspect.signature(function).parameters if name != "self"]


def raised_directly(function: Callable[..., Any]) -> Iterator[type[BaseException]]:
    """Find the errors that a function's own body raises by name."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            name = raised.id if isinstance(raised, ast.Name) else ""
            found = runstate.StateTypeError if name == "wrong_type" else getattr(runstate, name, None)
            if inspect.isclass(found):
                yield found


# -- names and types --------------------------------------------------------------------------------------------------


def test_public_names() -> None:
    """The names of the interface are exactly those that are listed here, and nothing else of ours has a public name."""
    assert sorted(runstate.__all__) == NAMES == sorted(NAMES)
    present = {name: getattr(runstate, name) for name in dir(runstate) if not name.startswith("_")}
    ours = {name for name, value in present.items() if getattr(value, "__module__", "").startswith("runstate")}
    assert ours <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_name_can_be_imported(name: str) -> None:
    """Each name of the interface can be imported from the package, and is listed by `dir`."""
    namespace: dict[str, object] = {}
    exec(f"from runstate import {name}", namespace)
    assert namespace[name] is getattr(runstate, name)
    assert name in dir(runstate)


@pytest.mark.parametrize("name", sorted(name for names in runstate._HOMES.values() for name in names))
def test_each_lazy_name_can_be_imported_first(name: str) -> None:
    """A name that is imported when first asked for can be the first that a program asks for."""
    code = (
        f"import runstate; assert {name!r} not in vars(runstate); from runstate import {name}; print({name}.__module__)"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("runstate.")


def test_an_unknown_name_is_refused() -> None:
    """A name that is not there is an AttributeError that says so."""
    with pytest.raises(AttributeError, match="'runstate' has no attribute 'opne'"):
        _ = runstate.opne


@pytest.mark.checkers
def test_every_public_type_is_complete() -> None:
    """The type of everything public is known to pyright without inferring any."""
    report = json.loads(output("pyright", "--verifytypes", "runstate", "--ignoreexternal", "--outputjson"))
    completeness = report["typeCompleteness"]
    assert completeness["exportedSymbolCounts"]["withKnownType"] > len(NAMES)
    gaps = {one["name"]: [said["message"] for said in one["diagnostics"]] for one in completeness["symbols"]}
    assert {name: said for name, said in gaps.items() if said} == {}
    assert completeness["completenessScore"] == 1
    assert completeness["missingFunctionDocStringCount"] == 0
    assert completeness["missingClassDocStringCount"] == 0


# -- documentation ----------------------------------------------------------------------------------------------------


def test_sections_are_read() -> None:
    """A docstring's sections end where the next one begins, and continuation lines name nothing."""
    text = """Do it.

    Args:
        one: The first,
            on two: lines.
        two: The second.

    Raises:
        ValueError: Bad.
    """
    assert entries(text, "Args") == ["one", "two"]
    assert entries(text, "Raises") == ["ValueError"]
    assert entries(text, "Returns") == []


@pytest.mark.parametrize("cls", list(public_classes()), ids=lambda cls: cls.__name__)
def test_every_class_and_property_is_documented(cls: type) -> None:
    """Every public class, and every property that it has, says in one line what it is."""
    members = {name: value for name, value in inspect.getmembers(cls) if not name.startswith("_")}
    documented = {cls.__name__: cls} | {name: value for name, value in members.items() if isinstance(value, property)}
    assert {name for name, value in documented.items() if not re.match(r"\S.*[.:]$", first_line(value))} == set()
    assert not first_line(cls).startswith(f"{cls.__name__}(")  # a dataclass without a docstring gets its signature


def first_line(value: object) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(value) or "").partition("\n")[0]


def test_every_callable_is_found() -> None:
    """Functions and methods are among the callables that the tests below look at, lazy ones too."""
    assert {"open", "verify", "current", "ExecutionTracker.create", "Execution.expect"} <= CALLABLES.keys()


@every_callable
def test_every_callable_documents_its_parameters(name: str) -> None:
    """A public callable says in one line what it does, and in `Args` what each parameter means."""
    function = CALLABLES[name]
    text = inspect.getdoc(function) or ""
    assert re.fullmatch(r"[A-Z`].*[.]", text.partition("\n")[0])
    if not dataclasses.is_dataclass(function):
        assert entries(text, "Args") == parameters(function)


@pytest.mark.parametrize("cls", [cls for cls in public_classes() if cls is Limits], ids=lambda cls: cls.__name__)
def test_every_budget_is_documented(cls: type) -> None:
    """Each field of a class that users construct says what it bounds."""
    (body,) = (node.body for node in ast.parse(inspect.getsource(cls)).body if isinstance(node, ast.ClassDef))
    fields = [index for index, node in enumerate(body) if isinstance(node, ast.AnnAssign)]
    texts = [body[index + 1] for index in fields]
    assert len(fields) == len(dataclasses.fields(cls))
    assert all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in texts)


@every_callable
def test_every_callable_documents_what_it_raises(name: str) -> None:
    """What a public callable raises itself is in its `Raises`, by its own name or a base's, or in its class's text."""
    function = CALLABLES[name]
    owner = inspect.getdoc(getattr(runstate, name.partition(".")[0])) or ""
    told = entries(inspect.getdoc(function) or "", "Raises") + re.findall(r"`(\w+Error)`", owner)
    documented = tuple(getattr(runstate, error) for error in told if hasattr(runstate, error))
    body = function.__init__ if inspect.isclass(function) else function
    if inspect.isfunction(inspect.unwrap(body)) and not dataclasses.is_dataclass(function):
        assert [error.__name__ for error in raised_directly(body) if not issubclass(error, documented)] == []


# -- the second wall --------------------------------------------------------------------------------------------------


def beartype_checks(function: Callable[..., Any]) -> bool:
    """Whether what is called is beartype's own code, after the first use."""
    if inspect.isclass(function):
        function = function.__init__
    if (
        "target" in inspect.getclosurevars(function).nonlocals
    ):  # a module's function, which is called through another one
        with pytest.raises(TypeError):
            function(*[...] * 9)
        function = inspect.getclosurevars(function).nonlocals["target"]
    return function.__code__.co_filename.startswith("<@beartype(")


@every_callable
def test_every_callable_is_checked(name: str) -> None:
    """Every public callable with a parameter that has a type is checked by beartype, or hands on to one that is."""
    function = CALLABLES[name]
    if name in ELSEWHERE:
        assert not beartype_checks(function)
        function = ELSEWHERE[name][0]
    plain = inspect.unwrap(function.__init__ if inspect.isclass(function) else function)
    hints = {hint for parameter, hint in get_type_hints(plain).items() if parameter not in {"self", "return"}}
    if dataclasses.is_dataclass(function):
        assert "__post_init__" in vars(function)  # checks each field by hand, so that `python -O` changes nothing
    else:
        assert beartype_checks(function) == bool(hints - {object})  # anything at all is an object


def test_a_beat_costs_nothing() -> None:
    """The hottest call has no parameter, so nothing stands between the caller and its body."""
    assert parameters(runstate.Execution.heartbeat) == []
    assert runstate.Execution.heartbeat.__code__.co_filename.endswith("_execution.py")


# -- what an import costs ---------------------------------------------------------------------------------------------


def modules_after(code: str) -> set[str]:
    """The modules that some code imports in a fresh interpreter."""
    code = f"import sys; had = set(sys.modules)\n{code}\nprint(*(set(sys.modules) - had))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_importing_brings_nothing_heavy() -> None:
    """`import runstate` loads nobody else's code, neither beartype nor pydantic's core, and no heavy part of Python's."""
    loaded = {name.partition(".")[0] for name in modules_after("import runstate")}
    assert loaded - sys.stdlib_module_names == {"runstate"}
    assert loaded & HEAVY == set()


def test_nothing_of_an_adapter_is_imported() -> None:
    """A tracker in memory loads no adapter and no other store, and of other people's code only what it needs."""
    loaded = modules_after("import runstate; runstate.open('memory:').close()")
    assert {name for name in loaded if re.match(r"runstate\.(cli|journal\.(sqlite|postgres)|_verify)\b", name)} == set()
    foreign = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names
    assert foreign & {"cyclopts", "rich", "pydantic", "psycopg", "tenacity"} == set()
    assert {"runstate", "beartype"} <= foreign
    assert "sqlite3" not in loaded
