"""`ExecutionTracker`: the public face. It composes decider, writer, journal, events and limits, and decides nothing itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar, overload

from ._async import finish_in_thread
from ._attempts import Means, Plan
from ._breaker import Breakers
from ._buffer import Buffer
from ._checks import checked, seconds, text
from ._clock import Clock, SystemClock
from ._creating import ExecutionCreator
from ._deadlines import Deadlines
from ._decider import CALLER, Decider
from ._decorators import AgentDecorator, FallbackDecorator
from ._durable import durable
from ._errors import (
    FencedError,
    InvalidTransitionError,
    JournalUnavailableError,
    TrackerClosedError,
    wrong_type,
)
from ._events import News
from ._ids import new_incarnation
from ._json import warm_up
from ._lifecycle import track_no_more, track_until_closed
from ._live import ExecutionsLostError, Live
from ._liveness import LEASE, SHORTEST_LEASE
from ._member import Member
from ._policies import Breaker, Retry
from ._records import Evidence, Limits, Transition
from ._reports import check_report
from ._scope import ExecutionScope, Pending
from ._states import Cause, ExecutionState
from ._verdicts import SHORTEST_BLOCK
from ._watch import LimitWatch
from .journal import Journal
from .journal._writer import JournalWriter

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_TIMEOUT: Final = 3_600.0
"""Seconds after which an execution that named no limit is TIMEOUT: every execution ends."""


class ExecutionTracker(ExecutionCreator):
    """Tracks the executions of this process in one journal. Safe to use from any thread and any event loop.

    Most programs call `runstate.open(url)` instead of this. An argument of the wrong type is a `StateTypeError`, everywhere.

    Args:
        journal: Where executions are kept. The tracker closes it.
        limits: Budgets.
        default_timeout: Seconds for executions that name no timeout; None lets them run for ever.
        clock: The clocks. With any but the system's, nothing expires by itself: call `sweep()`.
        read_only: Take no calls that write.
        lease: Seconds after which other processes on the same journal hold this one for dead if it gives no sign of life; an end of
            the process they see at once. For journals that processes share; 0.1 or more.
        blocked_timeout: Seconds that an event loop may be blocked until the executions in it that give no sign of life from
            elsewhere are DEAD, cause LOOP_BLOCKED, 0.05 or more; None is no limit. Either way a blocked loop is a `Warned` entry, with its stack.
    """

    @checked
    def __init__(
        self,
        journal: Journal,
        *,
        limits: Limits | None = None,
        default_timeout: float | None = DEFAULT_TIMEOUT,
        clock: Clock | None = None,
        read_only: bool = False,
        lease: float = LEASE,
        blocked_timeout: float | None = None,
    ) -> None:
        self._journal = journal
        self._limits = limits = limits if limits is not None else Limits()
        self._default_timeout = None if default_timeout is None else seconds("default_timeout", default_timeout)
        lease = seconds("lease", lease, SHORTEST_LEASE)
        blocked_timeout = (
            None if blocked_timeout is None else seconds("blocked_timeout", blocked_timeout, SHORTEST_BLOCK)
        )
        clock = clock if clock is not None else SystemClock()
        self._threaded = threaded = isinstance(clock, SystemClock)
        self._buffer = Buffer(limits)
        self._deadlines: Deadlines[Live] = Deadlines()
        self._decider = Decider(self._buffer, self._deadlines, clock, limits, new_incarnation())
        self._watch = LimitWatch(
            self._decider, self._deadlines, clock, threaded=threaded, blocked_timeout=blocked_timeout
        )
        self._news = News(journal)
        self._breakers = Breakers(journal, self._news, clock, threaded=threaded)
        self._member = member = Member(
            self, journal, self._decider, self._news, clock, lease, threaded=threaded, read_only=read_only
        )
        self._writer = JournalWriter(journal, self._buffer, member.join, member.written, member.refused)
        self._begin_notifying(clock)
        self._closing = threading.Lock()
        self._is_closed = False
        self._started = False
        if read_only:
            self._buffer.fail(JournalUnavailableError("opened read-only; open the journal without read_only to record"))
        warm_up()
        member.begin()
        track_until_closed(self)

    def __repr__(self) -> str:
        return f"<ExecutionTracker {self._decider.incarnation} on {self._journal!r}>"

    # -- agents -------------------------------------------------------------------------------------------------------

    @overload
    def agent(
        self,
        name: str,
        *,
        timeout: float | None = None,
        heartbeat_timeout: float | None = None,
        retry: Retry | None = None,
        breaker: Breaker | None = None,
        fallback: None = None,
    ) -> AgentDecorator: ...
    @overload
    def agent(
        self,
        name: str,
        *,
        timeout: float | None = None,
        heartbeat_timeout: float | None = None,
        retry: Retry | None = None,
        breaker: Breaker | None = None,
        fallback: Callable[P, Coroutine[Any, Any, R]],
    ) -> FallbackDecorator[P, R]: ...
    @overload
    def agent(
        self,
        name: str,
        *,
        timeout: float | None = None,
        heartbeat_timeout: float | None = None,
        retry: Retry | None = None,
        breaker: Breaker | None = None,
        fallback: Callable[P, R],
    ) -> FallbackDecorator[P, R]: ...
    @checked
    def agent(
        self,
        name: str,
        *,
        timeout: float | None = None,
        heartbeat_timeout: float | None = None,
        retry: Retry | None = None,
        breaker: Breaker | None = None,
        fallback: Callable[..., Any] | None = None,
    ) -> AgentDecorator | FallbackDecorator[..., Any]:
        """Decorate a function so that each call is one execution and returns an `Outcome`.

        Args:
            name: The agent's name in records.
            timeout: Seconds that a call may take, with all its attempts; None takes the tracker's `default_timeout`.
            heartbeat_timeout: Seconds without a sign of life until DEAD; None is no limit.
            retry: After which failures a call tries again, each time as a new execution; None never does.
            breaker: When the agent is not called for a while, as it keeps failing in whichever process; None calls it always.
            fallback: A function with the same parameters that answers when the agent has failed or is not called: such a result is
                `Completed` with `is_fallback`. An `async def` only for one.

        Returns:
            A decorator for `def` and `async def`. Call the result as `agent.bind(thread_id=…, user_id=…)(…)`.
        """
        name = text("name", name, self._limits.name_bytes)
        if timeout is not None:
            timeout = seconds("timeout", timeout)
        if heartbeat_timeout is not None:
            heartbeat_timeout = seconds("heartbeat_timeout", heartbeat_timeout)

        if retry is not None and retry.__class__ is not Retry:
            raise wrong_type("retry", retry, "a Retry")
        if breaker is not None and breaker.__class__ is not Breaker:
            raise wrong_type("breaker", breaker, "a Breaker")
        plan = Plan(retry, breaker, fallback)
        default = self._default_timeout if timeout is None else timeout
        gate = None if breaker is None else self._breakers.gate(name, breaker)

        def begin(
            *,
            thread_id: str,
            user_id: str,
            timeout: float | None,
            metadata: Mapping[str, object] | None,
            message_id: str | None,
        ) -> Pending:
            return self._begin(name, thread_id, user_id, timeout, heartbeat_timeout, metadata, message_id)

        def open_scope(
            *, thread_id: str, user_id: str, timeout: float | None, metadata: Mapping[str, object] | None
        ) -> ExecutionScope:
            return self.execution(
                agent=name,
                thread_id=thread_id,
                user_id=user_id,
                timeout=default if timeout is None else timeout,
                heartbeat_timeout=heartbeat_timeout,
                metadata=metadata,
            )

        means = Means(plan, begin, self, self._decider, self._writer, self._watch, self._breakers, gate, default)
        if fallback is None:
            return AgentDecorator(name, open_scope, means)
        return FallbackDecorator[..., Any](name, open_scope, means)

    # -- moving by id -------------------------------------------------------------------------------------------------

    @checked
    def update_execution_state(
        self,
        execution_id: str,
        state: ExecutionState,
        *,
        error: str | BaseException | None = None,
        result: object = None,
        cause: Cause | None = None,
        evidence: Evidence | None = None,
    ) -> Transition:
        """Move an execution by its id. Returns when decided; `flush()` makes it durable.

        Args:
            execution_id: Which.
            state: The state that it shall have.
            error: What went wrong; for an unhappy end.
            result: The answer; for COMPLETED. Anything that JSON carries unchanged.
            cause: Why; for an end. None takes the cause of a caller's report.
            evidence: What was observed; for an end. None takes what the tracker knows itself.

        Returns:
            The transition that was made.

        Raises:
            StateTypeError: An argument has the wrong type: a dict, a str or another enum is no state.
            UnknownExecutionError: No execution has this id.
            InvalidTransitionError: The table does not allow the move. Nothing changed.
            FencedError: The execution was ended by its limits or another process. Nothing changed.
            NotOwnerError: Another process owns the execution.
            InvalidValueError: Details that do not go with the state.
            JournalError: It cannot be recorded.
        """
        report = check_report(state, error, result, cause, evidence, self._limits)
        live = self._find_live(execution_id) or self._decider.taken(execution_id)
        if live is None:
            raise self._refusal(self.get(execution_id), state)
        if not state.is_terminal:
            return self._decider.advance(live, None, state)
        cause, message, result_json, evidence = report
        return self._decider.end(live, None, state, cause, message, result_json, CALLER, None, evidence)

    # -- durability and end -------------------------------------------------------------------------------------------

    @checked
    def flush(self, timeout: float | None = None) -> None:
        """Block until everything decided before this call is durable.

        Args:
            timeout: Seconds to wait; None waits as long as the journal takes.

        Raises:
            WaitTimeoutError: It took longer. It is still being written.
            FencedError: Others have ended an execution of this process, and what was decided about it since was refused.
            DuplicateMessageError: Others answer the message of an execution that was created here, so this one was refused.
            JournalError: It could not be written. It is kept and tried again.
        """
        try:
            self._writer.flush(None if timeout is None else seconds("timeout", timeout))
        except ExecutionsLostError as error:
            self._raise_untold(error)

    async def aflush(self) -> None:
        """Do what `flush` does, without blocking the event loop.

        Raises:
            FencedError: Others have ended an execution of this process, and what was decided about it since was refused.
            DuplicateMessageError: Others answer the message of an execution that was created here, so this one was refused.
            JournalError: It could not be written. It is kept and tried again.
        """
        try:
            await durable(self._writer)
        except ExecutionsLostError as error:
            self._raise_untold(error)

    def sweep(self) -> int:
        """End executions whose limits have passed; return how many. The tracker does so itself, at the right time."""
        ended = self._watch.sweep()
        if not self._threaded:
            self._breakers.look()
        return ended

    def close(self) -> None:
        """End what is live as CANCELLED (SHUTDOWN), write everything, and let go of the journal.

        Safe to call again, which tries again what could not be written. In a signal handler raise `SystemExit` instead:
        the handler may have interrupted this very tracker.

        Raises:
            JournalError: Not everything could be written; says why.
        """
        with self._closing:
            if self._is_closed:
                return
            self._decider.close()
            self._watch.close()
            self._shut_down()
            self._buffer.close()
            try:
                self._writer.close()
            except BaseException:
                self._close_deliverers(drain=False)
                self._journal.close()  # it connects again when the next close tries: nothing is held open meanwhile
                raise
            self._is_closed = True  # only now: what could not be written is tried again by the next close, or at exit
            track_no_more(self)
            self._close_deliverers(drain=True)
            self._member.close()
            self._news.close()
            self._breakers.close()
            self._journal.close()

    def __enter__(self) -> Self:
        """Return the tracker, which is closed at the end of the block.

        Raises:
            TrackerClosedError: It is closed already.
        """
        if self._is_closed:
            raise TrackerClosedError
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        """Like `__enter__`."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await finish_in_thread(self.close)

    # -- within -------------------------------------------------------------------------------------------------------

    def _raise_untold(self, lost: ExecutionsLostError) -> None:
        verdict = lost.verdict()
        if verdict is not None:
            raise verdict from lost

    def _shut_down(self) -> None:
        error = "the tracker was closed while the execution was live"
        for live in list(self._decider.live.values()):
            try:
                self._decider.end(live, None, ExecutionState.CANCELLED, Cause.SHUTDOWN, error, None, "shutdown")
            except (InvalidTransitionError, FencedError):
                continue  # it ended by itself a moment ago: the first end wins

    def _after_fork(self) -> None:
        self._decider.abandon(new_incarnation())
        self._writer.forget_thread()
        self._watch.after_fork()
        self._news.after_fork()
        self._member.after_fork()
        self._breakers.after_fork()
        self._begin_notifying(self._clock)
        self._closing = threading.Lock()
        self._started = False
