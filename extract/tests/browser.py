"""Debian's Chromium for the tests of pages: it must see no error and ask for nothing.

Screenshots go to the folder that VERBATIM_SCREENSHOTS names, else to build/screenshots.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from extract.tests.samples import ROOT

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENSHOTS = Path(os.environ.get("VERBATIM_SCREENSHOTS") or ROOT / "build" / "screenshots")
WIDE: Any = {"width": 1440, "height": 900}
NARROW: Any = {"width": 375, "height": 760}
HOSTILE = {
    "script": "<script>window.hit = 1</script>",
    "image": "<img src=x onerror='window.hit = 1'>",
    "ends": "</script><script>window.hit = 1</script> & </textarea>",
    "link": "javascript:window.hit=1",
    "turned": "good \u202edab\u202c \u2066isolated\u2069",
    "long": "a" * 10_000,
}


@contextmanager
def launch_browser() -> Iterator[Browser]:
    """Chromium; where it is missing the test is skipped with the way to get it."""
    if not CHROMIUM.exists():
        pytest.skip(f"needs Chromium at {CHROMIUM}: apt-get update && apt-get install -y chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def open_page(browser: Browser) -> Iterator[Page]:
    """A page that must end without an error in its console and without having asked for anything."""
    page = browser.new_page(viewport=WIDE)
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type != "log" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: troubles.append(request.url) if not request.url.startswith("file:") else None)
    page.on("requestfailed", lambda request: troubles.append(request.url))
    yield page
    assert troubles == []
    page.close()


def open_view(page: Page, report: Path, address: str = "") -> None:
    """Open the file at an address of its own, and wait until it is drawn."""
    page.goto("about:blank")
    page.goto(f"{report.as_uri()}{address}")
    page.wait_for_function("document.documentElement.dataset.ready")


def switch_view(page: Page, address: str) -> None:
    """Go to another view of the page that is open."""
    page.evaluate("address => { location.hash = address; }", address)
    view = "#view-" + address.strip("#").split("/")[0]
    expect(page.locator(f"{view}:not([hidden])")).to_have_count(1)


def find_violations(page: Page) -> list[str]:
    """What axe-core finds wrong on the page as it is."""
    return [f"{found['id']}: {found['nodes'][0]['html']}" for found in Axe().run(page).response["violations"]]
