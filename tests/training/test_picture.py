"""Which part of a file is learnt from, its pixels, and its mask over the latents."""

import numpy as np
import torch
from PIL import Image

from packshot.images.buckets import cover_box
from packshot.training.picture import MIN_ZOOM, Picture, picture, to_mask, to_pixels
from packshot.utils import hashing
from tests.projects import painted


def taken(file, seed=0, size=(160, 160), mask=None, **options):
    painted(seed, size).save(file)
    return picture(
        file, hashing.sha256(file), "a car", *size, pixels=64, multiple=8, mask=mask, **options
    )


def test_the_first_crop_is_the_largest_and_the_others_a_little_closer(tmp_path):
    whole = taken(tmp_path / "a.png", size=(320, 160))
    assert whole.size == (88, 48) and whole.box == cover_box(320, 160, 88, 48)
    boxes = {taken(tmp_path / "a.png", size=(320, 160), crop=crop).box for crop in range(1, 9)}
    assert len(boxes) == 8 and whole.box not in boxes
    largest = whole.box[2] - whole.box[0]
    for left, upper, right, lower in boxes:
        assert min(left, upper) >= 0 and right <= 320 and lower <= 160
        assert MIN_ZOOM * largest - 1 <= right - left <= largest


def test_a_crop_is_a_function_of_seed_picture_and_number(tmp_path):
    one = taken(tmp_path / "a.png", crop=3, seed=5)
    assert one == taken(tmp_path / "a.png", crop=3, seed=5)
    others = [
        taken(tmp_path / "a.png", crop=2, seed=5), taken(tmp_path / "a.png", crop=3, seed=6),
        taken(tmp_path / "b.png", seed=1, crop=3),
    ]  # fmt: skip
    assert all(other.box != one.box for other in others)


def test_what_is_shown_is_told_in_the_pixels_that_are_learnt():
    item = Picture(None, "", "", (400, 200), (64, 64), (100, 20, 228, 148))
    shown = item.shown()
    assert (shown.original_size, shown.crop_top_left, shown.target_size) == (
        (400, 200),
        (50, 10),
        (64, 64),
    )


def test_a_key_is_of_all_that_latents_depend_on_and_not_of_the_name(tmp_path):
    mask = tmp_path / "mask.png"
    Image.new("L", (160, 160), 255).save(mask)
    plain = taken(tmp_path / "a.png")
    masked = taken(tmp_path / "a.png", mask=mask)
    Image.new("L", (160, 160), 254).save(mask)
    keys = [
        plain.key(), masked.key(), taken(tmp_path / "a.png", mask=mask).key(),
        taken(tmp_path / "a.png", crop=1).key(), taken(tmp_path / "c.png", seed=1).key(),
        picture(plain.file, plain.sha256, "", 160, 160, pixels=32, multiple=8).key(),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)
    assert taken(tmp_path / "renamed.png").key() == plain.key()


def test_pixels_of_a_crop_are_the_files_own(tmp_path):
    painted(0, (160, 160)).save(tmp_path / "a.png")
    item = Picture(tmp_path / "a.png", "", "", (160, 160), (64, 48), (16, 32, 80, 80))
    expected = np.asarray(painted(0, (160, 160)))[32:80, 16:80].astype(np.float32) / 127.5 - 1
    found = to_pixels(item)
    assert found.shape == (1, 3, 48, 64) and found.dtype == torch.float32
    assert np.allclose(found[0].permute(1, 2, 0).numpy(), expected, atol=1e-6)


def test_a_mask_is_grown_by_one_latent_pixel_and_keeps_what_is_thin(tmp_path):
    drawn = np.zeros((64, 64), np.uint8)
    drawn[29, 37] = 255
    Image.fromarray(drawn).save(tmp_path / "mask.png")
    item = Picture(None, "", "", (64, 64), (64, 64), (0, 0, 64, 64), tmp_path / "mask.png")
    expected = np.zeros((8, 8), np.float32)
    expected[2:5, 3:6] = 1  # one pixel is in row 29 // 8 = 3, column 37 // 8 = 4
    assert np.array_equal(to_mask(item, (8, 8))[0, 0].numpy(), expected)


def test_without_a_mask_all_of_it_counts_and_with_a_black_one_nothing(tmp_path):
    item = Picture(None, "", "", (64, 64), (64, 64), (0, 0, 64, 64))
    assert torch.equal(to_mask(item, (6, 8)), torch.ones(1, 1, 6, 8))
    Image.new("L", (64, 64)).save(tmp_path / "mask.png")
    black = Picture(None, "", "", (64, 64), (64, 64), (0, 0, 64, 64), tmp_path / "mask.png")
    assert torch.equal(to_mask(black, (6, 8)), torch.zeros(1, 1, 6, 8))
