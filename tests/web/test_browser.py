"""The page in Chromium: every view on a desktop and a phone, in light and dark, by keyboard, without outside requests.

FUNSEARCH_SCREENSHOTS=docs/pictures makes it write the pictures of docs/ui.md.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from funsearch.search.search import Search
from funsearch.storage import SqlStorage, open_storage
from funsearch.web.app import create_app

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SCREENSHOTS = os.environ.get("FUNSEARCH_SCREENSHOTS")
PHONE = {"width": 360, "height": 740}
DESK = {"width": 1200, "height": 900}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The Chromium that is installed on this machine."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is missing: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("Chromium is missing: apt install chromium")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def serve(storage: SqlStorage) -> tuple[uvicorn.Server, threading.Thread, str]:
    """Starts a server in a thread; returns both, and the address of the page."""
    server = uvicorn.Server(uvicorn.Config(create_app(storage), port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    return server, thread, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


@pytest.fixture(scope="module")
def address(database: SqlStorage) -> Iterator[str]:
    """Address of a page that shows the four runs."""
    server, thread, at = serve(database)
    yield at
    server.should_exit = True
    thread.join()


class Visit:
    """A tab that records errors reported by the browser and requests to other hosts."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.tab = self.context.new_page()
        self.errors: list[str] = []
        self.outside: list[str] = []
        self._address = address
        self.tab.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("dialog", lambda dialog: (self.errors.append("dialog"), dialog.dismiss()))
        self.tab.on("request", lambda request: self._record(request.url))

    def _record(self, url: str) -> None:
        if not url.startswith(self._address + "/"):
            self.outside.append(url)

    def go(self, view: str) -> Any:
        self.tab.goto(self._address + view)
        return self.tab

    def end(self) -> None:
        self.context.close()
        assert self.errors == []
        assert self.outside == []


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Callable[..., Visit]]:
    """Opens tabs and checks at the end that none of them reported an error."""
    visits: list[Visit] = []

    def open_tab(**options: Any) -> Visit:
        visits.append(Visit(browser, address, **options))
        return visits[-1]

    yield open_tab
    for visited in visits:
        visited.end()


def views(database: SqlStorage) -> dict[str, str]:
    best = database.best("closeness-1", 1)[0][0]
    run = "/runs/1"
    return {
        "runs": "/",
        "progress": run,
        "best": f"{run}/best",
        "islands": f"{run}/islands",
        "programs": f"{run}/programs",
        "program": f"{run}/programs/{best}",
        "lineage": f"{run}/programs/{best}/lineage",
        "about": f"{run}/about",
        "compare": "/compare?run=1&run=2",
        "running": "/runs/4",
        "hostile": "/runs/3",
        "hostile program": "/runs/3/programs/1",
        "hostile long program": "/runs/3/programs/4",
    }


@pytest.mark.parametrize(("size", "scheme"), [(DESK, "light"), (PHONE, "dark")], ids=["desk", "dark phone"])
def test_every_view_fits_the_screen_without_errors(
    visit: Callable[..., Visit], database: SqlStorage, size: dict[str, int], scheme: str
) -> None:
    opened = visit(viewport=size, color_scheme=scheme)
    for name, view in views(database).items():
        tab = opened.go(view)
        assert tab.locator("h1").count() == 1, name
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than the screen"
        if SCREENSHOTS and name in ("progress", "lineage") and size is DESK:
            tab.screenshot(path=str(Path(SCREENSHOTS) / f"{name}.png"))


CONTRAST = """() => {
  const light = (colour) => {
    const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
    const [r, g, b] = parts.map((p) => (p <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)$/.test(colour)) return colour;
    }
  };
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const bad = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || element.closest("svg, option")) continue;
    const found = ratio(light(getComputedStyle(element).color), light(ground(element)));
    if (found < 4.5) bad.push(`${element.className} ${texts.currentNode.data.trim().slice(0, 30)}: ${found}`);
  }
  for (const line of document.querySelectorAll("path.line")) {
    const found = ratio(light(getComputedStyle(line).stroke), light(ground(line)));
    if (found < 3) bad.push(`line ${line.className.baseVal}: ${found}`);
  }
  return [...new Set(bad)];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_sufficient(visit: Callable[..., Visit], database: SqlStorage, scheme: str) -> None:
    opened = visit(color_scheme=scheme)
    for name, view in views(database).items():
        if not name.startswith("hostile"):
            assert opened.go(view).evaluate(CONTRAST) == [], name


def test_lineage_of_the_best_program_is_three_clicks_away(visit: Callable[..., Visit]) -> None:
    tab = visit().go("/")
    tab.get_by_role("link", name="closeness-1").click()
    tab.locator(".facts a").first.click()
    tab.get_by_role("link", name="lineage").click()
    assert tab.locator(".gain.up").count() > 0
    closed = tab.locator("details[data-src]").first
    closed.locator("summary").click()
    tab.wait_for_selector("details[open] pre.code .t-gi, details[open] div p")


def test_content_tabs_and_details_are_reachable_by_keyboard(visit: Callable[..., Visit]) -> None:
    tab = visit().go("/runs/1")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    for _ in range(4):
        tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/best")
    tab.locator("summary").first.focus()
    tab.keyboard.press("Enter")
    assert tab.locator("details[open]").count() == 1


def test_everything_is_reachable_without_scripts(visit: Callable[..., Visit], database: SqlStorage) -> None:
    opened = visit(java_script_enabled=False)
    tab = opened.go(views(database)["lineage"])
    tab.locator("details[data-src] summary").first.click()
    tab.locator("details[open] p a").first.click()
    assert "/diff/" in tab.url


def test_an_empty_database_has_a_page(browser: Any, empty: SqlStorage) -> None:
    server, thread, at = serve(empty)
    opened = Visit(browser, at)
    assert "funsearch run" in opened.go("/").text_content("main")
    opened.go("/compare")
    opened.end()
    server.should_exit = True
    thread.join()


def test_page_of_a_running_run_updates_itself(browser: Any, searched: Callable[..., Search], tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path / "running.db"))
    search = searched(storage, "running-1", ["    return x * 0.5\n"] * 8)
    storage.set_state("running-1", "running")
    server, thread, at = serve(storage)
    opened = Visit(browser, at)
    tab = opened.go("/runs/1")
    assert "8" in tab.text_content(".facts")
    tab.locator("#scores-values summary").click()
    search.close()
    storage.set_state("running-1", "finished")
    tab.wait_for_selector("[data-state=finished]", state="attached")
    assert tab.locator("#scores-values[open]").count() == 1
    opened.end()
    server.should_exit = True
    thread.join()
    storage.close()
