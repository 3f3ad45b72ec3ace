import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from packshot.images.buckets import (
    MAX_CUT,
    bucket,
    cover_box,
    cut_share,
    is_croppable,
    nearest,
    sizes,
)

sides = st.integers(64, 8000)
bases = st.sampled_from([(64, 8), (128, 16), (96, 32), (512, 64), (1024, 64)])


@given(sides, sides, bases)
@settings(max_examples=200)
def test_buckets_have_whole_multiples_about_the_area_and_the_nearest_shape(width, height, base):
    pixels, multiple = base
    w, h = bucket(width, height, pixels, multiple)
    assert w % multiple == h % multiple == 0
    assert 0.25 <= w / h <= 4
    assert abs(w * h / pixels**2 - 1) < 0.25
    assert bucket(height, width, pixels, multiple) == (h, w)
    wanted = width / height
    nearest = min(max(wanted * y / x, x / wanted / y) for x, y in sizes(pixels, multiple))
    assert max(wanted * h / w, w / wanted / h) == pytest.approx(nearest)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ((3000, 3000), (512, 512)),
        ((4000, 3000), (576, 448)),
        ((1000, 4000), (256, 1024)),
        ((8000, 1000), (1024, 256)),
        ((2500, 1000), (832, 320)),
        ((1080, 1920), (384, 704)),
    ],
)
def test_known_buckets_of_512(picture, expected):
    assert bucket(*picture, 512, 64) == expected


@given(sides, sides, st.sampled_from(sizes(1024, 64)))
@settings(max_examples=200)
def test_enough_is_seen_is_what_the_crop_leaves(width, height, size):
    left, upper, right, lower = cover_box(width, height, *size)
    seen = (right - left) * (lower - upper) / (width * height)
    assume(abs(seen - (1 - MAX_CUT)) > 0.02)  # the crop is of whole pixels
    assert is_croppable(width, height, size) == (seen > 1 - MAX_CUT)


def test_the_nearest_of_some_buckets_is_by_shape_and_never_by_chance():
    some = {(832, 1216), (1216, 832), (896, 1152)}
    assert nearest(600, 800, some, 1024) == (896, 1152)
    assert nearest(500, 800, some, 1024) == (832, 1216)
    assert nearest(1000, 1000, some - {(896, 1152)}, 1024) == (832, 1216), "both are as near"


@given(sides, sides, bases, st.floats(0.3, 1), st.tuples(st.floats(0, 1), st.floats(0, 1)))
@settings(max_examples=300)
def test_the_box_lies_within_and_never_stretches(width, height, base, zoom, offset):
    w, h = bucket(width, height, *base)
    left, upper, right, lower = cover_box(width, height, w, h, zoom=zoom, offset=offset)
    assert 0 <= left < right <= width and 0 <= upper < lower <= height
    # Off by rounding to whole pixels of the source, and no more.
    assert abs((right - left) / w - (lower - upper) / h) <= 0.5 / w + 0.5 / h + 1e-9


def test_the_box_covers_one_side_wholly_and_follows_offset_and_zoom():
    assert cover_box(300, 200, 64, 64) == (50, 0, 250, 200)
    assert cover_box(300, 200, 64, 64, offset=(0, 0)) == (0, 0, 200, 200)
    assert cover_box(300, 200, 64, 64, offset=(1, 1)) == (100, 0, 300, 200)
    assert cover_box(300, 200, 64, 64, zoom=0.5, offset=(1, 1)) == (200, 100, 300, 200)


@pytest.mark.parametrize("base", [(512, 64), (768, 64), (1024, 32), (1024, 16)])
@given(st.floats(0.25, 4), st.integers(500, 4000))
@settings(max_examples=100)
def test_shapes_up_to_four_to_one_are_kept(base, ratio, height):
    width = round(ratio * height)
    size = bucket(width, height, *base)
    share = cut_share(width, height, size)
    assert 0 <= share < 0.15
    left, upper, right, lower = cover_box(width, height, *size)
    shown = (right - left) * (lower - upper) / (width * height)
    assert share == pytest.approx(1 - shown, abs=3 / min(width, height))


def test_what_is_cut_of_longer_shapes():
    assert cut_share(5000, 1000, bucket(5000, 1000, 512, 64)) == pytest.approx(0.2)
    assert cut_share(1000, 8000, bucket(1000, 8000, 512, 64)) == pytest.approx(0.5)
