"""A real browser for tests: a Chromium, pages of the studio in it, and what is asked of them."""

import shutil
import time
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = next(Path(__file__).with_name("vendor").glob("axe-*.min.js"))
in_a_browser = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium"),
]


@pytest.fixture(scope="module")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, served):
    """Opens a page of the studio; at the end, none has had an error in its console, or asked elsewhere."""
    told, contexts = [], []

    def open_page(path="/", *, width=1280, language="en", theme="light"):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, locale=language, color_scheme=theme,
            reduced_motion="reduce",
        )  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda line: is_fault(line) and told.append(line.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        base = served.split("?")[0]
        page.on(
            "request", lambda asked: asked.url.startswith((base, "blob:")) or told.append(asked.url)
        )
        page.goto(served)
        if path != "/":
            page.goto(base + path.lstrip("/"))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert told == []


def is_fault(line):
    """Whether the console has an error that is none of ours (422: what a user can put right)."""
    return line.type == "error" and " 422" not in line.text


def wait(page, expression, seconds=60):
    """Until an expression is true; asked from outside, as the policy lets the page evaluate none."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(30)


def settled(page):
    """The page, when all its parts have come."""
    page.wait_for_load_state("load")
    wait(page, "!document.querySelector('.htmx-request')")
    page.wait_for_timeout(150)
    wait(page, "!document.querySelector('.htmx-request')")
    return page


def faults(page):
    """What axe finds that is serious or critical."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return [
        (one["id"], one["nodes"][0]["html"][:200])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
