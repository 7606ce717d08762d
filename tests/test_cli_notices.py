"""`runstate notices`: what users are to be told, and having it tried again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import runstate
from runstate import Notice, NoticeState
from runstate.cli import main

from .commands import CONTROL, HOSTILE, Output, run
from .journal.servers import wait_until

WHO = {"agent": "airline", "user_id": "u-1"}


@pytest.fixture
def place(tmp_path: Path) -> str:
    """The address of a journal with a notice that was delivered, one that was given up, and one that waits."""
    path = tmp_path / "runs.db"

    def tell(notice: Notice) -> None:
        if notice.record.thread_id == "t-2":
            raise ConnectionError(HOSTILE)

    with runstate.open(path) as tracker:
        tracker.deliver(tell, attempts=1, threads=lambda: {"t-1", "t-2"})
        for thread_id in ("t-1", "t-2", "t-3"):
            tracker.create(**WHO, thread_id=thread_id).run().complete("done")
        wait_until(lambda: len(tracker.notices(state=NoticeState.PENDING)) == 1)
    return str(path)


def name_of(place: str, thread_id: str) -> str:
    """The id of the execution of a conversation."""
    with runstate.open(place, read_only=True) as tracker:
        return tracker.find(thread_id=thread_id)[0].execution_id


def test_notices_says_what_the_tracker_says(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each notice with its facts as JSON, and each outbox; every filter counts."""
    with runstate.open(place, read_only=True) as tracker:
        wanted = tracker.notices()
        (outbox,) = tracker.outboxes()
    found = json.loads(run(capsys, "notices", place, "--json"))
    assert [one["notice_id"] for one in found["notices"]] == [one.notice_id for one in wanted]
    facts = (
        "thread_id",
        "agent",
        "user_id",
        "outbox",
        "attempts",
        "error",
        "ended_at_ns",
        "delivered_at_ns",
        "parked_at_ns",
    )
    assert [[one[fact] for fact in facts] for one in found["notices"]] == [
        [getattr(one, fact) for fact in facts] for one in wanted
    ]
    assert [(one["state"], one["end"]) for one in found["notices"]] == [
        ("pending", "completed"),
        ("parked", "completed"),
        ("delivered", "completed"),
    ]
    assert found["outboxes"] == [outbox._asdict()]
    for options, thread in ((("--state", "parked"), "t-2"), (("--thread-id", "t-1"), "t-1"), (("--limit", "1"), "t-3")):
        (one,) = json.loads(run(capsys, "notices", place, *options, "--json"))["notices"]
        assert one["thread_id"] == thread
    assert json.loads(run(capsys, "notices", place, "--outbox", "another", "--json"))["notices"] == []


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_notices_is_readable_at_any_width(
    place: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """No line is longer than the terminal, no id is cut, nothing that was stored controls it, and the outbox is summed up."""
    monkeypatch.setenv("COLUMNS", str(columns))
    printed = run(capsys, "notices", place)
    assert max(map(len, printed.splitlines())) <= columns
    assert all(name_of(place, thread) in printed for thread in ("t-1", "t-2", "t-3"))
    assert all(state.name in printed for state in NoticeState)
    assert not CONTROL.search(printed.replace("\n", ""))
    assert "outbox default: 1 pending, 1 parked; open since" in printed.squeezed


def test_no_outbox_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A journal that nobody delivers from has no notices."""
    with runstate.open(tmp_path / "runs.db"):
        pass
    assert run(capsys, "notices", str(tmp_path / "runs.db")) == "no outbox is open\n"


def test_a_retry_is_tried_at_once(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """After --retry the parked notice is pending, with its attempts counted anew, and whoever delivers next has it."""
    name = name_of(place, "t-2")
    found = json.loads(run(capsys, "notices", "--retry", name, place, "--json"))["notices"]
    assert [(one["notice_id"], one["state"], one["attempts"], one["due_in"]) for one in found] == [
        (name, "pending", 0, 0.0)
    ]
    told: list[str] = []
    with runstate.open(place) as tracker:
        tracker.deliver(lambda notice: told.append(notice.notice_id))
        wait_until(lambda: len(told) == 2)
    assert set(told) == {name, name_of(place, "t-3")}


def fails(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> Output:
    """Run a command that must end with a code; return its error."""
    assert main(arguments) == code
    return Output(capsys.readouterr().err)


def test_a_retry_that_makes_no_sense_is_refused(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown id is 3, a delivered notice and an unnamed one of several outboxes are 2, no journal is 4 and makes none."""
    assert "nothing" in fails(capsys, 3, "notices", "--retry", "nothing", place)
    assert "not delivered" in fails(capsys, 2, "notices", "--retry", name_of(place, "t-1"), place)
    fails(capsys, 4, "notices", "--retry", "x", str(tmp_path / "none.db"))
    assert not (tmp_path / "none.db").exists()
    with runstate.open(place) as tracker:
        tracker.deliver(print, outbox="audit", threads=list)
    assert "--outbox: default, audit" in fails(capsys, 2, "notices", "--retry", name_of(place, "t-2"), place)
    assert "PENDING" in run(capsys, "notices", "--retry", name_of(place, "t-2"), "--outbox", "default", place)
