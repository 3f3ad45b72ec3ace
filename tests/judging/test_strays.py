"""Photos of another product among a project's own are told, and none of its own."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from packshot.judging import strays
from packshot.masks.bundled import BundledSegmenter
from packshot.photos.photo_set import add_photos, list_photos, write_mask
from packshot.project import create_project

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def mixed(tmp_path):
    """Four photos of a car, two of them from the same side, and one of a watch; with masks."""
    cars = sorted((EXAMPLES / "torvane_ridge").glob("*-studio-*.jpg"))
    watch = next((EXAMPLES / "veldane_tide").glob("*.jpg"))
    for photo in (*cars, watch):
        shutil.copy(photo, tmp_path / f"{photo.parent.name}-{photo.name}")
    project = create_project(tmp_path / "project", name="Car", class_noun="suv")
    add_photos(project, tmp_path)
    segmenter = BundledSegmenter()
    for photo in list_photos(project):
        write_mask(project, photo, segmenter.mask(Image.open(photo.file)), "test")
    return project


@pytest.mark.slow
def test_a_photo_of_another_product_is_told(mixed):
    ((photo, alike),) = strays.unlike_the_others(list_photos(mixed))
    assert photo.file.name.startswith("veldane_tide") and alike < strays.LEAST_ALIKE
    own = [one for one in list_photos(mixed) if one.file != photo.file]
    assert strays.unlike_the_others(own) == []
    assert strays.unlike_the_others([photo, own[0]]) == [], "of two none is the stray"


@pytest.mark.slow
def test_photos_without_a_mask_and_damaged_ones_are_left_out(mixed):
    stray = next(one for one in list_photos(mixed) if one.file.name.startswith("veldane_tide"))
    before = list_photos(mixed)
    before[0].file.write_bytes(b"damaged")
    assert [photo.file for photo, _ in strays.unlike_the_others(before)] == [stray.file]
    stray.mask.unlink()
    without = [replace(photo, mask=None) if photo.file == stray.file else photo for photo in before]
    assert strays.unlike_the_others(without) == []
