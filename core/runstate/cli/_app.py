"""The commands, and what becomes of their errors: one line on standard error and an exit code that says what kind."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Final, Literal

import cyclopts
from cyclopts import App, Parameter
from rich.text import Text

import runstate
from runstate import (  # fmt: skip
    ExecutionState,
    ExecutionTracker,
    InvalidValueError,
    JournalError,
    RecordDecodeError,
    RunstateError,
    UnknownExecutionError,
)

from ._console import UsageError, plain_console, print_json, print_view, printable, shown
from ._diagram import mermaid
from ._plain import entry_data, finding_data, record_data, table_data
from ._views import ExecutionsView, execution_view, findings_view, states_view

OK: Final = 0
WRONG: Final = 1
USAGE: Final = 2
UNKNOWN: Final = 3
UNREADABLE: Final = 4
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141

_HELP: Final = """\
Look into the journal of agent executions, and check it; check code that uses it.

Exit codes:
  0    fine
  1    something is wrong: verify found damage, audit found something, migrate
       left something, the demo lost an execution, stubs are missing
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

_Journal = Annotated[
    str,
    Parameter(
        name=["--journal", "-j"],
        env_var="RUNSTATE_JOURNAL",
        help="The journal: a file, or sqlite:///path. Also without --journal, as the last argument.",
    ),
]
_Json = Annotated[bool, Parameter(negative="", show_default=False, help="Print JSON.")]

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
    limit: Annotated[int, Parameter(help="At most this many, the newest first.")] = 100,
    json: _Json = False,
) -> int:
    """List executions, the newest first; every filter given must match."""
    with _open(journal) as tracker:
        found = tracker.find(state=state, agent=agent, thread_id=thread_id, user_id=user_id, limit=limit)
    if json:
        print_json([record_data(record) for record in found])
        return OK
    more = f"; there may be more, see --limit {limit}" if len(found) == limit else ""
    listing = (ExecutionsView(found), "") if found else ()
    print_view(*listing, Text(f"{len(found):,} execution{'' if len(found) == 1 else 's'}{more}", "dim"))
    return OK


@app.command
def show(
    execution_id: Annotated[str, Parameter(name="ID", help="The execution's id, as ls prints it.")],
    journal: _Journal = "runs.db",
    *,
    json: _Json = False,
) -> int:
    """Show one execution: its facts, its history with times and phases, how and why it ended."""
    with _open(journal) as tracker:
        record = tracker.get(execution_id)
        timeline = tracker.timeline(execution_id)
    if json:
        print_json({"execution": record_data(record), "timeline": [entry_data(entry) for entry in timeline]})
    else:
        print_view(execution_view(record, timeline))
    return OK


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
    """Check every invariant of a journal file, strictly read-only, and say everything that is wrong with it."""
    findings = runstate.verify(journal)
    if json:
        print_json({"journal": journal, "findings": [finding_data(finding) for finding in findings]})
    unreadable = [finding for finding in findings if finding.rule in _FILE_RULES]
    if unreadable:
        _complain(unreadable[0].message)
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


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. Errors that are somebody's to mend become one line."""
    _survive_narrow_encodings()
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return BROKEN_PIPE
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except UnknownExecutionError as error:
        return _complain(str(error), UNKNOWN)
    except (JournalError, RecordDecodeError) as error:
        return _complain(str(error), UNREADABLE)
    except (cyclopts.CycloptsError, UsageError, InvalidValueError) as error:
        return _complain(f"{error} (see runstate --help)", USAGE)
    except RunstateError as error:
        return _complain(str(error), WRONG)
    except OSError as error:  # standard output cannot be written: a full disk, for example
        _discard_output()
        return _complain(str(error), WRONG)
    return code


def _dispatch(arguments: Sequence[str]) -> int:
    code = app(
        list(arguments),
        console=plain_console(),
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
    )
    return code if isinstance(code, int) else OK


def _open(journal: str) -> ExecutionTracker:
    if journal == "memory:":
        raise UsageError("memory: lives in the process that made it; give the path of a journal file")
    return runstate.open(journal, read_only=True)


def _complain(message: str, code: int = UNREADABLE) -> int:
    with suppress(BrokenPipeError):
        sys.stderr.write(f"runstate: {printable(' '.join(message.split()))}\n")
        sys.stderr.flush()
    return code


def _survive_narrow_encodings() -> None:
    """Escape what the terminal's encoding cannot carry: an arrow must not end a listing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Point standard output at nothing, so that the interpreter's last flush is quiet too."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
