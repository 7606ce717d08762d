"""One answer for a message, and one breaker for an agent, whatever the number of processes."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

import runstate
from runstate import Cause, Died, DuplicateMessageError, ExecutionState, ExecutionTracker

from .answering import BREAKER, WHOSE, agent_of, described
from .processes import Other

PATIENCE = 60.0


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """Where each call of the function adds a line."""
    path = tmp_path / "calls"
    path.touch()
    return path


def lines(path: Path) -> list[str]:
    """The calls so far."""
    return path.read_text(encoding="utf-8").splitlines()


def test_two_processes_at_the_same_time(place: str, other: Other, calls: Path) -> None:
    """Two processes that are sent the same 40 messages at the same time run the function 40 times, and give the same answers."""
    second = Other(place)
    messages = [f"m-{number}" for number in range(40)]
    other.tell("ask", str(calls), "it", messages)
    second.tell("ask", str(calls), "it", messages[::-1])
    answers, others = other.answer(), second.answer()[::-1]
    second.end()
    assert answers == others
    assert {answer[0] for answer in answers} == {"Completed"}
    assert len({answer[2] for answer in answers}) == len(lines(calls)) == 40
    assert runstate.verify(place) == ()


def test_two_users_at_the_same_time(place: str, other: Other, calls: Path) -> None:
    """Two processes that are sent messages with the same 40 ids by two users of a thread give each user 40 answers of their own."""
    second = Other(place)
    messages = [f"m-{number}" for number in range(40)]
    other.tell("ask", str(calls), "for eve", messages, "eve")
    second.tell("ask", str(calls), "for u-1", messages[::-1], "u-1")
    answers, others = other.answer(), second.answer()
    second.end()
    assert {tuple(answer[:2]) for answer in answers} == {("Completed", "answer to for eve")}
    assert {tuple(answer[:2]) for answer in others} == {("Completed", "answer to for u-1")}
    assert sorted(lines(calls)) == ["for eve"] * 40 + ["for u-1"] * 40
    with runstate.open(place) as tracker:
        for user, own in (("eve", answers), ("u-1", others)):
            found = tracker.find(agent="answering", thread_id="t-1", user_id=user)
            assert {one.execution_id for one in found} == {answer[2] for answer in own}
            assert sorted(one.message_id or "" for one in found) == sorted(messages)
    assert runstate.verify(place) == ()


def test_a_message_that_was_answered_elsewhere(tracker: ExecutionTracker, other: Other, calls: Path) -> None:
    """Sent again to another process after its end, a message gets the recorded outcome, a failure as well."""
    for deed in ("it", "fail"):
        (first,) = other.ask("ask", str(calls), deed, [deed])
        outcome = asyncio.run(agent_of(tracker, str(calls)).bind(**WHOSE, message_id=deed)(deed))
        assert described(outcome) == first
    assert lines(calls) == ["it", "fail"]


def test_a_message_that_another_agent_answers_elsewhere(tracker: ExecutionTracker, other: Other, calls: Path) -> None:
    """An agent that is sent a message which another agent answers in another process is refused at once, also while that one is at it."""
    other.tell("ask", str(calls), "hang", ["m-1"])
    assert other.answer() == "begun"

    @tracker.agent("hotel")
    def hotel() -> str:
        raise AssertionError("called")

    with pytest.raises(DuplicateMessageError, match="answered by agent 'answering'") as refused:
        hotel.bind(**WHOSE, message_id="m-1")()
    (running,) = tracker.find(agent="answering")
    assert (refused.value.agent, refused.value.execution_id) == ("answering", running.execution_id)
    assert tracker.find(agent="hotel") == ()
    other.kill()


def test_a_message_that_is_being_answered_elsewhere(
    tracker: ExecutionTracker, other: Other, calls: Path, tmp_path: Path
) -> None:
    """Sent again to another process meanwhile, a message waits for the first answer, and is told of it."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    deed = f"open {fifo}"
    other.tell("ask", str(calls), deed, ["m-1"])
    assert other.answer() == "begun"
    outcomes: list[Any] = []
    call = agent_of(tracker, str(calls)).bind(**WHOSE, message_id="m-1")
    thread = threading.Thread(target=lambda: outcomes.append(asyncio.run(call(deed))))
    thread.start()
    (running,) = tracker.find(state=ExecutionState.RUNNING)
    assert (running.message_id, outcomes) == ("m-1", [])
    fifo.write_text("go")
    thread.join(PATIENCE)
    (first,) = other.answer()
    assert described(outcomes[0]) == first
    assert lines(calls) == [deed]
    assert first[2] == running.execution_id


def test_a_worker_killed_in_the_middle(tracker: ExecutionTracker, other: Other, calls: Path) -> None:
    """Who sends a message again that a killed process was answering is told so: `Died`, with its cause, and runs nothing."""
    other.tell("ask", str(calls), "hang", ["m-1"])
    assert other.answer() == "begun"
    outcomes: list[Any] = []
    call = agent_of(tracker, str(calls)).bind(**WHOSE, message_id="m-1")
    thread = threading.Thread(target=lambda: outcomes.append(asyncio.run(call("it"))))
    thread.start()
    other.kill()
    thread.join(PATIENCE)
    (outcome,) = outcomes
    assert isinstance(outcome, Died)
    assert outcome.cause is Cause.PROCESS_EXITED
    assert lines(calls) == ["hang"]
    assert asyncio.run(call("it")) == outcome


def test_a_breaker_that_others_have_opened(place: str, tracker: ExecutionTracker, other: Other, calls: Path) -> None:
    """Failures in one process open the breaker in one that knows of none of its own, and in one that comes later."""
    agent = agent_of(tracker, str(calls), breaker=BREAKER)
    assert described(asyncio.run(agent.bind(**WHOSE)("it")))[0] == "Completed"
    assert other.ask("fail", str(calls), 5) == ["raised"] * 3 + ["breaker_open"] * 2
    gate, tick = tracker._breakers.gate("answering", BREAKER), threading.Event()
    while gate.circuit.opened_ns is None:  # its thread is told within milliseconds
        tick.wait(0.001)
    refused = asyncio.run(agent.bind(**WHOSE)("it"))
    assert described(refused)[:2] == ["Failed", "breaker_open"]
    with runstate.open(place) as later:
        refused = asyncio.run(agent_of(later, str(calls), breaker=BREAKER).bind(**WHOSE)("it"))
        assert described(refused)[:2] == ["Failed", "breaker_open"]
    assert lines(calls) == ["it", "fail", "fail", "fail"]
    assert tracker.get(refused.execution_id).error == refused.error
