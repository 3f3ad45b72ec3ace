"""Choose, Shoot, Insert and Deliver in a real browser; and the walk from a plate to the ZIP."""

import base64
import zipfile

import pytest
from PIL import Image

from packshot.generation.favourites import read_favourites
from packshot.insertion.plates import add_plate, list_plates, place_file
from packshot.insertion.record import read_records
from packshot.project import create_project, save_choices
from packshot.settings import choices_of
from tests.studio.browser import faults, in_a_browser, settled, wait
from tests.studio.shop import cut_out_all, fill, write_plate

pytestmark = in_a_browser

VIEWS = ("choose", "shoot", "insert", "deliver")
PREVIEW = "document.getElementById('insertion')?.dataset.took"


@pytest.fixture
def full(project, tmp_path):
    """A project with all that the views show; nothing is measured by a CLIP."""
    save_choices(project, choices_of(embedder="none"))
    return fill(project, write_plate(tmp_path / "beach.png"))


@pytest.fixture
def plate(project, tmp_path):
    save_choices(project, choices_of(embedder="none"))
    cut_out_all(project)
    return add_plate(project, write_plate(tmp_path / "beach.png"))


def drag(page, where, to):
    page.mouse.move(*where)
    page.mouse.down()
    page.mouse.move((where[0] + to[0]) / 2, (where[1] + to[1]) / 2)
    page.mouse.move(*to)
    page.mouse.up()


def middle(page, selector):
    box = page.locator(selector).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def field(page, name):
    return page.input_value(f"#insertion [name={name}]")


def previewed(page, do):
    """Does something, and waits for the preview that follows."""
    before = page.get_attribute(".made", "src")
    do()
    wait(
        page,
        f"document.querySelector('.made').src !== {before!r} && !document.querySelector('.busy')",
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_everyone_can_use_every_view(visit, full, at, view, theme):
    page = settled(visit(f"{at}/{view}", theme=theme))
    assert faults(page) == []


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_has_an_empty_state(visit, workspace, view):
    empty = create_project(workspace.folder / "mug", name="Mug", class_noun="mug")
    page = settled(visit(f"/p/{workspace.id_of(empty.root)}/{view}", language="it"))
    assert faults(page) == []


@pytest.mark.parametrize("language", ["en", "it"])
@pytest.mark.parametrize("width", [390, 768, 1280, 2560])
def test_nothing_is_wider_than_the_window(visit, full, at, width, language):
    page = visit(width=width, language=language)
    base = page.url.rstrip("/")
    for view in VIEWS:
        page.goto(f"{base}{at}/{view}")
        over = settled(page).evaluate("document.documentElement.scrollWidth - innerWidth")
        assert over <= 0, view


def test_from_a_plate_to_the_zip(visit, project, at, tmp_path):
    save_choices(project, choices_of(embedder="none"))
    cut_out_all(project)
    data = base64.b64encode(write_plate(tmp_path / "beach.png").read_bytes()).decode()
    page = settled(visit(f"{at}/insert"))
    page.evaluate(
        """data => {
          const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytes], "beach.png", { type: "image/png" }));
          const options = { dataTransfer, bubbles: true, cancelable: true };
          document.body.dispatchEvent(new DragEvent("drop", options));
        }""",
        data,
    )
    page.wait_for_url("**/insert?plate=beach.png")
    wait(page, PREVIEW)
    left, top, width, height = map(int, field(page, "box").split(","))
    x, y = middle(page, "#stage .box")
    previewed(page, lambda: drag(page, (x, y), (x + 60, y + 20)))
    moved = list(map(int, field(page, "box").split(",")))
    assert moved[0] > left and moved[1] > top and moved[2:] == [width, height]
    x, y = middle(page, ".sun")
    previewed(page, lambda: drag(page, middle(page, ".sun .knob"), (x + 30, y)))
    assert (
        field(page, "light_azimuth_degrees") == "0" and field(page, "light_elevation_degrees") != ""
    )
    page.click("text=Insert in full size")
    page.wait_for_selector("li.insertion", timeout=180_000)
    (record,) = read_records(project.insertions_folder)
    assert [record.box["top"] + record.box["height"]] == [moved[1] + moved[3]]
    assert record.light["azimuth_degrees"] == 0
    said = page.locator("li.insertion .checks li")
    assert said.count() == len(record.checks)
    assert "Nothing outside product and shadow was changed" in said.first.inner_text()
    page.locator(".compare input").fill("60")
    assert "60%" in page.locator(".compare").get_attribute("style")

    page.click("nav.steps >> text=Deliver")
    settled(page)
    for name in ("portrait", "wide", "transparent-png", "transparent-webp"):
        page.uncheck(f"[name=format][value={name}]")
    page.click("text=Make the ZIP")
    page.wait_for_selector("text=Download the ZIP", timeout=120_000)
    with page.expect_download() as download:
        page.click("text=Download the ZIP")
    names = zipfile.ZipFile(download.value.path()).namelist()
    assert "insertions/beach.png" in names and "report.html" in names
    assert sum(name.endswith("-square.jpg") for name in names) == 3


def test_box_and_horizon_follow_the_keys_and_the_light_can_be_given_back(visit, plate, at):
    page = settled(visit(f"{at}/insert"))
    wait(page, PREVIEW)
    left, top, width, height = map(int, field(page, "box").split(","))
    page.locator("#stage .box").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("-")
    box = list(map(int, field(page, "box").split(",")))
    assert box[0] + box[2] / 2 == pytest.approx(left + width / 2 - 4, abs=2)
    assert box[2] < width and box[1] + box[3] == pytest.approx(top + height, abs=1)
    page.locator("#stage .horizon").focus()
    assert field(page, "horizon") == ""
    before = int(page.get_attribute(".horizon", "aria-valuenow"))
    previewed(page, lambda: [page.keyboard.press("ArrowDown") for _ in range(5)])
    assert int(page.get_attribute(".horizon", "aria-valuenow")) == before + 5
    page.locator("#hardness").fill("0.2")
    assert field(page, "light_hardness") == "0.2"
    previewed(page, lambda: page.click("[data-reset]"))
    assert {
        field(page, name) for name in ("horizon", "light_hardness", "light_azimuth_degrees")
    } == {""}


def test_a_place_is_painted(visit, plate, project, at):
    page = settled(visit(f"{at}/insert"))
    wait(page, PREVIEW)
    page.click("text=Paint the place")
    page.wait_for_selector("#brush[open]")
    assert faults(page) == []
    page.locator("#brush [name=size]").fill("150")
    x, y = middle(page, "#brush canvas")
    drag(page, (x - 40, y + 40), (x + 40, y + 40))
    previewed(page, lambda: page.click("#brush [data-do=save]"))
    assert page.is_checked("[name=by][value=mask]") and not page.is_visible("#stage .box")
    assert place_file(project, plate.name).is_file()


def test_the_keyboard_scrolls_to_the_photo_that_it_is_on(visit, project, at):
    cut_out_all(project)
    page = settled(visit(f"{at}/deliver"))
    page.evaluate("""() => {
        const cuts = document.querySelector('.cuts');
        for (let n = 0; n < 40; n++) cuts.append(cuts.firstElementChild.cloneNode(true));
    }""")
    page.locator(".cuts input").last.focus()
    seen = page.evaluate("""() => {
        const [own, all] = [document.activeElement.closest('label'), document.querySelector('.cuts')]
            .map((one) => one.getBoundingClientRect());
        return own.top >= all.top - 1 && own.bottom <= all.bottom + 1;
    }""")
    assert seen


def test_a_finger_scrolls_the_page_over_the_place(visit, plate, at):
    page = settled(visit(f"{at}/insert", width=390))
    way = "(one) => getComputedStyle(one).touchAction"
    places = "#stage", "#stage .plate", "#stage .box", "#stage .horizon"
    given = [page.eval_on_selector(place, way) for place in places]
    assert given == ["auto", "auto", "none", "none"]


def test_a_plate_and_an_undo(visit, plate, project, at):
    page = settled(visit(f"{at}/insert"))
    page.locator(".plates li").first.hover()
    page.click(".plates .remove")
    page.click(".notice >> text=Undo")
    page.wait_for_url("**/insert?plate=beach.png")
    assert list_plates(project) == [plate]


def test_what_is_no_plate_is_named_once(visit, plate, at, tmp_path):
    page = settled(visit(f"{at}/insert"))
    (tmp_path / "offer.pdf").write_bytes(b"%PDF-1.4")
    page.set_input_files("#plates input[type=file]", tmp_path / "offer.pdf")
    page.wait_for_selector(".notice.fault")
    assert page.inner_text(".notice.fault p").startswith("offer.pdf: is a PDF")


def test_several_plates_at_once_are_all_taken(visit, plate, project, at, tmp_path):
    page = settled(visit(f"{at}/insert"))
    for name, colour in (("dune", "tan"), ("lake", "navy")):
        Image.new("RGB", (320, 240), colour).save(tmp_path / f"{name}.png")
    (tmp_path / "offer.pdf").write_bytes(b"%PDF-1.4")
    dune, offer, lake = (tmp_path / name for name in ("dune.png", "offer.pdf", "lake.png"))
    page.set_input_files("#plates input[type=file]", [dune, offer])
    page.wait_for_selector("#plates img[alt=dune]")
    assert page.inner_text(".notice.fault p").startswith("offer.pdf: is a PDF")
    page.set_input_files("#plates input[type=file]", [lake])
    page.wait_for_url("**/insert?plate=lake.png")
    assert {one.name for one in list_plates(project)} == {plate.name, "dune.png", "lake.png"}


def test_favourites_and_two_side_by_side(visit, full, at):
    page = settled(visit(f"{at}/shoot"))
    page.locator(".star").first.click()
    page.wait_for_selector(".star[aria-pressed=true]")
    assert len(read_favourites(full)) == 1
    page.click("text=★ Favourites")
    wait(page, "document.querySelectorAll('.shot').length == 1")
    page.click("text=★ Favourites")
    wait(page, "document.querySelectorAll('.shot').length == 3")
    for number in range(3):  # the third takes the first one's place
        page.locator(".compared").nth(number).check()
    assert page.locator(".compared:checked").count() == 2
    page.click("[data-do=side]")
    assert page.locator("#side-by-side img").count() == 2 and faults(page) == []
    page.keyboard.press("Escape")
    assert not page.is_visible("#side-by-side")


def test_a_point_shows_its_pictures_by_mouse_and_keys(visit, full, at):
    page = settled(visit(f"{at}/choose"))
    assert page.locator(".behind h3:visible").inner_text().startswith("2026-01-01, 00:00, weight 1")
    page.locator(".dot").nth(1).click()
    assert "weight 0.8" in page.locator(".behind h3:visible").inner_text()
    page.locator(".dot").first.focus()
    page.keyboard.press("Enter")
    assert "weight 0.6" in page.locator(".behind h3:visible").inner_text()
