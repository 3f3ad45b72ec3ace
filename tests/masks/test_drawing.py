"""Masks that a person draws."""

import numpy as np
import pytest
from PIL import Image

from packshot.errors import ImageRejectedError, ProjectError
from packshot.images.masks import read_drawn
from packshot.masks import draw_mask, mask_photos
from packshot.photos.photo_set import list_photos


class Everything:
    """A segmenter that finds the product in the left half."""

    name = "left"

    def mask(self, picture):
        mask = Image.new("L", picture.size)
        mask.paste(255, (0, 0, picture.width // 2, picture.height))
        return mask


def drawing(size, box):
    mask = Image.new("L", size)
    mask.paste(255, box)
    return mask


def test_a_drawn_mask_stays_whatever_finds_another(ready_project):
    first = list_photos(ready_project)[0]
    size = (first.width, first.height)
    drawn = draw_mask(ready_project, first.file.name, drawing(size, (50, 60, 150, 160)))
    assert drawn.mask and drawn.masked_by is None
    mask_photos(ready_project, Everything(), overwrite_generated=True)
    kept = np.asarray(read_drawn(drawn.mask).image)
    assert kept.shape == size[::-1] and np.argwhere(kept).min(axis=0).tolist() == [60, 50]


def test_a_smaller_drawing_is_enlarged_and_none_takes_the_mask_away(ready_project):
    first = list_photos(ready_project)[0]
    half = (first.width // 2, first.height // 2)
    photo = draw_mask(ready_project, first.file.name, drawing(half, (20, 20, 60, 60)))
    assert read_drawn(photo.mask).image.size == (first.width, first.height)
    assert draw_mask(ready_project, first.file.name, None).mask is None


@pytest.mark.parametrize(
    ("size", "box", "words"),
    [
        ((100, 10), (1, 1, 9, 9), "another shape"),
        (None, (0, 0, 0, 0), "empty"),
        (None, (0, 0, 999, 999), "covers all"),
    ],
)
def test_what_marks_no_product_is_refused(ready_project, size, box, words):
    first = list_photos(ready_project)[0]
    mask = drawing(size or (first.width, first.height), box)
    with pytest.raises(ImageRejectedError, match=words):
        draw_mask(ready_project, first.file.name, mask)
    assert list_photos(ready_project)[0].mask is None


def test_a_photo_that_is_not_there_is_told(ready_project):
    with pytest.raises(ProjectError, match=r"has no photo '\.\./x\.png'"):
        draw_mask(ready_project, "../x.png", drawing((9, 9), (1, 1, 4, 4)))
