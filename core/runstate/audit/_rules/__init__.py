"""The rules, each in the module that it is ruled by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from runstate._codebase import Subject

from .._model import Level, Rule, Suspicion
from . import comparisons, heartbeats, monitoring, refusals, states, swallowing

STATE_DEFINITION = Rule(
    "state-lookalike",
    Level.WARNING,
    "There is more than one definition of an execution's states.",
    "import ExecutionState from runstate, and map what others must still see",
)
TRACKER_DEFINITION = Rule(
    "tracker-lookalike",
    Level.WARNING,
    "There is more than one definition of a tracker of executions.",
    "use runstate.ExecutionTracker, or a facade in runstate.legacy until the callers have moved",
)
UNREADABLE = Rule(
    "unreadable-file",
    Level.WARNING,
    "A file could not be read, so nothing is known about it.",
    "mend the file, or exclude it",
)
UNUSED_IGNORE = Rule(
    "unused-ignore",
    Level.NOTE,
    "A comment ignores a finding that is not there.",
    "delete the comment",
)

Check: TypeAlias = Callable[[Subject], Iterator[Suspicion]]

CHECKS: Final[tuple[Check, ...]] = (
    states.check_given,
    states.check_compared,
    comparisons.check,
    refusals.check,
    swallowing.check,
    heartbeats.check,
)
"""What looks at one module."""

RULES: Final[tuple[Rule, ...]] = (
    STATE_DEFINITION,
    TRACKER_DEFINITION,
    states.DICT,
    states.TEXT,
    states.MIXED,
    comparisons.RULE,
    refusals.RULE,
    swallowing.RULE,
    heartbeats.RULE,
    monitoring.RULE,
    UNREADABLE,
    UNUSED_IGNORE,
)
"""Every rule, in the order in which they are documented."""
