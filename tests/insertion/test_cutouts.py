"""Cut-outs: their box, size, rim and order."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from packshot.errors import InsertionError
from packshot.insertion.background import Box
from packshot.insertion.cutouts import (
    CutOut,
    best_photos,
    chosen,
    cut_out,
    fitted,
    is_cut_off,
    squared,
    thumbnail,
)
from packshot.insertion.harmonize import relit
from packshot.insertion.mask_faults import MaskFaults
from packshot.insertion.placement import Placement
from packshot.photos.photo_set import DOUBTFUL, add_photos, list_photos
from packshot.project import create_project
from tests.insertion.scenes import cut_out_of


class Finds:
    """A segmenter that finds that box."""

    def __init__(self, *box):
        self.box, self.asked = box, 0

    def mask(self, image):
        self.asked += 1
        found = Image.new("L", image.size)
        if self.box:
            found.paste(255, self.box)
        return found


def unmasked(project):
    """Its photos without their masks."""
    return [replace(photo, mask=None) for photo in list_photos(project)]


def test_a_cut_out_is_its_masks_box_and_what_surrounds_it(product):
    photo = list_photos(product)[0]
    number = int(photo.source.removesuffix(".png"))
    cut = cut_out(photo)
    assert cut.alpha.shape == (91, 121) and cut.aspect == 121 / 91
    assert len(cut.beside) == 320 * 240 - 91 * 121
    assert (cut.beside.max(axis=0) <= 160 / 255).all(), "of the dappled background alone"
    label = cut.colours[25:45, 35:85]
    assert (label > 0.99).all(), f"the white label of photo {number}"


def test_without_a_mask_a_segmenter_is_asked_and_with_one_it_is_not(product):
    finds = Finds(70, 60, 110, 90)
    assert cut_out(list_photos(product)[0], finds).alpha.shape == (91, 121) and not finds.asked
    assert cut_out(unmasked(product)[0], finds).alpha.shape == (30, 40) and finds.asked == 1
    with pytest.raises(InsertionError, match=r"No product was found in .*paint its mask"):
        cut_out(unmasked(product)[0], Finds())


def test_photos_in_which_nothing_is_found_are_passed_over(product):
    masked, bare = list_photos(product), unmasked(product)
    place = Placement(Box(0, 0, 60, 60))
    found = best_photos([bare[0], *masked[1:]], place, None, Finds())
    assert {cut.photo.file for cut in found} == {photo.file for photo in masked[1:]}
    with pytest.raises(InsertionError, match="No photo shows the product whole"):
        best_photos(bare, place, None, Finds())


@pytest.mark.parametrize("caption,view,shows", [
    ("a photo of a box, front view", "front", True),
    ("a photo of a box, front three-quarter view", "front", False),
    ("a photo of a box, front three-quarter view", "front three quarter", True),
    ("a photo of a box, rear view", "front", False),
    (None, "front", False),
])  # fmt: skip
def test_a_view_is_the_captions(product, caption, view, shows):
    photo = replace(list_photos(product)[0], caption=caption)
    if shows:
        assert len(best_photos([photo], Placement(Box(0, 0, 60, 60)), view)) == 1
    else:
        with pytest.raises(InsertionError, match="as seen from the front"):
            best_photos([photo], Placement(Box(0, 0, 60, 60)), view)


@pytest.mark.parametrize(
    "box,wanted",
    [
        (Box(10, 20, 200, 80), Box(76, 20, 68, 80)),  # as high as the place, in its middle
        (Box(10, 20, 40, 90), Box(10, 63, 40, 47)),  # as wide, on its lower edge
    ],
)
def test_it_fits_its_place_in_its_proportions_on_the_lower_edge(box, wanted):
    cut = replace(cut_out_of(), colours=np.full((120, 102, 3), 0.4, np.float32))
    cut = replace(cut, alpha=np.ones((120, 102), np.float32))
    colours, alpha, place = fitted(cut, box)
    assert place == wanted
    assert colours.shape == (*alpha.shape, 3) and alpha.shape == (place.height, place.width)
    assert np.allclose(colours, 0.4, atol=1e-6) and np.allclose(alpha, 1)


def test_enlarged_it_stays_within_colours():
    stripes = np.zeros((20, 20, 3), np.float32)
    stripes[:, 10:] = 1
    cut = CutOut(cut_out_of().photo, stripes, stripes[..., 0], np.zeros((0, 3), np.float32))
    colours, alpha, _ = fitted(cut, Box(0, 0, 90, 90))
    assert colours.min() == alpha.min() == 0 and colours.max() == alpha.max() == 1


def test_a_square_holds_all_of_a_picture_in_its_middle():
    picture = np.zeros((40, 80, 3), np.float32)
    picture[..., 0] = 1
    square = np.asarray(squared(picture, 100)).astype(int)
    red = (square == (255, 0, 0)).all(axis=2)
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (26, 73, 2, 97)
    assert (square[~red] == 127).all() or (square[~red] == 128).all()


def test_a_thumbnail_shows_the_product_on_grey():
    cut = cut_out_of("bottle")
    shown = np.asarray(thumbnail(cut, 100, grey=0.2)).astype(int)
    assert (shown[0, 0] == 51).all() and (shown[5, 30] == 51).all(), "beside its neck too"
    assert shown[65, 50, 0] > 200, "its label"


def test_a_photo_whose_foot_grass_hides_comes_last(product):
    photos = list_photos(product)
    first = best_photos(photos, Placement(Box(0, 0, 60, 45)), None)[0].photo
    with Image.open(first.mask) as opened:
        mask = opened.convert("L")
    left, _, right, bottom = mask.getbbox()
    for blade in range(left + 4, right - 4, 12):
        mask.paste(0, (blade, bottom - 8, blade + 5, bottom))
    mask.save(first.mask)
    assert best_photos(photos, Placement(Box(0, 0, 60, 45)), None)[-1].photo.file == first.file


def test_a_photo_is_chosen_by_its_own_name_or_the_projects(product):
    photos = list_photos(product)
    assert chosen(photos, None) == photos
    for name in (photos[2].file.name, photos[2].source):
        assert chosen(photos, name) == [photos[2]]
    with pytest.raises(InsertionError, match=r"no photo other\.png.*3\.png"):
        chosen(photos, "other.png")


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_a_photo_whose_edge_cuts_the_product_is_not_used(product, side):
    photos = list_photos(product)
    cut = photos[1]
    with Image.open(cut.file) as picture, Image.open(cut.mask) as mask:
        left, top, right, bottom = mask.getbbox()
        part = {
            "left": (left + 20, 0, *mask.size), "right": (0, 0, right - 20, mask.height),
            "top": (0, top + 20, *mask.size), "bottom": (0, 0, mask.width, bottom - 20),
        }[side]  # fmt: skip
        picture.crop(part).save(cut.file)
        mask.crop(part).save(cut.mask)
    found = best_photos(list_photos(product), Placement(Box(0, 0, 60, 60)), None)
    assert {each.photo.file for each in found} == {each.file for each in photos} - {cut.file}


def test_a_picture_that_was_cropped_to_the_product_shows_it_whole():
    picture = cut_out_of("bottle")
    height, width = picture.alpha.shape
    cropped = replace(picture.photo, width=width, height=height, mask=Path("mask.png"))
    assert not is_cut_off(replace(picture, photo=cropped))
    found = replace(cropped, masked_by="bundled")
    assert is_cut_off(replace(picture, photo=found)), "a segmenter may not know where it ends"
    wide = replace(cropped, width=width + 9)
    assert is_cut_off(replace(picture, photo=wide)), "its foot lies on the lower edge"


def test_around_what_was_cut_out_before_there_is_no_light_to_go_by(product, tmp_path):
    photo = list_photos(product)[0]
    with Image.open(photo.file) as picture, Image.open(photo.mask) as mask:
        picture.putalpha(mask)
        picture.save(tmp_path / "cut out.png")
    project = create_project(tmp_path / "other", name="Redbox", class_noun="box", base="unused")
    add_photos(project, tmp_path / "cut out.png")
    own = cut_out(list_photos(project)[0])
    assert own.alpha.shape == cut_out(photo).alpha.shape and len(own.beside) == 0
    label = own.colours[25:45, 35:85]
    place = np.full((60, 80, 3), 0.3, np.float32)
    assert np.allclose(relit(own.colours, own.alpha, place, own.beside)[25:45, 35:85], label)


def test_a_silhouette_that_fits_is_not_outranked_for_what_is_said_of_its_mask(product):
    photos = list_photos(product)
    wanted = cut_out(photos[2])
    height, width = wanted.alpha.shape
    place = Placement(Box(0, 0, width, height), wanted.alpha)
    other = best_photos(photos, Placement(Box(0, 0, width, height)), None, faults={
        photos[2].file.name: MaskFaults(0.5, 0.5)
    })  # fmt: skip
    assert other[-1].photo == photos[2]
    silhouettes = best_photos(photos, place, None)
    same = best_photos(photos, place, None, faults={photos[2].file.name: MaskFaults(0.5, 0.5)})
    assert [cut.photo for cut in same] == [cut.photo for cut in silhouettes]


def test_a_photo_whose_mask_is_in_doubt_comes_after_one_of_half_the_detail(product):
    photos = list_photos(product)
    place = Placement(Box(0, 0, 121, 91))
    first = best_photos(photos, place, None)[0].photo
    doubted = [replace(photo, mask_doubt=0.3) if photo == first else photo for photo in photos]
    assert best_photos(doubted, place, None)[-1].photo.file == first.file
    half = replace(photos[0], mask_doubt=DOUBTFUL)
    two = [cut.photo for cut in best_photos([half, photos[1]], place, None)]
    assert two == [photos[1], half]


def test_of_four_photos_one_that_lost_its_top_comes_last(product):
    photos = list_photos(product)[:4]
    cut = photos[0]
    with Image.open(cut.mask) as opened:
        mask = opened.convert("L")
    left, top, right, bottom = mask.getbbox()
    mask.paste(0, (left, top, right, top + (bottom - top) // 4))
    mask.save(cut.mask)
    place = Placement(Box(0, 0, 121, 60))
    assert best_photos(photos, place, None)[-1].photo == cut
    pair = best_photos([cut, photos[1]], place, None)
    assert pair[0].photo == cut, "of two each may be of another side"
