"""How a worker stays alive to the others, and learns of their deaths: one native thread, whatever the number of executions.

The thread waits for two things at once, a ring of its worker's bell and the end of a peer, and looks at the clock in between. It
never touches an event loop and holds the GIL for microseconds, so neither a blocked loop nor a busy one makes the worker look
dead. About once a second it renews the worker's one lease row, and four times a lease it *surveys* the others' rows; sooner where a
lease is about to run out, or where somebody has rung, who may be new.

A peer is held for dead by one of two pairs of signs, never by a single one:

- its process is gone: the kernel (or the server) has said so, and its lock can be taken (`Vigil`). Known within milliseconds;
- its lease has run out by the store's clock, *and* this thread has itself seen no renewal for three quarters of a lease, by its own
  monotonic clock, while it renewed its own lease in time. So neither a clock that was set, nor a pause of the observer, nor a store
  that nobody could reach buries anybody; and no store that is slow to write, where whoever waits for it longest looks silent.

Who is found dead is fenced, then buried (`_burial`), again and again until nothing of it is left live; also when somebody else has
fenced it and died over the burial. A worker that finds itself fenced gives its executions up and joins anew, under another name.
So does one that was away for so long that retention has removed its fence.

What cannot be written is tried again. It is logged once, not with every look: the writer, which tries as
well, tells those who wait.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

from ._burial import bury
from ._clock import Clock
from ._errors import InvalidValueError, JournalConflictError, JournalError, JournalUnavailableError
from ._fleet import CancelRequest, Fence, Peer
from ._lease_only import LeaseOnly
from ._states import Cause
from ._troubles import traceback_of
from ._wake import Wake
from .journal import Fleet, Vigil

LEASE: Final = 10.0
"""Seconds for which one renewal is good."""
SHORTEST_LEASE: Final = 0.1
"""Seconds of the shortest lease: a busy machine lets a thread stand still for that long by itself, and a store is slower than less."""
SURVEYS: Final = 4
"""Looks at the peers in one lease."""
RENEW_EVERY: Final = 0.8
"""Seconds between two renewals, or a quarter of the lease if that is less. Part of what a silence may last, as nobody knows how old
the newest renewal was when it began: a worker that stands still for less than its lease lives, and one that does so for a second
longer does not."""
PROMPT: Final = 0.5
"""Intervals between two looks at the peers that the own renewal may take, for the silence of others to count as theirs."""
AGAIN: Final = 0.25
"""Seconds until what has failed is tried again."""
QUIET: Final = 0.01
"""Seconds between two answers to the bell, which a busy peer rings with each of its commits."""
SOON: Final = 0.1
"""Seconds after one look at the peers until a ring leads to the next: somebody may have joined."""
COURTESY: Final = 1.0
"""Seconds that whoever has fenced a worker is left alone with burying it, while it is alive itself."""
EARLY: Final = 0.05
"""Seconds that a look comes after the moment when a lease runs out, so that it has."""

FORGOTTEN: Final = "it was away for longer than the journal keeps who was held for dead"

logger: Final = logging.getLogger("runstate")


class Owner(Protocol):
    """What the thread does for its tracker, and asks of it. Called in the thread; nothing of it may block for long."""

    def incarnation(self) -> str:
        """The name that executions are created under now."""
        ...

    def hear(self) -> None:
        """Somebody else has written to the journal."""
        ...

    def cancel(self, request: CancelRequest) -> None:
        """Somebody wants an execution of this worker to be cancelled."""
        ...

    def lose(self, incarnation: str, fence: Fence) -> None:
        """Everything that this worker has live belongs to others now. From here on `incarnation` is another one."""
        ...


class Death(NamedTuple):
    """Why a worker is to be buried."""

    cause: Cause
    seen: str | None
    expired_only: bool = False
    """Whether only its lease proves it, so that one more renewal would prove the contrary."""


class Liveness:
    """Keeps one worker alive in a fleet, and watches the others.

    Args:
        fleet: The journal that they share.
        owner: The tracker.
        clock: The clocks. With any but the system's, nothing happens by itself: call `turn`.
        lease: Seconds for which one renewal is good.
    """

    def __init__(self, fleet: Fleet, owner: Owner, clock: Clock, lease: float = LEASE) -> None:
        self._fleet = fleet
        self._owner = owner
        self._clock = clock
        self._lease = lease
        self._renew_every = min(lease / SURVEYS, RENEW_EVERY)
        self._survey_every_ns = int(lease / SURVEYS * 1e9)
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._pause = Wake()
        self._vigil: Vigil | None = None
        self._name: str | None = None
        """The incarnation that has joined."""
        self._renew_at_ns = 0
        self._survey_at_ns = 0
        self._surveyed_ns: int | None = None
        self._renewals: dict[str, tuple[int | None, int]] = {}
        """Of each peer the newest renewal that was seen, and since when, by the own monotonic clock."""
        self._fenced: dict[str, int] = {}
        """Since when others have been seen burying a worker."""
        self._dead: dict[str, Death] = {}
        """Who is still to be buried."""
        self._met: Mapping[str, Peer] | None = None
        """The peers that were read when this worker joined, for its first look at them."""
        self._trouble: str | None = None

    def join(self) -> None:
        """Be present, and known as a worker, before anything of this worker is durable. Does nothing the second time.

        Raises:
            JournalError: It could not be written.
        """
        with self._lock:
            name = self._owner.incarnation()
            if self._name == name or self._closed:
                return
            vigil = self._begin_vigil(name)
            try:
                self._fleet.join(name, self._lease + self._renew_every)
                # Read after joining, so of two that join at once one meets the other; and told before anything is durable.
                met = self._others(name)
                self._introduce(met)
            except BaseException:
                vigil.leave()
                raise
            if self._vigil is not None:
                self._vigil.leave()
            self._vigil, self._name, self._met = vigil, name, met
            self._renew_at_ns = self._clock.monotonic_ns() + int(self._renew_every * 1e9)
            self._survey_at_ns = 0

    def start(self) -> None:
        """Start the thread unless it runs."""
        with self._lock:
            if self._thread is None and not self._closed:
                thread = threading.Thread(target=self._run, name="runstate-liveness", daemon=True)
                thread.start()
                self._thread = thread  # only now: an interrupted start can leave a thread that never begins

    def turn(self, timeout: float) -> bool:
        """Wait for a ring, for the end of a peer, or for *timeout* seconds at most; do what is to be done then.

        Returns:
            Whether somebody had rung.

        Raises:
            JournalError: Something could not be read or written. It is done with the next turn.
        """
        self.join()
        vigil, now_ns = self._vigil, self._clock.monotonic_ns()
        if vigil is None:
            return False
        seen = vigil.wait(max(0.0, min(timeout, (min(self._renew_at_ns, self._survey_at_ns) - now_ns) / 1e9)))
        if seen.rung:
            self._owner.hear()
        self._renew_if_due()  # before anything else is asked of the store: where a thread is seldom let run, each call may take long
        for name, what in seen.gone.items():
            self._dead[name] = Death(Cause.PROCESS_EXITED, what)
        if self._dead:
            self._bury()
        if seen.rung:
            self._carry_out_requests()
            if self._surveyed_ns is not None:
                self._survey_at_ns = min(self._survey_at_ns, self._surveyed_ns + int(SOON * 1e9))
        self._renew_if_due()
        if self._clock.monotonic_ns() >= self._survey_at_ns:
            self._survey()
        return seen.rung

    def ring_peers(self) -> None:
        """Something was written: whoever waits for it in another process wakes up."""
        vigil = self._vigil
        if vigil is not None:
            with suppress(JournalError):  # they look by themselves from time to time
                vigil.ring()

    def look_again(self) -> None:
        """Find out at once whether this worker is fenced: something of its own was refused."""
        self._renew_at_ns = self._survey_at_ns = 0
        vigil = self._vigil
        if vigil is not None:
            vigil.wake()

    def close(self) -> None:
        """Leave the fleet. Everything of this worker has ended and is written.

        Raises:
            JournalError: It could not be written: to its peers it has not left, but it is gone, with nothing to bury.
        """
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
            vigil, self._vigil = self._vigil, None
            name, self._name = self._name, None
        self._pause.set()
        if vigil is not None:
            vigil.wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        if vigil is None or name is None:
            return
        try:
            self._fleet.leave(name)
        finally:
            vigil.leave()

    def after_fork(self) -> None:
        """Start afresh in a forked child, which is another worker."""
        self._lock = threading.RLock()
        self._pause = Wake()
        self._thread = self._vigil = self._name = self._surveyed_ns = self._met = None
        self._renew_at_ns = self._survey_at_ns = 0
        self._closed = False
        self._renewals.clear()
        self._fenced.clear()
        self._dead.clear()

    def _begin_vigil(self, name: str) -> Vigil:
        try:
            return self._fleet.vigil(name)
        except JournalUnavailableError as error:
            # A full disk, or a file system without locks. A server that is away is noticed by what comes next.
            logger.warning("runstate: only its lease tells whether this worker is alive, trying again: %s", error)
            return LeaseOnly()

    def _begin_vigil_after_all(self, name: str) -> None:
        """Be seen by the others, and see them, if that was not possible when this worker joined."""
        if not isinstance(self._vigil, LeaseOnly):
            return
        try:
            vigil = self._fleet.vigil(name)
        except JournalUnavailableError:
            return  # as the log says already
        with self._lock:
            if self._closed:
                vigil.leave()
                return
            self._vigil = vigil
        self._survey_at_ns = 0
        logger.warning("runstate: not only its lease tells any more whether this worker, %s, is alive", name)
        self._introduce(self._others(name))

    def _introduce(self, peers: Mapping[str, Peer]) -> None:
        """Ring for all who are there, so that this worker is watched from now on."""
        for peer in peers.values():
            if peer.fence is None:
                self._fleet.ring(peer.incarnation)

    def _run(self) -> None:
        while not self._closed:
            try:
                rung = self.turn(self._lease)
                self._trouble = None
                if rung:
                    self._pause.wait(QUIET)
            except Exception as error:
                if self._pause.is_set():
                    return  # closing has taken away what failed
                if str(error) != self._trouble:
                    self._trouble = str(error)
                    said = "runstate: workers cannot be watched now, trying again: %s"
                    logger.warning(said, error, exc_info=traceback_of(error))
                self._pause.wait(AGAIN)

    def _renew_if_due(self) -> None:
        if self._clock.monotonic_ns() >= self._renew_at_ns:
            self._renew()

    def _renew(self) -> None:
        name = self._name
        if name is None:
            return
        now_ns = self._clock.monotonic_ns()
        try:
            fence = self._fleet.renew(name)
        except InvalidValueError:  # it has joined and has not left, so its row is gone
            fence = Fence("retention", Cause.LEASE_EXPIRED, FORGOTTEN, self._clock.time_ns(), 0)
            self._dead[name] = Death(fence.cause, FORGOTTEN)  # what it may have written since under that name is buried
        if self._clock.monotonic_ns() - now_ns > self._survey_every_ns * PROMPT:
            self._renewals.clear()  # others may have to wait for the store even longer, and are as well as this one
        if fence is None:
            self._renew_at_ns = now_ns + int(self._renew_every * 1e9)
            self._carry_out_requests()  # a ring may have been lost
            self._begin_vigil_after_all(name)
            return
        self._owner.lose(name, fence)
        self.join()

    def _survey(self) -> None:
        name, vigil = self._name, self._vigil
        if name is None or vigil is None:
            return
        met, self._met = self._met, None
        peers = self._others(name) if met is None else met
        now_ns = self._clock.monotonic_ns()
        if self._surveyed_ns is not None and now_ns - self._surveyed_ns > 2 * self._survey_every_ns:
            self._renewals.clear()  # this thread stood still itself, and so has seen nobody's silence
        self._surveyed_ns = now_ns
        self._judge(peers, now_ns)
        there = [peer for peer in peers.values() if peer.fence is None]
        vigil.watch([peer.incarnation for peer in there])
        gone = vigil.wait(0.0)
        if gone.rung:
            vigil.wake()
        for gone_name, what in gone.gone.items():
            self._dead[gone_name] = Death(Cause.PROCESS_EXITED, what)
        until = [peer.lease - peer.renewed_age + EARLY for peer in there if peer.lease and peer.renewed_age]
        wait_ns = min([self._survey_every_ns, *(int(left * 1e9) for left in until if left > 0)])
        self._survey_at_ns = now_ns + wait_ns
        if self._dead:
            self._bury()

    def _others(self, name: str) -> Mapping[str, Peer]:
        return {peer.incarnation: peer for peer in self._fleet.peers() if peer.incarnation != name}

    def _judge(self, peers: Mapping[str, Peer], now_ns: int) -> None:
        self._renewals = {name: seen for name, seen in self._renewals.items() if name in peers}
        self._fenced = {name: since for name, since in self._fenced.items() if name in peers}
        enough_ns = self._survey_every_ns * (SURVEYS - 1)
        for name, peer in peers.items():
            if peer.fence is not None:
                since_ns = self._fenced.setdefault(name, now_ns)
                undertaker = peers.get(peer.fence.by)
                is_busy = undertaker is not None and undertaker.fence is None
                if not is_busy or now_ns - since_ns >= COURTESY * 1e9:
                    self._dead[name] = Death(peer.fence.cause, peer.fence.reason)
                continue
            renewed, since_ns = self._renewals.get(name, (None, 0))
            if name not in self._renewals or renewed != peer.renewed_at_ns:
                self._renewals[name] = peer.renewed_at_ns, now_ns
            elif peer.expired and peer.lease is not None and now_ns - since_ns >= enough_ns:
                self._dead[name] = Death(Cause.LEASE_EXPIRED, f"its lease of {peer.lease:g} s has run out", True)

    def _bury(self) -> None:
        by = self._name
        if by is None:
            return
        for name, death in list(self._dead.items()):
            try:
                buried = bury(
                    self._fleet, name, by, death.cause, death.seen, self._clock, expired_only=death.expired_only
                )
            except JournalConflictError:
                self._renew_at_ns = 0  # this worker was held for dead itself
                return
            del self._dead[name]
            self._survey_at_ns = 0  # who is settled is watched no longer
            if buried:
                logger.error(
                    "runstate: worker %s is gone: %s. Ended %d executions of it", name, death.seen, len(buried)
                )
            self._owner.hear()  # in any case: what it had claimed is free
            self.ring_peers()

    def _carry_out_requests(self) -> None:
        if self._name is not None:
            for request in self._fleet.requests(self._name):
                self._owner.cancel(request)
