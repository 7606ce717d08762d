"""What the dashboard shows, as somebody sees it who has it open while things happen."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from runstate import Cause, ExecutionState, ExecutionTracker, FencedError, Phase
from runstate._burial import bury
from runstate._clock import SystemClock
from runstate.journal.sqlite import SqliteJournal

from ...calling import AT_ONCE, Agent
from ...clock import FakeClock
from ...journal.entries import created, moved, warned
from .conftest import Opener, Site, begin, cell, row, shows

AGAIN = """async () => {
    for (const { id } of [...runstate.executions.byId.values()]) {
        const log = await (await fetch(`api/executions/${id}/timeline`)).json();
        for (const entry of log.entries) runstate.executions.event(entry);
    }
    return [runstate.executions.judged, runstate.executions.byId.size];
}"""
"""Has the page told once more of everything that it has seen."""
STACK = 'File "agent.py", line 7, in answer\n    time.sleep(60)'


def test_an_execution_is_seen_from_its_beginning_to_its_end(
    tracker: ExecutionTracker, site: Site, look: Opener
) -> None:
    """Without a reload, a row appears with a new execution, follows its states and phases, and says at last why it ended."""
    page = look(site.url)
    expect(page.locator("#empty")).to_contain_text("No executions yet")
    run = tracker.create(agent="airline", thread_id="t-7", user_id="u-9", timeout=60.0)
    expect(cell(page, run, "state")).to_have_text("pending")
    running = run.start().run()
    running.phase(Phase.TOOL_EXECUTION, "book_reservation")
    expect(cell(page, run, "state")).to_have_text("running")
    expect(cell(page, run, "phase")).to_have_text("tool · book_reservation")
    for key, text in (("agent", "airline"), ("thread", "t-7"), ("user", "u-9")):
        expect(cell(page, run, key)).to_have_text(text)
    expect(page.locator("#empty")).to_be_hidden()
    running.fail("KeyError: 'seat'\nand more")
    expect(cell(page, run, "state")).to_have_text("failed")
    expect(cell(page, run, "why")).to_have_text("KeyError: 'seat' · reported")


def test_an_empty_journal_is_said_to_be(site: Site, look: Opener) -> None:
    """A page without executions says so, also when it has drawn other answers before that one."""
    page = look(site.url, held="**/api/executions?live=true*")
    expect(page.locator("#empty")).to_contain_text("No executions yet")


def test_what_was_there_before_is_there(tracker: ExecutionTracker, site: Site, look: Opener) -> None:
    """A page that is opened late shows what lives and what ended before, and counts each state."""
    live = begin(tracker)
    ended = begin(tracker, "t-2")
    ended.complete("done")
    tracker.flush()
    page = look(site.url)
    expect(cell(page, live, "state")).to_have_text("running")
    expect(cell(page, ended, "state")).to_have_text("completed")
    expect(page.locator("#live-count")).to_have_text("1")
    expect(page.locator("#ended-count")).to_have_text("1")
    expect(page.locator("#completion")).to_have_text("100 %")
    expect(page.locator("#reliability")).to_have_text("100 %")


def test_the_oldest_live_execution_is_always_in_sight(tracker: ExecutionTracker, site: Site, look: Opener) -> None:
    """However many came after it and whatever is filtered, the oldest live one is named, and opens by a click; the next one follows."""
    first = begin(tracker, agent="patient")
    second = begin(tracker, agent="second")
    for number in range(300):
        begin(tracker, f"t-{number}")
    tracker.flush()
    page = look(f"{site.url}#thread=t-299")
    shows(page, "1 of 302")
    expect(page.locator("#oldest-note")).to_contain_text("patient · running")
    page.locator("#oldest").click()
    expect(page.locator("#panel")).to_contain_text(first.execution_id)
    first.complete("at last")
    expect(page.locator("#oldest-note")).to_contain_text("second · running")
    page.keyboard.press("o")
    expect(page.locator("#panel")).to_contain_text(second.execution_id)


def test_a_timeline_has_every_entry_and_grows(tracker: ExecutionTracker, site: Site, look: Opener) -> None:
    """The open execution lists all its entries in order with their times, and what happens meanwhile is added, up to the result."""
    run = begin(tracker)
    run.phase(Phase.THINKING)
    tracker.flush()
    page = look(site.url)
    row(page, run).click()
    entries = page.locator("#panel .entry")
    expect(entries).to_have_count(4)
    run.phase(Phase.TOOL_EXECUTION, "look_up")
    expect(entries).to_have_count(5)
    expect(entries.nth(4)).to_contain_text("tool executionlook_up")
    run.complete({"answer": "LH 400"})
    expect(entries).to_have_count(6)
    expect(page.locator("#panel")).to_contain_text('"answer": "LH 400"')
    times = [
        float(time) for time in entries.locator("time").evaluate_all("all => all.map(one => Date.parse(one.dateTime))")
    ]
    wanted = [entry.at_ns // 1_000_000 for entry in tracker.timeline(run.execution_id)]
    assert [round(time) for time in times] == wanted


def test_an_attempt_names_its_message_and_leads_to_the_first(
    tracker: ExecutionTracker, site: Site, look: Opener
) -> None:
    """The panel of a retry says which message it answers and which attempt it is, and opens the first one, which says neither place."""
    Agent(tracker, "sync", ConnectionError("no line"), "answer", retry=AT_ONCE)(message_id="m-305")
    first, second = tracker.attempts(tracker.find()[0].execution_id)
    tracker.flush()
    page = look(f"{site.url}#open={second.execution_id}")
    facts = page.locator("#panel .facts").first
    expect(facts).to_contain_text("m-305")
    expect(facts).to_contain_text(f"2, goes on with …{first.execution_id[-8:]}")
    facts.get_by_role("button", name=first.execution_id[-8:]).click()
    expect(facts).to_contain_text(first.execution_id)
    expect(facts).not_to_contain_text("goes on with")
    expect(page.locator("#panel")).to_contain_text("ConnectionError: no line")


def test_a_long_timeline_is_shown_in_parts(tracker: ExecutionTracker, site: Site, look: Opener) -> None:
    """Of a log of a thousand entries the newest come first to the page, and the rest when it is asked for."""
    run = begin(tracker)
    for number in range(1_000):
        run.phase(Phase.TOOL_EXECUTION, f"tool-{number}")
    tracker.flush()
    page = look(f"{site.url}#open={run.execution_id}")
    expect(page.locator("#panel .entry")).to_have_count(500)
    page.get_by_role("button", name="Show the 503 earlier entries").click()
    expect(page.locator("#panel .entry")).to_have_count(1_003)


def test_a_warning_is_shown_with_its_stack(tmp_path: Path, look: Opener) -> None:
    """A warning stands in its place in the timeline, with the stack that was seen, and threatens in the table while its execution lives."""
    journal = SqliteJournal(tmp_path / "runs.db")
    pending, running, dead = ExecutionState.PENDING, ExecutionState.RUNNING, ExecutionState.DEAD
    journal.append([created("ended"), moved("ended", 2, pending, running), warned("ended", 3, detail=STACK)])
    journal.append([moved("ended", 4, running, dead, cause=Cause.LOOP_BLOCKED)])
    with ExecutionTracker(journal) as tracker, Site(tracker) as site:
        page = look(f"{site.url}#open=ended")
        warning = page.locator("#panel .entry.warned")
        expect(warning).to_contain_text("loop blocked")
        expect(warning.locator("pre")).to_have_text(STACK)
        journal.append([created("live"), moved("live", 2, pending, running), warned("live", 3, detail=STACK)])
        expect(page.locator("#grid .cell.warned")).to_have_text("warned: loop blocked")


def test_an_end_that_came_too_late_is_shown(tmp_path: Path, look: Opener) -> None:
    """What a fenced worker tried to record is shown beside the outcome, as refused; the worker is shown as fenced, and why."""
    path = tmp_path / "runs.db"
    journal = SqliteJournal(path)
    journal.join("other", 3_600.0)
    with ExecutionTracker(SqliteJournal(path), clock=FakeClock()) as zombie:
        run = begin(zombie)
        zombie.flush()
        name = zombie._decider.incarnation
        bury(journal, name, "other", Cause.LEASE_EXPIRED, "it stood still", SystemClock())
        try:
            run.complete("a late answer")
            zombie.flush()
        except FencedError:
            pass
        with ExecutionTracker(SqliteJournal(path), lease=3_600.0) as tracker, Site(tracker) as site:
            page = look(f"{site.url}#open={run.execution_id}")
            late = page.locator("#panel .callout")
            expect(late).to_contain_text("An end came too late")
            expect(late).to_contain_text("completed")
            expect(late).to_contain_text("a late answer")
            expect(page.locator("#panel .panel-head")).to_contain_text("dead")
            page.keyboard.press("w")
            expect(page.locator("#workers tr.ended")).to_contain_text("lease expired · it stood still")
            expect(page.locator("#workers tbody tr").filter(has_text="alive")).not_to_have_count(0)
    journal.close()


def test_cancelling_asks_first_and_takes_a_reason(tracker: ExecutionTracker, site: Site, look: Opener) -> None:
    """Nothing happens until it is confirmed; then the tracker has the request with its reason, and the row ends as cancelled."""
    run = begin(tracker)
    tracker.flush()
    page = look(site.url)
    row(page, run).click()
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Keep it running").click()
    expect(page.locator("#cancel")).to_be_hidden()
    assert tracker.get(run.execution_id).state is ExecutionState.RUNNING
    page.keyboard.press("c")
    page.get_by_label("Reason").fill("asked again")
    page.get_by_role("button", name="Cancel the execution").click()
    expect(cell(page, run, "state")).to_have_text("cancelled")
    expect(page.locator("#panel")).to_contain_text("asked again")
    record = tracker.get(run.execution_id)
    assert (record.state, record.cause) == (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER)


def test_time_to_verdict_is_that_of_the_deaths(tmp_path: Path, look: Opener) -> None:
    """The median is of the seconds from the last sign of life to DEAD, and each death counts once."""
    clock = FakeClock()
    with (
        ExecutionTracker(SqliteJournal(tmp_path / "runs.db"), clock=clock, lease=86_400.0) as tracker,
        Site(tracker) as site,
    ):
        for silence in (2.0, 3.0, 9.0):
            run = begin(tracker)
            clock.advance(silence)
            tracker.update_execution_state(run.execution_id, ExecutionState.DEAD, error="gone")
        tracker.flush()
        page = look(site.url)
        expect(page.locator("#verdict")).to_have_text("3.0 s")
        expect(page.locator("#verdict-note")).to_contain_text("of 3")
        assert page.evaluate(AGAIN) == [3, 3]
