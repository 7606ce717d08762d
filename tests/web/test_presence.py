"""Presence: which conversations have clients here, and what they were handed."""

from __future__ import annotations

from runstate import ExecutionTracker
from runstate.web import Handed

from .lives import begin, end
from .servers import Served, messages, take
from .test_slow import wait_for


def test_a_thread_has_clients_while_they_are_connected(tracker: ExecutionTracker, served: Served) -> None:
    """A conversation is followed from before its first client is answered until its last one has gone."""
    presence = served.app.presence
    run = begin(tracker, "t-2")
    tracker.flush()
    assert presence.threads() == frozenset()
    with served.events("/threads/t-1/events"), served.socket("/ws/threads/t-1"):
        with served.socket(f"/ws/executions/{run.execution_id}"), served.events("/events"):
            assert presence.threads() == {"t-1", "t-2"}
            assert presence.is_connected("t-1")
        wait_for(lambda: presence.threads() == {"t-1"})
    wait_for(lambda: not presence.is_connected("t-1"))
    assert presence.threads() == frozenset()


def test_final_events_are_known_to_be_handed(tracker: ExecutionTracker, served: Served) -> None:
    """Each final event that a client was handed is told once for each client, and no other event is."""
    handed: list[Handed] = []
    served.app.presence.listen(handed.append)
    run = begin(tracker)
    tracker.flush()
    with served.events("/threads/t-1/events") as stream, served.socket("/ws/threads/t-1") as connection:
        take(stream, 1)
        end(tracker, run)
        assert take(stream, 1)[0].name == "agent_completed"
        assert take(messages(connection), 2)[1].name == "agent_completed"
        wait_for(lambda: len(handed) == 2)
    assert {one.event.entry.execution_id for one in handed} == {run.execution_id}
    assert {one.user_id for one in handed} == {None}
