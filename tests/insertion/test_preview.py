"""Small previews show what the insertion in full will be."""

import cv2
import numpy as np
import pytest
from PIL import Image

from packshot.errors import InsertionError
from packshot.insertion.background import load_background
from packshot.insertion.insert import insert
from packshot.insertion.preview import Previewer
from packshot.insertion.request import PlacementRequest
from packshot.insertion.settings import InsertionSettings
from packshot.photos.photo_set import list_photos
from tests.backgrounds import landscape

BOX = PlacementRequest(box="360,300,240,180")
LIT = InsertionSettings(light_azimuth_degrees=20, light_elevation_degrees=40, horizon=260, tries=1)


@pytest.fixture
def plate(tmp_path):
    file = tmp_path / "sand.png"
    Image.fromarray(landscape(800, 600, 260)).save(file)
    return file


@pytest.fixture
def previewer(product, tmp_path):
    return Previewer(product, tmp_path / "small", pixels=400)


def pixels(image):
    return np.asarray(image, np.float32) / 255


def test_a_preview_is_the_insertion_made_smaller(product, previewer, plate, tmp_path):
    seen = previewer.preview(plate, BOX, LIT)
    read = load_background(plate)
    made = insert(product, read, BOX.resolve(read, product, LIT), tmp_path / "out", settings=LIT)
    full = cv2.resize(pixels(Image.open(made.file)), (400, 300), interpolation=cv2.INTER_AREA)
    before = cv2.resize(pixels(Image.open(plate)), (400, 300), interpolation=cv2.INTER_AREA)
    assert seen.photo == made.photo and seen.image.size == (400, 300)
    far = np.abs(pixels(seen.image) - full).mean()
    assert far < 0.12 * np.abs(before - full).mean()  # small beside what the insertion has changed
    assert seen.horizon == pytest.approx(260) and vars(seen.box) == vars(
        BOX.resolve(read, product, LIT).box
    )


def test_settings_are_seen(previewer, plate):
    one = previewer.preview(plate, BOX, LIT)
    other = previewer.preview(plate, BOX, LIT.model_copy(update={"light_azimuth_degrees": 160.0}))
    foot = slice(200, 260)
    left, right = slice(60, 170), slice(310, 390)
    change = pixels(one.image) - pixels(other.image)
    assert change[foot, left].mean() < 0 < change[foot, right].mean()  # the shadow changes its side


def test_a_photo_can_be_chosen(product, previewer, plate):
    names = [photo.file.name for photo in list_photos(product)]
    for name in names[:2]:
        asked = LIT.model_copy(update={"photo": name})
        assert previewer.preview(plate, BOX, asked).photo == name


def test_a_painted_place_and_the_estimated_light(previewer, plate, tmp_path):
    mask = np.zeros((600, 800), np.uint8)
    mask[320:500, 100:300] = 255
    Image.fromarray(mask).save(tmp_path / "place.png")
    seen = previewer.preview(
        plate, PlacementRequest(mask=tmp_path / "place.png"), InsertionSettings()
    )
    assert abs(seen.box.left - 100) <= 2 and abs(seen.box.bottom - 500) <= 2
    assert 0 <= seen.light.azimuth_degrees < 360


def test_copies_are_kept_and_made_anew_for_another_mask(product, previewer, plate, tmp_path):
    previewer.preview(plate, BOX, LIT)
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "small").rglob("*.png")}
    previewer.preview(plate, BOX, LIT)
    assert before == {f: f.stat().st_mtime_ns for f in (tmp_path / "small").rglob("*.png")}
    photo = list_photos(product)[0]
    Image.open(photo.mask).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(photo.mask)
    previewer.preview(plate, BOX, LIT)
    assert len(list((tmp_path / "small").rglob("*.png"))) == len(before) + 2


def test_a_place_that_is_none_says_so(previewer, plate):
    with pytest.raises(InsertionError, match="four whole numbers"):
        previewer.preview(plate, PlacementRequest(box="left"), LIT)
