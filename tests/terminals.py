"""A pseudo-terminal with a program in it, as if somebody sat there: it has a size, gets keys and signals, and shows frames."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from rich.cells import cell_len

HOME = "\x1b[H"
"""How each frame begins."""
ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
SIT_DOWN = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "runstate", *sys.argv[1:]])
"""
"""Makes the terminal the one that Ctrl-C and a new size are told to; then runs the command."""
PATIENCE = 60.0
"""Seconds without any output after which a program is taken to say no more."""


class Terminal:
    """A terminal in which `runstate` runs.

    Args:
        arguments: What follows `runstate`.
        columns: Its width.
        lines: Its height.
        env: What is different in the environment.
    """

    def __init__(
        self, *arguments: str, columns: int = 80, lines: int = 24, env: Mapping[str, str] | None = None
    ) -> None:
        self._leader, self._follower = pty.openpty()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(self._follower)
        self.output = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._process = subprocess.Popen(
            [sys.executable, "-c", SIT_DOWN, *arguments],
            stdin=self._follower,
            stdout=self._follower,
            stderr=self._follower,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", **(env or {})},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._leader)
        os.close(self._follower)

    @property
    def frame(self) -> list[str]:
        """The lines of the newest frame that fills the terminal, without colours; nothing if there was none yet."""
        for frame in reversed(self.output.split(HOME)):
            lines = ESCAPES.sub("", frame).replace("\r", "").split("\n")
            if len(lines) == self._lines and all(cell_len(line) == self._columns for line in lines):
                return lines
        return []

    @property
    def attributes(self) -> list[object]:
        """How the terminal is set."""
        return list(termios.tcgetattr(self._follower))

    def resize(self, columns: int, lines: int) -> None:
        """Give it another size; what runs in it is told."""
        self._columns, self._lines = columns, lines
        fcntl.ioctl(self._leader, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys: str) -> None:
        """Press keys, one after the other."""
        os.write(self._leader, keys.encode())

    def send(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        self._process.send_signal(number)

    def until(self, is_there: Callable[[list[str]], object]) -> list[str]:
        """Read on until a frame is as wanted; return it."""
        while not (self.frame and is_there(self.frame)):
            if not self._read():
                raise AssertionError("it was never shown; the last frame was:\n" + "\n".join(self.frame))
        return self.frame

    def until_there_is(self, text: str) -> list[str]:
        """Read on until a frame has a text in one of its lines; return the frame."""
        return self.until(lambda frame: any(text in line for line in frame))

    def until_there_is_no(self, text: str) -> list[str]:
        """Read on until a whole frame has a text nowhere; return the frame."""
        return self.until(lambda frame: all(text not in line for line in frame))

    def end(self) -> int:
        """Read all that is still said; return the exit code."""
        while self._process.poll() is None:
            self._read(0.05)
        while self._read(0.0):
            pass
        return self._process.returncode

    def _read(self, patience: float = PATIENCE) -> bool:
        if not select.select([self._leader], [], [], patience)[0]:
            return False
        self.output += self._decoder.decode(os.read(self._leader, 65_536))
        return True
