"""The pages in a real browser: what they do, that they fit, and that everyone can use them."""

import re
import time

import pytest
from argon2 import PasswordHasher

from packshot.captions.edit import edit_captions
from packshot.masks.drawing import draw_mask
from packshot.photos.photo_set import list_photos
from packshot.plan import read_plan
from packshot.plan.config import write_plan
from packshot.studio import machine
from packshot.studio.jobs import JobQueue
from packshot.training.events import Sample, Step, as_record, log_of
from packshot.utils import files, in_place, reading, serialization
from tests.studio.browser import faults, in_a_browser, settled, wait
from tests.studio.conftest import serving
from tests.studio.pictures import picture, write_photos

VIEWS = ("photos", "class-images", "plan", "train")

pytestmark = in_a_browser


@pytest.fixture
def full(project, planned):
    """The project with all that the views show: captions, a mask, choices, a plan, a run with samples."""
    edit_captions(project, {
        "photo-0.png": "a photo of ohwx kettle, front view", "photo-1.png": "ohwx kettle, side view",
    })  # fmt: skip
    drawn = picture(3).convert("L").point(lambda _: 0)
    drawn.paste(255, (50, 40, 150, 120))
    draw_mask(project, "photo-0.png", drawn)
    choices = [
        dict(budget=b, steps=s, resolution=512, exposures=8 * s, share=s / 900, seconds=b or 1200.0,
             bytes=2**33, disk_bytes=2**29)
        for b, s in ((120, 100), (600, 500), (None, 900))
    ]  # fmt: skip
    compared = {"base": "pocket", "photos": 3, "class_images": 0, "choices": choices}
    files.write_json(project.plan_choices_file, compared)
    plan = planned.model_copy(update={"steps": 500})
    write_plan(plan, project.plan_file, {"steps": "as many as fit"})
    run = project.runs_folder / "20260101-000000"
    write_plan(plan, run / "plan.toml")
    write_photos(run / "samples" / "0000020", 2)
    shots = tuple(sorted((run / "samples" / "0000020").iterdir()))
    events = [Step(n, 500, 1 / n, 1 / n, None, 1e-4, 0.5) for n in range(1, 41)]
    events.append(Sample(20, ("a kettle in the snow", "a kettle"), shots))
    files.write_json_lines(log_of(run), (as_record(event, run) for event in events))
    return project


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", ["", *VIEWS])
def test_everyone_can_use_every_view(visit, full, at, view, theme):
    page = settled(visit(f"{at}/{view}" if view else "/", theme=theme))
    assert faults(page) == []
    page.click("button[popovertarget=queue]")
    assert faults(settled(page)) == []


@pytest.mark.parametrize("view", ["", *VIEWS])
def test_every_view_has_an_empty_state_that_everyone_can_use(visit, workspace, view):
    from packshot.project import create_project

    empty = create_project(workspace.folder / "mug", name="Mug", class_noun="mug")
    address = f"/p/{workspace.id_of(empty.root)}/{view}" if view else "/"
    assert faults(settled(visit(address, language="it"))) == []


@pytest.mark.parametrize("language", ["en", "it"])
@pytest.mark.parametrize("width", [390, 768, 1280, 2560])
def test_nothing_is_wider_than_the_window(visit, full, at, width, language):
    page = visit(width=width, language=language)
    base = page.url.rstrip("/")
    for view in ("", *VIEWS):
        page.goto(base + (f"{at}/{view}" if view else "/"))
        settled(page).evaluate(
            "document.querySelectorAll('details').forEach((one) => one.open = true)"
        )
        over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert over <= 0, view


def test_the_first_page_is_small(chromium, served):
    """Over the wire, without pictures."""
    context = chromium.new_context()
    page, sizes = context.new_page(), []
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    network.on("Network.loadingFinished", lambda told: sizes.append(told["encodedDataLength"]))
    page.goto(served)
    page.wait_for_timeout(500)
    context.close()
    assert 0 < sum(sizes) < 300_000


def test_what_cannot_be_taken_in_is_told_and_the_next_photos_come(visit, project, at, tmp_path):
    (tmp_path / "note.txt").write_text("no photo")
    write_photos(tmp_path / "new", 1)
    page = visit(f"{at}/photos")
    page.evaluate(  # as if the studio was gone, once
        """() => {
            const real = window.fetch;
            window.fetch = () => { window.fetch = real; return Promise.reject(); };
        }"""
    )
    page.set_input_files("#drop input[multiple]", tmp_path / "note.txt")
    page.wait_for_selector(".notice.fault")
    page.click(".notice.fault [data-dismiss]")
    page.set_input_files("#drop input[multiple]", tmp_path / "note.txt")
    page.wait_for_selector(".notice.fault >> text=There are no photos, videos or ZIPs in it")
    with page.expect_response("**/take") as answer:
        page.set_input_files("#drop input[multiple]", sorted((tmp_path / "new").iterdir()))
    assert answer.value.status == 204


def test_what_does_not_arrive_is_told_at_once_for_all(visit, at, tmp_path):
    write_photos(tmp_path / "new", 3)
    page = settled(visit(f"{at}/photos", language="it"))
    page.route("**/file", lambda of: of.fulfill(status=422, body="troppo"))
    page.set_input_files("#drop input[multiple]", sorted((tmp_path / "new").iterdir()))
    page.wait_for_selector(".notice.fault")
    wait(page, "document.querySelector('.sending').hidden")
    assert page.locator(".notice.fault").count() == 1
    assert page.inner_text(".notice.fault p").count("troppo") == 3
    assert page.get_attribute(".notice .close", "aria-label") == "Chiudi"


def test_leaving_while_photos_are_sent_is_asked_about(visit, at, tmp_path):
    write_photos(tmp_path / "new", 1)
    page, held = settled(visit(f"{at}/photos")), []
    page.route("**/file", lambda of: held.append(of))
    leaves = "dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    assert page.evaluate(leaves)
    page.set_input_files("#drop input[multiple]", sorted((tmp_path / "new").iterdir()))
    while not held:
        page.wait_for_timeout(30)
    assert not page.evaluate(leaves)
    held[0].continue_()
    wait(page, "document.querySelector('.sending').hidden")
    assert page.evaluate(leaves)


def test_photos_are_dropped_refused_and_taken(visit, workspace, at, tmp_path):
    write_photos(tmp_path / "new", 5)
    (tmp_path / "new" / "notes.pdf").write_text("no photo")
    page = settled(visit(f"{at}/photos"))
    page.set_input_files("#drop input[multiple]", sorted((tmp_path / "new").iterdir()))
    wait(page, "document.querySelectorAll('li.photo').length == 5")
    settled(page).wait_for_selector("details >> text=notes.pdf")


def test_notices_leave_the_way_on_within_reach(visit, full, at):
    page = settled(visit(f"{at}/photos"))
    for number in (0, 1):  # what is refused stays until it is closed
        words = page.locator("textarea").nth(number)
        words.fill("")
        words.blur()
        wait(page, f"document.querySelectorAll('.notice.fault').length > {number}")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.click("nav.next a", timeout=5000)
    page.wait_for_url("**/class-images")


def test_what_is_refused_twice_is_said_once(visit, full, at):
    page = settled(visit(f"{at}/photos"))
    for number in (0, 1):
        words = page.locator("textarea").nth(number)
        words.fill("")
        words.blur()
        wait(page, f"document.querySelectorAll('.notice.fault').length > {number}")
    same = "const first = notices.querySelector('.fault'); notices.append(first.cloneNode(true))"
    page.evaluate(f"() => {{ {same} }}")
    assert page.locator(".notice.fault").count() == 2


def test_a_caption_is_edited_locked_and_put_back(visit, full, at):
    page = settled(visit(f"{at}/photos"))
    words = page.locator("textarea").first
    words.fill("a photo of ohwx kettle on a table")
    words.blur()
    page.wait_for_selector(".notice:has-text('saved')")
    assert list_photos(full)[0].caption == "a photo of ohwx kettle on a table"
    page.click(".notice >> text=Undo")
    wait(page, "document.querySelector('textarea').value.includes('front view')")
    page.locator("button:has-text('Lock')").first.click()
    page.wait_for_selector("textarea[readonly]")
    assert list_photos(full)[0].caption_locked


def test_what_is_being_written_is_not_replaced_by_what_has_changed(visit, full, at):
    page = settled(visit(f"{at}/photos"))
    words = page.locator("textarea").first
    words.fill("ohwx kettle, half a")
    edit_captions(full, {"photo-1.png": "ohwx kettle on a shelf"})
    page.evaluate("htmx.trigger(document.body, 'photos-changed')")
    page.wait_for_timeout(300)
    assert words.input_value() == "ohwx kettle, half a"
    words.press_sequentially(" sentence")
    words.blur()
    wait(page, "document.querySelectorAll('textarea')[1].value.endsWith('shelf')")
    assert list_photos(full)[0].caption == "ohwx kettle, half a sentence"


def test_a_number_that_is_being_written_outlives_what_comes_meanwhile(visit, full, at):
    page = settled(visit(f"{at}/plan"))
    page.click("summary:has-text('All numbers')")
    number = settled(page).locator("#n-save_every_n_steps")
    number.fill("7")
    page.evaluate("document.getElementById('plan-numbers').classList.add('kept')")
    page.evaluate("htmx.trigger(document.body, 'plan-ended')")
    settled(page)
    assert number.input_value() == "7"
    number.blur()
    page.wait_for_selector(".notice.done:has-text('save_every_n_steps')")
    assert read_plan(full.plan_file).save_every_n_steps == 7
    page.wait_for_selector("#plan-numbers[open]:not(.kept)")


def test_what_was_sent_is_answered_though_its_part_comes_anew_meanwhile(visit, full, at):
    page = settled(visit(f"{at}/plan"))
    page.click("summary:has-text('All numbers')")
    number = settled(page).locator("#n-save_every_n_steps")
    held = []
    page.route(
        "**/plan/numbers",
        lambda of: held.append(of) if of.request.method == "POST" else of.continue_(),
    )
    number.fill("7")
    number.blur()
    while not held:
        page.wait_for_timeout(30)
    page.evaluate("document.getElementById('plan-numbers').classList.add('kept')")
    page.evaluate("htmx.trigger(document.body, 'plan-changed')")
    page.evaluate("htmx.trigger(document.body, 'plan-ended')")
    page.wait_for_timeout(300)
    assert page.locator("#plan-numbers.kept").count() == 1
    held[0].continue_()
    page.wait_for_selector(".notice.done:has-text('save_every_n_steps')")
    page.wait_for_selector("#plan-numbers[open]:not(.kept)")
    assert read_plan(full.plan_file).save_every_n_steps == 7


def test_a_photo_is_removed_and_put_back(visit, full, at):
    page = settled(visit(f"{at}/photos"))
    page.locator("li.photo button[title=Remove]").first.click()
    wait(page, "document.querySelectorAll('li.photo').length == 2")
    page.click(".notice >> text=Undo")
    wait(page, "document.querySelectorAll('li.photo').length == 3")
    assert list_photos(full)[0].mask is not None


def test_an_undo_that_is_refused_stays_to_be_tried_again(visit, full, at):
    page = settled(visit(f"{at}/photos"))
    page.locator("li.photo button[title=Remove]").first.click()
    page.wait_for_selector(".notice.done")
    with full.held():
        page.click(".notice.done >> text=Undo")
        page.wait_for_selector(".notice.fault")
    page.click(".notice.done >> text=Undo", timeout=5000)
    wait(page, "document.querySelectorAll('li.photo').length == 3")
    wait(page, "!document.querySelector('.notice.done:has(.link)')")


@pytest.fixture
def waiting(visit, full, workspace, at):
    """The photos' page with the queue open, and a job that waits in it: another studio computes."""
    with machine.held("elsewhere"):
        page = settled(visit(f"{at}/photos"))
        page.locator("button:has-text('Write captions')").click()
        page.click("button[popovertarget=queue]")
        page.wait_for_selector("#queue ol li")
        yield page
        for job in JobQueue(workspace).jobs():
            JobQueue(workspace).stop(job.id)


def comes_anew(page):
    """Has the parts of a page come anew, as they do while a job goes on."""
    page.evaluate("htmx.trigger(document.body, 'reconnected')")
    settled(page)


def test_the_keyboard_stays_on_a_button_whose_part_comes_anew(waiting):
    waiting.locator("#queue button:has-text('Remove')").focus()
    waiting.evaluate("document.activeElement.classList.add('old')")
    comes_anew(waiting)
    wait(waiting, "!document.querySelector('#queue button.old')")
    waiting.keyboard.press("Enter")
    wait(waiting, "!document.querySelector('#queue ol li')")


def test_a_button_is_pressed_though_its_part_comes_anew_meanwhile(waiting):
    box = waiting.locator("#queue button:has-text('Remove')").bounding_box()
    waiting.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    waiting.mouse.down()
    comes_anew(waiting)
    waiting.mouse.up()
    wait(waiting, "!document.querySelector('#queue ol li')")


def test_a_failed_job_is_read_out_once(visit, full, workspace, at):
    queue = JobQueue(workspace)
    with machine.held("elsewhere"):  # so that it does not begin
        job = queue.add(full, "caption", "caption")
        files.write_json(queue.folder / job.id / "end.json", {"code": 1, "at": 1.0})
    page = settled(visit(f"{at}/photos"))
    page.evaluate("document.querySelector('.strip [role=alert]').classList.add('old')")
    comes_anew(page)
    assert page.locator(".strip [role=alert].old").count() == 1
    queue.forget(job.id)
    comes_anew(page)
    assert page.locator(".strip [role=alert]").count() == 0


def test_what_is_looked_at_stays_when_its_part_comes_anew(visit, full, at):
    page = settled(visit(f"{at}/photos"))
    page.check("#cutouts")
    page.click("summary:has-text('Find and replace')")
    page.locator("li.photo button[title=Remove]").last.click()
    wait(page, "document.querySelectorAll('li.photo').length == 2")
    assert page.is_checked("#cutouts") and page.is_visible("#old")
    run = full.runs_folder / "20260101-000000"
    shot = next((run / "samples" / "0000020").iterdir())
    more = [Sample(step, ("a kettle",), (shot,)) for step in range(21, 40)]
    for event in more:
        in_place.append_line(log_of(run), serialization.as_json(as_record(event, run)))
    page = settled(visit(f"{at}/train"))
    page.evaluate("document.querySelector('.film').scrollLeft = 300")
    page.evaluate("document.querySelector('.film').classList.add('old')")
    page.evaluate("htmx.trigger(document.body, 'train-ended')")
    wait(page, "!document.querySelector('.film.old')")
    assert page.evaluate("document.querySelector('.film').scrollLeft") == 300


def test_a_mask_that_is_refused_is_told_in_the_brush(visit, full, at):
    page = settled(visit(f"{at}/photos", width=390))
    page.locator("[data-brush]").last.click()
    page.wait_for_selector("#brush[open]")
    page.click("#brush [data-do=save]")
    page.wait_for_selector("#brush .fault:has-text('mask is empty')")
    page.evaluate("() => { window.fetch = () => Promise.reject(); }")  # as if the studio was gone
    page.click("#brush [data-do=save]")
    page.wait_for_selector("#brush .fault:has-text('does not answer')")


def covered(photo):
    """How many of a mask's pixels are the product's."""
    from packshot.images.masks import read_drawn

    return sum(read_drawn(photo.mask).image.histogram()[128:]) if photo.mask else 0


@pytest.mark.parametrize("by", ["mouse", "keys"])
def test_a_mask_is_mended_with_the_brush(visit, full, at, by):
    before = covered(list_photos(full)[0])
    page = settled(visit(f"{at}/photos"))
    page.locator("[data-brush]").first.click()
    canvas = page.locator("#brush canvas")
    page.wait_for_selector("#brush[open]")
    assert faults(page) == []
    box = canvas.bounding_box()

    def paint():
        if by == "keys":
            for key in (*["Shift+ArrowLeft"] * 3, *["Shift+ArrowUp"] * 3):
                page.keyboard.press(key)
            page.keyboard.press("Space")
            return
        page.mouse.move(box["x"] + 5, box["y"] + 5)
        page.mouse.down()
        page.mouse.move(box["x"] + 60, box["y"] + 5, steps=4)
        page.mouse.up()

    paint()
    page.click("#brush [data-do=undo]")
    assert page.is_disabled("#brush [data-do=undo]")
    page.click("#brush [data-do=redo]")
    page.click("#brush [data-do=save]")
    page.wait_for_selector("#brush:not([open])", state="attached")
    assert covered(list_photos(full)[0]) > before


def test_the_slider_shows_what_its_place_buys(visit, full, at):
    page = settled(visit(f"{at}/plan"))
    slider = page.locator("#at")
    assert page.inner_text("[data-show=steps]") == "500"
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert page.inner_text("[data-show=steps]") == "900"
    assert page.inner_text("output") == "20 min 00 s" == slider.get_attribute("aria-valuetext")


def test_the_only_choice_can_be_taken(visit, full, workspace, at):
    """As on a machine on which the whole recipe takes less than any time that is offered."""
    told = reading.read_json(full.plan_choices_file)
    files.write_json(full.plan_choices_file, told | {"choices": told["choices"][-1:]})
    page = settled(visit(f"{at}/plan"))
    with machine.held("elsewhere"):
        with page.expect_response("**/plan") as answer:
            page.click("button:has-text('Use this plan')")
        assert answer.value.status == 204
        (job,) = JobQueue(workspace).jobs()
        assert job.arguments[:2] == ("plan", "--keep-measurements")
        JobQueue(workspace).stop(job.id)


def test_a_number_of_the_plan_is_checked_before_it_is_kept(visit, full, at):
    page = settled(visit(f"{at}/plan"))
    page.click("summary:has-text('All numbers')")
    rank = page.locator("#n-rank")
    rank.fill("0")
    rank.blur()
    page.wait_for_selector(".notice.fault:has-text('rank')")
    wait(page, f"document.getElementById('n-rank').value === '{read_plan(full.plan_file).rank}'")
    rank.fill("8")
    rank.blur()
    page.wait_for_selector(".notice.done:has-text('rank')")
    text = full.plan_file.read_text()
    assert re.search(r"^rank = 8$", text, re.M) and "# as many as fit" in text


def test_training_shows_where_it_is(visit, full, at):
    page = settled(visit(f"{at}/train"))
    assert "step 40 of 500" in page.inner_text("#run")
    assert page.locator("svg.curve polyline").count() == 2
    assert page.locator(".film img").count() == 2


def test_the_curves_numbers_are_whole_on_a_phone(visit, full, at):
    page = settled(visit(f"{at}/train", width=390))
    page.wait_for_selector("svg.curve")
    cut = page.evaluate("""[...document.querySelectorAll('svg.curve text')].filter((text) => {
        const curve = text.closest('svg');
        const [own, all] = [text, curve].map((one) => one.getBoundingClientRect());
        return own.left < 0 || (own.left < all.left && getComputedStyle(curve).overflow !== 'visible');
    }).length""")
    assert cut == 0


def test_the_plans_numbers_fit_a_phone(visit, full, at):
    page = settled(visit(f"{at}/plan", width=390))
    page.click("summary:has-text('All numbers')")
    settled(page)
    table = "document.querySelector('.scroll')"
    assert page.evaluate(f"{table}.scrollWidth <= {table}.clientWidth")
    assert page.locator(".numbers td:has-text('as many as fit')").is_visible()


def test_the_keyboard_reaches_all_and_the_queue_closes_with_escape(visit, full, at):
    page = settled(visit(f"{at}/train"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.locator("button[popovertarget=queue]").press("Enter")
    assert page.is_visible("#queue")
    page.keyboard.press("Escape")
    assert not page.is_visible("#queue")


def test_language_and_theme_are_chosen_and_kept(visit, full, at):
    page = settled(visit(f"{at}/train"))
    page.select_option("#language", "it")
    page.wait_for_selector("h1:has-text('Addestramento')")
    settled(page)
    page.select_option("#theme", "dark")
    page.wait_for_selector("html[data-theme=dark]")
    page.goto(page.url.split("/p/")[0])
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"
    assert page.inner_text("h1") == "Progetti"


def test_a_job_goes_on_without_its_page(visit, workspace, project, at, tmp_path):
    write_photos(tmp_path / "new", 5)
    page = settled(visit(f"{at}/photos"))
    page.set_input_files("#drop input[multiple]", sorted((tmp_path / "new").iterdir()))
    page.wait_for_selector(".strip .job")
    page.close()
    end = time.monotonic() + 120
    while len(list_photos(project)) < 5 and time.monotonic() < end:
        time.sleep(0.1)
    assert len(list_photos(project)) == 5
    while not list((workspace.state_folder / "jobs").glob("*/end.json")):
        time.sleep(0.05)


def test_the_password_is_asked_for_and_a_wrong_one_told(chromium, workspace):
    hashed = PasswordHasher(time_cost=1, memory_cost=64).hash("correct horse")
    with serving(workspace, hashed) as address:
        page = chromium.new_page()
        page.goto(address)
        assert faults(page) == []
        for password, seen in (("wrong horse", "#wrong"), ("correct horse", "#new")):
            page.fill("#password", password)
            page.keyboard.press("Enter")
            page.wait_for_selector(seen)
        page.close()


def test_a_browser_without_the_key_is_told_where_it_is(chromium, served):
    context = chromium.new_context(locale="it")
    page = context.new_page()
    page.goto(served.split("?")[0])
    assert "mostrato nel terminale" in page.inner_text("main") and faults(page) == []
    context.close()
