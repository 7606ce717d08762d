"""`runstate tail`: every event once, in order, resumable; among terminals, pipes, and journals that go away."""

from __future__ import annotations

import json
import random
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from rich.cells import cell_len

import runstate
from runstate import ExecutionTracker, Limits, Phase, SubscriptionLaggedError
from runstate.cli._following import Wanted, last_events, newest_position

from . import cluster
from .commands import CONTROL, HOSTILE, command, fill, run
from .terminals import ESCAPES, PATIENCE, Terminal


@pytest.fixture
def journal(tmp_path: Path) -> str:
    """Where the tracker's journal is."""
    return str(tmp_path / "runs.db")


@pytest.fixture
def tracker(journal: str) -> Iterator[ExecutionTracker]:
    """An open tracker with executions in several states; `tail` reads its file from outside."""
    with runstate.open(journal) as tracker:
        fill(tracker)
        yield tracker


def stored(tracker: ExecutionTracker, **wanted: Any) -> list[tuple[int, str, int]]:
    """What the journal holds: position, execution and seq of each event."""
    found: list[tuple[int, str, int]] = []
    with tracker.subscribe(**wanted) as events:
        try:
            while True:
                event = events.get(1e-6)
                found.append((event.position, event.entry.execution_id, event.entry.seq))
        except runstate.WaitTimeoutError:
            return found


def printed(lines: str) -> list[tuple[int, str, int]]:
    """The same of what --json has printed."""
    return [(one["position"], one["execution_id"], one["seq"]) for one in map(json.loads, lines.splitlines())]


class Tail:
    """`runstate tail` in a process of its own, with pipes."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runstate", "tail", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def line(self) -> str:
        """The next line of the output."""
        assert self.process.stdout is not None
        return self._line(self.process.stdout)

    def complaint(self) -> str:
        """The next line of the errors."""
        assert self.process.stderr is not None
        return self._line(self.process.stderr)

    def interrupted(self) -> tuple[int, str, str]:
        """Press Ctrl-C; return the exit code and the rest of output and errors."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate()
        return self.process.returncode, out.decode(), err.decode()

    def _line(self, stream: Any) -> str:
        assert select.select([stream], [], [], PATIENCE)[0], "nothing came"
        return str(stream.readline().decode())


# -- which events -----------------------------------------------------------------------------------------------------


def test_every_event_is_printed_once_and_resumed_exactly(
    tracker: ExecutionTracker, journal: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --json the lines are the journal's events, and after any position come just the rest."""
    everything = stored(tracker)
    assert printed(run(capsys, "tail", journal, "--json", "--no-follow", "--after", "0")) == everything
    for number, (position, _, _) in enumerate(everything, 1):
        assert (
            printed(run(capsys, "tail", journal, "--json", "--no-follow", "--after", str(position)))
            == everything[number:]
        )


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ((), {}),
        (("--agent", "hotel"), {"agent": "hotel"}),
        (("--thread-id", "t-2"), {"thread_id": "t-2"}),
        (("--user-id", "omar", "--agent", "rail"), {"user_id": "omar", "agent": "rail"}),
        (("--agent", "nobody"), {"agent": "nobody"}),
    ],
)
@pytest.mark.parametrize("last", [0, 1, 3, 1_000])
def test_the_newest_come_first_to_mind(
    tracker: ExecutionTracker,
    journal: str,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    wanted: dict[str, str],
    last: int,
) -> None:
    """--last prints the newest events of those that the filters leave, the oldest of them first."""
    expected = stored(tracker, **wanted)
    expected = expected[max(0, len(expected) - last) :]
    assert printed(run(capsys, "tail", journal, *options, "--json", "--no-follow", "--last", str(last))) == expected


def test_one_execution_is_followed_to_its_end(tracker: ExecutionTracker, journal: str) -> None:
    """With --execution only its events come, and with the last of them `tail` ends."""
    one = tracker.create(agent="airline", thread_id="t", user_id="u").run()
    tracker.flush()
    with Tail(journal, "--execution", one.execution_id, "--json") as tail:
        assert [json.loads(tail.line())["kind"] for _ in range(2)] == ["created", "transition"]
        tracker.create(agent="airline", thread_id="t", user_id="u").run()
        one.complete("done")
        tracker.flush()
        last = json.loads(tail.line())
        assert (last["execution_id"], last["result"]) == (one.execution_id, "done")
        assert tail.process.wait(PATIENCE) == 0
    done = command("tail", journal, "--execution", one.execution_id)  # it has ended: nothing to wait for
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 3)


@pytest.mark.parametrize("ended", [0, 1, 7, 300])
def test_the_end_of_a_journal_is_found(tmp_path: Path, ended: int) -> None:
    """However many events there are, and however many of them retention has removed, the newest position is found."""
    with runstate.open(tmp_path / "runs.db", limits=Limits(retained_executions=20)) as tracker:
        old = tracker.create(agent="a", thread_id="t", user_id="u").run()
        for number in range(ended):
            run = tracker.create(agent="a", thread_id="t", user_id="u").run()
            for turn in range(number % 5):
                run.phase(Phase.THINKING, f"{turn}")
            run.complete()
            tracker.flush()
            if number % 50 == 0:
                assert newest_position(tracker) == stored(tracker)[-1][0]
        old.phase(Phase.THINKING)
        tracker.flush()
        everything = stored(tracker)
        assert newest_position(tracker) == everything[-1][0]
        events, position = last_events(tracker, 5, Wanted())
        assert (position, [event.position for event in events]) == (
            everything[-1][0],
            [one[0] for one in everything[-5:]],
        )
        events, _ = last_events(tracker, 10_000, Wanted())
        assert [event.position for event in events] == [one[0] for one in everything]


def test_what_retention_has_removed_is_said_and_not_waited_for(tmp_path: Path) -> None:
    """Whoever resumes at a position that is gone is told on standard error which events are missing, and gets those after."""
    path = str(tmp_path / "runs.db")
    with runstate.open(path, limits=Limits(retained_executions=3)) as tracker:
        for _ in range(10):
            tracker.create(agent="a", thread_id="t", user_id="u").run().complete()
            tracker.flush()
        with tracker.subscribe(after=1) as events, pytest.raises(SubscriptionLaggedError) as lagged:
            events.get(1e-6)
        done = command("tail", path, "--after", "1", "--json", "--no-follow")
        assert printed(done.stdout) == [one for one in stored(tracker) if one[0] > lagged.value.pruned]
        assert (
            done.stderr == f"runstate: events after position 1 up to {lagged.value.pruned} were removed by retention\n"
        )


def test_a_position_that_the_journal_has_not_come_to(tracker: ExecutionTracker, journal: str) -> None:
    """Whoever resumes at another journal's position is told so on standard error, and gets what happens from now on."""
    end_of_all = stored(tracker)[-1][0]
    done = command("tail", journal, "--after", "4711", "--no-follow")
    said = f"runstate: the journal ends at position {end_of_all}, before 4711: is it another one? Going on after {end_of_all}\n"
    assert (done.stdout, done.stderr, done.returncode) == ("", said, 0)


def test_what_cannot_be_asked_for_is_refused(tracker: ExecutionTracker, journal: str) -> None:
    """Two beginnings, fewer than none, positions that are none, an unknown execution, no journal: one line each."""
    for arguments, code in [
        ((journal, "--after", "1", "--last", "1"), 2),
        ((journal, "--last", "-1"), 2),
        ((journal, "--after", "-1"), 2),
        ((journal, "--execution", "nobody"), 3),
        ((f"{journal}.not",), 4),
        (("memory:",), 2),
    ]:
        done = command("tail", *arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), (arguments, done)


# -- following --------------------------------------------------------------------------------------------------------


def test_what_happens_is_printed_as_it_happens(tracker: ExecutionTracker, journal: str) -> None:
    """Each event of a random life arrives while `tail` waits; Ctrl-C ends it with 130 and one line."""
    chance = random.Random(305)
    with Tail(journal, "--json", "--last", "1") as tail:
        before = json.loads(tail.line())["position"]
        got: list[str] = []
        for _ in range(20):
            run = tracker.create(agent="airline", thread_id="t", user_id="u").run()
            for _ in range(chance.randrange(4)):
                run.phase(Phase.THINKING)
            tracker.flush()
            got += [tail.line() for _ in range(len(stored(tracker, after=before)) - len(got))]
        assert printed("".join(got)) == stored(tracker, after=before)
        assert tail.interrupted() == (130, "", "runstate: interrupted\n")


def test_a_reader_that_has_gone_is_noticed_though_nothing_happens(tracker: ExecutionTracker, journal: str) -> None:
    """When whoever read the pipe has gone, `tail` ends with 141 and without a word, also while it waits."""
    with Tail(journal, "--last", "1") as tail:
        assert tail.line()
        assert tail.process.stdout is not None
        assert tail.process.stderr is not None
        tail.process.stdout.close()
        assert tail.process.wait(PATIENCE) == 141
        assert tail.process.stderr.read() == b""
        tail.process.stdout = None


def test_a_reader_that_stands_still_holds_up_no_writer(tracker: ExecutionTracker, journal: str) -> None:
    """While `tail` is stuck in the middle of the journal, because nobody takes what it prints, executions begin and end."""
    for _ in range(300):
        tracker.create(agent="airline", thread_id="t" * 500, user_id="u").run().fail("x" * 500)
    tracker.flush()
    with Tail(journal, "--after", "0", "--json") as tail:
        first = tail.line()
        for _ in range(50):
            with tracker.execution(agent="airline", thread_id="t", user_id="u") as run:
                run.complete()
        everything = stored(tracker)
        assert printed(first + "".join(tail.line() for _ in everything[1:])) == everything


def test_a_file_that_is_away_is_said_once_and_waited_for(tmp_path: Path) -> None:
    """A journal moved away and back goes on where it was; another one in its place is read from its beginning."""
    path, away = tmp_path / "runs.db", tmp_path / "away.db"
    with runstate.open(path) as tracker:
        tracker.create(agent="first", thread_id="t", user_id="u").run().complete()
    with Tail(str(path), "--json") as tail:
        assert [json.loads(tail.line())["agent"] for _ in range(3)] == ["first"] * 3
        path.rename(away)
        assert "the journal is away, trying again" in tail.complaint()
        away.rename(path)
        assert tail.complaint() == "runstate: the journal is back\n"
        with runstate.open(path) as tracker:
            tracker.create(agent="second", thread_id="t", user_id="u").run().complete()
        assert [json.loads(tail.line())["agent"] for _ in range(3)] == ["second"] * 3
        path.rename(away)
        assert "the journal is away, trying again" in tail.complaint()
        with runstate.open(path) as tracker:
            tracker.create(agent="third", thread_id="t", user_id="u").run().complete()
        assert "another journal is in its place" in tail.complaint()
        assert [json.loads(tail.line())["agent"] for _ in range(3)] == ["third"] * 3
        code, out, err = tail.interrupted()
        assert (code, out, err.removeprefix("runstate: the journal is back\n")) == (130, "", "runstate: interrupted\n")


def test_a_server_that_restarts_is_waited_for(private: cluster.Cluster) -> None:
    """While PostgreSQL is down `tail` says so once; when it is up again every event comes, none twice."""
    url = private.journal()
    try:
        with runstate.open(url) as tracker:
            tracker.create(agent="before", thread_id="t", user_id="u").run().complete()
        with Tail(url, "--json") as tail:
            assert [json.loads(tail.line())["agent"] for _ in range(3)] == ["before"] * 3
            private.crash()
            try:
                said = tail.complaint()
                assert "the journal is away, trying again" in said
            finally:
                private.restart()
            with runstate.open(url) as tracker:
                tracker.create(agent="after", thread_id="t", user_id="u").run().complete()
            assert [json.loads(tail.line())["agent"] for _ in range(3)] == ["after"] * 3
            assert tail.interrupted() == (130, "", "runstate: the journal is back\nrunstate: interrupted\n")
    finally:
        private.drop(url)


# -- for people -------------------------------------------------------------------------------------------------------


def test_a_pipe_gets_whole_lines(tracker: ExecutionTracker, journal: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Where output is no terminal, each event is one line with its date, its whole id, and nothing cut or coloured."""
    tracker.create(agent="a" * 100, thread_id="t", user_id="u").run().fail("e" * 5_000)
    tracker.flush()
    lines = run(capsys, "tail", journal, "--no-follow", "--last", "100").splitlines()
    assert len(lines) == len(stored(tracker))
    assert all(event[1] in line for event, line in zip(stored(tracker), lines, strict=True))
    assert lines[-1].endswith(f"{'a' * 100}  t           FAILED REPORTED {'e' * 5_000}")


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_a_terminal_gets_aligned_coloured_lines(tracker: ExecutionTracker, journal: str, columns: int) -> None:
    """On a terminal no line is wider than it, hostile text is shown as text, and what happened begins in the same column."""
    tracker.create(agent=HOSTILE, thread_id="航空会社の予約係エージェント", user_id=HOSTILE).run().fail("x" * 500)
    tracker.flush()
    with Terminal("tail", journal, "--no-follow", "--last", "100", columns=columns) as terminal:
        assert terminal.end() == 0
    assert ("\x1b[31mFAILED" in terminal.output) is (columns >= 80)
    text = ESCAPES.sub("", terminal.output).replace("\r\n", "\n")
    day, *lines = text.splitlines()
    assert day.endswith(" UTC")
    assert len(lines) == len(stored(tracker))
    assert not CONTROL.search(text)
    assert max(map(cell_len, lines)) <= columns
    if columns >= 80:
        begins = {
            cell_len(line[: line.index(word)]) for line in lines for word in ("FAILED", "COMPLETED") if word in line
        }
        assert len(begins) == 1
        assert r"\x1b[" in text


def test_without_colour_there_is_none(tracker: ExecutionTracker, journal: str) -> None:
    """NO_COLOR is heeded."""
    with Terminal("tail", journal, "--no-follow", env={"NO_COLOR": "1"}) as terminal:
        assert terminal.end() == 0
    assert "\x1b[3" not in terminal.output
