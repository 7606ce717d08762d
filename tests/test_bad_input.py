"""Every public callable × every parameter × some sixty values: the right typed error, and nothing changed.

The cases are generated from the signatures (`surface`) and the verdicts from the annotations (`bad_values`), so a new function
is covered by itself, and a parameter of a new kind fails until somebody has said what it accepts.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runstate import Completed, ExecutionState, ExecutionTracker, Json, StateTypeError

from .bad_input import Target, Trial, targets
from .bad_values import UNPRINTABLE, VALUES, Parameter, UnprintableError, verdict
from .clock import FakeClock
from .moves import bring_to, create
from .stores import EMBEDDED, Store
from .surface import CONSTRUCTED, FACTS, HANDED_OUT, PROTOCOLS, public_callables, public_classes

TARGETS = list(targets())


@pytest.fixture
def trial(store: Store, tmp_path: Path) -> Iterator[Trial]:
    """Values to be tried on each store, in an empty current directory."""
    directory = tmp_path / "current"
    directory.mkdir()
    trial = Trial(store, directory)
    yield trial
    trial.close()


def test_every_public_class_is_looked_at() -> None:
    """A public class is constructed by users, or handed out to them, or a fact, or a protocol: none is left out."""
    listed = [*CONSTRUCTED, *HANDED_OUT, *FACTS, *PROTOCOLS]
    assert sorted(listed, key=repr) == sorted(public_classes(), key=repr)


def test_there_are_enough_cases() -> None:
    """At least 400 cases are generated, on each store, and they reach every public callable that takes an argument."""
    assert len(TARGETS) * len(VALUES) >= 400
    assert len(EMBEDDED) >= 2
    reached = {target.parameter.owner for target in TARGETS}
    assert {
        "open",
        "Limits",
        "ExecutionTracker.create",
        "Execution.complete",
        "SyncAgent.bind",
        "AsyncAgent.bind",
    } <= reached
    assert len(list(public_callables())) > len(reached) > 25


def test_a_parameter_of_an_unknown_kind_fails() -> None:
    """A new public parameter whose annotation the generator does not know cannot go untested."""
    with pytest.raises(LookupError, match="no rule for this annotation"):
        verdict(Parameter("ExecutionTracker.create", "colour", frozenset[str]), "red")


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_good_arguments_are_accepted(trial: Trial, target: Target) -> None:
    """With good arguments each call works, so what refuses a bad value is that value."""
    assert trial.run(target, {}).error is None


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_bad_values_are_refused_and_change_nothing(trial: Trial, target: Target) -> None:
    """Each value gets what the parameter's annotation says: a typed refusal that changes nothing, or acceptance."""
    assert list(trial.wrongs(target, VALUES)) == []


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_what_cannot_be_shown_is_refused_all_the_same(trial: Trial, target: Target) -> None:
    """A value whose `repr` raises is refused as well, by our error or by its own, and changes nothing."""
    assert list(trial.wrongs(target, UNPRINTABLE, or_raises=(UnprintableError, RecursionError))) == []


@pytest.mark.parametrize("name", EMBEDDED)
def test_without_beartype_no_wrong_type_is_ever_stored(name: str, tmp_path: Path) -> None:
    """Under `python -O` the same cases raise our own errors or are harmless, and every stored field has its type."""
    run = subprocess.run(
        [sys.executable, "-O", "-m", "tests.bad_input", name, str(tmp_path)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["optimize"] == 1
    assert report["tried"] == len(TARGETS) * len({**VALUES, **UNPRINTABLE})
    assert report["stored"] > len(TARGETS)
    assert report["wrongs"] == []


FALSY: list[Json] = [0, 0.0, -0.0, "", [], {}, False, None, [None], {"": None}, [[], {}, 0, False, ""]]


def alike(one: object, other: object) -> bool:
    """Whether two JSON values are equal and of the same types throughout; False is not 0 here."""
    return json.dumps(one) == json.dumps(other)


@pytest.mark.parametrize("result", FALSY, ids=json.dumps)
@pytest.mark.parametrize("by_id", [False, True], ids=["by handle", "by id"])
def test_a_falsy_result_survives(store: Store, clock: FakeClock, result: Json, by_id: bool) -> None:
    """A result that is falsy comes back as itself from the record, the history, `wait` and a reopened journal."""
    with ExecutionTracker(store.journal(), clock=clock) as tracker:
        running = bring_to(tracker, ExecutionState.RUNNING)
        if by_id:
            tracker.update_execution_state(running.execution_id, ExecutionState.COMPLETED, result=result)
        else:
            running.complete(result)
        check_result(tracker, running.execution_id, result)
    with ExecutionTracker(store.journal(), clock=clock) as tracker:
        check_result(tracker, running.execution_id, result)


def check_result(tracker: ExecutionTracker, execution_id: str, result: Json) -> None:
    """Compare the result of an ended execution, wherever it can be read."""
    record = tracker.get(execution_id)
    assert record.result_json is not None, "None is a result too"
    assert alike(record.result, result)
    (found,) = tracker.find(state=ExecutionState.COMPLETED)
    assert alike(found.result, result)
    assert alike(tracker.history(execution_id)[-1].result, result)
    outcome = tracker.wait(execution_id, timeout=5)
    assert isinstance(outcome, Completed)
    assert alike(outcome.result, result)


@pytest.mark.parametrize("metadata", [None, {}, {"": 0}, {"a": None}, {"a": False}])
def test_falsy_metadata_survives(store: Store, clock: FakeClock, metadata: dict[str, object] | None) -> None:
    """Empty metadata stays empty and is not None, in memory and in the journal."""
    with ExecutionTracker(store.journal(), clock=clock) as tracker:
        execution_id = create(tracker, metadata=metadata).execution_id
        assert alike(tracker.get(execution_id).metadata, metadata)
    with ExecutionTracker(store.journal(), clock=clock) as tracker:
        assert alike(tracker.get(execution_id).metadata, metadata)


def test_what_the_caller_changes_afterwards_changes_nothing(tracker: ExecutionTracker) -> None:
    """Metadata and results are encoded when they are handed in: changing the object later changes no record."""
    metadata: dict[str, object] = {"tags": ["a"]}
    result: dict[str, object] = {"items": [1]}
    running = create(tracker, metadata=metadata).run()
    metadata["tags"] = object()
    running.complete(result)
    result.clear()
    for record in (running.record, tracker.get(running.execution_id)):
        assert record.metadata == {"tags": ["a"]}
        assert record.result == {"items": [1]}
    decoded = running.record.metadata
    assert isinstance(decoded, dict)
    decoded.clear()
    assert running.record.metadata == {"tags": ["a"]}


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 200_000, "ünïcödé 🎈", ""])
def test_no_error_text_costs_an_execution_its_end(tracker: ExecutionTracker, text: str) -> None:
    """An error text that a store could not hold is escaped or cut, said so, and never refused."""
    for error in (text, ValueError(text)):
        running = bring_to(tracker, ExecutionState.RUNNING)
        running.fail(error)
        tracker.flush()
        kept = tracker.get(running.execution_id).error
        assert kept is not None
        assert "\0" not in kept
        assert len(kept.encode()) <= 65_536
        if text.isprintable() and len(text) < 65_536:
            assert kept.endswith(text)
        if len(text) > 65_536:
            assert re.search(r"\[cut: 20\d{4} bytes, limit 65536\]$", kept)


def test_an_error_without_a_text_does_not_cost_an_execution_its_end(tracker: ExecutionTracker) -> None:
    """An exception whose `str` raises is recorded by its type."""
    running = bring_to(tracker, ExecutionState.RUNNING)
    running.fail(UnprintableError())
    assert "UnprintableError" in (tracker.get(running.execution_id).error or "")


@pytest.mark.parametrize("label", sorted(VALUES))
def test_what_is_no_function_is_no_agent(trial: Trial, label: str) -> None:
    """Decorating what cannot be called is a StateTypeError at once, not at the first message."""
    value = VALUES[label]()
    decorate = trial.tracker.agent("agent")
    if callable(value):
        assert decorate(value).name == "agent"
    else:
        with pytest.raises(StateTypeError):
            decorate(value)  # type: ignore[type-var]
