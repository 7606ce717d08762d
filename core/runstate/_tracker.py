"""`ExecutionTracker`: the public face. It composes decider, writer, journal, events and limits, and decides nothing itself."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Final, Literal, ParamSpec, Self, TypeVar

from ._agents import AgentDecorator
from ._async import finish_in_thread
from ._buffer import Buffer
from ._checks import checked, names, seconds, text
from ._clock import Clock, SystemClock
from ._deadlines import Deadlines
from ._decider import CALLER, Decider
from ._durable import durable
from ._errors import (
    FencedError,
    InvalidTransitionError,
    JournalUnavailableError,
    wrong_type,
)
from ._events import News
from ._execution import Execution
from ._ids import new_incarnation
from ._json import encode_json, warm_up
from ._lifecycle import track_no_more, track_until_closed
from ._live import ExecutionsLostError, Live
from ._liveness import LEASE
from ._member import Member
from ._records import Evidence, Limits, Transition
from ._remote import ExecutionRemote
from ._reports import check_report
from ._scope import ExecutionScope
from ._states import Cause, ExecutionState
from ._watch import LimitWatch
from .journal import Journal
from .journal._writer import JournalWriter

P = ParamSpec("P")
R = TypeVar("R")

_PENDING: Final = ExecutionState.PENDING

DEFAULT_TIMEOUT: Final = 3_600.0
"""Seconds after which an execution that named no limit is TIMEOUT: every execution ends."""


class ExecutionTracker(ExecutionRemote):
    """Tracks the executions of this process in one journal. Safe to use from any thread and any event loop.

    Most programs call `runstate.open(url)` instead of this. An argument of the wrong type is a `StateTypeError`, everywhere.

    Args:
        journal: Where executions are kept. The tracker closes it.
        limits: Budgets.
        default_timeout: Seconds for executions that name no timeout; None lets them run for ever.
        clock: The clocks. With any but the system's, nothing expires by itself: call `sweep()`.
        read_only: Take no calls that write.
        lease: Seconds after which other processes on the same journal hold this one for dead if it gives no sign of life; an end of
            the process they see at once. For journals that processes share.
        blocked_timeout: Seconds that an event loop may be blocked until the executions in it that give no sign of life from
            elsewhere are DEAD, cause LOOP_BLOCKED; None is no limit. Either way a blocked loop is a `Warned` entry, with its stack.
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
        lease = seconds("lease", lease)
        blocked_timeout = None if blocked_timeout is None else seconds("blocked_timeout", blocked_timeout)
        clock = clock if clock is not None else SystemClock()
        threaded = isinstance(clock, SystemClock)
        self._buffer = Buffer(limits)
        self._deadlines: Deadlines[Live] = Deadlines()
        self._decider = Decider(self._buffer, self._deadlines, clock, limits, new_incarnation())
        self._watch = LimitWatch(
            self._decider, self._deadlines, clock, threaded=threaded, blocked_timeout=blocked_timeout
        )
        self._news = News(journal)
        self._member = member = Member(
            self, journal, self._decider, self._news, clock, lease, threaded=threaded, read_only=read_only
        )
        self._writer = JournalWriter(journal, self._buffer, member.join, member.written, member.refused)
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

    # -- creating -----------------------------------------------------------------------------------------------------

    def create(
        self,
        *,
        agent: str,
        thread_id: str,
        user_id: str,
        timeout: float | None = None,
        heartbeat_timeout: float | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> Execution[Literal[ExecutionState.PENDING]]:
        """Register an execution. Returns when decided; `flush()` makes it durable.

        Args:
            agent: Which agent runs.
            thread_id: The conversation that asked.
            user_id: The user who asked.
            timeout: Seconds from now until it is TIMEOUT; None takes the tracker's `default_timeout`.
            heartbeat_timeout: Seconds without a sign of life, once started, until it is DEAD; None is no limit.
            metadata: Facts to keep with it; JSON, at most `Limits.metadata_bytes` bytes encoded.

        Raises:
            StateTypeError: An argument has the wrong type.
            InvalidValueError: An argument has an impossible value; `NotJsonError`, `ResultTooLargeError` for metadata.
            JournalError: It cannot be recorded.
            TrackerClosedError: The tracker is closed.
        """
        metadata_json = None if metadata is None else self._metadata(metadata)
        return self._create(agent, thread_id, user_id, timeout, heartbeat_timeout, metadata_json)

    @checked
    def _create(
        self,
        agent: str,
        thread_id: str,
        user_id: str,
        timeout: float | None,
        heartbeat_timeout: float | None,
        metadata_json: bytes | None,
    ) -> Execution[Literal[ExecutionState.PENDING]]:
        """Do what `create` promises. Checked here because beartype checks six positional arguments in half the time."""
        timeout = self._default_timeout if timeout is None else seconds("timeout", timeout)
        if heartbeat_timeout is not None:
            heartbeat_timeout = seconds("heartbeat_timeout", heartbeat_timeout)
        agent, thread_id, user_id = names(agent, thread_id, user_id, self._limits.name_bytes)
        decider = self._decider
        live = decider.create(agent, thread_id, user_id, timeout, heartbeat_timeout, metadata_json)
        if not self._started:
            self._started = True
            self._writer.start()
            self._member.start()
        return Execution(decider, live, _PENDING)

    @checked
    def execution(
        self,
        *,
        agent: str,
        thread_id: str,
        user_id: str,
        timeout: float | None = None,
        heartbeat_timeout: float | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> ExecutionScope:
        """Track a `with` or `async with` block as one execution, RUNNING inside.

        Creation and end are durable before control returns. See the table in `_scope` for how each way to leave ends.

        Args:
            agent: As for `create`, and so are the others.
            thread_id: The conversation that asked.
            user_id: The user who asked.
            timeout: Seconds until TIMEOUT; an async block is then cancelled.
            heartbeat_timeout: Seconds without a sign of life until DEAD, counted from where the body begins, however long the journal
                takes before that; an async block is then cancelled.
            metadata: Facts to keep with it.

        Raises:
            NoOutcomeError: From the block's end: it was left without an outcome.
            ExecutionTimeoutError: From the block's end: its time limit has passed.
            FencedError: From the block's end: somebody else has ended it.
        """
        return ExecutionScope(
            lambda: self.create(
                agent=agent,
                thread_id=thread_id,
                user_id=user_id,
                timeout=timeout,
                heartbeat_timeout=heartbeat_timeout,
                metadata=metadata,
            ),
            self._decider,
            self._writer,
        )

    @checked
    def agent(
        self, name: str, *, timeout: float | None = None, heartbeat_timeout: float | None = None
    ) -> AgentDecorator:
        """Decorate a function so that each call is one execution and returns an `Outcome`.

        Args:
            name: The agent's name in records.
            timeout: Seconds that a call may take; None takes the tracker's `default_timeout`.
            heartbeat_timeout: Seconds without a sign of life until DEAD; None is no limit.

        Returns:
            A decorator for `def` and `async def`. Call the result as `agent.bind(thread_id=…, user_id=…)(…)`.
        """
        name = text("name", name, self._limits.name_bytes)
        if timeout is not None:
            timeout = seconds("timeout", timeout)
        if heartbeat_timeout is not None:
            heartbeat_timeout = seconds("heartbeat_timeout", heartbeat_timeout)

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

        default = timeout
        return AgentDecorator(name, open_scope)

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
        live = self._find_live(execution_id)
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
            JournalError: It could not be written. It is kept and tried again.
        """
        try:
            self._writer.flush(None if timeout is None else seconds("timeout", timeout))
        except ExecutionsLostError as error:
            raise error.verdict() from error

    async def aflush(self) -> None:
        """Do what `flush` does, without blocking the event loop.

        Raises:
            FencedError: Others have ended an execution of this process, and what was decided about it since was refused.
            JournalError: It could not be written. It is kept and tried again.
        """
        try:
            await durable(self._writer)
        except ExecutionsLostError as error:
            raise error.verdict() from error

    def sweep(self) -> int:
        """End executions whose limits have passed; return how many. The tracker does so itself, at the right time."""
        return self._watch.sweep()

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
                self._journal.close()  # it connects again when the next close tries: nothing is held open meanwhile
                raise
            self._is_closed = True  # only now: what could not be written is tried again by the next close, or at exit
            track_no_more(self)
            self._member.close()
            self._news.close()
            self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await finish_in_thread(self.close)

    # -- within -------------------------------------------------------------------------------------------------------

    def _metadata(self, metadata: Mapping[str, object]) -> bytes:
        if not isinstance(metadata, Mapping):
            raise wrong_type("metadata", metadata, "a mapping with str keys")
        keys: Iterable[object] = metadata
        if not all(isinstance(key, str) for key in keys):
            raise wrong_type("metadata", metadata, "a mapping with str keys")
        return encode_json("metadata", dict(metadata), self._limits.metadata_bytes)

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
        self._closing = threading.Lock()
        self._started = False
