"""Trouble with the journal: clients are told, and get what has happened meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

import runstate
from runstate import Event, ExecutionTracker, JournalUnavailableError
from runstate._records import Selection
from runstate.journal import Page, _postgres_connection, _writer
from runstate.journal.memory import MemoryJournal

from .. import cluster
from .lives import begin, live, stored
from .servers import messages, serve, take, until
from .test_slow import wait_for


class Unreadable(MemoryJournal):
    """A journal that can be read only while nothing is wrong with it."""

    broken = False

    def read(self, after: int, limit: int, selection: Selection, /) -> Page:
        """Read, or say why not."""
        if self.broken:
            raise JournalUnavailableError("the disk is gone")
        return super().read(after, limit, selection)

    def executions(self, selection: Selection, limit: int, /) -> Sequence[Any]:
        """Read, or say why not."""
        if self.broken:
            raise JournalUnavailableError("the disk is gone")
        return super().executions(selection, limit)


@pytest.fixture
def journal() -> Unreadable:
    """A journal to break."""
    return Unreadable()


def test_a_journal_that_comes_back_has_cost_no_event(journal: Unreadable) -> None:
    """Clients are told that the journal cannot be read and when it can again, and get every event all the same."""
    with ExecutionTracker(journal) as tracker, serve(tracker) as served:
        live(tracker)
        with served.events("/threads/t-1/events?events=journal") as stream:
            before = take(stream, 7)
            journal.broken = True
            run = begin(tracker)
            assert next(stream).name == "interrupted"
            assert served.http.get("/api/executions").status_code == 503
            journal.broken = False
            assert until(stream, "resumed")[-1].name == "resumed"
            run.complete("late")
            after = take(stream, 4)
        assert [one.data["position"] for one in (*before, *after)] == [one.position for one in stored(tracker)]


def test_who_comes_while_it_cannot_be_read_is_told(journal: Unreadable, caplog: pytest.LogCaptureFixture) -> None:
    """A stream that cannot begin is refused with 503 and when to try again; what is wrong stands in the log and nowhere else."""
    with ExecutionTracker(journal) as tracker, serve(tracker) as served:
        live(tracker)
        journal.broken = True
        answer = served.http.get("/threads/t-1/events")
        assert (answer.status_code, answer.json()["error"]["kind"]) == (503, "journal_unavailable")
        assert answer.headers["retry-after"] == "1"
        assert "the disk is gone" in caplog.text
        with served.socket("/ws/threads/t-1") as connection:
            connection.recv_events_thread.join(30)
            assert connection.close_code == 1013
            assert "the disk is gone" not in f"{answer.text}{connection.close_reason}"
        journal.broken = False


def test_a_closed_tracker_ends_its_streams(journal: Unreadable) -> None:
    """When the tracker is closed under the app, its clients are told that the server goes away."""
    with ExecutionTracker(journal) as tracker, serve(tracker) as served:
        live(tracker)
        with served.events("/threads/t-1/events") as stream:
            take(stream, 6)
            tracker.close()
            (last,) = list(stream)
        assert (last.name, last.data["reason"]) == ("closed", "shutdown")


def test_a_mistake_of_ours_is_said_and_mended(
    journal: Unreadable, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the follower itself fails its clients are told to connect again, the log has the traceback, and the next client is served."""
    from runstate.web._vocabulary import Fold

    async def fail(self: Fold, event: Event) -> tuple[()]:
        raise ZeroDivisionError

    with ExecutionTracker(journal) as tracker, serve(tracker) as served:
        with served.events("/events") as stream:
            with monkeypatch.context() as patch:
                patch.setattr(Fold, "tell", fail)
                run = begin(tracker)
                (last,) = list(stream)
            assert (last.name, last.data["reason"]) == ("closed", "broken")
        assert "ZeroDivisionError" in caplog.text
        with served.events("/events?after=0") as stream:
            assert next(stream).data["execution_id"] == run.execution_id


def test_following_stops_when_nobody_listens(tracker: ExecutionTracker) -> None:
    """Some time after the last client has gone the journal is no longer read, and it is read again for the next client."""
    from runstate.web import WebLimits

    with serve(tracker, WebLimits(linger_seconds=0.05)) as served:

        def follows() -> bool:
            return served.app._fanout._task is not None

        live(tracker)
        for _ in range(2):
            with served.events("/threads/t-1/events") as stream:
                take(stream, 6)
                assert follows()
            wait_for(lambda: not follows())


def test_a_server_that_was_away_has_cost_no_event(private: cluster.Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """While PostgreSQL is down its clients stay and are told, and when it is back they get what happened meanwhile, once."""
    monkeypatch.setattr(_postgres_connection, "RETRY_FOR", 0.2)
    monkeypatch.setattr(_writer, "RETRY", 0.01)
    here = private.journal()
    with runstate.open(here) as tracker, serve(tracker) as served:
        run = begin(tracker)
        tracker.flush()
        with (
            served.events("/threads/t-1/events?events=journal") as sse,
            served.socket("/ws/threads/t-1?events=journal") as connection,
        ):
            ws = messages(connection)
            got = [take(sse, 3), take(ws, 3)]
            private.crash()
            try:
                run.complete("kept")
                assert next(sse).name == "interrupted"
                assert served.http.get("/api/statistics").status_code == 503
            finally:
                private.start()
            got[0] += until(sse, "transition")
            got[1] += until(ws, "transition")
        for received in got:
            told = [one for one in received if one.id is not None]
            assert [one.data["position"] for one in told] == [one.position for one in stored(tracker)]
        assert "resumed" in [one.name for one in got[0]]
    private.drop(here)
