"""`runstate top` in a terminal: a picture whenever one is due, a frame whenever something has changed, and the keys.

Three kinds of threads: the main one has the terminal and never touches the journal, so no key waits for a read; one reads the journal; and
each question (a timeline, a cancel) has its own for as long as it takes. What they find reaches the main one through a queue, and a byte
in a pipe that wakes it.

However it ends, the terminal is put back as it was: by q, Ctrl-C, a signal that ends the process, an error, and Ctrl-Z, which comes back
as it left.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from types import FrameType
from typing import Final

from rich.console import Console, ConsoleDimensions
from rich.live import Live
from rich.text import Text

import runstate
from runstate import ExecutionState, JournalError, RecordDecodeError, RunstateError

from ._arguments import open_to_read
from ._console import plain_console
from ._exits import OK
from ._top_keys import Keyboard
from ._top_screen import Screen
from ._top_watch import Watch
from ._views import execution_view

_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
_SIGNALLED: Final = 128
_PATIENCE: Final = 3_600.0
"""Seconds to wait for a key or news before drawing all the same."""
_USUAL: Final = (80, 24)
"""Columns and lines of a terminal that does not say how many it has."""
_CLOSING: Final = 1.0
"""Seconds given to a read that is under way at the end."""


class Session:
    """One run of `runstate top` in a terminal.

    Args:
        journal: Which.
        interval: Seconds between two pictures.
        states: Only executions in these states are listed; none means all.
    """

    def __init__(self, journal: str, interval: float, states: Sequence[ExecutionState]) -> None:
        self._journal = journal
        self._interval = interval
        self._news: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._waking, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._waking, False)
        self._enough = threading.Event()
        self._is_reading_one = False
        self._stops = False
        self._screen = Screen(journal, states, self)
        self._console: Console = plain_console()

    def run(self, watch: Watch) -> int:
        """Show what *watch* sees until there is enough; return the exit code."""
        reading = threading.Thread(target=self._read, args=(watch,), name="runstate top", daemon=True)
        keyboard = Keyboard(sys.stdin.fileno(), self._waking)
        live = Live(console=self._console, screen=True, auto_refresh=False, redirect_stderr=False)
        reading.start()
        try:
            with self._signals(), self._logged(), keyboard, live:
                while not self._screen.is_over:
                    self._draw(live)
                    for key in keyboard.read(_PATIENCE):
                        self._screen.press(key)
                    while not self._news.empty():
                        self._news.get()()
                    if self._stops:
                        self._stop(live, keyboard)
        except EOFError:
            return _SIGNALLED + signal.SIGHUP
        finally:
            self._enough.set()
            reading.join(_CLOSING)
        return OK

    # -- what the screen asks for -------------------------------------------------------------------------------------

    def open(self, execution_id: str) -> None:
        """Read an execution, unless one is being read."""
        if not self._is_reading_one:
            self._is_reading_one = True
            self._in_thread(lambda: self._open(execution_id))

    def cancel(self, execution_id: str) -> None:
        """Cancel an execution."""
        self._in_thread(lambda: self._cancel(execution_id))

    # -- within -------------------------------------------------------------------------------------------------------

    def _draw(self, live: Live) -> None:
        # Asked of the terminal itself: what the environment says of its size is from before it was resized.
        width, height = os.get_terminal_size(sys.stdout.fileno())
        width, height = width or _USUAL[0], height or _USUAL[1]
        self._console.size = ConsoleDimensions(width, height)
        lines = self._screen.lines(width, height)
        text = Text("\n", no_wrap=True, overflow="crop").join(lines)
        live.update(_carried(text, self._console.encoding), refresh=True)

    def _tell(self, news: Callable[[], None]) -> None:
        self._news.put(news)
        self._ring()

    def _ring(self) -> None:
        try:
            os.write(self._wake, b"\0")
        except BlockingIOError:
            return  # it is rung for already

    def _in_thread(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name="runstate top", daemon=True).start()

    def _read(self, watch: Watch) -> None:
        """Look again and again."""
        try:
            while not self._enough.is_set():
                self._tell(partial(self._screen.show, watch.picture()))
                self._enough.wait(self._interval)
        except (JournalError, RecordDecodeError) as error:
            said = f"the journal cannot be read any more: {error}"
            self._tell(lambda: self._screen.say(said, "bold red"))
        finally:
            watch.close()

    def _open(self, execution_id: str) -> None:
        try:
            story = self._story(execution_id)
        except RunstateError as error:
            story = [Text(str(error), "red")]
        self._is_reading_one = False
        self._tell(lambda: self._screen.opened(execution_id, story))

    def _story(self, execution_id: str) -> Sequence[Text]:
        with open_to_read(self._journal) as tracker:
            record = tracker.get(execution_id)
            view = execution_view(
                record,
                tracker.timeline(execution_id),
                chain=tracker.attempts(execution_id),
                owner=tracker.worker(record.incarnation),
                request=tracker.cancel_request(execution_id),
                rejected=tracker.rejected(execution_id),
            )
        options = self._console.options
        lines = self._console.render_lines(view, options, pad=False)
        return [Text("").join(Text(segment.text, segment.style or "") for segment in line) for line in lines]

    def _cancel(self, execution_id: str) -> None:
        try:
            with runstate.open(self._journal) as tracker:
                request = tracker.cancel(execution_id, "cancelled in runstate top")
            said, style = f"asked {request.owner} to cancel {execution_id}", "green"
        except RunstateError as error:
            said, style = f"not cancelled: {error}", "bold red"
        self._tell(lambda: self._screen.say(said, style))

    @contextmanager
    def _logged(self) -> Generator[None]:
        """Say in the last line what is logged, which would else be written across the frame."""
        log, handler = logging.getLogger(), _Said(self._say_in_time)
        log.addHandler(handler)
        try:
            yield
        finally:
            log.removeHandler(handler)

    def _say_in_time(self, message: str) -> None:
        self._tell(partial(self._screen.say, message, "yellow"))

    @contextmanager
    def _signals(self) -> Generator[None]:
        """Have signals wake the main thread, and those that end it end it in order."""
        before = {number: signal.getsignal(number) for number in (*_ENDING, signal.SIGWINCH, signal.SIGTSTP)}
        waking = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for number in _ENDING:
            signal.signal(number, _end)
        signal.signal(signal.SIGWINCH, _go_on)
        signal.signal(signal.SIGTSTP, self._want_to_stop)
        try:
            yield
        finally:
            signal.set_wakeup_fd(waking)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _want_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stops = True

    def _stop(self, live: Live, keyboard: Keyboard) -> None:
        """Stop as Ctrl-Z wants it, with the terminal as it was; come back as if nothing had been."""
        self._stops = False
        live.stop()
        keyboard.__exit__(None, None, None)
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        keyboard.__enter__()
        live.start()


class _Said(logging.Handler):
    """Hands warnings, and what is worse, to whoever says them."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Hand one on."""
        self._say(record.getMessage())


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(_SIGNALLED + number)


def _go_on(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: that there was a signal has woken whom it concerns."""


def _carried(text: Text, encoding: str) -> Text:
    """What the terminal's encoding can carry; a character that it cannot takes no more room than it did."""
    if not text.plain.isascii() and not encoding.lower().startswith("utf"):
        text.plain = text.plain.encode(encoding, "replace").decode(encoding)
    return text
