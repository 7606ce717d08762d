"""A forked child is another worker: it has its own executions, leaves its parent's alone, and neither disturbs the other.

Each program runs in a process of its own, because forking one with threads is what most test runners do not survive.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from .soundness import findings, states

PRELUDE = """
import json, os, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # forking a process with threads is what is tried here
import runstate
from runstate import ExecutionState, Phase, RunstateError

path = sys.argv[1]
WHO = {"agent": "airline", "thread_id": "t-1", "user_id": "u-1"}

def in_child(work):
    '''Fork; run work() in the child, which then dies at once; return a function that gives what it returned.'''
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = {"returned": work()}
        except BaseException as error:
            answer = {"raised": repr(error)}
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    def join():
        with os.fdopen(reading, "rb") as pipe:
            answer = json.loads(pipe.read())
        os.waitpid(child, 0)
        return answer["returned"] if "returned" in answer else answer
    return join

def refusals(*calls):
    '''The names of the errors that calls raise.'''
    names = []
    for call in calls:
        try:
            call()
            names.append("nothing")
        except RunstateError as error:
            names.append(type(error).__name__)
    return names

def track(tracker, result):
    with tracker.execution(**WHO) as run:
        run.complete(result)
    return run.execution_id
"""


def run(path: Path, program: str) -> Any:
    """Run a program after the prelude; return the JSON that it prints."""
    source = PRELUDE + textwrap.dedent(program)
    command = [sys.executable, "-c", source, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as process:
        try:
            printed, complaints = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its children too: they are what hangs
            raise
    assert complaints.decode() == ""
    assert process.returncode == 0
    return json.loads(printed)


def test_inherited_handles_refuse(tmp_path: Path) -> None:
    """Every move, beat and phase on what the parent owns is `NotOwnerError` in the child, and the parent goes on."""
    told = run(
        tmp_path / "runs.db",
        """
        with runstate.open(path) as tracker:
            run = tracker.create(**WHO).run()
            pending = tracker.create(**WHO)
            tracker.flush()
            def work():
                by_id = tracker.update_execution_state
                return refusals(
                    run.heartbeat, lambda: run.phase(Phase.THINKING), run.finish, lambda: run.complete(1),
                    lambda: run.fail("x"), run.cancel, run.time_out, run.die, pending.start, pending.run,
                    lambda: by_id(run.execution_id, ExecutionState.COMPLETED),
                    lambda: by_id(run.execution_id, ExecutionState.CANCELLED),
                    lambda: tracker.handle(run.execution_id),
                )
            refused = in_child(work)()
            run.phase(Phase.THINKING)
            run.complete("by the parent")
            pending.start()
            print(json.dumps([refused, run.execution_id, tracker.statistics().refused]))
        """,
    )
    assert told[0] == ["NotOwnerError"] * 13
    assert told[2] == 0
    assert states(tmp_path / "runs.db")[told[1]].name == "COMPLETED"
    assert findings(tmp_path / "runs.db") == []


def test_a_child_is_a_worker_of_its_own(tmp_path: Path) -> None:
    """The child has a fresh incarnation, empty statistics, a working writer, working limits, and reads the parent's runs."""
    parent, child, seen = run(
        tmp_path / "runs.db",
        """
        with runstate.open(path) as tracker:
            run = tracker.create(**WHO).run()
            tracker.flush()
            def work():
                before = tracker.statistics()
                late = tracker.create(**WHO, timeout=0.02).run()
                outcome = tracker.wait(late.execution_id, timeout=30.0)
                own = track(tracker, "by the child")
                return [
                    tracker.get(own).incarnation, type(outcome).__name__, [before.created, before.live, before.pending],
                    tracker.get(run.execution_id).state.name, tracker.get(own).result, tracker.statistics().created,
                ]
            seen = in_child(work)()
            incarnation = run.record.incarnation
            run.complete("by the parent")
            print(json.dumps([incarnation, seen[0], seen[1:]]))
        """,
    )
    assert parent != child
    assert seen == ["TimedOut", [0, 0, 0], "RUNNING", "by the child", 2]
    assert sorted(state.name for state in states(tmp_path / "runs.db").values()) == [
        "COMPLETED",
        "COMPLETED",
        "TIMEOUT",
    ]
    assert findings(tmp_path / "runs.db") == []


def test_what_a_child_was_promised_survives_the_parents_close(tmp_path: Path) -> None:
    """Whatever the child was told is durable is in the file, though its parent closes first and the child dies unclosed."""
    ids = run(
        tmp_path / "runs.db",
        """
        closed_reading, closed_writing = os.pipe()
        ready_reading, ready_writing = os.pipe()
        tracker = runstate.open(path)
        track(tracker, "by the parent")
        def work():
            ids = [track(tracker, "before")]
            os.write(ready_writing, b".")
            os.read(closed_reading, 1)
            return ids + [track(tracker, "after") for _ in range(5)]
        join = in_child(work)
        os.read(ready_reading, 1)
        tracker.close()
        os.write(closed_writing, b".")
        print(json.dumps(join()))
        """,
    )
    stored = states(tmp_path / "runs.db")
    assert len(ids) == 6
    assert {stored[one].name for one in ids if one in stored} == {"COMPLETED"}
    assert set(ids) <= set(stored)
    assert findings(tmp_path / "runs.db") == []


def test_pending_entries_are_written_once(tmp_path: Path) -> None:
    """What the parent had decided but not yet written is written by the parent alone, though the child flushes and closes."""
    created, count = run(
        tmp_path / "runs.db",
        """
        with runstate.open(path) as tracker:
            tracker.flush()
            runs = [tracker.create(**WHO).run() for _ in range(200)]
            def work():
                tracker.flush()
                own = track(tracker, "by the child")
                tracker.close()
                return own
            child = in_child(work)()
            tracker.flush()
            for run in runs:
                run.complete()
            print(json.dumps([[run.execution_id for run in runs] + [child], tracker.statistics().rejected]))
        """,
    )
    assert count == 0
    stored = states(tmp_path / "runs.db")
    assert {stored[one].name for one in created} == {"COMPLETED"}
    assert len(stored) == 201
    assert findings(tmp_path / "runs.db") == []


def test_forks_under_load(tmp_path: Path) -> None:
    """Twelve forks while four threads write: every child works, nobody hangs, and everything acknowledged is there."""
    parents, children = run(
        tmp_path / "runs.db",
        """
        import runstate.journal._sqlite_file
        runstate.journal._sqlite_file.BUSY_TIMEOUT = 50.0  # SQLite's waiting is not fair, and the parent writes without a pause
        with runstate.open(path) as tracker:
            done, stop = [], threading.Event()
            def write():
                while not stop.is_set():
                    run = tracker.create(**WHO).run()
                    run.phase(Phase.THINKING)
                    run.complete("by the parent")
                    tracker.flush()
                    done.append(run.execution_id)
            threads = [threading.Thread(target=write) for _ in range(4)]
            for thread in threads:
                thread.start()
            children = []
            for _ in range(12):
                children.append(in_child(lambda: track(tracker, "by a child"))())
            stop.set()
            for thread in threads:
                thread.join()
            print(json.dumps([done, children]))
        """,
    )
    stored = states(tmp_path / "runs.db")
    assert [child for child in children if not isinstance(child, str)] == []
    assert len(children) == 12
    assert {stored[one].name for one in [*parents, *children]} == {"COMPLETED"}
    assert findings(tmp_path / "runs.db") == []


def test_a_fork_inside_a_block(tmp_path: Path) -> None:
    """The child leaves the parent's block with `NotOwnerError` and changes nothing; the parent's block ends as it should."""
    told, execution_id = run(
        tmp_path / "runs.db",
        """
        with runstate.open(path) as tracker:
            class Child(BaseException):
                pass
            def work():
                def leave():
                    block.__exit__(None, None, None)
                return refusals(leave) + [track(tracker, "by the child") != run.execution_id]
            block = tracker.execution(**WHO)
            with block as run:
                told = in_child(work)()
                run.complete("by the parent")
            print(json.dumps([told, run.execution_id]))
        """,
    )
    assert told == ["NotOwnerError", True]
    assert states(tmp_path / "runs.db")[execution_id].name == "COMPLETED"
    assert findings(tmp_path / "runs.db") == []


def test_multiprocessing_children_work(tmp_path: Path) -> None:
    """Processes that `multiprocessing` forks track into the same file by the tracker that they inherited."""
    ids = run(
        tmp_path / "runs.db",
        """
        import multiprocessing
        forking = multiprocessing.get_context("fork")
        with runstate.open(path) as tracker:
            tracker.create(**WHO).run().complete("by the parent")
            results = forking.SimpleQueue()
            def work(number):
                results.put(track(tracker, number))
                tracker.close()
            processes = [forking.Process(target=work, args=(number,)) for number in range(4)]
            for process in processes:
                process.start()
            for process in processes:
                process.join()
            print(json.dumps([results.get() for _ in processes]))
        """,
    )
    stored = states(tmp_path / "runs.db")
    assert len(stored) == 5
    assert {stored[one].name for one in ids} == {"COMPLETED"}
    assert findings(tmp_path / "runs.db") == []


def test_a_journal_in_memory_is_the_childs_own_copy(tmp_path: Path) -> None:
    """With a journal in memory the child sees the parent's past and tracks on; the parent sees nothing of it."""
    seen, parent = run(
        tmp_path / "unused",
        """
        with runstate.open("memory:") as tracker:
            run = tracker.create(**WHO).run()
            tracker.flush()
            def work():
                own = track(tracker, "by the child")
                return [len(tracker.find()), tracker.get(own).result, refusals(run.heartbeat)]
            seen = in_child(work)()
            print(json.dumps([seen, len(tracker.find())]))
        """,
    )
    assert seen == [2, "by the child", ["NotOwnerError"]]
    assert parent == 1
