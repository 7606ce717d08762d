"""Steps: a task runs in pieces, each between two of its awaits, and before each piece it can be made to do something else."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Generator, Iterator
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias
from weakref import WeakKeyDictionary

from ._points import where

if TYPE_CHECKING:
    import trio

Backend: TypeAlias = Literal["asyncio", "trio"]
"""The async library that runs a scenario."""


class Steps(Protocol):
    """Who is told of steps, in the thread of the loop."""

    def at(self, name: str, where: str) -> None:
        """Such a point is reached."""
        ...


class _Stepped(Coroutine[Any, Any, Any]):
    """A coroutine that says so before each of its steps. In all else it is the one that it stands for."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], task: int, steps: Steps) -> None:
        self._coroutine = coroutine
        self._task = task
        self._steps = steps
        self._number = 0

    def send(self, value: Any, /) -> Any:
        self._step()
        return self._coroutine.send(value)

    def throw(self, *arguments: Any) -> Any:
        self._step()
        return self._coroutine.throw(*arguments)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coroutine, name)  # cr_frame and the like: who looks at a task's stack sees the agent's

    def _step(self) -> None:
        self._number += 1
        self._steps.at(f"await {self._task}.{self._number}", where(self._coroutine))


def run_stepped(main: Coroutine[Any, Any, Any], backend: Backend, steps: Steps) -> None:
    """Run a coroutine to its end on a new loop, telling of each step of each task.

    Args:
        main: What `asyncio.run` would take.
        backend: Whose loop.
        steps: Who is told.
    """
    if backend == "trio":
        _run_on_trio(main, steps)
    else:
        _run_on_asyncio(main, steps)


def _run_on_asyncio(main: Coroutine[Any, Any, Any], steps: Steps) -> None:
    tasks = 0

    def begin(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        nonlocal tasks
        tasks += 1
        return asyncio.Task(_Stepped(coroutine, tasks, steps), loop=loop, **options)

    with asyncio.Runner() as runner:
        factory: Callable[..., Any] = begin
        runner.get_loop().set_task_factory(factory)
        runner.run(main)


def _run_on_trio(main: Coroutine[Any, Any, Any], steps: Steps) -> None:
    import trio

    tasks = itertools.count(1)
    counts: WeakKeyDictionary[trio.lowlevel.Task, tuple[int, Iterator[int]]] = WeakKeyDictionary()

    class Telling(trio.abc.Instrument):
        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            if task.coro.cr_code.co_filename.startswith(trio.__path__[0]):
                return  # one of trio's own
            if task not in counts:
                counts[task] = next(tasks), itertools.count(1)
            number, count = counts[task]
            steps.at(f"await {number}.{next(count)}", where(task.coro))

    async def run_main() -> None:
        await main

    trio.run(run_main, instruments=[Telling()])
