"""`runstate top`: what it knows of a journal, at which cost, and what a frame shows."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rich.cells import cell_len

import runstate
from runstate import Cause, Execution, ExecutionState, ExecutionTracker, Limits, Phase
from runstate.cli import _top_board, _top_watch, main
from runstate.cli._top_board import Board, Ended, LiveRow, Unhappy
from runstate.cli._top_frame import Look, brief, frame
from runstate.cli._top_watch import Picture, Watch

from .calling import AT_ONCE, Agent
from .commands import CONTROL, HOSTILE, command, fill, run, running

NOW_NS = 1_700_000_000_000_000_000


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Where the tracker's journal is."""
    return tmp_path / "runs.db"


@pytest.fixture
def tracker(journal: Path) -> Iterator[ExecutionTracker]:
    """An open tracker with executions in several states; `top` looks at its file from outside."""
    with runstate.open(journal) as tracker:
        fill(tracker)
        yield tracker


# -- one frame --------------------------------------------------------------------------------------------------------


def test_once_prints_one_frame_for_scripts(
    tracker: ExecutionTracker, journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What lives by state, how others ended, the rates, the oldest, the worker, and each unhappy end with its cause."""
    printed = run(capsys, "top", str(journal), "--once").squeezed
    assert "live 2 1 PENDING 0 STARTING 1 RUNNING 0 COMPLETING" in printed
    assert "last minute 1 COMPLETED 1 FAILED 0 TIMEOUT 1 DEAD 1 CANCELLED" in printed
    assert "completion 33.3 % reliability 75.0 %" in printed
    oldest = min(tracker.find(), key=lambda one: (one.is_terminal, one.created_at_ns))
    assert re.search(rf"oldest live \S+ {oldest.execution_id} RUNNING silent \S+ hotel t-3", printed)
    assert "executions 1-2 of 2, oldest first" in printed
    assert re.search(rf"{oldest.execution_id} RUNNING LLM_INTERACTION gpt-4o \S+ \S+ hotel t-3 omar \S+:\d+ ", printed)
    assert re.search(r"workers 1 \S+ ALIVE 2 live renewed \S+ ago, lease", printed)
    ends = ["DEAD PROCESS_EXITED hotel t-3", "CANCELLED CANCELLED_BY_CALLER hotel t-2", "FAILED REPORTED airline t-2"]
    assert "unhappy ends 3, the newest first" in printed
    assert [printed.index(end) for end in ends] == sorted(printed.index(end) for end in ends)


def test_a_call_counts_once(tmp_path: Path) -> None:
    """Of a call that is tried again the last end counts in the rates; the others are unhappy ends that somebody may want to see."""
    with runstate.open(tmp_path / "runs.db") as tracker:
        board = Board((), 0)
        outcome = Agent(tracker, "sync", ConnectionError("one"), TimeoutError("two"), "answer", retry=AT_ONCE)()
        failed = Agent(tracker, "sync", ValueError("at once"))()
        tracker.flush()
        with tracker.subscribe() as events:
            while board.ended(tracker.get(failed.execution_id).updated_at_ns).by_state[ExecutionState.FAILED] < 1:
                board.apply(events.get(30.0))
        seen = board.ended(tracker.get(failed.execution_id).updated_at_ns)
        first, second, _ = tracker.attempts(outcome.execution_id)
        assert seen.by_state == {ExecutionState.COMPLETED: 1, ExecutionState.FAILED: 1}
        assert (seen.completion, seen.reliability) == (0.5, 1.0)
        ids = [first.execution_id, second.execution_id, failed.execution_id]
        assert [one.execution_id for one in board.unhappy] == ids


@pytest.mark.parametrize("columns", ["40", "80", "160"])
def test_a_frame_fits_and_carries_no_control_characters(
    tracker: ExecutionTracker,
    journal: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: str,
) -> None:
    """However narrow the terminal, no line is longer; what is hostile is shown as text."""
    tracker.create(agent=HOSTILE, thread_id=HOSTILE, user_id=HOSTILE).run().phase(Phase.THINKING, HOSTILE)
    tracker.create(agent="航空会社の予約係エージェント", thread_id="t-日本語日本語日本語", user_id="é" * 60).run()
    tracker.flush()
    monkeypatch.setenv("COLUMNS", columns)
    printed = run(capsys, "top", str(journal), "--once")
    assert max(map(cell_len, printed.splitlines())) <= max(60, int(columns))
    assert not CONTROL.search(printed)
    assert r"\x1b[31" in printed


def rows(count: int) -> list[LiveRow]:
    """Live executions, the first the oldest."""
    return [
        LiveRow(f"{number:032x}", "airline", f"t-{number}", "mia", "host:1:0123456789abcdef", NOW_NS - (count - number) * 10**9,
                2, ExecutionState.RUNNING, NOW_NS - 10**9, Phase.TOOL_EXECUTION, "get_user_details")
        for number in range(count)
    ]  # fmt: skip


def picture(live: int, ends: int) -> Picture:
    """So many executions and unhappy ends."""
    who = ("airline", "t", "mia")
    unhappy = [
        Unhappy(f"{number:032x}", *who, NOW_NS, ExecutionState.FAILED, Cause.RAISED, "KeyError")
        for number in range(ends)
    ]
    return Picture(NOW_NS, rows(live), Ended(Counter({ExecutionState.FAILED: ends}), 60.0), unhappy, ())


@pytest.mark.parametrize("live", [0, 1, 30, 10_000])
@pytest.mark.parametrize("ends", [0, 2, 200])
@pytest.mark.parametrize(("width", "height"), [(20, 12), (80, 23), (160, 49), (400, 200)])
def test_a_frame_fills_its_height(live: int, ends: int, width: int, height: int) -> None:
    """A frame is as high as it may be and no line wider; every execution is reached; the selected one is always to be seen."""
    seen = picture(live, ends)
    for selected in {0, live // 2, live - 1} & set(range(live)):
        look = Look(seen.live, "oldest first", "", selected, 0)
        done = frame(seen, "runs.db", look, width, height)
        assert len(done.lines) == height
        assert max(line.cell_len for line in done.lines) <= width
        (line,) = (line.plain for line in done.lines if line.plain.startswith("> "))
        assert f"{selected:032x}"[-8:] in line
        assert done.top <= selected < done.top + done.page
    assert len(frame(seen, "runs.db", Look(seen.live, "oldest first"), width, height).lines) == height


def test_most_lines_are_the_executions() -> None:
    """At 80 by 24 ten executions are to be seen beside three unhappy ends; where few live, the ends have the room."""
    done = frame(picture(500, 200), "runs.db", Look(rows(500), "oldest first", "", 0), 80, 23)
    assert (done.page, sum("FAILED RAISED" in line.plain for line in done.lines)) == (11, 3)
    done = frame(picture(1, 200), "runs.db", Look(rows(1), "oldest first", "", 0), 80, 23)
    assert sum("FAILED RAISED" in line.plain for line in done.lines) == 13


def test_the_oldest_is_there_whatever_is_listed() -> None:
    """However far one has scrolled, the execution that has lived longest is in the head of the frame."""
    seen = picture(10_000, 0)
    done = frame(seen, "runs.db", Look(seen.live, "oldest first", "", 9_999), 80, 23)
    assert any(
        line.plain.startswith("oldest live 2h46m …00000000 RUNNING silent 1.0s airline t-0") for line in done.lines
    )


def test_rates_leave_out_who_was_cancelled_and_round_down() -> None:
    """Completion is of those that were not cancelled, reliability of all; one failure in 100,000 is not 100 %."""
    ends = Counter({ExecutionState.COMPLETED: 99_999, ExecutionState.FAILED: 1, ExecutionState.CANCELLED: 50_000})
    ended = Ended(ends, 60.0)
    assert (ended.completion, ended.reliability) == (0.99999, 1.0)
    assert Ended(Counter({ExecutionState.DEAD: 1, ExecutionState.CANCELLED: 3}), 60.0).reliability == 0.75
    assert (Ended(Counter(), 60.0).completion, Ended(Counter(), 60.0).reliability) == (None, None)
    seen = picture(0, 0)._replace(ended=ended)
    assert any("completion 99.9 %" in line.plain for line in frame(seen, "x", Look((), "any"), 80, 23).lines)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "0.0s"), (59.94, "59.9s"), (59.96, "1m00s"), (3_599.6, "1h00m"), (90_000.0, "1d01h"), (1e9, "11574d"), (-3.0, "-3.0s")],
)  # fmt: skip
def test_durations_are_brief(seconds: float, said: str) -> None:
    """A duration takes six characters, and one of a clock that is ahead says so by its sign."""
    assert brief(seconds) == said


def test_what_cannot_be_asked_for_is_refused(journal: Path, tracker: ExecutionTracker) -> None:
    """No terminal, an interval of nothing, a state that no live execution is in, and a journal that is not there."""
    for arguments, code, said in [
        ((str(journal),), 2, "--once"),
        ((str(journal), "--once", "--interval", "0"), 2, "--interval"),
        ((str(journal), "--once", "--state", "failed"), 2, "runstate ls --state failed"),
        ((f"{journal}.not", "--once"), 4, "does not exist"),
        (("memory:", "--once"), 2, "memory:"),
    ]:
        done = command("top", *arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), done
        assert said in done.stderr


def test_once_lists_only_the_states_asked_for(
    tracker: ExecutionTracker, journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --state the list is shorter, and the counts are not."""
    printed = run(capsys, "top", str(journal), "--once", "--state", "pending", "--state", "completing").squeezed
    assert "live 2 1 PENDING" in printed
    assert "executions 1-1 of 1" in printed
    assert "PENDING" in printed.partition("executions")[2]
    assert "RUNNING" not in printed.partition("executions")[2].partition("workers")[0]


# -- what it knows ----------------------------------------------------------------------------------------------------


def test_pictures_say_what_the_journal_says(place: str) -> None:
    """Whenever `top` begins, and whatever happens between its looks, it lists just what lives, as the journal has it."""
    watches: list[Watch] = []
    try:
        with runstate.open(place) as tracker:
            live: list[Execution[ExecutionState]] = []
            ended: Counter[ExecutionState] = Counter()
            for turn in range(40):
                live += running(tracker, turn % 7, f"agent-{turn % 3}")
                for number, one in enumerate(live[turn % 5 :: 5]):
                    if number % 3 == 2:
                        one.phase(Phase.THINKING, f"turn {turn}")
                    else:
                        state = one.expect(ExecutionState.RUNNING)
                        (state.complete if number % 3 else state.fail)(f"turn {turn}")
                        ended[ExecutionState.COMPLETED if number % 3 else ExecutionState.FAILED] += 1
                        live.remove(one)
                tracker.flush()
                if turn % 8 == 0:
                    watches.append(Watch(place))
                known = {
                    (one.execution_id, one.state, one.phase, one.phase_detail, one.seq, one.agent)
                    for one in tracker.find(state=ExecutionState.RUNNING, limit=1_000)
                }
                for watch in watches[turn % 2 :: 2]:
                    seen = watch.picture()
                    found = {
                        (one.execution_id, one.state, one.phase, one.detail, one.seq, one.agent) for one in seen.live
                    }
                    assert found == known
                    assert seen.ended.by_state == ended
                    assert {one.error for one in seen.unhappy} <= {f"turn {number}" for number in range(turn + 1)}
                    assert len(seen.unhappy) == min(200, ended[ExecutionState.FAILED])
    finally:
        for watch in watches:
            watch.close()


def test_what_the_first_look_contained_changes_nothing(tracker: ExecutionTracker) -> None:
    """Events that a record has in it already, its creation included, leave it as it is; an unknown one's phase adds nobody."""
    (one,) = running(tracker, 1, "known")
    one.phase(Phase.THINKING, "newest")
    tracker.flush()
    record = tracker.get(one.execution_id)
    board = Board([record], 0)
    before = dict(board.live)
    with tracker.subscribe(execution_id=one.execution_id) as events:
        for _ in range(record.seq):
            board.apply(events.get(1.0))
            assert board.live == before
    stranger = runstate.PhaseChange("stranger", 7, NOW_NS, Phase.THINKING, None, "host:1:x")
    board.apply(runstate.Event(99, stranger, "a", "t", "u"))
    assert board.live == before


def test_a_warning_is_no_sign_of_life(tracker: ExecutionTracker) -> None:
    """A verdict that threatens is marked, and leaves the silence as long as it was; the next phase takes the mark away."""
    (one,) = running(tracker, 1, "warned")
    record = tracker.get(one.execution_id)
    board = Board([record], 0)
    warned = runstate.Warned(one.execution_id, 3, record.updated_at_ns + 5, Cause.LOOP_BLOCKED, "stack", "host:1:x")
    board.apply(runstate.Event(10, warned, "warned", "t-0", "mia"))
    row = board.live[one.execution_id]
    assert (row.warned, row.sign_at_ns) == (Cause.LOOP_BLOCKED, record.updated_at_ns)
    phase = runstate.PhaseChange(one.execution_id, 4, record.updated_at_ns + 9, Phase.THINKING, None, "host:1:x")
    board.apply(runstate.Event(11, phase, "warned", "t-0", "mia"))
    row = board.live[one.execution_id]
    assert (row.warned, row.sign_at_ns, row.phase) == (None, record.updated_at_ns + 9, Phase.THINKING)


# -- bounds -------------------------------------------------------------------------------------------------------------


def test_top_is_loaded_only_for_top() -> None:
    """No other command pays for what draws frames."""
    program = "import sys, runstate.cli._app; sys.exit('runstate.cli._top_session' in sys.modules or 'rich.live' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_look_leaves_no_trace(tracker: ExecutionTracker, journal: Path) -> None:
    """Looking joins nobody to the fleet and writes nothing."""
    before = (tracker.workers(departed=100)[0].incarnation, len(tracker.workers(departed=100)), len(tracker.find()))
    assert main(["top", str(journal), "--once"]) == 0
    assert (
        tracker.workers(departed=100)[0].incarnation,
        len(tracker.workers(departed=100)),
        len(tracker.find()),
    ) == before


def test_a_long_journal_is_not_read_from_its_beginning(
    tracker: ExecutionTracker, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what has happened only the last events are read, and it says for which time it counts; of what lives all is there."""
    (old,) = running(tracker, 1, "old")
    for one in running(tracker, 100):
        one.expect(ExecutionState.RUNNING).complete()
    tracker.flush()
    monkeypatch.setattr(_top_watch, "REPLAYED", 20)
    with closing(Watch(str(journal))) as watch:
        seen = watch.picture()
        assert 0 < seen.ended.by_state[ExecutionState.COMPLETED] <= 20
        assert seen.ended.seconds < 60.0
        assert old.execution_id in {row.execution_id for row in seen.live}


def test_too_many_live_are_said_to_be_too_many(
    tracker: ExecutionTracker, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the bound the newest are kept and the frame says so, whether they are there at the beginning or come later."""
    monkeypatch.setattr(_top_board, "LIVE_AT_MOST", 10)
    monkeypatch.setattr(_top_watch, "LIVE_AT_MOST", 10)
    with closing(Watch(str(journal))) as watch:
        assert not watch.picture().is_cut
        running(tracker, 30)
        seen = watch.picture()
    assert (len(seen.live), seen.is_cut) == (10, True)
    with closing(Watch(str(journal))) as watch:
        seen = watch.picture()
    assert (len(seen.live), seen.is_cut) == (10, True)
    lines = [line.plain for line in frame(seen, "runs.db", Look(seen.live, "oldest first"), 100, 23).lines]
    assert any("live 10+" in line for line in lines)
    assert any("older ones may be missing" in line for line in lines)


def test_who_cannot_keep_up_begins_anew_and_says_so(
    tracker: ExecutionTracker, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that come faster than they are read are passed over in the end, with a note, and what lives is right again."""
    with closing(Watch(str(journal))) as watch:
        watch.picture()
        monkeypatch.setattr(_top_watch, "_A_TURN", 10)
        monkeypatch.setattr(_top_watch, "_TOO_LATE_NS", -(10**9))
        runs = running(tracker, 30)
        seen = watch.picture()
        assert "faster than it can be read" in (seen.note or "")
        assert {one.execution_id for one in runs} <= {row.execution_id for row in seen.live}


def test_retention_in_between_is_survived(tmp_path: Path) -> None:
    """Where retention has removed what would be read next, `top` begins anew, and what lives is right."""
    path = str(tmp_path / "runs.db")
    with runstate.open(path, limits=Limits(retained_executions=5)) as tracker:
        for one in running(tracker, 3):
            one.expect(ExecutionState.RUNNING).complete()
        with closing(Watch(path)) as watch:
            watch.picture()
            for _ in range(40):
                (one,) = running(tracker, 1)
                one.expect(ExecutionState.RUNNING).complete()
                tracker.flush()
            (live,) = running(tracker, 1)
            assert "removed by retention" in (watch.picture().note or "")
            assert [row.execution_id for row in watch.picture().live] == [live.execution_id]


def test_the_guide_names_every_option_and_key() -> None:
    """docs/cli.md explains what `top` and `tail` take, and what the keys do."""
    guide = (Path(__file__).parent.parent / "docs" / "cli.md").read_text(encoding="utf-8")
    for name in ("top", "tail"):
        options = set(re.findall(r"--[a-z-]+", command(name, "--help").stdout)) - {"--help", "--version"}
        assert {option for option in options if option not in guide} == set()
    for key in ("j", "k", "s", "S", "/", "c", "q", "?", "Enter", "Esc", "PgUp", "g", "G", "Ctrl-L", "Ctrl-C", "Ctrl-Z"):
        assert f"`{key}`" in guide
