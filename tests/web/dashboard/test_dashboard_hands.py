"""The page in people's hands: the keyboard, screen readers, colours, and whatever texts agents and users bring."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from runstate import ExecutionTracker, Phase

from .conftest import Opener, Site, begin, cell, row, shows

HOSTILE = {
    "a script": "<script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'>",
    "quotes": "\"'`>&lt;b&gt;${window.hurt = 1}{{hurt}}</title></textarea>",
    "right to left": "abc \u202e\u2067 gpj.exe \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "very long": "long-" * 200,
    "marks and emptiness": "Z\u0300\u0301\u0302\u0303\u0304\u0305" * 30 + "\u200b\u2028\t\n x",
}
_MINUTE = re.compile(r"^Completion by the minute: \d\d:\d\d: (1 of 1|nothing ended)$")
BLACK_AND_WHITE = "getComputedStyle(document.body).backgroundColor"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_text_is_ever_markup(tracker: ExecutionTracker, site: Site, look: Opener, text: str) -> None:
    """Whatever stands in a name, a phase, an error, a reason, metadata or a result is shown as that text, and moves nothing else."""
    name = text[:900]
    whose: dict[str, Any] = {"agent": name, "thread_id": name, "user_id": name}
    live = tracker.create(**whose, timeout=60.0, metadata={text: text})
    live.start().run().phase(Phase.TOOL_EXECUTION, name)
    failed = tracker.create(**whose).start().run()
    failed.fail(text)
    done = tracker.create(**whose).start().run()
    done.complete({text: text})
    cancelled = tracker.create(**whose).start().run()
    cancelled.cancel(text)
    tracker.flush()
    page = look(site.url)
    shows(page, "4 of 4")
    before = page.evaluate(
        "[document.scripts.length, document.images.length, document.querySelectorAll('*').length > 0]"
    )
    for key in ("agent", "thread", "user"):
        assert cell(page, live, key).locator("bdi").text_content() == name
    assert name in (cell(page, live, "phase").text_content() or "")
    for run in (live, failed, done, cancelled):
        row(page, run).click()
        expect(page.locator("#panel code").first).to_have_text(run.execution_id)
        assert name in (page.locator("#panel").text_content() or "")
        page.locator("#panel").evaluate("panel => { panel.scrollTop = panel.scrollHeight; }")
    page.locator("#filter-agent").select_option(index=1)
    page.locator("#filter-text").fill(name[:20])
    row(page, live).click()
    page.keyboard.press("c")
    assert page.evaluate("[document.scripts.length, document.images.length, true]") == before
    assert page.evaluate("window.hurt") is None
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    heights = page.locator("#grid .space .row:not([hidden])").evaluate_all("rows => rows.map(row => row.offsetHeight)")
    assert set(heights) <= {30}


def test_nothing_can_be_run_or_written_as_markup(site: Site, browser: Browser) -> None:
    """Were the page's own code wrong one day: the browser refuses to write markup from a text, and to run a text as a script."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(site.url)
        for attempt in (
            "document.body.innerHTML = '<b>x</b>'",
            "document.body.setAttribute('onclick', 'window.hurt = 1')",
            "document.body.append(Object.assign(document.createElement('script'), { text: 'window.hurt = 1' }))",
            "document.write('<b>x</b>')",
            "setTimeout('window.hurt = 1')",
        ):
            refusal = page.evaluate(
                f"() => {{ try {{ {attempt}; }} catch (error) {{ return error.name; }} return 'done'; }}"
            )
            assert refusal in {"TypeError", "EvalError"}, attempt
        assert page.evaluate("window.hurt") is None


def test_files_and_nothing_else(site: Site) -> None:
    """The page's files come with their types and a policy without inline code; no address leads out of their directory."""
    with httpx.Client(base_url=site.url) as client:
        answer = client.get("/")
        policy = answer.headers["content-security-policy"]
        assert answer.status_code == 200
        assert "unsafe" not in policy
        assert "require-trusted-types-for 'script'" in policy
        for name, kind in (("app.js", "text/javascript"), ("style.css", "text/css"), ("icon.svg", "image/svg+xml")):
            assert client.get(f"/static/{name}").headers["content-type"].startswith(kind)
        for name in ("../_app.py", "..%2f_app.py", "%2e%2e/_app.py", "/etc/passwd", "nothing.js", "", "app.js%00"):
            assert client.get(f"/static/{name}").status_code == 404, name
        page = answer.text
        assert " style=" not in page
        assert "onclick" not in page
        assert page.count("<script") == page.count('<script type="module" src="static/app.js"></script>') == 1


def test_the_keyboard_is_enough(tracker: ExecutionTracker, site: Site, look: Opener) -> None:
    """Without a pointer: find, walk, open, close, cancel and look up the keys; and a key in a field is a letter."""
    runs = [begin(tracker, f"t-{number}") for number in range(40)]
    tracker.flush()
    page = look(site.url)
    shows(page, "40 of 40")
    chosen = page.locator("#grid .row[aria-selected=true]:not([hidden])")
    for key, number in (("j", 39), ("j", 38), ("ArrowDown", 37), ("k", 38), ("ArrowUp", 39), ("End", 0), ("Home", 39)):
        page.keyboard.press(key)
        expect(chosen.locator('[data-key="thread"]')).to_have_text(f"t-{number}")
        assert page.evaluate(
            "document.querySelector('#grid').getAttribute('aria-activedescendant')"
        ) == chosen.get_attribute("id")
    page.keyboard.press("PageDown")
    expect(chosen.locator('[data-key="thread"]')).not_to_have_text("t-39")
    page.keyboard.press("Enter")
    expect(page.locator("#panel .entry")).to_have_count(3)
    page.keyboard.press("Home")
    expect(page.locator("#panel code").first).to_have_text(runs[39].execution_id)
    page.keyboard.press("c")
    expect(page.locator("#cancel-reason")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#cancel")).to_be_hidden()
    expect(page.locator("#panel")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("w")
    expect(page.locator("#workers")).to_be_visible()
    page.keyboard.press("/")
    expect(page.locator("#filter-text")).to_be_focused()
    page.keyboard.type("t-1jkw?")
    expect(page.locator("#filter-text")).to_have_value("t-1jkw?")
    shows(page, "0 of 40")
    page.locator("#filter-text").fill("t-17")
    shows(page, "1 of 40")
    page.keyboard.press("ArrowDown")
    expect(chosen.locator('[data-key="thread"]')).to_have_text("t-17")
    page.keyboard.press("l")
    expect(page.get_by_label("Live only")).to_be_checked()


def test_screen_readers_are_told_all(tracker: ExecutionTracker, site: Site, look: Opener) -> None:
    """The table says how long it is though few rows are in the document, each row which one it is, and a chart what it shows."""
    for number in range(200):
        begin(tracker, f"t-{number}")
    begin(tracker).complete("done")
    tracker.flush()
    page = look(site.url)
    shows(page, "201 of 201")
    grid = page.get_by_role("grid", name="Executions")
    expect(grid).to_have_attribute("aria-rowcount", "202")
    expect(grid).to_have_attribute("aria-colcount", "9")
    page.keyboard.press("End")
    chosen = page.locator("#grid .row[aria-selected=true]")
    expect(chosen).to_have_attribute("aria-rowindex", "202")
    expect(page.get_by_role("img", name="Completion by the minute: 1 of 1, aim 95 %")).to_be_visible()
    page.get_by_role("img", name="Completion by the minute").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("img", name="Completion by the minute")).to_have_attribute("aria-label", _MINUTE)
    expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_bars_the_way(tracker: ExecutionTracker, site: Site, look: Opener, scheme: str) -> None:
    """Axe finds no violation (names, roles, contrast, order) in any view, in light and in dark."""
    run = begin(tracker)
    run.phase(Phase.TOOL_EXECUTION, "look_up")
    for end in ("complete", "fail", "time_out", "cancel"):
        other = begin(tracker)
        getattr(other, end)(*(["why"] if end != "time_out" else []))
    tracker.flush()
    page = look(site.url, color_scheme=scheme)
    shows(page, "5 of 5")
    found = {"table": _violations(page)}
    row(page, run).click()
    expect(page.locator("#panel .entry")).to_have_count(4)
    found["panel"] = _violations(page)
    page.keyboard.press("c")
    found["cancel"] = _violations(page)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    found["keys"] = _violations(page)
    page.keyboard.press("Escape")
    page.keyboard.press("w")
    expect(page.locator("#workers")).to_be_visible()
    found["workers"] = _violations(page)
    site.stop()
    expect(page.locator("#link-text")).to_have_text("Disconnected")
    found["disconnected"] = _violations(page)
    site.start(tracker)
    assert {view: wrong for view, wrong in found.items() if wrong} == {}


def _violations(page: Page) -> list[str]:
    answer = Axe().run(page).response
    return [f"{one['id']}: {[node['target'] for node in one['nodes']]}" for one in answer["violations"]]


def test_dark_and_light(site: Site, look: Opener) -> None:
    """The page follows the system, changes with it, and the switch goes before it and is remembered."""
    page = look(site.url, color_scheme="dark")
    dark = page.evaluate(BLACK_AND_WHITE)
    page.emulate_media(color_scheme="light")
    light = page.evaluate(BLACK_AND_WHITE)
    assert dark != light
    page.keyboard.press("t")
    page.keyboard.press("t")
    expect(page.locator("#theme")).to_have_text("Colours: dark")
    assert page.evaluate(BLACK_AND_WHITE) == dark
    page.reload()
    expect(page.locator("#theme")).to_have_text("Colours: dark")
    assert page.evaluate(BLACK_AND_WHITE) == dark


def test_who_wants_no_motion_gets_none(tracker: ExecutionTracker, site: Site, look: Opener) -> None:
    """With reduced motion asked for nothing on the page is animated, not even while it is disconnected."""
    page = look(site.url, reduced_motion="reduce")
    expect(page.locator("#link-text")).to_have_text("Live")
    site.stop()
    expect(page.locator("#link-text")).to_have_text("Disconnected")
    assert page.evaluate("document.getAnimations().length") == 0
    site.start(tracker)
