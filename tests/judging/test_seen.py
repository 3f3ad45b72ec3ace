"""A picture in its parts, against pictures whose parts are known."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image, ImageDraw

from packshot.judging.seen import SIDE, see

GREY = 0.0


def drawn(*boxes, size=(200, 120)):
    """A blue picture with red boxes, and its mask."""
    picture, mask = Image.new("RGB", size, "blue"), Image.new("L", size)
    for box in boxes:
        ImageDraw.Draw(picture).rectangle(box, fill="red")
        ImageDraw.Draw(mask).rectangle(box, fill=255)
    return picture, mask


def test_the_product_is_alone_and_fills_the_square_wherever_it_stood():
    one, other = (see(*drawn((x, y, x + 39, y + 39))) for x, y in ((20, 30), (150, 70)))
    assert np.abs(one.product - other.product).max() < 0.02
    red, blue = one.product[0, 0], one.product[0, 2]
    assert red[SIDE // 2, SIDE // 2] == pytest.approx(1, abs=0.01)
    assert one.product[0, :, 2, 2].tolist() == pytest.approx([GREY] * 3, abs=0.01)
    share = (red > 0.9).float().mean()
    assert share == pytest.approx((40 / 46) ** 2, abs=0.01) and not (blue > 0.1).any()


def test_nothing_of_the_product_is_in_the_background():
    seen = see(*drawn((20, 30, 80, 90)))
    assert (seen.background[0, 0] < -0.99).all() and (seen.background[0, 2] > 0.99).all()


@pytest.mark.parametrize(
    ("boxes", "count"),
    [
        ([(10, 10, 60, 60)], 1), ([(10, 10, 60, 60), (100, 20, 150, 70)], 2),
        ([(10, 10, 60, 60), (100, 20, 104, 24)], 1), ([], 0),
    ],
)  # fmt: skip
def test_products_are_counted_and_specks_are_not(boxes, count):
    assert see(*drawn(*boxes)).count == count


def test_a_picture_without_a_product_is_looked_at_whole():
    seen = see(*drawn())
    assert (seen.product == seen.background).all() and (seen.product[0, 2] > 0.99).all()


def test_a_product_at_the_edge_is_completed_with_grey():
    seen = see(*drawn((0, 0, 99, 39)))
    assert seen.product.shape == (1, 3, SIDE, SIDE)
    assert seen.product[0, 0, SIDE // 2, SIDE // 2] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("box", [(60, 60, 1100, 1100), (0, 0, 1199, 1199)])
def test_a_large_picture_is_not_in_memory_many_times(box):
    """Of a phone's 50 megapixels eight copies as floats would take more than 4 GB."""
    parts = drawn(box, size=(1200, 1200))
    tracemalloc.start()
    try:
        see(*parts)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 1200 * 1200 * 12
