"""Keys of a terminal, read one by one without waiting for Enter.

A key is a character, or the name of what has none. A terminal sends such a key as a sequence that begins with ESC, and ESC alone as just
that: which it was is only known when nothing has followed for a moment. Sequences that are no key of ours are dropped whole.
"""

from __future__ import annotations

import codecs
import os
import re
import select
import termios
import tty
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

_NAMED: Final = {
    "\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace", "\x15": "clear", "\x0c": "redraw",
    "\x1b[A": "up", "\x1bOA": "up", "\x1b[B": "down", "\x1bOB": "down", "\x1b[5~": "page up", "\x1b[6~": "page down",
    "\x1b[H": "home", "\x1bOH": "home", "\x1b[1~": "home", "\x1b[F": "end", "\x1bOF": "end", "\x1b[4~": "end",
    "\x02": "page up", "\x06": "page down", "\x10": "up", "\x0e": "down",
}  # fmt: skip
_SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[ -~]|\[\[[A-Z])")
_UNFINISHED: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O|\[\[)?")
_ESC_ALONE: Final = 0.05
"""Seconds after which an ESC that nothing follows is the key."""
_AT_ONCE: Final = 4_096


def keys_in(typed: str) -> tuple[list[str], str]:
    """Split what a terminal has sent into keys.

    Args:
        typed: The characters.

    Returns:
        The keys, and the beginning of a sequence at the end that may go on.
    """
    keys: list[str] = []
    at = 0
    while at < len(typed):
        if typed[at] != "\x1b":
            key = _NAMED.get(typed[at], typed[at])
            if key.isprintable():
                keys.append(key)
            at += 1
            continue
        if _UNFINISHED.fullmatch(typed, at):
            return keys, typed[at:]
        found = _SEQUENCE.match(typed, at)
        if found is None:  # ESC, and then something else
            keys.append("escape")
            at += 1
            continue
        if found[0] in _NAMED:
            keys.append(_NAMED[found[0]])
        at = found.end()
    return keys, ""


class Keyboard:
    """A terminal that gives each key at once and does not show it; as a context manager, which puts it back as it was.

    Ctrl-C and Ctrl-Z go on being signals.

    Args:
        number: The terminal's file descriptor.
        wake: A file descriptor that ends a wait when there is something to read from it.
    """

    def __init__(self, number: int, wake: int) -> None:
        self._number = number
        self._wake = wake
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._before = termios.tcgetattr(number)

    def __enter__(self) -> Self:
        tty.setcbreak(self._number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        termios.tcsetattr(self._number, termios.TCSADRAIN, self._before)

    def read(self, timeout: float) -> Sequence[str]:
        """Wait for keys, or for the wake.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            The keys pressed.

        Raises:
            EOFError: The terminal is gone.
        """
        ready, _, _ = select.select([self._number, self._wake], [], [], _ESC_ALONE if self._rest else timeout)
        if self._wake in ready:
            os.read(self._wake, _AT_ONCE)
        if self._number not in ready:
            if self._rest and not ready:
                self._rest = ""
                return ["escape"]
            return []
        try:
            data = os.read(self._number, _AT_ONCE)
        except OSError as error:
            raise EOFError from error
        if not data:
            raise EOFError
        keys, self._rest = keys_in(self._rest + self._decoder.decode(data))
        return keys
