"""What every journal that keeps notices promises: notices of all ends, claims, what comes of them, retries, removal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from runstate import Completed, ExecutionState, Failed, InvalidValueError, JournalConflictError, Limits
from runstate._notices import NoticeState, Settlement, Verdict
from runstate.journal import Outbox

from .entries import OTHER_WORKER, START_NS, WORKER, created, life, lives, moved, phased
from .outboxes import BOX, OUTBOXES, OutboxJournal, OutboxStore, claimed, ended, opened, outline, settled, states, the

PENDING, DELIVERED, PARKED = NoticeState.PENDING, NoticeState.DELIVERED, NoticeState.PARKED
RUNNING, COMPLETED, FAILED = ExecutionState.RUNNING, ExecutionState.COMPLETED, ExecutionState.FAILED
TERMINAL = [state for state in ExecutionState if state.is_terminal]


@pytest.fixture(params=sorted(OUTBOXES))
def timed(request: pytest.FixtureRequest, tmp_path: Path) -> OutboxStore:
    """Each store in turn, empty."""
    return OUTBOXES[request.param](tmp_path)


@pytest.fixture
def journal(timed: OutboxStore) -> Iterator[OutboxJournal]:
    """A journal in which two workers are there, and an outbox is open."""
    journal = opened(timed, WORKER, OTHER_WORKER)
    journal.open_outbox(BOX)
    yield journal
    journal.close()


# -- where notices come from ---------------------------------------------------------------------------------------------


def test_every_store_keeps_notices(journal: OutboxJournal) -> None:
    """Whoever asks whether a journal keeps notices is told so."""
    assert isinstance(journal, Outbox)


def test_without_an_outbox_nothing_is_kept(timed: OutboxStore) -> None:
    """An end makes no notice while nobody has asked for any, and what had ended before an outbox was opened has none."""
    journal = opened(timed, WORKER)
    ended(journal, "before")
    assert journal.outboxes() == []
    assert journal.notices(None, None, None, 10) == []
    journal.open_outbox(BOX)
    ended(journal, "after")
    assert states(journal) == {"after": PENDING}
    journal.close()


@pytest.mark.parametrize("is_alone", [True, False], ids=["each alone", "all at once"])
def test_only_the_end_of_a_chain_is_noticed(journal: OutboxJournal, is_alone: bool) -> None:
    """An attempt that another follows makes no notice; the last one does, and so does whatever is in no chain with it."""
    first, *moves = life("first", FAILED)
    batch = [
        *(first, *life("other", FAILED, message_id="m-2"), *moves[:-1]),
        *(created("second", retry_of="first", attempt=2), moves[-1]),
        created("third", retry_of="first", attempt=3),
        *life("second", FAILED)[1:],
    ]
    for part in [[entry] for entry in batch] if is_alone else [batch]:
        journal.append(part)
    assert states(journal) == {"other": PENDING}
    journal.append(life("third", COMPLETED)[1:])
    assert states(journal) == {"other": PENDING, "third": PENDING}


@pytest.mark.parametrize("state", TERMINAL, ids=lambda state: state.name)
def test_every_end_is_noticed(journal: OutboxJournal, state: ExecutionState) -> None:
    """Each of the five ends makes a notice, stored alone or among others, and nothing that is live does."""
    log = life("alone", state)
    for entry in log:
        assert states(journal) == {}
        journal.append([entry])
    journal.append([*lives(["x", "y"], state), created("live"), phased("live", 2), *life("running", RUNNING)])
    assert states(journal) == dict.fromkeys(("alone", "x", "y"), PENDING)
    found = the(journal, "alone")
    assert (found.end, found.ended_at_ns, found.attempts, found.error) == (state, START_NS, 0, None)
    assert (found.agent, found.thread_id, found.user_id, found.outbox) == ("a", "t", "u", BOX)
    assert (found.claimed_by, found.delivered_at_ns, found.parked_at_ns, found.due_in) == (None, None, None, 0.0)


def test_each_outbox_has_its_own_notices(journal: OutboxJournal) -> None:
    """An end is noticed once in every outbox, and what comes of it in one changes nothing in another."""
    journal.open_outbox("audit")
    ended(journal, "x")
    assert claimed(journal) == ["x"]
    assert settled(journal, Verdict.DELIVERED, "x") == []
    assert (states(journal), states(journal, "audit")) == ({"x": DELIVERED}, {"x": PENDING})
    assert [one.outbox for one in journal.notices(None, None, None, 10)] == [BOX, "audit"]


def test_an_end_that_is_refused_is_not_noticed(journal: OutboxJournal) -> None:
    """Of a batch with an entry that is refused, what is stored is noticed, and what is not stored is not."""
    with pytest.raises(JournalConflictError):
        journal.append([moved("nobody", 2, RUNNING, COMPLETED), *life("x", FAILED)])
    ended(journal, "y")
    with pytest.raises(JournalConflictError):
        journal.append([moved("y", 4, RUNNING, FAILED)])
    assert states(journal) == {"x": PENDING, "y": PENDING}
    assert the(journal, "y").end is COMPLETED


def test_opening_an_outbox_again_changes_nothing(timed: OutboxStore, journal: OutboxJournal) -> None:
    """An outbox is one, however often it is opened, and says since when it is, and what is in it."""
    ended(journal, "x", "y", "z")
    assert claimed(journal, limit=2) == ["x", "y"]
    settled(journal, Verdict.DELIVERED, "x")
    settled(journal, Verdict.PARKED, "y")
    (before,) = journal.outboxes()
    timed.let_pass(5.0)
    journal.open_outbox(BOX)
    (found,) = journal.outboxes()
    assert found == before
    assert (found.name, found.pending, found.parked, found.lost) == (BOX, 1, 1, 0)


# -- claims --------------------------------------------------------------------------------------------------------------


def test_a_claim_hands_out_the_execution(journal: OutboxJournal) -> None:
    """A claimed notice has the execution's id, counts the attempt, and says how the execution ended, result included."""
    journal.append([*life("x", COMPLETED), *life("y", FAILED)])
    done, failed = journal.claim(BOX, WORKER, 10)
    assert (done.notice_id, done.attempt, done.record.execution_id, done.record.state) == ("x", 1, "x", COMPLETED)
    assert done.outcome == Completed({"text": "done"}, execution_id="x")
    assert isinstance(failed.outcome, Failed)
    assert failed.outcome.error == "ValueError: broken"
    assert the(journal, "x").claimed_by == WORKER


def test_what_is_claimed_is_nobody_elses(journal: OutboxJournal) -> None:
    """The oldest are taken first, no more than asked for, and nobody gets what another has."""
    ended(journal, "1", "2", "3")
    assert claimed(journal, limit=2) == ["1", "2"]
    assert claimed(journal, OTHER_WORKER) == ["3"]
    assert claimed(journal, OTHER_WORKER) == ["3"]  # its own, as it does not say that it has it
    assert journal.claim(BOX, OTHER_WORKER, 9, held=["3"]) == []


def test_an_answer_that_was_lost_costs_nothing(journal: OutboxJournal) -> None:
    """What a worker has claimed and does not know of is claimed anew, and what it knows of is not."""
    ended(journal, "1", "2")
    assert outline(journal.claim(BOX, WORKER, 9)) == [("1", 1), ("2", 1)]
    assert outline(journal.claim(BOX, WORKER, 9, held=["1"])) == [("2", 2)]


def test_only_what_can_be_delivered_here_is_claimed(journal: OutboxJournal) -> None:
    """With threads given, only their notices are taken, from behind any number of others; the rest stays for others, with its age."""
    for number in range(1_100):
        journal.append(life(f"x{number:04}", COMPLETED, thread_id="there" if number in {3, 1_050} else "elsewhere"))
    assert journal.claim(BOX, WORKER, 9, threads=set()) == []
    found = journal.claim(BOX, WORKER, 9, threads={"there", "nowhere"})
    assert outline(found) == [("x0003", 1), ("x1050", 1)]
    assert {one.record.thread_id for one in found} == {"there"}
    assert len(journal.notices(BOX, PENDING, "elsewhere", 2_000)) == 1_098
    assert claimed(journal, OTHER_WORKER, limit=1) == ["x0000"]


def test_a_claim_needs_an_outbox(journal: OutboxJournal) -> None:
    """Nothing can be claimed from an outbox that nobody has opened, and whoever tries is told."""
    with pytest.raises(InvalidValueError, match="outbox"):
        journal.claim("another", WORKER, 1)


# -- what comes of them ---------------------------------------------------------------------------------------------------


def test_what_is_delivered_is_done(timed: OutboxStore, journal: OutboxJournal) -> None:
    """A delivered notice says when and by whom, can be acknowledged again after a lost answer, and is never claimed again."""
    ended(journal, "x")
    timed.let_pass(3.0)
    claimed(journal)
    assert settled(journal, Verdict.DELIVERED, "x") == []
    found = the(journal, "x")
    assert (found.state, found.claimed_by, found.attempts, found.due_in) == (DELIVERED, WORKER, 1, None)
    assert found.delivered_at_ns is not None
    assert found.age == pytest.approx((found.delivered_at_ns - START_NS) / 1e9)
    assert settled(journal, Verdict.DELIVERED, "x") == []
    timed.let_pass(60.0)
    assert (claimed(journal), claimed(journal, OTHER_WORKER)) == ([], [])
    for verdict in (Verdict.LATER, Verdict.PARKED, Verdict.RELEASED):
        assert settled(journal, verdict, "x") == []
    assert the(journal, "x") == found


def test_a_pause_goes_by_the_stores_clock(timed: OutboxStore, journal: OutboxJournal) -> None:
    """What is put off is free when its pause is over and not before, with the error of the attempt, and the next one counts on."""
    ended(journal, "x")
    claimed(journal)
    assert settled(journal, Verdict.LATER, "x", pause=5.0) == []
    found = the(journal, "x")
    assert (found.state, found.claimed_by, found.error) == (PENDING, None, "ConnectionError: gone")
    assert found.due_in == pytest.approx(5.0)
    timed.let_pass(4.5)
    assert claimed(journal, OTHER_WORKER) == []
    assert the(journal, "x").due_in == pytest.approx(0.5)
    timed.let_pass(0.5)
    assert outline(journal.claim(BOX, OTHER_WORKER, 9)) == [("x", 2)]


def test_what_is_parked_waits_for_a_person(timed: OutboxStore, journal: OutboxJournal) -> None:
    """A parked notice keeps its error, is claimed by nobody, and comes back at once and with new attempts when a person says so."""
    ended(journal, "x", "y")
    claimed(journal)
    assert settled(journal, Verdict.PARKED, "x") == []
    settled(journal, Verdict.DELIVERED, "y")
    found = the(journal, "x")
    assert (found.state, found.error, found.claimed_by, found.due_in) == (PARKED, "ConnectionError: gone", None, None)
    assert found.parked_at_ns is not None
    timed.let_pass(3_600.0)
    assert claimed(journal) == []
    assert [one.notice_id for one in journal.notices(None, PARKED, None, 9)] == ["x"]
    assert journal.retry_notice(BOX, "x") is PENDING
    assert journal.retry_notice(BOX, "x") is PENDING  # again, as after a lost answer
    after = the(journal, "x")
    assert (after.state, after.attempts, after.parked_at_ns, after.error) == (PENDING, 0, None, found.error)
    assert outline(journal.claim(BOX, OTHER_WORKER, 9)) == [("x", 1)]
    assert journal.retry_notice(BOX, "y") is DELIVERED
    assert journal.retry_notice(BOX, "z") is journal.retry_notice("another", "x") is None


def test_a_pause_can_be_cut_short(journal: OutboxJournal) -> None:
    """A person can have what waits out a pause tried at once."""
    ended(journal, "x")
    claimed(journal)
    settled(journal, Verdict.LATER, "x", pause=60.0)
    assert claimed(journal) == []
    assert journal.retry_notice(BOX, "x") is PENDING
    assert outline(journal.claim(BOX, WORKER, 9)) == [("x", 1)]


def test_a_retry_takes_nothing_from_its_deliverer(journal: OutboxJournal) -> None:
    """What somebody is delivering stays his when a person asks to have it tried."""
    ended(journal, "x")
    claimed(journal)
    assert journal.retry_notice(BOX, "x") is PENDING
    assert claimed(journal, OTHER_WORKER) == []
    assert settled(journal, Verdict.DELIVERED, "x") == []


def test_what_was_not_tried_does_not_count(journal: OutboxJournal) -> None:
    """A released notice is free at once, for anybody, and its attempt is taken back."""
    ended(journal, "x")
    claimed(journal)
    assert settled(journal, Verdict.RELEASED, "x") == []
    assert (the(journal, "x").attempts, the(journal, "x").error) == (0, None)
    assert outline(journal.claim(BOX, OTHER_WORKER, 9)) == [("x", 1)]


def test_only_who_has_claimed_can_settle(journal: OutboxJournal) -> None:
    """Whatever another says of a notice changes nothing, and who would acknowledge it is told that it is not his."""
    ended(journal, "x", "y")
    claimed(journal, limit=1)
    before = journal.notices(None, None, None, 9)
    for verdict in Verdict:
        told = settled(journal, verdict, "x", "y", "unknown", worker=OTHER_WORKER)
        assert list(told) == (["x", "y", "unknown"] if verdict is Verdict.DELIVERED else [])
    assert settled(journal, Verdict.DELIVERED, "y") == ["y"]  # nobody has claimed it
    assert journal.notices(None, None, None, 9) == before


def test_many_are_settled_at_once(journal: OutboxJournal) -> None:
    """One call says what came of any number of notices, each for itself."""
    ended(journal, "a", "b", "c", "d", "e")
    claimed(journal)
    said = [
        Settlement("a", Verdict.DELIVERED),
        Settlement("b", Verdict.LATER, "one", 9.0),
        Settlement("c", Verdict.PARKED, "two"),
        Settlement("d", Verdict.RELEASED),
        Settlement("e", Verdict.EXHAUSTED, "three"),
    ]
    assert journal.settle(BOX, WORKER, said) == []
    assert states(journal) == {"a": DELIVERED, "b": PENDING, "c": PARKED, "d": PENDING, "e": PARKED}
    assert [the(journal, name).error for name in "abcde"] == [None, "one", "two", None, "three"]
    assert [the(journal, name).attempts for name in "abcde"] == [1, 1, 1, 0, 0]
    assert claimed(journal) == ["d"]


# -- reading, retention, removal -------------------------------------------------------------------------------------------


def test_notices_are_found_by_state_outbox_and_thread(journal: OutboxJournal) -> None:
    """Every filter that is given must match; the newest executions come first, and no more than asked for."""
    journal.open_outbox("audit")
    for name, thread in (("1", "t-1"), ("2", "t-2"), ("3", "t-1")):
        journal.append(life(name, COMPLETED, thread_id=thread))
    claimed(journal, limit=1)
    settled(journal, Verdict.DELIVERED, "1")

    def found(*asked: object, limit: int = 10) -> list[tuple[str, str]]:
        return [(one.notice_id, one.outbox) for one in journal.notices(*asked, limit)]  # type: ignore[arg-type]

    assert found(None, None, "t-1") == [("3", BOX), ("3", "audit"), ("1", BOX), ("1", "audit")]
    assert found(BOX, PENDING, None) == [("3", BOX), ("2", BOX)]
    assert found(None, DELIVERED, None) == [("1", BOX)]
    assert found("audit", None, None, limit=1) == [("3", "audit")]
    assert found("another", None, None) == []


def test_notices_go_with_their_executions(timed: OutboxStore, caplog: pytest.LogCaptureFixture) -> None:
    """What retention removes undelivered is counted for ever in its outbox, and said in the log as an error; the delivered goes silently."""
    journal = opened(timed, WORKER, limits=Limits(retained_executions=2))
    journal.open_outbox(BOX)
    ended(journal, "1", "2")
    claimed(journal, limit=1)
    settled(journal, Verdict.DELIVERED, "1")
    with caplog.at_level(logging.ERROR, "runstate"):
        for name in ("3", "4", "5"):
            ended(journal, name)
    for _ in range(10):  # PostgreSQL looks before an append, and not at each
        if len(journal.notices(None, None, None, 9)) <= 3:
            break
        ended(journal, "more")
    kept = list(states(journal))
    assert "1" not in kept
    assert journal.outboxes()[0].lost == 5 - 1 - len([name for name in kept if name.isdigit()])
    said = [record for record in caplog.records if "never delivered" in record.message]
    assert sum(int(record.args[0]) for record in said if isinstance(record.args, tuple)) == journal.outboxes()[0].lost
    journal.close()


def test_a_removed_outbox_is_gone(journal: OutboxJournal) -> None:
    """Removing an outbox says how many were not delivered, forgets its notices and no others, and ends make none any more."""
    journal.open_outbox("audit")
    ended(journal, "1", "2", "3")
    claimed(journal)
    settled(journal, Verdict.DELIVERED, "1")
    settled(journal, Verdict.PARKED, "2")
    assert journal.remove_outbox(BOX) == 2
    assert journal.remove_outbox(BOX) is None
    ended(journal, "4")
    assert {one.outbox for one in journal.notices(None, None, None, 9)} == {"audit"}
    assert len(journal.notices(None, None, None, 9)) == 4
    assert settled(journal, Verdict.DELIVERED, "3") == ["3"]
    journal.open_outbox(BOX)
    assert states(journal) == {}
