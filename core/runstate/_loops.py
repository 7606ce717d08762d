"""Asks event loops whether they turn, from a thread that a blocked loop cannot stop.

A loop that is blocked (a call that should have been awaited, a long computation) answers nothing and moves nothing, and from
outside looks like a dead agent. It is not: it is slow, and what it does can be read off its thread's stack. So silence has two
readings, and the loop itself tells them apart: a *ping* is handed to it by `call_soon_threadsafe` (trio:
`run_sync_soon`), and as long as the ping is not answered, no execution of that loop can be blamed for its silence.

An execution belongs to the loop in which it left PENDING; one that was begun in a thread without a loop belongs to none. Finding the
loop costs a tenth of a microsecond, and asking it one callback a second, whatever the number of executions.

Neither asyncio nor trio is imported here: what nobody has imported runs nothing.
"""

from __future__ import annotations

import linecache
import sys
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from weakref import ref

from ._deadlines import NEVER
from ._turns import Turns

_FRAMES: Final = 30
"""Innermost frames of a blocking stack that are kept."""
_LINE: Final = 200
"""Characters of a source line that are kept."""

ANSWERS: Final = 4
"""Pings after which a task that could go on has: a timer wakes it in one turn of the loop, it goes on in the next, and a task that
waits for that one after that."""
_modules: Final = sys.modules


class LoopProbe:
    """One event loop, as far as it answers. Does not keep the loop alive, as handles keep their execution's probe.

    Args:
        loop: An asyncio loop that runs in the calling thread, or the token of a trio run.
        monotonic_ns: The clock.
    """

    __slots__ = ("_answers", "_has_ended", "_loop", "_monotonic_ns", "_thread_id", "judged_ns", "turns", "warned_ns")

    def __init__(self, loop: Any, monotonic_ns: Callable[[], int]) -> None:
        self._loop: ref[Any] = ref(loop)
        self._has_ended = False
        self._monotonic_ns = monotonic_ns
        self._thread_id = threading.get_ident()
        self.turns: Final = Turns(monotonic_ns())
        """Its answers; one is due from the moment that it is asked."""
        self._answers: deque[int] = deque([monotonic_ns()] * ANSWERS, ANSWERS)
        self.warned_ns: int = NEVER
        """When the ping was sent for whose silence a warning was written."""
        self.judged_ns: int = 0
        """When its silence was last held against its executions."""

    @property
    def asked_ns(self) -> int:
        """When the ping was sent that is not answered yet; `NEVER` when there is none."""
        return self.turns.due_ns

    def turns_since(self, then_ns: int) -> bool:
        """Whether what was ready in the loop at some time has surely run: it has answered `ANSWERS` pings since, one by one."""
        return self._answers[0] >= then_ns

    def ask(self) -> None:
        """Send a ping, unless one is on its way."""
        loop = self._loop()
        if self.turns.due_ns != NEVER or loop is None:
            return
        now_ns = self._monotonic_ns()
        self.turns.expect(now_ns)
        try:
            _call_soon(loop)(partial(self._answer, now_ns))
        except RuntimeError:
            self._has_ended = True
            self.turns.forget()

    def runs(self) -> bool:
        """Whether the loop runs at all, turning or blocked. One that has stopped or ended blocks nobody, and excuses nobody."""
        loop = self._loop()
        if loop is not None and not self._has_ended and (not hasattr(loop, "is_running") or loop.is_running()):
            return True
        self.turns.forget()
        return False

    def has_ended(self) -> bool:
        """Whether the loop is gone for ever, as far as is known; of a trio run that is known once it was asked."""
        loop = self._loop()
        return self._has_ended or loop is None or (hasattr(loop, "is_closed") and loop.is_closed())

    def stack(self) -> str:
        """What the loop's thread does now: the innermost frames, the most recent call first. Empty when the thread is gone."""
        frame = sys._current_frames().get(self._thread_id)
        calls: list[tuple[str, int, str]] = []
        while frame is not None and len(calls) < _FRAMES:  # first only the frames, as the thread runs on
            code = frame.f_code
            calls.append((code.co_filename, frame.f_lineno or 0, code.co_qualname))
            frame = frame.f_back
        lines: list[str] = []
        for file, number, function in calls:
            lines.append(f'File "{file}", line {number}, in {function}')
            if source := linecache.getline(file, number).strip():
                lines.append(f"    {source[:_LINE]}")
        return "\n".join(lines)

    def _answer(self, asked_ns: int) -> None:
        """Called by the loop."""
        self._thread_id = threading.get_ident()
        if self.turns.due_ns == asked_ns:  # else the loop had stopped meanwhile, and was asked anew
            now_ns = self._monotonic_ns()
            self.turns.take(now_ns)
            self._answers.append(now_ns)


class Loops:
    """The loops that executions have begun in.

    Args:
        monotonic_ns: The clock.
    """

    __slots__ = ("_asyncio_loop", "_monotonic_ns", "_probes")

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self._monotonic_ns = monotonic_ns
        self._probes: dict[Any, LoopProbe] = {}
        self._asyncio_loop: Callable[[], Any] = self._find_asyncio_loop

    def current(self) -> LoopProbe | None:
        """The probe of the loop that the caller runs in, asyncio's or trio's; None outside of any."""
        loop = self._asyncio_loop()
        if loop is None and ("trio" not in _modules or (loop := _trio_token()) is None):
            return None
        probe = self._probes.get(loop)
        if probe is None:
            self.probes()
            probe = self._probes[loop] = LoopProbe(loop, self._monotonic_ns)
        return probe

    def probes(self) -> list[LoopProbe]:
        """Those of all loops that have not ended; the others are forgotten."""
        found = self._probes.copy()  # one call into C: other threads add loops
        for loop, probe in found.items():
            if probe.has_ended():
                self._probes.pop(loop, None)
        return [probe for probe in found.values() if not probe.has_ended()]

    def _find_asyncio_loop(self) -> Any:
        running = getattr(_modules.get("asyncio.events"), "_get_running_loop", None)
        if running is None:
            return None
        self._asyncio_loop = running  # from now on without looking for it
        return running()


def _trio_token() -> Any:
    lowlevel = _modules.get("trio.lowlevel")
    is_within: Callable[[], bool] | None = getattr(lowlevel, "in_trio_run", None)  # None while it is being imported
    return lowlevel.current_trio_token() if lowlevel is not None and is_within is not None and is_within() else None


def _call_soon(loop: Any) -> Callable[[Callable[[], None]], object]:
    """What hands a callback to a loop from any thread; raises RuntimeError once the loop is closed."""
    found: Callable[[Callable[[], None]], object] | None = getattr(loop, "call_soon_threadsafe", None)
    return loop.run_sync_soon if found is None else found
