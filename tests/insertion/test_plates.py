"""Plates that are kept in a project, and the places painted on them."""

import pytest
from PIL import Image, ImageDraw

from packshot.errors import ImageRejectedError, InsertionError
from packshot.insertion.plates import (
    add_plate,
    draw_place,
    list_plates,
    place_file,
    plate_named,
    remove_plates,
    restore_plates,
)
from tests.backgrounds import landscape


@pytest.fixture
def photo(tmp_path):
    def make(name="A beach!.PNG", seed=0):
        file = tmp_path / "given" / name
        file.parent.mkdir(exist_ok=True)
        picture = landscape(200, 150, 60 + seed)
        Image.fromarray(picture).save(file, format="PNG")
        return file

    return make


def test_a_plate_is_copied_as_it_is_under_a_plain_name(project, photo):
    plate = add_plate(project, photo())
    assert plate.name == "A-beach.png"
    assert plate.read_bytes() == photo().read_bytes() and list_plates(project) == [plate]


def test_the_same_picture_is_kept_once_and_another_of_its_name_gets_a_number(project, photo):
    first = add_plate(project, photo())
    assert add_plate(project, photo("copy.png")) == first
    assert add_plate(project, photo(seed=9)).name == "A-beach-2.png"


@pytest.mark.parametrize("name", ["../../escape.png", "con.png", "...png", "a/b.png"])
def test_no_name_leads_out_of_the_folder(project, photo, name):
    plate = add_plate(project, photo(), name)
    assert plate.parent == project.plates_folder and list_plates(project) == [plate]


def test_what_is_no_picture_is_refused(project, tmp_path):
    (tmp_path / "beach.png").write_text("no picture")
    with pytest.raises(ImageRejectedError):
        add_plate(project, tmp_path / "beach.png")
    assert list_plates(project) == []


def test_a_plate_is_taken_out_with_its_place_and_put_back(project, photo):
    plate = add_plate(project, photo())
    draw_place(project, plate.name, square())
    assert remove_plates(project, [plate.name, "none.png", "../packshot.toml"]) == [plate.name]
    assert list_plates(project) == [] and not place_file(project, plate.name).exists()
    assert add_plate(project, photo(seed=5)).name == "A-beach-2.png"  # it may come back
    assert restore_plates(project, [plate.name]) == [plate.name]
    assert plate in list_plates(project) and place_file(project, plate.name).is_file()


def square(size=(100, 75), box=(20, 30, 60, 70)):
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    return mask


def test_a_place_is_kept_at_the_plates_size(project, photo):
    plate = add_plate(project, photo())
    with Image.open(draw_place(project, plate.name, square())) as kept:
        assert kept.size == (200, 150)
        left, top, right, bottom = kept.point(lambda v: 255 * (v > 127)).getbbox()
    assert max(abs(left - 40), abs(top - 60), abs(right - 122), abs(bottom - 142)) <= 2
    draw_place(project, plate.name, None)
    assert not place_file(project, plate.name).exists()


@pytest.mark.parametrize(
    ("mask", "words"),
    [(square((50, 75)), "another shape"), (Image.new("L", (100, 75)), "empty")],
)
def test_a_place_that_is_none_is_refused(project, photo, mask, words):
    plate = add_plate(project, photo())
    with pytest.raises(ImageRejectedError, match=words):
        draw_place(project, plate.name, mask)
    assert not place_file(project, plate.name).exists()


def test_a_plate_that_is_not_there_says_so(project):
    with pytest.raises(InsertionError, match=r"no plate 'beach\.png'"):
        plate_named(project, "beach.png")
