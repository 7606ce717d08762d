"""The generated blocks of `docs/static.md`: what each checker finds, and what stands behind what none does."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from .reports import CHECKERS, Mistake, Report, mistakes, reports
from .walls import WALLS, seen

TITLES = {
    "by_id": "Moving by id",
    "creating": "Opening and creating",
    "handles": "Moving by handle",
    "agents": "Blocks, agents, outcomes",
    "reading": "Reading",
    "legacy": "Legacy trackers, with the stubs, and facades",
}


def measured() -> dict[str, str]:
    """Run every checker once, make every mistake once, and return the blocks by name."""
    with tempfile.TemporaryDirectory(prefix="mistakes-") as work:
        found = reports(Path(work).resolve())
    return blocks(found, {one.name: seen(one) for one in mistakes() if one.file != "legacy"})


def blocks(found: Mapping[str, Report], walls: Mapping[str, str | None]) -> dict[str, str]:
    """Write the blocks.

    Args:
        found: What each checker reports.
        walls: What is seen when a mistake is made; mistakes with the legacy trackers are not.
    """
    everything = mistakes()
    unseen = [one for one in everything if not any(one.name in found[checker].found for checker in CHECKERS)]
    return {
        "totals": _totals(everything, found, walls),
        "table": _table(everything, found, walls),
        "unseen": _unseen(unseen, walls),
    }


def only_plugin(rules: set[str]) -> bool:
    """Whether mypy finds a mistake by the plugin alone: by its codes, or by a better message for a handle's illegal move."""
    return all(rule.startswith("runstate-") for rule in rules)


def _totals(everything: list[Mistake], found: Mapping[str, Report], walls: Mapping[str, str | None]) -> str:
    plugin = sum(only_plugin(rules) for rules in found["mypy"].found.values())
    counts = [f"{checker} {len(found[checker].found)}" for checker in CHECKERS if checker != "mypy"]
    missed = [one for one in everything if one.name not in found["mypy"].found]
    refused = sum(walls.get(one.name) is not None for one in missed)
    return (
        f"Of {len(everything)} mistakes mypy with the plugin finds {len(found['mypy'].found)} ({plugin} of them by the plugin's "
        f"own codes), {', '.join(counts[:-1])} and {counts[-1]}. "
        f"Of the {len(missed)} that mypy does not find, {refused} are caught at run time.\n"
    )


def _table(everything: list[Mistake], found: Mapping[str, Report], walls: Mapping[str, str | None]) -> str:
    lines = [
        f"| mistake | {' | '.join(CHECKERS).replace('mypy', 'mypy + plugin')} | at run time |",
        f"|---|{'---|' * (len(CHECKERS) + 1)}",
    ]
    for file, title in TITLES.items():
        lines.append(f"| **{title}** |{' |' * (len(CHECKERS) + 1)}")
        for one in everything:
            if one.file == file:
                cells = [_cell(checker, found[checker].found.get(one.name)) for checker in CHECKERS]
                wall = walls.get(one.name)
                lines.append(f"| {one.description} | {' | '.join(cells)} | {'–' if wall is None else f'`{wall}`'} |")
    return "\n".join([*lines, ""])


def _cell(checker: str, rules: set[str] | None) -> str:
    if not rules:
        return "–"
    return "plugin" if checker == "mypy" and only_plugin(rules) else "✓"


def _unseen(unseen: list[Mistake], walls: Mapping[str, str | None]) -> str:
    lines = ["| mistake | why no checker tells | what catches it at run time |", "|---|---|---|"]
    for one in unseen:
        wall = walls.get(one.name)
        caught = f"nothing: {one.unchecked}" if wall is None else f"`{wall}`: {WALLS[wall]}"
        lines.append(f"| {one.description} | {_sentence(one.why)} | {caught} |")
    return "\n".join([*lines, ""])


def _sentence(note: str | None) -> str:
    return "" if note is None else note[:1].upper() + note[1:]
