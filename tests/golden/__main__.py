"""`python -m tests.golden`, which is `make golden`. Exits with 1 if anything is below what is promised."""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from .plan import plan
from .run import Options, golden
from .site import Settings


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def main() -> int:
    """Run it; print the seed, what happens, and what it came to."""
    options = _options()
    say(
        f'replay: make golden ARGS="--seed {options.seed} --messages {options.messages} --at-once {options.at_once} '
        f"--workers {options.workers} --kills {options.kills} --restarts {options.restarts} --servers {options.servers} "
        f'--outages {options.outages} --pace {options.pace:g}"'
    )
    planned = plan(
        options.seed,
        options.messages,
        pace=options.pace,
        workers=options.workers,
        kills=options.kills,
        restarts=options.restarts,
        servers=options.servers,
        outages=options.outages,
    )
    settings = Settings(timeout=60.0, attempt_timeout=25.0, heartbeat_timeout=5.0, lease=10.0)
    report = golden(planned, Options(options.workers, options.at_once, options.patience, settings, options.keep), say)
    for line in report.lines():
        say(line)
    wrong = report.judge(is_full=True)
    say(f"\n{len(wrong)} findings")
    for finding in wrong[:100]:
        say(f"  {finding}")
    return 1 if wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("--seed", type=int, help="of all that happens; a new one by default, which is printed")
    parser.add_argument("--messages", type=int, default=10_000, help="of all users together (10,000)")
    parser.add_argument("--at-once", type=int, default=200, help="conversations at a time (200)")
    parser.add_argument("--workers", type=int, default=4, help="worker processes (4)")
    parser.add_argument("--kills", type=int, default=6, help="kill -9 of a worker (6)")
    parser.add_argument("--restarts", type=int, default=2, help="crashes of the database (2)")
    parser.add_argument("--servers", type=int, default=1, help="kill -9 of the chat server (1)")
    parser.add_argument("--outages", type=int, default=1, help="times that the model is away for everybody (1)")
    parser.add_argument("--pace", type=float, default=3.5, help="seconds that a turn takes on average (3.5)")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds until a message is silent (120)")
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="FOLDER",
        help="keep there what processes say on standard error, and what users read",
    )
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1_000_000)
    return options


if __name__ == "__main__":
    sys.exit(main())
