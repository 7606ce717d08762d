"""The one writer: takes decided entries from the buffer and appends them to the journal in batches (group commit).

A thread does it, started when first needed. It sleeps until an entry arrives, gathers for `LINGER` seconds unless somebody
waits at a barrier, and writes everything there is. A caller that must wait for durability puts a barrier into the
buffer; if nobody is writing at that moment it writes itself, which saves two thread switches (leader and follower, as in
the commit of most databases).

A failed write loses nothing: its entries go back to the front of the buffer, every barrier in it gets the error, and the
buffer refuses all further moves with that error. The writer tries again by itself every `RETRY` seconds, and so does every
flush; the first success heals. Entries that the journal refuses because another writer was first are not retried: their
executions are reported as lost, and so is every barrier that waited for them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, cast

from .._buffer import Barrier, Buffer
from .._errors import JournalConflictError, JournalError, JournalUnavailableError, WaitTimeoutError
from .._live import ExecutionsLostError
from .._records import Entry
from . import Journal
from ._log import log_of
from .memory import MemoryJournal

LINGER: Final = 0.002
"""Seconds that a move which nobody waits for may wait for company."""
MEMORY_LINGER: Final = 0.05
"""The same for the journal in memory, where nobody waits for a disk."""
CALLERS_BATCH: Final = 1_024
"""Entries after which a caller writes to the journal in memory itself."""
RETRY: Final = 0.5
"""Seconds between attempts after a failure."""
MAX_BATCH: Final = 4_096
"""Entries in one append."""


class JournalWriter:
    """Writes what the buffer holds.

    Args:
        journal: Where to.
        buffer: Where from.
        begin: Called before each append, in whichever thread writes; raises `JournalError` if nothing can be written now.
        on_written: Called after each append, in whichever thread wrote.
        on_conflict: Called with the journal's refusal of some executions' entries, and with the batch that they were in; returns what
            to tell who waits for them.
    """

    def __init__(
        self,
        journal: Journal,
        buffer: Buffer,
        begin: Callable[[], None],
        on_written: Callable[[], None],
        on_conflict: Callable[[JournalConflictError, Sequence[Entry]], JournalConflictError],
    ) -> None:
        self._journal = journal
        self._buffer = buffer
        self._begin = begin
        self._on_written = on_written
        self._on_conflict = on_conflict
        self._linger = LINGER
        if isinstance(journal, MemoryJournal):
            # Nothing here blocks and nothing becomes durable. A thread would only move the work to a core where none of
            # the entries is in the cache, so callers write, and the thread cares for what nobody is pushing.
            buffer.write_in_callers(self._write_unless_busy, CALLERS_BATCH)
            self._linger = MEMORY_LINGER
        self._write_lock = threading.Lock()
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._interrupted = False
        """Whether an append was left by an interrupt, so that some of its entries may have been stored."""
        self._writing_thread: int | None = None
        self.is_writing: bool = False
        """Whether entries have left the buffer that may not have arrived yet."""
        self.written: int = 0
        self.commits: int = 0
        self.rejected: int = 0

    def start(self) -> None:
        """Start the thread unless it runs."""
        with self._start_lock:
            if self._thread is None and not self._buffer.closed:
                thread = threading.Thread(target=self._run, name="runstate-writer", daemon=True)
                thread.start()
                self._thread = thread  # only now: an interrupted start can leave a thread that never begins

    def flush(self, timeout: float | None = None) -> None:
        """Block until everything decided before this call is durable.

        Raises:
            WaitTimeoutError: *timeout* seconds were not enough.
            JournalError: It could not be written; it is kept, and tried again.
        """
        self._check_not_writing("flush()")
        barrier = self._place()
        # An append takes as long as it takes, which is nothing for who has a limit. And a Ctrl-C, which the main thread gets,
        # would find a transaction half done.
        if self._buffer.write is not None or (timeout is None and not _in_main_thread()):
            self._write_unless_busy()
        else:
            self.start()
        if not barrier.settled:
            self._buffer.hurry()
        if not barrier.wait(timeout) and timeout is not None:
            raise WaitTimeoutError("not everything became durable", timeout)

    def barrier(self, tell: Callable[[], None]) -> Barrier:
        """Mark this place; *tell* is called once everything before it is durable, or has failed, unless it is settled at once.

        Args:
            tell: Called in whichever thread writes. It must neither block nor raise.
        """
        if self._buffer.write is not None:  # then writing never blocks, and costs less than another thread's turn
            written = self._place()
            self._write_unless_busy()
            if written.settled:
                return written
        barrier = self._place(lambda _: tell())
        self.hurry()
        return barrier

    def _check_not_writing(self, call: str) -> None:
        if self._writing_thread == threading.get_ident():
            raise JournalUnavailableError(
                f"{call} was called by a signal handler that interrupted a write; raise SystemExit in the handler instead"
            )

    def _place(self, tell: Callable[[Barrier], None] | None = None) -> Barrier:
        """Mark this place in the buffer."""
        barrier = Barrier(tell)
        self._buffer.entries.append(barrier)
        self._buffer.urgent = True
        if self._buffer.closed:  # the thread may be gone
            with self._write_lock:
                self._write()
        return barrier

    def hurry(self) -> None:
        """Have the thread write now."""
        self.start()
        self._buffer.hurry()

    def close(self) -> None:
        """Write what is left and stop the thread. The buffer has been closed, so nothing more comes.

        Raises:
            JournalError: Not everything could be written.
        """
        self._check_not_writing("close()")
        with self._start_lock:
            thread, self._thread = self._thread, None
        self._buffer.hurry()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        if self._buffer.entries:
            with self._write_lock:
                self._write()
        if self._buffer.failure is not None and self._buffer.entries:
            raise self._buffer.refusal()

    def forget_thread(self) -> None:
        """Start afresh in a forked child, where the thread does not exist and the parent writes what was pending."""
        self._thread = None
        self._write_lock = threading.Lock()
        self._start_lock = threading.Lock()
        self._buffer.after_fork()
        self.written = self.commits = self.rejected = 0

    def _run(self) -> None:
        buffer = self._buffer
        while not buffer.closed:
            if not buffer.entries:
                buffer.idle = True
                if not buffer.entries:  # nothing slipped in before `idle` was seen
                    buffer.wake.wait()
                buffer.idle = False
            buffer.wake.clear()
            if not buffer.urgent and not buffer.closed:
                buffer.wake.wait(self._linger)
            buffer.wake.clear()
            with self._write_lock:
                self._write()
            if buffer.failure is not None and not buffer.closed:
                time.sleep(RETRY)
        if buffer.entries and buffer.failure is None:
            with self._write_lock:
                self._write()

    def _write_unless_busy(self) -> None:
        if not self._write_lock.locked():
            with self._write_lock:  # `with`, as a signal can come between acquiring by hand and a `try`
                self._write()

    def _write(self) -> None:
        """Append everything that is in the buffer, batch by batch. Called with the write lock held."""
        try:
            self.is_writing = True  # before anything is taken out, so that no reader misses what is in between
            self._writing_thread = threading.get_ident()
            self._write_all()
        finally:
            self._writing_thread = None
            self.is_writing = False

    def _without_stored(self, batch: Sequence[Entry]) -> list[Entry]:
        """Leave out what the interrupted append had stored. What others have written in its place is no such thing."""
        stored = {
            (entry.execution_id, entry.seq, entry.incarnation)
            for execution_id in {entry.execution_id for entry in batch}
            for entry in log_of(self._journal, execution_id)
        }
        return [entry for entry in batch if (entry.execution_id, entry.seq, entry.incarnation) not in stored]

    def _write_all(self) -> None:
        """Append, tell the waiters, and only then take out of the buffer.

        So nothing is lost whatever interrupts this, and what was stored already is recognised when it is appended again.
        """
        entries = self._buffer.entries
        self._buffer.urgent = False
        while entries:
            taken = list(entries)[:MAX_BATCH]  # copied by one call into C, during which nobody appends
            barriers: list[Barrier] = []
            batch: Sequence[Entry]
            if Barrier in set(map(type, taken)):
                barriers = [item for item in taken if isinstance(item, Barrier)]
                batch = [item for item in taken if not isinstance(item, Barrier)]
            else:
                batch = cast("list[Entry]", taken)
            conflict: JournalConflictError | None = None
            interrupted = self._interrupted
            try:
                if interrupted:
                    batch = self._without_stored(batch)
                if batch:
                    self._begin()
                    self._interrupted = True
                    self._journal.append(batch)
            except JournalConflictError as error:
                conflict = self._on_conflict(error, batch)
                late = conflict.late if isinstance(conflict, ExecutionsLostError) else 0
                self.rejected += len(error.execution_ids) - late
            except Exception as error:  # noqa: BLE001 - kept, refused with, and raised to everyone who waits
                failure = error if isinstance(error, JournalError) else JournalError(f"the journal failed: {error!r}")
                failure.__cause__ = failure.__cause__ or (error if failure is not error else None)
                self._interrupted = interrupted  # what it had stored is still to be found out
                self._buffer.fail(failure)
                for barrier in [item for item in list(entries) if isinstance(item, Barrier)]:
                    barrier.settle(self._buffer.refusal())
                return
            self.written += len(batch)
            self.commits += bool(batch)
            if batch and self._buffer.failure is not None:
                self._buffer.heal()
            for barrier in barriers:
                barrier.settle(conflict)
            if self._buffer.reserved:
                for _ in taken:
                    self._buffer.drop_first()
            else:
                for _ in taken:
                    entries.popleft()
            self._interrupted = False
            if batch:
                self._on_written()


def _in_main_thread() -> bool:
    """Whether signal handlers run in the middle of what the caller does."""
    return threading.get_ident() == threading.main_thread().ident
