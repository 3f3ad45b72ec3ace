"""Contact sheets: where each picture lies."""

import numpy as np
import pytest
from PIL import Image

from packshot.images.contact_sheet import contact_sheet, overview

GAP, CELL = 12, 64


def plain(colour, size=(32, 32)):
    return Image.new("RGB", size, colour)


def test_pictures_lie_in_rows_in_their_order():
    colours = [(40 * number, 0, 200) for number in range(5)]
    sheet = contact_sheet([plain(c) for c in colours], columns=3, cell_pixels=CELL)
    assert sheet.size == (3 * (CELL + GAP) + GAP, 2 * (CELL + GAP) + GAP)
    for index, colour in enumerate(colours):
        middle = GAP + CELL // 2
        place = (middle + index % 3 * (CELL + GAP), middle + index // 3 * (CELL + GAP))
        assert sheet.getpixel(place) == colour
    assert sheet.getpixel((sheet.width - 40, sheet.height - 40)) == (255, 255, 255)


def test_a_picture_keeps_its_shape():
    sheet = contact_sheet([plain("red", (200, 100))], cell_pixels=CELL)
    red = np.argwhere(np.asarray(sheet)[..., 1] < 128)
    assert (red.min(0) == GAP).all() and (red.max(0) - red.min(0) + 1).tolist() == [CELL // 2, CELL]


@pytest.mark.parametrize("size", [(5000, 1), (1, 5000), (1, 1)])
def test_pictures_of_odd_shapes_are_shown(size):
    sheet = contact_sheet([plain("red", size)], cell_pixels=CELL)
    assert (np.asarray(sheet)[..., 1] < 200).any()


def test_without_pictures_there_is_an_empty_sheet():
    assert contact_sheet([], cell_pixels=CELL).size == (CELL + 2 * GAP, GAP)


def test_labels_stand_under_their_pictures_and_are_cut_after_three_lines():
    short = contact_sheet([plain("red")] * 2, labels=["a car", ""], cell_pixels=CELL)
    long = contact_sheet([plain("red")] * 2, labels=["word " * 100, ""], cell_pixels=CELL)
    plainly = contact_sheet([plain("red")] * 2, cell_pixels=CELL)
    assert [one.height - plainly.height for one in (short, long)] == [18, 54]
    under = np.asarray(short.convert("L"))[GAP + CELL + 1 :]
    half = short.width // 2
    assert (under[:, :half] < 128).any() and not (under[:, half:] < 128).any()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16", "1"])
def test_pictures_of_any_mode_are_shown(mode):
    assert contact_sheet([Image.new(mode, (16, 16))], cell_pixels=CELL).mode == "RGB"


@pytest.mark.parametrize(
    ("count", "shown"), [(1, [0]), (2, [0, 1]), (4, [0, 1, 2, 3]), (10, [0, 3, 6, 9])]
)
def test_an_overview_shows_photos_spread_over_all_and_every_shot(count, shown):
    photos = [plain((20 * number, 0, 0)) for number in range(count)]
    sheet = overview(photos, [plain("blue")] * 2, ["one", "two"])
    row = 12 + 128
    found = [sheet.getpixel((row + i * (256 + 12), row))[0] // 20 for i in range(len(shown))]
    assert found == shown
    assert np.asarray(sheet)[..., 2].max() == 255
