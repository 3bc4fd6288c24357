"""A real browser for the tests of the page: without network, from a file, its console kept."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from playwright.sync_api import TimeoutError as TooLate

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
READY = "document.documentElement.dataset.ready === ''"
# Seconds that a page may take where every core is busy with other tests.
PATIENCE = 120

# What the scripts of the tests work with.
TOOLS = """
const tick = () => new Promise((go) => setTimeout(go, 60));
const until = async (holds) => {
  const end = performance.now() + 1000 * PATIENCE;
  while (!holds() && performance.now() < end) await tick();
};
const all = (what) => [...document.querySelectorAll(what)];
const drawn = async () => {
  document.getElementById('curves').scrollIntoView();
  await until(() => all('#chart svg .mark-line path').length);
};
""".replace("PATIENCE", str(PATIENCE))


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium as it is installed; where there is none the test skips, and fails in CI."""
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        message = f"no browser: none of {', '.join(BROWSERS)} is installed"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        # Every host name and address is refused.
        options = ["--proxy-server=127.0.0.1:9"]
        browser = playwright.chromium.launch(executable_path=program, args=options)
        try:
            yield browser
        finally:
            browser.close()


class Reader:
    """Opens pages, acts in them, and keeps what their consoles and requests say."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self._browser = browser
        self._folder = folder
        self._contexts: list[BrowserContext] = []
        self.console: list[str] = []
        self.requests: list[str] = []

    def page(self, text: str, fragment: str = "", *, wait: bool = True, **options: Any) -> Page:
        """A tab with the page; ``options`` are those of a browser context."""
        path = self._folder / "report.html"
        path.write_text(text, encoding="utf-8")
        options = {"viewport": {"width": 1400, "height": 1000}, **options}
        context = self._browser.new_context(**options)
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        page.on("console", lambda message: self.console.append(message.text))
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(f"{path.as_uri()}{fragment}")
        if wait:
            # Asked in turns of its own: a tab that draws nothing calls for no frames.
            page.wait_for_function(READY, polling=50)
        return page

    def open(self, text: str, script: str = "return null", fragment: str = "") -> Any:
        """Open the page and run ``script``, the body of an async function."""
        return act(self.page(text, fragment), script)

    def close(self) -> None:
        """Close every tab: one that stays open goes on working beside the next test."""
        for context in self._contexts:
            context.close()


def settles(page: Page, expression: str, value: Any) -> None:
    """Require that an expression in a page has a value soon: on a busy machine events are late."""
    wanted = json.dumps(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    with contextlib.suppress(TooLate):
        page.wait_for_function(f"JSON.stringify({expression}) === {wanted}", polling=50)
    assert page.evaluate(expression) == value


def act(page: Page, script: str) -> Any:
    """Run the body of an async function in a page."""
    return page.evaluate(f"async () => {{ {TOOLS} {script} }}")
