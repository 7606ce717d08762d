"""Both stores at once: nearly all of such a test is waiting, and what is not disturbs the other, which is as it should be."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")

STORES: Final = ("sqlite", "postgres")


def on_each_store(work: Callable[[str], T]) -> dict[str, T]:
    """Do something on each store at the same time; return what came of it, by the store's name."""
    with ThreadPoolExecutor(len(STORES)) as pool:
        return dict(zip(STORES, pool.map(work, STORES), strict=True))
