"""A warning, as everybody reads it: in the timeline, in a subscription, on the command line; and what it is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from runstate import Cause, Entry, ExecutionState, ExecutionTracker, Transition
from runstate._codec import encode_event
from runstate.journal.sqlite import SqliteJournal

from .commands import CONTROL, HOSTILE, run
from .journal.entries import created, moved, warned
from .stores import Store

PENDING, RUNNING, DEAD = ExecutionState.PENDING, ExecutionState.RUNNING, ExecutionState.DEAD
STACK = 'File "agent.py", line 7, in answer\n    time.sleep(60)'
LIVE: list[Entry] = [
    created("live"),
    moved("live", 2, PENDING, RUNNING),
    warned("live", 3, Cause.NO_HEARTBEAT, detail=None),
]
ENDED: list[Entry] = [
    created("ended"),
    moved("ended", 2, PENDING, RUNNING),
    warned("ended", 3, detail=STACK),
    moved("ended", 4, RUNNING, DEAD, cause=Cause.LOOP_BLOCKED),
]


@pytest.fixture
def tracker(store: Store) -> Iterator[ExecutionTracker]:
    """A tracker on each store in turn, in which somebody has recorded a live and an ended execution, both warned of."""
    journal = store.journal()
    journal.append([*LIVE, *ENDED])
    tracker = ExecutionTracker(journal)
    yield tracker
    tracker.close()


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A file with the same, and an execution with a hostile warning."""
    path = tmp_path / "runs.db"
    journal = SqliteJournal(path)
    journal.append([*LIVE, *ENDED, created("hostile"), warned("hostile", 2, detail=HOSTILE)])
    journal.close()
    return str(path)


def test_a_warning_is_in_the_timeline_and_no_move(tracker: ExecutionTracker) -> None:
    """The timeline has every warning in its place; the history, which is of moves, has none."""
    assert tracker.timeline("ended") == tuple(ENDED)
    assert tracker.timeline("live") == tuple(LIVE)
    assert tracker.history("ended") == tuple(entry for entry in ENDED if isinstance(entry, Transition))


def test_a_warning_ends_nothing(tracker: ExecutionTracker) -> None:
    """What was warned of is as live as before, with neither cause nor evidence, and seq and time of the warning."""
    live = tracker.get("live")
    assert (live.state, live.phase, live.cause, live.evidence, live.error) == (RUNNING, None, None, None, None)
    assert (live.seq, live.updated_at_ns) == (LIVE[-1].seq, LIVE[-1].at_ns)
    assert (tracker.get("ended").state, tracker.get("ended").cause) == (DEAD, Cause.LOOP_BLOCKED)


def test_a_warning_is_an_event(tracker: ExecutionTracker) -> None:
    """A subscription delivers it with its position like every entry; its JSON says `warned`, the cause and what was seen."""
    with tracker.subscribe(execution_id="ended") as subscription:
        events = [subscription.get(30.0) for _ in ENDED]
    assert [event.entry for event in events] == ENDED
    assert events[1].position < events[2].position < events[3].position
    published = json.loads(encode_event(events[2]))
    assert (published["kind"], published["cause"], published["detail"]) == ("warned", "loop_blocked", STACK)


def test_show_prints_a_warning_with_its_stack(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The line says of what it warned; what was seen stands below, line by line; and one without anything seen is one line."""
    lines = [line.strip() for line in run(capsys, "show", "ended", path).splitlines()]
    at = next(place for place, line in enumerate(lines) if line.endswith("warned of DEAD LOOP_BLOCKED"))
    assert lines[at].startswith("3")
    assert lines[at + 1 : at + 3] == [line.strip() for line in STACK.splitlines()]
    assert lines[at + 3].endswith("RUNNING → DEAD LOOP_BLOCKED")
    live = run(capsys, "show", "live", path)
    assert live.rstrip().endswith("warned of DEAD NO_HEARTBEAT")
    assert "RUNNING" in run(capsys, "ls", path, "--state", "running")


def test_the_json_of_a_warning(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`show --json` has a warning as a line of its own kind, with all that it says and nothing of a move."""
    timeline = json.loads(run(capsys, "show", "ended", path, "--json"))["timeline"]
    assert [entry["kind"] for entry in timeline] == ["created", "transition", "warned", "transition"]
    expected = {**ENDED[2]._asdict(), "kind": "warned", "cause": "loop_blocked"}
    assert timeline[2] == expected


def test_a_warning_is_fit_for_a_terminal(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever was seen, nothing of it but its line breaks reaches the terminal unescaped."""
    printed = run(capsys, "show", "hostile", path)
    assert not CONTROL.search(printed)
    assert "[bold]loud[/bold] :smile:" in printed
