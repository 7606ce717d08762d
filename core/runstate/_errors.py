"""Every error that runstate raises.

::

    RunstateError
    ├── StateTypeError (TypeError)              a value of the wrong type, at run time
    ├── InvalidValueError (ValueError)          the right type, but a value that cannot be accepted
    │   ├── NotJsonError                        a result or metadata that JSON cannot carry unchanged
    │   └── ResultTooLargeError                 a result, metadata or text over its byte budget
    ├── InvalidTransitionError                  a move that the table does not allow, or a stale handle
    ├── FencedError                             somebody else ended the execution; the late call changed nothing
    │   └── ExecutionTimeoutError (TimeoutError)    … because its time limit had passed
    ├── DuplicateMessageError                   another execution answers this message
    ├── NotOwnerError                           the execution belongs to another process
    ├── UnknownExecutionError (LookupError)     no execution has this id
    ├── NoOutcomeError                          a tracked block ended without an outcome
    ├── NotBoundError (TypeError)               a tracked agent was called without thread and user
    ├── NoExecutionError (LookupError)          `current()` outside a tracked block
    ├── WaitTimeoutError (TimeoutError)         `wait` or `flush` reached its own limit
    ├── TrackerClosedError                      the tracker was closed
    ├── RecordDecodeError (ValueError)          stored or received data that is not a valid record
    └── JournalError                            the journal could not do what was asked
        ├── JournalUnavailableError             locked, full disk, read-only, gone: may work later
        ├── JournalConflictError                another writer has already written that seq
        ├── JournalFullError                    a bounded buffer is full; the move was refused
        ├── JournalVersionError                 a newer (or unknown) schema
        ├── JournalCorruptError                 not a journal, or a damaged one
        └── SubscriptionLaggedError             a subscriber's next events have been pruned

Each error says what was wrong, what was expected and what to do next; carries the facts as typed attributes; and can be
pickled, so that it survives a process pool.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ._states import TRANSITIONS, Cause, ExecutionState, in_table_order


class RunstateError(Exception):
    """The root of all errors of runstate."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)


def _restore(cls: type[RunstateError], args: tuple[object, ...], fields: dict[str, object]) -> RunstateError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


class StateTypeError(RunstateError, TypeError):
    """A value of the wrong type reached the public API, for example a dict where a state belongs.

    The message names the callable, the parameter, the type that was expected and the value that came.
    """


def describe(value: object, limit: int = 80) -> str:
    """Shorten a value for a message; never raises, whatever the value's own `repr` does."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - a broken repr must not hide the error that is being reported
        text = f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def wrong_type(name: str, value: object, expected: str) -> StateTypeError:
    """Build the error for a value of the wrong type that no decorator has caught (`python -O` switches those off)."""
    return StateTypeError(f"{name} must be {expected}, not {type(value).__qualname__}: {describe(value)}")


class InvalidValueError(RunstateError, ValueError):
    """A value has the right type but cannot be accepted.

    Attributes:
        name: The parameter.
        expected: What would have been accepted.
    """

    def __init__(self, name: str, value: object, expected: str) -> None:
        super().__init__(f"{name} must be {expected}; got {describe(value)}")
        self.name = name
        self.expected = expected


class NotJsonError(InvalidValueError):
    """A result or metadata cannot be carried by JSON and come back unchanged.

    Attributes:
        name: The parameter.
        expected: What would have been accepted.
        path: Where in the value the trouble sits, such as `$.items[2].when`.
    """

    def __init__(self, name: str, value: object, path: str, reason: str) -> None:
        super().__init__(
            f"{name} at {path}", value, f"JSON that reads back equal ({reason}); convert it before passing it"
        )
        self.path = path


class ResultTooLargeError(InvalidValueError):
    """A result, metadata or text is over its byte budget.

    Attributes:
        name: The parameter.
        expected: What would have been accepted.
        size: Its size, in bytes of UTF-8.
        limit: The budget, in bytes.
    """

    def __init__(self, name: str, size: int, limit: int) -> None:
        super().__init__(
            name,
            f"{size} bytes",
            f"at most {limit} bytes; store the bulk elsewhere and pass a reference, or raise Limits",
        )
        self.size = size
        self.limit = limit


class InvalidTransitionError(RunstateError):
    """The table does not allow this move, or the handle is stale. Nothing was changed.

    Attributes:
        execution_id: The execution.
        source: The state it is in.
        target: The state that was asked for.
        legal: The states that it may become, in table order.
    """

    def __init__(
        self,
        execution_id: str,
        source: ExecutionState,
        target: ExecutionState,
        known: ExecutionState | None = None,
    ) -> None:
        self.execution_id = execution_id
        self.source = source
        self.target = target
        self.legal: tuple[ExecutionState, ...] = in_table_order(TRANSITIONS[source])
        may = ", ".join(state.name for state in self.legal) or "nothing: it has ended, and an end is final"
        if known is not None and known is not source:
            what = (
                f"this handle knows {known.name}, but execution {execution_id} has moved on to {source.name}; "
                f"use the handle that the last move returned, or tracker.handle(id)"
            )
        else:
            what = f"execution {execution_id} cannot move {source.name} -> {target.name}"
        super().__init__(f"{what}. {source.name} may become: {may}")


class FencedError(RunstateError):
    """Somebody else ended the execution; this late call was refused and changed nothing.

    Attributes:
        execution_id: The execution.
        state: The terminal state it is in.
        cause: Why it ended.
        observer: Who ended it.
        ended_at_ns: When, in nanoseconds since the Unix epoch.
    """

    def __init__(
        self,
        execution_id: str,
        state: ExecutionState,
        cause: Cause | None,
        observer: str,
        ended_at_ns: int,
        *,
        is_owner: bool = True,
    ) -> None:
        why = cause.name if cause is not None else "cause unknown"
        advice = ". Stop the work, or start a new execution" if is_owner else ""
        super().__init__(
            f"execution {execution_id} has already ended: {state.name} ({why}), decided by {observer} at "
            f"{ended_at_ns} ns; this call changed nothing{advice}"
        )
        self.execution_id = execution_id
        self.state = state
        self.cause = cause
        self.observer = observer
        self.ended_at_ns = ended_at_ns


class ExecutionTimeoutError(FencedError, TimeoutError):
    """The execution's time limit has passed: it is TIMEOUT. Leaves a tracked block; also caught as `TimeoutError`."""


class NotOwnerError(RunstateError):
    """The execution is live, but another process owns it; only the owner may move it.

    Attributes:
        execution_id: The execution.
        owner: The incarnation that owns it.
    """

    def __init__(self, execution_id: str, owner: str) -> None:
        super().__init__(
            f"execution {execution_id} is owned by {owner}, not by this tracker; only its owner may move it"
        )
        self.execution_id = execution_id
        self.owner = owner


class DuplicateMessageError(RunstateError):
    """Another execution has been begun for this message, here or in another process; this one was not.

    Attributes:
        thread_id: The conversation.
        user_id: The user whose message it is.
        message_id: The client's key of the message.
        execution_id: The first execution of the chain that answers it.
        agent: Which agent that one is of.
    """

    def __init__(self, thread_id: str, user_id: str, message_id: str, execution_id: str, agent: str) -> None:
        super().__init__(
            f"message {describe(message_id)} of user {describe(user_id)} in thread {describe(thread_id)} is answered by agent {describe(agent)} "
            f"in execution {execution_id}; look at tracker.attempts({execution_id!r}), and wait for the newest. Another message or agent needs another id"
        )
        self.thread_id = thread_id
        self.user_id = user_id
        self.message_id = message_id
        self.execution_id = execution_id
        self.agent = agent


class UnknownExecutionError(RunstateError, LookupError):
    """No execution has this id (any more).

    Attributes:
        execution_id: The id that was asked for.
    """

    def __init__(self, execution_id: str) -> None:
        super().__init__(
            f"no execution {describe(execution_id)} in this journal; check the id and the journal, "
            f"or raise Limits.retention if it may have been pruned"
        )
        self.execution_id = execution_id

    def __str__(self) -> str:
        return str(self.args[0])


class NoOutcomeError(RunstateError):
    """A tracked block was left without an outcome: it is recorded as FAILED, cause NO_OUTCOME.

    Attributes:
        execution_id: The execution.
    """

    def __init__(self, execution_id: str) -> None:
        super().__init__(
            f"execution {execution_id} left its block without an outcome and is recorded as FAILED; "
            f"call complete(), fail(), time_out() or cancel() on every path"
        )
        self.execution_id = execution_id


class NotBoundError(RunstateError, TypeError):
    """A tracked agent was called without saying for which thread and user.

    Attributes:
        agent: The agent's name.
    """

    def __init__(self, agent: str) -> None:
        super().__init__(f"agent {agent!r} is tracked: call it as agent.bind(thread_id=…, user_id=…)(…)")
        self.agent = agent


class NoExecutionError(RunstateError, LookupError):
    """`current()` was called outside a tracked block."""

    def __init__(self) -> None:
        super().__init__(
            "no execution is being tracked here; call current() inside `with tracker.execution(…)` or a tracked agent"
        )


class WaitTimeoutError(RunstateError, TimeoutError):
    """A wait reached its own limit before what it waited for happened. The execution goes on.

    Attributes:
        what: What was being waited for.
        timeout: The limit, in seconds.
    """

    def __init__(self, what: str, timeout: float) -> None:
        super().__init__(f"{what} within {timeout} s; wait longer, or look at tracker.statistics()")
        self.what = what
        self.timeout = timeout


class TrackerClosedError(RunstateError):
    """The tracker was closed; it takes no more calls that write."""

    def __init__(self) -> None:
        super().__init__("this tracker is closed; open a new one with runstate.open(…)")


class RecordDecodeError(RunstateError, ValueError):
    """Data from a journal, a file or the wire is not a valid record. It was refused whole.

    Attributes:
        path: Where in the data the trouble sits, such as `state` or `evidence.beats`.
        reason: What was expected there.
    """

    def __init__(self, path: str, reason: str, value: object) -> None:
        super().__init__(f"not a valid record at {path}: {reason}; got {describe(value)}")
        self.path = path
        self.reason = reason


class JournalError(RunstateError):
    """The journal could not do what was asked. What had been acknowledged as durable still is.

    Attributes:
        result: What a tracked agent had returned when its end could not be recorded: its answer is not lost. Else None.
    """

    result: object = None


class JournalUnavailableError(JournalError):
    """The journal cannot be reached or written now: locked, disk full, read-only, gone. It may work later."""


class JournalConflictError(JournalError):
    """Another writer has already written these entries' place; they were refused and the others stored.

    Attributes:
        execution_ids: The executions whose entries were refused.
    """

    def __init__(self, execution_ids: Iterable[str], reason: str) -> None:
        self.execution_ids: tuple[str, ...] = tuple(dict.fromkeys(execution_ids))
        named = ", ".join(self.execution_ids[:10])
        if len(self.execution_ids) > 10:
            named += f" and {len(self.execution_ids) - 10} more executions"
        super().__init__(f"entries of {named} were refused by the journal: {reason}")


class JournalFullError(JournalError):
    """A bounded buffer is full: the call was refused and nothing changed. Flush, slow down, or raise Limits.

    Attributes:
        limit: The bound that was reached.
    """

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"{what} (limit {limit}); call tracker.flush() or slow down, or raise Limits")
        self.limit = limit


class JournalVersionError(JournalError):
    """The journal's schema is not one that this version of runstate can read.

    Attributes:
        found: The schema version found.
        supported: The schema version that this runstate writes.
    """

    def __init__(self, where: str, found: int, supported: int) -> None:
        advice = "upgrade runstate to open it" if found > supported else "open it once for writing, which upgrades it"
        super().__init__(f"{where} has schema version {found}, this runstate supports {supported}; {advice}")
        self.found = found
        self.supported = supported


class JournalCorruptError(JournalError):
    """The file is not a runstate journal, or it is damaged."""


class SubscriptionLaggedError(JournalError):
    """The events that a subscriber would read next have been pruned by retention.

    Attributes:
        position: The last position that it has read.
        pruned: The newest position that has been pruned.
    """

    def __init__(self, position: int, pruned: int) -> None:
        super().__init__(
            f"events after position {position} have been pruned up to {pruned}; subscribe again with after=0 "
            f"to read what is kept, or raise Limits.retention"
        )
        self.position = position
        self.pruned = pruned
