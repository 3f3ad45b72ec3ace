"""What a mask of a placement was taken for, and when it is refused."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from packshot.errors import InsertionError
from packshot.insertion.background import Box, load_background
from packshot.insertion.placement import in_mask
from tests.backgrounds import landscape

PLACE = Box(100, 120, 120, 90)


@pytest.fixture
def background(tmp_path):
    Image.fromarray(landscape()).save(tmp_path / "beach.png")
    return load_background(tmp_path / "beach.png")


@pytest.fixture
def place(background, tmp_path):
    """The placement of a mask that is drawn by some boxes (left, top, right, bottom)."""

    def call(*boxes, ink=255, paper=0, image=None):
        mask = image or Image.new("L", (400, 300), paper)
        for box in boxes:
            ImageDraw.Draw(mask).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=ink)
        mask.save(tmp_path / "m.png")
        return in_mask(background, tmp_path / "m.png")

    return call


WHOLE = (100, 120, 220, 210)


def test_one_white_part_needs_no_word(place):
    placement = place(WHOLE)
    assert (placement.box, placement.notes) == (PLACE, ())
    assert placement.mask.shape == (90, 120) and placement.mask.min() == 1


def test_specks_are_left_out_and_told(place):
    placement = place(WHOLE, (3, 4, 5, 5), (390, 280, 391, 281))
    assert placement.box == PLACE
    assert placement.notes == ("2 stray dots (3 px) in the mask m.png were left out",)
    one = place(WHOLE, (3, 4, 4, 5))
    assert one.notes == ("1 stray dot (1 px) in the mask m.png was left out",)


def test_a_speck_in_the_places_box_is_black_in_its_mask(place):
    shape = Image.new("L", (400, 300))
    ImageDraw.Draw(shape).polygon([(100, 209), (219, 209), (219, 120)], fill=255)
    placement = place((105, 125, 107, 127), image=shape)
    assert len(placement.notes) == 1 and placement.mask[:20, :20].max() == 0


def test_several_places_are_refused_with_where_they_are(place):
    with pytest.raises(InsertionError) as caught:
        place((20, 120, 120, 210), (250, 130, 350, 200))
    assert str(caught.value) == (
        "The mask m.png shows 2 places: 100 x 90 px at 20,120 and 100 x 70 px at 250,130. The product "
        "goes into one: leave only that one white, or join them."
    )
    with pytest.raises(InsertionError, match="shows 3 places"):
        place((20, 120, 60, 160), (150, 120, 190, 160), (300, 120, 340, 160))


def test_parts_that_lie_close_together_are_one_place(place):
    placement = place((100, 120, 158, 210), (161, 120, 220, 210))
    assert placement.box == PLACE
    assert placement.notes == ("the 2 parts of the mask m.png lie close together: one place",)


@pytest.mark.parametrize(
    "black", [WHOLE, (100, 200, 220, 300), (20, 20, 380, 280), (150, 150, 170, 170)]
)
def test_one_that_is_inverted_is_refused(place, black):
    with pytest.raises(InsertionError, match=r"m\.png is white all around and black within, so it"):
        place(black, ink=0, paper=255)


def test_one_that_covers_nearly_everything_is_refused(place):
    with pytest.raises(InsertionError, match=r"covers 100% of the picture\. Paint only the place"):
        place(paper=255)
    with pytest.raises(InsertionError, match=r"covers 9\d% of the picture"):
        place((5, 5, 395, 298))
    assert place((20, 90, 380, 295)).notes == ("the mask m.png covers 62% of the picture",)


def test_one_that_is_faint_or_a_photo_is_refused(place):
    with pytest.raises(
        InsertionError, match=r"m\.png is empty \(its brightest part is 40% white\)"
    ):
        place((0, 0, 9, 9), ink=60, image=place_at(102))
    with pytest.raises(InsertionError, match=r"m\.png looks like a photo: most of it is neither"):
        place(image=Image.fromarray(landscape()))


def place_at(grey):
    image = Image.new("L", (400, 300))
    image.paste(grey, WHOLE)
    return image


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("hole", "the mask m.png has a transparent hole, as ComfyUI saves masks: the hole marks the place"),
        ("layer", "the mask m.png is transparent in places: what is opaque in it marks the place"),
    ],
)  # fmt: skip
def test_what_transparency_was_taken_for_is_told(place, background, form, said):
    alpha = Image.new("L", (400, 300), 255 if form == "hole" else 0)
    alpha.paste(255 - alpha.getpixel((0, 0)), WHOLE)
    layer = (
        Image.fromarray(landscape()) if form == "hole" else Image.new("RGB", (400, 300), "white")
    )
    layer.putalpha(alpha)
    placement = place(image=layer)
    assert placement.box == PLACE and placement.notes == (said,)


def test_one_drawn_at_half_the_size_is_enlarged(place):
    half = Image.new("L", (200, 150))
    half.paste(255, (50, 60, 110, 105))
    assert place(image=half).box == PLACE


def test_a_product_as_large_as_half_the_picture_at_its_lower_edge_is_no_inverted_mask(place):
    placement = place((0, 130, 400, 300))
    assert placement.box == Box(0, 130, 400, 170)
    assert np.allclose(placement.mask, 1)
