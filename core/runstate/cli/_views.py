"""What the commands show to people, as rich renderables. Data only ever enters as `Text`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from runstate import (
    CAUSES,
    TRANSITIONS,
    CancelRequest,
    Cause,
    Created,
    Entry,
    Evidence,
    ExecutionRecord,
    ExecutionState,
    Finding,
    Phase,
    PhaseChange,
    RejectedMove,
    Transition,
    Worker,
)

from ._console import moment, shown, span, state_text
from ._fleet import owner_text, rejected_text, request_text
from ._listing import Listing

_NAME: Final = 40
"""Characters of a name that a listing shows."""
_ONE_LINE: Final = 80
"""Characters up to which JSON is shown on one line."""


def executions_view(records: Sequence[ExecutionRecord]) -> RenderableType:
    """Executions, one a row."""
    last = "doing, or why it ended"
    columns = {
        "execution": [shown(record.execution_id, "bold") for record in records],
        "state": [state_text(record.state) for record in records],
        "agent": [shown(record.agent, limit=_NAME) for record in records],
        "thread": [shown(record.thread_id, limit=_NAME) for record in records],
        "user": [shown(record.user_id, limit=_NAME) for record in records],
        "created (UTC)": [Text(moment(record.created_at_ns)) for record in records],
        "took": [Text("" if record.duration is None else span(record.duration)) for record in records],
        last: [_now(record) for record in records],
    }
    by_importance = ["execution", "state", "took", "thread", last, "created (UTC)", "user", "agent"]
    if any(record.attempt > 1 for record in records):  # most executions are the only attempt
        columns = {"execution": columns.pop("execution"), "try": [_try(record) for record in records], **columns}
        by_importance.insert(2, "try")
    return Listing(columns, by_importance, right={"took", "try"}, cut=last)


def _try(record: ExecutionRecord) -> Text:
    return Text(str(record.attempt))


def _now(record: ExecutionRecord) -> Text:
    if record.cause is None:
        return _phase_text(record.phase, record.phase_detail)
    text = Text(record.cause.name)
    return text.append(" ").append_text(shown(record.error, "dim", 100)) if record.error else text


def _phase_text(phase: Phase | None, detail: str | None) -> Text:
    if phase is None:
        return Text("")
    text = Text(phase.name)
    if detail:
        text.append(" ").append_text(shown(detail, "dim", 100))
    return text


def execution_view(
    record: ExecutionRecord,
    timeline: Sequence[Entry],
    *,
    chain: Sequence[ExecutionRecord],
    owner: Worker | None,
    request: CancelRequest | None,
    rejected: RejectedMove | None,
) -> RenderableType:
    """One execution: its facts, its log, its end, and what the others have to do with it."""
    head = Text("execution ").append_text(shown(record.execution_id, "bold")).append("  ")
    head.append_text(state_text(record.state, record.cause))
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("agent", shown(record.agent))
    facts.add_row("thread", shown(record.thread_id))
    facts.add_row("user", shown(record.user_id))
    if record.message_id is not None:
        facts.add_row("message", shown(record.message_id))
    if len(chain) > 1:
        facts.add_row("chain", _chain_text(record, chain))
    facts.add_row("created", f"{moment(record.created_at_ns)} UTC")
    if record.duration is not None:
        facts.add_row("took", span(record.duration))
    facts.add_row("limits", _limits(record))
    facts.add_row("owner", owner_text(record.incarnation, owner))
    if request is not None:
        facts.add_row("cancel", request_text(request))
    if record.metadata_json is not None:
        facts.add_row("metadata", _json_text(record.metadata))
    parts: list[RenderableType] = [head, Padding(facts, (0, 0, 1, 2), expand=False), _timeline_view(record, timeline)]
    end = _end_view(record)
    if end is not None:
        parts.append(Padding(end, (1, 0, 0, 2), expand=False))
    if rejected is not None:
        parts.append(Padding(_rejected_view(rejected), (1, 0, 0, 2), expand=False))
    return Group(*parts)


def _chain_text(record: ExecutionRecord, chain: Sequence[ExecutionRecord]) -> Text:
    """The attempts of the chain that an execution belongs to, one a line."""
    text = Text(f"attempt {record.attempt} of {chain[-1].attempt}")
    for one in chain:
        text.append(f"\n{one.attempt}  ", "dim").append_text(shown(one.execution_id, "bold" if one == record else ""))
        text.append("  ").append_text(state_text(one.state, one.cause))
    return text


def _limits(record: ExecutionRecord) -> str:
    timeout = "no time limit" if record.timeout is None else f"{span(record.timeout)} in all"
    if record.heartbeat_timeout is None:
        return timeout
    return f"{timeout}, {span(record.heartbeat_timeout)} without a beat"


def _timeline_view(record: ExecutionRecord, timeline: Sequence[Entry]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("seq", justify="right", style="dim")
    table.add_column("time (UTC)", no_wrap=True, style="dim")
    table.add_column("after", justify="right", no_wrap=True)
    table.add_column("what happened", overflow="fold")
    for entry in timeline:
        since = (entry.at_ns - record.created_at_ns) / 1e9
        table.add_row(str(entry.seq), moment(entry.at_ns), span(since), _entry_text(entry))
    return table


def _entry_text(entry: Entry) -> Text:
    if isinstance(entry, Created):
        return Text("created")
    if isinstance(entry, PhaseChange):
        return Text("  ").append_text(_phase_text(entry.phase, entry.detail))
    if isinstance(entry, Transition):
        text = state_text(entry.source).append(" → ", "dim")
        return text.append_text(state_text(entry.target, entry.cause))
    text = Text("warned of ").append_text(state_text(ExecutionState.DEAD, entry.cause))
    return text if not entry.detail else text.append("\n").append_text(shown(entry.detail, "dim"))


def _end_view(record: ExecutionRecord) -> Table | None:
    if not record.is_terminal:
        return None
    end = Table.grid(padding=(0, 2))
    end.add_column(style="dim", no_wrap=True)
    end.add_column(overflow="fold")
    if record.error is not None:
        end.add_row("error", shown(record.error, "red"))
    if record.state is ExecutionState.COMPLETED:
        end.add_row("result", _json_text(record.result))
    if record.evidence is not None:
        _add_evidence(end, record.evidence)
    return end


def _rejected_view(rejected: RejectedMove) -> Table:
    late = Table.grid(padding=(0, 2))
    late.add_column(style="dim", no_wrap=True)
    late.add_column(overflow="fold")
    late.add_row("too late", rejected_text(rejected))
    if rejected.move.target is ExecutionState.COMPLETED:
        late.add_row("result", _json_text(rejected.move.result))
    return late


def _add_evidence(end: Table, evidence: Evidence) -> None:
    age = (
        ""
        if evidence.last_beat_age is None
        else f", the last sign of life {span(evidence.last_beat_age)} before the end"
    )
    beats = f"{evidence.beats} heartbeat{'' if evidence.beats == 1 else 's'}"
    end.add_row("evidence", shown(f"decided by {evidence.observer}; {beats}{age}"))
    if evidence.last_phase is not None:
        end.add_row("", Text("in phase ").append_text(_phase_text(evidence.last_phase, evidence.last_phase_detail)))
    if evidence.reason is not None:
        end.add_row("", shown(f"reason given: {evidence.reason}"))
    if evidence.stack is not None:
        end.add_row("stack", shown(evidence.stack))


def _json_text(value: object) -> Text:
    short = json.dumps(value, ensure_ascii=False)
    return shown(short if len(short) <= _ONE_LINE else json.dumps(value, ensure_ascii=False, indent=2))


def states_view() -> RenderableType:
    """The transition table, the causes and the phases."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("state", no_wrap=True)
    table.add_column("may become")
    table.add_column("because of")
    for state in ExecutionState:
        targets = [target for target in ExecutionState if target in TRANSITIONS[state]]
        causes = [cause.name for cause in Cause if cause in CAUSES.get(state, frozenset())]
        table.add_row(
            state_text(state),
            Text(", ").join(map(state_text, targets)) if targets else Text("nothing: an end is final", "dim"),
            Text(", ".join(causes), "dim"),
        )
    pairs = sum(map(len, TRANSITIONS.values()))
    states = len(ExecutionState)
    note = Text(f"{pairs} of {states * states} pairs are legal. A live execution is in one of the phases ", "dim")
    return Group(table, "", note.append(", ".join(phase.name for phase in Phase)).append("."))


def findings_view(findings: Sequence[Finding]) -> RenderableType:
    """What `verify` has found, one a row."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("rule", style="red", no_wrap=True)
    table.add_column("what is wrong", overflow="fold")
    for finding in findings:
        message = shown(finding.message)
        if finding.execution_id is not None:
            message = shown(finding.execution_id, "bold").append(": ", "not bold").append_text(message)
        table.add_row(finding.rule, message)
    return table
