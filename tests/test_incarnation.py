"""`incarnation`: the name that a tracker records under now."""

from __future__ import annotations

import os
from pathlib import Path

import runstate
from runstate import ExecutionTracker

WHO = {"agent": "airline", "thread_id": "t-1", "user_id": "u-1"}


def test_it_is_the_name_in_the_records(tracker: ExecutionTracker) -> None:
    """Executions and moves carry the tracker's own name."""
    run = tracker.create(**WHO).run()
    assert tracker.get(run.execution_id).incarnation == tracker.incarnation
    assert {move.incarnation for move in tracker.history(run.execution_id)} == {tracker.incarnation}


def test_a_forked_child_has_another(tmp_path: Path) -> None:
    """After a fork parent and child have different names."""
    with runstate.open(tmp_path / "runs.db") as tracker:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, tracker.incarnation.encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(writer)
        with os.fdopen(reader) as said:
            assert said.read() not in {"", tracker.incarnation}
