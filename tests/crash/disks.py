"""Real disks in real trouble: small file systems, files that refuse to be written, and what of it this machine allows."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import resource
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

_GET_FLAGS: Final = 0x80086601
_SET_FLAGS: Final = 0x40086602
_IMMUTABLE: Final = 0x10
_NOBODY: Final = 65_534


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


@contextlib.contextmanager
def public_directory() -> Iterator[Path]:
    """Make a directory that every user may write to; the tests' own ones are closed to others."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        yield Path(directory)


@contextlib.contextmanager
def write_protected(*paths: Path) -> Iterator[None]:
    """Take everybody's right to write from files and directories, and be somebody whom that holds back: root it does not."""
    before = {path: path.stat().st_mode for path in paths}
    user = os.geteuid()
    try:
        for path in paths:
            path.chmod(before[path] & ~0o222)
        if user == 0:
            os.seteuid(_NOBODY)
        yield
    finally:
        os.seteuid(user)
        for path, mode in before.items():
            path.chmod(mode)


@contextlib.contextmanager
def refusing_writes(files: Sequence[Path], way: str) -> Iterator[None]:
    """Have every write to files fail, also through descriptors that are open.

    Args:
        files: Which.
        way: `immutable` is the file system's flag; `limit` has the kernel refuse all that this process writes to any file.
    """
    with contextlib.ExitStack() as undo:
        if way == "limit":
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            undo.callback(resource.setrlimit, resource.RLIMIT_FSIZE, (soft, hard))
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        else:
            for file in files:
                undo.callback(set_immutable, file, False)
                set_immutable(file, True)
        yield


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
