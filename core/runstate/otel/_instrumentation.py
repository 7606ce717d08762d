"""`instrument`: follows the journal in a thread of its own, and tells spans and metrics what it says.

An execution costs its creator one look at the current span, which is kept with its metadata. All else happens in that thread,
after what happened is durable. Each end is told by the one process that wrote it: the owner, or whoever buried the owner; so
a fleet tells everything once, and a death is told although the dead cannot.

What goes wrong here is logged and costs no execution anything. Telemetry is told at most once: a process that dies right after it
has recorded an end takes the span of that end along, as it does everything that its exporter still held.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Final, Self
from weakref import WeakKeyDictionary, WeakMethod

from opentelemetry import metrics, trace
from opentelemetry.context import attach, detach
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider, set_span_in_context

from runstate import (
    Created,
    Entry,
    Event,
    ExecutionState,
    ExecutionTracker,
    InvalidValueError,
    JournalError,
    JournalUnavailableError,
    RunstateError,
    StateTypeError,
    Subscription,
    SubscriptionLaggedError,
    Transition,
    WaitTimeoutError,
    Warned,
    __version__,
)

from ._life import Life
from ._metrics import Meters
from ._origin import read
from ._spans import MODES, Mode, Spans
from ._state import DEPARTED

logger: Final = logging.getLogger("runstate.otel")

SCOPE: Final = "runstate"
"""The instrumentation scope of all spans and metrics."""
RETRY: Final = 1.0
"""Seconds between attempts to read a journal that cannot be read."""
AT_ONCE: Final = 1e-6
"""Seconds to wait for an event where only those are wanted that are there."""
LINGER: Final = 0.25
"""Seconds that events wait for company: many are read at the price of one, and whoever commits meets no reader each time."""
SEEDED: Final = 10_000
"""Executions in one state, live before they were instrumented, that are looked up."""
LIVE: Final = tuple(state for state in ExecutionState if not state.is_terminal)

_instrumented: Final[WeakKeyDictionary[ExecutionTracker, Instrumentation]] = WeakKeyDictionary()
_told: Final[WeakKeyDictionary[ExecutionTracker, int]] = WeakKeyDictionary()
"""How far a tracker's journal was told when its last instrumentation was closed."""
_after_fork: Final[set[WeakMethod[Callable[[], None]]]] = set()
"""What a forked child calls, of those that are open."""


def instrument(
    tracker: ExecutionTracker,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    spans: Mode = "auto",
) -> Instrumentation:
    """Tell OpenTelemetry of a tracker's executions from now on, until the tracker or what this returns is closed.

    What the tracker has buried when it was opened is told as well. Set the providers up first. Reads the journal briefly, to know where now is.

    Args:
        tracker: Whose. Each process of a fleet instruments its own, and tells what it has written.
        tracer_provider: Where spans go; None is the global one.
        meter_provider: Where metrics go; None is the global one.
        spans: `auto`: an `invoke_agent` span for each execution, but where a framework's is current at its creation that one is used.
            `invoke_agent`: always one of our own. `execution`: one that is not called `invoke_agent`, for programs whose framework
            opens its own inside the execution. `none`: no spans.

    Returns:
        A handle; close it after the tracker, so that the ends which closing makes are told too: `with instrument(tracker), tracker:`.

    Raises:
        StateTypeError: *tracker* is none.
        InvalidValueError: *spans* is unknown, or the tracker is instrumented already.
        JournalError: The journal cannot be read.
    """
    if not isinstance(tracker, ExecutionTracker):
        raise StateTypeError(f"instrument takes an ExecutionTracker, not {type(tracker).__qualname__}")
    if spans not in MODES:
        raise InvalidValueError("spans", spans, f"one of {', '.join(MODES)}")
    if tracker in _instrumented:
        raise InvalidValueError("tracker", tracker, "one that is not instrumented yet: close its instrumentation first")
    tracer = trace.get_tracer(SCOPE, __version__, tracer_provider)
    meter = metrics.get_meter(SCOPE, __version__, meter_provider)
    instrumentation = Instrumentation(tracker, Spans(tracer, spans), meter)
    _instrumented[tracker] = instrumentation
    return instrumentation


class Instrumentation:
    """One tracker's telemetry. Made by `instrument`; a context manager that closes."""

    def __init__(self, tracker: ExecutionTracker, spans: Spans, meter: metrics.Meter) -> None:
        self._tracker = tracker
        self._spans = spans
        self._lock = threading.Lock()
        self._lives: dict[str, Life] = {}
        self._places: set[tuple[str, int]] = set()
        """The places of those in their chains. An attempt that ends while the next one lives is tried again."""
        self._own = frozenset({tracker.incarnation})
        self._is_closing = threading.Event()
        self._is_open = True
        self._meters = Meters(meter, tracker, self._snapshot, lambda: self._own, lambda: self._is_open)
        self._buried: dict[int, Event] = {}
        self._position = self._catch_up()
        self._subscription: Subscription | None = None
        self._thread: threading.Thread | None = None
        self._take_back = tracker.annotate(self._annotation)
        self._start()
        _after_fork.add(WeakMethod(self._start_afresh))

    @contextmanager
    def within(self, execution_id: str) -> Generator[None]:
        """Have the spans that are opened in a block be children of an execution's span, which itself is recorded at its end.

        Where a framework's span stands for the execution, or the tracer cannot be told which id a span shall have, the current span
        stays as it is.

        Args:
            execution_id: Which; of any process.

        Raises:
            UnknownExecutionError: No execution has this id.
            JournalError: It cannot be read.
        """
        record = self._tracker.get(execution_id)
        span = self._spans.inside(read(execution_id, record.metadata_json), record.agent)
        if span is None:
            yield
            return
        token = attach(set_span_in_context(span))
        try:
            yield
        finally:
            detach(token)

    def close(self) -> None:
        """Tell what is durable by now, and then no more. Safe to call again.

        It blocks until all is told that this process had decided before the call, and flushes no exporter: that is the provider's.
        """
        if not self._is_open:
            return
        try:
            self._tracker.flush()
        except RunstateError as error:
            logger.warning("runstate: what could not be written is not told: %s", error)
        self._is_closing.set()  # not before: what is durable now is what the thread reads last
        with self._lock:
            subscription, thread = self._subscription, self._thread
        if subscription is not None:
            subscription.close()
        if thread is not None:
            thread.join()
        self._finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _annotation(self) -> Mapping[str, object]:
        """Return what executions created here and now keep in their metadata."""
        if self._thread is None:  # in a forked child
            self._start()
        return self._spans.annotation()

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _catch_up(self) -> int:
        """Find the journal's newest position, what this tracker has buried by now, and what it has live.

        Opening a journal buries whom nobody else was there to bury, which is the whole fleet if it is one process that was restarted:
        these deaths are told too, although they are older than we are. A fence says where in the journal to look for them.
        """
        position = 0
        newest = self._tracker.find(limit=1)
        if newest:  # nothing that came before its last entry need be read
            position = self._read_all(self._tracker.subscribe(execution_id=newest[0].execution_id))
        fences = {
            worker.incarnation: worker.fence
            for worker in self._tracker.workers(departed=DEPARTED)
            if worker.fence is not None
        }
        ours = {incarnation for incarnation, fence in fences.items() if fence.by in self._own}
        # whoever died over a burial has left the rest of it to who buried him
        graves = [fence.position for fence in fences.values() if fence.by in self._own | ours]
        position = max(min([position, *graves]), _told.get(self._tracker, 0))
        try:
            position = self._read_all(self._tracker.subscribe(after=position))
        except SubscriptionLaggedError as error:  # older executions had gone on after it, and were removed
            position = self._read_all(self._tracker.subscribe(after=error.pruned))
        for state in LIVE:
            for record in self._tracker.find(state=state, limit=SEEDED):
                if record.incarnation in self._own:
                    self._remember(Life.told(self._tracker.timeline(record.execution_id)))
        return position

    def _read_all(self, subscription: Subscription) -> int:
        """Read what is there, remember which ends of it are burials of ours, and return the last position."""
        with subscription:
            while True:
                try:
                    event = subscription.get(AT_ONCE)
                except WaitTimeoutError:
                    return subscription.position
                if self._is_burial(event.entry) and event.position > _told.get(self._tracker, 0):
                    self._buried[event.position] = event

    def _is_burial(self, entry: Entry) -> bool:
        """Whether this tracker has ended what a dead worker had left."""
        if not isinstance(entry, Transition) or not entry.target.is_terminal or entry.incarnation not in self._own:
            return False
        return entry.evidence is not None and entry.evidence.observer in self._own

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._follow, name="runstate-otel", daemon=True)
                self._thread.start()

    def _follow(self) -> None:
        while True:
            with self._lock:
                self._subscription = subscription = self._tracker.subscribe(after=self._position)
            if self._is_closing.is_set():  # whoever closes may have closed the one before
                subscription.close()
            try:
                while self._buried:
                    self._attempt(self._buried[position := min(self._buried)])
                    del self._buried[position]
                for event in subscription:
                    self._take(event)
                    self._is_closing.wait(LINGER)
                    self._read(subscription)
                if self._is_closing.is_set():
                    with self._tracker.subscribe(after=self._position) as rest:
                        self._read(rest)
                break  # else the tracker has closed, and all is read
            except SubscriptionLaggedError as error:
                logger.warning("runstate: telemetry has missed what retention removed: %s", error)
                self._position = error.pruned
            except JournalError as error:
                if self._is_closing.is_set():
                    logger.warning("runstate: the last of the telemetry is not told: %s", error)
                    break
                logger.warning("runstate: telemetry waits for the journal: %s", error)
                self._is_closing.wait(RETRY)
        self._finish()

    def _read(self, subscription: Subscription) -> None:
        """Tell what is there."""
        with suppress(WaitTimeoutError):
            while True:
                self._take(subscription.get(AT_ONCE))

    def _take(self, event: Event) -> None:
        self._attempt(event)
        self._position = event.position

    def _attempt(self, event: Event) -> None:
        try:
            self._tell(event)
        except JournalUnavailableError:
            raise  # it is read and told again
        except Exception:  # the program's processors and samplers run in here: they may raise anything
            logger.exception("runstate: telemetry of execution %s has failed", event.entry.execution_id)

    def _tell(self, event: Event) -> None:
        entry = event.entry
        incarnation = self._tracker.incarnation
        if incarnation not in self._own:  # fenced since, or forked: a name is lost by no less than a lease
            self._own |= {incarnation}
        self._meters.know(event.agent)
        is_own = entry.incarnation in self._own
        life = self._lives.get(entry.execution_id)
        if isinstance(entry, Created):
            if is_own and life is None:
                life = Life(entry)
                self._remember(life)
                self._meters.begun(life)
                self._spans.begun(life)
            return
        if life is not None:
            life.take(entry)
            if isinstance(entry, Warned):
                self._meters.warned(life, entry)
        if isinstance(entry, Transition) and entry.target.is_terminal:
            if is_own:
                self._ended(life, entry)
            with self._lock:
                self._lives.pop(entry.execution_id, None)
            if life is not None:
                self._places.discard(life.place)

    def _ended(self, life: Life | None, end: Transition) -> None:
        if life is None:  # somebody else's, buried by this process
            life = Life.told(self._tracker.timeline(end.execution_id))
        if life is None:
            logger.warning(
                "runstate: execution %s has no beginning in the journal; its end is not told", end.execution_id
            )
            return
        first, attempt = life.place
        is_followed = (first, attempt + 1) in self._places
        is_agent_span = self._spans.is_agent_span(life.origin)
        self._meters.ended(life, end, is_agent_span=is_agent_span, is_followed=is_followed)
        self._spans.ended(life, end)

    def _remember(self, life: Life | None) -> None:
        if life is not None:
            with self._lock:
                self._lives[life.created.execution_id] = life
            self._places.add(life.place)

    def _snapshot(self) -> Sequence[Life]:
        with self._lock:
            return list(self._lives.values())

    def _finish(self) -> None:
        self._is_open = False
        self._take_back()
        with self._lock:
            self._lives.clear()
            self._places.clear()
        if _instrumented.get(self._tracker) is self:
            del _instrumented[self._tracker]
            _told[self._tracker] = self._position
        _after_fork.discard(WeakMethod(self._start_afresh))

    def _start_afresh(self) -> None:
        """Follow in a forked child too, from its first execution on: it has the parent's providers, and executions of its own."""
        self._lock = threading.Lock()
        self._lives = {}
        self._places = set()
        self._own = frozenset({self._tracker.incarnation})
        self._buried = {}
        self._subscription = None
        self._thread = None


def _in_forked_child() -> None:
    for method in list(_after_fork):
        if (start_afresh := method()) is not None:
            start_afresh()


os.register_at_fork(after_in_child=_in_forked_child)
