"""A user sees only the own executions: in answers, streams, timelines, cancelling, statistics, workers."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.requests import HTTPConnection

import runstate
from runstate import ExecutionState, ExecutionTracker, Phase
from runstate.web import Principal

from ..fleet.processes import WHO, Other
from .lives import begin, end, live
from .servers import PATIENCE, Served, messages, serve, take

MARK = "bobs-secret"
"""Stands in everything of bob's."""


def authorize(connection: HTTPConnection) -> Principal | None:
    """Who asks says so; `root` is an operator."""
    user = connection.headers.get("x-user")
    return None if user is None else Principal(None if user == "root" else user)


@pytest.fixture
def served(tracker: ExecutionTracker) -> Iterator[Served]:
    """The tracker, served to users who say who they are."""
    with serve(tracker, authorize=authorize) as served:
        yield served


def plant(tracker: ExecutionTracker) -> list[str]:
    """Executions of bob's, one in each state, in a thread that ann has as well; every text of his has the mark."""
    ids = []
    for state in ExecutionState:
        run = tracker.create(
            agent=f"{MARK}-agent", thread_id="shared", user_id=MARK, timeout=3_600.0, metadata={MARK: MARK}
        )
        ids.append(run.execution_id)
        if state is ExecutionState.PENDING:
            continue
        running = run.start() if state is ExecutionState.STARTING else run.run()
        running.phase(Phase.TOOL_EXECUTION, f"{MARK}-tool")
        if state is ExecutionState.COMPLETED:
            tracker.update_execution_state(run.execution_id, state, result=MARK)
        elif state.is_terminal:
            tracker.update_execution_state(run.execution_id, state, error=MARK)
        elif state is ExecutionState.COMPLETING:
            tracker.update_execution_state(run.execution_id, state)
    tracker.flush()
    return ids


ANN = {"x-user": "ann"}


def test_answers_hold_nothing_of_others(tracker: ExecutionTracker, served: Served) -> None:
    """No answer to ann, whatever she asks for and in whichever way, holds anything of bob's."""
    bobs = plant(tracker)
    own = live(tracker, "shared", "ann")
    asked = ["/api/executions", "/api/executions?thread_id=shared", f"/api/executions?user_id={MARK}", "/api/executions?live=true",
             "/api/executions?live=false", f"/api/executions?agent={MARK}-agent", "/api/statistics", "/api/workers?departed=100",
             f"/api/executions/{own}", f"/api/executions/{own}/timeline"]  # fmt: skip
    asked += [f"/api/executions?state={state.value}" for state in ExecutionState]
    for path in asked:
        answer = served.http.get(path, headers=ANN)
        assert answer.status_code == 200
        assert MARK not in answer.text
        assert not [one for one in bobs if one in answer.text]
    listed = served.http.get("/api/executions", headers=ANN).json()["executions"]
    assert [one["execution_id"] for one in listed] == [own]
    assert served.http.get("/api/workers", headers=ANN).json() == {"workers": []}


def test_what_belongs_to_others_is_not_told_from_what_is_not_there(tracker: ExecutionTracker, served: Served) -> None:
    """An id of bob's is answered to ann as one that nobody has, word for word but the id."""
    for execution_id in plant(tracker):
        for path in ("/api/executions/{}", "/api/executions/{}/timeline", "/executions/{}/events"):
            theirs = served.http.get(path.format(execution_id), headers=ANN)
            nobodys = served.http.get(path.format("0" * 32), headers=ANN)
            assert theirs.status_code == nobodys.status_code == 404
            assert theirs.text == nobodys.text.replace("0" * 32, execution_id)
        with served.socket(f"/ws/executions/{execution_id}", additional_headers=ANN) as connection:
            assert list(messages(connection)) == []
            assert connection.close_code == 4404


def test_nobody_cancels_what_belongs_to_others(tracker: ExecutionTracker, served: Served) -> None:
    """Ann cannot have bob's execution cancelled, and her own she can."""
    theirs, own = begin(tracker, user_id="bob"), begin(tracker, user_id="ann")
    assert served.http.post(f"/api/executions/{theirs.execution_id}/cancel", headers=ANN).status_code == 404
    assert theirs.state is ExecutionState.RUNNING
    assert served.http.post(f"/api/executions/{own.execution_id}/cancel", headers=ANN).status_code == 202
    assert own.state is ExecutionState.CANCELLED


@pytest.mark.parametrize("transport", ["sse", "ws"])
@pytest.mark.parametrize("words", ["journal", "client"])
@pytest.mark.parametrize("path", ["", "/threads/shared"])
def test_streams_hold_nothing_of_others(
    tracker: ExecutionTracker, served: Served, transport: str, words: str, path: str
) -> None:
    """In a thread that both use, and in all events, ann is told of her own executions, past and present."""
    plant(tracker)
    own = [live(tracker, "shared", "ann")]
    number = (7 if words == "journal" else 6) * 2
    query = f"events={words}&after=0"
    if transport == "sse":
        with served.events(f"{path}/events?{query}", **{"x-user": "ann"}) as stream:
            plant(tracker)
            own.append(live(tracker, "shared", "ann"))
            got = take(stream, number)
    else:
        with served.socket(f"/ws{path or '/events'}?{query}", additional_headers=ANN) as connection:
            plant(tracker)
            own.append(live(tracker, "shared", "ann"))
            got = take(messages(connection), number)
    assert [one.data["execution_id"] for one in got] == [own[0]] * (number // 2) + [own[1]] * (number // 2)
    assert MARK not in json.dumps([one.data for one in got])


def test_statistics_count_ones_own(tracker: ExecutionTracker, served: Served) -> None:
    """A user's statistics count that user's executions, an operator's all, and only operators are told of the tracker."""
    plant(tracker)
    begin(tracker, user_id="ann")
    end(tracker, begin(tracker, user_id="ann"))
    tracker.flush()
    own = served.http.get("/api/statistics", headers=ANN).json()
    assert own["live"] == {"pending": 0, "starting": 0, "running": 1, "completing": 0}
    assert own["lately"]["ended"] == {"completed": 1, "failed": 0, "timeout": 0, "dead": 0, "cancelled": 0}
    assert own["oldest_live"]["user_id"] == "ann"
    assert "tracker" not in own
    all_of_them = served.http.get("/api/statistics", headers={"x-user": "root"}).json()
    assert all_of_them["live"] == {"pending": 1, "starting": 1, "running": 2, "completing": 1}
    assert all_of_them["lately"]["ended"]["dead"] == 1
    assert all_of_them["tracker"]["live"] == 5


def test_users_are_told_nothing_of_the_machines(tracker: ExecutionTracker, served: Served) -> None:
    """No name of a worker, no observer and no stack goes to a user; an operator sees them."""
    run = begin(tracker, user_id="ann")
    worker = tracker.get(run.execution_id).incarnation
    end(tracker, run, ExecutionState.DEAD)
    tracker.flush()
    paths = [f"/api/executions/{run.execution_id}", f"/api/executions/{run.execution_id}/timeline", "/api/executions"]
    for path in paths:
        assert worker not in served.http.get(path, headers=ANN).text
        assert worker in served.http.get(path, headers={"x-user": "root"}).text
    evidence = served.http.get(paths[0], headers=ANN).json()["execution"]["evidence"]
    assert evidence["observer"] is None
    with served.events("/threads/t-1/events?events=journal", **{"x-user": "ann"}) as stream:
        assert worker not in json.dumps([one.data for one in take(stream, 4)])


def test_an_empty_user_is_nobody(tracker: ExecutionTracker) -> None:
    """A principal whose user is an empty text is no operator: it sees nothing."""
    live(tracker)
    with serve(tracker, authorize=lambda connection: Principal("")) as served:
        assert served.http.get("/api/executions").status_code in {200, 400}
        assert "t-1" not in served.http.get("/api/executions").text


def test_a_death_tells_users_nothing_of_machines(tmp_path: Path) -> None:
    """Whose process was killed, or cancelled from another one, hears so without the name of any worker; an operator sees it."""
    place = str(tmp_path / "runs.db")
    with runstate.open(place) as tracker, serve(tracker, authorize=authorize) as served:
        other = Other(place)
        dead, unwanted = other.ask("begin", 2)
        tracker.cancel(unwanted, "enough")
        tracker.wait(unwanted, timeout=PATIENCE)
        other.send(signal.SIGKILL)
        tracker.wait(dead, timeout=PATIENCE)
        other.end()
        names = {other.incarnation, tracker.incarnation}
        paths = [f"/api/executions/{one}{more}" for one in (dead, unwanted) for more in ("", "/timeline")]
        for user, is_told in ((WHO["user_id"], False), ("root", True)):
            said = [served.http.get(path, headers={"x-user": user}).text for path in ("/api/executions", *paths)]
            for one in (dead, unwanted):
                with served.socket(f"/ws/executions/{one}", additional_headers={"x-user": user}) as connection:
                    said += [str(message.data) for message in messages(connection)]
            assert any(name in text for name in names for text in said) == is_told
        for one, why in ((dead, "DEAD (PROCESS_EXITED)"), (unwanted, "CANCELLED (CANCELLED_BY_CALLER)")):
            refused = served.http.post(f"/api/executions/{one}/cancel", headers={"x-user": WHO["user_id"]}).text
            assert why in refused
            assert not any(name in refused for name in names)
        assert "its worker is gone" in (tracker.get(dead).error or "")
