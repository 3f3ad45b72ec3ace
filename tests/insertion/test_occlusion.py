"""What stands before the product hides it, and stays as it is."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from packshot.errors import ImageRejectedError, InsertionError
from packshot.insertion.background import Background, Box
from packshot.insertion.insert import _checked
from packshot.insertion.occlusion import find_front, read_front, softened, with_front
from packshot.insertion.placement import Placement
from tests.insertion.scenes import background, cut_out_of, inserted, scene

POST = (108, 70, 132, 165)
"""Of a plate of 240 x 180: before the middle of the place, its foot lower than the product's."""


def plate():
    """Sand, with a dark post on it."""
    shown = background("sand")
    image = Image.fromarray(shown.pixels)
    ImageDraw.Draw(image).rectangle(POST, fill=(40, 60, 45))
    return replace(shown, pixels=np.asarray(image))


def mask_file(folder, mode="L", size=(240, 180)):
    image = Image.new(mode, size)
    ImageDraw.Draw(image).rectangle(POST, fill="white")
    image.save(folder / "front.png")
    return folder / "front.png"


def hidden_scene(folder):
    front, _ = read_front(plate(), mask_file(folder))
    shown = scene("sand")
    crop = shown.crop
    return replace(shown, background=plate(), image=plate().colours(crop), front=front[crop.region])


def behind(shown, **settings):
    return inserted(shown, **settings).behind(shown.image, shown.front)


def test_its_pixels_are_the_plates_own_and_the_product_shows_beside_it(tmp_path):
    shown = hidden_scene(tmp_path)
    made = behind(shown, reflection=0.4)
    inside = shown.front == 1
    assert inside.sum() > 1500
    assert np.array_equal(made.image[inside], shown.image[inside])
    assert not made.changed_mask[inside].any() and not made.alpha[inside[made.box.region]].any()
    after = shown.background.with_colours(shown.crop, made.image, made.changed_mask, made.opacity)
    post = np.s_[POST[1] + 3 : POST[3] - 3, POST[0] + 3 : POST[2] - 3]
    assert np.array_equal(after.pixels[post], shown.background.pixels[post])
    bare = inserted(replace(shown, front=None), reflection=0.4)
    clear = shown.front == 0
    assert np.array_equal(made.image[clear], bare.image[clear])


def test_the_checks_do_not_take_it_for_a_fault(tmp_path):
    shown = hidden_scene(tmp_path)
    made = behind(shown)
    checks = {check.name: check for check in _checked(shown, made, [made.cut], None)}
    assert all(check.passed for check in checks.values()), checks
    whole = replace(shown, front=np.ones_like(shown.front))
    whole.front[: made.box.top + made.box.height // 2] = 0
    below = {check.name for check in _checked(whole, behind(whole), [made.cut], None)}
    assert "contact" not in below, "nothing of its foot is seen"


def test_a_soft_mask_stays_as_it_is_drawn_and_others_are_read_as_masks_are(tmp_path):
    soft = np.zeros((180, 240), np.uint8)
    soft[60:160, 80:160] = np.minimum(255, 8 * np.arange(80))[None].astype(np.uint8)
    Image.fromarray(soft).save(tmp_path / "soft.png")
    front, notes = read_front(plate(), tmp_path / "soft.png")
    assert np.allclose(front, soft / 255) and notes == ()
    layer = Image.new("RGBA", (240, 180))
    ImageDraw.Draw(layer).rectangle(POST, fill=(200, 30, 30, 255))
    layer.save(tmp_path / "layer.png")
    front, notes = read_front(plate(), tmp_path / "layer.png")
    assert front[100, 120] == 1 and front[100, 60] == 0
    assert "stands before the product" in notes[0]


@pytest.mark.parametrize(
    "image,words",
    [
        (Image.new("L", (240, 180)), "is empty"),
        (Image.new("L", (100, 180), 255), "is 100 x 180 px"),
        (Image.fromarray(np.full((180, 240), 140, np.uint8)), "looks like a photo"),
    ],
)
def test_a_mask_that_is_none_is_refused(image, words, tmp_path):
    image.save(tmp_path / "front.png")
    with pytest.raises(InsertionError, match=words):
        read_front(plate(), tmp_path / "front.png")


def test_a_file_that_is_no_image_is_refused(tmp_path):
    (tmp_path / "front.png").write_text("none")
    with pytest.raises(ImageRejectedError):
        read_front(plate(), tmp_path / "front.png")


def test_an_edge_is_as_soft_as_the_picture_shows_it():
    """The picture's own step over five pixels becomes the edge's."""
    ramp = np.interp(np.arange(900), [447, 453], [0.2, 0.8])
    pixels = np.repeat((ramp * 255).round().astype(np.uint8)[None, :, None], 600, 0).repeat(3, 2)
    inside = np.zeros((600, 900), bool)
    inside[:, 450:] = True
    front = softened(inside, Background("", pixels, None), Box(0, 0, 900, 600))[300]
    assert front[:444].max() < 0.05 and front[456:].min() > 0.95
    assert front[448] < 0.45 and front[452] > 0.55
    assert (front[470:] == 1).all() and (front[:430] == 0).all()


class Seen:
    """A segmenter that sees rectangles of the plate, in a crop about the place."""

    name = "drawn"

    def __init__(self, corner, *boxes):
        self.corner, self.boxes = corner, boxes

    def mask(self, picture):
        image = Image.new("L", picture.size)
        for left, top, right, bottom in self.boxes:
            x, y = self.corner
            ImageDraw.Draw(image).rectangle((left - x, top - y, right - x, bottom - y), fill=255)
        return image


PLACE = Box(80, 70, 80, 78)
CORNER = (20, 10)


def test_what_stands_lower_and_overlaps_is_found():
    front = find_front(plate(), PLACE, Seen(CORNER, POST))
    assert front is not None and front.shape == (180, 240)
    drawn = np.zeros((180, 240), bool)
    drawn[POST[1] : POST[3] + 1, POST[0] : POST[2] + 1] = True
    assert (front > 0.5)[drawn].mean() > 0.95 and (front > 0.5)[~drawn].mean() < 0.01
    rough = (POST[0] - 4, POST[1] - 3, POST[2] + 4, POST[3] + 2)
    mended = find_front(plate(), PLACE, Seen(CORNER, rough))
    assert mended is not None and (mended > 0.5)[~drawn].mean() < 0.01, "its colours decide"


@pytest.mark.parametrize(
    "seen",
    [
        (108, 20, 132, 140),  # its foot is further away than the product's
        (20, 70, 60, 165),  # it stands beside the place
        (10, 90, 230, 179),  # the ground
        (70, 60, 170, 165),  # it would hide all of it
    ],
)
def test_what_stands_elsewhere_is_not(seen):
    assert find_front(plate(), PLACE, Seen(CORNER, seen)) is None


def test_it_is_said_what_was_found():
    place = Placement(PLACE, notes=("as before",))
    found = with_front(place, plate(), "auto", Seen(CORNER, POST))
    assert found.front is not None and "was found that stands before" in found.notes[1]
    none = with_front(place, plate(), "auto", Seen(CORNER))
    assert none.front is None and "nothing was found" in none.notes[1]
    assert with_front(place, plate(), None) is place


def test_the_cut_out_is_the_same(tmp_path):
    shown = hidden_scene(tmp_path)
    assert behind(shown).box == inserted(replace(shown, front=None)).box
    assert cut_out_of().alpha.max() <= 1
