"""The single source of truth for what an AI agent's execution is doing.

One strictly typed `ExecutionState`, one transition table, one tracker, one journal. See `open` and `ExecutionTracker`.

The model (states, records, outcomes, errors) is imported with the package; what does the work is imported when first asked
for, so that code which only names a state in its types pays for no more than that. Type checkers see everything at once.
"""

from typing import TYPE_CHECKING

from ._clock import Clock as Clock
from ._errors import DuplicateMessageError as DuplicateMessageError
from ._errors import ExecutionTimeoutError as ExecutionTimeoutError
from ._errors import FencedError as FencedError
from ._errors import InvalidTransitionError as InvalidTransitionError
from ._errors import InvalidValueError as InvalidValueError
from ._errors import JournalConflictError as JournalConflictError
from ._errors import JournalCorruptError as JournalCorruptError
from ._errors import JournalError as JournalError
from ._errors import JournalFullError as JournalFullError
from ._errors import JournalUnavailableError as JournalUnavailableError
from ._errors import JournalVersionError as JournalVersionError
from ._errors import NoExecutionError as NoExecutionError
from ._errors import NoOutcomeError as NoOutcomeError
from ._errors import NotBoundError as NotBoundError
from ._errors import NotJsonError as NotJsonError
from ._errors import NotOwnerError as NotOwnerError
from ._errors import RecordDecodeError as RecordDecodeError
from ._errors import ResultTooLargeError as ResultTooLargeError
from ._errors import RunstateError as RunstateError
from ._errors import StateTypeError as StateTypeError
from ._errors import SubscriptionLaggedError as SubscriptionLaggedError
from ._errors import TrackerClosedError as TrackerClosedError
from ._errors import UnknownExecutionError as UnknownExecutionError
from ._errors import WaitTimeoutError as WaitTimeoutError
from ._fleet import CancelRequest as CancelRequest
from ._fleet import Fence as Fence
from ._fleet import RejectedMove as RejectedMove
from ._fleet import Worker as Worker
from ._fleet import WorkerState as WorkerState
from ._json import Json as Json
from ._outcomes import Cancelled as Cancelled
from ._outcomes import Completed as Completed
from ._outcomes import Died as Died
from ._outcomes import Failed as Failed
from ._outcomes import Outcome as Outcome
from ._outcomes import TimedOut as TimedOut
from ._records import Census as Census
from ._records import Created as Created
from ._records import Ends as Ends
from ._records import Entry as Entry
from ._records import Event as Event
from ._records import Evidence as Evidence
from ._records import ExecutionRecord as ExecutionRecord
from ._records import Limits as Limits
from ._records import PhaseChange as PhaseChange
from ._records import Statistics as Statistics
from ._records import Transition as Transition
from ._records import Warned as Warned
from ._states import CAUSES as CAUSES
from ._states import TRANSITIONS as TRANSITIONS
from ._states import Cause as Cause
from ._states import ExecutionState as ExecutionState
from ._states import LiveState as LiveState
from ._states import Phase as Phase
from ._version import __version__ as __version__

if TYPE_CHECKING:
    from ._agents import AsyncAgent as AsyncAgent
    from ._agents import SyncAgent as SyncAgent
    from ._delivery import Delivery as Delivery
    from ._doctor import Diagnosis as Diagnosis
    from ._doctor import Severity as Severity
    from ._doctor import diagnose as diagnose
    from ._events import Subscription as Subscription
    from ._execution import Execution as Execution
    from ._notices import Notice as Notice
    from ._notices import NoticeRecord as NoticeRecord
    from ._notices import NoticeState as NoticeState
    from ._notices import OutboxRecord as OutboxRecord
    from ._open import open as open
    from ._policies import Breaker as Breaker
    from ._policies import Retry as Retry
    from ._scope import ExecutionScope as ExecutionScope
    from ._scope import current as current
    from ._tracker import ExecutionTracker as ExecutionTracker
    from ._verify import Finding as Finding
    from ._verify import verify as verify
else:
    from importlib import import_module as _import_module

    _HOMES = {
        "_agents": ("AsyncAgent", "SyncAgent"),
        "_delivery": ("Delivery",),
        "_doctor": ("Diagnosis", "Severity", "diagnose"),
        "_events": ("Subscription",),
        "_execution": ("Execution",),
        "_open": ("open",),
        "_notices": ("Notice", "NoticeRecord", "NoticeState", "OutboxRecord"),
        "_policies": ("Breaker", "Retry"),
        "_scope": ("ExecutionScope", "current"),
        "_tracker": ("ExecutionTracker",),
        "_verify": ("Finding", "verify"),
    }

    def __getattr__(name: str) -> object:
        for home, names in _HOMES.items():
            if name in names:
                value = globals()[name] = getattr(_import_module(f".{home}", __name__), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "CAUSES",
    "TRANSITIONS",
    "AsyncAgent",
    "Breaker",
    "CancelRequest",
    "Cancelled",
    "Cause",
    "Census",
    "Clock",
    "Completed",
    "Created",
    "Delivery",
    "Diagnosis",
    "Died",
    "DuplicateMessageError",
    "Ends",
    "Entry",
    "Event",
    "Evidence",
    "Execution",
    "ExecutionRecord",
    "ExecutionScope",
    "ExecutionState",
    "ExecutionTimeoutError",
    "ExecutionTracker",
    "Failed",
    "Fence",
    "FencedError",
    "Finding",
    "InvalidTransitionError",
    "InvalidValueError",
    "JournalConflictError",
    "JournalCorruptError",
    "JournalError",
    "JournalFullError",
    "JournalUnavailableError",
    "JournalVersionError",
    "Json",
    "Limits",
    "LiveState",
    "NoExecutionError",
    "NoOutcomeError",
    "NotBoundError",
    "NotJsonError",
    "NotOwnerError",
    "Notice",
    "NoticeRecord",
    "NoticeState",
    "OutboxRecord",
    "Outcome",
    "Phase",
    "PhaseChange",
    "RecordDecodeError",
    "RejectedMove",
    "ResultTooLargeError",
    "Retry",
    "RunstateError",
    "Severity",
    "StateTypeError",
    "Statistics",
    "Subscription",
    "SubscriptionLaggedError",
    "SyncAgent",
    "TimedOut",
    "TrackerClosedError",
    "Transition",
    "UnknownExecutionError",
    "WaitTimeoutError",
    "Warned",
    "Worker",
    "WorkerState",
    "__version__",
    "current",
    "diagnose",
    "open",
    "verify",
]
