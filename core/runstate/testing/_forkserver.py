"""A clean process that forks the processes of the laboratory.

A test runner has threads, open files and half of the world imported; a fork of that is no process that anybody runs in production.
So the runner starts one new interpreter, which imports the scenario, keeps to one thread, and forks whenever it is told to: a new
process in about a millisecond, with all that a process of its own has.

The scenario goes there as `pickle` sends a function: by its name. So it must stand at the top of a module.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from runstate import InvalidValueError

from . import _child
from ._channel import Auditor, Channel, Observer, Scenario, Subject
from ._report import ScenarioError

_BEGIN: Final = """
import sys
sys.path[:] = {path!r}
from runstate.testing._forkserver import serve
sys.exit(serve({descriptor}))
"""
_MAIN: Final = "__main__"


class _Setup(NamedTuple):
    """What a new server is told first."""

    scenario: bytes
    modules: Mapping[str, str]
    """The modules that the scenario is made of, each with its file."""
    directory: str
    """For files."""


class _Wait(NamedTuple):
    """Wait for a process that was forked."""

    pid: int
    stopped: bool
    """Whether to be content when it stands still."""


class Process(NamedTuple):
    """A process that the server has forked."""

    pid: int
    channel: Channel
    printing: threading.Thread
    """Writes down what it prints."""


class ForkServer:
    """Forks processes that know the scenario. Safe to use from several threads.

    Args:
        scenario: What they know.
        directory: For the server's own output.

    Raises:
        InvalidValueError: The scenario cannot be sent to another process.
        ScenarioError: Its module cannot be imported there.
    """

    def __init__(self, scenario: Scenario, directory: Path) -> None:
        setup = _packed(scenario, directory)
        self._turn = threading.Lock()
        self._socket, theirs = socket.socketpair()
        self._log = directory / "forkserver.log"
        code = _BEGIN.format(path=[os.path.abspath(one) for one in sys.path], descriptor=theirs.fileno())  # noqa: PTH100
        with theirs, self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this very interpreter
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
            )
        self._server = Channel(self._socket.fileno())
        try:
            if self._ask(setup) is None:
                raise ScenarioError(f"the scenario cannot be imported in a new process:\n{self._log.read_text()}")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the server, and with it all that it has forked."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._process.wait()
        self._socket.detach()
        self._server.close()

    def fork(self, order: Subject | Observer | Auditor, log: Path) -> Process:
        """Begin a process that carries out an order.

        Args:
            order: What to do.
            log: The file to which all that it prints is added.
        """
        ours, theirs = socket.socketpair()
        printed, output = os.pipe()
        printing = threading.Thread(target=_write_down, args=(printed, log), name="runstate-crash-lab", daemon=True)
        printing.start()
        try:
            with theirs, self._turn:
                self._server.send(order)
                socket.send_fds(self._socket, [b"!"], [theirs.fileno(), output])
                pid = self._answer()
        finally:
            os.close(output)
        return Process(pid, Channel(ours.detach()), printing)

    def wait(self, process: Process) -> int:
        """Wait until a process has ended and is written down; return its exit code, or its signal negated. Call it once."""
        exit_code = self._ask(_Wait(process.pid, stopped=False))
        process.printing.join()
        return int(exit_code)

    def wait_stopped(self, process: Process) -> None:
        """Wait until a process stands still."""
        self._ask(_Wait(process.pid, stopped=True))

    def _ask(self, message: object) -> Any:
        with self._turn:
            self._server.send(message)
            return self._server.receive()

    def _answer(self) -> int:
        answer = self._server.receive()
        if answer is None:
            raise ScenarioError(f"the server that forks has ended:\n{self._log.read_text()}")
        return int(answer)


def _write_down(printed: int, log: Path) -> None:
    with open(printed, "rb", buffering=0) as source, log.open("ab", buffering=0) as target:
        shutil.copyfileobj(source, target)


class _Packer(pickle.Pickler):
    """Notes the modules that what it packs is found in."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.modules: dict[str, str] = {}

    def reducer_override(self, value: Any) -> Any:
        name = getattr(value, "__module__", None)
        file = getattr(sys.modules.get(name), "__file__", None) if isinstance(name, str) else None
        if name is not None and file is not None:
            self.modules[name] = os.path.abspath(file)  # noqa: PTH100 - the name stays as it was imported
        return NotImplemented


def _packed(scenario: Scenario, directory: Path) -> _Setup:
    packed = io.BytesIO()
    packer = _Packer(packed)
    try:
        packer.dump(scenario)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InvalidValueError(
            "scenario",
            scenario,
            f"a function at the top of a module, which another process can import ({error}); what it needs besides its "
            f"tracker give it by functools.partial",
        ) from error
    return _Setup(packed.getvalue(), packer.modules, str(directory))


# -- in the server -----------------------------------------------------------------------------------------------------


def serve(descriptor: int) -> int:
    """Fork on demand until the other end is gone; return the exit code of this process, or of one that was forked.

    Args:
        descriptor: Our end of a pair of sockets.
    """
    lab = socket.socket(fileno=descriptor)
    orders = Channel(descriptor)
    setup: _Setup = orders.receive()
    scenario = _unpacked(setup)
    _child.warm_up(setup.directory)
    orders.send(True)
    children: set[int] = set()
    while (order := orders.receive()) is not None:
        if isinstance(order, _Wait):
            _, status = os.waitpid(order.pid, os.WUNTRACED if order.stopped else 0)
            if os.WIFSTOPPED(status):
                orders.send(0)
            else:
                children.discard(order.pid)
                orders.send(os.waitstatus_to_exitcode(status))
            continue
        _, (theirs, output), _, _ = socket.recv_fds(lab, 1, 2)
        pid = os.fork()
        if pid == 0:
            os.setsid()  # a Ctrl-C is for who watches, who then ends this
            lab.detach()
            orders.close()
            return _child.run(order, scenario, Channel(theirs), output)
        os.close(theirs)
        os.close(output)
        children.add(pid)
        orders.send(pid)
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    return 0


def _unpacked(setup: _Setup) -> Scenario:
    for name, file in setup.modules.items():
        _make_importable(name, file)
    scenario: Scenario = pickle.loads(setup.scenario)  # noqa: S301 - from the process that started this one
    return scenario


def _make_importable(name: str, file: str) -> None:
    """See to it that a name leads to a file, however it was imported where it comes from."""
    try:
        found = None if name == _MAIN else importlib.util.find_spec(name)
    except ImportError:
        found = None
    if found is not None and found.origin is not None and os.path.abspath(found.origin) == file:  # noqa: PTH100
        return
    parts = name.split(".")
    path = Path(file)
    root = (path.parent if path.name == "__init__.py" else path).with_suffix("")
    if name != _MAIN and root.parts[-len(parts) :] == tuple(parts):
        sys.path.insert(0, str(root.parents[len(parts) - 1]))
        importlib.invalidate_caches()
        return
    spec = importlib.util.spec_from_file_location("__crash_lab_main__" if name == _MAIN else name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = sys.modules[name] = module
    spec.loader.exec_module(module)
