"""Another process, which opens a journal and does what it is told. `python -m tests.fleet.processes ADDRESS LEASE` is what it runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import runstate
from runstate import ExecutionTracker, FencedError, Notice

from .answering import ask, fail

ROOT = Path(__file__).resolve().parent.parent.parent
WHO = {"agent": "airline", "thread_id": "t-1", "user_id": "u-1"}


class Other:
    """A process with a tracker of its own, which takes one order after the other."""

    def __init__(self, place: str, lease: float = 10.0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fleet.processes", place, str(lease)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.incarnation = cast("str", self._answer())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def tell(self, order: str, *arguments: object) -> None:
        """Give it an order."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([order, *arguments]) + "\n")
        self._process.stdin.flush()

    def ask(self, order: str, *arguments: object) -> Any:
        """Give it an order, and wait for what comes of it."""
        self.tell(order, *arguments)
        return self._answer()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self) -> None:
        """Wait until it has ended."""
        self._process.wait()

    def kill(self) -> None:
        """Kill it, and wait until the kernel has."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Have it close its tracker and end, if it lives."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGCONT)
        self._process.stdin.close()
        self._process.wait(30.0)
        self._process.stdout.close()

    def answer(self) -> Any:
        """Wait for what it says next."""
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the other process has died"
        return json.loads(line)


def _begin(tracker: ExecutionTracker, count: int) -> list[str]:
    """Have executions RUNNING, durably."""
    runs = [tracker.create(**WHO).run() for _ in range(count)]
    tracker.flush()
    return [run.execution_id for run in runs]


def _work(tracker: ExecutionTracker) -> str:
    """Work in a block until something ends it from outside; say what."""
    import asyncio

    async def body() -> None:
        async with tracker.execution(**WHO) as run:
            print(json.dumps(run.execution_id), flush=True)
            await asyncio.sleep(60.0)

    try:
        asyncio.run(body())
    except FencedError as error:
        return f"{error.state.name} {error.observer}"
    return "nothing"


def _complete(tracker: ExecutionTracker, execution_id: str, result: str) -> str:
    """Complete an execution durably; say what comes of it."""
    try:
        tracker.handle(execution_id).expect(runstate.ExecutionState.RUNNING).finish().complete(result)
        tracker.flush()
    except FencedError as error:
        return f"FencedError {error.state.name}"
    return "done"


def _deliver(tracker: ExecutionTracker, manner: str, told: str, threads: list[str] | None = None) -> str:
    """Deliver the default outbox; the function writes each id into a file, and then returns, raises, or waits to be let go."""

    def tell(notice: Notice) -> None:
        with Path(told).open("a") as file:
            file.write(f"{notice.notice_id}\n")
        if manner == "die":
            os._exit(1)
        if manner == "raise":
            raise ConnectionError("nobody is there")
        while manner == "wait" and not Path(f"{told}.go").exists():
            time.sleep(0.01)

    tracker.deliver(tell, attempts=2, threads=None if threads is None else lambda: threads)
    return "delivering"


def _rest(tracker: ExecutionTracker) -> str:
    """Wait until nothing is being delivered here, and all is said about it."""
    deliverer = tracker._deliverers["default"]
    while deliverer._under_way or deliverer._settled or not deliverer._finished.empty():
        time.sleep(0.01)
    return "resting"


def _finish(tracker: ExecutionTracker, count: int, thread_id: str = "t-1") -> list[str]:
    """Complete executions, durably."""
    runs = [tracker.create(**{**WHO, "thread_id": thread_id}).run() for _ in range(count)]
    for run in runs:
        run.complete("done")
    tracker.flush()
    return [run.execution_id for run in runs]


def _fork(tracker: ExecutionTracker) -> int:
    """Have a forked child sleep; give its process id."""
    child = os.fork()
    if child == 0:
        signal.pause()
    return child


def main(place: str, lease: float) -> None:
    """Do what the standard input says."""
    orders: dict[str, Any] = {"begin": _begin, "work": _work, "complete": _complete, "fork": _fork}
    orders |= {"ask": ask, "fail": fail}
    orders |= {"deliver": _deliver, "finish": _finish, "rest": _rest}
    with runstate.open(place, lease=lease) as tracker:
        tracker.create(**WHO).cancel()  # so that it is a worker
        tracker.flush()
        print(json.dumps(tracker._decider.incarnation), flush=True)
        for line in sys.stdin:
            order, *arguments = json.loads(line)
            print(json.dumps(orders[order](tracker, *arguments)), flush=True)


if __name__ == "__main__":
    os.environ.pop("COLUMNS", None)
    main(sys.argv[1], float(sys.argv[2]))
