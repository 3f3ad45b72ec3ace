"""The page of a catalogue in a real browser: that it fits, and what is pressed in it."""

import time

import pytest

from packshot.catalog.outcome import Outcome
from packshot.catalog.verdicts import Verdict, read_verdict, read_verdicts
from packshot.studio.jobs import JobQueue
from tests.studio.browser import faults, in_a_browser, settled
from tests.studio.goods import OUTCOMES, product, results

pytestmark = in_a_browser


@pytest.fixture
def at(workspace, catalogue):
    [id] = workspace.catalogues()
    return f"/c/{id}"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "language"), [(390, "it"), (1280, "en")])
def test_everyone_can_use_it_and_it_fits(visit, at, width, language, theme):
    page = settled(visit(at, width=width, language=language, theme=theme))
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_products_are_decided_with_the_mouse_and_others_see_it(visit, at, catalogue):
    page, other = settled(visit(at)), settled(visit(at))
    page.get_by_role("button", name="Approve: Fine").click()
    page.wait_for_selector(".notice:has-text('Fine is approved')")
    for one in (page, other):
        one.wait_for_selector("h2:has-text('Fine')", state="detached")
    page.click("#again-unlike summary")
    page.click("#again-unlike button:has-text('20 min')")
    page.wait_for_selector("h2:has-text('Unlike')", state="detached")
    verdicts = read_verdicts(catalogue)
    assert verdicts["fine"].state == "approved" and verdicts["unlike"].time_budget == "1200s"
    page.click(".notice:has-text('Unlike') button:has-text('Undo')")
    page.wait_for_selector("h2:has-text('Unlike')")
    assert read_verdict(catalogue, "unlike") == Verdict()


def test_what_a_start_tells_appears_while_the_page_is_open(visit, at, catalogue):
    page = settled(visit(at))
    page.click("#again-checked summary")
    told = results(catalogue, [product("checked"), product("new")], {})
    told.add(next(outcome for outcome in OUTCOMES if outcome.id == "checked"))
    told.add(Outcome("new", "done", 60.0, tries=1, likeness=0.9, mark="n"))
    time.sleep(0.05)
    told.write()
    page.wait_for_selector("h2:has-text('New')")
    assert page.locator("#again-checked[open]").count() == 1, "what was open stays so"


def test_a_product_is_opened_and_its_jobs_are_heard_of(visit, workspace, at):
    page = settled(visit(at))
    page.click("h2 a:has-text('Fine')")
    settled(page)
    project = workspace.open(page.url.split("/")[4])
    JobQueue(workspace).add(project, "photos", "photos", "/nowhere", heavy=False)
    page.wait_for_selector(".card.bad:has-text('/nowhere')")
    page.click("a:has-text('Catalogue')")
    page.wait_for_selector("h2:has-text('Fine')")
