"""Real disks in real trouble: small file systems, files that refuse to be written, and what of it this machine allows."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_GET_FLAGS: Final = 0x80086601
_SET_FLAGS: Final = 0x40086602
_IMMUTABLE: Final = 0x10


@contextlib.contextmanager
def small_disk(directory: Path, size: str) -> Iterator[Path]:
    """Mount a file system in memory of this size on a new directory; raises `OSError` where that is refused."""
    directory.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size}", "none", str(directory))
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def make_read_only(disk: Path) -> None:
    """Remount a small disk read-only."""
    _mount("-o", "remount,ro", str(disk))


def set_immutable(path: Path, immutable: bool) -> None:
    """Have the file system refuse every write to a file, from anybody, also through descriptors that are open."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        flags = array.array("l", [0])
        fcntl.ioctl(descriptor, _GET_FLAGS, flags)
        flags[0] = flags[0] | _IMMUTABLE if immutable else flags[0] & ~_IMMUTABLE
        fcntl.ioctl(descriptor, _SET_FLAGS, flags)
    finally:
        os.close(descriptor)


def can_mount() -> bool:
    """Whether this process may mount file systems."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            with small_disk(Path(directory) / "disk", "64k") as disk:
                return disk.is_mount()
        except OSError:
            return False


def can_set_immutable() -> bool:
    """Whether files can be made immutable here, and whether that stops writes through open descriptors."""
    with tempfile.NamedTemporaryFile() as file:
        path = Path(file.name)
        try:
            set_immutable(path, True)
        except OSError:
            return False
        try:
            file.write(b"x")
            file.flush()
        except OSError:
            return True
        else:
            return False
        finally:
            set_immutable(path, False)
            with contextlib.suppress(OSError):
                file.flush()


def _mount(*arguments: str) -> None:
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise OSError("there is no mount command") from error
    if done.returncode != 0:
        raise OSError(done.stderr.strip())
