import cv2
import numpy as np

from packshot.masks.thin_parts import with_thin_parts


def drawn(ground=(90, 140, 90)):
    """A red box with a blue stripe and a blue antenna; its mask, and that without half of the antenna."""
    pixels = np.empty((200, 200, 3), np.uint8)
    pixels[:] = ground
    pixels[100:160, 60:140], pixels[120:130, 60:140] = (200, 30, 30), (30, 40, 200)
    pixels[76:100, 97:102] = 30, 40, 200
    pixels = (pixels + np.random.default_rng(0).normal(0, 4, pixels.shape)).clip(0, 255)
    whole = np.zeros((200, 200), bool)
    whole[100:160, 60:140] = whole[76:100, 97:102] = True
    cut = whole.copy()
    cut[:88] = False
    return pixels.astype(np.uint8), whole, cut


def test_the_lost_half_of_an_antenna_is_found():
    pixels, whole, cut = drawn()
    found = with_thin_parts(pixels, cut)
    assert (found[:88] == whole[:88]).mean() > 0.999 and found[80, 99]
    assert (found != whole).sum() <= 0.3 * (cut != whole).sum()


def test_what_has_the_grounds_colour_too_is_not():
    pixels, _, cut = drawn(ground=(30, 40, 200))
    assert np.array_equal(with_thin_parts(pixels, cut), cut)


def test_what_is_beside_and_not_thin_is_not():
    pixels, _, cut = drawn()
    cv2.circle(pixels, (160, 120), 12, (30, 40, 200), -1)  # a ball as blue as the stripe
    added = with_thin_parts(pixels, cut) & ~cut
    assert not added[:, 145:].any()


def test_nothing_and_everything_stay_as_they_are():
    pixels, _, _ = drawn()
    for region in (np.zeros((200, 200), bool), np.ones((200, 200), bool)):
        assert np.array_equal(with_thin_parts(pixels, region), region)
