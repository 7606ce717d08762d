"""What the command line shows of chains and messages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import runstate
from runstate import ExecutionRecord
from runstate.cli import main

from .calling import AT_ONCE, WHOSE


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[ExecutionRecord, ...]:
    """A chain of an attempt that failed and the fallback's answer, in the journal that the environment names."""
    journal = tmp_path / "runs.db"
    monkeypatch.setenv("RUNSTATE_JOURNAL", str(journal))
    monkeypatch.setenv("COLUMNS", "200")
    with runstate.open(journal) as tracker:

        @tracker.agent("airline", retry=AT_ONCE, fallback=lambda: "sorry")
        def agent() -> str:
            raise ValueError("no")

        return tracker.attempts(agent.bind(**WHOSE, message_id="m-1")().execution_id)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints that succeeds."""
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_show_has_the_whole_chain(chain: tuple[ExecutionRecord, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """For any of its executions: the message, which attempt it is of how many, and all of them with how they ended."""
    first, second = chain
    shown = printed(capsys, "show", first.execution_id)
    assert "m-1" in shown
    assert "attempt 1 of 2" in shown
    for one in chain:
        (line,) = [line for line in shown.splitlines() if f"{one.attempt}  {one.execution_id}" in line]
        assert f"{one.state.name}" in line
        assert one.cause is not None
        assert one.cause.name in line
    data = json.loads(printed(capsys, "show", second.execution_id, "--json"))
    assert [(one["execution_id"], one["attempt"], one["retry_of"], one["message_id"]) for one in data["chain"]] == [
        (first.execution_id, 1, None, "m-1"),
        (second.execution_id, 2, first.execution_id, "m-1"),
    ]


def test_ls_shows_attempts_where_there_are_any(
    chain: tuple[ExecutionRecord, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """The column is there once one of the executions is a retry; `--retry-of` and `--message-id` select."""
    listed = printed(capsys, "ls")
    assert "try" in listed.splitlines()[0]
    assert "try" not in printed(capsys, "ls", "--state", "failed").splitlines()[0]
    for options, ids in (
        (("--retry-of", chain[0].execution_id), [chain[1].execution_id]),
        (("--message-id", "m-1"), [chain[1].execution_id, chain[0].execution_id]),
    ):
        assert [one["execution_id"] for one in json.loads(printed(capsys, "ls", *options, "--json"))] == ids
