"""`python -m tests.chaos`, which is `make chaos`: the long proofs, one after the other. Exits with 1 if anything is wrong."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable
from pathlib import Path

from ..web.crowd import crowd
from . import deaths, hosts
from .places import place
from .slow import slow
from .stores import STORES
from .storm import storm


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def main() -> int:
    """Run what was asked for; print times, seeds and findings."""
    options = _options()
    proofs: dict[str, Callable[[str, argparse.Namespace], list[str]]] = {
        "crowd": _crowd,
        "deaths": _deaths,
        "hosts": _hosts,
        "slow": _slow,
        "storm": _storm,
    }
    wrong: list[str] = []
    for name, proof in proofs.items():
        for store in STORES:
            if options.only in {None, name} and options.store in {None, store}:
                say(f"== {name}, {store}")
                wrong += [f"{name}, {store}: {finding}" for finding in proof(store, options)]
    say(f"\n{len(wrong)} findings")
    for finding in wrong[:100]:
        say(f"  {finding}")
    return 1 if wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--only", choices=("crowd", "deaths", "slow", "storm", "hosts"), help="one proof; all of them by default"
    )
    parser.add_argument("--store", choices=STORES, help="one store; both by default")
    parser.add_argument(
        "--seed", type=int, help="of the storm and of what is slow; a new one by default, which is printed"
    )
    parser.add_argument("--minutes", type=float, help="how long a storm rages (20), or workers are slow (10)")
    parser.add_argument("--lease", type=float, help="seconds of the workers' lease (2 in a storm, else 10)")
    parser.add_argument("--kills", type=int, default=200, help="workers that are killed for the time of death (200)")
    parser.add_argument("--clients", type=int, default=2_000, help="clients of the web app in a crowd (2,000)")
    parser.add_argument("--pace", type=float, default=1.0, help="faults a second in a storm, at most (1)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the side logs of a storm there")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1_000_000)
    return options


def _crowd(store: str, options: argparse.Namespace) -> list[str]:
    with place(store, 0) as here:
        found = crowd(here.url, clients=options.clients, rounds=6)
    for line in found.lines:
        say(line)
    return found.wrong


def _deaths(store: str, options: argparse.Namespace) -> list[str]:
    said, wrong = deaths.measure(store, options.kills, options.lease or 2.0, stopped=5)
    for line in said:
        say(line)
    return wrong


def _hosts(store: str, options: argparse.Namespace) -> list[str]:
    said, wrong = hosts.measure(store, options.lease or 2.0)
    for line in said:
        say(line)
    return wrong


def _slow(store: str, options: argparse.Namespace) -> list[str]:
    return slow(store, options.seed, (options.minutes or 10.0) * 60, options.lease or 10.0, say)


def _storm(store: str, options: argparse.Namespace) -> list[str]:
    minutes = options.minutes or 20.0
    lease = options.lease or 2.0
    say(
        f'replay: make chaos ARGS="--only storm --store {store} --seed {options.seed} --minutes {minutes:g} '
        f'--lease {lease:g} --pace {options.pace:g}"'
    )
    outcome = storm(store, options.seed, minutes * 60, lease, pace=options.pace, say=say, keep=options.keep)
    for line in outcome.lines():
        say(line)
    return outcome.findings


if __name__ == "__main__":
    sys.exit(main())
