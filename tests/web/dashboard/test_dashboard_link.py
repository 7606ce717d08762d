"""How the page keeps in touch, what it says when it cannot, and who it lets in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Page, expect
from starlette.requests import HTTPConnection

import runstate
from runstate import ExecutionRecord, ExecutionTracker, JournalUnavailableError, Phase
from runstate.journal import Page as Entries
from runstate.journal.memory import MemoryJournal
from runstate.web import Principal

from .conftest import Opener, Site, begin, cell, row, shows

TOKEN = "a-token-of-some-length"


class AwayJournal(MemoryJournal):
    """A journal in memory that cannot be read while it is away."""

    is_away = False

    def read(self, *args: Any, **more: Any) -> Entries:
        self._check()
        return super().read(*args, **more)

    def executions(self, *args: Any, **more: Any) -> Sequence[ExecutionRecord]:
        self._check()
        return super().executions(*args, **more)

    def _check(self) -> None:
        if self.is_away:
            raise JournalUnavailableError("the disk is away")


def says(page: Page, state: str) -> None:
    """Wait until the page says so of its connection."""
    expect(page.locator("#link-text")).to_have_text(state)


def test_it_reconnects_and_misses_nothing(tracker: ExecutionTracker, site: Site, look: Opener) -> None:
    """With the server gone the page says so and keeps what it has; when it is back, what happened meanwhile is there, once, without a reload."""
    run = begin(tracker)
    tracker.flush()
    page = look(f"{site.url}#open={run.execution_id}")
    says(page, "Live")
    page.evaluate("window.same = true")
    for again in range(3):
        site.stop()
        says(page, "Disconnected")
        expect(page.locator("#banner")).to_contain_text("What is shown is the last that was known. Trying again")
        expect(cell(page, run, "state")).to_have_text("running")
        run.phase(Phase.TOOL_EXECUTION, f"tool-{again}")
        other = begin(tracker, f"t-{again}")
        tracker.flush()
        site.start(tracker)
        says(page, "Live")
        expect(page.locator("#banner")).to_be_hidden()
        expect(cell(page, run, "phase")).to_have_text(f"tool · tool-{again}")
        expect(row(page, other)).to_have_count(1)
        expect(page.locator("#panel .entry")).to_have_count(4 + again)
    shows(page, "4 of 4")
    assert page.evaluate("window.same")


def test_it_comes_back_by_itself(tracker: ExecutionTracker, site: Site, look: Opener) -> None:
    """Nobody has to do anything for the page to be live again when the server is."""
    page = look(site.url)
    says(page, "Live")
    site.stop()
    says(page, "Disconnected")
    site.start(tracker)
    says(page, "Live")


def test_another_journal_is_looked_at_anew(tracker: ExecutionTracker, site: Site, look: Opener) -> None:
    """If the journal does not hold what comes next, the page reads the present state again and shows nothing of the old one."""
    for number in range(5):
        begin(tracker, f"old-{number}")
    tracker.flush()
    page = look(site.url)
    shows(page, "5 of 5")
    with runstate.open("memory:") as other:
        new = begin(other, "new")
        other.flush()
        site.stop()
        site.start(other)
        shows(page, "1 of 1")
        says(page, "Live")
        new.complete("done")
        expect(cell(page, new, "state")).to_have_text("completed")
        site.stop()
        site.start(tracker)


def test_a_journal_that_is_away(look: Opener) -> None:
    """When the journal cannot be read the page says that and nothing else, before it has read anything and after; then it goes on."""
    journal = AwayJournal()
    with ExecutionTracker(journal) as tracker, Site(tracker) as site:
        journal.is_away = True
        page = look(site.url)
        says(page, "Journal away")
        expect(page.locator("#banner")).to_contain_text("The journal cannot be read.")
        expect(page.locator("#live-count")).to_have_text("–")
        journal.is_away = False
        says(page, "Live")
        run = begin(tracker)
        expect(cell(page, run, "state")).to_have_text("running")
        journal.is_away = True
        run.phase(Phase.THINKING)
        says(page, "Journal away")
        expect(page.locator("#banner")).to_contain_text("What happens meanwhile comes later.")
        expect(cell(page, run, "state")).to_have_text("running")
        journal.is_away = False
        says(page, "Live")
        expect(cell(page, run, "phase")).to_have_text("thinking")


def test_who_is_not_allowed_is_told_so(tracker: ExecutionTracker, site: Site, look: Opener) -> None:
    """A refusal is no disconnection: the page says that it is not allowed, and why, in the server's words."""
    page = look(site.url)
    says(page, "Live")
    page.context.set_extra_http_headers({"X-Forwarded-For": "192.0.2.1"})
    site.stop()
    site.start(tracker)
    says(page, "Not allowed")
    expect(page.locator("#banner")).to_contain_text("The request was passed on (x-forwarded-for)")
    page.context.set_extra_http_headers({})
    page.get_by_role("button", name="Try now").click()
    says(page, "Live")


def test_a_token_is_asked_for_once(tracker: ExecutionTracker, look: Opener) -> None:
    """A wrong token is told so, the right one lets in, no script can read what stands for it, and it is good until one signs out."""
    run = begin(tracker)
    tracker.flush()
    with Site(tracker, token=TOKEN) as site:
        page = look(site.url)
        says(page, "Token needed")
        assert page.content().count(run.execution_id) == 0
        page.keyboard.press("Escape")
        page.locator("#token").fill("not-the-token-at-all")
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("#sign-in-error")).to_contain_text("The token is wrong")
        page.locator("#token").fill(TOKEN)
        page.keyboard.press("Enter")
        says(page, "Live")
        expect(page.locator("#sign-in")).to_be_hidden()
        expect(cell(page, run, "state")).to_have_text("running")
        assert (
            page.evaluate("document.cookie + JSON.stringify({...localStorage, ...sessionStorage}) + location").count(
                TOKEN
            )
            == 0
        )
        assert page.evaluate("document.cookie") == ""
        page.reload()
        says(page, "Live")
        page.get_by_role("button", name="Sign out").click()
        says(page, "Token needed")


def test_the_hosts_own_refusal(tracker: ExecutionTracker, look: Opener) -> None:
    """Where the host application decides who comes in, its refusal sends nobody to a token that there is not."""
    whose: list[Principal | None] = [Principal(None)]

    def authorize(_: HTTPConnection) -> Principal | None:
        return whose[0]

    with Site(tracker, authorize=authorize) as site:
        page = look(site.url)
        says(page, "Live")
        whose[0] = None
        site.stop()
        site.start(tracker, authorize=authorize)
        says(page, "Token needed")
        expect(page.locator("#banner")).to_contain_text("You are not signed in.")
        expect(page.locator("#sign-in")).to_be_hidden()
        whose[0] = Principal(None)
        page.get_by_role("button", name="Try now").click()
        says(page, "Live")


def test_a_user_sees_the_own_executions_only(tracker: ExecutionTracker, look: Opener) -> None:
    """Signed in as a user of the host application, the page shows that user's executions, counts them alone, and no workers."""
    own, foreign = begin(tracker, user_id="ann"), begin(tracker, user_id="bob", agent="secret-agent")
    tracker.flush()
    with Site(tracker, authorize=lambda _: Principal("ann")) as site:
        page = look(site.url)
        shows(page, "1 of 1")
        expect(cell(page, own, "state")).to_have_text("running")
        foreign.phase(Phase.TOOL_EXECUTION, "secret-tool")
        foreign.complete("secret")
        own.complete("done")
        expect(cell(page, own, "state")).to_have_text("completed")
        expect(page.locator("#ended-count")).to_have_text("1")
        page.keyboard.press("w")
        expect(page.locator("#workers")).to_contain_text("No workers to show")
        page.goto(f"{site.url}#open={foreign.execution_id}")
        page.reload()
        expect(page.locator("#panel")).to_contain_text("There is no execution with this id")
        assert "secret" not in page.content()


@contextmanager
def mounted(tracker: ExecutionTracker, under: str) -> Iterator[str]:
    """The app as a part of a larger one."""
    import threading

    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from runstate.web import app

    part = app(tracker)
    server = uvicorn.Server(
        uvicorn.Config(
            Starlette(routes=[Mount(under, part)]),
            port=0,
            log_level="warning",
            timeout_graceful_shutdown=1,
            lifespan="off",
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        (listening,) = [one for open_ in server.servers for one in open_.sockets]
        yield f"http://127.0.0.1:{listening.getsockname()[1]}{under}/"
    finally:
        server.should_exit = True
        thread.join()


def test_it_works_below_another_application(tracker: ExecutionTracker, look: Opener) -> None:
    """Mounted below a path of a host application, the page finds its files, its questions and its stream."""
    run = begin(tracker)
    tracker.flush()
    with mounted(tracker, "/ops/runs") as url:
        page = look(url)
        expect(cell(page, run, "state")).to_have_text("running")
        run.complete("done")
        expect(cell(page, run, "state")).to_have_text("completed")
        page.close()
