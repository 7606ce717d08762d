"""What must hold after every run, whatever happened in it.

1. Every execution that the journal knows has ended, in exactly one terminal state, and that is the last entry of its log.
2. Every entry of which the journal has told the process that it is durable is there, as it was.
3. The journal is sound: `runstate.verify` finds nothing. So nothing was written by a process after it had been given up.
4. A process that only blocked was not given up, unless the machine held it up besides.
5. The process has ended in time, and unless the laboratory killed it, by itself: with its tracker closed, or with an error that
   closing it has raised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from runstate import Cause, Entry, ExecutionRecord, Finding, Transition

from ._channel import Ended, Found
from ._faults import Fault


def problems(
    found: Found,
    stored: Sequence[Entry],
    fault: Fault | None,
    exit_code: int | None,
    ended: Ended | None,
    *,
    stalled: bool,
) -> Iterator[str]:
    """Say which promises were broken.

    Args:
        found: What is in the journal.
        stored: What it had promised.
        fault: What had happened.
        exit_code: How the process ended; None if it did not.
        ended: What it said last, if it came to that.
        stalled: Whether the machine itself let it stand still for too long.
    """
    if exit_code is None:
        yield "the process did not end in time; what its threads did is printed below"
    elif ended is None and fault is not Fault.KILL:
        how = f"was killed by signal {-exit_code}" if exit_code < 0 else f"exited with code {exit_code}"
        yield f"the process {how} before its tracker was closed, and the laboratory did not do it"
    logs = {record.execution_id: log for record, log in zip(found.records, found.timelines, strict=True)}
    for record in found.records:
        yield from _of_execution(record, logs[record.execution_id], only_blocked=fault is Fault.BLOCK and not stalled)
    yield from _of_promises(logs, stored)
    yield from map(_finding, found.findings)


def _of_execution(record: ExecutionRecord, log: Sequence[Entry], *, only_blocked: bool) -> Iterator[str]:
    name = f"execution {record.execution_id} of {record.agent}"
    ends = [entry for entry in log if isinstance(entry, Transition) and entry.target.is_terminal]
    if not record.is_terminal:
        yield f"{name} is still {record.state.name}, and nobody is left to end it"
    elif len(ends) != 1 or log[-1] is not ends[0] or ends[0].target is not record.state:
        said = ", ".join(end.target.name for end in ends) or "none"
        yield f"{name} must have exactly one end, the last entry of its log, and it is {record.state.name}; its ends: {said}"
    if only_blocked and record.cause in {Cause.PROCESS_EXITED, Cause.LEASE_EXPIRED}:
        yield f"{name} was given up ({record.error}), and its process had only been blocked; where the disk or server holds everybody up that long, take a longer `lease`"


def _of_promises(logs: Mapping[str, Sequence[Entry]], stored: Sequence[Entry]) -> Iterator[str]:
    for promised in stored:
        log = logs.get(promised.execution_id)
        if log is None:
            yield f"execution {promised.execution_id} is not in the journal, which had said that its entry {promised.seq} is durable"
        elif promised not in log:
            there = log[promised.seq - 1] if promised.seq <= len(log) else "nothing"
            yield f"the journal had said that this is durable: {promised}; in its place is {there}"


def _finding(finding: Finding) -> str:
    return f"the journal is not sound: {finding}"
