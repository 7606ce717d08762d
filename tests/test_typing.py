"""The first wall, proven with the checkers themselves: what they must accept, and what they must reject.

Every checker runs once over all files: those in `typing/`, and those generated here from the transition table.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import runstate
from runstate import TRANSITIONS, Execution, ExecutionState

from .checkers import CHECKERS, Complaint
from .moves import ILLEGAL, LEGAL, PAIRS, VERBS

pytestmark = pytest.mark.checkers

TYPING = Path(__file__).parent / "typing"
WRITTEN = ("example", "positive", "positive_chains", "positive_notices", "negative")

MEMBERS = ("Completed", "Failed", "TimedOut", "Died", "Cancelled")
"""What an outcome may be."""

MARK = re.compile(r"  # (?:type: ignore|pyright: ignore|unseen: ).*$", re.MULTILINE)
"""All that `negative.py` says of a line."""

HANDLE_REJECTED = {
    "mypy": {"runstate-transition", "attr-defined"},
    "pyright": {"reportAttributeAccessIssue"},
    "basedpyright": {"reportAttributeAccessIssue"},
    "ty": {"invalid-argument-type", "missing-attribute"},
    "pyrefly": {"bad-argument-type", "missing-attribute"},
}
"""How each checker calls a move that the handle cannot make, and a verb that does not exist."""

MATCH_REJECTED = {"mypy": "exhaustive-match", "pyright": "reportMatchNotExhaustive"}
VALUE_REJECTED = {
    "mypy": "return",
    "pyright": "reportReturnType",
    "basedpyright": "reportReturnType",
    "ty": "invalid-implicit-return",
    "pyrefly": "bad-return",
}
"""How each checker calls a function that gives no value where an arm is missing."""

Complaints = Callable[[str], list[Complaint]]

every_checker = pytest.mark.parametrize("checker", CHECKERS)
every_tool = pytest.mark.parametrize("checker", VALUE_REJECTED)


def pair_name(source: ExecutionState, target: ExecutionState) -> str:
    """Name the function that makes a move."""
    return f"{source.value}_to_{target.value}"


def handle(state: ExecutionState) -> str:
    """Spell the type of a handle."""
    return f"Execution[Literal[ExecutionState.{state.name}]]"


def pairs_program() -> str:
    """Write one function for each pair of states; those of illegal pairs are wrong."""
    lines = ["from typing import Literal", "", "from runstate import Execution, ExecutionState"]
    for source, target in PAIRS:
        verb, arguments = VERBS.get(target, ("pend", ()))
        lines += [
            "",
            "",
            f"def {pair_name(source, target)}(run: {handle(source)}) -> {handle(target)}:",
            f"    return run.{verb}({', '.join(map(repr, arguments))})",
        ]
    return "\n".join([*lines, ""])


def outcomes_program() -> str:
    """Write matches over an outcome: two complete ones, and two that leave out one member, for each member."""
    lines = ["from runstate import Cancelled, Completed, Died, Failed, Outcome, TimedOut"]
    for left_out in (None, *MEMBERS):
        name = "nothing" if left_out is None else left_out.lower()
        lines += ["", "", f"def statement_without_{name}(outcome: Outcome[str]) -> None:", "    match outcome:"]
        for member in MEMBERS:
            if member != left_out:
                lines += [f"        case {member}(text):", "            print(text)"]
        lines += ["", "", f"def value_without_{name}(outcome: Outcome[str]) -> str:", "    match outcome:"]
        for member in MEMBERS:
            if member != left_out:
                lines += [f"        case {member}(text):", "            return text"]
    return "\n".join([*lines, ""])


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every file that is checked, by its name."""
    generated = tmp_path_factory.mktemp("typing")
    written = {name: TYPING / f"{name}.py" for name in WRITTEN}
    programs = {
        "pairs": pairs_program(),
        "outcomes": outcomes_program(),
        "negative_bare": MARK.sub("", written["negative"].read_text(encoding="utf-8")),
    }
    for name, program in programs.items():
        written[name] = generated / f"{name}.py"
        written[name].write_text(program, encoding="utf-8")
    return written


@pytest.fixture(scope="session")
def complaints(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Complaints:
    """What a checker says of all files; each runs once."""
    cache = tmp_path_factory.mktemp("checkers")

    @functools.cache
    def check(checker: str) -> list[Complaint]:
        return CHECKERS[checker](list(files.values()), cache)

    return check


def rules_by_function(found: list[Complaint], path: Path) -> dict[str, set[str]]:
    """Group the complaints about a file by the function that they are in."""
    functions = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)]
    rules: dict[str, set[str]] = {}
    for complaint in found:
        if complaint.path == path:
            (name,) = (node.name for node in functions if node.lineno <= complaint.line <= (node.end_lineno or 0))
            rules.setdefault(name, set()).add(complaint.rule)
    return rules


def public_callables() -> set[str]:
    """Name every public function, and every public method of ours that a public class has."""
    names: set[str] = set()
    for public in runstate.__all__:
        value = getattr(runstate, public)
        if inspect.isfunction(value):
            names.add(public)
        elif inspect.isclass(value):
            ours = [cls for cls in value.__mro__ if cls.__module__.startswith("runstate")]
            names |= {name for cls in ours for name in vars(cls) if callable(getattr(cls, name))}
    return {name for name in names if not name.startswith("_")}


# -- the 81 pairs -----------------------------------------------------------------------------------------------------


def test_each_verb_accepts_the_sources_that_the_table_lists_for_its_target() -> None:
    """The annotations of a handle's verbs, read as they stand, are the transition table, and no verb leads to PENDING."""
    verbs = {verb: target for target, (verb, _) in VERBS.items()}
    moves: dict[str, tuple[set[ExecutionState], ExecutionState]] = {}
    for name in vars(Execution):
        method = getattr(Execution, name)
        if name.startswith("_") or not callable(method) or name == "expect":  # which asks, and moves nothing
            continue
        hints = typing.get_type_hints(inspect.unwrap(method))
        if typing.get_origin(hints["return"]) is Execution:
            (target,) = known_states(hints["return"])
            moves[name] = known_states(hints["self"]), target
    assert moves == {
        verb: ({source for source in ExecutionState if target in TRANSITIONS[source]}, target)
        for verb, target in verbs.items()
    }


def known_states(hint: Any) -> set[ExecutionState]:
    """Read the states out of `Execution[Literal[…]]` and `Execution[Literal[…] | Literal[…]]`."""
    (known,) = typing.get_args(hint)
    literals = typing.get_args(known) if typing.get_origin(known) is not typing.Literal else (known,)
    return {state for literal in literals for state in typing.get_args(literal)}


@every_checker
def test_exactly_the_illegal_pairs_are_rejected(checker: str, files: dict[str, Path], complaints: Complaints) -> None:
    """Of the 81 moves on a typed handle each checker rejects the 59 illegal ones, for the handle's sake, and no legal one."""
    rules = rules_by_function(complaints(checker), files["pairs"])
    assert len(LEGAL) == 22
    assert rules.keys() == {pair_name(*pair) for pair in ILLEGAL}
    expected = HANDLE_REJECTED[checker.partition(" ")[0]]
    assert {name: found for name, found in rules.items() if not found & expected} == {}


# -- outcomes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("checker", MATCH_REJECTED)
def test_a_match_without_one_outcome_is_an_error(
    checker: str, member: str, files: dict[str, Path], complaints: Complaints
) -> None:
    """Whichever member a `match` leaves out, mypy and pyright call the match itself not exhaustive."""
    rules = rules_by_function(complaints(checker), files["outcomes"])
    assert rules[f"statement_without_{member.lower()}"] == {MATCH_REJECTED[checker]}
    assert MATCH_REJECTED[checker] in rules[f"value_without_{member.lower()}"]


@every_tool
def test_a_function_without_one_outcome_gives_no_value(
    checker: str, files: dict[str, Path], complaints: Complaints
) -> None:
    """Whichever member a `match` leaves out, every checker sees that the function then returns nothing."""
    rules = rules_by_function(complaints(checker), files["outcomes"])
    without = {name for name, found in rules.items() if VALUE_REJECTED[checker] in found}
    assert without == {f"value_without_{member.lower()}" for member in MEMBERS}


@every_checker
def test_a_match_over_all_outcomes_is_accepted(checker: str, files: dict[str, Path], complaints: Complaints) -> None:
    """A `match` with all five members needs no further arm and no return after it."""
    rules = rules_by_function(complaints(checker), files["outcomes"])
    assert not {name for name in rules if name.endswith("_without_nothing")}


# -- what is written by hand ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["example", "positive", "positive_chains", "positive_notices"])
@every_checker
def test_right_uses_are_accepted(checker: str, name: str, files: dict[str, Path], complaints: Complaints) -> None:
    """The design's example and the pinned types have nothing that any checker complains about."""
    assert [found for found in complaints(checker) if found.path == files[name]] == []


@pytest.mark.parametrize("checker", [name for name in CHECKERS if name.startswith(("mypy", "pyright"))])
def test_ignores_of_wrong_uses_are_enough_and_needed(
    checker: str, files: dict[str, Path], complaints: Complaints
) -> None:
    """Each wrong use is an error of just the kind that its ignore names, and no ignore is left over."""
    assert [found for found in complaints(checker) if found.path == files["negative"]] == []


@every_checker
def test_wrong_uses_are_rejected(checker: str, files: dict[str, Path], complaints: Complaints) -> None:
    """Without their ignores all marked lines are rejected, but those of a kind that the checker does not look for, and no others."""
    lines = files["negative"].read_text(encoding="utf-8").splitlines()
    marked = {number: line for number, line in enumerate(lines, 1) if "# type: ignore[" in line}
    sought = {number for number, line in marked.items() if checker not in line.partition("# unseen: ")[2].split(", ")}
    rejected = {found.line for found in complaints(checker) if found.path == files["negative_bare"]}
    assert len(marked) > 100
    assert {number: marked[number] for number in sought - rejected} == {}
    assert {number: lines[number - 1] for number in rejected - marked.keys()} == {}


def test_every_wrong_use_names_both_gating_checkers() -> None:
    """No wrong use is one for mypy only, or for pyright only."""
    lines = (TYPING / "negative.py").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if ("# type: ignore[" in line) != ("# pyright: ignore[" in line)] == []


def test_every_public_callable_is_pinned() -> None:
    """A public function or method that is new must first say in `positive.py`, or beside it, what it gives."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in TYPING.glob("positive*.py")]
    used = {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    callables = public_callables()
    assert {"create", "expect", "open", "bind", "get"} <= callables
    assert callables - used == set()
