"""Makes the pictures that docs/dashboard.md shows: `python -m tests.web.dashboard.pictures docs/images`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from .conftest import SWITCHES, Site, chromium
from .scenes import busy_fleet

SIZE = {"width": 1280, "height": 760}


def main(directory: Path) -> None:
    """Make them."""
    directory.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as place,
        busy_fleet(Path(place) / "runs.db") as tracker,
        Site(tracker) as site,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium(), args=[*SWITCHES])

        def look(scheme: str, fragment: str = "") -> Page:
            page = browser.new_page(viewport=SIZE, color_scheme=scheme)
            page.goto(f"{site.url}#{fragment}")
            expect(page.locator("#link-text")).to_have_text("Live")
            expect(page.locator("#completion-note")).to_contain_text("aim")
            expect(page.locator("#grid .row[data-place='9'] .state").first).to_be_visible()
            return page

        look("light", "live=true&sort=-age").screenshot(path=directory / "dashboard-light.png")
        page = look("dark", "state=failed,timeout,dead")
        page.locator("#grid .row .is-dead").first.click()
        expect(page.locator("#panel .entry.warned")).to_be_visible()
        page.screenshot(path=directory / "dashboard-dark.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
