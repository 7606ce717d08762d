"""Ten thousand rows, and finding one among them."""

from __future__ import annotations

import random
from typing import Any

from playwright.sync_api import Page, expect

from runstate import Execution, ExecutionTracker, Phase

from .conftest import Opener, Site, begin, cell, row, shows

MANY = 10_000
FRAMES = """() => {
    window.frames = [];
    let last = performance.now();
    const tick = (at) => { window.frames.push(at - last); last = at; requestAnimationFrame(tick); };
    requestAnimationFrame(tick);
}"""
IN_DOCUMENT = "document.querySelectorAll('#grid .space .row').length"
READ_ALL = """async (step) => {
    const grid = document.querySelector('#grid');
    const seen = new Set();
    const paint = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    for (let top = 0; top < grid.scrollHeight; top += step) {
        grid.scrollTop = top;
        await paint();
        for (const cell of grid.querySelectorAll('.space .row:not([hidden]) [data-key="id"]')) seen.add(cell.title);
    }
    grid.scrollTop = 0;
    return [...seen];
}"""


def crowd(tracker: ExecutionTracker, number: int) -> list[Execution[Any]]:
    """So many live executions."""
    runs = [begin(tracker, f"t-{one}", f"u-{one % 97}", f"agent-{one % 5}") for one in range(number)]
    tracker.flush()
    return runs


def frames(page: Page) -> str:
    """What the frames that were measured say."""
    times = sorted(page.evaluate("window.frames.splice(0)")[1:])
    over = sum(one > 34 for one in times)
    at = [times[int(part * (len(times) - 1))] for part in (0.5, 0.95, 0.99, 1)]
    return f"{len(times)} frames; ms p50 {at[0]:.1f}, p95 {at[1]:.1f}, p99 {at[2]:.1f}, longest {at[3]:.1f}; {over} over 34 ms"


def test_ten_thousand_live_rows(tracker: ExecutionTracker, site: Site, look: Opener) -> None:
    """With 10,000 live executions and updates coming in, the document holds only the rows in sight, and every row can be scrolled to."""
    runs = crowd(tracker, MANY)
    choose = random.Random(1)
    page = look(site.url)
    shows(page, "10,000 of 10,000")
    most = page.evaluate(IN_DOCUMENT)
    assert 10 < most < 80
    assert set(page.evaluate(READ_ALL, 600)) == {run.execution_id for run in runs}
    page.evaluate(FRAMES)
    for wheel in (0, 0, 400, 400, -3_000, 90_000, -90_000, 0):
        page.mouse.move(600, 600)
        page.mouse.wheel(0, wheel)
        for _ in range(4):
            for run in choose.sample(runs, 100):
                tracker.handle(run.execution_id).phase(Phase.TOOL_EXECUTION, f"tool-{choose.randrange(20)}")
            tracker.flush()
            page.evaluate("new Promise(requestAnimationFrame)")
        most = max(most, page.evaluate(IN_DOCUMENT))
    print(f"\n10,000 live rows, 3,200 updates, scrolling: {frames(page)}")
    assert most < 80
    last = runs[-1]
    last.complete("done")
    shows(page, "10,000 of 10,000")
    expect(page.locator("#live-count")).to_have_text("9,999")
    page.locator("#grid").evaluate("grid => { grid.scrollTop = 0; }")
    expect(cell(page, last, "state")).to_have_text("completed")


def test_every_update_arrives(tracker: ExecutionTracker, site: Site, look: Opener) -> None:
    """After a storm of moves and phases the page knows of each execution exactly what the tracker knows."""
    runs = crowd(tracker, 500)
    page = look(site.url)
    shows(page, "500 of 500")
    choose = random.Random(2)
    for _ in range(4_000):
        run = choose.choice(runs)
        if choose.random() < 0.02 and not tracker.get(run.execution_id).is_terminal:
            run.fail("broken")
        elif not tracker.get(run.execution_id).is_terminal:
            tracker.handle(run.execution_id).phase(choose.choice(list(Phase)), choose.choice(["a", "b"]))
    tracker.flush()
    known = "() => Object.fromEntries([...runstate.executions.byId].map(([id, row]) => [id, [row.seq, row.state, row.phase]]))"
    wanted = {
        record.execution_id: [record.seq, record.state.value, record.phase and record.phase.value]
        for record in tracker.find(limit=1_000)
    }
    page.wait_for_function("last => [...runstate.executions.byId.values()].reduce((all, row) => all + row.seq, 0) === last",
                           arg=sum(seq for seq, *_ in wanted.values()))  # fmt: skip
    assert page.evaluate(known) == wanted


def test_filters_and_the_address(tracker: ExecutionTracker, site: Site, look: Opener) -> None:
    """Each filter leaves exactly its rows, all can be combined, the address keeps them over a reload, and one button takes them away."""
    runs = crowd(tracker, 20)
    runs[3].fail("ValueError: a rare word")
    runs[4].complete("done")
    page = look(site.url)
    shows(page, "20 of 20")
    page.get_by_label("Live only").check()
    shows(page, "18 of 20")
    page.get_by_label("Live only").uncheck()
    page.locator(".chip", has_text="failed").click()
    shows(page, "1 of 20")
    expect(cell(page, runs[3], "state")).to_have_text("failed")
    page.locator(".chip", has_text="completed").click()
    shows(page, "2 of 20")
    page.reload()
    shows(page, "2 of 20")
    page.get_by_role("button", name="Clear filters").click()
    page.locator("#filter-agent").select_option("agent-2")
    shows(page, "4 of 20")
    page.get_by_placeholder("User").fill("U-7")
    shows(page, "1 of 20")
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_placeholder("Thread").fill("t-1")
    shows(page, "11 of 20")
    page.get_by_role("button", name="Clear filters").click()
    page.locator("#filter-text").fill("rare WORD")
    shows(page, "1 of 20")
    page.locator("#filter-text").fill("nowhere to be found")
    expect(page.locator("#empty")).to_contain_text("Nothing matches these filters")
    page.locator("#empty").get_by_role("button", name="Clear filters").click()
    shows(page, "20 of 20")


def test_older_executions_are_found(tracker: ExecutionTracker, site: Site, look: Opener) -> None:
    """An execution that ended before all that the page has read is found by its thread, by its user and by its id."""
    old = begin(tracker, "T-Old", "U-Old")
    old.complete("long ago")
    for run in crowd(tracker, 600):
        run.complete("done")
    tracker.flush()
    for field, said in (("Thread", "T-Old"), ("User", "U-Old"), ("Filter by any text", old.execution_id)):
        page = look(site.url)
        shows(page, "500 of 500")
        page.get_by_placeholder(field).fill(said)
        shows(page, "1 of 501")
        expect(cell(page, old, "state")).to_have_text("completed")
        page.reload()
        shows(page, "1 of 501")


def test_rows_can_be_put_in_order(tracker: ExecutionTracker, site: Site, look: Opener) -> None:
    """The newest stand first; a click on a column's head orders by it, another one turns that round, and screen readers are told."""
    runs = [begin(tracker, f"t-{number}") for number in (2, 3, 1)]
    tracker.flush()
    page = look(site.url)
    shows(page, "3 of 3")
    threads = page.locator('#grid .space .row:not([hidden]) [data-key="thread"]')
    sight = "all => all.sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top).map(one => one.textContent)"
    assert threads.evaluate_all(sight) == ["t-1", "t-3", "t-2"]
    head = page.locator('#grid .head [data-key="thread"]')
    for order, wanted in (("ascending", ["t-1", "t-2", "t-3"]), ("descending", ["t-3", "t-2", "t-1"])):
        head.get_by_role("button").click()
        expect(head).to_have_attribute("aria-sort", order)
        page.wait_for_function("rows => runstate.grid.rows.map(row => row.thread).join() === rows.join()", arg=wanted)
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert threads.evaluate_all(sight) == wanted
    page.reload()
    expect(head).to_have_attribute("aria-sort", "descending")
    assert len(runs) == 3


def test_a_row_that_is_read_stays_where_it_is(tracker: ExecutionTracker, site: Site, look: Opener) -> None:
    """When new executions come in above, the row that one has scrolled to does not move on the screen."""
    runs = crowd(tracker, 300)
    page = look(site.url)
    shows(page, "300 of 300")
    page.locator("#grid").evaluate("grid => { grid.scrollTop = 3000; }")
    watched = row(page, runs[190])
    before = watched.bounding_box()
    crowd(tracker, 50)
    shows(page, "350 of 350")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert watched.bounding_box() == before
