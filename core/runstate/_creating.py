"""The part of the tracker that creates executions: as a handle, or as a block."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, NamedTuple

from ._checks import checked, names, seconds, text
from ._errors import InvalidValueError, ResultTooLargeError, RunstateError, wrong_type
from ._execution import Execution
from ._json import encode_json
from ._notifying import ExecutionNotifier
from ._scope import ExecutionScope, Pending
from ._states import ExecutionState

MESSAGE_BYTES: Final = 512
"""Of a message's id."""
KEY_BYTES: Final = 2_560
"""Of it and the ids of its thread and user together: what any store can index."""

_PENDING: Final = ExecutionState.PENDING

logger: Final = logging.getLogger("runstate")


class Place(NamedTuple):
    """Where an execution stands in its chain."""

    retry_of: str | None
    attempt: int
    message_id: str | None


class ExecutionCreator(ExecutionNotifier):
    """Creates executions."""

    _default_timeout: float | None
    _started: bool
    _annotations: tuple[Callable[[], Mapping[str, object]], ...] = ()

    def create(
        self,
        *,
        agent: str,
        thread_id: str,
        user_id: str,
        timeout: float | None = None,
        heartbeat_timeout: float | None = None,
        metadata: Mapping[str, object] | None = None,
        message_id: str | None = None,
        retry_of: str | None = None,
    ) -> Execution[Literal[ExecutionState.PENDING]]:
        """Register an execution. Returns when decided; `flush()` makes it durable.

        Args:
            agent: Which agent runs.
            thread_id: The conversation that asked.
            user_id: The user who asked.
            timeout: Seconds from now until it is TIMEOUT; None takes the tracker's `default_timeout`.
            heartbeat_timeout: Seconds without a sign of life, once started, until it is DEAD; None is no limit.
            metadata: Facts to keep with it; JSON, at most `Limits.metadata_bytes` bytes encoded.
            message_id: The client's own key of the message, at most 512 bytes. A user has each once in a thread. It is looked for in the journal,
                which blocks briefly; of two processes that begin one at the same moment, one is told by the handle's next call, or `flush()`.
            retry_of: An execution of this thread and user that has ended, whose chain this one continues, with its message. Blocks as briefly.

        Raises:
            StateTypeError: An argument has the wrong type.
            InvalidValueError: An argument has an impossible value; `NotJsonError`, `ResultTooLargeError` for metadata. The newest of the
                chain has not ended, or is of another thread, user or message.
            DuplicateMessageError: An execution was begun for this message.
            UnknownExecutionError: No execution has the id *retry_of*.
            JournalError: It cannot be recorded.
            TrackerClosedError: The tracker is closed.
        """
        metadata_json = None if metadata is None and not self._annotations else self._metadata(metadata)
        if message_id is None and retry_of is None:
            return self._create(agent, thread_id, user_id, timeout, heartbeat_timeout, metadata_json)
        place = self._place(thread_id, user_id, message_id, retry_of)
        return self._create(agent, thread_id, user_id, timeout, heartbeat_timeout, metadata_json, place)

    @checked
    def _create(
        self,
        agent: str,
        thread_id: str,
        user_id: str,
        timeout: float | None,
        heartbeat_timeout: float | None,
        metadata_json: bytes | None,
        place: Place | None = None,
    ) -> Execution[Literal[ExecutionState.PENDING]]:
        """Do what `create` promises. Checked here because beartype checks six positional arguments in half the time."""
        timeout = self._default_timeout if timeout is None else seconds("timeout", timeout)
        if heartbeat_timeout is not None:
            heartbeat_timeout = seconds("heartbeat_timeout", heartbeat_timeout)
        agent, thread_id, user_id = names(agent, thread_id, user_id, self._limits.name_bytes)
        decider = self._decider
        if place is None:
            live = decider.create(agent, thread_id, user_id, timeout, heartbeat_timeout, metadata_json)
        else:
            live = decider.create(agent, thread_id, user_id, timeout, heartbeat_timeout, metadata_json, *place)
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
        message_id: str | None = None,
        retry_of: str | None = None,
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
            message_id: The client's own key of the message. Whether it is the first for it is known when the block has begun.
            retry_of: An execution that has ended, whose chain this one continues; looked for when the block begins, which blocks briefly.

        Raises:
            DuplicateMessageError: From the block's beginning: an execution was begun for this message, here or in another process.
            NoOutcomeError: From the block's end: it was left without an outcome.
            ExecutionTimeoutError: From the block's end: its time limit has passed.
            FencedError: From the block's end: somebody else has ended it.
        """

        def create() -> Pending:
            if retry_of is None:  # a block waits until its execution is stored, and so it knows then
                return self._begin(agent, thread_id, user_id, timeout, heartbeat_timeout, metadata, message_id)
            return self.create(
                agent=agent,
                thread_id=thread_id,
                user_id=user_id,
                timeout=timeout,
                heartbeat_timeout=heartbeat_timeout,
                metadata=metadata,
                message_id=message_id,
                retry_of=retry_of,
            )

        return ExecutionScope(create, self._decider, self._writer)

    @checked
    def annotate(self, function: Callable[[], Mapping[str, object]]) -> Callable[[], None]:
        """Have *function* say what else to keep with each execution that is created from now on, such as the caller's trace.

        It is called in whichever thread or task creates one, and must not block. What it returns is kept with the metadata; what the
        caller gives goes before it. The attempts of one call, and its fallback, keep what the first has.

        Tracking never costs the agent its answer: if *function* fails, or returns what cannot be kept, that is logged as an error, and
        the execution is created without it.

        Args:
            function: Returns a mapping of JSON; none of its keys needs to be there each time.

        Returns:
            A function that takes it back.
        """
        if not callable(function):
            raise wrong_type("function", function, "a function without parameters")
        self._annotations = (*self._annotations, function)

        def take_back() -> None:
            self._annotations = tuple(one for one in self._annotations if one is not function)

        return take_back

    def _begin(
        self,
        agent: str,
        thread_id: str,
        user_id: str,
        timeout: float | None,
        heartbeat_timeout: float | None,
        metadata: Mapping[str, object] | None,
        message_id: str | None,
    ) -> Pending:
        """Create without looking whether it is the first for its message: the caller waits until it is stored."""
        if message_id is None:
            return self.create(
                agent=agent,
                thread_id=thread_id,
                user_id=user_id,
                timeout=timeout,
                heartbeat_timeout=heartbeat_timeout,
                metadata=metadata,
            )
        metadata_json = None if metadata is None and not self._annotations else self._metadata(metadata)
        place = Place(None, 1, self._message(thread_id, user_id, message_id))
        return self._create(agent, thread_id, user_id, timeout, heartbeat_timeout, metadata_json, place)

    def _message(self, thread_id: str, user_id: str, message_id: str) -> str:
        message_id, limit = text("message_id", message_id, MESSAGE_BYTES), self._limits.name_bytes
        key = (text("thread_id", thread_id, limit), text("user_id", user_id, limit), message_id)
        size = sum(len(part.encode()) for part in key)
        if size > KEY_BYTES:
            raise ResultTooLargeError("thread_id, user_id and message_id together", size, KEY_BYTES)
        return message_id

    def _place(self, thread_id: str, user_id: str, message_id: str | None, retry_of: str | None) -> Place:
        """Find the place of an execution in the chain that it begins or continues."""
        if message_id is not None:
            message_id = self._message(thread_id, user_id, message_id)
        if retry_of is None:
            self._settle()
            duplicate = None if message_id is None else self._member.answered(thread_id, user_id, message_id)
            if duplicate is not None:
                raise duplicate
            return Place(None, 1, message_id)
        newest = self.attempts(retry_of)[-1]
        if newest.thread_id != thread_id:
            raise InvalidValueError("thread_id", thread_id, f"that of the chain it continues: {newest.thread_id!r}")
        if newest.user_id != user_id:
            raise InvalidValueError("user_id", user_id, f"that of the chain it continues: {newest.user_id!r}")
        if message_id is not None and newest.message_id != message_id:
            raise InvalidValueError("message_id", message_id, f"that of the chain it continues: {newest.message_id!r}")
        if not newest.is_terminal:
            raise InvalidValueError(
                "retry_of", retry_of, f"of a chain that has ended, but {newest.execution_id} is {newest.state.name}"
            )
        return Place(newest.retry_of or newest.execution_id, newest.attempt + 1, newest.message_id)

    def _metadata(self, metadata: Mapping[str, object] | None) -> bytes | None:
        own = {} if metadata is None else _mapping("metadata", metadata)
        facts = {key: value for one in self._annotations for key, value in self._annotation(one).items()}
        limit = self._limits.metadata_bytes
        if facts:
            try:
                return encode_json("metadata", facts | own, limit)
            except ResultTooLargeError as error:
                logger.error("runstate: annotations are left out, as there is no room for them: %s", error)  # noqa: TRY400 - it is no bug
        return None if metadata is None else encode_json("metadata", own, limit)

    def _annotation(self, function: Callable[[], Mapping[str, object]]) -> dict[str, object]:
        try:
            facts = _mapping("annotation", function())
            encode_json("annotation", facts, self._limits.metadata_bytes)
        except RunstateError as error:
            logger.error("runstate: %r has returned what cannot be kept, and is left out: %s", function, error)  # noqa: TRY400 - it says all
        except Exception:
            logger.exception("runstate: %r has failed, and is left out", function)
        else:
            return facts
        return {}


def _mapping(name: str, value: Mapping[str, object]) -> dict[str, object]:
    if not isinstance(value, Mapping):
        raise wrong_type(name, value, "a mapping with str keys")
    keys: Iterable[object] = value
    if not all(isinstance(key, str) for key in keys):
        raise wrong_type(name, value, "a mapping with str keys")
    return dict(value)
