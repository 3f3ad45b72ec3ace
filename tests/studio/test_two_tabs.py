"""Two tabs of one project: what one changes shows in the other, or the other is told that it is late."""

import pytest

from packshot.captions.edit import edit_captions
from packshot.photos.photo_set import list_photos
from packshot.plan import read_plan
from packshot.plan.config import write_plan
from tests.studio.browser import in_a_browser, settled, wait

pytestmark = in_a_browser


def first_caption(page):
    return page.locator("li.photo textarea").first


@pytest.fixture
def captioned(project):
    edit_captions(project, {"photo-0.png": "ohwx kettle, front view"})
    return project


def test_a_caption_of_one_tab_shows_in_the_other(visit, captioned, at):
    one, other = settled(visit(f"{at}/photos")), settled(visit(f"{at}/photos"))
    first_caption(one).fill("ohwx kettle on a table")
    first_caption(one).blur()
    wait(other, "document.querySelector('li.photo textarea').value.endsWith('on a table')")
    one.locator("button:has-text('Lock')").first.click()
    other.wait_for_selector("textarea[readonly]")
    other.locator("li.photo button[title=Remove]").last.click()
    wait(one, "document.querySelectorAll('li.photo').length == 2")


def test_a_caption_that_was_changed_meanwhile_is_refused_and_can_be_kept_all_the_same(
    visit,
    captioned,
    at,
):
    one, other = settled(visit(f"{at}/photos")), settled(visit(f"{at}/photos"))
    first_caption(other).fill("ohwx kettle at dusk")
    first_caption(one).fill("ohwx kettle at dawn")
    first_caption(one).blur()
    one.wait_for_selector(".notice.done")
    first_caption(other).blur()
    late = other.wait_for_selector(".notice.fault")
    assert "changed elsewhere" in late.inner_text() and "at dawn" in late.inner_text()
    assert first_caption(other).input_value() == "ohwx kettle at dusk"
    assert list_photos(captioned)[0].caption == "ohwx kettle at dawn"
    other.click(".notice >> text=Do it all the same")
    wait(one, "document.querySelector('li.photo textarea').value.endsWith('at dusk')")
    assert list_photos(captioned)[0].caption == "ohwx kettle at dusk"


def test_the_queue_is_the_same_in_both_and_a_job_that_is_gone_is_said_to_be(
    visit,
    workspace,
    captioned,
    at,
):
    from packshot.studio import machine

    one, other = settled(visit(f"{at}/photos")), settled(visit(f"{at}/photos"))
    with machine.held("elsewhere"):  # so that nothing of it begins
        one.click("button:has-text('Write captions')")
        one.click("button:has-text('Cut out the product')")
        for page in (one, other):
            page.click("button[popovertarget=queue]")
            wait(page, "document.querySelectorAll('#queue ol li').length == 2")
        first = "document.querySelector('#queue ol li strong').textContent"
        one.locator("#queue button:has-text('Down')").first.click()
        wait(other, f"{first} == 'Cutting out the product'")
        gone = other.locator("#queue button:has-text('Remove')").last
        address = gone.get_attribute("hx-post")
        gone.click()
        wait(one, "document.querySelectorAll('#queue ol li').length == 1")
        one.evaluate(f"htmx.ajax('POST', {address!r}, {{target: '#queue-panel'}})")
        one.wait_for_selector(".notice.fault:has-text('not there any more')")
        one.locator("#queue button:has-text('Remove')").click()
        wait(other, "document.querySelectorAll('#queue ol li').length == 0")


def test_a_number_of_the_plan_that_was_changed_meanwhile_is_refused(studio, project, planned):
    write_plan(planned, project.plan_file)
    numbers = f"/p/{studio.studio.workspace.id_of(project.root)}/plan/numbers"
    studio.post(numbers, {"name": "rank", "value": "8", "before": "4"})
    late = studio.post(numbers, {"name": "rank", "value": "16", "before": "4"})
    assert late.status_code == 422 and "it is 8" in late.text
    assert late.headers["hx-trigger"] == "plan-changed"
    assert read_plan(project.plan_file).rank == 8
    studio.post(late.text.split('hx-post="')[1].split('"')[0].replace("&amp;", "&"))
    assert read_plan(project.plan_file).rank == 16


def test_tabs_in_the_background_leave_their_connections_to_others(visit, captioned, at):
    """A browser has six to a server: with seven streams open, no page of it would come any more."""
    first = settled(visit(f"{at}/photos"))
    address, tabs = first.url, [first]
    for _ in range(7):
        be_seen(tabs[-1], False)
        tabs.append(first.context.new_page())
        tabs[-1].goto(address, timeout=20_000)
        settled(tabs[-1])
    first_caption(tabs[-1]).fill("ohwx kettle on a table")
    first_caption(tabs[-1]).blur()
    tabs[-1].wait_for_selector(".notice.done")
    assert first_caption(first).input_value() == "ohwx kettle, front view"
    be_seen(first, True)
    wait(first, "document.querySelector('li.photo textarea').value.endsWith('on a table')")
    first_caption(first).fill("ohwx kettle at dawn")
    first_caption(first).blur()
    wait(tabs[-1], "document.querySelector('li.photo textarea').value.endsWith('at dawn')")


def be_seen(page, is_seen):
    """As when another tab is chosen: all pages of a browser without a window are seen."""
    hidden = str(not is_seen).lower()
    page.evaluate(
        f"Object.defineProperty(document, 'hidden', {{configurable: true, value: {hidden}}});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
