"""The watermark in photographs, before and after what happens to pictures."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

from packshot.provenance import watermark
from packshot.provenance.watermark_code import CODE_BITS, decoded, encoded

NUMBER = 0x3FA9C1D2


def photo(name="chelsea", longest=640):
    picture = Image.fromarray(getattr(data, name)()).convert("RGB")
    scale = longest / max(picture.size)
    size = [round(side * scale) for side in picture.size]
    return np.asarray(picture.resize(size, Image.Resampling.LANCZOS))


def marked(picture, **more):
    values = watermark.marked(picture.astype(np.float32) / 255, NUMBER, **more)
    return (values * 255).round().astype(np.uint8)


def jpeg(picture, quality):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def scaled(picture, scale):
    size = [round(side * scale) for side in picture.shape[1::-1]]
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


LOSSES = {
    "none": lambda picture: picture,
    "jpeg 50": lambda picture: jpeg(picture, 50),
    "half": lambda picture: scaled(picture, 0.5),
    "screenshot": lambda picture: jpeg(scaled(picture, 0.73), 85),
    "crop": lambda picture: picture[31:-17, 13:-23],
    "warmer": lambda picture: (picture * [1.0, 0.93, 0.8]).round().astype(np.uint8),
    "grey": lambda picture: np.asarray(Image.fromarray(picture).convert("L")),
}


@pytest.mark.parametrize("name", LOSSES)
def test_it_is_read_after(name):
    assert watermark.found(LOSSES[name](marked(photo()))) == NUMBER


@pytest.mark.parametrize("name", ["chelsea", "coffee", "rocket"])
def test_it_is_not_seen_and_photos_without_one_have_none(name):
    picture = photo(name)
    assert peak_signal_noise_ratio(picture, marked(picture)) > 44
    assert np.abs(marked(picture).astype(int) - picture).max() <= 9
    assert watermark.found(picture) is None


def test_outside_its_zone_every_value_is_as_it_was_and_inside_it_is_read():
    picture, weights = photo(longest=900), np.zeros((600, 900), np.float32)
    weights = weights[: picture.shape[0], : picture.shape[1]]
    weights[200:500, 300:650] = 1
    zone = slice(200, 500), slice(300, 650)
    result = marked(picture, weights=weights)
    assert np.array_equal(result[weights == 0], picture[weights == 0])
    assert watermark.found(result) == NUMBER
    part = watermark.marked(picture[zone].astype(np.float32) / 255, NUMBER, place=(200, 300))
    alone = picture.copy()
    alone[zone] = (part * 255).round()
    assert watermark.found(jpeg(alone, 75)) == NUMBER, "by its place in the picture"


def in_a_png(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.tell()


def test_where_it_is_smoothest_noise_is_spared_and_it_is_read_still():
    """The grain of a studio's wall, a third as strong as a PNG's smallest step, around a photograph."""
    grain = np.random.default_rng(0).normal(0, 0.35, (1024, 1024, 1))
    wall = np.linspace(180, 210, 1024)[:, None, None] + grain + np.zeros(3)
    picture = wall.round().astype(np.uint8)
    picture[400:826, 200:840] = photo()
    result = marked(picture)
    assert in_a_png(result) - in_a_png(picture) < 20_000
    assert watermark.found(jpeg(scaled(result, 0.5), 75)) == NUMBER


@pytest.mark.parametrize("shape", [(1, 1), (30, 500), (40, 40), (300, 41), (64, 64, 3)])
def test_pictures_of_any_size_are_marked_and_read(shape):
    picture = np.full(shape, 128, np.uint8)
    assert watermark.found(picture) is None
    colours = np.full((*shape[:2], 3), 0.5, np.float32)
    assert watermark.marked(colours, NUMBER).shape == colours.shape


def test_the_code_corrects_wrong_bits_and_takes_no_chance_for_an_identifier():
    random = np.random.default_rng(0)
    for number in (0, NUMBER, 2**32 - 1):
        sent = encoded(number)
        wrong = random.random(CODE_BITS) < 0.08
        assert decoded(np.where(wrong, -sent, sent)) == number
    assert not any(decoded(random.normal(size=CODE_BITS)) for _ in range(100))
