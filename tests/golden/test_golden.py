"""The golden path, a short piece of it: all that is claimed of ten thousand messages holds of a hundred."""

from __future__ import annotations

import pytest

from .plan import Agent, Blow, Client, Plan, as_json, from_json, plan
from .run import Options, golden
from .site import Settings

MESSAGES = 120
SETTINGS = Settings(timeout=20.0, attempt_timeout=4.0, heartbeat_timeout=1.5, lease=10.0)


def planned(seed: int = 305, messages: int = MESSAGES) -> Plan:
    """A plan with one blow of each kind."""
    return plan(seed, messages, pace=0.8, workers=2, kills=1, restarts=1, servers=1, outages=1)


def test_every_message_has_one_answer_whatever_happens() -> None:
    """Each user reads exactly one final event for each message, though models, tools, loops, clients, a worker, the database and the server fail."""
    report = golden(planned(), Options(workers=2, at_once=24, patience=60.0, settings=SETTINGS), print)
    print("\n".join(report.lines()))
    assert report.judge(is_full=False) == []
    assert set(report.unplanned) <= {"dead, process_exited", "completed, fallback"}
    assert report.reliability == 1.0
    assert report.silent == []
    assert report.duplicates == 0
    assert report.undelivered == []
    assert report.account.retries >= 3


def test_every_fault_is_planned_and_the_seed_decides() -> None:
    """A plan has each kind of fault at least once, is the same for the same seed, and survives JSON."""
    faults = planned().faults()
    assert {*faults} == {*Agent, *Client, *Blow}
    assert min(faults.values()) >= 1
    assert planned() == planned()
    assert planned(1) != planned(2)
    assert from_json(as_json(planned().conversations)) != []


def test_too_few_messages_are_refused() -> None:
    """A run that could not have every kind of fault is not made."""
    with pytest.raises(ValueError, match="too few"):
        planned(messages=3)
