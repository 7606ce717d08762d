"""Receipts: the notice of an end is settled when a client of its conversation was handed that, and by nothing else."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from starlette.requests import HTTPConnection
from websockets.sync.client import ClientConnection

from runstate import ExecutionTracker, InvalidValueError, NoticeRecord, NoticeState
from runstate.web import Principal, _receipts, app

from .lives import begin, end, live, stored
from .servers import Served, messages, serve, until
from .test_slow import wait_for

PENDING, DELIVERED = NoticeState.PENDING, NoticeState.DELIVERED


def the(tracker: ExecutionTracker, execution_id: str) -> NoticeRecord:
    """The notice of an end."""
    return next(one for one in tracker.notices(outbox="chat") if one.notice_id == execution_id)


def state(tracker: ExecutionTracker, execution_id: str) -> NoticeState:
    """What has become of the notice of an end."""
    return the(tracker, execution_id).state


@pytest.mark.parametrize("path", ["/ws/threads/t-1", "/ws/executions/{}"])
def test_what_a_client_is_handed_is_delivered(tracker: ExecutionTracker, path: str) -> None:
    """The notice of an end is DELIVERED, and timed, when a client of the conversation or the execution has got the final event."""
    with serve(tracker, outbox="chat") as served:
        run = begin(tracker)
        tracker.flush()
        with served.socket(path.format(run.execution_id)) as connection:
            end(tracker, run)
            until(messages(connection), "agent_completed")
            wait_for(lambda: state(tracker, run.execution_id) is DELIVERED)
    assert tracker.statistics().notices_delivered == 1
    delay = tracker.statistics().notice_delay_max
    assert delay is not None
    assert delay >= 0


def test_what_nobody_is_handed_waits_for_whoever_comes(tracker: ExecutionTracker) -> None:
    """An end without a client stays PENDING, whatever a follower of everything or of the present reads, until one comes and reads it."""
    with serve(tracker, outbox="chat") as served:
        with served.socket("/ws/events") as everything, served.socket("/ws/threads/t-2") as other:
            first, second = live(tracker), live(tracker, "t-2")
            until(messages(other), "agent_completed")
            wait_for(lambda: state(tracker, second) is DELIVERED)
            seen = [one for one in messages_until(everything, second) if one == first]
        assert seen
        with served.socket("/ws/threads/t-1?after=latest") as present:
            third = live(tracker)
            until(messages(present), "agent_completed")
            wait_for(lambda: state(tracker, third) is DELIVERED)
        assert state(tracker, first) is PENDING
        with served.socket("/ws/threads/t-1") as connection:
            until(messages(connection), "agent_completed")
            wait_for(lambda: state(tracker, first) is DELIVERED)


def messages_until(connection: ClientConnection, execution_id: str) -> list[str]:
    """The executions whose ends a follower of everything reads, up to one's."""
    ended: list[str] = []
    for one in messages(connection):
        if one.data.get("cause") is not None:
            ended.append(one.data["execution_id"])
            if one.data["execution_id"] == execution_id:
                break
    return ended


def test_who_has_read_it_elsewhere_is_not_told_again(tracker: ExecutionTracker) -> None:
    """A client that comes back with a place beyond an end settles its notice, which another process may have had no time to do."""
    with serve(tracker) as elsewhere, elsewhere.socket("/ws/threads/t-1") as connection:
        tracker.deliver(lambda notice: None, outbox="chat").close()  # from now on, and not delivered
        execution_id = live(tracker)
        last = until(messages(connection), "agent_completed")[-1]
    assert state(tracker, execution_id) is PENDING
    with serve(tracker, outbox="chat") as served, served.socket(f"/ws/threads/t-1?after={last.id}"):
        wait_for(lambda: state(tracker, execution_id) is DELIVERED)


def authorize(connection: HTTPConnection) -> Principal:
    """Who asks says so; nobody is an operator."""
    return Principal(connection.headers.get("x-user"))


def follow(served: Served, path: str, user: str | None) -> ClientConnection:
    """Follow as somebody."""
    return served.socket(path, additional_headers={} if user is None else {"x-user": user})


def test_only_its_user_settles_a_notice(tracker: ExecutionTracker) -> None:
    """Neither another user of a thread of the same name, wherever, nor an operator, nor the same user at another execution settles it."""
    with serve(tracker, outbox="chat", authorize=authorize) as served, ExitStack() as stack:
        other = begin(tracker)
        first = live(tracker)
        end_of_all = stored(tracker)[-1].position
        looks = [
            (f"/ws/threads/t-1?after={end_of_all}", "eve"),
            (f"/ws/threads/t-1?after={end_of_all}", None),
            (f"/ws/executions/{other.execution_id}?after={end_of_all}", "ann"),
            (f"/ws/executions/{first}", None),
        ]
        strangers = [stack.enter_context(follow(served, path, user)) for path, user in looks]
        until(messages(strangers[-1]), "agent_completed")
        with follow(served, "/ws/threads/t-2", "ann") as known:
            second = live(tracker, "t-2")
            until(messages(known), "agent_completed")
            wait_for(lambda: state(tracker, second) is DELIVERED)
        wait_for(lambda: the(tracker, first).claimed_by is not None)
        assert state(tracker, first) is PENDING
        with follow(served, f"/ws/threads/t-1?after={end_of_all}", "ann"):
            wait_for(lambda: state(tracker, first) is DELIVERED)


def test_who_comes_back_while_another_user_is_there(tracker: ExecutionTracker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notice that was claimed because somebody else is there is settled at once when its user comes and has read beyond it."""
    monkeypatch.setattr(_receipts, "_WITHIN", 3_600.0)
    with serve(tracker, outbox="chat", authorize=authorize) as served, follow(served, "/ws/threads/t-1", "eve"):
        execution_id = live(tracker)
        wait_for(lambda: the(tracker, execution_id).claimed_by is not None)
        end_of_all = stored(tracker)[-1].position
        with follow(served, f"/ws/threads/t-1?after={end_of_all}", "ann"):
            wait_for(lambda: state(tracker, execution_id) is DELIVERED)


def test_waiting_in_vain_is_no_failed_attempt(tracker: ExecutionTracker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notice whose user is not there is taken and given back again and again, never parked, and settled when the user comes."""
    monkeypatch.setattr(_receipts, "_WITHIN", 0.01)
    claims = 0
    with serve(tracker, outbox="chat", authorize=authorize) as served, follow(served, "/ws/threads/t-1", "eve"):
        execution_id = live(tracker)
        while claims < 3:
            wait_for(lambda: the(tracker, execution_id).claimed_by is not None)
            wait_for(lambda: the(tracker, execution_id).claimed_by is None)
            claims += 1
        found = the(tracker, execution_id)
        assert (found.state, found.error) == (PENDING, None)
        assert found.attempts <= 1
        with follow(served, "/ws/threads/t-1", "ann") as connection:
            until(messages(connection), "agent_completed")
            wait_for(lambda: state(tracker, execution_id) is DELIVERED)


def test_closing_leaves_the_rest_to_others_at_once(tracker: ExecutionTracker) -> None:
    """An app that is closed gives back what waits for its clients, with the attempt not counted, and another takes it."""
    with serve(tracker, outbox="chat") as served:
        execution_id = live(tracker)
        with served.socket("/ws/threads/t-1?after=latest"):
            wait_for(lambda: tracker.notices(outbox="chat")[0].claimed_by is not None)
    (found,) = tracker.notices(outbox="chat")
    assert (found.state, found.claimed_by, found.attempts, found.error) == (PENDING, None, 0, None)
    with serve(tracker, outbox="chat") as another, another.socket("/ws/threads/t-1"):
        wait_for(lambda: state(tracker, execution_id) is DELIVERED)


def test_an_outbox_that_is_delivered_already_is_refused(tracker: ExecutionTracker) -> None:
    """One tracker settles an outbox in one way: a second app with the same name is refused when it is made."""
    tracker.deliver(lambda notice: None, outbox="chat")
    with pytest.raises(InvalidValueError, match="chat"):
        app(tracker, outbox="chat")


def test_an_app_that_is_refused_delivers_nothing(tracker: ExecutionTracker) -> None:
    """An app that could not be made has left no delivery behind: the next one can have the outbox."""
    with pytest.raises(InvalidValueError):
        app(tracker, outbox="chat", token="short")
    with serve(tracker, outbox="chat") as served, served.socket("/ws/threads/t-1"):
        execution_id = live(tracker)
        wait_for(lambda: state(tracker, execution_id) is DELIVERED)


def test_who_has_read_the_end_and_leaves_at_once_was_told(tracker: ExecutionTracker) -> None:
    """The notice of an end is DELIVERED though its client leaves with the final event, before anybody has claimed that notice."""
    with serve(tracker, outbox="chat") as served, ExitStack() as stack:
        runs = [begin(tracker, f"t-{number}") for number in range(20)]
        tracker.flush()
        connections = [stack.enter_context(served.socket(f"/ws/threads/t-{number}")) for number in range(20)]
        for run, connection in zip(runs, connections, strict=True):
            end(tracker, run)
            until(messages(connection), "agent_completed")
            connection.close()
        for run in runs:
            wait_for(lambda run=run: state(tracker, run.execution_id) is DELIVERED)
