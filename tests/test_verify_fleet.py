"""`verify` on what several processes have written: damage to workers, fences, burials, requests and rejected ends is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runstate import _verify as verify_module
from runstate import verify

from .forging import EVIDENCE, fleet_journal, forge, rules
from .test_verify import DAMAGES, Damage
from .test_verify_notices import NOTICE_DAMAGES

X, LATE, ASKED, Z = 1, 2, 3, 4
NAMES = {X: "x", LATE: "late", ASKED: "asked", Z: "z"}
UNFENCED = "fenced_by = NULL, fence_cause = NULL, fence_reason = NULL"

FLEET_DAMAGES = (
    Damage("a burial of a living worker's", (f"UPDATE workers SET gone_at_ns = NULL, gone_position = NULL, {UNFENCED} WHERE number = 1",),
           "owner", "entry 3 was written by worker 2, but worker 1 owns the execution", LATE, frozenset({"rejected"})),
    Damage("a burial as cancelled that nobody asked for", ("DELETE FROM requests WHERE number = 3",), "owner",
           "entry 3 was written by worker 2, but worker 1 owns", ASKED),
    Damage("a burial that is a failure", ("UPDATE entries SET target = 'failed', cause = 'raised' WHERE number = 2 AND seq = 3",
                                          "UPDATE executions SET state = 'failed' WHERE number = 2"),
           "owner", "entry 3 was written by worker 2, but worker 1 owns", LATE),
    Damage("a burier's phase", ("INSERT INTO entries (number, seq, at_ns, worker, phase) SELECT 1, 3, updated_at_ns, 2, 'thinking'"
                                " FROM executions WHERE number = 1",
                                "UPDATE executions SET seq = 3, phase = 'thinking' WHERE number = 1"),
           "owner", "entry 3 was written by worker 2, but worker 1 owns", X),
    Damage("a zombie's phase", ("INSERT INTO entries (number, seq, at_ns, worker, phase) SELECT 1, 3, updated_at_ns, 1, 'thinking'"
                                " FROM executions WHERE number = 1",
                                "UPDATE executions SET seq = 3, phase = 'thinking' WHERE number = 1"),
           "fence", "entry 3, at position 11, was written by worker 1, which had gone at position 8", X),
    Damage("a zombie's end", ("UPDATE entries SET worker = 1 WHERE number = 2 AND seq = 3",), "fence",
           "which had gone at position 8", LATE, frozenset({"rejected"})),
    Damage("a fence in the future", ("UPDATE workers SET gone_position = 1000 WHERE number = 1",), "fence",
           "worker 1 had gone at position 1000, beyond the last one given out, 10"),
    Damage("a fence for no death", ("UPDATE workers SET fence_cause = 'returned' WHERE number = 1",), "fence",
           "worker 1 was fenced with cause RETURNED, which is none of DEAD"),
    Damage("a fence of oneself", ("UPDATE workers SET fenced_by = incarnation WHERE number = 1",), "fence",
           "worker 1 was fenced by itself"),
    Damage("a fence without a cause", ("UPDATE workers SET fence_cause = NULL WHERE number = 1",), "worker",
           "worker 1: not a valid record at fence_cause"),
    Damage("a fence for an unknown cause", ("UPDATE workers SET fence_cause = 'fate' WHERE number = 1",), "worker",
           "worker 1: not a valid record at fence_cause"),
    Damage("a fence without a position", ("UPDATE workers SET gone_position = NULL WHERE number = 1",), "worker",
           "worker 1: not a valid record at gone_position"),
    Damage("half a lease", ("UPDATE workers SET lease = NULL WHERE number = 2",), "worker",
           "worker 2: not a valid record at lease: a value, as the worker has joined"),
    Damage("a lease of no boot", ("UPDATE workers SET boot_id = NULL WHERE number = 2",), "worker",
           "worker 2 has boot_id None and lease 10.0"),
    Damage("a process that is none", ("UPDATE workers SET pid = 0 WHERE number = 2",), "worker", "worker 2: not a valid record at pid"),
    Damage("a host that is no UTF-8", ("UPDATE workers SET host = CAST(x'ff61' AS TEXT) WHERE number = 2",), "worker",
           "worker 2: not a valid record at host: valid UTF-8"),
    Damage("leaving with something live", ("UPDATE workers SET gone_at_ns = 5, gone_position = 8 WHERE number = 3",), "worker",
           "worker 3 has left, but 1 of its executions are live"),
    Damage("a retry of nothing", ("UPDATE executions SET retry_of = 'nothing', attempt = 2 WHERE number = 4",), "chain",
           "it is attempt 2 after 'nothing', which is not there", Z),
    Damage("a retry in another thread", ("UPDATE executions SET retry_of = 'x', attempt = 2, thread_id = 'elsewhere' WHERE number = 4",),
           "chain", "it is attempt 2 after 'x', which begins no chain of this thread, user and message", Z),
    Damage("a retry of another user", ("UPDATE executions SET retry_of = 'x', attempt = 2, user_id = 'eve' WHERE number = 4",),
           "chain", "it is attempt 2 after 'x', which begins no chain of this thread, user and message", Z),
    Damage("a first attempt that is the second", ("UPDATE executions SET attempt = 2 WHERE number = 4",), "decode",
           "attempt: 1, as it retries nothing", Z),
    Damage("a nameless request", ("UPDATE requests SET asked_by = '' WHERE number = 3",), "request",
           "the request to cancel it: not a valid record at by", ASKED),
    Damage("a request of no time", ("UPDATE requests SET asked_at_ns = -1 WHERE number = 3",), "request",
           "the request to cancel it: not a valid record at at_ns", ASKED),
    Damage("a request about nothing", ("UPDATE requests SET number = 99 WHERE number = 4",), "foreign_key",
           "of requests refers to a row of executions that is not there"),
    Damage("a rejected end about nothing", ("UPDATE rejected SET number = 99",), "foreign_key",
           "of rejected refers to a row of executions that is not there"),
    Damage("a stranger's rejected end", ("UPDATE rejected SET worker = 2",), "rejected",
           "worker 2 had an end rejected, but is not its owner, fenced", LATE),
    Damage("a fenced stranger's rejected end", ("UPDATE rejected SET number = 4",), "rejected",
           "worker 1 had an end rejected, but is not its owner, fenced", Z),
    Damage("a rejected end that stands", ("UPDATE entries SET worker = 1 WHERE number = 2 AND seq = 3",
                                          "UPDATE workers SET gone_position = 10 WHERE number = 1"),
           "rejected", "its owner had an end rejected, but has ended it", LATE),
    Damage("a rejected move", ("UPDATE rejected SET source = 'pending', target = 'running', result_json = NULL",), "rejected",
           "the rejected move PENDING -> RUNNING is no end", LATE),
    Damage("a rejected end with another's cause", ("UPDATE rejected SET cause = 'deadline'",), "rejected",
           "the rejected end COMPLETED lacks a cause that it accepts", LATE),
    Damage("a rejected failure with a result", ("UPDATE rejected SET target = 'failed', cause = 'raised'",), "rejected",
           "the rejected end FAILED has a result", LATE),
    Damage("a rejected result that is no JSON", ("UPDATE rejected SET result_json = '{'",), "rejected",
           "its rejected end: not a valid record at result_json", LATE),
    Damage("rejected evidence that is none", (f"UPDATE rejected SET evidence_json = {EVIDENCE.replace('0', '-1')}",), "rejected",
           "its rejected end: not a valid record at beats", LATE),
    Damage("a rejected end of no time", ("UPDATE rejected SET rejected_at_ns = -1",), "rejected",
           "its rejected end: not a valid record at rejected_at_ns", LATE),
)  # fmt: skip


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A sound journal of several workers, to be damaged."""
    return fleet_journal(tmp_path / "runs.db")


def test_a_sound_fleet_gives_nothing(journal: Path) -> None:
    """Nothing is found where a worker was fenced and buried, asked to cancel, and refused."""
    assert verify(journal) == ()


@pytest.mark.parametrize("damage", FLEET_DAMAGES, ids=lambda damage: damage.name)
def test_every_damage_of_a_fleet_is_named(journal: Path, damage: Damage) -> None:
    """A forged damage breaks exactly the rules that it should, and the finding says what and where."""
    wanted = None if damage.number is None else NAMES[damage.number]
    forge(journal, *damage.sql)
    findings = verify(journal)
    assert rules(findings) - {"integrity"} == {damage.rule} | damage.besides, findings
    assert [
        finding
        for finding in findings
        if finding.rule == damage.rule and damage.says in finding.message and finding.execution_id == wanted
    ], findings


def test_every_rule_is_tested() -> None:
    """The rules that the documentation lists are those that the tests break, here, in `test_verify` and in `test_verify_notices`."""
    documented = set(re.findall(r"^\| `(\w+)` \|", verify_module.__doc__ or "", re.MULTILINE))
    broken = {"file", "format", "version", "unique", "integrity"}.union(
        *({damage.rule, *damage.besides} for damage in (*DAMAGES, *FLEET_DAMAGES, *NOTICE_DAMAGES))
    )
    assert documented == broken
