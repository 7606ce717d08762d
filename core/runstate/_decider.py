"""Decides moves: check, number, stamp, hand on. Synchronous, in memory, without I/O; the only writer of live state.

The order inside a move, under the execution's own lock, is what the rest relies on:

1. *Check.* The move must be in the table, and the handle must know the present state. A refusal has changed nothing.
2. *Room.* The buffer must have room. A full, failed or closed one refuses, and nothing has changed. Ends are taken even
   when it is full or failed: they are bounded by what is live, and no execution may be left without its true end.
3. *Commit and hand on.* State and seq are set, then the entry is appended. The append comes last because it cannot fail
   and because CPython delivers signals only around calls: a Ctrl-C finds either neither done or both.

A terminal state absorbs, so whoever comes first wins and everybody else is told who did.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, NoReturn

from ._buffer import SMALL, Buffer
from ._checks import error_text
from ._clock import Clock
from ._deadlines import Deadlines
from ._errors import (
    InvalidTransitionError,
    InvalidValueError,
    JournalFullError,
    RunstateError,
    TrackerClosedError,
    wrong_type,
)
from ._ids import new_execution_id
from ._live import Live
from ._loops import Loops
from ._records import Created, Evidence, Limits, PhaseChange, Transition, Warned
from ._registry import Registry
from ._states import CAUSES, INITIAL, TRANSITIONS, Cause, ExecutionState, Phase

OWNER: Final = "owner"
"""Observer of an end that came through the execution's own handle."""
CALLER: Final = "caller"
"""Observer of an end that came by id."""

_OWNERS: Final = frozenset({OWNER, CALLER})
_PENDING: Final = ExecutionState.PENDING
_TRANSITIONS: Final = dict(
    TRANSITIONS
)  # the same tables without the read-only view around them, which costs at each move
_CAUSES: Final = dict(CAUSES)
_new: Final = tuple.__new__  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
"""Makes a NamedTuple from a tuple of all its fields, at a third of the price of calling its class."""
_new_lock: Final = threading.Lock


class Decider(Registry):
    """The live executions of one tracker, and every decision about them."""

    def __init__(
        self, buffer: Buffer, deadlines: Deadlines[Live], clock: Clock, limits: Limits, incarnation: str
    ) -> None:
        super().__init__(deadlines, incarnation)
        self.monotonic_ns: Callable[[], int] = clock.monotonic_ns
        self.time_ns: Callable[[], int] = clock.time_ns
        self._buffer = buffer
        self.limits: Limits = limits
        self.loops: Loops | None = None
        """The event loops that executions run in, where somebody asks them whether they turn."""
        self.unwarned: int = 0
        """Warnings for which there was no room. Approximate."""

    def create(
        self,
        agent: str,
        thread_id: str,
        user_id: str,
        timeout: float | None,
        heartbeat_timeout: float | None,
        metadata_json: bytes | None,
        retry_of: str | None = None,
        attempt: int = 1,
        message_id: str | None = None,
        *,
        relieves: bool = True,
    ) -> Live:
        """Register an execution, PENDING. The arguments have been checked.

        With *relieves* off nothing is written here, as the caller holds a lock that who writes may want.

        Raises:
            JournalError: The buffer refuses; nothing was registered.
            TrackerClosedError: The tracker is closed.
        """
        buffer = self._buffer
        if len(buffer.entries) >= buffer.relief:
            try:
                if relieves:
                    buffer.relieve()
                elif len(buffer.entries) >= buffer.capacity:
                    raise buffer.refusal()
            except RunstateError as refusal:
                raise self._refuse(refusal) from refusal.__cause__
        if metadata_json is not None and len(metadata_json) > SMALL:
            buffer.reserve(len(metadata_json))
        # Taken into local names first, here and below: calling an instance's attribute as if it were a method is slower.
        monotonic_ns, time_ns = self.monotonic_ns, self.time_ns
        now_ns = monotonic_ns()
        at_ns = time_ns()
        execution_id = new_execution_id(at_ns)
        live = Live()
        live.execution_id = execution_id
        live.created = entry = _new(
            Created,
            (
                execution_id,
                1,
                at_ns,
                agent,
                thread_id,
                user_id,
                self.incarnation,
                timeout,
                heartbeat_timeout,
                metadata_json,
                retry_of,
                attempt,
                message_id,
            ),
        )
        live.updated_at_ns = at_ns
        live.offset_ns = at_ns - now_ns
        live.state = INITIAL
        live.seq = 1
        live.phase = live.end = live.loop = live.lost = live.left = live.succession = live.watchers = None
        live.beat_ns = now_ns
        live.beats = live.warnings = 0
        live.closed = live.is_entering = False
        live.lock = _new_lock()
        with self._counts_lock:
            is_open = not self._closing
            if is_open:
                self.live[execution_id] = live
                buffer.entries.append(entry)
        if not is_open:
            raise self._refuse(TrackerClosedError())
        if timeout is not None:
            self._deadlines.add(live, now_ns + timeout * 1e9)
        if buffer.idle:
            buffer.wake.set()
        return live

    def advance(self, live: Live, known: ExecutionState | None, target: ExecutionState) -> Transition:
        """Move an execution on to another live state, or refuse and change nothing.

        Args:
            live: The execution.
            known: The state that the caller believes it to be in; None for a move by id.
            target: The live state wanted.

        Raises:
            StateTypeError: *target* is no `ExecutionState`.
            InvalidTransitionError: The table does not allow it, or *known* is stale.
            FencedError: Somebody else has ended it.
            JournalError: The buffer refuses.
        """
        monotonic_ns, buffer = self.monotonic_ns, self._buffer
        with live.lock:
            source = live.state
            try:
                legal = target in _TRANSITIONS[source]
            except TypeError:  # unhashable, a dict for example
                legal = False
            if not legal or (known is not source and known is not None) or live.closed:
                self._refuse_move(live, known, target)
            if len(buffer.entries) >= buffer.capacity:
                raise self._refuse(buffer.refusal())
            now_ns = monotonic_ns()
            seq, at_ns = live.seq + 1, now_ns + live.offset_ns
            entry = _new(
                Transition,
                (live.execution_id, seq, at_ns, source, target, live.created.incarnation, None, None, None, None),
            )
            live.seq = seq
            live.updated_at_ns = at_ns
            live.beat_ns = now_ns
            live.state = target
            buffer.entries.append(entry)
        if source is _PENDING:
            limit, loops = live.created.heartbeat_timeout, self.loops
            if loops is not None:
                live.loop = loops.current()
                if self._deadlines.idle and (live.loop is not None or limit is not None):
                    self._deadlines.rouse()
            if limit is not None and not live.is_entering:
                self._deadlines.add(live, now_ns + limit * 1e9)
        if buffer.idle:
            buffer.wake.set()
        return entry

    def end(
        self,
        live: Live,
        known: ExecutionState | None,
        target: ExecutionState,
        cause: Cause,
        error: str | None = None,
        result_json: bytes | None = None,
        observer: str = OWNER,
        reason: str | None = None,
        evidence: Evidence | None = None,
    ) -> Transition:
        """Move an execution to a terminal state, or refuse and change nothing.

        A full or failed buffer takes ends all the same: there is at most one for each live execution, and an execution whose
        end were refused would be left without its true one. It does refuse a large result past its byte budget.

        Args:
            live: The execution.
            known: The state that the caller believes it to be in; None for a move by id or by an observer.
            target: The terminal state wanted.
            cause: Why.
            error: What went wrong, for an unhappy end.
            result_json: The encoded result, for COMPLETED.
            observer: Who decides this.
            reason: The reason that the caller gives.
            evidence: Evidence that an observer has gathered, instead of what is known here.

        Raises:
            StateTypeError: *target* is no `ExecutionState`.
            InvalidTransitionError: The table does not allow it, or *known* is stale.
            InvalidValueError: *cause* is no cause of *target*.
            FencedError: Somebody else has ended it.
            JournalFullError: The result is past the byte budget.
            TrackerClosedError: The tracker is closed.
        """
        monotonic_ns, buffer = self.monotonic_ns, self._buffer
        with live.lock:
            source = live.state
            if target not in _TRANSITIONS[source] or (known is not source and known is not None) or live.closed:
                if live.left is not None and observer in _OWNERS:
                    self._hand_on_late(live, target, cause, error, result_json, observer, reason)
                self._refuse_move(live, known, target)
            if cause not in _CAUSES[target]:
                accepted = ", ".join(sorted(one.name for one in CAUSES[target]))
                raise self._refuse(InvalidValueError("cause", cause, f"a cause of {target.name}: {accepted}"))
            if buffer.closed:
                raise self._refuse(buffer.refusal())
            now_ns = monotonic_ns()
            if evidence is None:
                age, phase = max(0, now_ns - live.beat_ns) / 1e9, live.phase
                if phase is None:
                    evidence = _new(Evidence, (observer, live.beats, age, None, None, None, reason))
                else:
                    evidence = Evidence(observer, live.beats, age, phase.phase, phase.detail, None, reason)
            if result_json is not None and len(result_json) > SMALL:
                buffer.reserve(len(result_json))
            if live.succession is not None:
                live.succession(source, target, cause)
            seq, at_ns = live.seq + 1, now_ns + live.offset_ns
            entry = _new(
                Transition,
                (
                    live.execution_id,
                    seq,
                    at_ns,
                    source,
                    target,
                    live.created.incarnation,
                    cause,
                    evidence,
                    error,
                    result_json,
                ),
            )
            live.seq = seq
            live.updated_at_ns = at_ns
            live.end = entry
            live.closed = True
            live.state = target
            buffer.entries.append(entry)
        with self._counts_lock:
            self.live.pop(live.execution_id, None)
            self._ended[target, cause] += 1
            self._deadlines.left += 1 if live.created.heartbeat_timeout is None else 2
        if buffer.idle:
            buffer.wake.set()
        if live.watchers is not None:
            self._notify(live)
        return entry

    def _hand_on_late(
        self,
        live: Live,
        target: ExecutionState,
        cause: Cause,
        error: str | None,
        result_json: bytes | None,
        observer: str,
        reason: str | None,
    ) -> None:
        """Hand on an end that the journal will refuse, as a fence has taken the execution: it is kept there as its rejected end."""
        buffer, left = self._buffer, live.left
        if left is None or buffer.closed or target not in _TRANSITIONS[left[0]] or cause not in _CAUSES[target]:
            return
        if result_json is not None and len(result_json) > SMALL:
            try:
                buffer.reserve(len(result_json))
            except RunstateError:
                return  # there is no room for what nobody gets as an answer
        live.left = None
        now_ns, phase = self.monotonic_ns(), live.phase
        doing, detail = (None, None) if phase is None else (phase.phase, phase.detail)
        evidence = Evidence(observer, live.beats, max(0, now_ns - live.beat_ns) / 1e9, doing, detail, None, reason)
        self._late.add(live.execution_id)
        (source, seq), at_ns, owner = left, now_ns + live.offset_ns, live.created.incarnation
        entry = Transition(
            live.execution_id, seq + 1, at_ns, source, target, owner, cause, evidence, error, result_json
        )
        buffer.entries.append(entry)
        if buffer.idle:
            buffer.wake.set()

    def enter_phase(self, live: Live, phase: Phase, detail: str | None) -> None:
        """Record what a live execution does now. Counts as a sign of life.

        Raises:
            FencedError: It has ended.
            JournalError: The buffer refuses, or the execution has used up its entries.
        """
        if phase.__class__ is not Phase:
            raise self._refuse(wrong_type("phase", phase, "a Phase"))
        monotonic_ns, buffer = self.monotonic_ns, self._buffer
        with live.lock:
            if live.closed:
                raise self.late(live)
            if len(buffer.entries) >= buffer.capacity:
                raise self._refuse(buffer.refusal())
            seq = live.seq + 1
            if seq > self.limits.entries:
                raise self._refuse(
                    JournalFullError(f"execution {live.execution_id} has too many entries", self.limits.entries)
                )
            now_ns = monotonic_ns()
            at_ns = now_ns + live.offset_ns
            entry = _new(PhaseChange, (live.execution_id, seq, at_ns, phase, detail, live.created.incarnation))
            live.seq = seq
            live.updated_at_ns = at_ns
            live.beat_ns = now_ns
            live.phase = entry
            buffer.entries.append(entry)
        if buffer.idle:
            buffer.wake.set()

    def warn(self, live: Live, cause: Cause, detail: str | None) -> Warned | None:
        """Record that a verdict threatens. No sign of life, and nothing may be lost over it: without room it is only counted.

        Args:
            live: The execution.
            cause: The cause that the verdict would have.
            detail: What was seen, such as the blocking stack; cut to `Limits.error_bytes`.

        Returns:
            The entry; None if it has ended, has used up its entries, or the buffer is full or closed.
        """
        buffer = self._buffer
        said = None if detail is None else error_text("detail", detail, self.limits.error_bytes)
        with live.lock:
            seq = live.seq + 1
            if live.closed or len(buffer.entries) >= buffer.capacity or seq > self.limits.entries:
                self.unwarned += 1
                return None
            at_ns = self.monotonic_ns() + live.offset_ns
            entry = Warned(live.execution_id, seq, at_ns, cause, said, live.created.incarnation)
            live.seq = seq
            live.updated_at_ns = at_ns
            live.warnings += 1
            buffer.entries.append(entry)
        if buffer.idle:
            buffer.wake.set()
        return entry

    def _refuse_move(self, live: Live, known: ExecutionState | None, target: ExecutionState) -> NoReturn:
        if target.__class__ is not ExecutionState:
            raise self._refuse(wrong_type("state", target, "an ExecutionState"))
        end = live.end
        if live.lost is not None or (
            end is not None
            and end.evidence is not None
            and end.evidence.observer != OWNER
            and not (known is None and end.evidence.observer == CALLER)
        ):
            raise self.late(live)
        raise self._refuse(InvalidTransitionError(live.execution_id, live.state, target, known))
