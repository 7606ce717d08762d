"""The transition table as a diagram, generated from `TRANSITIONS`: the README holds the output, and a test compares them."""

from __future__ import annotations

from runstate import TRANSITIONS, ExecutionState


def mermaid() -> str:
    """The table as a mermaid flowchart, a line for each live state; renderers of Markdown draw it."""
    lines = ["flowchart LR"]
    for source in ExecutionState:
        targets = [target.name for target in ExecutionState if target in TRANSITIONS[source]]
        if targets:
            lines.append(f"    {source.name} --> {' & '.join(targets)}")
    return "\n".join(lines)
