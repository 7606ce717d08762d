"""A program that is interrupted again and again, as with Ctrl-C in a notebook, and goes on with the same tracker.

    python interrupting.py URL SEED INTERRUPTS

The main thread and another one run blocks; SIGINT comes at random moments of the main thread's. At the end the tracker must
be as good as new. Prints what was seen, as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from types import FrameType

import runstate
from runstate import ExecutionTracker, Phase, RunstateError

WHO = {"agent": "airline", "thread_id": "t-1", "user_id": "u-1"}


class Storm:
    """Interrupts the main thread, but only while it says that it may be."""

    def __init__(self, seed: int, interrupts: int) -> None:
        self.armed = False
        self.over = threading.Event()
        self._random = random.Random(seed)
        self._interrupts = interrupts
        signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt

    def blow(self) -> None:
        """Send signals until enough have been sent."""
        for _ in range(self._interrupts):
            time.sleep(self._random.expovariate(300.0))
            os.kill(os.getpid(), signal.SIGINT)
        self.over.set()


def track(tracker: ExecutionTracker, result: str) -> str:
    """Run one block; return its id once its end was promised."""
    with tracker.execution(**WHO) as run:
        run.phase(Phase.THINKING)
        run.heartbeat()
        run.complete(result)
    return run.execution_id


def main(url: str, seed: int, interrupts: int) -> None:
    """Track through the storm, then look at what is left."""
    tracker = runstate.open(url)
    storm = Storm(seed, interrupts)
    promised = [track(tracker, "before")]  # imports what is imported late: CPython's import locks survive no interrupt
    promised_beside: list[str] = []
    errors: list[str] = []
    interrupted = 0

    def beside() -> None:
        while not storm.over.is_set():
            try:
                promised_beside.append(track(tracker, "beside"))
            except RunstateError as error:
                errors.append(f"beside: {error!r}")

    threads = [threading.Thread(target=beside, daemon=True), threading.Thread(target=storm.blow, daemon=True)]
    for thread in threads:
        thread.start()
    while not storm.over.is_set():
        try:
            storm.armed = True
            while not storm.over.is_set():
                promised.append(track(tracker, "main"))
        except KeyboardInterrupt:
            interrupted += 1
        except RunstateError as error:
            storm.armed = False
            errors.append(f"main: {error!r}")
    storm.armed = False
    for thread in threads:
        thread.join(20.0)
    hanging = [thread.name for thread in threads if thread.is_alive()]
    tracker.flush(timeout=20.0)
    promised += [track(tracker, "afterwards"), *promised_beside]
    failure = tracker.statistics().journal_failure
    rejected = tracker.statistics().rejected
    tracker.close()
    left = {record.execution_id: record.state for record in tracker.find(limit=1_000_000)}
    print(
        json.dumps(
            {
                "interrupted": interrupted,
                "promised": len(promised),
                "kept": sum(left.get(one) is runstate.ExecutionState.COMPLETED for one in promised),
                "without an end": sum(not state.is_terminal for state in left.values()),
                "errors": errors,
                "hanging": hanging,
                "failure": failure,
                "rejected": rejected,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
