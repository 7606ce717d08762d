"""The async libraries that tests of coroutines run under, as functions that run a main function to its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import trio

Main = Callable[[], Awaitable[object]]

RUN: dict[str, Callable[[Main], object]] = {
    "trio": lambda main: trio.run(main),
    "anyio on trio": lambda main: anyio.run(main, backend="trio"),
    "anyio on asyncio": lambda main: anyio.run(main, backend="asyncio"),
}
