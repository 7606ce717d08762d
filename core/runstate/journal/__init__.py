"""The journal: where executions and their logs are kept.

A journal is blocking and takes batches, so each store exists once and both the sync and the async face of runstate use
it through one writer. It has four verbs and no more (in the libraries where the store grew into a manager, it is the file
with a thousand lines). Its promises are held by one conformance suite that runs against every store:

- `append` is all that may change a journal. Every entry is a compare-and-set: it is stored only if it continues its
  execution's log (seq by seq, from the state that the log is in, written by the incarnation that owns it) and if the
  table allows it. What it refuses it names, and it stores the rest.
- When `append` returns, the batch is durable, as far as the store can be.
- Positions grow; an event once read never changes, until retention removes its whole execution.

A store that several processes share is a `Fleet` besides: it knows its workers, and who of them is fenced. A worker keeps a `Vigil`
there: as long as it does, it is present for its peers, and it sees which of them are gone. One that keeps notices of ends is an `Outbox`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from .._fleet import CancelRequest, Fence, Peer, RejectedMove, Unsettled, Worker
from .._records import Census, Entry, Event, ExecutionRecord, Selection
from .._states import Cause
from ._outbox import Outbox


class Page(NamedTuple):
    """What `read` answers."""

    events: Sequence[Event]
    """In order of position."""
    up_to: int
    """The position up to which nothing that was selected is missing: where to read on."""


@runtime_checkable
class Journal(Protocol):
    """A store of executions. `append` is called by one thread at a time; the rest from any thread."""

    def append(self, batch: Sequence[Entry], /) -> None:
        """Store entries in order, as one durable unit.

        Args:
            batch: Any number of entries of any number of executions.

        Raises:
            JournalConflictError: Some executions' entries do not continue their logs; those were left out, everything else
                was stored.
            JournalError: Nothing was stored.
        """
        ...

    def read(self, after: int, limit: int, selection: Selection, /) -> Page:
        """Read events in order of position.

        Args:
            after: The position read last; 0 reads from the oldest that is kept.
            limit: At most this many events, 1 or more.
            selection: Whose events. A `state` in it is ignored.

        Raises:
            SubscriptionLaggedError: Events after *after* have been pruned.
            JournalError: It cannot be read.
        """
        ...

    def executions(self, selection: Selection, limit: int, /) -> Sequence[ExecutionRecord]:
        """Read executions, the newest first.

        Args:
            selection: Which.
            limit: At most this many, 1 or more.

        Raises:
            RecordDecodeError: The store holds a row that is no valid record.
            JournalError: It cannot be read.
        """
        ...

    def close(self) -> None:
        """Let go of the store. Called once, after the last append."""
        ...


@runtime_checkable
class Doorbell(Protocol):
    """What a journal may have besides: it tells when another process has written, so that nobody need look again and again."""

    def listen(self, ring: Callable[[], None], /) -> None:
        """Have *ring* called soon after another process has appended, until `close`, or until a fork in the child.

        A ring can be lost, with a connection for example, so whoever waits looks by itself from time to time as well.

        Args:
            ring: Called in a thread of the journal's own, sometimes also when nothing is new. It neither blocks nor raises.
        """
        ...


@runtime_checkable
class Countable(Protocol):
    """What a journal may have besides: it counts its executions without handing them out."""

    def count(self, since_ns: int, span_ns: int, user_id: str | None, /) -> Census:
        """Count what is live, and what has ended since a moment, at a price that what ended before does not raise.

        Args:
            since_ns: The moment, in nanoseconds since the Unix epoch.
            span_ns: Length of a span in which ends are counted together, in nanoseconds, 1 or more.
            user_id: Only this user's; None counts all.

        Raises:
            JournalError: It cannot be read.
        """
        ...


class Seen(NamedTuple):
    """What a vigil has seen."""

    rung: bool
    """Whether somebody has rung for this worker since the last look, or may have: look into the journal."""
    gone: Mapping[str, str]
    """All watched peers that are gone, and for each what was seen, for people. Told at every look until they are watched no longer."""


@runtime_checkable
class Vigil(Protocol):
    """One worker's presence, and its watch over its peers. It belongs to one thread; `ring` and `wake` may be called from any.

    It sees an end at once, whatever the lease. What it does not see (a peer on a host that has vanished, one that stands still, one
    that is not present) is no proof of life: there the lease decides. A forked child has to begin one of its own.
    """

    def watch(self, names: Collection[str], /) -> None:
        """Watch these peers, and no others. Give the same again from time to time: one that was not yet present may be now.

        Args:
            names: Incarnations of workers that are alive as far as the journal knows; one's own is left out.
        """
        ...

    def wait(self, timeout: float, /) -> Seen:
        """Wait until there is something new: a ring, or a peer that is gone. What was told before does not end a wait.

        Args:
            timeout: Seconds, 0 or more; 0 only looks.
        """
        ...

    def ring(self, name: str | None = None, /) -> bool:
        """Ring for a worker, so that its wait ends and it looks into the journal. Never waits for it.

        Args:
            name: Whom; None rings for everybody else about news, unless the store tells of those by itself (`Doorbell`).

        Returns:
            Whether it was sent to anybody; who it was sent to may be gone all the same.

        Raises:
            JournalError: It cannot be sent.
        """
        ...

    def wake(self) -> None:
        """End a wait in another thread, or the next one, as a ring for oneself. Never blocks and never fails."""
        ...

    def leave(self) -> None:
        """Be gone in good order: no peer sees a death in it. Call it last, after `Fleet.leave`."""
        ...


@runtime_checkable
class Fleet(Journal, Protocol):
    """A journal that several processes share: it knows its workers, and who is fenced. From any thread.

    Time between processes is the store's: no worker's own clock decides about another. Whoever is fenced is refused by `append`
    like any writer that does not own an execution, and an end that it tried to record is kept for `rejected`. Others may then
    end what it has left live, by an ordinary `append`: DEAD, or CANCELLED where a request stands.
    """

    def join(self, incarnation: str, lease: float, /) -> None:
        """Make this process known as a worker, with a lease that begins now. Joining again is a renewal.

        Args:
            incarnation: Its name.
            lease: Seconds for which one renewal is good.

        Raises:
            InvalidValueError: The incarnation has left or was fenced, so take a new one; or the lease is no positive number.
            JournalError: Nothing was stored.
        """
        ...

    def renew(self, incarnation: str, /) -> Fence | None:
        """Begin the lease anew; None when that was done.

        Returns:
            The fence, if somebody has found the worker dead. Nothing of its own can be recorded any more.

        Raises:
            InvalidValueError: The worker has not joined, or has left.
            JournalError: Nothing was stored.
        """
        ...

    def leave(self, incarnation: str, /) -> Fence | None:
        """Be gone in good order. One who has left already, or whom the journal never knew, has nothing to do here.

        Returns:
            The fence, if somebody was first.

        Raises:
            InvalidValueError: Some of its executions are live; end them first.
            JournalError: Nothing was stored.
        """
        ...

    def vigil(self, incarnation: str, /) -> Vigil:
        """Make this worker present for its peers, and let it see which of them are gone.

        Args:
            incarnation: Its name. Best before it joins: whoever hears of it then finds it present.

        Raises:
            JournalUnavailableError: The store cannot be reached, or has no means to see who is there; leases tell all the same.
            JournalError: It cannot be made present.
        """
        ...

    def ring(self, incarnation: str, /) -> bool:
        """Ring for a worker without being one. See `Vigil.ring`."""
        ...

    def worker(self, incarnation: str, /) -> Worker | None:
        """Read one worker; None if the journal does not know it, or knows it no more: who is gone is kept as long as executions are.

        Raises:
            RecordDecodeError: The store holds a row that is no valid worker.
            JournalError: It cannot be read.
        """
        ...

    def workers(self, departed: int = 0, /) -> Sequence[Worker]:
        """Read all workers that are alive, and all that have executions still live, in order of arrival.

        Args:
            departed: At most this many of the others too, the newest ones.

        Raises:
            RecordDecodeError: The store holds a row that is no valid worker.
            JournalError: It cannot be read.
        """
        ...

    def peers(self, /) -> Sequence[Peer]:
        """Read all workers that are there, and all fenced ones that have executions still live, in order of arrival.

        What this costs grows with these workers alone: neither with the executions that are live, nor with the workers that are gone.

        Raises:
            RecordDecodeError: The store holds a row that is no valid worker.
            JournalError: It cannot be read.
        """
        ...

    def fence(
        self, incarnation: str, by: str, cause: Cause, reason: str | None = None, /, *, expired_only: bool = False
    ) -> bool:
        """Find a worker dead, for ever. A compare-and-set: of all that ever try, exactly one gets True.

        Args:
            incarnation: The worker.
            by: The incarnation that decides it; one that has gone itself gets False.
            cause: One that DEAD accepts.
            reason: What was seen, for people.
            expired_only: Only if its lease has run out by the store's clock, at the very moment of fencing.

        Returns:
            Whether this call did it. False: it has left, is fenced already, is not known, or has not expired.

        Raises:
            InvalidValueError: *cause* is no cause of DEAD, or a worker fences itself.
            JournalError: Nothing was stored.
        """
        ...

    def unsettled(self, incarnation: str, limit: int, /) -> Sequence[Unsettled]:
        """Read a worker's live executions, the oldest first, when each gave its last sign of life, and the time of the store.

        Args:
            incarnation: The worker.
            limit: At most this many, 1 or more.

        Raises:
            RecordDecodeError: The store holds a row that is no valid record.
            JournalError: It cannot be read.
        """
        ...

    def request_cancel(self, execution_id: str, by: str, reason: str | None = None, /) -> CancelRequest | None:
        """Ask the owner of an execution to cancel it. The first request stands, whoever asks again.

        Args:
            execution_id: The execution.
            by: Who asks.
            reason: Why, for people.

        Returns:
            The request that stands; None if the execution has ended.

        Raises:
            UnknownExecutionError: No execution has this id.
            JournalError: Nothing was stored.
        """
        ...

    def requests(self, incarnation: str, /) -> Sequence[CancelRequest]:
        """Read the requests about a worker's live executions, the oldest execution first.

        Raises:
            JournalError: It cannot be read.
        """
        ...

    def rejected(self, execution_id: str, /) -> RejectedMove | None:
        """Read the end that the execution's owner tried to record when it was fenced already, if it did.

        Raises:
            RecordDecodeError: The store holds a row that is no valid move.
            JournalError: It cannot be read.
        """
        ...


__all__ = ["Countable", "Doorbell", "Fleet", "Journal", "Outbox", "Page", "Seen", "Vigil"]
