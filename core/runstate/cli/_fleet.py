"""What the commands about a fleet show: workers, what an execution's owner and others have to do with it, what the doctor says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from runstate import CancelRequest, Diagnosis, RejectedMove, Severity, Worker, WorkerState

from ._console import moment, shown, span, state_text
from ._listing import Listing

_STATES: Final = {WorkerState.ALIVE: "green", WorkerState.LEFT: "dim", WorkerState.FENCED: "magenta"}
_SEVERITIES: Final = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.PROBLEM: "bold red"}


def workers_view(workers: Sequence[Worker]) -> RenderableType:
    """Workers, one a row; under them who is not heard of, who fenced whom, and why."""
    columns = {
        "worker": [shown(worker.incarnation, "bold") for worker in workers],
        "state": [worker_text(worker) for worker in workers],
        "live": [Text(f"{worker.live:,}") for worker in workers],
        "renewed": [_renewed(worker) for worker in workers],
        "lease": [Text("" if worker.lease is None else span(worker.lease)) for worker in workers],
        "pid": [Text("" if worker.pid is None else str(worker.pid)) for worker in workers],
        "host": [shown(worker.host) for worker in workers],
        "joined (UTC)": [
            Text("" if worker.started_at_ns is None else moment(worker.started_at_ns)) for worker in workers
        ],
    }
    by_importance = ("worker", "state", "live", "renewed", "lease", "pid", "joined (UTC)", "host")
    listing = Listing(columns, by_importance, right={"live", "renewed", "lease", "pid"})
    said = [(worker, text) for worker in workers if (text := silence_text(worker) or fence_text(worker))]
    return Group(listing, "", *(_said_view(worker, text) for worker, text in said)) if said else listing


def worker_text(worker: Worker) -> Text:
    """A worker's state by its name, in its colour."""
    if worker.state is WorkerState.ALIVE and worker.gone is not None:
        return Text("GONE", "bold red")
    if worker.state is WorkerState.ALIVE and worker.expired:
        return Text("ALIVE?", "yellow")
    return Text(worker.state.name, _STATES[worker.state])


def silence_text(worker: Worker) -> Text:
    """Why a worker may be gone although nobody has fenced it; nothing if it is well, or the journal knows it to be gone."""
    if worker.state is not WorkerState.ALIVE:
        return Text("")
    if worker.gone is not None:
        return shown(worker.gone).append("; nobody has fenced it yet")
    if not worker.expired or worker.lease is None:
        return Text("")
    if worker.renewed_age is None:
        return Text("its lease is of another boot of its machine: it is gone")
    return Text(f"its lease ran out {span(max(0.0, worker.renewed_age - worker.lease))} ago: gone unless it comes back")


def _renewed(worker: Worker) -> Text:
    if worker.lease is None:
        return Text("never joined", "dim")
    return Text("before a reboot" if worker.renewed_age is None else f"{span(worker.renewed_age)} ago")


def _said_view(worker: Worker, said: Text) -> RenderableType:
    return Group(shown(worker.incarnation, "bold"), Padding(said, (0, 0, 0, 4), expand=False))


def fence_text(worker: Worker) -> Text:
    """Who holds a worker for dead, when and why; nothing if nobody does."""
    fence = worker.fence
    if fence is None:
        return Text("")
    text = Text(f"fenced {moment(fence.at_ns)} UTC by ").append_text(shown(fence.by)).append(f", {fence.cause.name}")
    return text if fence.reason is None else text.append(": ").append_text(shown(fence.reason))


def owner_text(incarnation: str, owner: Worker | None) -> Text:
    """An execution's owner, and whether it is there."""
    text = shown(incarnation)
    if owner is None:
        return text
    text.append("  ").append_text(worker_text(owner))
    if owner.state is WorkerState.ALIVE:
        if owner.lease is not None:
            text.append(", its lease renewed ").append_text(_renewed(owner))
        silence = silence_text(owner)
        return text.append("\n").append_text(silence) if silence else text
    return text if owner.fence is None else text.append("\n").append_text(fence_text(owner))


def request_text(request: CancelRequest) -> Text:
    """Who wants an execution to be cancelled, when and why."""
    text = Text("asked for ").append(f"{moment(request.at_ns)} UTC by ").append_text(shown(request.by))
    return text if request.reason is None else text.append(": ").append_text(shown(request.reason))


def rejected_text(rejected: RejectedMove) -> Text:
    """The end that came too late."""
    move = rejected.move
    text = state_text(move.target, move.cause)
    text.append(
        f"  tried {moment(move.at_ns)} UTC, refused {moment(rejected.rejected_at_ns)} UTC: its owner was fenced"
    )
    return text if move.error is None else text.append("\n").append_text(shown(move.error, "red"))


def diagnoses_view(diagnoses: Sequence[Diagnosis]) -> RenderableType:
    """What was looked at; of what is amiss also what was expected, and what to do."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for one in diagnoses:
        said = shown(one.found)
        if one.severity is not Severity.OK:
            said.append("\nexpected: ", "dim").append_text(shown(one.expected, "dim"))
        if one.advice is not None:
            said.append("\ndo: ").append_text(shown(one.advice))
        grid.add_row(Text(one.severity.name, _SEVERITIES[one.severity]), Text(one.topic), said)
    return grid


def verdict_text(diagnoses: Sequence[Diagnosis], journal: Text) -> Text:
    """How many things are amiss, in one line."""
    problems = sum(one.severity is Severity.PROBLEM for one in diagnoses)
    warnings = sum(one.severity is Severity.WARNING for one in diagnoses)
    if not problems and not warnings:
        return Text("well", "bold green").append(": nothing is amiss in ", "none").append_text(journal)
    said = ", ".join(
        f"{count} {noun}{'' if count == 1 else 's'}"
        for count, noun in ((problems, "problem"), (warnings, "warning"))
        if count
    )
    return Text(said, "bold red" if problems else "bold yellow").append(" in ", "none").append_text(journal)
