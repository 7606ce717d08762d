"""One run of the golden path: start everybody, strike when it is time, and account for every message at the end."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import runstate
from runstate import Created, ExecutionState, ExecutionTracker, NoticeState, Transition, WaitTimeoutError

from ..chaos.places import PostgresPlace, place
from .plan import Blow, Plan, as_json
from .report import Account, Report
from .report import Final as FinalEvent
from .server import OUTBOX
from .site import Kill, Settings, Site

SETTLING: Final = 30.0
"""Seconds in which the outbox must be empty when nobody waits any more."""
OUTAGE: Final = 1.5
"""Seconds for which the model is away."""
EVERY: Final = 100
"""Answers after which it is said how far the run is."""


@dataclass(frozen=True)
class Options:
    """How a run is made."""

    workers: int
    at_once: int
    patience: float
    """Seconds until a message counts as silent."""
    settings: Settings
    keep: Path | None = None
    """A folder in which what the processes said on standard error is kept, and what users read."""


def golden(plan: Plan, options: Options, say: Callable[[str], None]) -> Report:
    """Run it.

    Args:
        plan: What will happen.
        options: How.
        say: Called with a line now and then.

    Raises:
        LookupError: There is no PostgreSQL on this machine; says how to get one.
    """
    began = time.monotonic()
    with place("postgres", 0) as here, tempfile.TemporaryDirectory(prefix="runstate-golden-") as folder:
        assert isinstance(here, PostgresPlace)
        site = Site(here.url, Path(folder), options.settings, options.workers)
        run = _Run(plan, site, here, say)
        try:
            run.follow(site.users(options.at_once, options.patience))
            seconds = time.monotonic() - began
            with runstate.open(here.url, read_only=True) as tracker:
                undelivered = _undelivered(tracker)
                site.end_workers()
                site.end_server()
                account = _accounted(tracker, site.kills)
        finally:
            site.kill()
            if options.keep is not None:
                (site.folder / "finals.jsonl").write_text(
                    "".join(json.dumps(one._asdict()) + "\n" for one in run.finals)
                )
                shutil.copytree(folder, options.keep, ignore=shutil.ignore_patterns("workers"), dirs_exist_ok=True)
        return Report(
            plan=plan,
            seconds=seconds,
            finals=run.finals,
            silent=run.silent,
            wrong=[*run.wrong, *site.complaints, *site.outcries()],
            counts=run.counts,
            account=account,
            undelivered=undelivered,
            findings=here.findings(),
            memory=site.memory,
        )


class _Run:
    """Listens to the users, and strikes when it is time."""

    def __init__(self, plan: Plan, site: Site, here: PostgresPlace, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._site = site
        self._here = here
        self._say = say
        self._strikes = plan.strikes[::-1]
        self._began = time.monotonic()
        self.finals: list[FinalEvent] = []
        self.silent: list[str] = []
        self.wrong: list[str] = []
        self.counts: Counter[str] = Counter()

    def follow(self, users: subprocess.Popen[str]) -> None:
        """Give the users their conversations, and listen until they have had them."""
        with users:
            try:
                self._talk(users)
            except BaseException:
                users.kill()
                raise
        if users.returncode != 0:
            self.wrong.append(f"the users ended with {users.returncode}")
        for strike in self._strikes:
            self.wrong.append(f"a strike never came: {strike}")

    def _talk(self, users: subprocess.Popen[str]) -> None:
        assert users.stdin is not None
        assert users.stdout is not None
        json.dump(as_json(self._plan.conversations), users.stdin)
        users.stdin.close()
        done, restarts = 0, list[threading.Thread]()
        for line in users.stdout:
            said = json.loads(line)
            word = said.pop("word")
            self._hear(word, said)
            if word not in {"answered", "silent"}:
                continue
            done += 1
            if done % EVERY == 0:
                self._site.look()
            if done % (10 * EVERY) == 0:
                self._say(f"{time.monotonic() - self._began:6.1f} s  {done:,} messages answered")
            while self._strikes and self._strikes[-1].after <= done:
                restarts += self._strike()
        for thread in restarts:
            thread.join()
        self._site.look()

    def _hear(self, word: str, said: dict[str, Any]) -> None:
        match word:
            case "final":
                self.finals.append(FinalEvent(**said))
            case "answered":
                pass
            case "silent":
                self.silent.append(str(said))
            case "wrong":
                self.wrong.append(said["what"])
            case "count":
                self.counts[said["what"]] += said["number"]
            case other:
                raise AssertionError(f"the users have said {other!r}")

    def _strike(self) -> list[threading.Thread]:
        strike = self._strikes.pop()
        self._say(f"{time.monotonic() - self._began:6.1f} s  {strike.blow.value}")
        if strike.blow is Blow.KILL:
            self._site.kill_worker(strike.slot)
        elif strike.blow is Blow.OUTAGE:
            return [self._site.begin_outage(OUTAGE)]
        elif strike.blow is Blow.SERVER:
            self._site.kill_server()
        else:
            thread = threading.Thread(target=self._here.restart)
            thread.start()
            return [thread]
        return []


def _undelivered(tracker: ExecutionTracker) -> list[str]:
    """Wait until the outbox is empty; return what is left in it, or was lost."""
    until = time.monotonic() + SETTLING
    while True:
        (outbox,) = (one for one in tracker.outboxes() if one.name == OUTBOX)
        if not outbox.pending + outbox.parked + outbox.lost:
            return []
        if time.monotonic() > until:
            break
        time.sleep(0.1)
    left = [f"{one}" for one in tracker.notices(outbox=OUTBOX) if one.state is not NoticeState.DELIVERED]
    return left + [f"{outbox.lost} notices were removed by retention"] * bool(outbox.lost)


def _accounted(tracker: ExecutionTracker, kills: list[Kill]) -> Account:
    """Read the whole journal."""
    pids = {worker.incarnation: worker.pid for worker in tracker.workers(departed=1_000)}
    at = {kill.pid: kill.at for kill in kills}
    account = Account()
    with tracker.subscribe(after=0) as events:
        while True:
            try:
                event = events.get(timeout=1.0)
            except WaitTimeoutError:
                break
            entry = event.entry
            if isinstance(entry, Created):
                account.begin(entry, at.get(pids.get(entry.incarnation)))
            elif isinstance(entry, Transition) and entry.target.is_terminal:
                account.end(entry)
            if isinstance(entry, Transition) and entry.target is ExecutionState.RUNNING:
                account.began.add(entry.execution_id)
    return account
