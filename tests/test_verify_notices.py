"""`verify` on outboxes and notices, in each store that several processes share: every damage to them is named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runstate import ExecutionState, verify
from runstate._notices import Verdict
from runstate.journal import Outbox

from .doctor.wards import Ward, ward
from .forging import rules
from .journal.entries import WORKER, life, lives
from .journal.fleets import LEASE
from .journal.outboxes import BOX, settled
from .test_verify import Damage

DONE, PARKED, CLAIMED, WAITING, LIVE, EARLY = 2, 3, 4, 5, 6, 1
NAMES = {DONE: "done", PARKED: "parked", CLAIMED: "claimed", WAITING: "waiting", LIVE: "live", EARLY: "early"}

NOTICE_DAMAGES = (
    Damage("an end that nobody is told of", (f"DELETE FROM notices WHERE number = {WAITING}",), "notice",
           "it has ended, and has no notice in outbox 'default'", WAITING),
    Damage("a notice from before", (f"INSERT INTO notices (number, outbox, ended_at_ns) SELECT number, 1, updated_at_ns FROM executions WHERE number = {EARLY}",),
           "notice", "the outbox is open only since", EARLY),
    Damage("a notice of what is live", (f"INSERT INTO notices (number, outbox, ended_at_ns) SELECT number, 1, updated_at_ns FROM executions WHERE number = {LIVE}",),
           "notice", "not a valid record at end", LIVE),
    Damage("a notice of another time", (f"UPDATE notices SET ended_at_ns = 5 WHERE number = {WAITING}",), "notice",
           "says that it ended at 5, but its last entry is of", WAITING),
    Damage("a delivery by nobody", (f"UPDATE notices SET delivered_at_ns = 5 WHERE number = {WAITING}",), "notice",
           "is delivered, but by nobody", WAITING),
    Damage("delivered and parked", (f"UPDATE notices SET parked_at_ns = 5 WHERE number = {DONE}",), "notice",
           "not a valid record at parked_at_ns: nothing, as the notice is delivered", DONE),
    Damage("parked for nothing", (f"UPDATE notices SET error = NULL WHERE number = {PARKED}",), "notice",
           "is parked, but claimed, or for no error", PARKED),
    Damage("fewer attempts than none", (f"UPDATE notices SET attempts = -1 WHERE number = {WAITING}",), "notice",
           "not a valid record at attempts", WAITING),
    Damage("a pause before all time", (f"UPDATE notices SET due_at_ns = -1 WHERE number = {WAITING}",), "notice",
           "not a valid record at due_at_ns", WAITING),
    Damage("a notice of nothing", (f"UPDATE notices SET number = 99 WHERE number = {WAITING}",), "orphan",
           "a notice belongs to execution number 99 and outbox 1, which are not both there", None, frozenset({"foreign_key", "notice"})),
    Damage("a notice in no outbox", (f"UPDATE notices SET outbox = 9 WHERE number = {WAITING}",), "orphan",
           f"a notice belongs to execution number {WAITING} and outbox 9", None, frozenset({"foreign_key", "notice"})),
    Damage("a nameless outbox", ("UPDATE outboxes SET name = ''",), "outbox", "outbox 1: not a valid record at name", None, frozenset({"notice"})),
    Damage("fewer lost than none", ("UPDATE outboxes SET lost = -1",), "outbox", "outbox 1: not a valid record at lost"),
    Damage("an outbox of the future", ("UPDATE outboxes SET since = 1000",), "outbox", "is open since position 1000, beyond the last", None,
           frozenset({"notice"})),
)  # fmt: skip

CHECKED_BY_POSTGRES = {"a delivery by nobody", "delivered and parked", "parked for nothing", "fewer attempts than none", "a nameless outbox", "fewer lost than none"}  # fmt: skip
"""What a CHECK of PostgreSQL refuses even with all triggers off."""


@pytest.fixture
def journal(place: str) -> Iterator[Ward]:
    """A sound journal with a notice of each kind, to be damaged."""
    opened = ward(place)
    journal = opened.journal
    assert isinstance(journal, Outbox)
    journal.join(WORKER, LEASE)  # type: ignore[attr-defined]
    journal.append(life("early", ExecutionState.FAILED))  # type: ignore[attr-defined]
    journal.open_outbox(BOX)
    journal.append(lives(["done", "parked", "claimed", "waiting"], ExecutionState.COMPLETED))  # type: ignore[attr-defined]
    journal.append(life("live", ExecutionState.RUNNING))  # type: ignore[attr-defined]
    assert len(journal.claim(BOX, WORKER, 9)) == 4
    settled(journal, Verdict.DELIVERED, "done")
    settled(journal, Verdict.PARKED, "parked")
    settled(journal, Verdict.RELEASED, "waiting")
    yield opened
    opened.journal.close()


def test_sound_notices_give_nothing(journal: Ward) -> None:
    """Nothing is found where notices are delivered, parked, claimed and waiting."""
    assert verify(journal.place) == ()


@pytest.mark.parametrize("damage", NOTICE_DAMAGES, ids=lambda damage: damage.name)
def test_every_damage_to_notices_is_named(journal: Ward, damage: Damage) -> None:
    """A forged damage breaks exactly the rules that it should, and the finding says what and where; or the server refuses it."""
    wanted = None if damage.number is None else NAMES[damage.number]
    on_a_server = "://" in journal.place
    if on_a_server and damage.name in CHECKED_BY_POSTGRES:
        with pytest.raises(Exception, match="check constraint"):
            journal.forge(*damage.sql)
        return
    journal.forge(*damage.sql)
    findings = verify(journal.place)
    assert rules(findings) - {"integrity"} == {damage.rule} | (
        damage.besides - ({"foreign_key"} if on_a_server else set())
    )
    assert [
        finding
        for finding in findings
        if finding.rule == damage.rule and damage.says in finding.message and finding.execution_id == wanted
    ], findings
