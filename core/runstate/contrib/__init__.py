"""Adapters for the frameworks that agents are written in: one line makes each run of theirs one execution.

| framework | module | extra |
|---|---|---|
| pydantic-ai | `runstate.contrib.pydantic_ai` | `runstate[pydantic-ai]` |
| LangChain, LangGraph | `runstate.contrib.langchain` | `runstate[langchain]` |
| OpenAI Agents SDK | `runstate.contrib.openai_agents` | `runstate[openai-agents]` |

Each has a function `track`. What they have in common stands in `_recording`, and docs/frameworks.md says how each ending is recorded.
"""

from runstate import ExecutionTracker, NoExecutionError, StateTypeError

from ._ledger import Counts as Counts
from ._ledger import ledger_of
from ._options import Options as Options
from ._recording import inside
from ._results import PAUSED as PAUSED
from ._results import RESUMES as RESUMES
from ._results import UNRECORDED as UNRECORDED
from ._results import Running
from ._results import paused as paused

__all__ = ["PAUSED", "RESUMES", "UNRECORDED", "Counts", "Options", "counts", "current", "paused"]


def counts(tracker: ExecutionTracker) -> Counts:
    """Return what the adapters of a tracker have done, and what they could not do.

    Args:
        tracker: Which.

    Raises:
        StateTypeError: *tracker* is no tracker.
    """
    if not isinstance(tracker, ExecutionTracker):
        raise StateTypeError(f"counts() takes an ExecutionTracker, not {tracker!r:.80}")
    return ledger_of(tracker).counts()


def current() -> Running:
    """Return the handle of the execution that the calling code runs in: `runstate.current`, and inside what an adapter tracks.

    Raises:
        NoExecutionError: The caller runs outside of any.
    """
    handle = inside()
    if handle is None:
        raise NoExecutionError
    return handle
