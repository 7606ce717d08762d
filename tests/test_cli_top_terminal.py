"""`runstate top` in a real terminal: what its keys and signals do, and how the terminal is left."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import runstate
from runstate import ExecutionState, ExecutionTracker, Phase
from runstate.cli._top_keys import keys_in

from .commands import fill, running
from .terminals import Terminal

COLOURS = re.compile(r"\x1b\[(?:\d+;)*3[0-7]m")


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


# -- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "keys", "rest"),
    [
        ("jk", ["j", "k"], ""), ("\x1b[A\x1bOB", ["up", "down"], ""), ("\x1b", [], "\x1b"), ("\x1b[", [], "\x1b["),
        ("\x1bq", ["escape", "q"], ""), ("\x1b[5~\x1b[200~x", ["page up", "x"], ""), ("é日\x7f\r", ["é", "日", "backspace", "enter"], ""),
        ("\x1b[1;5A", [], ""), ("\x00\x1c", [], ""), ("\x1b\x1b[A", ["escape", "up"], ""), ("a\x1b[<0;3;4M", ["a"], ""),
    ],
)  # fmt: skip
def test_keys_are_told_apart(typed: str, keys: list[str], rest: str) -> None:
    """Characters are keys, sequences that are known are named, all others vanish whole, and half a sequence waits."""
    assert keys_in(typed) == (keys, rest)


def test_keys_move_sort_and_filter(tracker: ExecutionTracker, journal: Path) -> None:
    """J and arrows select, s sorts, / filters as one types, Esc shows all again, q ends with 0 and the terminal as it was."""
    runs = running(tracker, 30)
    with Terminal("top", str(journal), "--interval", "0.2") as terminal:
        terminal.until_there_is("of 32, oldest first")
        terminal.press("jj\x1b[B")
        short = runs[1].execution_id[-8:]
        terminal.until_there_is(f"> …{short}")
        terminal.press("G")
        terminal.until_there_is(f"> …{runs[-1].execution_id[-8:]}")
        terminal.press("g/t-29")
        terminal.until_there_is("/t-29_")
        frame = terminal.until_there_is("executions 1-1 of 1")
        assert any(runs[-1].execution_id in line for line in frame)  # the selected one's whole id, to be copied
        terminal.press("\rss")
        terminal.until_there_is("newest first, with t-29")
        terminal.press("\x1b")
        terminal.until_there_is("of 32, newest first")
        terminal.press("?")
        terminal.until_there_is("keys and words")
        terminal.press("xq")
        assert terminal.end() == 0
        assert terminal.attributes == terminal.before
        assert terminal.output.rstrip().endswith("\x1b[?25h\x1b[?1049l")  # the cursor shown, the other screen left


def test_enter_opens_and_c_cancels(tracker: ExecutionTracker, journal: Path) -> None:
    """Enter shows the timeline, c asks and with y cancels it in the process that owns it, n does not; all of it read-only before."""
    (one,) = running(tracker, 1, "rail-to-berlin")
    one.phase(Phase.TOOL_EXECUTION, "book")
    tracker.flush()
    with Terminal("top", str(journal), "--interval", "0.2", columns=100) as terminal:
        terminal.until_there_is("oldest first")
        terminal.press("/berlin\r")
        terminal.until_there_is("executions 1-1 of 1")
        terminal.press("\r")
        terminal.until_there_is("TOOL_EXECUTION book")
        terminal.press("c")
        terminal.until_there_is(f"cancel {one.execution_id}? y/n")
        terminal.press("n")
        terminal.until_there_is("not cancelled")
        assert not tracker.get(one.execution_id).is_terminal
        terminal.press("cy")
        terminal.until_there_is("CANCELLED_BY_CALLER")
        terminal.press("\x1b")
        terminal.until_there_is("executions none")
        terminal.press("q")
        assert terminal.end() == 0
    assert tracker.get(one.execution_id).state is ExecutionState.CANCELLED


@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "runstate: interrupted"), (signal.SIGTERM, 143, "")]
)
def test_a_signal_leaves_the_terminal_as_it_was(
    tracker: ExecutionTracker, journal: Path, number: signal.Signals, code: int, said: str
) -> None:
    """Ctrl-C and SIGTERM end it in order: the other screen left, the cursor shown, keys shown again as they are typed."""
    with Terminal("top", str(journal)) as terminal:
        terminal.until_there_is("oldest first")
        if number is signal.SIGINT:
            terminal.press("\x03")
        else:
            terminal.send(number)
        assert terminal.end() == code
        assert terminal.attributes == terminal.before
        left, _, after = terminal.output.rpartition("\x1b[?1049l")
        assert left.endswith("\x1b[?25h")
        assert after.strip() == said


def test_it_follows_the_size_of_its_window(tracker: ExecutionTracker, journal: Path) -> None:
    """A wider and higher window is filled at once, with whole ids; a tiny one is survived."""
    (one,) = running(tracker, 1)
    with Terminal("top", str(journal), "--interval", "3600") as terminal:
        terminal.until_there_is("oldest first")
        for columns, lines in ((160, 50), (10, 3), (100, 30)):
            terminal.resize(columns, lines)
            frame = terminal.until(bool)
            assert any(one.execution_id in line for line in frame) is (columns == 160)
        terminal.press("q")
        assert terminal.end() == 0


def test_without_colour_the_selection_is_seen_all_the_same(tracker: ExecutionTracker, journal: Path) -> None:
    """NO_COLOR takes the colours away and nothing else."""
    for env, coloured in (({"NO_COLOR": "1"}, False), ({}, True)):
        with Terminal("top", str(journal), env=env) as terminal:
            terminal.until_there_is("> …")
            terminal.press("q")
            assert terminal.end() == 0
            assert bool(COLOURS.search(terminal.output)) is coloured


def test_a_terminal_that_only_carries_ascii_is_drawn_in_step(tracker: ExecutionTracker, journal: Path) -> None:
    """What its encoding cannot carry takes the room that it would have taken."""
    with Terminal("top", str(journal), env={"PYTHONIOENCODING": "ascii"}) as terminal:
        frame = terminal.until_there_is("> ?")
        assert all(line.isascii() for line in frame)
        terminal.press("q")
        assert terminal.end() == 0
        assert terminal.output.isascii()


def test_a_dumb_terminal_is_told_what_to_do(tracker: ExecutionTracker, journal: Path) -> None:
    """Where nothing can be drawn anew, it says so in one line."""
    with Terminal("top", str(journal), env={"TERM": "dumb"}) as terminal:
        assert terminal.end() == 2
        assert "--once" in terminal.output


def test_what_happens_is_shown_as_it_happens(tracker: ExecutionTracker, journal: Path) -> None:
    """An execution appears, changes its phase, and ends among the unhappy, without a key being pressed."""
    with Terminal("top", str(journal), "--interval", "0.1") as terminal:
        terminal.until_there_is("of 2, oldest first")
        (one,) = running(tracker, 1)
        terminal.until_there_is("of 3, oldest first")
        one.phase(Phase.RESULT_PROCESSING)
        terminal.until_there_is("RESULT_PROCESSING")
        one.expect(ExecutionState.RUNNING).fail("the moon")
        terminal.until_there_is("the moon")
        terminal.until_there_is("2 FAILED")
        terminal.press("q")
        assert terminal.end() == 0


def test_a_journal_that_is_away_is_waited_for(tmp_path: Path) -> None:
    """While the file is elsewhere the last frame stays, with a line that says so; another journal in its place is taken up."""
    path, other = tmp_path / "runs.db", tmp_path / "other.db"
    for place, agent in ((path, "alpha"), (other, "omega")):
        with runstate.open(place) as tracker:
            tracker.create(agent=agent, thread_id="t", user_id="u").run().fail("x")
    with Terminal("top", str(path), "--interval", "0.1") as terminal:
        terminal.until_there_is("alpha")
        path.rename(tmp_path / "away.db")
        frame = terminal.until_there_is("AWAY")
        assert any("alpha" in line for line in frame)
        (tmp_path / "away.db").rename(path)
        terminal.until_there_is_no("AWAY")
        path.rename(tmp_path / "away.db")
        terminal.until_there_is("AWAY")
        other.rename(path)
        frame = terminal.until_there_is("omega")
        assert not any("alpha" in line for line in frame)
        terminal.press("q")
        assert terminal.end() == 0
