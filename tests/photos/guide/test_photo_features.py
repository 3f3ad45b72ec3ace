"""What a single photo shows, by its caption, name, EXIF, mask and pixels."""

from datetime import datetime

import numpy as np
import pytest
from PIL import Image

from packshot.photos.guide.photo_features import extract_features
from packshot.photos.photo_set import Photo


@pytest.fixture
def look(tmp_path):
    """The look of a picture, given as an array of greys or an image."""

    def call(pixels=None, caption=None, source="IMG_1.png", mask=None, exif=None):
        image = pixels if isinstance(pixels, Image.Image) else Image.new("RGB", (256, 256), "grey")
        image.save(tmp_path / "a.png", **({"exif": exif} if exif else {}))
        place = None
        if mask is not None:
            place = tmp_path / "mask.png"
            Image.fromarray(mask).save(place)
        return extract_features(
            Photo(tmp_path / "a.png", "", *image.size, caption, place, source, "")
        )

    return call


@pytest.mark.parametrize(
    ("caption", "views"),
    [
        ("ohwx car, front view", {"front"}), ("in front of a house", set()),
        ("seen from behind", {"rear"}), ("a tree behind it", set()), ("at the back of a hall", set()),
        ("side view", {"side"}), ("on the side of the road", set()), ("tre quarti", {"three_quarter"}),
        ("three-quarter view", {"three_quarter"}), ("visto di fianco", {"side"}),
        ("visto davanti", {"front"}), ("davanti a una casa", set()), ("Front and REAR", {"front", "rear"}),
        ("seaside", set()), ("", set()),
    ],
)  # fmt: skip
def test_views_are_read_in_both_languages(look, caption, views):
    assert look(caption=caption).views == views


def test_where_the_caption_says_nothing_the_files_name_does(look):
    assert look(source="duster_rear-night.jpg").views == {"rear"}
    assert look(source="duster_rear-night.jpg").light == "night"
    found = look(caption="front view, at dusk", source="rear-night.jpg")
    assert (found.views, found.light) == ({"front"}, "dusk")
    assert look(caption="a car").light is None and look().captioned is False


def square(left, upper, side, of=256):
    mask = np.zeros((of, of), np.uint8)
    mask[upper : upper + side, left : left + side] = 255
    return mask


@pytest.mark.parametrize(
    ("mask", "share", "cut_off", "small"),
    [
        (None, None, None, False), (np.zeros((256, 256), np.uint8), None, None, False),
        (np.full((256, 256), 255, np.uint8), None, None, False),
        (square(64, 64, 128), 0.25, False, False), (square(0, 64, 128), 0.25, True, False),
        (square(128, 128, 128), 0.25, True, False), (square(100, 100, 32), 1 / 64, False, True),
        (square(64, 0, 20), 100 / 128**2, False, True),
    ],
)  # fmt: skip
def test_a_mask_tells_how_much_of_it_is_the_product(look, mask, share, cut_off, small):
    found = look(mask=mask)
    assert found.share == (pytest.approx(share) if share else None)
    assert (found.cut_off, found.small) == (cut_off, small)


def test_dark_and_burnt_out(look):
    assert look(Image.new("RGB", (256, 256), (10, 10, 10))).dark and not look().dark
    white = Image.new("RGB", (256, 256), "grey")
    white.paste("white", (64, 64, 192, 192))
    assert look(white).bright and not look().bright
    assert not look(white, mask=square(0, 0, 60)).bright, "it is not the product that is white"


def test_backgrounds_are_compared_without_the_product(look):
    red, blue = (Image.new("RGB", (256, 256), colour) for colour in ("red", "blue"))
    red.paste("white", (64, 64, 192, 192))
    mask = square(64, 64, 128)
    plain, other = look(red, mask=mask), look(blue, mask=mask)
    assert plain.background.sum() == pytest.approx(1) and plain.overlap(plain) == pytest.approx(1)
    assert plain.overlap(other) == 0 == other.overlap(plain)
    alone = look(Image.new("RGB", (256, 256), "red"), mask=mask)
    assert plain.overlap(alone) > 0.9, "what the product looks like does not count"


def clock(text):
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif.get_ifd(0x8769)[0x9003] = text
    return exif


@pytest.mark.parametrize(
    "text", ["", "yesterday", "0000:00:00 00:00:00", "2026:13:01 00:00:00", "\x00"]
)
def test_a_clock_that_makes_no_sense_is_none(look, text):
    assert look(exif=clock(text)).taken is None


def test_the_cameras_clock_is_read(look):
    assert look(exif=clock("2026:01:02 03:04:05")).taken == datetime(2026, 1, 2, 3, 4, 5)
    assert look().taken is None
