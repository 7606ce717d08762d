"""The verdicts on silence: who may be blamed for it, when, and what a blocked loop means. Time moves by hand.

A loop here is a stand-in that turns when a test says so; real ones that are really blocked are in `test_verdicts_live`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runstate import (
    Cause,
    Execution,
    ExecutionState,
    ExecutionTracker,
    FencedError,
    InvalidTransitionError,
    Limits,
    Phase,
    Warned,
)
from runstate._deadlines import NEVER
from runstate._loops import LoopProbe, Loops
from runstate._turns import Turns
from runstate._verdicts import CHANCE, WARNED, WARNINGS, Verdicts
from runstate._watch import LimitWatch
from runstate.journal.memory import MemoryJournal

from .clock import SECOND, FakeClock
from .gated import WHO


class HandLoop:
    """An event loop that turns, is blocked or has stopped as a test says."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[], None]] = []
        self.is_turning = True
        self.is_stopped = False

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> None:
        """Take a callback: for now, or for when the loop turns again."""
        self._callbacks.append(callback)
        if self.is_turning:
            self.turn()

    def is_running(self) -> bool:
        """Whether it runs."""
        return not self.is_stopped

    def is_closed(self) -> bool:
        """It never is."""
        return False

    def turn(self) -> None:
        """Take a turn."""
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()


class Scene:
    """A watch as it is with the machine's clock, under a clock that moves by hand: late when a test says so."""

    def __init__(self, clock: FakeClock, tracker: ExecutionTracker, blocked_timeout: float | None = None) -> None:
        self.clock = clock
        self.tracker = tracker
        self.decider = tracker._decider
        self.loop = HandLoop()
        self.loops = Loops(clock.monotonic_ns)
        self.probe = self.loops._probes[self.loop] = LoopProbe(self.loop, clock.monotonic_ns)
        self.decider.loops = self.loops
        self.watch = LimitWatch(
            self.decider, tracker._deadlines, clock, threaded=False, blocked_timeout=blocked_timeout
        )
        self.decider.loops = self.loops
        self.turns: Turns = self.watch._turns
        self.watch._verdicts = Verdicts(self.decider, self.turns, clock.monotonic_ns, CHANCE, blocked_timeout)

    def begin(self, *, in_loop: bool = True, **limits: float) -> Execution[Any]:
        """An execution that runs, in the loop or in a thread."""
        run = self.tracker.create(**WHO, **limits).run()
        run._live.loop = self.probe if in_loop else None
        return run

    def look(self, seconds: float, *, turning: bool = True, ticks: float = 0.25) -> int:
        """Let so many seconds pass, the watch looking punctually and the loop turning, or not; return how many were ended."""
        ended = 0
        self.loop.is_turning = turning
        self.turns.take(self.clock.monotonic_ns())  # it comes back from a pause, if there was one
        for _ in range(round(seconds / ticks)):
            self.turns.expect(self.clock.monotonic_ns() + round(ticks * SECOND))
            self.clock.advance(ticks)
            self.turns.take(self.clock.monotonic_ns())
            if turning:
                self.loop.turn()
            ended += self.watch.sweep() + self.watch._verdicts.look_at_loops()
        return ended

    def pause(self, seconds: float) -> None:
        """Let nothing in the process run for so many seconds: neither the watch nor the loop."""
        self.loop.is_turning = False
        self.turns.expect(self.clock.monotonic_ns() + SECOND // 4)
        self.clock.advance(seconds)

    def warnings(self, run: Execution[Any]) -> list[Warned]:
        """Those that an execution was given."""
        return [entry for entry in self.tracker.timeline(run.execution_id) if isinstance(entry, Warned)]


@pytest.fixture
def tracker(clock: FakeClock) -> Iterator[ExecutionTracker]:
    """A tracker in memory: the verdicts are the same on every store."""
    with ExecutionTracker(MemoryJournal(), clock=clock, default_timeout=None) as tracker:
        yield tracker


@pytest.fixture
def scene(clock: FakeClock, tracker: ExecutionTracker) -> Scene:
    """A watch without a limit for blocked loops."""
    return Scene(clock, tracker)


# -- no progress ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_loop", [True, False], ids=["in a loop", "in a thread"])
def test_silence_is_death_where_it_was_free_to_speak(scene: Scene, in_loop: bool) -> None:
    """A silent execution whose loop turns, or that has none, is DEAD soon after its heartbeat limit, and not before."""
    run = scene.begin(in_loop=in_loop, heartbeat_timeout=5.0)
    assert scene.look(5.0) == 0
    assert scene.look(1.5) == 1
    assert (run.state, run.record.cause) == (ExecutionState.DEAD, Cause.NO_HEARTBEAT)


def test_a_blocked_loop_keeps_its_executions_alive(scene: Scene) -> None:
    """A loop that is blocked for 8 s, again and again, kills nobody whose limit is 5 s, though nobody ever beats in time."""
    run = scene.begin(heartbeat_timeout=5.0)
    for _ in range(20):
        assert scene.look(8.0, turning=False) == 0
        scene.loop.turn()
        run.heartbeat()
    assert run.state is ExecutionState.RUNNING


def test_the_short_turns_between_blocks_add_up(scene: Scene) -> None:
    """What never beats dies even in a loop that is blocked most of the time: the time that the loop turned is held against it."""
    run = scene.begin(heartbeat_timeout=5.0)
    ended = 0
    for _ in range(20):
        ended += scene.look(8.0, turning=False) + scene.look(2.0)
    assert ended == 1
    assert run.record.cause is Cause.NO_HEARTBEAT
    assert run.record.duration is not None
    assert run.record.duration > 20.0


def test_a_loop_that_blocks_as_a_limit_passes(scene: Scene) -> None:
    """A loop that stops turning just before a limit passes is asked before anybody is judged."""
    run = scene.begin(heartbeat_timeout=5.0)
    assert scene.look(4.75) == 0
    assert scene.look(8.0, turning=False) == 0
    scene.loop.turn()
    run.heartbeat()
    assert scene.look(5.0) == 0
    assert scene.look(1.5) == 1


def test_an_execution_in_a_thread_is_not_excused_by_a_loop(scene: Scene) -> None:
    """While a loop is blocked, a silent execution in a thread dies of its own silence."""
    blocked = scene.begin(heartbeat_timeout=5.0)
    silent = scene.begin(in_loop=False, heartbeat_timeout=5.0)
    assert scene.look(6.0, turning=False) == 1
    assert (blocked.state, silent.state) == (ExecutionState.RUNNING, ExecutionState.DEAD)


def test_a_loop_that_has_stopped_excuses_nobody(scene: Scene) -> None:
    """Nothing in a loop that does not run will ever beat: its executions are judged as if they had none."""
    run = scene.begin(heartbeat_timeout=5.0)
    scene.look(2.0)
    scene.loop.is_stopped = True
    assert scene.look(3.5, turning=False) == 1
    assert run.record.cause is Cause.NO_HEARTBEAT
    assert scene.warnings(run) == []


@pytest.mark.parametrize("in_loop", [True, False], ids=["in a loop", "in a thread"])
def test_a_pause_of_the_process_is_nobodys_silence(scene: Scene, in_loop: bool) -> None:
    """When nothing in the process ran for long (GIL held, stopped, swapped), limits are stretched by that, and no further."""
    run = scene.begin(in_loop=in_loop, heartbeat_timeout=5.0)
    scene.look(4.0)
    scene.pause(60.0)
    assert scene.watch.sweep() == 0  # also when somebody sweeps before the watch has noticed
    assert scene.look(0.75) == 0
    assert scene.look(1.5) == 1
    assert run.record.cause is Cause.NO_HEARTBEAT


def test_a_pause_excuses_no_deadline(scene: Scene) -> None:
    """Out of time is out of time: neither a pause nor a blocked loop stretches a time limit."""
    paused, blocked = scene.begin(timeout=30.0), scene.begin(timeout=80.0, heartbeat_timeout=5.0)
    scene.pause(60.0)
    assert scene.watch.sweep() == 1
    assert scene.look(19.0, turning=False) == 0
    assert scene.look(1.25, turning=False) == 1
    assert {paused.record.cause, blocked.record.cause} == {Cause.DEADLINE}


def test_the_wall_clock_has_no_say(scene: Scene) -> None:
    """A machine clock that is set an hour forward or back warns nobody and kills nobody."""
    run = scene.begin(heartbeat_timeout=5.0)
    for step in (3_600.0, -3_600.0, -3_600.0, 3_600.0):
        scene.clock.step_wall(step)
        assert scene.look(4.0) == 0
        run.heartbeat()
    assert scene.warnings(run) == []


# -- loop blocked -----------------------------------------------------------------------------------------------------


def test_a_blocked_loop_is_warned_of_once(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """A loop that does not answer for a second gives each of its executions one warning a block, with the stack; others none."""
    inside, outside = scene.begin(), scene.begin(in_loop=False)
    before = inside.record
    assert scene.look(3.0) == 0
    assert scene.warnings(inside) == []
    with caplog.at_level(logging.WARNING, "runstate"):
        scene.look(30.0, turning=False)
    [warned] = scene.warnings(inside)
    assert (warned.cause, warned.seq, warned.incarnation) == (Cause.LOOP_BLOCKED, 3, before.incarnation)
    assert warned.detail is not None
    assert "in HandLoop.turn" not in warned.detail
    assert "test_a_blocked_loop_is_warned_of_once" in warned.detail
    assert scene.warnings(outside) == []
    [said] = caplog.messages
    assert "of the 1 executions in it 1 were given a warning" in said
    assert warned.detail in said
    scene.look(3.0)
    scene.look(3.0, turning=False)
    assert len(scene.warnings(inside)) == 2


def test_a_warning_changes_nothing(scene: Scene) -> None:
    """A warning is an entry and no more: the state, the phase, the beats and the last sign of life stay as they were."""
    run = scene.begin()
    run.phase(Phase.THINKING)
    before, beat_ns = run.record, run.last_beat_ns
    scene.look(3.0, turning=False)
    after = run.record
    assert len(scene.warnings(run)) == 1
    assert (after.state, after.phase, run.beats, run.last_beat_ns) == (before.state, before.phase, 0, beat_ns)
    assert (after.seq, after.updated_at_ns > before.updated_at_ns) == (before.seq + 1, True)
    run.finish().complete()
    assert scene.tracker.get(run.execution_id).state is ExecutionState.COMPLETED


def test_without_a_limit_a_blocked_loop_kills_nobody(scene: Scene) -> None:
    """Where no `blocked_timeout` was set, a loop may be blocked for a day."""
    run = scene.begin()
    assert scene.look(86_400.0, turning=False, ticks=10.0) == 0
    assert run.state is ExecutionState.RUNNING


def test_past_the_limit_silent_executions_of_a_blocked_loop_are_dead(
    clock: FakeClock, tracker: ExecutionTracker
) -> None:
    """Past `blocked_timeout` the silent executions of a blocked loop are DEAD, LOOP_BLOCKED, with the stack; no others."""
    scene = Scene(clock, tracker, blocked_timeout=10.0)
    silent, outside = scene.begin(), scene.begin(in_loop=False)
    silent.phase(Phase.TOOL_EXECUTION, "search")
    waiting = tracker.create(**WHO)
    scene.look(2.0)
    assert scene.look(10.0, turning=False) == 0
    beating = scene.begin()
    beating.heartbeat()  # from another thread, as its loop is blocked
    assert scene.look(2.0, turning=False) == 1
    record = silent.record
    assert (record.state, record.cause) == (ExecutionState.DEAD, Cause.LOOP_BLOCKED)
    assert record.evidence is not None
    assert (record.evidence.observer, record.evidence.last_phase, record.evidence.last_phase_detail) == (
        "loop watch", Phase.TOOL_EXECUTION, "search",
    )  # fmt: skip
    assert record.evidence.stack is not None
    assert "test_past_the_limit" in record.evidence.stack
    assert record.error == "its event loop was blocked for 10 s, and it gave no sign of life from elsewhere"
    assert [run.state.name for run in (outside, beating, waiting)] == ["RUNNING", "RUNNING", "PENDING"]
    with pytest.raises(FencedError):
        silent.heartbeat()


def test_who_begins_to_beat_elsewhere_is_spared_once(clock: FakeClock, tracker: ExecutionTracker) -> None:
    """One sign of life since the block began spares an execution for the whole block, but not for the next."""
    scene = Scene(clock, tracker, blocked_timeout=5.0)
    run = scene.begin()
    scene.look(3.0, turning=False)
    run.heartbeat()
    assert scene.look(60.0, turning=False) == 0
    scene.look(2.0)
    assert scene.look(8.0, turning=False) == 1
    assert run.record.cause is Cause.LOOP_BLOCKED


def test_a_paused_process_has_no_blocked_loop(clock: FakeClock, tracker: ExecutionTracker) -> None:
    """When the watch itself was held up, the loop's silence meanwhile is no sign of a block: no warning, no verdict."""
    scene = Scene(clock, tracker, blocked_timeout=5.0)
    run = scene.begin()
    for _ in range(10):
        while scene.probe.asked_ns == NEVER:
            scene.look(0.25, turning=False)
        scene.pause(60.0)
        assert scene.look(0.25, turning=False) == 0
        scene.look(0.25)
    assert run.state is ExecutionState.RUNNING
    assert scene.warnings(run) == []


def test_a_block_warns_the_newest_movers_only(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Of more executions than one block may warn, those with the newest sign of life are; the log counts the others."""
    runs = [scene.begin() for _ in range(WARNED + 50)]
    for run in runs[50:]:
        scene.clock.advance(0.001)
        run.heartbeat()
    with caplog.at_level(logging.WARNING, "runstate"):
        scene.look(3.0, turning=False)
    assert [len(scene.warnings(run)) for run in runs] == [0] * 50 + [1] * WARNED
    assert f"of the {len(runs)} executions in it {WARNED} were given a warning" in caplog.messages[0]


def test_an_execution_is_warned_so_often_only(scene: Scene) -> None:
    """However often its loop is blocked, the log of one execution grows by so many warnings and no more."""
    run = scene.begin()
    for _ in range(WARNINGS + 5):
        scene.look(3.0, turning=False)
        scene.look(2.0)
    assert len(scene.warnings(run)) == WARNINGS


@pytest.mark.parametrize("room", ["a full buffer", "used-up entries", "an ended execution", "a closed tracker"])
def test_a_warning_costs_nobody_anything(clock: FakeClock, room: str) -> None:
    """Where there is no room for it, a warning is counted and not written; nothing is raised and nothing else is refused."""
    limits = Limits(entries=2 if room == "used-up entries" else 10, pending_entries=3)
    with ExecutionTracker(MemoryJournal(limits), clock=clock, limits=limits) as tracker:
        run = tracker.create(**WHO).run()
        tracker.flush()
        decider, live = tracker._decider, run._live
        if room == "a full buffer":
            tracker._buffer.capacity = 0
        elif room == "an ended execution":
            run.complete()
        elif room == "a closed tracker":
            tracker.close()
        before = run.record
        assert decider.warn(live, Cause.LOOP_BLOCKED, "stack") is None
        assert (run.record, decider.unwarned, tracker.statistics().refused) == (before, 1, 0)
        tracker._buffer.heal()
        if not before.is_terminal:
            run.complete()


def test_the_detail_of_a_warning_is_bounded(clock: FakeClock) -> None:
    """What was seen is cut to `Limits.error_bytes`, and says so."""
    with ExecutionTracker(MemoryJournal(), clock=clock, limits=Limits(error_bytes=100)) as tracker:
        run = tracker.create(**WHO).run()
        warned = tracker._decider.warn(run._live, Cause.LOOP_BLOCKED, "é" * 1_000)
        assert warned is not None
        assert warned.detail is not None
        assert len(warned.detail.encode()) <= 100
        assert warned.detail.endswith("limit 100]")
        assert tracker.timeline(run.execution_id)[-1] == warned


def test_an_end_meanwhile_stands(clock: FakeClock, tracker: ExecutionTracker) -> None:
    """Executions that end in other threads while their loop is judged keep their own end."""
    scene = Scene(clock, tracker, blocked_timeout=1.0)
    runs = [scene.begin() for _ in range(300)]

    def finish() -> None:
        for run in runs:
            try:
                run.complete()
            except (FencedError, InvalidTransitionError):
                continue

    thread = threading.Thread(target=finish)
    thread.start()
    ended = scene.look(5.0, turning=False)
    thread.join()
    counts = tracker.statistics().ended
    assert counts.get((ExecutionState.DEAD, Cause.LOOP_BLOCKED), 0) == ended
    assert sum(counts.values()) == 300
