"""What goes wrong when, in a storm: decided by a seed before it begins, so that it can be replayed.

Kinds are dealt like cards, each as often as it is in the deck before any comes again, so that a short storm has all of them too.
"""

from __future__ import annotations

import random
from typing import Final, NamedTuple

BORN: Final = "born"
"""No fault: the process began."""
KILL: Final = "kill"
"""SIGKILL."""
KILL_ALL: Final = "kill all"
"""SIGKILL for every worker at once: nobody is left to see it."""
END: Final = "end"
"""SIGTERM: the worker closes its tracker."""
PAUSE: Final = "pause"
"""SIGSTOP, and SIGCONT well before the lease has run out."""
ZOMBIE: Final = "zombie"
"""SIGSTOP, and SIGCONT after the lease has run out."""
BURY_ALIVE: Final = "stop and kill"
"""SIGSTOP, and SIGKILL before it goes on."""
LOCK: Final = "lock"
"""Somebody who is no worker holds SQLite's write lock."""
CUT: Final = "cut"
"""The link lets nothing pass, for less than a lease."""
PARTITION: Final = "partition"
"""The link lets nothing pass, for longer than a lease."""
RESET: Final = "reset"
"""All connections of a worker are reset."""
HALF_CLOSE: Final = "half close"
"""One side of all connections of a worker is told that the other has closed them."""
DELAY: Final = "delay"
"""What is sent takes longer."""
RESTART: Final = "restart"
"""`pg_ctl restart -m immediate`."""

ANYWHERE: Final = (KILL, KILL, KILL, KILL_ALL, END, PAUSE, PAUSE, ZOMBIE, BURY_ALIVE)
DECKS: Final = {
    "sqlite": (*ANYWHERE, LOCK),
    "postgres": (*ANYWHERE, CUT, CUT, PARTITION, RESET, RESET, HALF_CLOSE, DELAY, RESTART, RESTART),
}
FATAL: Final = frozenset({KILL, KILL_ALL, BURY_ALIVE, ZOMBIE, PARTITION})
"""After these a worker may be held for dead; after any other it must not."""
NOBODY: Final = frozenset({RESTART, LOCK})
"""These befall the store, whatever else befalls its workers at the moment."""
AT_ONCE: Final = frozenset({KILL, KILL_ALL, PAUSE, RESET, HALF_CLOSE})
"""Whoever has suffered nothing but these, and is dead, was seen to die: no lease had to run out for it."""
LEASES: Final = {
    PAUSE: (0.05, 0.6),
    ZOMBIE: (1.3, 2.5),
    BURY_ALIVE: (0.1, 1.5),
    LOCK: (0.1, 0.5),
    CUT: (0.1, 0.6),
    PARTITION: (1.3, 2.5),
    DELAY: (0.5, 2.0),
}
"""For how many leases each lasts, at least and at most."""
REST: Final = 1.5
"""Seconds that a worker has to itself after a fault, to be replaced for example."""


class Fault(NamedTuple):
    """One thing that goes wrong."""

    at: float
    """Seconds from the beginning."""
    kind: str
    slots: tuple[int, ...]
    """Whom it befalls."""
    seconds: float
    """How long it lasts; 0 for what has no duration."""
    strength: float
    """A number from 0 to 1 for what else there is to choose."""


def schedule(seed: int, seconds: float, store: str, lease: float, workers: int, pace: float = 1.0) -> list[Fault]:
    """Decide what goes wrong.

    Args:
        seed: The same seed and arguments give the same faults.
        seconds: How long the storm lasts. Nothing begins or goes on in the last two leases.
        store: `sqlite` or `postgres`.
        lease: The workers' lease, in seconds.
        workers: How many there are.
        pace: Faults a second, at most; a worker has one at a time.
    """
    randomness = random.Random(f"{seed} {store}")
    free_at = [REST] * workers
    faults: list[Fault] = []
    deck: list[str] = []
    at = REST
    while True:
        if not deck:
            deck = list(DECKS[store])
            randomness.shuffle(deck)
        kind = deck.pop()
        slots: tuple[int, ...] = (randomness.randrange(workers),)
        if kind == KILL_ALL:
            slots = tuple(range(workers))
        elif kind in NOBODY:
            slots = ()
        at = max([at + randomness.expovariate(pace), *(free_at[slot] for slot in slots)])
        shortest, longest = LEASES.get(kind, (0.0, 0.0))
        duration = randomness.uniform(shortest, longest) * lease
        if at + duration > seconds - 2 * lease:
            return faults
        faults.append(Fault(at, kind, slots, duration, randomness.random()))
        for slot in slots:
            free_at[slot] = at + duration + REST
