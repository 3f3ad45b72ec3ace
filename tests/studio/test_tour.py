"""The guide, step by step: what it says follows from the project, and it can be left at any time."""

import pytest

from packshot.captions.edit import edit_captions
from packshot.insertion.plates import list_plates
from packshot.photos.photo_set import list_photos, note_missed
from packshot.plan.config import write_plan
from packshot.studio.app import STEPS
from packshot.utils import files
from tests.studio.shop import cut_out_all, fill, write_plate


def said(studio, at, view, was=""):
    return studio.get(f"{at}/tour/{view}?was={was}")


def test_the_sample_is_begun_with_it_and_left_by_a_button(studio, workspace):
    address = studio.post("/projects/sample").headers["hx-redirect"]
    assert (
        'id="tour-begin"' not in (page := studio.get(address).text) and 'class="card tour"' in page
    )
    at = address.rsplit("/", 1)[0]
    studio.post(f"{at}/tour/leave")
    assert (
        'id="tour-begin"' in (page := studio.get(address).text) and 'class="card tour"' not in page
    )
    studio.post(f"{at}/tour")
    assert 'class="card tour"' in studio.get(f"{at}/deliver").text


def test_the_photos_are_captioned_then_cut_out_then_it_goes_on(studio, project, at):
    assert f'hx-post="{at}/photos/caption"' in said(studio, at, "photos").text
    edit_captions(project, {f"photo-{n}.png": f"ohwx kettle, {n}" for n in range(3)})
    assert f'hx-post="{at}/photos/mask"' in said(studio, at, "photos").text
    studio.post(f"{at}/photos/mask")
    assert "being cut out" in said(studio, at, "photos").text  # its job is in the queue
    studio.studio.queue.stop(studio.studio.queue.jobs()[0].id)
    cut_out_all(project)
    page = said(studio, at, "photos").text
    assert f'href="{at}/class-images"' in page and "tour-do" not in page


def test_photos_in_which_no_product_is_found_do_not_hold_it_up(studio, project, at):
    edit_captions(project, {f"photo-{n}.png": f"ohwx kettle, {n}" for n in range(3)})
    for photo in list_photos(project):
        assert 'id="tour-next"' not in said(studio, at, "photos").text
        note_missed(project, photo, "a segmenter")
    page = said(studio, at, "photos").text
    assert "was not found" in page and f'href="{at}/class-images"' in page


def test_what_it_says_already_is_not_sent_again(studio, project, at):
    assert said(studio, at, "plan").status_code == 200
    assert said(studio, at, "plan", was="plan.unmeasured").status_code == 204
    assert said(studio, at, "nowhere").status_code == 404


def test_each_view_of_a_new_project_and_of_a_whole_one_has_something_to_say(
    studio, project, at, tmp_path, planned
):
    for language in ("en", "it"):
        for step in STEPS:
            page = studio.get(f"{at}/tour/{step.name}", headers={"accept-language": language})
            assert page.status_code == 200, step.name
    fill(project, write_plate(tmp_path / "beach.png"))
    write_plan(planned, project.plan_file)
    goes_on = [step.name for step in STEPS if 'id="tour-next"' in said(studio, at, step.name).text]
    assert goes_on == ["class-images", "plan", "train", "choose", "shoot"]
    assert 'form="insertion"' in said(studio, at, "insert").text
    assert 'form="delivery"' in said(studio, at, "deliver").text


def test_the_sample_place_is_taken_as_a_plate(studio, project, at):
    cut_out_all(project)
    assert f"{at}/tour/plate" in said(studio, at, "insert").text
    (name,) = [studio.post(f"{at}/tour/plate").headers["hx-redirect"].partition("plate=")[2]]
    assert [plate.name for plate in list_plates(project)] == [name]


@pytest.mark.parametrize("text", ["{", "{}", "[3]", "null"])
def test_a_record_that_makes_no_sense_begins_none(studio, workspace, project, at, text):
    files.write_text(workspace.state_folder / "tours.json", text)
    assert 'id="tour-begin"' in studio.get(f"{at}/plan").text
