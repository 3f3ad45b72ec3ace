"""Shop pictures: where the product lies in them, how large it is, and what is around it."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from packshot.delivery.shop_formats import SHOP_FORMATS, encoded, shop_picture

ALL = pytest.mark.parametrize("format", SHOP_FORMATS.values(), ids=lambda one: one.name)


def product(width, height):
    """A red product with a hole at its upper left corner, whose hidden colour is green."""
    picture = np.zeros((height, width, 4), np.uint8)
    picture[...] = (200, 20, 30, 255)
    picture[: height // 3, : width // 3] = (0, 255, 0, 0)
    return Image.fromarray(picture, "RGBA")


def extent(picture):
    """Where the product is: left, top, right, bottom, by opacity or by what is not white."""
    values = np.asarray(picture, int)
    inside = values[..., 3] > 127 if values.shape[2] == 4 else (255 - values[..., 1]) > 117
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


@ALL
@pytest.mark.parametrize("size", [(300, 120), (90, 400), (3000, 2999)])
def test_the_product_fills_85_percent_in_the_middle(format, size):
    picture = shop_picture(product(*size), format)
    assert picture.size == (format.width, format.height)
    left, top, right, bottom = extent(picture)
    share = max((right - left) / format.width, (bottom - top) / format.height)
    assert share == pytest.approx(0.85, abs=0.002)
    assert (right - left) / (bottom - top) == pytest.approx(size[0] / size[1], rel=0.01)
    assert abs(left + right - format.width) <= 2 and abs(top + bottom - format.height) <= 2


@ALL
def test_around_it_is_white_or_nothing_and_no_hidden_colour_bleeds(format):
    values = np.asarray(shop_picture(product(60, 60), format), int)
    corner = values[:10, :10].reshape(-1, values.shape[2])
    assert (corner == ((255, 255, 255, 0) if format.is_transparent else (255, 255, 255))).all()
    seen = values[..., 3] > 8 if format.is_transparent else np.full(values.shape[:2], True)
    is_green = (values[..., 1] > values[..., 0] + 12) & seen
    assert not is_green.any()


def test_shapes_are_what_they_are_called():
    shapes = {one.name: one.width / one.height for one in SHOP_FORMATS.values()}
    assert shapes["square"] == 1 and shapes["portrait"] == 4 / 5 and shapes["wide"] == 16 / 9
    assert SHOP_FORMATS["square"].width == 2000


@ALL
def test_files_say_that_they_are_srgb_and_hold_the_picture(format):
    picture = shop_picture(product(300, 200), format)
    with Image.open(io.BytesIO(encoded(picture, format))) as read:
        assert read.format == {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}[format.ending]
        profile = ImageCms.ImageCmsProfile(io.BytesIO(read.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileDescription(profile)
        assert read.mode == ("RGBA" if format.is_transparent else "RGB")
        far = np.abs(
            np.asarray(read.convert("RGBA"), int) - np.asarray(picture.convert("RGBA"), int)
        )
        shown = np.asarray(picture.convert("RGBA"))[..., 3] > 0
    assert far[shown].mean() < 2
