"""A real Chromium that looks at a real server. Both are this machine's; where there is no Chromium these tests fail and say so.

Every page that a test opens is watched: an error in its console, a script that failed, or a request to anywhere else fails the test.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, Self

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

import runstate
from runstate import Execution, ExecutionTracker
from runstate.web import WebServer, app

PATIENCE: Final = 60.0
"""Seconds after which a test gives up; none passes or fails by how long something took."""
CHROMIUM: Final = ("chromium", "chromium-browser", "google-chrome-stable")
SWITCHES: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
REFUSALS: Final = re.compile(r"Failed to load resource")
"""What Chromium itself writes into the console about a request that was refused, or could not be sent."""

expect.set_options(timeout=PATIENCE * 1_000)


class Site:
    """The app on a server in a thread, on the same port each time that it is started.

    Args:
        tracker: Whose executions.
        more: Arguments of `runstate.web.app`.
    """

    def __init__(self, tracker: ExecutionTracker, **more: Any) -> None:
        self.port = 0
        self.start(tracker, **more)

    def start(self, tracker: ExecutionTracker, **more: Any) -> None:
        """Serve a tracker, perhaps another one than before."""
        self._server = WebServer(app(tracker, **more), port=self.port)
        self.port = self._server.port
        self.url = self._server.url
        self._thread = threading.Thread(target=self._server.run, name="server")
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait until nothing listens any more."""
        self._server.should_exit = True
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self._server.listening.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def chromium() -> str:
    """Where this machine's Chromium is; fails where there is none."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.fail("the dashboard is tested in Chromium, and there is none: apt-get install chromium")
    return path


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """This machine's Chromium."""
    path = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*SWITCHES])
        yield browser
        browser.close()


Opener = Callable[..., Page]


@pytest.fixture
def look(browser: Browser) -> Iterator[Opener]:
    """Open an address in a new window, with what Playwright can set of a window; fails the test if the page did what it must not."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def look(url: str, *, held: str | None = None, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        context.set_default_timeout(PATIENCE * 1_000)
        contexts.append(context)
        page = context.new_page()
        here = re.match(r"https?://[^/]+/", url)
        assert here is not None
        page.on("pageerror", lambda error: wrong.append(f"script failed: {error}"))
        page.on("console", lambda said: wrong.append(f"console: {said.text}") if _is_wrong(said) else None)
        page.on("request", lambda asked: None if asked.url.startswith(here[0]) else wrong.append(f"asked {asked.url}"))
        if held is not None:  # for long enough that all else has been answered and drawn
            page.route(held, lambda route: (page.wait_for_timeout(500), route.continue_()))
        page.goto(url)
        return page

    yield look
    for context in contexts:
        context.close()
    assert wrong == []


def _is_wrong(said: Any) -> bool:
    return said.type in {"error", "warning"} and not REFUSALS.search(said.text)


@pytest.fixture
def tracker() -> Iterator[ExecutionTracker]:
    """A tracker in memory, on this machine's clock."""
    with runstate.open("memory:") as tracker:
        yield tracker


@pytest.fixture
def site(tracker: ExecutionTracker) -> Iterator[Site]:
    """That tracker, served to this machine."""
    with Site(tracker) as site:
        yield site


def begin(
    tracker: ExecutionTracker, thread_id: str = "t-1", user_id: str = "u-1", agent: str = "airline"
) -> Execution[Any]:
    """An execution that runs."""
    return tracker.create(agent=agent, thread_id=thread_id, user_id=user_id, timeout=3_600.0).start().run()


def row(page: Page, run: Execution[Any]) -> Locator:
    """The row of an execution, if it can be seen."""
    return page.locator("#grid .row:not([hidden])").filter(has=page.locator(f'[title="{run.execution_id}"]'))


def cell(page: Page, run: Execution[Any], key: str) -> Locator:
    """One cell of that row."""
    return row(page, run).locator(f'[data-key="{key}"]')


def shows(page: Page, text: str) -> None:
    """Wait until the page says how many rows there are."""
    expect(page.locator("#shown")).to_have_text(text)
