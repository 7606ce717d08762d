"""The audit: reads a code base without importing it, and reports what stands in the way of one single source of truth.

    report = runstate.audit.audit(["app"])
    for finding in report.findings:
        print(f"{finding.path}:{finding.line}:{finding.column}: {finding.rule}: {finding.message}")

It looks for second definitions of an execution's states and of trackers, for states that are dicts, texts or members of
another module's enum, for refusals and errors that nobody sees, and for trackers and heartbeats that watch over nothing;
`RULES` has them all. Names are resolved through imports, annotations and plain assignments, and never guessed: where it is
not certain what a name means, nothing is reported. On the command line it is `runstate audit`.
"""

from ._baseline import new_findings as new_findings
from ._baseline import write_baseline as write_baseline
from ._model import Definition as Definition
from ._model import Finding as Finding
from ._model import Level as Level
from ._model import Member as Member
from ._model import Rule as Rule
from ._rules import RULES as RULES
from ._run import Report as Report
from ._run import audit as audit
from ._sarif import sarif as sarif

__all__ = [
    "RULES",
    "Definition",
    "Finding",
    "Level",
    "Member",
    "Report",
    "Rule",
    "audit",
    "new_findings",
    "sarif",
    "write_baseline",
]
