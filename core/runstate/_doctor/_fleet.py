"""What ails a fleet, whatever its store: the workers, the executions that hang, requests that nobody carries out, clocks.

A worker that is gone and what it has left are one diagnosis, however many executions it left; only the executions of workers that
are well are then asked why they hang.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from .._fleet import Worker, WorkerState
from .._records import Limits
from ._diagnosis import Diagnosis, counted, fine, listed, problem, span, warning

Read: TypeAlias = Callable[[str], Iterable[Mapping[str, Any]]]
"""Runs a query; gives its rows, columns by name."""

GRACE: Final = 10.0
"""Seconds that an owner may be late with what takes it milliseconds."""
SILENCE: Final = 900.0
"""Seconds without an entry after which an execution is named."""
APART: Final = 1.0
"""Seconds that two clocks may differ: more is no network and no buffer, but a clock that nobody sets."""
NAMED: Final = 100
"""Executions that a diagnosis carries."""
RECENT: Final = 1_000
"""The newest entries and executions, by whose times clocks are compared."""

_LEFT: Final = "SELECT x.execution_id FROM {schema}executions AS x WHERE x.worker = {worker} AND {live}"
_STUCK: Final = (
    "SELECT x.execution_id, w.incarnation, count(*) OVER () AS many FROM {schema}executions AS x "
    "JOIN {schema}workers AS w ON w.number = x.worker {joined} WHERE {live} AND x.worker IN ({workers}) AND {condition}"
)
_FIRST: Final = f" ORDER BY x.number LIMIT {NAMED}"
_OVERDUE: Final = "coalesce(x.created_at_ns + x.timeout * 1e9 < {ns}, FALSE)"
_NEWEST: Final = (
    "SELECT w.number, w.incarnation, max(recent.at_ns) AS at_ns FROM (SELECT number, worker, at_ns FROM {schema}entries "  # noqa: S608 - our own names and numbers
    f"ORDER BY position DESC LIMIT {RECENT}) AS recent "
    "JOIN {schema}executions AS x ON x.number = recent.number AND x.worker = recent.worker "
    "JOIN {schema}workers AS w ON w.number = recent.worker GROUP BY w.number, w.incarnation ORDER BY w.number"
)
"""Only of what each owns: a burial is never before the last entry of whom it buries, so its time may be the dead worker's."""
_BEGUN: Final = (
    "SELECT worker, min(created_at_ns) AS at_ns FROM (SELECT worker, created_at_ns FROM {schema}executions "  # noqa: S608 - our own names and numbers
    f"ORDER BY number DESC LIMIT {RECENT}) AS recent GROUP BY worker"
)


class Fleet(NamedTuple):
    """A fleet as its store shows it."""

    read: Read
    schema: str
    """What stands before the name of a table."""
    live: str
    """The condition that an execution x is live."""
    workers: Sequence[Worker]
    """All that are alive or have something live."""
    rows: int
    """How many workers the store knows, in all."""
    present: Collection[str]
    """Incarnations of those that are there, by another sign than their lease."""
    gone: Mapping[str, str]
    """Those that are not, by such a sign, and what was seen."""
    now_ns: int
    """The time of the store, in nanoseconds since the Unix epoch."""
    locker: str | None = None
    """Who holds a lock that keeps every renewal out, if somebody does."""

    def ask(self, query: str, **parts: object) -> list[Mapping[str, Any]]:
        """Run one of the queries above."""
        return list(self.read(query.format(schema=self.schema, live=self.live, **parts)))


def fleet(found: Fleet) -> Iterator[Diagnosis]:
    """Yield what is to be said of a fleet."""
    ailing = {worker.number: said for worker in found.workers for said in _worker(found, worker)}
    known = [worker for worker in found.workers if worker.state is WorkerState.ALIVE]
    alive = [worker for worker in known if not worker.expired and worker.incarnation not in found.gone]
    lost = len(known) - len(alive)
    yield from ailing.values()
    live = sum(worker.live for worker in found.workers)
    yield fine(
        "worker",
        f"{counted(len(alive), 'worker')} alive{f', {lost:,} gone or silent' if lost else ''}, {counted(live, 'live execution')}; "
        f"{counted(found.rows, 'worker')} known in all",
        "every worker that is alive renews its lease, and who is gone has nothing live",
    )
    well = [worker.number for worker in found.workers if worker.number not in ailing]
    skews = _skews(found)
    yield from _executions(found, well, {skew.number: skew for skew in skews})
    yield from _requests(found, well)
    yield from _clocks(skews)


def _worker(found: Fleet, worker: Worker) -> Iterator[Diagnosis]:
    name, left = _name(worker), ""
    ids: list[str] = []
    if worker.live:
        rows = found.ask(_LEFT + _FIRST, worker=worker.number)
        ids = [row["execution_id"] for row in rows]
        left = f"; it has left {counted(worker.live, 'live execution')}: {listed(ids, worker.live)}"
    others = any(
        one.state is WorkerState.ALIVE and not one.expired and one.incarnation in found.present
        for one in found.workers
        if one is not worker
    )
    settle = (
        "the workers that are alive should have done it: look at their logs"
        if others
        else "nobody else is there to do it: start a worker, or anything that opens the journal for writing"
    )
    if worker.fence is not None:
        fence = worker.fence
        when = span(max(0.0, (found.now_ns - fence.at_ns) / 1e9))
        seen = "" if fence.reason is None else f" ({fence.reason})"
        yield problem(
            "worker",
            f"{name} was fenced {when} ago by {fence.by}, {fence.cause.name}{seen}{left}",
            "whoever fences a worker ends all that it has left, at once",
            f"{settle}; the burial goes on from where it stopped",
            ids,
        )
    elif worker.state is WorkerState.ALIVE and worker.incarnation in found.gone:
        say = problem if worker.live else warning
        what = f"{name} is gone, and nobody has fenced it: {found.gone[worker.incarnation]}{left}"
        yield say(
            "worker", what, "a dead worker is fenced, and what it has left is ended, within its lease", settle, ids
        )
    elif worker.state is WorkerState.ALIVE and worker.expired:
        say = problem if worker.live else warning
        age = "in another boot of its machine" if worker.renewed_age is None else f"{span(worker.renewed_age)} ago"
        what = f"{name} has renewed its lease of {span(worker.lease or 0.0)} {age} for the last time{left}"
        if found.locker is not None:
            say = warning
            what += f"; nobody can renew while {found.locker} holds the write lock, so this silence says nothing"
            settle = "see `lock` above, and ask again when the lock is free: who is well renews within a second"
        elif worker.incarnation in found.present:
            what += "; its process is there, so it stands still"
            settle = f"look at process {worker.pid} on {worker.host}: it is stopped, starved or swapped out"
        yield say("worker", what, "a worker renews its lease at least four times while it lasts", settle, ids)
    elif worker.lease is None and worker.live:
        yield warning(
            "worker",
            f"{name} writes but never joined the fleet{left}",
            "a worker joins before it writes, so that its end is seen",
            "let it run with this version of runstate, or end its executions yourself; no lease of its own runs out",
            ids,
        )


def _executions(found: Fleet, well: Sequence[int], skews: Mapping[int, _Skew]) -> Iterator[Diagnosis]:
    said = list(_hanging(found, [number for number in well if number not in skews], *_unless_locked(found)))
    for number in well:
        if number in skews:
            doubt = "; as far as can be told, for the clock of its owner is wrong (see `clock`)"
            said += _hanging(found._replace(now_ns=skews[number].now_ns), [number], warning, doubt)
    yield from said
    if not said:
        yield fine(
            "execution", "no execution hangs", f"each is within its limit, and says something every {span(SILENCE)}"
        )


def _hanging(found: Fleet, owners: Sequence[int], say: Callable[..., Diagnosis], excuse: str) -> Iterator[Diagnosis]:
    overdue = _OVERDUE.format(ns=found.now_ns - round(GRACE * 1e9))
    late = _stuck(found, owners, overdue)
    if late is not None:
        yield say(
            "execution",
            f"{late.said} past their time limit by more than {span(GRACE)}, and their owners are there: {late}{excuse}",
            "an owner ends an execution as TIMEOUT within milliseconds of its limit",
            "look at those processes: they are starved or stuck, or their clocks are wrong",
            late.ids,
        )
    quiet = f"x.updated_at_ns < {found.now_ns - round(SILENCE * 1e9)} AND NOT {overdue}"
    silent = _stuck(found, owners, quiet)
    if silent is not None:
        yield warning(
            "execution",
            f"{silent.said} without a move or a phase for more than {span(SILENCE)}: {silent}{excuse}",
            "an agent says what it is doing (heartbeats are not stored, so they cannot be seen from here)",
            "look at one with `runstate show`; give such agents a heartbeat_timeout, or end it with `runstate cancel`",
            silent.ids,
        )


def _requests(found: Fleet, well: Sequence[int]) -> Iterator[Diagnosis]:
    asked = f"r.asked_at_ns < {found.now_ns - round(GRACE * 1e9)}"
    waiting = _stuck(found, well, asked, f"JOIN {found.schema}requests AS r ON r.number = x.number")
    if waiting is None:
        yield fine("request", "no request to cancel is waiting", f"each is carried out within {span(GRACE)}")
        return
    say, excuse = _unless_locked(found)
    yield say(
        "request",
        f"{waiting.said} live, though somebody asked to cancel them more than {span(GRACE)} ago: {waiting}{excuse}",
        "the owner, or who buries it, carries out a request within milliseconds",
        "look at those processes; if one is stuck, kill it, and its executions end as CANCELLED",
        waiting.ids,
    )


def _unless_locked(found: Fleet) -> tuple[Callable[..., Diagnosis], str]:
    """How bad it is that an end is not recorded, and what excuses it."""
    if found.locker is None:
        return problem, ""
    return warning, f"; nobody can record an end while {found.locker} holds the write lock"


class _Stuck(NamedTuple):
    ids: list[str]
    many: int
    owners: list[str]

    @property
    def said(self) -> str:
        return f"{counted(self.many, 'execution')} {'is' if self.many == 1 else 'are'}"

    def __str__(self) -> str:
        owners = ", ".join(self.owners[:3]) + (" and others" if len(self.owners) > 3 else "")
        return f"{listed(self.ids, self.many)}; owned by {owners}"


def _stuck(found: Fleet, well: Sequence[int], condition: str, joined: str = "") -> _Stuck | None:
    workers = ", ".join(map(str, well)) or "NULL"
    rows = found.ask(_STUCK + _FIRST, joined=joined, workers=workers, condition=condition)
    if not rows:
        return None
    owners = list(dict.fromkeys(row["incarnation"] for row in rows))
    return _Stuck([row["execution_id"] for row in rows], rows[0]["many"], owners)


class _Skew(NamedTuple):
    """A worker's clock that is known to be wrong."""

    number: int
    incarnation: str
    now_ns: int
    """What it shows now, as far as that is known."""
    said: str


def _skews(found: Fleet) -> list[_Skew]:
    """Compare the times that workers write with the store's; all that can be known of their clocks are bounds."""
    skews: list[_Skew] = []
    for row in found.ask(_NEWEST):
        ahead = (row["at_ns"] - found.now_ns) / 1e9
        if ahead > APART:
            said = f"at least {span(ahead)} ahead: it has written a time that is yet to come"
            skews.append(_Skew(row["number"], row["incarnation"], row["at_ns"], said))
    begun: dict[int, int] = {row["worker"]: row["at_ns"] for row in found.ask(_BEGUN)}
    for worker in found.workers:
        if worker.started_at_ns is not None and worker.number in begun:
            behind_ns = worker.started_at_ns - begun[worker.number]
            if behind_ns > GRACE * 1e9:
                said = f"about {span(behind_ns / 1e9)} behind: what it began is older than its joining"
                skews.append(_Skew(worker.number, worker.incarnation, found.now_ns - behind_ns, said))
    return skews


def _clocks(skews: Sequence[_Skew]) -> Iterator[Diagnosis]:
    for skew in skews:
        yield warning(
            "clock",
            f"the clock of worker {skew.incarnation} is {skew.said}",
            f"within {span(APART)} of the store's; no lease goes by it, but the times in the history do",
            "set that machine's clock (NTP)",
        )
    if not skews:
        yield fine("clock", "no worker's clock is known to be wrong", f"within {span(APART)} of the store's clock")


def _name(worker: Worker) -> str:
    return f"worker {worker.incarnation}"


def retention(ended: int, oldest_ns: int | None, pruned: int, now_ns: int, looked_ns: int | None) -> Diagnosis:
    """Say what is kept.

    Args:
        ended: How many executions that have ended are kept.
        oldest_ns: When the oldest of them ended, in nanoseconds since the Unix epoch.
        pruned: The newest position that was removed; 0 if none was.
        now_ns: The time of the store.
        looked_ns: When somebody looked for what is past its retention, if that is known.
    """
    limits = Limits()
    age = 0.0 if oldest_ns is None else (now_ns - oldest_ns) / 1e9
    what = f"{counted(ended, 'execution')} that {'has' if ended == 1 else 'have'} ended"
    what += "" if oldest_ns is None else f", the oldest {span(max(0.0, age))} ago"
    what += f"; removed up to position {pruned:,}" if pruned else "; nothing was ever removed"
    what += f"; last looked {span(max(0.0, (now_ns - looked_ns) / 1e9))} ago" if looked_ns else ""
    expected = f"by default {limits.retained_executions:,} are kept, for {span(limits.retention)}; each program may set its own"
    if ended > limits.retained_executions * 1.1 or age > limits.retention + 86_400:
        return warning(
            "retention", what, expected, "fine if that is how it is set; else nobody writes, who would remove them"
        )
    return fine("retention", what, expected)
