"""The commands: what each takes and prints. How they end is `_exits`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import inf
from typing import Annotated, Final, Literal

from cyclopts import App, Parameter
from rich.text import Text

import runstate
from runstate import ExecutionState, Severity

from ._arguments import NOT_HERE as _NOT_HERE
from ._arguments import AsJson as _Json
from ._arguments import Journal as _Journal
from ._arguments import open_to_read as _open
from ._console import (  # fmt: skip
    UsageError,
    plain_console,
    print_json,
    print_view,
    shown,
    state_text,
    without_password,
)
from ._diagram import mermaid
from ._exits import OK, UNREADABLE, WRONG, complain, ended
from ._fleet import diagnoses_view, request_text, verdict_text, workers_view
from ._notices import notices
from ._plain import (  # fmt: skip
    diagnosis_data,
    entry_data,
    finding_data,
    record_data,
    rejected_data,
    request_data,
    table_data,
    worker_data,
)
from ._tail import tail
from ._top import top
from ._views import execution_view, executions_view, findings_view, states_view

_HELP: Final = """\
Look into the journal of agent executions, its workers, its notices and its
health; watch it live; cancel executions; check code that uses it.

Exit codes:
  0    fine
  1    something is wrong: verify found damage, doctor a problem, audit found
       something, migrate left something, the demo lost an execution, stubs
       are missing, an execution could not be cancelled
  2    the command line cannot be understood, or the extra is not installed
  3    no execution has this id
  4    no journal there, or one that is unreadable, damaged or newer
  130  interrupted
  141  whoever read the output has stopped reading

An error is one line on standard error. --json prints one JSON document on
standard output, with times in nanoseconds since the Unix epoch.
"""

_FILE_RULES: Final = frozenset({"file", "format", "version"})
"""What `verify` reports when there is no journal to check."""

app: Final = App(
    name="runstate",
    version=runstate.__version__,
    help=_HELP,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)


@app.command
def ls(
    journal: _Journal = "runs.db",
    *,
    state: Annotated[ExecutionState | None, Parameter(help="In this state.")] = None,
    agent: Annotated[str | None, Parameter(help="Of this agent.")] = None,
    thread_id: Annotated[str | None, Parameter(help="Of this conversation.")] = None,
    user_id: Annotated[str | None, Parameter(help="Of this user.")] = None,
    retry_of: Annotated[str | None, Parameter(help="Retries of this first execution.")] = None,
    message_id: Annotated[str | None, Parameter(help="For this message, by the client's key.")] = None,
    limit: Annotated[int, Parameter(help="At most this many, the newest first.")] = 100,
    json: _Json = False,
) -> int:
    """List executions, the newest first; every filter given must match."""
    with _open(journal) as tracker:
        found = tracker.find(
            state=state,
            agent=agent,
            thread_id=thread_id,
            user_id=user_id,
            retry_of=retry_of,
            message_id=message_id,
            limit=limit,
        )
    if json:
        print_json([record_data(record) for record in found])
        return OK
    more = f"; there may be more, see --limit {limit}" if len(found) == limit else ""
    listing = (executions_view(found), "") if found else ()
    print_view(*listing, Text(f"{len(found):,} execution{'' if len(found) == 1 else 's'}{more}", "dim"))
    return OK


@app.command
def show(
    execution_id: Annotated[str, Parameter(name="ID", help="The execution's id, as ls prints it.")],
    journal: _Journal = "runs.db",
    *,
    json: _Json = False,
) -> int:
    """Show one execution: its facts, its history with times and phases, its chain, its owner, how and why it ended."""
    with _open(journal) as tracker:
        record = tracker.get(execution_id)
        timeline = tracker.timeline(execution_id)
        chain = tracker.attempts(execution_id)
        owner = tracker.worker(record.incarnation)
        request = tracker.cancel_request(execution_id)
        rejected = tracker.rejected(execution_id)
    if json:
        print_json(
            {
                "execution": record_data(record),
                "timeline": [entry_data(entry) for entry in timeline],
                "chain": [record_data(one) for one in chain],
                "owner": None if owner is None else worker_data(owner),
                "request": None if request is None else request_data(request),
                "rejected": None if rejected is None else rejected_data(rejected),
            }
        )
    else:
        print_view(execution_view(record, timeline, chain=chain, owner=owner, request=request, rejected=rejected))
    return OK


@app.command
def workers(
    journal: _Journal = "runs.db",
    *,
    departed: Annotated[int, Parameter(help="Also at most this many of those that have gone, the newest.")] = 0,
    json: _Json = False,
) -> int:
    """List the processes that write the journal: those alive, and those that have left something live."""
    with _open(journal) as tracker:
        found = tracker.workers(departed=departed)
    if json:
        print_json([worker_data(worker) for worker in found])
        return OK
    listing = (workers_view(found), "") if found else ()
    print_view(*listing, Text(f"{len(found):,} worker{'' if len(found) == 1 else 's'}", "dim"))
    return OK


@app.command
def cancel(
    execution_id: Annotated[str, Parameter(name="ID", help="The execution's id, as ls prints it.")],
    journal: _Journal = "runs.db",
    *,
    reason: Annotated[str | None, Parameter(help="Why; kept in the history.")] = None,
    wait: Annotated[float | None, Parameter(help="Wait at most this many seconds until it has ended.")] = None,
    json: _Json = False,
) -> int:
    """Ask the process that owns an execution to cancel it; whoever buries that process does it in its stead."""
    if wait is not None and not 0 < wait < inf:
        raise UsageError("--wait must be a number of seconds, more than 0")
    with _open(journal) as reader:  # before it is opened for writing, which would make a journal where there is none
        reader.get(execution_id)
    with runstate.open(journal) as tracker:
        request = tracker.cancel(execution_id, reason)
        if wait is not None:
            tracker.wait(execution_id, timeout=wait)
        record = tracker.get(execution_id)
    if json:
        print_json({"request": request_data(request), "execution": record_data(record)})
    else:
        said = (
            Text("cancelling ").append_text(shown(execution_id, "bold")).append(": ").append_text(request_text(request))
        )
        print_view(said, Text("it is ").append_text(state_text(record.state, record.cause)))
    return WRONG if record.is_terminal and record.state is not ExecutionState.CANCELLED else OK


@app.command
def doctor(journal: _Journal = "runs.db", *, json: _Json = False) -> int:
    """Say what ails a journal and its workers: who holds locks, what hangs, which clocks are wrong, what grows; it only reads."""
    if journal == "memory:":
        raise UsageError(_NOT_HERE)
    diagnoses = runstate.diagnose(journal)
    journal = without_password(journal)
    if json:
        print_json({"journal": journal, "diagnoses": [diagnosis_data(one) for one in diagnoses]})
    else:
        print_view(diagnoses_view(diagnoses), "", verdict_text(diagnoses, shown(journal)))
    return WRONG if any(one.severity is Severity.PROBLEM for one in diagnoses) else OK


@app.command
def serve(
    journal: _Journal = "runs.db",
    *,
    host: Annotated[
        str, Parameter(help="The address to listen on; others than this machine's own need --token-file.")
    ] = "127.0.0.1",
    port: Annotated[int, Parameter(help="The port; 0 takes a free one.")] = 8305,
    token_file: Annotated[
        str | None, Parameter(help="A file whose one line is the token that everybody must show.")
    ] = None,
    read_only: Annotated[bool, Parameter(negative="", show_default=False, help="Show, and cancel nothing.")] = False,
) -> int:
    """Serve the dashboard, the API and live event streams over HTTP, until Ctrl-C or SIGTERM."""
    try:
        from ._serve import serve_journal
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in {"starlette", "uvicorn", "websockets"}:
            raise
        raise UsageError(
            'serving needs starlette and uvicorn; install the extra: pip install "runstate[web]"'
        ) from None
    with _open(journal):  # before it is opened for writing, which would make a journal where there is none
        pass
    return serve_journal(journal, host=host, port=port, token_file=token_file, read_only=read_only)


@app.command
def states(
    *,
    mermaid_diagram: Annotated[
        bool, Parameter(name="--mermaid", negative="", show_default=False, help="Print a mermaid state diagram.")
    ] = False,
    json: _Json = False,
) -> int:
    """Show the transition table: which state may become which, and why executions end."""
    if mermaid_diagram and json:
        raise UsageError("give --mermaid or --json, not both")
    if json:
        print_json(table_data())
    elif mermaid_diagram:
        sys.stdout.write(mermaid() + "\n")
    else:
        print_view(states_view())
    return OK


@app.command
def verify(journal: _Journal = "runs.db", *, json: _Json = False) -> int:
    """Check every invariant of a journal, strictly read-only, and say everything that is wrong with it."""
    findings = runstate.verify(journal)
    journal = without_password(journal)
    if json:
        print_json({"journal": journal, "findings": [finding_data(finding) for finding in findings]})
    unreadable = [finding for finding in findings if finding.rule in _FILE_RULES]
    if unreadable:
        complain(unreadable[0].message)
        return UNREADABLE
    if not json:
        if findings:
            wrong = Text(f"{len(findings):,} found wrong with ", "bold red").append_text(shown(journal))
            print_view(findings_view(findings), "", wrong)
        else:
            print_view(
                Text("sound", "bold green").append(": every invariant holds in ", "none").append_text(shown(journal))
            )
    return WRONG if findings else OK


@app.command
def stubs(*, json: _Json = False) -> int:
    """Print the folder with the stubs of the legacy trackers, for mypy's mypy_path or pyright's stubPath."""
    from runstate._codebase import stubs_folder

    folder = stubs_folder()
    if json:
        print_json({"path": str(folder)})
    else:
        sys.stdout.write(f"{folder}\n")
    return OK


@app.command
def audit(
    paths: Annotated[list[str], Parameter(name="PATH", negative="", help="Files and directories, audited together.")],
    *,
    baseline: Annotated[str | None, Parameter(help="A file of findings that are known; only new ones fail.")] = None,
    write_baseline: Annotated[
        bool, Parameter(negative="", show_default=False, help="Write the findings into that file instead.")
    ] = False,
    fail_on: Annotated[Literal["error", "warning", "note"], Parameter(help="The least level that fails.")] = "warning",
    rule: Annotated[list[str] | None, Parameter(negative="", help="Apply only this rule; may be repeated.")] = None,
    exclude: Annotated[
        list[str] | None, Parameter(negative="", help="Leave out directories of this name; may be repeated.")
    ] = None,
    jobs: Annotated[int | None, Parameter(help="Processes to use; without it, one a CPU.")] = None,
    sarif: Annotated[bool, Parameter(negative="", show_default=False, help="Print SARIF 2.1.0.")] = False,
    json: _Json = False,
) -> int:
    """Audit code, without importing it: second truths about states, states that are none, errors that nobody sees."""
    from runstate.audit import Level

    from ._audit import report_on

    if sarif and json:
        raise UsageError("give --sarif or --json, not both")
    return report_on(
        paths,
        form="sarif" if sarif else "json" if json else "text",
        baseline=baseline,
        write=write_baseline,
        fail_on=Level(fail_on),
        rules=rule or (),
        exclude=exclude or (),
        jobs=jobs,
    )


@app.command
def migrate(
    paths: Annotated[list[str], Parameter(name="PATH", negative="", help="Files and directories, migrated together.")],
    *,
    diff: Annotated[
        bool, Parameter(negative="", show_default=False, help="Print the diff and write nothing: the default.")
    ] = False,
    write: Annotated[bool, Parameter(negative="", show_default=False, help="Write the files.")] = False,
    exclude: Annotated[
        list[str] | None, Parameter(negative="", help="Leave out directories of this name; may be repeated.")
    ] = None,
    json: _Json = False,
) -> int:
    """Rewrite code that uses the legacy trackers, where its meaning is certain; list the rest, and exit with 1 if there is one."""
    if diff and write:
        raise UsageError("give --diff or --write, not both")
    try:
        from ._migrate import migrate_paths
    except ModuleNotFoundError as error:
        if error.name != "libcst":
            raise
        raise UsageError('the migration needs libcst; install the extra: pip install "runstate[migrate]"') from None
    return migrate_paths(paths, writes=write, exclude=exclude or (), as_json=json)


@app.command
def demo(
    *,
    journal: Annotated[
        str | None, Parameter(name=["--journal", "-j"], help="Keep the journal in this new file; else it is temporary.")
    ] = None,
    seed: Annotated[int, Parameter(help="Decides durations and faults; the same seed gives the same counts.")] = 305,
    speed: Annotated[float, Parameter(help="How many times faster than real the steps are.")] = 1.0,
    faults: Annotated[
        float | Literal["none"], Parameter(help="Share of the turns to inject a fault into, 0 to 1, or none.")
    ] = 0.03,
    json: _Json = False,
) -> int:
    """Replay 200 recorded conversations of a real agent, 1,341 executions, with faults injected; then account for each."""
    from ._demo import demonstrate

    rate = 0.0 if faults == "none" else faults
    return demonstrate(journal=journal, seed=seed, speed=speed, fault_rate=rate, as_json=json)


app.command(notices)
app.command(top)
app.command(tail)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    return ended(lambda: _dispatch(arguments))


def _dispatch(arguments: Sequence[str]) -> int:
    code = app(
        list(arguments),
        console=plain_console(),
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
    )
    return code if isinstance(code, int) else OK
