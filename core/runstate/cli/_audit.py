"""`runstate audit`: what the audit found, as text, JSON or SARIF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from runstate import ExecutionState
from runstate.audit import Definition, Finding, Level, Report, audit, new_findings, sarif, write_baseline

from ._console import Plain, UsageError, print_json, print_view, shown, state_text
from ._progress import counting

OK: Final = 0
WRONG: Final = 1

_STYLES: Final = {Level.ERROR: "bold red", Level.WARNING: "yellow", Level.NOTE: "cyan"}


def report_on(
    paths: Sequence[str],
    *,
    form: str,
    baseline: str | None,
    write: bool,
    fail_on: Level,
    rules: Sequence[str],
    exclude: Sequence[str],
    jobs: int | None,
) -> int:
    """Audit paths, print the report, and return 1 if a finding of the level `fail_on` or worse is new.

    Args:
        paths: Files and directories.
        form: `text`, `json` or `sarif`.
        baseline: A file of findings that are known already.
        write: Write that file instead of reading it.
        fail_on: The least level that fails.
        rules: Ids of the rules to apply; none stands for all.
        exclude: Names of directories to leave out.
        jobs: Processes to use; None takes one a CPU.

    Raises:
        UsageError: `write` without `baseline`.
        InvalidValueError: A path, rule, number or baseline that cannot be used.
    """
    if write and baseline is None:
        raise UsageError("--write-baseline needs the file to write: --baseline FILE")
    with counting("auditing") as progress:
        report = audit(paths, jobs=jobs, exclude=exclude, rules=rules, progress=progress)
    known = 0
    if baseline is not None and write:
        write_baseline(baseline, report.findings)
        print_view(Text(f"{len(report.findings):,} findings written to ").append_text(shown(baseline)))
        return OK
    if baseline is not None:
        new = new_findings(baseline, report.findings)
        known = len(report.findings) - len(new)
        report = report._replace(findings=new)
    if form == "json":
        print_json(report_data(report, known))
    elif form == "sarif":
        print_json(sarif(report.findings))
    else:
        print_view(*_views(report, known))
    return WRONG if any(one.level.rank >= fail_on.rank for one in report.findings) else OK


def report_data(report: Report, known: int) -> dict[str, Plain]:
    """Describe a report as data."""
    return {
        "files": report.files,
        "known": known,
        "findings": [{**one._asdict(), "level": one.level.value} for one in report.findings],
        "definitions": [_definition_data(one) for one in report.definitions],
    }


def _definition_data(one: Definition) -> dict[str, Plain]:
    members = {member.name: None if member.state is None else member.state.value for member in one.members}
    return {**one._asdict(), "members": members}


def _views(report: Report, known: int) -> list[RenderableType]:
    views: list[RenderableType] = [_finding_text(one) for one in report.findings]
    if views:
        views.append("")
    competing = [one for one in report.definitions if one.kind == "state" and one.is_competing]
    if competing and any(one.rule == "state-lookalike" for one in report.findings):
        modules = len({one.module for one in competing})
        title = f"{_count(len(competing), 'definition')} of an execution's states in {_count(modules, 'module')}"
        views += [Text(title, "bold").append(", and there should be one: runstate.ExecutionState", "not bold")]
        views += [_mapping(competing), ""]
    counts = [
        _count(sum(one.level is level for one in report.findings), level.value)
        for level in Level
        if any(one.level is level for one in report.findings)
    ]
    total = ", ".join(counts) or "nothing found"
    before = f"; {known:,} known from the baseline" if known else ""
    views.append(Text(f"{total} in {_count(report.files, 'file')}{before}", "dim"))
    return views


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _finding_text(one: Finding) -> Text:
    text = shown(f"{one.path}:{one.line}:{one.column}", "bold").append(": ", "not bold")
    text.append(f"{one.level.value} {one.rule}", _STYLES[one.level]).append(": ", "not bold")
    return text.append_text(shown(one.message, "not bold")).append("; ").append_text(shown(one.remedy, "not bold dim"))


def _mapping(definitions: Sequence[Definition]) -> Table:
    """What each definition calls each state, one state a row."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("ExecutionState", no_wrap=True)
    for one in definitions:
        table.add_column(shown(f"{one.module}.{one.name} ({one.form})"), overflow="fold")
    for state in ExecutionState:
        table.add_row(state_text(state), *(_names(one, state) for one in definitions))
    if any(member.state is None for one in definitions for member in one.members):
        table.add_row(Text("none", "dim"), *(_names(one, None) for one in definitions))
    return table


def _names(definition: Definition, state: ExecutionState | None) -> Text:
    return shown(", ".join(member.name for member in definition.members if member.state is state) or "–")
