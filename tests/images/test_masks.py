"""Masks in the forms that people's programs save."""

import numpy as np
import pytest
from PIL import Image

from packshot.errors import ImageRejectedError
from packshot.images.loading import read_picture
from packshot.images.masks import own_mask, read_drawn, read_mask, shows_a_product
from tests.odd_files import exif, painted, png, png_chunk

SIZE = (48, 32)
BOX = (10, 8, 30, 28)


def drawn(size=SIZE, box=BOX):
    """White in the box, black around it: what each form below says."""
    mask = Image.new("L", size)
    mask.paste(255, box)
    return mask


def test_a_mask_is_white_on_the_product_at_the_photos_size(tmp_path):
    mask = Image.new("L", (40, 20))
    mask.paste(255, (0, 0, 20, 20))
    mask.save(tmp_path / "m.png")
    scaled = read_mask(tmp_path / "m.png", (80, 40))
    assert (scaled.mode, scaled.size) == ("L", (80, 40))
    assert (scaled.getpixel((5, 5)), scaled.getpixel((75, 5))) == (255, 0)
    cut_out = Image.new("RGB", (40, 20), "red")
    cut_out.putalpha(mask)
    cut_out.save(tmp_path / "m.png")
    assert list(read_mask(tmp_path / "m.png", (40, 20)).getdata()) == list(mask.getdata())


def test_a_smaller_masks_slanting_edge_has_no_steps_on_its_photo(tmp_path):
    rows, columns = np.mgrid[:50, :50]
    Image.fromarray(np.where(columns > rows + 5, 255, 0).astype(np.uint8)).save(tmp_path / "m.png")
    large = np.asarray(read_mask(tmp_path / "m.png", (400, 400)), np.float32) / 255
    edge = 400 - large.sum(axis=1)[100:300]
    straight = np.polyval(np.polyfit(np.arange(200), edge, 1), np.arange(200))
    assert np.abs(edge - straight).max() < 1


def test_a_mask_of_another_shape_is_refused(tmp_path):
    Image.new("L", (40, 20)).save(tmp_path / "m.png")
    with pytest.raises(
        ImageRejectedError, match=r"m\.png: is 40 x 20 px, its upright photo 20 x 40; draw it"
    ):
        read_mask(tmp_path / "m.png", (20, 40))


def photo():
    return painted(1, SIZE)


def with_alpha(image, alpha):
    image = image.convert("RGB").copy()
    image.putalpha(alpha)
    return image


def inverted(mask):
    return mask.point(lambda value: 255 - value)


def with_palette(colours):
    """Indices 0 and 1 in these colours."""
    image = drawn().point(lambda value: value // 255)
    image.putpalette([channel for colour in colours for channel in colour])
    return image


def deep(most):
    return Image.fromarray(np.asarray(drawn()).astype(np.uint16) * (most // 255))


def painted_on_a_layer():
    """Black and white over a part, the rest never touched."""
    touched = drawn(box=(4, 2, 44, 30))
    return with_alpha(drawn(), touched)


FORMS = {
    "grey": (drawn, "white"),
    "one bit": (lambda: drawn().convert("1"), "white"),
    "grey with full alpha": (lambda: with_alpha(drawn(), 255), "white"),
    "nearly full alpha": (lambda: with_alpha(drawn(), Image.new("L", SIZE, 250)), "white"),
    "sixteen bits": (lambda: deep(65535), "white"),
    "labels in sixteen bits": (
        lambda: Image.fromarray((np.asarray(drawn()) // 255).astype(np.uint16)), "white",
    ),
    "palette": (lambda: with_palette([(0, 0, 0), (255, 255, 255)]), "white"),
    "palette of colours": (lambda: with_palette([(0, 0, 0), (0, 0, 200)]), "white"),
    "palette of VOC": (lambda: with_palette([(0, 0, 0), (128, 0, 0)]), "white"),
    "labels 0 and 1": (lambda: drawn().point(lambda value: value // 255), "white"),
    "red": (lambda: Image.merge("RGB", (drawn(), *[Image.new("L", SIZE)] * 2)), "white"),
    "white on a layer": (lambda: with_alpha(Image.new("L", SIZE, 255), drawn()), "opaque"),
    "black on a layer": (lambda: with_alpha(Image.new("L", SIZE, 0), drawn()), "opaque"),
    "red on a layer": (lambda: with_alpha(Image.new("RGB", SIZE, "red"), drawn()), "opaque"),
    "white on a grey layer": (
        lambda: Image.merge("LA", (Image.new("L", SIZE, 255), drawn())), "opaque",
    ),
    "cut-out": (lambda: with_alpha(photo(), drawn()), "opaque"),
    "black and white on a layer": (painted_on_a_layer, "white"),
    "hole in the photo": (lambda: with_alpha(photo(), inverted(drawn())), "hole"),
    "hole in black": (lambda: with_alpha(Image.new("L", SIZE), inverted(drawn())), "hole"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_read_as_it_is_meant(tmp_path, form):
    make, by = FORMS[form]
    make().save(tmp_path / "m.png")
    read = read_drawn(tmp_path / "m.png")
    assert (read.by, read.image.mode) == (by, "L")
    assert np.array_equal(np.asarray(read.image), np.asarray(drawn()))


def test_a_palette_with_a_transparent_colour_is_a_layer(tmp_path):
    with_palette([(0, 0, 0), (255, 255, 255)]).save(tmp_path / "m.png", transparency=0)
    assert np.array_equal(np.asarray(read_drawn(tmp_path / "m.png").image), np.asarray(drawn()))


@pytest.mark.parametrize(
    "form",
    ["grey", "sixteen bits", "labels in sixteen bits", "white on a layer", "hole in the photo"],
)
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_masks_are_turned_upright(tmp_path, form, orientation):
    turns = {
        3: Image.Transpose.ROTATE_180,
        6: Image.Transpose.ROTATE_90,
        8: Image.Transpose.ROTATE_270,
    }
    laid = FORMS[form][0]().transpose(turns[orientation])
    laid.save(tmp_path / "m.png", exif=exif(orientation))
    assert np.array_equal(np.asarray(read_drawn(tmp_path / "m.png").image), np.asarray(drawn()))


def test_soft_edges_stay_and_colour_profiles_change_nothing(tmp_path):
    soft = Image.linear_gradient("L")
    values = np.asarray(soft).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    gamma = png_chunk(b"gAMA", (100_000).to_bytes(4, "big"))
    (tmp_path / "m.png").write_bytes(png(256, 256, rows, gamma, depth=16, colour=0))
    assert np.array_equal(np.asarray(read_drawn(tmp_path / "m.png").image), np.asarray(soft))
    with_alpha(Image.new("L", (256, 256), 255), soft).save(tmp_path / "m.png")
    assert np.array_equal(np.asarray(read_drawn(tmp_path / "m.png").image), np.asarray(soft))


@pytest.mark.parametrize("box", [(2, 2, 46, 30), (10, 8, 30, 32)])
def test_a_hole_may_be_large_and_reach_the_lower_edge(tmp_path, box):
    with_alpha(photo(), inverted(drawn(box=box))).save(tmp_path / "m.png")
    read = read_drawn(tmp_path / "m.png")
    assert read.by == "hole" and read.image.tobytes() == drawn(box=box).tobytes()


def test_half_white_stays_half(tmp_path):
    half = drawn().point(lambda value: value // 2 + value % 2)
    half.save(tmp_path / "m.png")
    assert read_drawn(tmp_path / "m.png").image.tobytes() == half.tobytes()


def test_a_cut_out_that_fills_its_picture_is_no_hole(tmp_path):
    """Its corners are transparent, and those lie at the edge."""
    mask = Image.new("L", SIZE, 255)
    for left, top in ((0, 0), (36, 0), (0, 24), (36, 24)):
        mask.paste(0, (left, top, left + 12, top + 8))
    with_alpha(photo(), mask).save(tmp_path / "m.png")
    assert read_drawn(tmp_path / "m.png").by == "opaque"


def test_a_photos_own_alpha_is_a_mask_if_it_is_a_cut_out(tmp_path):
    for alpha, is_mask in (
        (drawn(), True), (inverted(drawn()), False), (Image.new("L", SIZE, 255), False),
        (Image.new("L", SIZE, 0), False),
    ):  # fmt: skip
        with_alpha(photo(), alpha).save(tmp_path / "a.png")
        own = own_mask(read_picture(tmp_path / "a.png").alpha)
        assert (own is not None) == is_mask
        assert own is None or (own.tobytes() == alpha.tobytes() and shows_a_product(own))
    photo().save(tmp_path / "a.png")
    assert own_mask(read_picture(tmp_path / "a.png").alpha) is None
