"""What a mask took along or left out, told by the other photos; and that a right mask has no faults."""

import pytest
from PIL import Image, ImageDraw

from packshot.insertion import quality_checks as judged
from packshot.insertion.mask_faults import MaskFaults, mask_faults
from packshot.photos.photo_set import list_photos


def redrawn(photo, change):
    with Image.open(photo.mask) as opened:
        mask = opened.convert("L")
    change(ImageDraw.Draw(mask), mask.getbbox())
    mask.save(photo.mask)


def test_masks_that_are_right_have_no_faults(product):
    for faults in mask_faults(list_photos(product)).values():
        assert faults.taken_along < 0.01 and faults.left_out < 0.01


def test_what_stands_beside_the_product_is_taken_along(product):
    photos = list_photos(product)
    photo = photos[1]

    def wider(draw, box):
        draw.rectangle((box[2], box[1], box[2] + 40, box[3]), fill=255)

    redrawn(photo, wider)
    faults = mask_faults(photos)
    assert faults[photo.file.name].taken_along > 0.15
    assert judged.mask(photo, faults[photo.file.name]).passed is False
    assert faults[photos[0].file.name].taken_along < 0.01


def test_a_part_that_is_missing_is_left_out(product):
    photos = list_photos(product)
    photo = photos[2]

    def narrower(draw, box):
        draw.rectangle((box[2] - 12, box[1], box[2], box[3]), fill=0)

    redrawn(photo, narrower)
    faults = mask_faults(photos)[photo.file.name]
    assert faults.left_out > 0.05 and faults.taken_along < 0.01
    check = judged.mask(photo, faults)
    assert not check.passed and "more of the product" in check.meaning


def test_a_can_whose_sides_differ_has_a_fault(product):
    photos = list_photos(product)
    for photo in photos:
        redrawn(photo, lambda draw, box: draw.rectangle(box, fill=255))
    photo = photos[0]
    redrawn(photo, lambda draw, box: draw.rectangle((*box[:2], box[0] + 15, box[1] + 15), fill=0))
    found = mask_faults(photos, "can")
    told = found[photo.file.name]
    assert told.severity == pytest.approx(told.one_sided / 0.005)
    check = judged.mask(photo, told)
    assert not check.passed and "sides differ" in check.meaning
    assert max(found[other.file.name].one_sided for other in photos[1:]) < 0.001
    assert mask_faults(photos, "mug")[photo.file.name].one_sided == 0, "a handle is of one side"


def test_surroundings_in_a_cars_windows_did_not_come_along(product):
    photos = list_photos(product)
    photo = photos[1]
    with Image.open(photo.file) as opened, Image.open(photo.mask) as mask:
        picture = opened.convert("RGB")
        left, top, right, bottom = mask.getbbox()
    across, down = (right - left) // 4, (bottom - top) // 4
    picture.paste(
        picture.getpixel((left // 2, top // 2)),
        (left + across, top + down, right - across, bottom - down),
    )
    picture.save(photo.file, quality=95)
    assert mask_faults(photos, "box")[photo.file.name].taken_along > 0.1
    assert mask_faults(photos, "sports car")[photo.file.name].taken_along < 0.02


def test_black_shade_under_the_product_is_no_part_of_it(product):
    photos = list_photos(product)
    for photo in photos:  # a product that has something black, and in one photo black below
        with Image.open(photo.file) as opened, Image.open(photo.mask) as mask:
            picture = opened.convert("RGB")
            left, top, right, bottom = mask.getbbox()
        height = (bottom - top) // 4
        picture.paste((9, 9, 9), (left, bottom - height, right, bottom))
        if photo is photos[1]:
            picture.paste((9, 9, 9), (left, bottom, right, bottom + height // 2))
        picture.save(photo.file, quality=95)
    assert mask_faults(photos)[photos[1].file.name].left_out < 0.01


def test_a_single_photo_has_nothing_to_be_compared_with(product):
    assert mask_faults(list_photos(product)[:1]) == {}
    assert judged.mask(list_photos(product)[0], None).passed


@pytest.mark.parametrize("values", [(0.5, 0.0), (0.0, 0.5)])
def test_the_worst_counts(product, values):
    check = judged.mask(list_photos(product)[0], MaskFaults(*values))
    assert check.value == pytest.approx(0.5 / (0.042 if values[0] else 0.02)) and not check.passed
