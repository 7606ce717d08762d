"""The reading half of the tracker: look at executions, wait for them, follow them. Nothing here changes anything.

An execution that is live in this process is read from memory, everything else from the journal, after what was decided in this
process has been written: a caller always sees its own decisions. Reading from a journal blocks briefly (a page of rows); the
calls that may block longer have an awaitable twin.
"""

from __future__ import annotations

import time
from contextlib import suppress

from ._async import library
from ._buffer import Buffer
from ._checks import checked, seconds, text
from ._decider import Decider
from ._errors import (
    InvalidValueError,
    JournalConflictError,
    UnknownExecutionError,
    WaitTimeoutError,
    wrong_type,
)
from ._events import News, Subscription
from ._json import Json
from ._live import Live
from ._notices import NoticeTally
from ._outcomes import Outcome, outcome_of
from ._records import Entry, ExecutionRecord, Limits, Selection, Statistics, Transition
from ._states import ExecutionState
from ._wake import Wake
from .journal import Journal
from .journal._log import log_of
from .journal._writer import JournalWriter


class ExecutionReader:
    """Reads executions: those of this process as they are now, all others as the journal has them."""

    _journal: Journal
    _limits: Limits
    _buffer: Buffer
    _decider: Decider
    _news: News
    _writer: JournalWriter
    _tally: NoticeTally

    @property
    def incarnation(self) -> str:
        """The name of this boot of this process: executions created now have it. A fence and a fork give it another one."""
        return self._decider.incarnation

    @checked
    def get(self, execution_id: str) -> ExecutionRecord:
        """Return everything known of an execution: a live one of this process from memory, any other from the journal.

        Args:
            execution_id: Which.

        Raises:
            UnknownExecutionError: No execution has this id.
            RecordDecodeError: The journal holds no valid record of it.
            JournalError: It cannot be read, or what was just decided cannot be written.
        """
        return self._get(execution_id)

    @checked
    def history(self, execution_id: str) -> tuple[Transition, ...]:
        """Return an execution's moves, in order. Empty while it is PENDING.

        Args:
            execution_id: Which.

        Raises:
            UnknownExecutionError: No execution has this id.
            JournalError: It cannot be read.
        """
        return tuple(entry for entry in self.timeline(execution_id) if isinstance(entry, Transition))

    @checked
    def timeline(self, execution_id: str) -> tuple[Entry, ...]:
        """Return an execution's whole log, in order: its creation, its moves and its phases.

        Args:
            execution_id: Which.

        Raises:
            UnknownExecutionError: No execution has this id.
            JournalError: It cannot be read.
        """
        self._check_id(execution_id)
        self._settle()
        entries = log_of(self._journal, execution_id)
        if not entries:
            raise UnknownExecutionError(execution_id)
        return tuple(entries)

    @checked
    def find(
        self,
        *,
        state: ExecutionState | None = None,
        agent: str | None = None,
        thread_id: str | None = None,
        user_id: str | None = None,
        retry_of: str | None = None,
        message_id: str | None = None,
        limit: int = 100,
    ) -> tuple[ExecutionRecord, ...]:
        """Return executions, the newest first; every filter given must match.

        Args:
            state: The state that they are in.
            agent: Their agent.
            thread_id: Their conversation.
            user_id: Their user.
            retry_of: The first of their chain, which is not returned itself; `attempts` returns all of it.
            message_id: The client's key of the message that they answer; it is one message together with *thread_id* and *user_id*. Found
                fast together with *thread_id*.
            limit: At most this many, 1 to 1,000,000.

        Raises:
            InvalidValueError: *limit* is out of range.
            JournalError: It cannot be read.
        """
        if state is not None and state.__class__ is not ExecutionState:
            raise wrong_type("state", state, "an ExecutionState")
        if isinstance(limit, bool) or not isinstance(limit, int):
            raise wrong_type("limit", limit, "an int")
        if not 1 <= limit <= 1_000_000:
            raise InvalidValueError("limit", limit, "between 1 and 1,000,000")
        selection = self._selection(None, state, agent, thread_id, user_id, retry_of, message_id)
        self._settle()
        return tuple(self._journal.executions(selection, limit))

    @checked
    def attempts(self, execution_id: str) -> tuple[ExecutionRecord, ...]:
        """Return the whole chain that an execution belongs to, in order: the first, and all that were begun because one had failed.

        Args:
            execution_id: Any of them. One that was never retried is a chain by itself.

        Raises:
            UnknownExecutionError: No execution has this id.
            JournalError: It cannot be read.
        """
        record = self._get(execution_id)
        first = record if record.retry_of is None else self._get(record.retry_of)
        self._settle()
        others = self._journal.executions(Selection(retry_of=first.execution_id), 1_000_000)
        if others and not first.is_terminal:
            first = self._get(first.execution_id)  # it has ended since it was read
        return (first, *sorted(others, key=lambda one: one.attempt))

    @checked
    def wait(self, execution_id: str, *, timeout: float) -> Outcome[Json]:
        """Block until an execution has ended and its end is durable. Always ends.

        Args:
            execution_id: Which.
            timeout: Seconds to wait.

        Raises:
            WaitTimeoutError: It has not ended in time. It goes on.
            UnknownExecutionError: No execution has this id.
            JournalError: It cannot be read.
        """
        timeout = seconds("timeout", timeout)
        until = time.monotonic() + timeout
        live = self._find_live(execution_id)
        if live is not None:
            ended = Wake()
            self._decider.watch(live, ended.set)
            try:
                in_time = ended.wait(timeout)
            finally:
                self._decider.unwatch(live, ended.set)
            if not in_time:
                raise WaitTimeoutError(f"execution {execution_id} has not ended", timeout)
        written = Wake()
        self._news.add(written)
        while True:
            written.clear()
            record = self._get_until(execution_id, until, timeout)
            if record.is_terminal:
                return outcome_of(record)
            written.wait(min(self._news.patience, max(0.0, until - time.monotonic())))

    @checked
    async def await_outcome(self, execution_id: str, *, timeout: float) -> Outcome[Json]:
        """Do what `wait` does, without blocking the event loop.

        Args:
            execution_id: Which.
            timeout: Seconds to wait.

        Raises:
            WaitTimeoutError: It has not ended in time. It goes on.
            UnknownExecutionError: No execution has this id.
            JournalError: It cannot be read.
        """
        timeout = seconds("timeout", timeout)
        live = self._find_live(execution_id)
        until = time.monotonic() + timeout
        loop = library()
        if live is not None:
            ended = loop.signal()
            self._decider.watch(live, ended.set)
            try:
                in_time = await ended.wait(timeout)
            finally:
                self._decider.unwatch(live, ended.set)
            if not in_time:
                raise WaitTimeoutError(f"execution {execution_id} has not ended", timeout)
        written = loop.signal()
        self._news.add(written)
        while True:
            written.clear()
            record = await loop.in_thread(self._get_until, execution_id, until, timeout)
            if record.is_terminal:
                return outcome_of(record)
            await written.wait(min(self._news.patience, max(0.0, until - time.monotonic())))

    @checked
    def subscribe(
        self,
        *,
        after: int = 0,
        execution_id: str | None = None,
        agent: str | None = None,
        thread_id: str | None = None,
        user_id: str | None = None,
    ) -> Subscription:
        """Return the journal's events: those after a position, then each new one as it becomes durable.

        Args:
            after: The position read last; 0 replays everything that is kept.
            execution_id: Only this execution's.
            agent: Only this agent's.
            thread_id: Only this conversation's.
            user_id: Only this user's.

        Returns:
            Something to iterate with `for` or `async for`; reading raises `SubscriptionLaggedError` when retention has
            removed what would come next.

        Raises:
            InvalidValueError: *after* is negative.
        """
        if isinstance(after, bool) or not isinstance(after, int):
            raise wrong_type("after", after, "an int")
        if not 0 <= after < 1 << 63:
            raise InvalidValueError("after", after, "a position: 0 or more")
        if execution_id is not None:
            self._check_id(execution_id)
        return Subscription(
            self._journal, self._news, after, self._selection(execution_id, None, agent, thread_id, user_id)
        )

    def statistics(self) -> Statistics:
        """Return what this tracker has done since it was opened."""
        counts, writer, buffer = self._decider.counts(), self._writer, self._buffer
        failure, tally = buffer.failure, self._tally
        median, nearly_all, longest = tally.delays()
        return Statistics(
            created=counts.created,
            live=counts.live,
            ended=counts.ended,
            refused=counts.refused,
            rejected=writer.rejected,
            pending=buffer.pending(),
            written=writer.written,
            commits=writer.commits,
            journal_failure=None if failure is None else str(failure),
            notices_delivered=tally.delivered,
            notices_retried=tally.retried,
            notices_parked=tally.parked,
            notice_delay_p50=median,
            notice_delay_p99=nearly_all,
            notice_delay_max=longest,
        )

    def _get(self, execution_id: str, within: float | None = None) -> ExecutionRecord:
        live = self._find_live(execution_id)
        if live is not None:
            return live.record()
        self._settle(within)
        found = self._journal.executions(Selection(execution_id=execution_id), 1)
        if not found:
            raise UnknownExecutionError(execution_id)
        return found[0]

    def _get_until(self, execution_id: str, until: float, timeout: float) -> ExecutionRecord:
        """Get the record of an execution that is waited for; *until* is monotonic time in seconds."""
        try:
            record = self._get(execution_id, max(0.0, until - time.monotonic()))
        except WaitTimeoutError as error:
            raise WaitTimeoutError(f"the end of execution {execution_id} is not durable", timeout) from error
        if not record.is_terminal and time.monotonic() >= until:
            raise WaitTimeoutError(f"execution {execution_id} has not ended", timeout)
        return record

    def _find_live(self, execution_id: str) -> Live | None:
        live = self._decider.live.get(execution_id) if type(execution_id) is str else None
        if live is None:
            self._check_id(execution_id)
        return live

    def _check_id(self, execution_id: str) -> None:
        text("execution_id", execution_id, self._limits.name_bytes)

    def _selection(
        self,
        execution_id: str | None,
        state: ExecutionState | None,
        agent: str | None,
        thread_id: str | None,
        user_id: str | None,
        retry_of: str | None = None,
        message_id: str | None = None,
    ) -> Selection:
        limit = self._limits.name_bytes
        return Selection(
            execution_id,
            state,
            None if agent is None else text("agent", agent, limit),
            None if thread_id is None else text("thread_id", thread_id, limit),
            None if user_id is None else text("user_id", user_id, limit),
            None if retry_of is None else text("retry_of", retry_of, limit),
            None if message_id is None else text("message_id", message_id, limit),
        )

    def _settle(self, within: float | None = None) -> None:
        """Have the journal show everything that this tracker has decided, within so many seconds."""
        if self._buffer.entries or self._writer.is_writing:
            # All that can be stored is; who has lost an execution is told by its handle, its block and flush().
            with suppress(JournalConflictError):
                self._writer.flush(within)
