"""The view of deliveries: what is offered, queued, and downloaded."""

import io
import zipfile

import pytest

from packshot.delivery import deliver_project
from packshot.utils import files
from tests.studio.shop import cut_out_all, write_shot


def test_what_is_not_there_cannot_be_chosen(studio, at, project):
    page = studio.get(f"{at}/deliver").text
    assert "Nothing trained yet" in page and 'value="lora" disabled' in page
    files.write_bytes(project.lora_file, b"weights")
    assert 'value="lora" checked' in studio.get(f"{at}/deliver").text


def test_what_is_chosen_is_queued(studio, at, project):
    studio.post(f"{at}/deliver", {
        "part": ["shop", "report"], "format": ["square"], "photo": ["photo-1.png", "photo-2.png"],
    })  # fmt: skip
    (job,) = studio.studio.queue.jobs()
    assert job.arguments[:-2] == (
        "deliver", "--language=en", "--part=shop", "--part=report", "--format=square",
        "--photo=photo-1.png", "--photo=photo-2.png",
    )  # fmt: skip


def test_nothing_chosen_is_told(studio, at, project):
    assert "Choose something" in studio.post(f"{at}/deliver", {}).text
    assert studio.studio.queue.jobs() == []


@pytest.mark.parametrize("left", ["format", "photo"])
def test_shop_pictures_of_which_none_is_chosen_are_not_all_of_them(studio, at, project, left):
    chosen = {"part": ["shop", "report"], "format": ["square"], "photo": ["photo-1.png"]}
    told = studio.post(f"{at}/deliver", chosen | {left: []})
    assert "at least one format and one photo" in told.text
    assert studio.studio.queue.jobs() == []


def test_the_zip_and_its_pictures_are_served(studio, at, project):
    assert studio.get(f"{at}/deliver/zip").status_code == 404
    assert studio.get(f"{at}/deliver/made").text.strip() == ""
    cut_out_all(project)
    write_shot(project, "with", 1)
    made = deliver_project(project, ("shop", "shots"), formats=("square",))
    sent = studio.get(f"{at}/deliver/zip")
    assert (
        sent.headers["content-type"] == "application/zip"
        and "kettle.zip" in sent.headers["content-disposition"]
    )
    names = zipfile.ZipFile(io.BytesIO(sent.content)).namelist()
    assert "shots/with/shot-1.png" in names and len(names) == 4
    page = studio.get(f"{at}/deliver/made").text
    assert "4 files" in page
    for file in made.shop_pictures:
        assert studio.get(f"{at}/pictures/shop/{file.name}").content == file.read_bytes()
