"""`runstate serve`: a process that serves a journal, and stops in order."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import runstate
from runstate import InvalidValueError
from runstate.web import AddressError, WebServer, app

from ..documents import shown_file
from .lives import begin, end, live
from .servers import PATIENCE, parsed, take

TOKEN = "correct-horse-battery-staple"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal file with one execution."""
    path = tmp_path / "runs.db"
    with runstate.open(path) as tracker:
        live(tracker)
    return path


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `runstate serve`; give the process and where it is reached."""
    command = [sys.executable, "-m", "runstate", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    assert " on http://127.0.0.1:" in line, (line, process.stderr.read() if process.poll() is not None else "")
    try:
        yield process, line.split(" on ")[1].strip().rstrip("/")
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_ends_in_order(journal: Path, number: signal.Signals) -> None:
    """A served journal answers and streams; a signal ends the stream with its reason and the process with 0, quietly."""
    with serving(str(journal)) as (process, url), httpx.Client(base_url=url, timeout=PATIENCE) as client:
        assert len(client.get("/api/executions").json()["executions"]) == 1
        with client.stream("GET", "/threads/t-1/events") as answer:
            stream = parsed(answer)
            take(stream, 6)
            process.send_signal(number)
            (last,) = list(stream)
        assert (last.name, last.data["reason"]) == ("closed", "shutdown")
        _, complaints = process.communicate(timeout=PATIENCE)
        assert (process.returncode, complaints) == (0, "")


HOST = """
import socket, sys
import runstate, uvicorn
from runstate import web
from starlette.applications import Starlette
from starlette.routing import Mount

tracker = runstate.open(sys.argv[1])
runs = web.app(tracker)
application = Starlette(routes=[Mount("/runs", runs)])
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
"""


def test_a_host_ends_in_order_as_the_documents_say(journal: Path) -> None:
    """An application under uvicorn, with the server that docs/web.md shows, ends its streams with their reason when it is stopped."""
    program = HOST + shown_file("web.md", "server.py").replace(".run()", ".run([listening])")
    process = subprocess.Popen([sys.executable, "-c", program, journal], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        with httpx.stream("GET", f"http://127.0.0.1:{port}/runs/threads/t-1/events", timeout=PATIENCE) as answer:
            stream = parsed(answer)
            take(stream, 6)
            process.send_signal(signal.SIGTERM)
            (last,) = list(stream)
        assert (last.name, last.data["reason"]) == ("closed", "shutdown")
        assert process.wait(PATIENCE) in {0, -signal.SIGTERM}
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_it_cancels_what_another_process_runs(journal: Path) -> None:
    """A cancel through the served app reaches the process that owns the execution, and the stream tells of the end."""
    with (
        runstate.open(journal) as tracker,
        serving(str(journal)) as (_, url),
        httpx.Client(base_url=url, timeout=PATIENCE) as client,
    ):
        run = begin(tracker)
        tracker.flush()
        assert client.post(f"/api/executions/{run.execution_id}/cancel", json={"reason": "enough"}).status_code == 202
        with client.stream("GET", f"/executions/{run.execution_id}/events") as answer:
            names = [one.name for one in parsed(answer)]
        assert names == ["agent_started", "agent_error", "closed"]


def test_a_read_only_one_cancels_nothing(journal: Path) -> None:
    """With --read-only everything is shown, and a cancel is refused."""
    with runstate.open(journal) as tracker, serving(str(journal), "--read-only") as (_, url):
        run = begin(tracker)
        tracker.flush()
        assert httpx.post(f"{url}/api/executions/{run.execution_id}/cancel", timeout=PATIENCE).status_code == 503
        assert httpx.get(f"{url}/api/statistics", timeout=PATIENCE).json()["live"]["running"] == 1
        end(tracker, run)


def test_it_asks_for_the_token_of_a_file(journal: Path, tmp_path: Path) -> None:
    """With --token-file everything needs that token."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    with serving(str(journal), "--token-file", str(file)) as (_, url):
        assert httpx.get(f"{url}/api/executions", timeout=PATIENCE).status_code == 401
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert httpx.get(f"{url}/api/executions", headers=headers, timeout=PATIENCE).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["{dir}/none.db"], 4, "does not exist"),
        (["{journal}", "--host", "0.0.0.0"], 2, "for an app without a token"),
        (["{journal}", "--host", "no such host"], 2, "host must be"),
        (["{journal}", "--port", "70000"], 2, "port must be"),
        (["{journal}", "--token-file", "{dir}/none"], 2, "cannot be read"),
        (["{journal}", "--token-file", "{dir}/empty"], 2, "must hold one line"),
        (["{journal}", "--token-file", "{dir}/short"], 2, "at least 16"),
        (["memory:"], 2, "lives in the process"),
    ],
)
def test_what_cannot_be_served_is_said(
    journal: Path, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    """A journal that is not there, an address that nobody could use and a token that is none are one line and an exit code."""
    (tmp_path / "empty").write_text("")
    (tmp_path / "short").write_text("secret-token\n")
    command = [one.format(journal=journal, dir=tmp_path) for one in arguments]
    done = subprocess.run(
        [sys.executable, "-m", "runstate", "serve", *command], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == code
    assert said in done.stderr
    assert "secret-token" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_taken_port_is_said() -> None:
    """A port that somebody listens on is refused with what to do, and nothing is left open."""
    with runstate.open("memory:") as tracker:
        first = WebServer(app(tracker), port=0)
        with pytest.raises(AddressError, match="choose another port") as refused:
            WebServer(app(tracker), port=first.port)
        assert refused.value.port == first.port
        first.listening.close()
        with pytest.raises(InvalidValueError):
            WebServer(app(tracker), host="192.0.2.1")


def test_a_killed_process_is_told_to_its_client(tmp_path: Path) -> None:
    """When a worker is killed, a client of another process gets `agent_death` for what it ran, with the true ids."""
    path = tmp_path / "runs.db"
    program = (
        "import runstate, sys, time\n"
        f"tracker = runstate.open({str(path)!r})\n"
        "run = tracker.create(agent='air', thread_id='t-1', user_id='ann').run()\n"
        "run.phase(runstate.Phase.TOOL_EXECUTION, 'book')\n"
        "tracker.flush()\n"
        "print(run.execution_id, flush=True)\n"
        "time.sleep(600)\n"
    )
    with runstate.open(path):
        pass
    with serving(str(path)) as (_, url), httpx.Client(base_url=url, timeout=PATIENCE) as client:
        worker = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert worker.stdout is not None
        execution_id = worker.stdout.readline().strip()
        with client.stream("GET", "/threads/t-1/events") as answer:
            stream = parsed(answer)
            take(stream, 2)
            worker.kill()
            death = next(stream)
        worker.wait()
        worker.stdout.close()
    assert (death.name, death.data["execution_id"]) == ("agent_death", execution_id)
    assert (death.data["cause"], death.data["tool_name"]) == ("process_exited", "book")
